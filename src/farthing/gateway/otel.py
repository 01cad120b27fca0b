"""One OpenTelemetry span per attempt, with the GenAI semantic attributes (opentelemetry.io/docs/specs/semconv/gen-ai).

Spans are for tracing. The batch processor drops them in bursts, so money is never derived from them.
"""

from datetime import timedelta
from importlib import import_module
from typing import Any

from farthing.core.errors import ConfigError
from farthing.core.facts import RequestFact, Status

_NS = 1_000_000_000


class Spans:
    """Sends facts to a collector as spans. ``observe`` only queues; a thread of the SDK sends."""

    def __init__(self, provider: Any, *, client: Any, error: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("farthing.gateway")
        self._client, self._error = client, error

    def observe(self, fact: RequestFact) -> None:
        """Queue the span of a finished attempt."""
        end = fact.at + timedelta(milliseconds=fact.total_ms or 0)
        span = self._tracer.start_span(
            f"{fact.operation} {fact.model or fact.requested_model}",
            kind=self._client,
            start_time=int(fact.at.timestamp() * _NS),
            attributes=attributes(fact),
        )
        if fact.status is not Status.OK:
            span.set_status(self._error, fact.error or str(fact.status))
        span.end(end_time=int(end.timestamp() * _NS))

    def close(self) -> None:
        """Send what is queued."""
        self._provider.shutdown()


def attributes(fact: RequestFact) -> dict[str, str | int | float | list[str]]:
    """The span attributes of a fact. Cache and reasoning counts are parts of input and output here, as the
    convention wants it.
    """
    found: dict[str, str | int | float | list[str]] = {
        "gen_ai.operation.name": str(fact.operation),
        "gen_ai.provider.name": fact.provider,
        "gen_ai.request.model": fact.model or fact.requested_model,
        "gen_ai.response.model": fact.served_model,
        "gen_ai.response.id": fact.upstream_id,
        "gen_ai.usage.input_tokens": fact.input_tokens + fact.cache_read_tokens + fact.cache_write_tokens,
        "gen_ai.usage.output_tokens": fact.output_tokens + fact.reasoning_tokens,
        "gen_ai.usage.cache_read.input_tokens": fact.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": fact.cache_write_tokens,
        "error.type": str(fact.error_kind),
        "farthing.request_id": fact.request_id,
        "farthing.attempt": fact.attempt,
        "farthing.offer": fact.offer,
        "farthing.team": fact.scope.team,
        "farthing.cost_usd": "unpriced" if fact.cost is None else f"{fact.cost:f}",
    }
    if fact.finish_reason:
        found["gen_ai.response.finish_reasons"] = [fact.finish_reason]
    return {name: value for name, value in found.items() if value != ""}


def spans_to(endpoint: str, *, worker: str) -> Spans:
    """Spans sent to an OTLP/HTTP endpoint. Raises ``ConfigError`` when the ``otel`` extra is not installed."""
    try:
        trace = import_module("opentelemetry.trace")
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise ConfigError(
            "OpenTelemetry is not installed",
            file="farthing.toml",
            field="gateway.otel_endpoint",
            value=endpoint,
            remedy="Install farthing[otel], or remove the setting",
        ) from None
    resource = resources.Resource({"service.name": "farthing-gateway", "service.instance.id": worker})
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter(endpoint=endpoint)))
    return Spans(provider, client=trace.SpanKind.CLIENT, error=trace.StatusCode.ERROR)
