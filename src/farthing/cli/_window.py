"""Windows of time as people write them on a command line."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from farthing.core.errors import InputError
from farthing.core.time import Window, parse_instant

_SPAN = re.compile(r"(\d+)(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def window_of(*, last: str, start: str, end: str, everything: bool, zone: str, now: datetime) -> Window:
    """The window of ``--last``, ``--from``/``--to`` or ``--all``; days begin at midnight in ``zone``.

    ``--last 7d`` ends now and begins at a midnight, so that its first day is whole; hours and
    minutes are counted from now.
    """
    if everything:
        return Window()
    if start or end:
        return Window(start=_instant(start, zone, "from"), end=_instant(end, zone, "to"))
    span = _SPAN.fullmatch(last)
    if span is None:
        raise InputError("not a span of time", field="--last", value=last, remedy="Write 24h, 7d or 4w")
    begun = now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    if span[2] in "dw":
        begun = datetime.combine(begun.astimezone(_zone(zone)).date() + timedelta(days=1), time(), _zone(zone))
    return Window(start=begun, end=now + timedelta(seconds=1))


def _instant(text: str, zone: str, field: str) -> datetime | None:
    if not text:
        return None
    at = parse_instant(text, field=f"--{field}")
    is_date = len(text) == len("2026-01-31")
    return datetime.combine(at.date(), time(), _zone(zone)).astimezone(UTC) if is_date else at


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        remedy = "Use an IANA name such as Europe/Zurich"
        raise InputError("no such time zone", field="--zone", value=name, remedy=remedy) from None


def filters(where: list[str]) -> dict[str, tuple[str, ...]]:
    """``dimension=value`` pairs; the same dimension twice means either value, nothing after ``=`` means unallocated."""
    found: dict[str, tuple[str, ...]] = {}
    for pair in where:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError("not a filter", field="--where", value=pair, remedy="Write --where team=search")
        found[name] = (*found.get(name, ()), value)
    return found
