"""The vectors in memory, room by room, and the search for the nearest.

A room holds its vectors as int8 in one array, which is searched exactly while it is small. A larger one gets an index
as well (HNSW: Malkov and Yashunin 2016, by usearch), built in a thread while the exact search goes on. The index is a
copy: it is saved to start faster, and built again whenever it is missing, damaged or was purged.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from usearch.index import Index

    Ids = NDArray[np.int64]
    Small = NDArray[np.int8]

LARGE = 4096
"""Entries from which an index is faster than looking at all of them (0.2 ms)."""

CONNECTIVITY = 16
EXPANSION = 64
GROWTH = 1.25
CATCH_UP = 64
BUILD_STEP = 1_000
SAVE_SHARE = 0.1
SUFFIX = ".usearch"
_DIGEST_BYTES = 16


class Room:
    """Vectors by id. Ids only ever grow, so that the arrays stay sorted. Belongs to one thread; see ``built``."""

    def __init__(self, dimensions: int) -> None:
        import numpy as np

        self._ids: Ids = np.empty(1, dtype=np.int64)
        self._vectors: Small = np.empty((1, dimensions), dtype=np.int8)
        self._size = 0
        self._index: Index | None = None
        self._through = 0
        self._gone: list[int] = []
        self._lent = False
        self.stale = False
        """The index holds vectors that were purged: they cannot be found, but are there until it is built again."""
        self.unsaved = 0
        """Changes of the index since it was saved."""

    def __len__(self) -> int:
        return self._size

    @property
    def indexed(self) -> bool:
        """Whether it has an index."""
        return self._index is not None

    @property
    def due(self) -> bool:
        """Whether an index is to be built."""
        return not self._lent and self._size > LARGE and (self._index is None or self.stale)

    @property
    def worth_saving(self) -> bool:
        """Whether much of the index is not on disk."""
        return self._index is not None and not self._lent and self.unsaved > SAVE_SHARE * self._size

    def add(self, id: int, vector: "Small") -> None:
        """Add a vector. ``id`` is larger than any before."""
        if self._size == len(self._ids):
            self._grow()
        self._ids[self._size] = id
        self._vectors[self._size] = vector
        self._size += 1
        if self._index is not None and not self._lent and self._tail() == self._size - 1:
            self._take_in(self._size - 1, self._size)

    def remove(self, ids: Sequence[int], *, purge: bool) -> None:
        """Remove vectors; ids that are not here are passed over. ``purge``: not even the index may keep their bytes."""
        import numpy as np

        gone = np.isin(self._ids[: self._size], np.asarray(ids, dtype=np.int64))
        if not gone.any():
            return
        self._gone += [int(i) for i in self._ids[: self._size][gone] if i <= self._through]
        # new arrays: a thread may be reading the old ones
        self._ids = self._ids[: self._size][~gone]
        self._vectors = self._vectors[: self._size][~gone]
        self._size = len(self._ids)
        self.stale = self.stale or (purge and (self._lent or self._index is not None))
        if not self._lent:
            self._let_go()

    def search(self, vector: "Small", count: int) -> list[tuple[int, float]]:
        """The nearest ids with their cosines, nearest first."""
        if self._index is None:
            return self._exact(vector, count, 0)
        found = self._index.search(vector, count + min(len(self._gone), count), threads=1)
        near = _pairs(found)
        if self._gone:
            gone = set(self._gone)
            near = [pair for pair in near if pair[0] not in gone]
        tail = self._exact(vector, count, self._tail())
        return heapq.nlargest(count, near + tail, key=lambda pair: pair[1]) if tail else near[:count]

    def lend(self, *, build: bool) -> "tuple[Ids, Small, Index | None]":
        """What a thread may read until ``give_back`` or ``adopt``: the index does not change meanwhile.

        ``build``: for a new index, without what was purged until now.
        """
        self._lent = True
        self.stale = self.stale and not build
        return self._ids[: self._size], self._vectors[: self._size], self._index

    def give_back(self) -> None:
        """The thread is done."""
        self._lent = False
        self._let_go()

    def adopt(self, index: "Index") -> None:
        """Use an index that was built or loaded: what is no longer here goes out, what is newer will come in.

        One that lacks older entries is not used.
        """
        import numpy as np

        keys = np.sort(index.keys[:].astype(np.int64))
        mine = self._ids[: self._size]
        through = int(keys[-1]) if len(keys) else 0
        if not np.isin(mine[mine <= through], keys).all():
            return
        self._index, self._through, self._lent = index, through, False
        self._gone = [int(i) for i in np.setdiff1d(keys, mine)]
        self._let_go()

    def catch_up(self) -> bool:
        """Take a few newer entries into the index; whether more are left."""
        if self._index is None or self._lent:
            return False
        tail = self._tail()
        self._take_in(tail, min(tail + CATCH_UP, self._size))
        return self._tail() < self._size

    def _exact(self, vector: "Small", count: int, start: int) -> list[tuple[int, float]]:
        from usearch.index import search

        if start >= self._size:
            return []
        here = self._vectors[start : self._size]
        threads = 1 if len(here) <= LARGE else 0
        found = cast("Any", search(here, vector, min(count, len(here)), "cos", exact=True, threads=threads))
        return [(int(self._ids[start + place]), cosine) for place, cosine in _pairs(found)]

    def _tail(self) -> int:
        """Position of the first entry that is newer than the index."""
        return int(self._ids[: self._size].searchsorted(self._through, side="right"))

    def _take_in(self, start: int, end: int) -> None:
        if self._index is None or start >= end:
            return
        self._index.add(self._ids[start:end].astype("uint64"), self._vectors[start:end], threads=1)
        self._through = int(self._ids[end - 1])
        self.unsaved += end - start

    def _let_go(self) -> None:
        if self._index is not None:
            for old in self._gone:
                self._index.remove(old)
            self.unsaved += len(self._gone)
        self._gone = []

    def _grow(self) -> None:
        import numpy as np

        more = max(3, int(self._size * (GROWTH - 1)))
        self._ids = np.concatenate([self._ids, np.empty(more, dtype=np.int64)])
        self._vectors = np.concatenate([self._vectors, np.empty((more, self._vectors.shape[1]), dtype=np.int8)])


def _pairs(found: Any) -> list[tuple[int, float]]:
    """What a search found, as keys and cosines."""
    return list(zip(found.keys.tolist(), (1 - found.distances).tolist(), strict=True))


def built(ids: "Ids", vectors: "Small", stopped: Callable[[], bool]) -> "Index | None":
    """An index of vectors, or ``None`` when it is ``stopped``. Some 0.2 ms each, without the interpreter's lock."""
    index = _empty(vectors.shape[1])
    for start in range(0, len(ids), BUILD_STEP):
        if stopped():
            return None
        step = slice(start, start + BUILD_STEP)
        index.add(ids[step].astype("uint64"), vectors[step], threads=1)
    return index


