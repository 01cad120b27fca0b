"""Wrong passwords are counted, so that nobody can try them all."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from farthing.core.errors import DeniedError

PERIOD = timedelta(minutes=15)
REMEMBERED = 10_000
"""Names at most; beyond them the ones that were tried longest ago are forgotten."""


class Attempts:
    """Counts attempts under names, such as an e-mail or an address. Safe to share between threads.

    An attempt counts from the moment it begins and is taken back when it succeeds, so that many at once are no way
    around. The count of a name begins anew a quarter of an hour after its first attempt.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._counts: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def begin(self, allowed: dict[str, int]) -> None:
        """One attempt under each name. Raises ``DeniedError`` with ``too_many_attempts`` where one has had enough."""
        with self._lock:
            now = self._clock()
            for name, most in allowed.items():
                since, count = self._count(name, now)
                if count >= most:
                    minutes = max(1, -(-int((since + PERIOD - now).total_seconds()) // 60))
                    raise DeniedError(
                        "Too many wrong passwords", reason="too_many_attempts",
                        remedy=f"Try again in {minutes} minutes, or log in another way",
                    )  # fmt: skip
            for name in allowed:
                since, count = self._count(name, now)
                self._counts[name] = since, count + 1
                self._counts.move_to_end(name)
            while len(self._counts) > REMEMBERED:
                self._counts.popitem(last=False)

    def succeeded(self, *names: str) -> None:
        """The last attempt under these names was right."""
        with self._lock:
            for name in names:
                since, count = self._counts.get(name, (self._clock(), 0))
                if count <= 1:
                    self._counts.pop(name, None)
                else:
                    self._counts[name] = since, count - 1

    def __len__(self) -> int:
        return len(self._counts)

    def _count(self, name: str, now: datetime) -> tuple[datetime, int]:
        since, count = self._counts.get(name, (now, 0))
        return (since, count) if now - since < PERIOD else (now, 0)
