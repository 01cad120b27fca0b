"""Who is told what, when: warnings of limits as notices, which targets want them, and when to try again.

A notice is about one thing, its ``same``, and is told once: a warning once for each limit, pot, threshold and amount.
Pots shorter than a day, and rolling ones, would warn without end: these are told once a day, or once a span.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from farthing.core.limits import LENGTHS, Limit, Measure, Span
from farthing.core.time import Window
from farthing.governance.pacing import Pace, reached

Severity = Literal["info", "warning", "critical"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""From mild to severe."""

KINDS: Mapping[str, str] = {
    "budget.warning": "A share of a limit's amount is used",
    "budget.day": "A share of a day's even part of a limit is used",
    "budget.forecast": "A limit will probably not last until its span ends",
    "budget.refused": "A limit refused a request",
    "budget.doubt": "Requests were charged at their worst case, because nobody knows what the provider billed",
    "approval": "Somebody has to agree to something, or did",
    "test": "farthing alerts test",
}
"""What notices are about. A target that wants ``budget`` wants all that begin with it."""

GIVE_UP_AFTER = 12
"""Attempts at one delivery, over about two and a half hours."""

_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(hours=1)
_WORRYING = 80
"""Percent from which a warning is more than news."""


class TargetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody to tell: one of ``[[alerts.targets]]``.

    ``url`` refers to an Apprise address, which holds secrets: ``env:SLACK_URL`` or ``file:PATH`` to something like
    ``slack://TOKEN/#channel``, ``mailto://USER:PASSWORD@HOST?to=ADDRESS`` or ``jsons://HOST/PATH``
    (https://appriseit.com/services/). ``name`` is what it is called here; without one, the reference is.
    ``events`` are kinds of notices, such as ``budget`` or ``approval``; all when empty. ``min_severity`` leaves out
    what is milder.
    """

    url: str
    name: str = ""
    events: tuple[str, ...] = ()
    min_severity: Severity = "info"

    @property
    def label(self) -> str:
        """What it is called."""
        return self.name or self.url

    def wants(self, kind: str, severity: str) -> bool:
        """Whether it is to be told."""
        asked = not self.events or any(kind == event or kind.startswith(f"{event}.") for event in self.events)
        return asked and SEVERITIES.index(severity) >= SEVERITIES.index(self.min_severity)


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told about budgets and approvals: ``[alerts]``.

    ``targets`` are told; without any, notices are only listed. ``dashboard_url`` is where links in notices lead.
    """

    targets: tuple[TargetSettings, ...] = ()
    dashboard_url: str = ""


class Tidings(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell. ``text`` is for people, ``facts`` for programs; both go into the notice's body."""

    kind: str
    severity: Severity
    title: str
    text: str
    same: str
    facts: Mapping[str, Any] = {}

    @property
    def body(self) -> dict[str, Any]:
        """The body of the notice."""
        return {"text": self.text, **self.facts}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one pot of a limit stands. ``subject`` names whose it is, by field; amounts are in the limit's measure."""

    limit: Limit
    subject: Mapping[str, str]
    window: Window
    used: Decimal
    doubt: Decimal = Decimal(0)
    refused: int = 0
    pace: Pace | None = None


def tidings(standing: Standing, percent: Decimal, now: datetime) -> Iterator[Tidings]:
    """Everything that is to be told about a pot. Of several warnings that are due at once, the highest one."""
    at = reached(standing.limit, percent)
    if at is not None and standing.limit.measure is not Measure.PARALLEL:
        yield _warning(standing, at, percent, now)
    if standing.refused:
        yield _refused(standing, now)
    if standing.doubt:
        yield _doubt(standing, now)
    if standing.pace is not None:
        yield from _course(standing, standing.pace, now)


def backoff(same: str, attempts: int) -> timedelta | None:
    """How long to wait after so many failed attempts; ``None``: give up. Spread by a quarter, so that what failed
    together is not tried again together.
    """
    if attempts >= GIVE_UP_AFTER:
        return None
    spread = int.from_bytes(hashlib.sha256(f"{same}{attempts}".encode()).digest()[:2]) / 65535 / 4
    return min(_FIRST_PAUSE * 2 ** (attempts - 1), _LONGEST_PAUSE) * (1 + spread)


def figure(limit: Limit, amount: Decimal) -> str:
    """An amount with its measure, for people: ``$12.50``, ``1,200 tokens``."""
    if limit.measure is not Measure.COST:
        return f"{amount:,.0f} {'requests under way' if limit.measure is Measure.PARALLEL else limit.measure.value}"
    cents = amount.quantize(Decimal("0.01"), rounding="ROUND_DOWN")
    return f"${cents:,f}" if cents == amount or amount >= 1 else f"${amount.normalize():,f}"


def whose(limit: Limit, subject: Mapping[str, str]) -> str:
    """The limit's name, and whose pot of it."""
    return f"{limit.name} ({', '.join(f'{k} {v}' for k, v in subject.items())})" if subject else limit.name


def _warning(standing: Standing, at: int, percent: Decimal, now: datetime) -> Tidings:
    limit = standing.limit
    severity: Severity = "critical" if at >= 100 else "warning" if at >= _WORRYING else "info"  # noqa: PLR2004 - percent
    amount, used = figure(limit, limit.amount), figure(limit, standing.used)
    then = "What does not fit is refused." if limit.hard else "It only warns; nothing is refused."
    return _tidings(
        standing,
        kind="budget.warning",
        severity=severity,
        title=f"{whose(limit, standing.subject)}: {at} % used",
        text=f"{used} of {amount} {_span(limit)} are used ({percent} %). {then}",
        same=f"{_period(standing, now)}/{at}",
        more={"threshold": at},
    )


def _refused(standing: Standing, now: datetime) -> Tidings:
    limit = standing.limit
    return _tidings(
        standing,
        kind="budget.refused",
        severity="critical" if limit.measure is Measure.COST else "warning",
        title=f"{whose(limit, standing.subject)}: requests are refused",
        text=f"{standing.refused:,} so far, because {figure(limit, standing.limit.amount)} {_span(limit)} do not cover "
        f"them. Raise it with: farthing budget set {limit.name} --amount AMOUNT",
        same=f"{_period(standing, now)}/refused",
        more={"refused": standing.refused},
    )


def _doubt(standing: Standing, now: datetime) -> Tidings:
    limit = standing.limit
    return _tidings(
        standing,
        kind="budget.doubt",
        severity="warning",
        title=f"{whose(limit, standing.subject)}: some use is in doubt",
        text=f"{figure(limit, standing.doubt)} are charged at their worst case: a worker died, or an answer broke off, "
        "and what the provider billed is not known. Import its bill to find out.",
        same=f"{_period(standing, now)}/doubt",
        more={"doubt": f"{standing.doubt:f}"},
    )


def _course(standing: Standing, pace: Pace, now: datetime) -> Iterator[Tidings]:
    """What follows from the course of time: today's share, and where it goes."""
    limit = standing.limit
    if pace.day is not None and pace.day.percent >= limit.warn_day_at:
        yield _tidings(
            standing,
            kind="budget.day",
            severity="warning" if pace.day.ahead else "info",
            title=f"{whose(limit, standing.subject)}: {limit.warn_day_at} % of a day's share used",
            text=f"Today {figure(limit, pace.day.used)} of {figure(limit, pace.day.share)}, an even day's share of "
            f"{figure(limit, limit.amount)} {_span(limit)}, are used ({pace.day.percent} %).",
            same=f"{_period(standing, now)}/day/{_day(limit, now)}",
            more={"threshold": limit.warn_day_at},
        )
    if pace.status == "at risk" and pace.forecast is not None and pace.exhausted is not None:
        yield _tidings(
            standing,
            kind="budget.forecast",
            severity="warning",
            title=f"{whose(limit, standing.subject)}: will probably not last",
            text=f"At this rate {figure(limit, limit.amount)} are used up by {pace.exhausted:%Y-%m-%d %H:%M} UTC; "
            f"{figure(limit, pace.forecast.mid)} are expected by the end ({pace.forecast.method} of "
            f"{pace.forecast.observed}, 80 %: {figure(limit, pace.forecast.low)} to "
            f"{figure(limit, pace.forecast.high)}).",
            same=f"{_period(standing, now)}/forecast",
            more={"exhausted": pace.exhausted.isoformat()},
        )


def _tidings(
    standing: Standing, *, kind: str, severity: Severity, title: str, text: str, same: str, more: Mapping[str, Any]
) -> Tidings:
    limit = standing.limit
    facts = {
        "limit": limit.id,
        "name": limit.name,
        "subject": dict(standing.subject),
        "amount": f"{limit.amount:f}",
        "used": f"{standing.used:f}",
        "measure": limit.measure.value,
        "scope": dict(limit.scope),
        **more,
    }
    return Tidings(kind=kind, severity=severity, title=title, text=text, same=same, facts=facts)


def _period(standing: Standing, now: datetime) -> str:
    """What a warning of this pot is about: limit, amount, whose pot, and which span, day or length of a rolling one."""
    limit = standing.limit
    if limit.per in (Span.MINUTE, Span.HOUR) or (limit.rolling and limit.per is Span.DAY):
        when = _day(limit, now)
    elif limit.rolling:
        when = str(int(now.timestamp() // LENGTHS[limit.per].total_seconds()))
    else:
        when = f"{standing.window.start.astimezone(UTC):%Y-%m-%dT%H:%M}" if standing.window.start else "once"
    subject = "/".join(f"{k}={v}" for k, v in standing.subject.items())
    about = hashlib.sha256(subject.encode()).hexdigest()[:16] if subject else "all"
    return f"limit/{limit.id}/{limit.amount.normalize():f}/{about}/{when}"


def _day(limit: Limit, now: datetime) -> str:
    return f"{now.astimezone(ZoneInfo(limit.zone)):%Y-%m-%d}"


def _span(limit: Limit) -> str:
    if limit.per is Span.ONCE:
        return "in all" if limit.measure is not Measure.PARALLEL else "at once"
    if limit.rolling:
        return f"in any {limit.per.value}"
    return f"{'an' if limit.per is Span.HOUR else 'a'} {limit.per.value}"


__all__ = [
    "GIVE_UP_AFTER", "KINDS", "SEVERITIES", "AlertSettings", "Severity", "Standing", "TargetSettings", "Tidings",
    "backoff", "figure", "tidings", "whose",
]  # fmt: skip
