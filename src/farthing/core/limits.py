"""Budgets and quotas: how much of something somebody may use in a span of time.

Amounts are counted in whole numbers: money in nano-dollars (10⁻⁹ USD, rounded against the spender), everything else
in pieces. A limit splits into *pots*, one for each span and, where its scope says ``*``, for each value: whoever
fits into the pot may use it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import ceil
from zoneinfo import ZoneInfo

import msgspec

from farthing.core.errors import InputError
from farthing.core.money import EXACT
from farthing.core.time import Window

NANO = 1_000_000_000
"""Counted pieces per dollar."""

EACH = "*"
"""In a scope: one pot for each value there is."""

WHO = ("org", "team", "project", "environment", "feature", "customer", "user", "key", "model", "category")
"""What a limit's scope may name. ``model`` is the name that the client asked for, ``category`` what it is for."""

CATEGORIES = ("training", "inference", "research", "maintenance")
"""The usual categories of spend; a request of the gateway that says nothing else is inference."""


class Measure(StrEnum):
    """What is limited."""

    COST = "cost"
    """Dollars."""
    REQUESTS = "requests"
    TOKENS = "tokens"
    """Input and output tokens together, cached ones included."""
    PARALLEL = "parallel"
    """Requests under way at the same time."""


class Span(StrEnum):
    """How long a pot lasts before a new one is opened."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    ONCE = "once"
    """One pot for good, or for the limit's ``window``."""


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A budget or a quota.

    ``amount``: dollars for ``cost``, pieces otherwise. ``scope``: every named field must fit, ``*`` gives each value
    its own pot, and an empty scope is everybody. ``hard``: what does not fit is refused; a soft limit only counts and
    warns. ``rolling``: at no instant more than ``amount`` within the last ``per``, instead of per calendar span of
    ``zone``. ``window`` bounds a limit that exists ``once``. ``cap_output``: shorten an answer to what is left before
    refusing it. ``unpriced``: models that may be asked although their price is not known. ``warn_at``: percent of the
    amount at which somebody is told, ``warn_day_at``: percent of an even day's share. ``since``: the limit counts
    requests that arrive from then on; what was spent before in the same span comes from the ledger. ``None``: it
    counts everything itself.
    """

    id: str
    name: str
    measure: Measure
    amount: Decimal
    per: Span
    scope: Mapping[str, str] = {}
    hard: bool = True
    rolling: bool = False
    zone: str = "UTC"
    window: Window = Window()
    cap_output: bool = True
    unpriced: frozenset[str] = frozenset()
    warn_at: tuple[int, ...] = (50, 80, 90, 100)
    warn_day_at: int = 80
    since: datetime | None = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def pieces(self) -> int:
        """The amount as it is counted."""
        return int(self.amount * NANO) if self.measure is Measure.COST else int(self.amount)

    def subject(self, who: Mapping[str, str]) -> str | None:
        """The pot's name for somebody: the values of its ``*`` fields; ``None`` when the limit is not about them.

        A field that is empty belongs to nobody, and ``*`` does not stand for nobody.
        """
        each: list[str] = []
        for field, wanted in self.scope.items():
            value = who.get(field, "")
            if wanted == EACH and value:
                each.append(value)
            elif wanted != value:
                return None
        return "\x1f".join(each)

    def opened(self, at: datetime) -> Window:
        """The span that an instant lies in; unbounded for rolling limits and those that exist once without window."""
        if self.rolling:
            return Window()
        return self.window if self.per is Span.ONCE else _span(self.per, at.astimezone(ZoneInfo(self.zone)))


LENGTHS: Mapping[Span, timedelta] = {
    Span.MINUTE: timedelta(minutes=1),
    Span.HOUR: timedelta(hours=1),
    Span.DAY: timedelta(days=1),
    Span.WEEK: timedelta(weeks=1),
    Span.MONTH: timedelta(days=30),
    Span.QUARTER: timedelta(days=91),
    Span.YEAR: timedelta(days=365),
}
"""Lengths of rolling spans."""


def counted(dollars: Decimal) -> int:
    """Money as limits count it: nano-dollars, rounded up."""
    return ceil(dollars.scaleb(9, context=EXACT))


def dollars(pieces: int) -> Decimal:
    """Counted money as dollars, exact."""
    return Decimal(pieces).scaleb(-9, context=EXACT)


def _span(per: Span, local: datetime) -> Window:
    """The calendar span of a zone around a local time. Days of a change of clocks have 23 or 25 hours."""
    if per in (Span.MINUTE, Span.HOUR):
        seconds = int(LENGTHS[per].total_seconds())
        start = datetime.fromtimestamp(int(local.timestamp()) // seconds * seconds, UTC)
        return Window(start=start, end=start + LENGTHS[per])
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    match per:
        case Span.DAY:
            return Window(start=day, end=day + timedelta(days=1))
        case Span.WEEK:
            monday = day - timedelta(days=day.weekday())
            return Window(start=monday, end=monday + timedelta(days=7))
        case Span.MONTH:
            return _months(day, day.month, 1)
        case Span.QUARTER:
            return _months(day, day.month - (day.month - 1) % 3, 3)
        case _:
            return _months(day, 1, 12)


def _months(day: datetime, month: int, count: int) -> Window:
    start = day.replace(month=month, day=1)
    following = month + count
    end = start.replace(year=day.year + (following > 12), month=(following - 1) % 12 + 1)  # noqa: PLR2004 - months
    return Window(start=start, end=end)


def _check(limit: Limit) -> None:
    """Raises ``InputError`` for what no limit can say."""
    _check_amount(limit.measure, limit.amount)
    for wrong, message, field, value, remedy in (
        (limit.measure is Measure.PARALLEL and limit.per is not Span.ONCE,
         "requests under way have no span", "per", limit.per.value, "Use once"),
        (limit.rolling and limit.per is Span.ONCE,
         "what exists once does not roll", "rolling", True, "Choose a span, or leave rolling out"),
        (limit.window != Window() and limit.per is not Span.ONCE,
         "only a limit that exists once has a window", "window", str(limit.window), "Use per once"),
        (any(not 0 < percent <= _MOST_PERCENT for percent in (*limit.warn_at, limit.warn_day_at)),
         "a warning is at 1 to 1000 percent", "warn_at", limit.warn_at, "Use for example 50, 80, 90, 100"),
    ):  # fmt: skip
        if wrong:
            raise InputError(message, field=field, value=value, remedy=remedy)
    for field in limit.scope:
        if field not in WHO:
            raise InputError("not a part of a scope", field="scope", value=field, remedy=f"Use {', '.join(WHO)}")
    try:
        ZoneInfo(limit.zone)
    except (KeyError, ValueError, OSError):
        raise InputError(
            "not a time zone", field="zone", value=limit.zone, remedy='Write an IANA name such as "Europe/Berlin"'
        ) from None


def _check_amount(measure: Measure, amount: Decimal) -> None:
    def wrong(message: str, remedy: str) -> InputError:
        return InputError(message, field="amount", value=str(amount), remedy=remedy)

    if not amount.is_finite() or amount < 0:
        raise wrong("an amount is zero or more", "Write it like 500 or 12.50")
    pieces = EXACT.multiply(amount, NANO) if measure is Measure.COST else amount
    if pieces != int(pieces):
        finest = "at most nine decimals" if measure is Measure.COST else "no fraction"
        raise wrong(f"too fine an amount of {measure}", f"Write {finest}")
    if pieces >= _MOST_PIECES:
        raise wrong("too large an amount", "Stay below four billion dollars, or 4e18 pieces")


_MOST_PIECES = 2**62
_MOST_PERCENT = 1000

__all__ = [
    "CATEGORIES", "EACH", "LENGTHS", "NANO", "WHO", "Limit", "Measure", "Span", "counted", "dollars",
]  # fmt: skip
