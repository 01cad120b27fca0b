"""Headers and paths of the gateway."""

from collections.abc import Iterator

from docs.writers.markdown import code, table
from farthing.core.facts import Operation
from farthing.gateway.wire.paths import models_of, operation_of
from farthing.gateway.wire.read import _IGNORED, _LISTS, _SCOPE

REQUEST = {
    **{f"x-farthing-{name}": f"Who pays: the {name}, where the key leaves it open." for name in _SCOPE},
    "x-farthing-org": "Who pays: the organization, where the key leaves it open.",
    "x-farthing-tags": "Words that an account must carry to serve this, separated by commas, such as `eu,hipaa`. They "
    "only narrow what the alias allows.",
    "x-farthing-regions": "Regions that may serve this, separated by commas. They only narrow.",
    "x-farthing-label-NAME": "Kept with the request; `farthing spend --by tag:NAME` groups by it.",
    "x-farthing-category": "Which part of a budget pays, such as `training`, `inference` or `research`, "
    "where the key leaves it open. Without it: `inference`.",
    "x-farthing-cap": "`off`: refuse the request where a budget covers only a shorter answer than it asks for.",
    "x-farthing-cache": "`off`: neither answered from a cache nor kept; `refresh`: asked afresh and kept.",
    "x-farthing-provider": "Which account an upload to `/v1/files`, or a batch of messages, goes to. "
    "Refused elsewhere.",
    "x-farthing-key": "Reserved. It is accepted and has no meaning yet.",
    "x-farthing-request-id": "Reserved. It is accepted and has no meaning yet; ids are made by the gateway.",
}
RESPONSE = {
    "x-farthing-request-id": "The request in the ledger: `farthing requests show ID`. On every answer, refusals too.",
    "x-request-id": "The same, where OpenAI's SDKs look for it.",
    "request-id": "The same, where Anthropic's SDKs look for it.",
    "x-farthing-offer": "What served it.",
    "x-farthing-cost": "What it cost in USD, or `unpriced`. Not on streams, whose cost is known only at their end.",
    "x-farthing-unpriced": "Why there is no cost.",
    "x-farthing-output-capped": "The answer was limited to so many tokens, as a budget covers no more.",
    "x-farthing-cache": "`exact`, `semantic` or `embeddings`, where the answer came from a cache.",
    "x-farthing-cache-texts": "Of so many texts the vectors were known, and only the others were asked for.",
    "x-farthing-cache-entry": "The entry that answered: `farthing cache wrong ENTRY` removes it.",
    "x-farthing-cache-confidence": "How probable it is that a semantic hit is right, by what was measured.",
    "x-farthing-saved": "What the answer would have cost in USD now, had it not come from a cache.",
    "age": "How many seconds ago an answer from a cache was made.",
    "x-farthing-limit": "The limit that refused the request: `farthing budget show ID`.",
    "retry-after, retry-after-ms, x-should-retry": "As the provider sent them; of a refusal by a limit, when it starts "
    "anew and whether an SDK should wait for that.",
}
_TAILS = (
    "chat/completions",
    "completions",
    "embeddings",
    "responses",
    "messages",
    "messages/count_tokens",
    "models",
    "images/generations",
    "images/edits",
)


def page() -> str:
    """What the gateway reads and writes beside bodies."""
    return (
        "# Paths and headers of the gateway\n\n## Paths\n\n"
        + table(("path", "operation", "dialect"), _paths())
        + "\nEach path also exists below `/openai` and `/anthropic`, which say the dialect outright. `/v1/models` "
        "answers in Anthropic's shape when `anthropic-version` was sent. `/healthz`, `/readyz` and "
        "`/metrics` are told in [metrics](metrics.md). `/v1/files…` and `/v1/batches…` are OpenAI's "
        "[files and batches](../how-to/batches-and-images.md), `/v1/messages/batches…` are Anthropic's batches, "
        "and `/passthrough/PROVIDER/…` is "
        "[everything else](../how-to/pass-through.md).\n\nA Farthing key travels as `Authorization: Bearer KEY` or as "
        "`x-api-key: KEY`.\n\n"
        "## Request headers\n\nAll are optional. An unknown `x-farthing-` header is refused, so that a typo does not "
        "become unallocated cost. None of them is sent to a provider.\n\n"
        + table(("header", "meaning"), ((code(n), m) for n, m in REQUEST.items()))
        + "\n## Response headers\n\n"
        + table(("header", "meaning"), ((code(n), m) for n, m in RESPONSE.items()))
    )


def known() -> set[str]:
    """The request headers that the gateway's reader knows."""
    return {f"x-farthing-{name}" for name in (*_SCOPE, *_LISTS, *_IGNORED)}


def _paths() -> Iterator[tuple[str, str, str]]:
    for tail in _TAILS:
        path = f"/v1/{tail}"
        operation = operation_of(path)
        if operation is not None:
            yield code(f"POST {path}"), code(Operation(operation[0]).value), operation[1]
        elif models_of(path, {}) is not None:
            yield code(f"GET {path}"), "list of names, and `/v1/models/NAME` for one", "both"
