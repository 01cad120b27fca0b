"""How a limit stands, for the API: what was counted in its pots beside what the ledger says of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from farthing.app.reckoning import Course, Reckoning, Subject, Sum, each
from farthing.core.limits import EACH, NANO, Limit, Measure, Span, dollars
from farthing.core.nouns import Scope
from farthing.core.time import Window
from farthing.governance import pacing
from farthing.web.limits import BudgetView, DeliveryView, LedgerView, LimitView, NoticeView, PotView, Spender

if TYPE_CHECKING:
    from farthing.state.notices import Notice
    from farthing.state.pots import Pot


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted in one pot, in the limit's measure. ``used`` holds ``seeded`` and ``doubt`` as well."""

    subject: Subject = ()
    used: Decimal = Decimal(0)
    doubt: Decimal = Decimal(0)
    seeded: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    known: bool = True

    @classmethod
    def of(cls, limit: Limit, pot: "Pot", now: datetime) -> "Count | None":
        """The count of a pot; ``None`` for one of another span or scope, left from before the limit was changed."""
        subject = tuple(pot.subject.split("\x1f")) if pot.subject else ()
        start = limit.opened(now).start
        if len(subject) != len(each(limit)) or (start is not None and pot.starts != start):
            return None
        return cls(
            subject=subject,
            used=amount_of(limit, pot.used + (pot.seeded or 0)),
            doubt=amount_of(limit, pot.doubt),
            seeded=amount_of(limit, pot.seeded or 0),
            held=amount_of(limit, pot.leased),
            known=pot.seeded is not None,
        )


class Said(msgspec.Struct, frozen=True):
    """What the ledger says of all subjects of a limit."""

    courses: Mapping[Subject, Course]
    sums: Mapping[Subject, Sum]
    refused: Mapping[Subject, int]
    comparable: bool

    @classmethod
    def asked(cls, reckoning: Reckoning, limit: Limit, window: Window, now: datetime) -> "Said":
        """Ask about the present span, and about what a forecast looks back on."""
        so_far = Window(start=window.start, end=now)
        refused = reckoning.refused(limit, so_far)
        slot = pacing.slot_of(limit, window)
        if limit.measure is Measure.PARALLEL:
            return cls({}, {}, refused, comparable=False)
        if slot is None:
            return cls({}, reckoning.sums(limit, so_far), refused, comparable=False)
        courses = reckoning.courses(limit, pacing.history(limit, window, now), slot)
        sums = {subject: course.within(so_far) for subject, course in courses.items()}
        return cls(courses, sums, refused, comparable=limit.since is not None and not limit.rolling)


def by_limit(pots: Iterable["Pot"]) -> dict[str, list["Pot"]]:
    """Pots by the id of their limit."""
    found: dict[str, list[Pot]] = {}
    for pot in pots:
        found.setdefault(pot.limit_id, []).append(pot)
    return found


def amount_of(limit: Limit, pieces: int) -> Decimal:
    """Counted pieces in the limit's measure."""
    return dollars(pieces) if limit.measure is Measure.COST else Decimal(pieces)


def unit_of(limit: Limit) -> str:
    """What the limit's amounts are."""
    return {Measure.COST: "USD", Measure.TOKENS: "tokens"}.get(limit.measure, "requests")


def scope_of(limit: Limit) -> Scope:
    """The tenant that a limit belongs to: the fields of its scope that name somebody."""
    fields = Scope.__struct_fields__
    return Scope(**{name: value for name, value in limit.scope.items() if name in fields and value != EACH})


def said(limit: Limit) -> str:
    """A limit in a few words, for people."""
    return f"{limit.name}: {_amount(limit)} {_whose(limit)}"


def change_said(old: Limit, new: Limit) -> str:
    """A change of a limit in a few words, for people."""
    if new != old and msgspec.structs.replace(old, amount=new.amount) == new:
        verb = "Raise" if new.amount > old.amount else "Lower"
        return f"{verb} {old.name} from {_amount(old)} to {_amount(new)} {_whose(new)}"
    return f"Change {said(old)} to {said(new)}"


