"""One OpenTelemetry span per attempt, with the GenAI semantic attributes (opentelemetry.io/docs/specs/semconv/gen-ai).

Spans are for tracing. The batch processor drops them in bursts, and all of them while the collector is down and the
queue is full, so money is never derived from them. They say nothing of what was asked or answered; an error is named
by its kind, because providers quote requests in their messages.
"""

from datetime import timedelta
from importlib import import_module
from threading import Thread
from typing import Any

from farthing.core.errors import ConfigError
from farthing.core.facts import Operation, RequestFact, Status

QUEUE = 2048
"""Spans that wait for the collector at most; later ones push out the oldest."""

BATCH = 512
SEND_SECONDS = 5.0
CLOSE_SECONDS = 5.0
"""How long a stopping worker waits for its last spans to be taken."""

_NS = 1_000_000_000
_FINE = frozenset((Status.OK, Status.CACHE_HIT))
_OPERATIONS = {Operation.RESPONSE: "chat", Operation.MESSAGE: "chat"}
_PROVIDERS = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "gcp": "gcp.vertex_ai",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "x-ai": "x_ai",
}
"""The convention's names of providers, where the catalogue's differ."""


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
            f"{_operation(fact)} {_model(fact)}",
            kind=self._client,
            start_time=int(fact.at.timestamp() * _NS),
            attributes=attributes(fact),
        )
        if fact.status not in _FINE:
            span.set_status(self._error, _failure(fact))
        span.end(end_time=int(end.timestamp() * _NS))

    def close(self) -> None:
        """Send what is queued, as far as the collector takes it soon."""
        last = Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(CLOSE_SECONDS)


def attributes(fact: RequestFact) -> dict[str, str | int | float | list[str]]:
    """The span attributes of a fact. Cache and reasoning counts are parts of input and output here, as the
    convention wants it.
    """
    found: dict[str, str | int | float | list[str]] = {
        "gen_ai.operation.name": _operation(fact),
        "gen_ai.provider.name": _provider(fact),
        "gen_ai.request.model": _model(fact),
        "gen_ai.response.model": fact.served_model,
        "gen_ai.response.id": fact.upstream_id,
        "gen_ai.usage.input_tokens": fact.input_tokens + fact.cache_read_tokens + fact.cache_write_tokens,
        "gen_ai.usage.output_tokens": fact.output_tokens + fact.reasoning_tokens,
        "gen_ai.usage.cache_read.input_tokens": fact.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": fact.cache_write_tokens,
        "error.type": "" if fact.status in _FINE else _failure(fact),
        "farthing.request_id": fact.request_id,
        "farthing.attempt": fact.attempt,
        "farthing.account": fact.provider,
        "farthing.offer": fact.offer,
        "farthing.team": fact.scope.team,
        "farthing.cost_usd": "unpriced" if fact.cost is None else f"{fact.cost:f}",
    }
    if fact.http_status:
        found["http.response.status_code"] = fact.http_status
    if fact.finish_reason:
        found["gen_ai.response.finish_reasons"] = [fact.finish_reason]
    return {name: value for name, value in found.items() if value != ""}


def _operation(fact: RequestFact) -> str:
    """What was asked for, in the convention's words; every dialect's conversation is a chat."""
    return _OPERATIONS.get(fact.operation, str(fact.operation))


def _provider(fact: RequestFact) -> str:
    """Whose model it is to the bill: the offer's provider, the account's name where nothing is offered."""
    seller = fact.offer.partition("/")[0]
    return _PROVIDERS.get(seller, seller) or fact.provider


def _model(fact: RequestFact) -> str:
    return fact.model or fact.requested_model


def _failure(fact: RequestFact) -> str:
    return str(fact.error_kind or fact.status)


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
    provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = otlp.OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS)
    provider.add_span_processor(export.BatchSpanProcessor(exporter, max_queue_size=QUEUE, max_export_batch_size=BATCH))
    return Spans(provider, client=trace.SpanKind.CLIENT, error=trace.StatusCode.ERROR)
