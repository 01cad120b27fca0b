"""Questions to the ledger and the shape of their answers; CLI, API and dashboard share them."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from farthing.core.nouns import Scope
from farthing.core.time import Window

DIMENSIONS = (
    "provider", "service", "service_category", "model", "requested_model", "offer", "operation", "team", "project",
    "org", "environment", "feature", "customer", "user", "key", "status", "region", "resource", "sku", "accelerator",
    "charge_category", "origin", "account", "currency", "cost_source",
)  # fmt: skip
"""What spend can be grouped and filtered by. ``origin`` is ``gateway`` or ``bill``; an empty value is unallocated.
``cost_source`` says where a request's cost comes from: ``provider``, ``catalog``, ``estimated``, or ``none`` where it
is unpriced; bills have none of these. ``tag:NAME`` is a dimension too."""

Basis = Literal["effective", "billed", "list", "contracted"]
"""FOCUS cost basis. Gateway requests have one cost, which counts under each."""

Grain = Literal["none", "hour", "day", "week", "month"]


class SpendQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much was spent, by what. Days, weeks and months begin in ``zone`` (IANA name).

    ``where`` keeps rows whose dimension has one of the values. ``compare`` adds the previous window of
    the same length to each row. ``limit`` folds further groups into one row named ``other``.
    """

    window: Window
    by: tuple[str, ...] = ()
    grain: Grain = "none"
    where: dict[str, tuple[str, ...]] = {}
    basis: Basis = "effective"
    zone: str = "UTC"
    compare: bool = False
    limit: int = 0


class SpendRow(msgspec.Struct, frozen=True, kw_only=True):
    """One group. ``cost`` sums what is priced; ``unpriced_requests`` counts what is not in it.

    ``baseline_cost`` is what the same rows would have cost unoptimised; ``saved`` is the difference
    (over the rows that have both). Token counts are disjoint classes.
    """

    keys: dict[str, str]
    at: datetime | None = None
    cost: Decimal = Decimal(0)
    previous_cost: Decimal | None = None
    baseline_cost: Decimal = Decimal(0)
    saved: Decimal = Decimal(0)
    requests: int = 0
    previous_requests: int | None = None
    errors: int = 0
    unpriced_requests: int = 0
    charges: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class SpendAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by falling cost (by time first when there is a grain), and their exact total.

    One currency per answer; ``other_currencies`` lists totals that were left out for that reason.
    ``through`` is the instant up to which facts are in the ledger; ``empty`` tells "no data at all in this
    window" from a true zero.
    """

    question: SpendQuestion
    rows: tuple[SpendRow, ...]
    total: SpendRow
    currency: str = "USD"
    other_currencies: dict[str, Decimal] = {}
    through: datetime | None = None
    empty: bool = False


class RequestsQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests. ``search`` matches request id, model, feature and error text; newest first.

    ``after`` is the ``next`` of the page before.
    """

    window: Window = Window()
    where: dict[str, tuple[str, ...]] = {}
    search: str = ""
    order: Literal["newest", "cost", "latency"] = "newest"
    limit: int = 100
    after: str = ""


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request in a list: its attempts folded. ``cost`` sums the priced attempts, ``None`` if none is."""

    request_id: str
    at: datetime
    attempts: int
    operation: str
    requested_model: str
    provider: str
    model: str
    offer: str
    scope: Scope
    status: str
    stream: bool
    http_status: int
    error_kind: str
    total_ms: float | None
    ttft_ms: float | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: Decimal | None
    unpriced: str
    baseline_cost: Decimal | None


class RequestsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of requests, and totals over *all* that match, not over the page."""

    rows: tuple[RequestRow, ...]
    total: SpendRow
    matching: int
    next: str = ""
    through: datetime | None = None
