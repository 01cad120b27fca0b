"""The facts of the request ledger: what one upstream attempt, or one cache hit, was and cost.

The gateway writes these, the ledger keeps them, everything else reads them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from farthing.core.nouns import Scope


class Operation(StrEnum):
    """What the client asked for; the OpenTelemetry ``gen_ai.operation.name`` where one exists."""

    CHAT = "chat"
    COMPLETION = "text_completion"
    EMBEDDING = "embeddings"
    RESPONSE = "responses"
    MESSAGE = "messages"
    COUNT_TOKENS = "count_tokens"
    IMAGE = "image_generation"
    IMAGE_EDIT = "image_edit"
    FILE = "file"
    """A file was handed to a provider, or taken back."""
    BATCH = "batch"
    """A batch was ordered or cancelled; what its requests cost stands in facts of their own."""
    PASSTHROUGH = "passthrough"


class Status(StrEnum):
    """How an attempt ended."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    """The client left before the answer was complete."""
    TRUNCATED = "truncated"
    """The upstream's answer ended before it was complete."""
    ABANDONED = "abandoned"
    """The worker died between the intent and the outcome; what the provider billed is not known."""
    CACHE_HIT = "cache_hit"


class ErrorKind(StrEnum):
    """Why an attempt failed, in words stable enough for dashboards and alerts."""

    NONE = ""
    CONNECT = "connect"
    TIMEOUT = "timeout"
    RESET = "reset"
    PROTOCOL = "protocol"
    """Wrong content-length, half a chunk, no HTTP."""
    BAD_BODY = "bad_body"
    """The answer is not what the dialect promises: invalid JSON, an error body under 200."""
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    """The account's credit or quota at the provider is used up; waiting does not help."""
    OVERLOADED = "overloaded"
    LIMIT = "limit"
    """A budget or quota of Farthing's own did not cover it."""
    AUTH = "auth"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    CONTENT_FILTER = "content_filter"
    SERVER = "server"
    INTERNAL = "internal"


class Source(StrEnum):
    """Where a figure comes from."""

    PROVIDER = "provider"
    """The provider said so in this answer."""
    CATALOG = "catalog"
    """The provider's usage at a catalogue price."""
    ESTIMATED = "estimated"
    """Farthing counted, because the provider did not say."""
    NONE = "none"
    """Not known."""


class RequestFact(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream attempt, or one cache hit. Immutable; a correction is a second fact that reverses it.

    Identity is (``request_id``, ``attempt``); attempt 0 is a request that never reached an upstream.
    Times are UTC; ``total_ms`` runs from the request's arrival to its last byte, ``ttft_ms`` to the
    first byte of the answer, ``upstream_ms`` covers the upstream call alone.
    ``usage`` maps unit names to *reported* (nested) counts; the ``*_tokens`` fields are *disjoint*
    sums for grouping: ``input_tokens`` excludes cached ones, ``output_tokens`` excludes reasoning.
    ``cost`` is USD rounded to twelve decimals, ``None`` when unpriced, with ``unpriced`` saying why.
    ``lines`` itemises it: (unit name, quantity, rate amount, rate per, amount), decimals as strings.
    ``baseline_cost`` is what the request would have cost unoptimised (capability C11).
    ``decision`` is the routing decision as JSON text.
    """

    request_id: str
    attempt: int
    at: datetime
    operation: Operation
    dialect: str
    scope: Scope
    requested_model: str
    status: Status
    worker: str
    stream: bool = False
    key_id: str = ""
    provider: str = ""
    offer: str = ""
    model: str = ""
    served_model: str = ""
    upstream_id: str = ""
    http_status: int = 0
    error_kind: ErrorKind = ErrorKind.NONE
    error: str = ""
    finish_reason: str = ""
    total_ms: float | None = None
    ttft_ms: float | None = None
    upstream_ms: float | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    usage: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])
    usage_source: Source = Source.NONE
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal | None = None
    cost_source: Source = Source.NONE
    unpriced: str = ""
    lines: tuple[tuple[str, str, str, int, str], ...] = ()
    baseline_offer: str = ""
    baseline_cost: Decimal | None = None
    decision: str = ""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])


CACHE_TAG = "farthing.cache"
"""The tag that says what a cache did, or would have done, for a request."""

CACHE_NAMESPACE_TAG = "farthing.cache.namespace"
CACHE_ENTRY_TAG = "farthing.cache.entry"
CACHE_PROVIDER = "cache"
"""The provider of answers that came from a cache, as the ledger names it; ``cache/exact`` is such an offer."""


def last_word(facts: Sequence[RequestFact]) -> RequestFact:
    """The attempt that says how a request ended: the last that answered, or the last of all.

    They come in the order of their attempts. The first may answer while a second one, sent beside it, is stopped.
    """
    return next((fact for fact in reversed(facts) if fact.status is Status.OK), facts[-1])
