"""What a worker finds of earlier answers: its own memory before the store that all workers share."""

from collections.abc import Iterable

from farthing.cache.entry import Entry, Shared
from farthing.cache.memory import Memory


class Kept:
    """Entries in two layers. ``shared`` may be missing; then each worker keeps its own."""

    __slots__ = ("_generation", "_shared", "memory")

    def __init__(self, memory: Memory, shared: Shared | None) -> None:
        self.memory = memory
        self._shared = shared
        self._generation = 0 if shared is None else shared.generation()

    @property
    def is_shared(self) -> bool:
        """Whether other workers find what is kept."""
        return self._shared is not None

    @property
    def generation(self) -> int:
        """Moves on with every purge, which empties the memory: what was copied before may be gone."""
        if self._shared is not None:
            now = self._shared.generation()
            if now != self._generation:
                self.memory.clear()
                self._generation = now
        return self._generation

    async def get(self, key: bytes, now: float) -> Entry | None:
        """The entry, unless it expired or was purged."""
        generation = self.generation
        entry = self.memory.get(key, now)
        if entry is not None or self._shared is None:
            return entry
        entry = await self._shared.get(key, now)
        if entry is not None and generation == self.generation:
            self.memory.put(entry)
        return entry

    async def get_many(self, keys: Iterable[bytes], now: float) -> dict[bytes, Entry]:
        """Those entries that there are."""
        generation = self.generation
        found: dict[bytes, Entry] = {}
        rest: list[bytes] = []
        for key in keys:
            entry = self.memory.get(key, now)
            if entry is None:
                rest.append(key)
            else:
                found[key] = entry
        if rest and self._shared is not None:
            for key, entry in (await self._shared.get_many(rest, now)).items():
                found[key] = entry
                if generation == self.generation:
                    self.memory.put(entry)
        return found

    async def put(self, entries: tuple[Entry, ...], *, since: int) -> bool:
        """Keep them, unless something was purged since that generation; whether others find them now."""
        if self.generation != since:
            return False
        kept = self._shared is None or await self._shared.put(entries, since=since)
        if self.generation == since:
            for entry in entries:
                self.memory.put(entry)
        return kept

    async def aclose(self) -> None:
        """Let go of the store."""
        if self._shared is not None:
            await self._shared.aclose()
