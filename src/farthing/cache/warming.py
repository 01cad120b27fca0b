"""Which answers are worth asking for before anybody does. Pure: what is known and ``now`` in, proposals out.

**When it pays.** A call made ahead costs ``c`` now. With probability ``p`` somebody asks before what it brings expires,
and a miss of the same price ``c`` is spared, together with the wait for it, whose worth we call ``w``. Asking ahead
wins when ``p * (c + w) >= c``, that is when ``p >= 1 / (1 + w / c)``. At a wait worth a quarter of its call that is
``p >= 0.8``, and what is asked ahead then costs at most 1 / 0.8 = 1.25 calls for each one it spares. ``THRESHOLD`` is
that number: money is at stake on one side and only latency on the other, so doubt is on the side of not asking.

**How likely it is.** The larger of two estimates, either of which errs downwards.

*Rate.* A Poisson process of unknown rate with the scale-free prior 1 / rate: seen ``n`` times in a span ``H``, the
chance that it stays silent for another ``T`` is ``(H / (H + T)) ** n`` (Gamma-Poisson predictive distribution; Gelman
et al., Bayesian Data Analysis, 3rd edition, section 2.6). Questions come in bursts, which a Poisson process does not
have; so ``n`` counts not uses but eighths of a lifetime in which there was any, over the last three lifetimes.

*Habit.* The share of comparable spans of earlier days in which it was asked, with one more, imagined, in which it was
not: ``h / (m + 1)``. Comparable are the same hours of each day, of days of the same kind (working days, weekends), and
of the same day of the week, by the clock of one time zone. Four days in a row, or four Mondays, are enough.

An answer is renewed only if it was used since it was made: a habit that ended costs one call, no more. What is not
kept any more is made ready as late as its earliest use on other days allows.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal

import msgspec

THRESHOLD = 0.8
"""Probability from which an answer is asked for ahead; see above."""

SLOTS = 8
"""A lifetime is looked at in so many parts; uses within one of them count once."""

SPAN = 3
"""Lifetimes that say how often a question is asked at present."""

DAYS = 28
"""So far back habits are looked for."""

LEAST_DAYS = 4
"""A habit needs so many days: fewer cannot reach the threshold."""

MOST_RECENT = 64
HOUR = 3600.0
DAY = 86400.0
MOST_LEAD = 300.0
LEAST_LEAD = 5.0
_SATURDAY = 5


class Pattern(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of one question. Instants are seconds since 1970, ``ttl`` is how long its answer is kept.

    ``since`` is when it was first asked, ``uses`` are instants at which it was, in order; ``made`` and ``expires`` are
    those of its latest answer. ``tried`` is when it was last asked ahead, 0 for never; ``cost`` what an answer costs,
    ``None`` when that is not known.
    """

    key: bytes
    ttl: float
    since: float
    uses: tuple[float, ...]
    made: float
    expires: float
    tried: float = 0.0
    cost: Decimal | None = None


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What may still be asked ahead: so many calls, for so much USD together."""

    calls: int
    cost: Decimal


class Proposal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A question to ask now, how probable it is that somebody would have asked, and why that is thought."""

    key: bytes
    probability: float
    reason: str
    cost: Decimal


def proposals(patterns: Iterable[Pattern], *, bounds: Bounds, now: float, zone: tzinfo) -> tuple[Proposal, ...]:
    """What is worth asking now, the most probable first, within the bounds.

    What has no known price is never proposed: it could break a bound.
    """
    found = [one for pattern in patterns if (one := proposal(pattern, now=now, zone=zone)) is not None]
    chosen: list[Proposal] = []
    left = bounds.cost
    for one in sorted(found, key=lambda each: (-each.probability, each.key)):
        if len(chosen) >= bounds.calls:
            break
        if one.cost <= left:
            left -= one.cost
            chosen.append(one)
    return tuple(chosen)


def proposal(pattern: Pattern, *, now: float, zone: tzinfo) -> Proposal | None:
    """Whether one question is worth asking now."""
    if not pattern.ttl or pattern.cost is None or _tried(pattern, now):
        return None
    kept = now < pattern.expires
    if kept and (now < pattern.expires - lead(pattern.ttl) or not _used_since(pattern)):
        return None
    start, end = (pattern.expires if kept else now), now + pattern.ttl
    habit, opens = _habit(pattern, start, end, zone)
    if not kept and opens > lead(pattern.ttl):
        return None
    rate = asked_within(pattern, end - start, now)
    if max(rate, habit) < THRESHOLD:
        return None
    reason = "asked steadily" if rate >= habit else "asked at this time on other days"
    return Proposal(key=pattern.key, probability=max(rate, habit), reason=reason, cost=pattern.cost)


def lead(ttl: float) -> float:
    """Seconds before it expires at which an answer is renewed: what remains of its life then is given away."""
    return min(max(ttl / 10, LEAST_LEAD), MOST_LEAD, ttl / 2)


def asked_within(pattern: Pattern, seconds: float, now: float) -> float:
    """The probability that it is asked within the next ``seconds``, by how often it was of late."""
    span, slot = SPAN * pattern.ttl, pattern.ttl / SLOTS
    recent = pattern.uses[bisect_left(pattern.uses, now - span) :]
    slots = len({use // slot for use in recent if use <= now})
    return 1 - (span / (span + seconds)) ** slots


def habit(pattern: Pattern, start: float, end: float, zone: tzinfo) -> float:
    """The probability that it is asked between two instants, by what it was at these hours of earlier days."""
    return _habit(pattern, start, end, zone)[0]


def thinned(uses: Sequence[float], now: float) -> tuple[float, ...]:
    """As much of the past as estimates need: the latest uses, and of earlier ones the first in each hour, in order."""
    ordered = sorted({use for use in uses if use > now - DAYS * DAY - HOUR})
    old, recent = ordered[:-MOST_RECENT], ordered[-MOST_RECENT:]
    first: dict[int, float] = {}
    for use in old:
        first.setdefault(int(use // HOUR), use)
    return (*first.values(), *recent)


def days_of(uses: Iterable[float]) -> int:
    """On how many days there were uses."""
    return len({int(use // DAY) for use in uses})


def _tried(pattern: Pattern, now: float) -> bool:
    """Asked ahead without success: not again before a lifetime has passed, nor within a minute."""
    return pattern.tried > pattern.made and now < pattern.tried + max(pattern.ttl, 60.0)


def _used_since(pattern: Pattern) -> bool:
    return bool(pattern.uses) and pattern.uses[-1] > pattern.made


def _habit(pattern: Pattern, start: float, end: float, zone: tzinfo) -> tuple[float, float]:
    """The probability, and how long after ``start`` it was asked on the day on which it was asked earliest."""
    today = datetime.fromtimestamp(start, zone)
    asked = [0, 0, 0]
    seen = [0, 0, 0]
    opens = end - start
    for back in range(1, DAYS + 1):
        that = today - timedelta(days=back)
        begins = that.timestamp()
        if begins + (end - start) <= pattern.since:
            break
        at = bisect_left(pattern.uses, begins)
        hit = at < len(pattern.uses) and pattern.uses[at] < begins + (end - start)
        if hit:
            opens = min(opens, pattern.uses[at] - begins)
        for kind, alike in enumerate((True, _weekend(that) == _weekend(today), back % 7 == 0)):
            seen[kind] += alike
            asked[kind] += alike and hit
    return max(h / (m + 1) for h, m in zip(asked, seen, strict=True)), opens


def _weekend(day: datetime) -> bool:
    return day.weekday() >= _SATURDAY
