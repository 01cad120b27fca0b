"""Which requests were answered before, where that is only counted: digests, and until when each would be kept."""

from collections.abc import Iterable
from math import inf

MOST = 50_000


class Seen:
    """Digests of what was answered lately, the oldest forgotten first."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def all(self, digests: Iterable[bytes], now: float) -> bool:
        """Whether each of them is known, and would be kept still."""
        return all(now < self._until.get(digest, 0.0) for digest in digests)

    def note(self, digests: Iterable[bytes], now: float, ttl: float) -> None:
        """They were answered, and would be kept for so many seconds; 0 is for ever."""
        until = now + ttl if ttl else inf
        for digest in digests:
            self._until.pop(digest, None)
            self._until[digest] = until
        if len(self._until) > MOST:
            for old in list(self._until)[: MOST // 10]:
                del self._until[old]