def _amount(limit: Limit) -> str:
    money = limit.measure is Measure.COST
    return f"${limit.amount:,f}" if money else f"{limit.amount:,f} {unit_of(limit)}"


def _whose(limit: Limit) -> str:
    per = "in all" if limit.per is Span.ONCE else f"per {limit.per}"
    scope = " ".join(f"{name}={value}" for name, value in limit.scope.items()) or "everybody"
    return f"{per}{', rolling' if limit.rolling else ''}, {scope}"


def limit_view(limit: Limit) -> LimitView:
    """A limit for the API."""
    fields: dict[str, Any] = {name: getattr(limit, name) for name in LimitView.__struct_fields__}
    fields |= {"scope": dict(limit.scope), "unpriced": tuple(sorted(limit.unpriced))}
    return LimitView(**fields)


def notice_view(notice: "Notice") -> NoticeView:
    """A notice for the API."""
    ways = [
        DeliveryView(
            target=way.target,
            state=way.state,
            attempts=way.attempts,
            due=way.due,
            delivered=way.delivered,
            error=way.error,
        )
        for way in notice.deliveries
    ]
    return NoticeView(
        id=notice.id,
        kind=notice.kind,
        severity=notice.severity,
        title=notice.title,
        text=str(notice.body.get("text", "")),
        limit=str(notice.body.get("limit", "")),
        raised=notice.raised,
        deliveries=tuple(ways),
    )


def pot_view(limit: Limit, window: Window, count: Count, ledger: Said, now: datetime) -> PotView:
    """How one pot stands."""
    course = ledger.courses.get(count.subject, Course())
    at = pacing.pace(limit, window=window, now=now, used=count.used, uses=course.uses())
    parallel = limit.measure is Measure.PARALLEL
    return PotView(
        subject=dict(zip(each(limit), count.subject, strict=True)),
        window=window,
        status=at.status,
        amount=limit.amount,
        used=count.used,
        doubt=count.doubt,
        seeded=count.seeded,
        held=count.held,
        left=max(limit.amount - count.used - count.held, Decimal(0)),
        percent=at.percent,
        elapsed=at.elapsed,
        even=at.even,
        day=at.day,
        forecast=at.forecast,
        note=at.note,
        exhausted=at.exhausted,
        points=at.points,
        ledger=None if parallel else _compared(limit, count, ledger),
        refused=ledger.refused.get(count.subject, 0),
    )


def _compared(limit: Limit, count: Count, ledger: Said) -> LedgerView:
    """Counting rounds each request up to the next nano-dollar, so that it may be ahead by as many as there were."""
    said = ledger.sums.get(count.subject, Sum())
    drift = count.used - count.doubt - said.amount if ledger.comparable and count.known else None
    slack = Decimal(said.requests) / NANO if limit.measure is Measure.COST else Decimal(0)
    return LedgerView(
        amount=said.amount,
        requests=said.requests,
        unpriced_requests=said.unpriced,
        drift=drift,
        reconciled=None if drift is None else 0 <= drift <= slack,
    )


def spender(key: str, part: Sum, whole: Decimal) -> Spender:
    """Somebody's part of the whole."""
    percent = pacing.percent_of(part.amount, whole) if whole else Decimal(0)
    return Spender(key=key, amount=part.amount, requests=part.requests, percent=percent)


def fullest(row: BudgetView) -> Decimal:
    """How much of the fullest pot is used, in percent."""
    return max((pot.percent for pot in row.pots), default=Decimal(0))


__all__ = [
    "Count", "Said", "amount_of", "by_limit", "fullest", "limit_view", "notice_view", "pot_view", "said", "scope_of",
    "spender", "unit_of",
]  # fmt: skip
