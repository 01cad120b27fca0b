"""When keys were last used: learned from the facts that land, written to the store now and then."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Lock

WRITE_EVERY = timedelta(minutes=1)
"""A key's use is written again only when it is this much later than what was written."""


class KeyUse:
    """The last use of each key. ``touch`` writes some to the store.

    It is heard and written by different threads. What cannot be written is kept for the next time.
    """

    def __init__(self, touch: Callable[[Mapping[str, datetime]], None]) -> None:
        self._touch = touch
        self._lock = Lock()
        self._seen: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}

    def saw(self, used: Mapping[str, datetime]) -> None:
        """Learn of uses, in any order."""
        with self._lock:
            for key_id, at in used.items():
                self._seen[key_id] = max(at, self._seen.get(key_id, at))

    def write(self) -> int:
        """Write what is new by a minute; returns how many keys that were."""
        with self._lock:
            due = {key_id: at for key_id, at in self._seen.items() if self._is_due(key_id, at)}
        if due:
            self._touch(due)
            self._written.update(due)
        return len(due)

    def _is_due(self, key_id: str, at: datetime) -> bool:
        written = self._written.get(key_id)
        return written is None or at - written >= WRITE_EVERY
