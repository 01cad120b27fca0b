"""How a limit is doing: used against an even pace, a day's share, and a forecast to the end of its span.

Amounts are in the limit's own measure: dollars, or pieces. What is used comes from whoever counts it; the course of
time comes from a series of uses, the ledger's.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from farthing.core.limits import LENGTHS, Limit, Measure, Span
from farthing.core.money import EXACT
from farthing.core.time import Window

Slot = Literal["hour", "day"]
Status = Literal["ok", "warn", "at risk", "over"]

LEAST_SLOTS = 3
"""Whole hours or days with data that a forecast needs."""

HORIZON = timedelta(days=366)
"""How far ahead the end of a limit without an end is looked for."""

_NINETIETH = Decimal("1.2815515655446004")
"""The normal distribution's 90th percentile, in standard deviations: the upper end of an 80 % range."""

_PERIODS: Mapping[Slot, int] = {"day": 7, "hour": 24}
_PERIODS_SEEN: Mapping[Slot, int] = {"day": 4, "hour": 7}
_NANO = Decimal("1e-9")
_HUNDRED = Decimal(100)


class Use(msgspec.Struct, frozen=True):
    """What was used in the hour or day that begins at ``at``."""

    at: datetime
    amount: Decimal


class BurnPoint(msgspec.Struct, frozen=True, kw_only=True):
    """``used`` since the span began, and what an even pace would have used; ``None`` for spans without two ends."""

    at: datetime
    used: Decimal
    even: Decimal | None


class PathPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What will have been used by an instant: expected, and an 80 % range."""

    at: datetime
    low: Decimal
    mid: Decimal
    high: Decimal


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What will have been used at the end of the span, with an 80 % range. It is never less than what is used now.

    ``method``: ``mean`` of the last whole days (hours for a day's limit), or ``weekday means`` and ``hour means``
    where two whole weeks (days) are known. ``observed`` counts those days or hours. ``path`` leads there from now.
    """

    method: Literal["mean", "weekday means", "hour means"]
    observed: int
    low: Decimal
    mid: Decimal
    high: Decimal
    path: tuple[PathPoint, ...]


class DayShare(msgspec.Struct, frozen=True, kw_only=True):
    """Today, in the limit's zone: ``used`` of ``share``, the amount divided evenly over the days of the span.

    ``ahead``: more of the share is used than of the day has passed.
    """

    used: Decimal
    share: Decimal
    percent: Decimal
    ahead: bool


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a limit is doing.

    ``percent`` of the amount is used and ``elapsed`` percent of the span over; ``even`` is what an even pace would
    have used by now. ``exhausted`` is when the amount is, or is expected to be, used up; ``None``: not within the
    span, or nobody can tell. ``note`` says why there is no forecast.
    """

    status: Status
    percent: Decimal
    elapsed: Decimal | None
    even: Decimal | None
    day: DayShare | None
    forecast: Forecast | None
    note: str
    exhausted: datetime | None
    points: tuple[BurnPoint, ...]


def slot_of(limit: Limit, window: Window) -> Slot | None:
    """How finely a limit's uses are looked at; ``None`` where there is no course of time to speak of."""
    if limit.measure is Measure.PARALLEL or limit.per in (Span.MINUTE, Span.HOUR):
        return None
    if window.start is not None and window.end is not None:
        return "hour" if window.duration <= timedelta(days=2) else "day"
    return "hour" if limit.per is Span.DAY else "day"


def history(limit: Limit, window: Window, now: datetime) -> Window:
    """The window of uses that ``pace`` makes use of: the span so far, and what a forecast looks back on."""
    if window.start is None and limit.per is Span.ONCE:
        return Window(end=now)
    slot = slot_of(limit, window) or "hour"
    back = timedelta(**{f"{slot}s": _PERIODS[slot] * _PERIODS_SEEN[slot] + 1})
    start = _floor(now - back, slot, ZoneInfo(limit.zone))
    return Window(start=min(start, window.start) if window.start else start, end=now)


def pace(limit: Limit, *, window: Window, now: datetime, used: Decimal, uses: Sequence[Use]) -> Pace:
    """How a limit is doing. ``window`` is its present span (for rolling ones the last ``per``), ``used`` of it is
    what was counted, ``uses`` its course in the slots of ``slot_of``, in order, and as far back as ``history`` says.
    """
    elapsed = _elapsed(limit, window, now)
    outlook, note = _outlook(limit, window, now, used, uses)
    forecast = outlook.forecast if outlook else None
    even = None if elapsed is None else _tidy(limit, limit.amount * elapsed)
    return Pace(
        status=_status(limit, used, even, forecast),
        percent=percent_of(used, limit.amount),
        elapsed=None if elapsed is None else _percent(elapsed),
        even=even,
        day=_day(limit, window, now, uses),
        forecast=forecast,
        note=note,
        exhausted=_crossed(limit, window, now, uses) if used >= limit.amount else outlook and outlook.exhausted,
        points=_points(limit, window, now, used, uses),
    )