def save(index: "Index", room: bytes, folder: Path) -> None:
    """Write an index to a file that is named for its room and its content. Raises ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = folder / f"{room.hex()}.new"
    cast("Any", index).save(str(fresh))
    fresh.chmod(0o600)
    final = folder / f"{room.hex()}-{_digest(fresh)}{SUFFIX}"
    before = [file for file in files_of(room, folder) if file != final]
    fresh.replace(final)
    for file in before:
        file.unlink(missing_ok=True)


def load(room: bytes, folder: Path, dimensions: int) -> "Index | None":
    """The saved index of a room. A file that is not what was written is removed."""
    for file in files_of(room, folder):
        if file.stem.partition("-")[2] == _digest(file):
            index = _empty(dimensions)
            cast("Any", index).load(str(file))
            if index.ndim == dimensions:
                return index
        file.unlink(missing_ok=True)
    return None


def files_of(room: bytes, folder: Path) -> Iterator[Path]:
    """Saved indexes of a room: one, or another that was about to replace it."""
    return folder.glob(f"{room.hex()}-*{SUFFIX}")


def _empty(dimensions: int) -> "Index":
    from usearch.index import Index

    return Index(
        ndim=dimensions,
        metric="cos",
        dtype="i8",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION,
        expansion_search=EXPANSION,
    )


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES)).hexdigest()
