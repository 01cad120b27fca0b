"""Time as Farthing means it: aware, UTC, half-open."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Self

import msgspec

from farthing.core.errors import InputError


def aware(at: datetime, *, field: str = "at") -> datetime:
    """The instant in UTC. Raises ``InputError`` for a time without a zone: guessing loses days."""
    if at.tzinfo is None:
        raise InputError("a time needs a zone", field=field, value=at.isoformat(), remedy='Append "Z" or an offset')
    return at.astimezone(UTC)


def parse_instant(text: str, *, field: str = "at") -> datetime:
    """An ISO 8601 instant with an offset, or a date, which means its midnight UTC."""
    try:
        if len(text) == len("2026-01-31"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            "not a date or an instant", field=field, value=text, remedy='Write "2026-01-31" or "2026-01-31T08:00:00Z"'
        ) from None
    return aware(at, field=field)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A half-open span of time, ``start`` included and ``end`` excluded; ``None`` means unbounded."""

    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        for field in ("start", "end"):
            value: datetime | None = getattr(self, field)
            if value is not None:
                msgspec.structs.force_setattr(self, field, aware(value, field=field))
        if self.start is not None and self.end is not None and self.end < self.start:
            raise InputError(
                "a window ends before it starts", field="end", value=self.end.isoformat(), remedy="Swap the two"
            )

    @classmethod
    def day(cls, on: date) -> Self:
        """The 24 hours of a UTC date."""
        start = datetime.combine(on, time(), UTC)
        return cls(start=start, end=start + timedelta(days=1))

    def __contains__(self, at: datetime) -> bool:
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)

    def overlaps(self, other: "Window") -> bool:
        """Whether some instant lies in both; windows that only touch do not overlap."""
        start = max((at for at in (self.start, other.start) if at is not None), default=None)
        end = min((at for at in (self.end, other.end) if at is not None), default=None)
        return start is None or end is None or start < end

    @property
    def duration(self) -> timedelta:
        """Length of a bounded window. Raises ``InputError`` when a side is open."""
        if self.start is None or self.end is None:
            raise InputError("an open window has no length", field="window", value=str(self))
        return self.end - self.start

    def previous(self) -> "Window":
        """The window of the same length that ends where this one starts."""
        length = self.duration
        assert self.start is not None  # noqa: S101 - duration proved it
        return Window(start=self.start - length, end=self.start)


class DailyHours(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of every UTC day, ``start`` included, ``end`` excluded; may run over midnight."""

    start: time
    end: time

    def __contains__(self, at: datetime) -> bool:
        now = at.astimezone(UTC).time()
        if self.start <= self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end
