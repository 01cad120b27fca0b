"""What the control API answers with, and the bodies it accepts.

Money is a fixed-point decimal string in the currency of its answer. Where the ledger's own answers say it already
(``SpendAnswer``, ``RequestsAnswer``, ``RequestFact``) they are sent as they are.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from farthing.core.facts import RequestFact
from farthing.core.nouns import Rejection, Scope
from farthing.core.time import Window
from farthing.ledger.questions import Basis, Grain, RequestRow

ShortText = Annotated[str, Meta(max_length=200)]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused, after RFC 9457. ``remedy`` says what to do next.

    ``type`` is a stable word (``input``, ``not_found``, ``denied``, ``conflict``, ``unavailable``, ``internal``).
    ``field`` and ``value`` name what could not be used; ``nearest`` holds existing names that look like it. Where
    somebody has to agree first, ``approval`` is what was asked of them, and ``url`` its page.
    """

    type: str
    title: str
    status: int
    detail: str
    field: str = ""
    value: str = ""
    remedy: str = ""
    nearest: tuple[str, ...] = ()
    approval: str = ""
    url: str = ""


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """What to do next on a fresh installation: a sentence and the command or page that does it."""

    text: str
    command: str = ""
    page: str = ""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What every page shows in its header. ``through``: facts up to then are in the ledger, ``None`` if it is empty.

    ``ledger_version`` grows whenever facts land. ``gateway_url`` is where SDKs send their requests. ``actor`` is who
    is logged in, by their name in the audit log; ``person`` their id, empty for the holder of the admin token;
    ``scope`` the tenant they are confined to; ``may`` the actions their role may take.
    """

    version: str
    zone: str
    currency: str
    basis: Basis
    now: datetime
    through: datetime | None
    ledger_version: int
    gateway_url: str
    providers: int
    keys: int
    dimensions: tuple[str, ...]
    hints: tuple[Hint, ...]
    actor: str
    person: str
    role: str
    scope: Scope
    duties: tuple[str, ...]
    may: tuple[str, ...]


class LoginDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The admin token, to be exchanged for a session cookie."""

    token: Annotated[str, Meta(min_length=1, max_length=200)]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over a set of facts.

    ``cost`` holds what is priced, bills included; ``request_cost`` the gateway's part of it. ``unit_cost`` is
    ``request_cost`` per 1,000 priced requests and ``baseline_unit_cost`` the same requests unoptimized, both
    ``None`` without priced requests. ``saved`` is measured: baseline less cost, over the requests that have both.
    """

    cost: Decimal
    request_cost: Decimal
    baseline_cost: Decimal
    saved: Decimal
    requests: int
    priced_requests: int
    unpriced_requests: int
    errors: int
    charges: int
    unit_cost: Decimal | None
    baseline_unit_cost: Decimal | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the dimension that is looked at; chart and table share it.

    ``kind``: ``value`` is a real name, ``unallocated`` the empty one, ``other`` all that are not listed.
    ``cost_per_total`` is its part of the window's cost, ``None`` when that is zero.
    """

    key: str
    kind: Literal["value", "unallocated", "other"]
    total: Totals
    previous_cost: Decimal | None
    cost_per_total: float | None


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the chart: ``costs`` and ``requests`` are in the order of ``Overview.groups``."""

    at: datetime
    total: Totals
    costs: tuple[Decimal, ...]
    requests: tuple[int, ...]


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar month's cost if its days go on as they went. Not a forecast of trend or season.

    ``low`` and ``high`` bound it by the variation between whole days so far (an 80 % range).
    """

    method: Literal["run rate"]
    low: Decimal
    mid: Decimal
    high: Decimal
    days_observed: int
    days_in_month: int
    note: str


class MonthToDate(msgspec.Struct, frozen=True, kw_only=True):
    """The calendar month in the reporting zone. ``previous_cost`` covers the same stretch of the month before,
    ``None`` without data there; ``projection`` is ``None`` before three whole days have data.
    """

    start: datetime
    end: datetime
    cost: Decimal
    previous_cost: Decimal | None
    projection: Projection | None


