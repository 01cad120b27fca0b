"""The metrics of a worker, by rendering some."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from docs.writers.markdown import code, table
from farthing.app import worker
from farthing.core.facts import Operation, RequestFact, Status
from farthing.core.nouns import Scope
from farthing.gateway.limits.bank import Counts
from farthing.gateway.meter import ROLE
from farthing.gateway.metrics import BUCKETS, MAX_SERIES, Metrics

MEANINGS: Mapping[str, str] = {
    "farthing_attempts_total": "Upstream attempts, and requests that reached no provider.",
    "farthing_unpriced_total": "Those of them whose cost is not known.",
    "farthing_cost_usd_total": "What the priced ones cost, in USD. For alerts; what is owed stands in the ledger.",
    "farthing_tokens_total": "Tokens, in disjoint classes.",
    "farthing_duration_seconds": "From a request's arrival to its last byte.",
    "farthing_first_byte_seconds": "From a request's arrival to the first byte of the answer.",
    "farthing_refused_total": "Refused requests for lists of models and for unknown paths, by HTTP status.",
    "farthing_in_flight": "Requests under way.",
    "farthing_snapshot_made_seconds": "When the snapshot in use was made, in Unix time. A new one is made when "
    "settings, keys, providers or prices change.",
    "farthing_cache_entries": "Answers and vectors in the worker's own memory.",
    "farthing_cache_bytes": "What they take.",
    "farthing_resident_bytes": "Memory of the worker, where the system tells.",
    "farthing_further_attempts_total": "Attempts beyond the first of their requests, by why they were made: `retry`, "
    "`failover` or `hedge`.",
    "farthing_further_attempts_cost_usd_total": "What those attempts cost, as far as it is known.",
    "farthing_breaker_state": "Whether a target gets requests: 0 closed, 1 half open, 2 open. A series without a "
    "model is the whole account's.",
    "farthing_limit_admitted": "Requests that some limit is about and that were let through.",
    "farthing_limit_waited": "Requests that had to wait for others to give back what they held.",
    "farthing_limit_refused": "Requests that a limit did not cover.",
    "farthing_limit_shortened": "Requests whose answer was shortened to what a limit still covered.",
    "farthing_limit_messages": "Messages to the state store about limits.",
    "farthing_limit_waiting": "Requests that wait now.",
    "farthing_limit_accounts": "Pots of which the worker has a slice.",
}


def page() -> str:
    """Every metric with its kind, labels and meaning."""
    rows = [(code(n), kind, ", ".join(map(code, labels)), MEANINGS[n]) for n, kind, labels in families()]
    bounds = ", ".join(f"{bound:g}" for bound in BUCKETS)
    return (
        "# Metrics\n\nEach worker answers `GET /metrics` in Prometheus' text format. Workers share a port, so a "
        "scrape reaches one of them; it shows all that live, by the label `worker`. Sum over `worker`.\n\n"
        + table(("metric", "kind", "labels", "meaning"), rows)
        + f"\nHistograms have the buckets {bounds} seconds. Labels come from the settings and from closed lists, "
        f"never from clients, and one worker keeps {MAX_SERIES:,} label sets at most; what comes "
        "later counts as `other`.\n\n"
        "`GET /healthz` answers 200 while the process lives. `GET /readyz` answers 503 with the reason while the "
        "worker takes no requests: it is draining, or its journal has no room.\n"
    )


def families() -> Iterator[tuple[str, str, list[str]]]:
    """Name, kind and labels of each metric, as a worker that has seen something shows them."""
    metrics = Metrics("0")
    metrics.observe(_fact())
    metrics.observe(msgspec.structs.replace(_fact(), attempt=2, tags={ROLE: "retry"}))
    metrics.breakers = lambda: {("openai", "gpt-4o-mini"): 0}
    metrics.refuse(404)
    text = metrics.render(dict.fromkeys(gauges(), 1.0)).decode()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        sample = re.search(rf"^{name}(?:_bucket)?{{(.*)}} ", text, re.MULTILINE)
        labels = re.findall(r'(\w+)="', sample[1]) if sample else []
        yield name, kind, [label for label in labels if label != "le"]


def gauges() -> list[str]:
    """Names of the values that ``app.worker`` adds, read from its source, and of those of the limits."""
    tree = ast.parse(inspect.getsource(worker))
    given = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "_gauges")
    keys = next(node.keys for node in ast.walk(given) if isinstance(node, ast.Dict))
    own = [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return [*own, *(f"limit_{name}" for name in Counts.__struct_fields__), "limit_waiting", "limit_accounts"]


def _fact() -> RequestFact:
    return RequestFact(
        request_id="r", attempt=1, at=datetime(2026, 1, 1, tzinfo=UTC), operation=Operation.CHAT, dialect="openai",
        scope=Scope(), requested_model="m", status=Status.OK, worker="0", input_tokens=1, cost=Decimal(1),
        total_ms=1.0, ttft_ms=1.0,
    )  # fmt: skip
