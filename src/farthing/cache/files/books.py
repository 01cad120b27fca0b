"""Who may change a cache folder, and the promise that index and files agree whenever somebody may.

``Books.change`` is the only door: it holds the folder's gate, puts right what somebody who died left half done, and
makes the index again from the files if it is lost or damaged.
"""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from farthing.cache.files import entry as records
from farthing.cache.files import locks
from farthing.cache.files.entry import Entry, identity
from farthing.cache.files.index import Index, Row
from farthing.cache.files.layout import Layout, read, remove
from farthing.core.errors import UnavailableError

T = TypeVar("T")

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA})


class Shelf(Protocol):
    """What stands outside under the keys' names, such as links to files, and goes with them."""

    def gone(self, key: str) -> None:
        """There is nothing under this key any more."""
        ...

    def only(self, keys: set[str]) -> None:
        """There are these keys and no others."""
        ...


class Books:
    """One folder's index, and the right to change what it is about. For any number of threads, and across forks."""

    def __init__(self, layout: Layout, shelf: Shelf | None = None) -> None:
        self.layout = layout
        self._shelf = shelf
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._index: Index | None = None

    def change(self, work: Callable[[Index], T]) -> T:
        """Do ``work`` while nobody else changes anything.

        Raises ``UnavailableError`` when the folder or its index cannot be written to.
        """
        with self._own_mutex():
            try:
                with locks.locked(self.layout.gate):
                    return self._do(work)
            except (OSError, sqlite3.Error) as problem:
                raise UnavailableError(
                    f"The cache in {self.layout.folder} cannot be changed: {problem}",
                    remedy="Look for a full disk or missing rights",
                ) from problem

    def idle(self) -> bool:
        """Whether nobody changes anything just now, so that ``change`` would not wait."""
        with locks.locked(self.layout.gate, wait=False) as free:
            return free

    def rebuild(self) -> None:
        """Make the index again from the files."""
        self.change(lambda _: self._renew())

    def close(self) -> None:
        with self._own_mutex():
            self._leave()

    def settle(self, index: Index) -> None:
        """Make rows say what files say, for everything that a change marked; files without a use are removed."""
        pending = index.pending()
        if not pending:
            return
        with index.change():
            blobs = {blob for _, blob in pending if blob is not None}
            for key, _ in pending:
                blobs |= self._settle_key(index, key)
            for blob in blobs:
                self._settle_blob(index, blob)
            index.settled()

    def _own_mutex(self) -> threading.Lock:
        """The lock of this process's threads; a forked child has its own, and no use for its parent's connection."""
        if self._pid != os.getpid():
            self._pid, self._mutex, self._index = os.getpid(), threading.Lock(), None
        return self._mutex

    def _do(self, work: Callable[[Index], T]) -> T:
        try:
            return work(self._ready())
        except sqlite3.DatabaseError as problem:
            if problem.sqlite_errorcode & 0xFF not in _DAMAGED:
                raise
        return work(self._renew())

    def _ready(self) -> Index:
        """The open index of the file that is there now, with nothing left half done."""
        index = self._index
        if index is None or not self._current(index):
            self._leave()
            index = self._index = Index(self.layout.index)
        if index.fresh:
            return self._renew()
        self.settle(index)
        return index

    def _current(self, index: Index) -> bool:
        try:
            return self.layout.index.stat().st_ino == index.inode
        except FileNotFoundError:
            return False

    def _leave(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    def _renew(self) -> Index:
        self._leave()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.layout.index}{suffix}").unlink(missing_ok=True)
        index = self._index = Index(self.layout.index)
        index.create()
        with index.change():
            blobs, keys = set(self.layout.blob_ids()), set[str]()
            for name in list(self.layout.entry_ids()):
                found = self._row(name)
                if found is not None:
                    index.put(found)
                    keys.add(found.key)
                    blobs.add(found.blob)
            for blob in blobs:
                self._settle_blob(index, blob)
        index.complete()
        if self._shelf is not None:
            self._shelf.only(keys)
        return index

    def _settle_key(self, index: Index, key: str) -> set[bytes]:
        """One key's row; returns the values it had and has."""
        name = identity(key)
        before, now = index.get(name), self._row(name)
        if now is not None:
            index.put(now)
        else:
            index.drop(name)
            self._gone(key)
        return {row.blob for row in (before, now) if row is not None}

    def _settle_blob(self, index: Index, blob: bytes) -> None:
        """One value's row: there are no keys without value, and no values without key."""
        path, users = self.layout.blob(blob), index.users(blob)
        try:
            size = os.stat(path).st_size  # noqa: PTH116 - paths are text here, for speed
        except FileNotFoundError:
            size = None
        if users and size is not None:
            index.put_blob(blob, self.layout.occupied(size))
            return
        for user in users:
            row = index.get(user)
            remove(self.layout.entry(user))
            index.drop(user)
            if row is not None:
                self._gone(row.key)
        remove(path)
        index.drop_blob(blob)

    def _gone(self, key: str) -> None:
        if self._shelf is not None:
            self._shelf.gone(key)

    def _row(self, id: bytes) -> Row | None:
        """A key as its record says; a damaged record is removed."""
        path = self.layout.entry(id)
        record = read(path)
        if record is None:
            return None
        entry = records.decode(record)
        if entry is None or entry.id != id:
            remove(path)
            return None
        used = os.stat(path).st_mtime  # noqa: PTH116 - paths are text here, for speed
        return row_of(entry, bytes=self.layout.occupied(len(record)), used=used)


def row_of(entry: Entry, *, bytes: int, used: float) -> Row:
    """An entry as the index keeps it, not used yet."""
    return Row(
        id=entry.id, key=entry.key, blob=entry.blob, size=entry.size, bytes=bytes,
        written=entry.written, used=used, uses=0,
    )  # fmt: skip
