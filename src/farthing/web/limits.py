"""Budgets and quotas as the API shows and takes them, and what it asks of the rest of Farthing about them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta

from farthing.core.limits import WHO, Measure, Span
from farthing.core.time import Window
from farthing.governance.pacing import BurnPoint, DayShare, Forecast, Status
from farthing.governance.roles import Who
from farthing.web.views import ShortText

Amount = Annotated[str, Meta(pattern=r"^\d{1,19}(\.\d{1,9})?$", max_length=30)]
"""Dollars, or pieces, as a decimal string."""

Percent = Annotated[int, Meta(ge=1, le=1000)]

# What is shown


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget or a quota as it was set. ``scope`` names who it is about, ``*`` stands for each value by itself.

    ``amount`` is in dollars for the measure ``cost``, and in pieces otherwise. ``since``: requests count from then on;
    what was spent before in the same span comes from the ledger.
    """

    id: str
    name: str
    measure: Measure
    amount: Decimal
    per: Span
    scope: dict[str, str]
    hard: bool
    rolling: bool
    zone: str
    window: Window
    cap_output: bool
    unpriced: tuple[str, ...]
    warn_at: tuple[int, ...]
    warn_day_at: int
    since: datetime | None


class LedgerView(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says of the same scope and span, in the limit's measure.

    ``drift`` is what was counted, less what is in doubt, less ``amount``; ``None`` where the two do not cover the same
    requests (rolling limits, and those that exist once). ``reconciled``: the drift is rounding only. Facts reach the
    ledger a second or two after they are counted. ``unpriced_requests`` have no known cost and are not in ``amount``.
    """

    amount: Decimal
    requests: int
    unpriced_requests: int
    drift: Decimal | None
    reconciled: bool | None


class PotView(msgspec.Struct, frozen=True, kw_only=True):
    """One span of a limit and whose it is: what a request has to fit into. Amounts are in the limit's measure.

    ``subject`` holds the values of the scope's ``*`` fields. ``used`` counts everything in this span, ``doubt`` the
    part of it charged at its worst case because nobody knows what the provider billed, ``seeded`` the part from before
    the limit existed. ``held`` is what workers have at hand for requests; ``left`` is the amount less both, never less
    than zero. ``percent`` of the amount is used, ``elapsed`` percent of the span over; ``even`` is what an even pace
    would have used. ``exhausted``: when the amount is, or at this rate will be, used up. ``points`` is the burn-up.
    ``note`` says why there is no forecast. ``refused`` counts requests that this limit refused in this span.
    """

    subject: dict[str, str]
    window: Window
    status: Status
    amount: Decimal
    used: Decimal
    doubt: Decimal
    seeded: Decimal
    held: Decimal
    left: Decimal
    percent: Decimal
    elapsed: Decimal | None
    even: Decimal | None
    day: DayShare | None
    forecast: Forecast | None
    note: str
    exhausted: datetime | None
    points: tuple[BurnPoint, ...]
    ledger: LedgerView | None
    refused: int


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """A limit and how it stands. ``pots`` are those nearest to their end first, at most 100 of ``pots_matching``;
    ``status`` is the worst of all. ``unit`` is ``USD``, ``requests`` or ``tokens``.
    """

    limit: LimitView
    unit: str
    status: Status
    pots: tuple[PotView, ...]
    pots_matching: int


class BudgetsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All limits that one may see, the worst first. ``through``: facts up to then are in the ledger."""

    now: datetime
    through: datetime | None
    rows: tuple[BudgetView, ...]


class Spender(msgspec.Struct, frozen=True, kw_only=True):
    """Who or what used a part of a limit, by the ledger. An empty ``key`` is unallocated."""

    key: str
    amount: Decimal
    requests: int
    percent: Decimal


class Breakdown(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's use of a limit's present span by one dimension, the largest ten."""

    by: str
    rows: tuple[Spender, ...]


class BudgetDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One limit, how it stands, and who and what used it. ``notices`` are the latest about it."""

    now: datetime
    through: datetime | None
    budget: BudgetView
    breakdowns: tuple[Breakdown, ...]
    notices: tuple["NoticeView", ...]


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """How a notice got to one target. ``due`` is when it is tried again."""

    target: str
    state: Literal["delivered", "waiting", "given up"]
    attempts: int
    due: datetime | None
    delivered: datetime | None
    error: str


class NoticeView(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody was told. ``limit`` is the id of the limit it is about, if any."""

    id: int
    kind: str
    severity: str
    title: str
    text: str
    limit: str
    raised: datetime
    deliveries: tuple[DeliveryView, ...]


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is told. ``url`` tells where the address comes from, never the address."""

    name: str
    url: str
    events: tuple[str, ...]
    min_severity: str


class NoticesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The latest notices, newest first, and who is told."""

    rows: tuple[NoticeView, ...]
    targets: tuple[TargetView, ...]


# What is taken


class LimitWindow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bounds of a limit that exists once; ``end`` is not included."""

    start: Annotated[datetime, Meta(tz=True)] | None = None
    end: Annotated[datetime, Meta(tz=True)] | None = None


class LimitDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit to be made. ``zone`` defaults to the reporting zone, ``warn_at`` to 50, 80, 90 and 100 percent."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    amount: Amount
    measure: Measure = Measure.COST
    per: Span = Span.MONTH
    scope: Annotated[dict[ShortText, ShortText], Meta(max_length=len(WHO))] = {}
    hard: bool = True
    rolling: bool = False
    zone: ShortText = ""
    window: LimitWindow = LimitWindow()
    cap_output: bool = True
    unpriced: Annotated[list[ShortText], Meta(max_length=200)] = []
    warn_at: Annotated[list[Percent], Meta(max_length=10)] | None = None
    warn_day_at: Percent = 80


class LimitChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be changed of a limit; what is left out stays. Another measure, span or scope is another limit."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    amount: Amount | None = None
    hard: bool | None = None
    cap_output: bool | None = None
    unpriced: Annotated[list[ShortText], Meta(max_length=200)] | None = None
    warn_at: Annotated[list[Percent], Meta(max_length=10)] | None = None
    warn_day_at: Percent | None = None


# What is asked of the rest of Farthing


class Budgets(Protocol):
    """Limits as people see and change them. All raise ``DeniedError`` for what belongs to another tenant."""

    def all(self, who: Who) -> BudgetsAnswer: ...

    def one(self, who: Who, ref: str) -> BudgetDetail:
        """Raises ``NotFoundError``."""
        ...

    def create(self, who: Who, fields: dict[str, Any]) -> LimitView:
        """Raises ``InputError``, ``ConflictError``, and ``ApprovalNeededError`` when somebody has to agree first."""
        ...

    def change(self, who: Who, ref: str, fields: dict[str, Any]) -> LimitView:
        """Raises as ``create``, and ``NotFoundError``."""
        ...

    def remove(self, who: Who, ref: str) -> None:
        """Raises as ``change``."""
        ...

    def notices(self, who: Who, *, limit: int) -> NoticesAnswer: ...
