"""Counting what a cache did, without a write per read.

Uses and savings gather in memory and go to the index every few seconds or few hundred uses, with every change, and at
the end of the process. A process that is killed takes the last few with it, which changes nothing but these counts.
"""

import os
import threading
from collections import defaultdict
from collections.abc import Callable

import msgspec

from farthing.cache.files.books import Books
from farthing.cache.files.index import Index
from farthing.core.errors import UnavailableError

_USES = 512
_SECONDS = 5.0


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How a cache stands, and what it did since its folder was made.

    ``bytes`` is what records and values take on disk. ``saved_bytes`` were not fetched or written again,
    ``saved_seconds`` not spent computing or fetching: the sum over all hits of what each value's first time took.
    ``unkept`` counts values for which there was no room, ``damaged`` values that failed their checksum, and were
    removed.
    """

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    evictions: int
    expired: int
    damaged: int
    unkept: int
    saved_bytes: int
    saved_seconds: float

    @property
    def hit_rate(self) -> float | None:
        """The share of lookups that found something; ``None`` before the first."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else None


class Tally:
    """Counts of one process. For any number of threads."""

    def __init__(self, books: Books, clock: Callable[[], float]) -> None:
        self._books = books
        self._clock = clock
        self._start()

    def hit(self, id: bytes, *, size: int, seconds: float) -> None:
        """A key's value was used: ``size`` bytes and ``seconds`` were saved."""
        now = self._clock()
        with self._mine():
            count, _ = self._uses.get(id, (0, now))
            self._uses[id] = (count + 1, now)
            counts = self._counts
            counts["hits"] += 1
            counts["saved_bytes"] += size
            counts["saved_seconds"] += seconds
            due = counts["hits"] >= _USES or not 0 <= now - self._since < _SECONDS
        if due and self._books.idle():
            self.close()

    def count(self, name: str) -> None:
        """Something else happened once."""
        with self._mine():
            self._counts[name] += 1

    def write(self, index: Index) -> None:
        """Add what has gathered to the index, in a change that is under way."""
        with self._mine():
            uses, counts = self._uses, self._counts
            self._uses, self._counts, self._since = {}, defaultdict[str, float](float), self._clock()
        if counts or uses:
            with index.change():
                index.use(uses)
                index.add(counts)

    def flush(self) -> None:
        """Add what has gathered to the index."""
        self._books.change(self.write)

    def close(self) -> None:
        """Flush if there is something and it is possible: counts are not worth an error."""
        try:
            if self._counts and self._pid == os.getpid():
                self.flush()
        except UnavailableError:
            return

    def stats(self, max_bytes: int) -> Stats:
        """Everything counted so far, by all processes that have written it down."""

        def work(index: Index) -> Stats:
            self.write(index)
            counts = index.counters()
            whole = ("hits", "misses", "evictions", "expired", "damaged", "unkept", "saved_bytes")
            return Stats(
                entries=index.count,
                bytes=index.total,
                max_bytes=max_bytes,
                saved_seconds=counts.get("saved_seconds", 0.0),
                **{name: round(counts.get(name, 0)) for name in whole},
            )

        return self._books.change(work)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._uses: dict[bytes, tuple[int, float]] = {}
        self._counts: defaultdict[str, float] = defaultdict(float)
        self._since = self._clock()

    def _mine(self) -> threading.Lock:
        """The lock of this process's threads. A forked child starts at zero: its parent counts its own."""
        if self._pid != os.getpid():
            self._start()
        return self._lock
