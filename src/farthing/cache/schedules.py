"""When a stored request is asked: at a time of day, every day or on working days, by the clock of a time zone."""

import re
from datetime import datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from farthing.core.errors import InputError

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_SATURDAY = 5


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``at`` is a time of day like ``08:30``, ``zone`` an IANA name."""

    at: str
    zone: str = "UTC"
    weekdays: bool = False

    def __post_init__(self) -> None:
        clock_time(self.at, field="at")
        zone_of(self.zone, field="zone")

    def next(self, after: float) -> float:
        """The first instant after another one at which it is time, both in seconds since 1970.

        A time that a day does not have, because clocks are put forward over it, is when the hour it skips has passed.
        """
        zone = zone_of(self.zone, field="zone")
        at = clock_time(self.at, field="at")
        day = datetime.fromtimestamp(after, zone).date()
        while True:
            turn = datetime.combine(day, at, zone)
            if turn.timestamp() > after and not (self.weekdays and day.weekday() >= _SATURDAY):
                return turn.timestamp()
            day += timedelta(days=1)


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """A part of every day, ``start`` included, ``end`` not; it may go over midnight."""

    start: time
    end: time

    def left(self, now: datetime) -> float:
        """Seconds until it begins, 0 within it. ``now`` has the zone by whose clock it goes."""
        clock = now.timetz().replace(tzinfo=None)
        over_midnight = self.start > self.end
        inside = (clock >= self.start or clock < self.end) if over_midnight else self.start <= clock < self.end
        if inside:
            return 0.0
        begins = datetime.combine(now.date(), self.start, now.tzinfo)
        if begins <= now:
            begins = datetime.combine(now.date() + timedelta(days=1), self.start, now.tzinfo)
        return begins.timestamp() - now.timestamp()


def hours_of(text: str, *, field: str) -> Hours:
    """Hours as people write them: 22:00-06:00. Raises ``InputError``."""
    start, dash, end = text.partition("-")
    if not dash or start == end:
        raise InputError("not a part of the day", field=field, value=text, remedy="Write 22:00-06:00")
    return Hours(start=clock_time(start.strip(), field=field), end=clock_time(end.strip(), field=field))


def clock_time(text: str, *, field: str) -> time:
    """A time of day. Raises ``InputError``."""
    said = _CLOCK.fullmatch(text)
    if said is None:
        raise InputError("not a time of day", field=field, value=text, remedy="Write 08:30")
    return time(int(said[1]), int(said[2]))


def zone_of(name: str, *, field: str) -> tzinfo:
    """A time zone by its IANA name. Raises ``InputError``."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InputError(
            "not a time zone", field=field, value=name, remedy="Write an IANA name such as Europe/Berlin"
        ) from None
