"""One worker's view of the store on disk: reads at once, writes by a thread of its own."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from farthing.cache.disk import DiskStore
from farthing.cache.entry import Entry

TOUCHED = 2000
"""So many keys that were used are noted before their use is written down; it is written with every new entry, too."""


class OnDisk:
    """Entries shared by the workers of one machine. A read is a look into a mapped file, a miss costs some 10 µs."""

    def __init__(self, file: Path, *, limit: int, clock: Callable[[], datetime]) -> None:
        """Raises ``UnavailableError`` when the file cannot be used."""
        self._clock = clock
        self._reads = DiskStore(file, limit=limit)
        self._writes = DiskStore(file, limit=limit)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._used: set[bytes] = set()

    async def get(self, key: bytes, now: float) -> Entry | None:
        """The entry, unless it expired."""
        entry = self._reads.get(key, now)
        if entry is not None:
            self._note((key,))
        return entry

    async def get_many(self, keys: Iterable[bytes], now: float) -> dict[bytes, Entry]:
        """Those entries that there are."""
        found = self._reads.get_many(keys, now)
        self._note(found)
        return found

    async def put(self, entries: Iterable[Entry], *, since: int) -> bool:
        """Keep them, unless something was purged since that generation; whether that was done."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._write, tuple(entries), since)

    def generation(self) -> int:
        """Moves on with every purge."""
        return self._reads.generation()

    async def aclose(self) -> None:
        """Finish what is being written, and give up the files."""
        await asyncio.to_thread(self._pool.shutdown)
        self._reads.close()
        self._writes.close()

    def _note(self, keys: Iterable[bytes]) -> None:
        self._used.update(keys)
        if len(self._used) > TOUCHED:
            self._pool.submit(self._write, (), 0)

    def _write(self, entries: tuple[Entry, ...], since: int) -> bool:
        used, self._used = self._used, set()
        now = self._clock().timestamp()
        if used:
            self._writes.touch(used, now)
        return self._writes.put(entries, now, since=since) if entries else True