class RoleCost(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts beyond a request's first that were made for one reason: ``retry``, ``failover`` or ``hedge``.

    ``requests`` counts the requests that got any, ``cost`` sums the attempts whose cost is known, and ``unpriced``
    counts those whose cost is not.
    """

    role: str
    requests: int
    cost: Decimal
    unpriced: int


class Redundancy(msgspec.Struct, frozen=True, kw_only=True):
    """The price of redundancy: every attempt beyond its request's first, by why it was made and together.

    A request with attempts of two kinds counts in both roles, and in ``requests`` twice.
    """

    requests: int
    cost: Decimal
    unpriced: int
    roles: tuple[RoleCost, ...]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the Overview page shows, from one moment of the ledger.

    The sum over ``groups`` and the sum over ``buckets`` are both exactly ``total``. ``previous`` is ``None``
    when the window before holds no data. ``empty``: no fact at all in this window. ``truncated_models`` counts
    the models beyond those listed.
    """

    window: Window
    previous_window: Window
    zone: str
    basis: Basis
    by: str
    grain: Grain
    currency: str
    other_currencies: dict[str, Decimal]
    through: datetime | None
    empty: bool
    total: Totals
    previous: Totals | None
    month: MonthToDate
    groups: tuple[Group, ...]
    buckets: tuple[Bucket, ...]
    models: tuple[Group, ...]
    redundancy: Redundancy
    recent: tuple[RequestRow, ...]
    recent_errors: tuple[RequestRow, ...]


class CostLine(msgspec.Struct, frozen=True, kw_only=True):
    """``quantity × rate / per = amount``, for one attempt.

    ``kind``: ``unit`` is a billed unit; ``adjustment`` is what makes the lines add up to the stored cost (rounding
    to twelve decimals, or a provider that reported another charge than the catalogue's) and has no unit.
    """

    attempt: int
    kind: Literal["unit", "adjustment"]
    unit: str
    quantity: str
    rate: Decimal | None
    per: int
    amount: Decimal
    note: str = ""


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """The routing decision. An unknown cost is ``None`` and its ``…_unpriced`` says why."""

    asked: str
    chosen: str
    reason: str
    rejected: tuple[Rejection, ...]
    expected_cost: Decimal | None
    expected_unpriced: str
    expected_ms: float | None
    baseline: str
    baseline_cost: Decimal | None
    baseline_unpriced: str


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds. ``overhead_ms`` is what passed outside of all upstream calls, ``None`` if not measured."""

    total_ms: float | None
    ttft_ms: float | None
    upstream_ms: float | None
    overhead_ms: float | None


class RequestDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One request, explained. The amounts of ``formula`` sum to ``cost`` exactly; ``cost`` is ``None`` when no
    attempt is priced, and ``unpriced`` holds each reason. ``attempts`` are the facts as the ledger keeps them, and
    ``roles`` say why there is each: ``retry``, ``failover``, ``hedge``, and nothing for a first attempt.
    """

    request_id: str
    at: datetime
    operation: str
    dialect: str
    scope: Scope
    requested_model: str
    provider: str
    offer: str
    model: str
    served_model: str
    status: str
    error_kind: str
    error: str
    currency: str
    cost: Decimal | None
    unpriced: tuple[str, ...]
    baseline_offer: str
    baseline_cost: Decimal | None
    saved: Decimal | None
    formula: tuple[CostLine, ...]
    timing: Timing
    decision: DecisionView | None
    attempts: tuple[RequestFact, ...]
    roles: tuple[str, ...]
    tags: dict[str, str]


class DimensionValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values a dimension takes in a window, for filters. An empty string is unallocated."""

    name: str
    values: tuple[str, ...]


class PriceLine(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one unit: ``amount`` of ``currency`` for every ``per``, from ``above`` input tokens upwards."""

    unit: str
    amount: Decimal
    per: int
    currency: str
    above: int


class PriceView(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of the catalogue as it holds now. ``stale``: not confirmed for 30 days or more."""

    offer: str
    kind: str
    provider: str
    product: str
    region: str
    terms: str
    prices: tuple[PriceLine, ...]
    effective: Window
    source: str
    checked: date | None
    stale: bool


class PricesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Offers that match, best first; ``matching`` counts all of them."""

    rows: tuple[PriceView, ...]
    matching: int


class ScopeDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who pays for what a key is used for. Empty is unallocated."""

    org: ShortText = ""
    team: ShortText = ""
    project: ShortText = ""
    environment: ShortText = ""
    feature: ShortText = ""
    customer: ShortText = ""
    user: ShortText = ""


class KeyDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made. ``models`` empty means every model; ``expires`` ``None`` means never.

    ``category`` is what its requests are for (training, inference, research, maintenance, …), left to them when empty.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    scope: ScopeDraft = ScopeDraft()
    models: Annotated[list[ShortText], Meta(max_length=200)] = []
    category: Annotated[str, Meta(max_length=64)] = ""
    expires: Annotated[datetime, Meta(tz=True)] | None = None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. ``hint`` is the token's visible beginning."""

    id: str
    name: str
    scope: Scope
    models: tuple[str, ...]
    created: datetime
    state: Literal["active", "expired", "revoked"]
    category: str = ""
    expires: datetime | None = None
    revoked: datetime | None = None
    hint: str = ""


class KeyCreated(msgspec.Struct, frozen=True, kw_only=True):
    """A new key and its token, which is shown this once and cannot be read again."""

    key: KeyView
    token: str


class KeysAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All keys, newest first."""

    rows: tuple[KeyView, ...]


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    """A configured upstream account. ``api_key`` tells where the secret comes from, never the secret."""

    name: str
    vendor: str
    base_url: str
    api_key: str
    region: str
    tags: tuple[str, ...]
    models: tuple[str, ...]
    enabled: bool
    origin: str = ""


class ProvidersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All configured providers by name."""

    rows: tuple[ProviderView, ...]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. ``remedy`` says what to do when ``state`` is not ``ok``."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""
    at: datetime | None = None


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether everything works; ``state`` is the worst of the checks."""

    state: Literal["ok", "warning", "failed"]
    checks: tuple[Check, ...]


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """Sent as a server-sent event when facts land in the ledger."""

    through: datetime | None
    version: int
