"""What is remembered of questions under way, and what bounds how much somebody may add."""

from collections import Counter, OrderedDict
from collections.abc import Sequence

import msgspec

from farthing.cache.semantic.ports import Neighbour, Verdict

TICKETS = 20_000
TICKET_SECONDS = 900.0
HOUR = 3600.0
COUNTED = 100_000
"""Different names that are counted in an hour. Whoever comes after so many adds nothing until the next."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A question with all that is needed once it is answered. ``vector`` is int8, ``neighbours`` one of each group."""

    namespace: str
    room: bytes
    tenant: str
    user: str
    key_id: str
    text: str
    vector: bytes
    verdict: Verdict
    neighbours: Sequence[Neighbour]
    at: float


class Tickets:
    """Questions under way, by number: so many, and for so long. Whatever is forgotten teaches nothing, that is all."""

    def __init__(self, first: int) -> None:
        """``first`` should differ from start to start, so that nobody quotes a ticket of an earlier process."""
        self._next = first
        self._asked: OrderedDict[int, Asked] = OrderedDict()

    def __len__(self) -> int:
        return len(self._asked)

    def keep(self, asked: Asked) -> int:
        """Remember a question; its ticket."""
        self._next += 1
        self._asked[self._next] = asked
        if len(self._asked) > TICKETS:
            self._asked.popitem(last=False)
        return self._next

    def take(self, ticket: int) -> Asked | None:
        """What a ticket stands for. It is good once."""
        return self._asked.pop(ticket, None)

    def expire(self, now: float) -> None:
        """Forget those that nobody came back for."""
        while self._asked and next(iter(self._asked.values())).at < now - TICKET_SECONDS:
            self._asked.popitem(last=False)

    def clear(self) -> None:
        """Forget them all."""
        self._asked.clear()


class Quota:
    """Counts what names did in an hour by the clock."""

    def __init__(self) -> None:
        self._hour = 0
        self._counts: Counter[tuple[str, ...]] = Counter()

    def allows(self, limits: Sequence[tuple[tuple[str, ...], int]], now: float) -> bool:
        """Count one more for each name, if all of them have any left."""
        hour = int(now // HOUR)
        if hour != self._hour:
            self._hour = hour
            self._counts.clear()
        if any(self._counts[name] >= limit for name, limit in limits) or len(self._counts) >= COUNTED:
            return False
        self._counts.update(name for name, _ in limits)
        return True
