"""Hours, days, weeks and months of a time zone, right across changes of the clock.

The offset of a zone from UTC is constant between two changes. A window has few of them, so local time is
UTC plus one of a few offsets: no time zone tables are asked inside the query engine.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from farthing.core.errors import NotFoundError
from farthing.core.time import Window
from farthing.ledger.questions import Grain

_STEP = timedelta(days=1)
_HOUR = timedelta(hours=1)


class Offset(msgspec.Struct, frozen=True):
    """From ``start`` (``None``: for ever before) local time is UTC plus ``seconds``."""

    start: datetime | None
    seconds: int


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """A zone over a window: its offsets in order of time."""

    zone: str
    offsets: tuple[Offset, ...]

    @property
    def on_the_hour(self) -> bool:
        """Whether local hours are UTC hours, so that hourly sums in UTC can be used."""
        return all(o.seconds % 3600 == 0 for o in self.offsets)

    def instant(self, local: datetime, grain: Grain) -> datetime:
        """The instant at which a bucket begins.

        ``local`` is wall time without a zone; for hours it is already UTC, because a wall hour can occur twice.
        """
        if grain == "hour":
            return local.replace(tzinfo=UTC)
        return local.replace(tzinfo=zone_of(self.zone)).astimezone(UTC)

    def buckets(self, window: Window, grain: Grain) -> list[datetime]:
        """The starts of all buckets that a bounded window touches, as instants, in order."""
        assert window.start is not None  # noqa: S101 - callers ask only of bounded windows
        assert window.end is not None  # noqa: S101 - as above
        zone, found = zone_of(self.zone), list[datetime]()
        if grain == "hour":
            return _hours(window.start, window.end, zone)
        day = _floor(window.start.astimezone(zone).date(), grain)
        while (at := datetime.combine(day, time(), zone).astimezone(UTC)) < window.end:
            found.append(at)
            day = _next(day, grain)
        return found


def calendar(zone: str, window: Window) -> Calendar:
    """The calendar of a zone over a window; open sides are taken a century out. Raises ``NotFoundError``."""
    if zone == "UTC":
        return Calendar(zone=zone, offsets=(Offset(None, 0),))
    start = window.start or datetime(1990, 1, 1, tzinfo=UTC)
    end = window.end or datetime(2090, 1, 1, tzinfo=UTC)
    return Calendar(zone=zone, offsets=tuple(_offsets(zone, start, end)))


def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ``NotFoundError`` naming the nearest."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise NotFoundError(
            "time zone", name, known=available_timezones(), remedy="Use an IANA name such as Europe/Berlin"
        ) from None


@lru_cache(maxsize=256)
def _offsets(name: str, start: datetime, end: datetime) -> list[Offset]:
    zone = zone_of(name)
    found = [Offset(None, _offset(zone, start))]
    at = start
    while at < end:
        following = min(at + _STEP, end)
        if _offset(zone, following) != found[-1].seconds:
            change = _change(zone, at, following)
            found.append(Offset(change, _offset(zone, change)))
        at = following
    return found


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second at which the offset changes; it differs between the two instants."""
    old = _offset(zone, before)
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, datetime.fromtimestamp(middle, UTC)) == old:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _hours(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    offset = timedelta(seconds=_offset(zone, start) % 3600)
    at = (start + offset).replace(minute=0, second=0, microsecond=0) - offset
    found: list[datetime] = []
    while at < end:
        found.append(at)
        at += _HOUR
    return found


def _floor(day: date, grain: Grain) -> date:
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def _next(day: date, grain: Grain) -> date:
    if grain == "month":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if grain == "week" else 1)