def percent_of(part: Decimal, whole: Decimal) -> Decimal:
    """Percent to two places, rounded down so that 100 means all of it. Of nothing, everything is used up."""
    return _percent(part / whole) if whole else _HUNDRED


def reached(limit: Limit, percent: Decimal) -> int | None:
    """The highest warning that a percentage has reached."""
    return max((at for at in limit.warn_at if percent >= at), default=None)


def present(limit: Limit, now: datetime) -> Window:
    """The span that counts now; for a rolling limit the last ``per``."""
    return Window(start=now - LENGTHS[limit.per], end=now) if limit.rolling else limit.opened(now)


# Where it stands


def _elapsed(limit: Limit, window: Window, now: datetime) -> Decimal | None:
    """The share of a span with two ends that is over."""
    if limit.rolling or limit.measure is Measure.PARALLEL or window.start is None or window.end is None:
        return None
    return _share(min(max(now, window.start), window.end) - window.start, window.duration)


def _status(limit: Limit, used: Decimal, even: Decimal | None, forecast: Forecast | None) -> Status:
    """``at risk``: the forecast's middle is over the amount. ``warn``: a warning was reached, ahead of an even pace."""
    if used >= limit.amount:
        return "over"
    if forecast is not None and forecast.mid > limit.amount:
        return "at risk"
    warned = reached(limit, percent_of(used, limit.amount)) is not None
    return "warn" if warned and (even is None or used > even) else "ok"


def _day(limit: Limit, window: Window, now: datetime, uses: Sequence[Use]) -> DayShare | None:
    """Today's share, of spans that have two ends and more than a day."""
    if limit.rolling or window.start is None or window.end is None or slot_of(limit, window) != "day":
        return None
    zone = ZoneInfo(limit.zone)
    today = _floor(now, "day", zone)
    days = max(1, (window.end.astimezone(zone).date() - window.start.astimezone(zone).date()).days)
    share = limit.amount / days
    used = sum((use.amount for use in uses if use.at >= today), Decimal(0))
    passed = _share(now - today, _next(today, "day", zone) - today)
    return DayShare(
        used=used, share=_tidy(limit, share), percent=percent_of(used, share), ahead=used > share * passed
    )  # fmt: skip


def _points(limit: Limit, window: Window, now: datetime, used: Decimal, uses: Sequence[Use]) -> tuple[BurnPoint, ...]:
    """The burn-up: after each slot what the series says, and now what was counted."""
    slot = slot_of(limit, window)
    if slot is None:
        return ()
    zone, end = ZoneInfo(limit.zone), min(now, window.end or now)
    inside = [use for use in uses if use.at in window and use.at < end]
    if not inside and window.start is None:
        return ()
    start = window.start or inside[0].at

    def point(at: datetime, amount: Decimal) -> BurnPoint:
        elapsed = _elapsed(limit, window, at)
        return BurnPoint(at=at, used=amount, even=None if elapsed is None else _tidy(limit, limit.amount * elapsed))

    sums = itertools.accumulate((use.amount for use in inside), EXACT.add)
    found = [point(_next(use.at, slot, zone), total) for use, total in zip(inside, sums, strict=True)]
    return (point(start, Decimal(0)), *(p for p in found if p.at < end), point(end, used))


def _crossed(limit: Limit, window: Window, now: datetime, uses: Sequence[Use]) -> datetime:
    """When a series used the amount up, as far as it tells."""
    total = Decimal(0)
    for use in uses:
        if use.at in window:
            total = EXACT.add(total, use.amount)
            if total >= limit.amount:
                return use.at
    return now


# Where it goes


class _Outlook(msgspec.Struct, frozen=True):
    forecast: Forecast | None
    exhausted: datetime | None


