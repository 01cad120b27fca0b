"""What the ledger holds: the columns of charges, the fields of request facts, and what can be asked."""

import typing
from collections.abc import Iterator, Mapping

import msgspec

from docs.writers.markdown import attribute_docs, code, summary, table
from farthing.core import facts
from farthing.core.facts import RequestFact
from farthing.core.nouns import Scope
from farthing.ledger import focus, questions
from farthing.ledger.schema import TABLES

FIELDS: Mapping[str, str] = {
    "request_id": "The request; also in the header `x-farthing-request-id`.",
    "attempt": "Which upstream call of the request, from 1; 0 for a request that reached no provider.",
    "at": "When the request arrived, UTC.",
    "operation": "What was asked for: " + ", ".join(code(o.value) for o in facts.Operation) + ".",
    "dialect": "What the client speaks: `openai` or `anthropic`.",
    "scope": "Who pays: " + ", ".join(code(f) for f in Scope.__struct_fields__) + ".",
    "requested_model": "Model or alias as the client wrote it.",
    "status": "How it ended; see [errors](errors.md#how-a-request-ended).",
    "worker": "The process that served it.",
    "stream": "Whether the client asked for a stream.",
    "key_id": "The Farthing key; empty for nobody's.",
    "provider": "The configured account that was called.",
    "offer": "The catalog's offer that it was priced by.",
    "model": "The model as the provider was asked for it.",
    "served_model": "The model as the provider named it in its answer.",
    "upstream_id": "The provider's own id of the answer.",
    "http_status": "The provider's status; for attempt 0 the gateway's own.",
    "error_kind": "Why it failed; see [errors](errors.md#failures-of-providers).",
    "error": "The message that came with the failure.",
    "finish_reason": "Why the model stopped, in the provider's word.",
    "total_ms": "From the request's arrival to its last byte.",
    "ttft_ms": "From the request's arrival to the first byte of the answer.",
    "upstream_ms": "The upstream call alone.",
    "request_bytes": "Size of the body that was sent to the provider.",
    "response_bytes": "Size of the body that came back.",
    "usage": "Counts by unit as the provider reported them: nested, so that cached tokens are also input tokens.",
    "usage_source": "Who counted.",
    "input_tokens": "Input tokens that were not cached.",
    "cache_read_tokens": "Input tokens read from the provider's cache.",
    "cache_write_tokens": "Input tokens written to the provider's cache.",
    "output_tokens": "Output tokens without reasoning.",
    "reasoning_tokens": "Reasoning tokens.",
    "cost": "USD to twelve decimals; null when unpriced.",
    "cost_source": "Where the cost comes from.",
    "unpriced": "Why there is no cost.",
    "lines": "The cost line by line: unit, quantity, rate, per, amount. They sum to the cost.",
    "baseline_offer": "The offer that the baseline was priced by.",
    "baseline_cost": "What the same request would have cost unoptimized.",
    "decision": "The routing decision as JSON: chosen, reason, and every rejected offer with its stage and reason.",
    "tags": "Labels from `x-farthing-label-NAME`.",
}
"""What each field of a request fact says; a test keeps this and the fact in step."""


def page() -> str:
    """Tables, columns, fields, dimensions."""
    focus_rows = [
        (code(n), t, lvl, null, span, meaning) for n, t, lvl, null, span, meaning in focus.reference() if span
    ]
    own_rows = [(code(n), t, meaning) for n, t, _, _, span, meaning in focus.reference() if not span]
    tables = ", ".join(code(spec.name) for spec in TABLES)
    return (
        f"# Ledger\n\nFacts are append-only; a correction is a second fact that reverses the first. They are kept in "
        f"the Delta tables {tables}, which anything that reads Delta can read.\n\n"
        "## Dimensions\n\nWhat spend is grouped and filtered by: `farthing spend --by team,model --where "
        "provider=openai`. An empty value is shown as `unallocated`.\n\n"
        + ", ".join(code(name) for name in questions.DIMENSIONS)
        + ", and `tag:NAME` for a label of a request or a tag of a bill.\n\n"
        "`origin` is `gateway` or `bill`. Cost bases of bills: "
        + ", ".join(code(b) for b in typing.get_args(questions.Basis))
        + "; a request has one cost, which counts under each. Grains: "
        + ", ".join(code(g) for g in typing.get_args(questions.Grain))
        + ".\n\n## Requests\n\n"
        f"{summary(RequestFact)} One row for each; identity is (`request_id`, `attempt`).\n\n"
        + table(("field", "type", "meaning"), _fields())
        + "\n### Sources of figures\n\n"
        + table(("source", "meaning"), ((code(s.value), _SOURCES[s.name]) for s in facts.Source))
        + f"\n## Charges\n\nColumns of the FinOps Open Cost and Usage Specification, versions {focus.VERSIONS[0]} to "
        f"{focus.NEWEST}. `money` keeps 12 decimals, `decimal` 18.\n\n"
        + table(("column", "type", "level", "null", "versions", "meaning"), focus_rows)
        + "\n### Farthing's own columns\n\n"
        + table(("column", "type", "meaning"), own_rows)
    )


def _fields() -> Iterator[tuple[str, str, str]]:
    for field in msgspec.structs.fields(RequestFact):
        yield code(field.name), _type(field.type), FIELDS[field.name]


def _type(hint: object) -> str:
    options = [a for a in typing.get_args(hint) if a is not type(None)]
    origin = typing.get_origin(hint)
    if origin is tuple:
        return "list"
    if origin is not None and len(options) == 1:
        return f"{_type(options[0])} or null"
    if origin is not None:
        return "map"
    name = getattr(hint, "__name__", str(hint))
    return {"str": "text", "int": "integer", "float": "number", "bool": "boolean", "datetime": "instant"}.get(
        name, "decimal" if name == "Decimal" else "record" if name == "Scope" else "word"
    )


_SOURCES = attribute_docs(facts, "Source")
