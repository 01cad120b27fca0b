"""A worker's own copy of the entries that were used last."""

from collections import OrderedDict

from farthing.cache.entry import Entry


class Memory:
    """Entries by key, at most so many bytes of them; the one that was not used for longest goes first."""

    __slots__ = ("_entries", "_held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._held = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def held(self) -> int:
        """Bytes in use."""
        return self._held

    def get(self, key: bytes, now: float) -> Entry | None:
        """The entry, unless it expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if not entry.holds(now):
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, entry: Entry) -> None:
        """Keep it, and let go of what was used last when there is no room. One that is larger than all is not kept."""
        self.drop(entry.key)
        if entry.size > self.limit:
            return
        self._entries[entry.key] = entry
        self._held += entry.size
        while self._held > self.limit:
            _, oldest = self._entries.popitem(last=False)
            self._held -= oldest.size

    def drop(self, key: bytes) -> None:
        """Forget one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._held -= entry.size

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self._held = 0