class _Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Mean use of a slot by its place in the week (day), and how much slots differ from it."""

    slot: Slot
    means: Mapping[int, Decimal]
    counts: Mapping[int, int]
    deviation: Decimal
    freedom: int
    observed: int


def _outlook(
    limit: Limit, window: Window, now: datetime, used: Decimal, uses: Sequence[Use]
) -> tuple[_Outlook | None, str]:
    slot = slot_of(limit, window)
    if slot is None or limit.rolling:
        return None, "It begins anew too soon to forecast" if slot is None else "It has no end to forecast"
    if window.end is not None and now >= window.end:
        return None, "It is over"
    zone = ZoneInfo(limit.zone)
    known = _whole_slots(uses, now, slot, zone)
    if len(known) < LEAST_SLOTS:
        return None, f"A forecast needs {LEAST_SLOTS} whole {slot}s with data; there are {len(known)}"
    rates = _rates(known, slot, zone)
    path, exhausted = _path(limit, rates, used, now, window.end)
    if window.end is None:
        return _Outlook(None, exhausted), "It has no end to forecast"
    last = path[-1]
    method = "mean" if len(rates.means) == 1 else "weekday means" if slot == "day" else "hour means"
    found = Forecast(
        method=method, observed=rates.observed, low=last.low, mid=last.mid, high=last.high, path=tuple(path)
    )
    return _Outlook(found, exhausted), ""


def _whole_slots(uses: Sequence[Use], now: datetime, slot: Slot, zone: ZoneInfo) -> list[Use]:
    """Recent whole slots, those without use included. The first one with use is left out, for it may be a part."""
    amounts = {_floor(use.at, slot, zone): use.amount for use in uses}
    first = min((at for at, amount in amounts.items() if amount), default=None)
    if first is None:
        return []
    found: list[Use] = []
    at, until = _next(first, slot, zone), _floor(now, slot, zone)
    while at < until:
        found.append(Use(at, amounts.get(at, Decimal(0))))
        at = _next(at, slot, zone)
    return found[-_PERIODS[slot] * _PERIODS_SEEN[slot] :]


def _rates(known: Sequence[Use], slot: Slot, zone: ZoneInfo) -> _Rates:
    """Means by weekday (hour) where each was seen twice, one mean otherwise, with the deviation around them."""
    cyclic = len(known) >= 2 * _PERIODS[slot]
    groups: dict[int, list[Decimal]] = {}
    for use in known:
        groups.setdefault(_phase(use.at, slot, zone) if cyclic else 0, []).append(use.amount)
    means = {phase: sum(values, Decimal(0)) / len(values) for phase, values in groups.items()}
    squares = sum((value - means[p]) ** 2 for p, values in groups.items() for value in values)
    freedom = len(known) - len(groups)
    return _Rates(
        slot=slot,
        means=means,
        counts={phase: len(values) for phase, values in groups.items()},
        deviation=(Decimal(squares) / freedom).sqrt(),
        freedom=freedom,
        observed=len(known),
    )


def _path(
    limit: Limit, rates: _Rates, used: Decimal, now: datetime, end: datetime | None
) -> tuple[list[PathPoint], datetime | None]:
    """What will have been used after each slot to come, and when the amount will be.

    Slots are taken as independent with one deviation s around means that are themselves known from a few slots
    only. After slots of fractions f the sum has the variance s² (Σ f + Σ F² / n), F being a weekday's (hour's) part
    of Σ f and n how often it was seen; the 80 % range is that with Student's t.
    """
    slot, zone, until = rates.slot, ZoneInfo(limit.zone), end or now + HORIZON
    spread = _student(rates.freedom) * rates.deviation
    exhausted: datetime | None = None
    ahead: dict[int, Decimal] = {}
    path: list[PathPoint] = []
    at, mid, low = now, used, used
    while at < until:
        begin = _floor(at, slot, zone)
        following = min(_next(begin, slot, zone), until)
        part = _share(following - at, _next(begin, slot, zone) - begin)
        phase = _phase(begin, slot, zone) if len(rates.means) > 1 else 0
        more = rates.means[phase] * part
        if exhausted is None and used < limit.amount <= mid + more and more > 0:
            exhausted = at + (following - at) * float((limit.amount - mid) / more)
        mid += more
        ahead[phase] = ahead.get(phase, Decimal(0)) + part
        variance = sum(ahead.values()) + sum(f * f / rates.counts[p] for p, f in ahead.items())
        width = spread * Decimal(variance).sqrt()
        low = max(low, mid - width)
        path.append(
            PathPoint(at=following, low=_tidy(limit, low), mid=_tidy(limit, mid), high=_tidy(limit, mid + width))
        )
        at = following
    return path, exhausted


def _student(freedom: int) -> Decimal:
    """The 90th percentile of Student's t, expanded around the normal one (Abramowitz and Stegun, 26.7.5)."""
    z = _NINETIETH
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * Decimal(freedom) ** 2)


# Slots and numbers


def _floor(at: datetime, slot: Slot, zone: ZoneInfo) -> datetime:
    """The start of the hour, in UTC, or of the local day that an instant lies in."""
    if slot == "hour":
        return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return _midnight(at.astimezone(zone).date(), zone)


def _next(start: datetime, slot: Slot, zone: ZoneInfo) -> datetime:
    if slot == "hour":
        return start + timedelta(hours=1)
    return _midnight(start.astimezone(zone).date() + timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _phase(start: datetime, slot: Slot, zone: ZoneInfo) -> int:
    local = start.astimezone(zone)
    return local.weekday() if slot == "day" else local.hour


def _share(part: timedelta, whole: timedelta) -> Decimal:
    second = timedelta(microseconds=1)
    return Decimal(part // second) / Decimal(whole // second)


def _percent(share: Decimal) -> Decimal:
    return (share * _HUNDRED).quantize(Decimal("0.01"), rounding="ROUND_DOWN")


def _tidy(limit: Limit, amount: Decimal) -> Decimal:
    """An estimate to the digits that make sense: nano-dollars, whole pieces. Never less than what it came from."""
    return amount.quantize(_NANO if limit.measure is Measure.COST else Decimal(1), rounding="ROUND_CEILING")


__all__ = [
    "BurnPoint", "DayShare", "Forecast", "Pace", "PathPoint", "Slot", "Status", "Use", "history", "pace", "percent_of",
    "present", "reached", "slot_of",
]  # fmt: skip
