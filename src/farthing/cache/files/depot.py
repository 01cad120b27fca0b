"""Values under keys in a folder: the machinery that feature and model caches share.

A value is written once under the name of its content, a record says which value a key has. Both appear by a rename,
records after values, so whoever reads sees the old value or the new one, or none. Whatever is read is checked.
Readers take no lock: what they have open stays readable when it is removed.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from farthing.cache.files import entry as records
from farthing.cache.files import locks
from farthing.cache.files.books import Books, Shelf
from farthing.cache.files.entry import Entry, identity
from farthing.cache.files.index import Index, Policy, Row
from farthing.cache.files.layout import Layout, move, read, remove
from farthing.cache.files.tally import Tally
from farthing.core.errors import UnavailableError

_BATCH = 256
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_READ = 1 << 20


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how much. ``ttl`` is in seconds since the last write or use (``expires``), 0 for ever.

    ``max_bytes`` bounds what records and values take on disk; ``policy`` says who leaves first.
    """

    ttl: float
    expires: Literal["written", "used"]
    max_bytes: int
    policy: Policy

    def stale(self, since: float, now: float) -> bool:
        """Whether what was written or used at ``since`` has expired."""
        return self.ttl > 0 and now - since >= self.ttl


class Depot:
    """One cache folder, for any number of threads and processes."""

    def __init__(self, folder: Path, rules: Rules, *, clock: Callable[[], float], shelf: Shelf | None = None) -> None:
        self.layout = Layout(folder)
        self.rules = rules
        self.clock = clock
        self.books = Books(self.layout, shelf)
        self.tally = Tally(self.books, clock)

    def find(self, key: str) -> Entry | None:
        """What is known about a key; expired or not. A damaged record is removed and counts as absent."""
        record = read(self.layout.entry(identity(key)))
        if record is None:
            return None
        entry = records.decode(record)
        if entry is None or entry.key != key:
            self._give_up(lambda index: self._remove_torn(index, key))
            return None
        return entry

    def value(self, entry: Entry) -> bytes | None:
        """An entry's value, checked; ``None`` if it is gone or damaged: then it goes, with all keys that have it."""
        value = read(self.layout.blob(entry.blob))
        if value is not None and hashlib.sha256(value).digest() == entry.blob:
            return value
        self.spoiled(entry, damaged=value is not None)
        return None

    def spoiled(self, entry: Entry, *, damaged: bool) -> None:
        """A value cannot be used: remove it, unless somebody has just put it right."""
        if damaged:
            self.tally.count("damaged")
        self._give_up(lambda index: self._remove_blob(index, entry))

    def put(self, entry: Entry, value: bytes) -> bool:
        """Keep a value; false if it is larger than the whole cache, in which case the key has no value at all.

        Raises ``UnavailableError`` when the disk is full: then the key has what it had.
        """
        if not self.fits(entry):
            self.discard([entry.key])
            return False
        try:
            while not self._put(entry, value):
                pass
        except OSError as problem:
            raise UnavailableError(
                f"The cache in {self.layout.folder} cannot keep a value: {problem}", remedy="Free some disk space"
            ) from problem
        return True

    def fits(self, entry: Entry) -> bool:
        """Whether the cache is large enough for the entry alone."""
        occupied = self.layout.occupied
        return occupied(entry.size) + occupied(len(records.encode(entry))) <= self.rules.max_bytes

    def place(self, entry: Entry, file: Path | None) -> None:
        """Move a flushed file of the same file system here, as an entry's value; ``None`` if the value is here."""
        with self.layout.stage() as (record, path):
            record.write(records.encode(entry))
            _finish(record, path, self.clock())

            def work(index: Index) -> None:
                self._publish(index, entry, record=path, value=file)

            self.books.change(work)

    def discard(self, keys: Sequence[str]) -> int:
        """Remove keys, with the values that no other key has; returns the bytes that are free now."""

        def work(index: Index) -> int:
            before = index.total
            self._remove(index, keys)
            return before - index.total

        return self.books.change(work)

    def trim(self) -> int:
        """Remove what has expired, and what is too much; returns the bytes that are free now."""

        def work(index: Index) -> int:
            before = index.total
            self._make_room(index, self.rules.max_bytes)
            return before - index.total

        return self.books.change(work)

    def evict(self, key: str) -> int:
        """Remove a key to make room, unless somebody holds it in place; returns the bytes that are free now."""

        def work(index: Index) -> int:
            before, row = index.total, index.get(identity(key))
            self._leave(index, [] if row is None else [row], counted="evictions")
            return before - index.total

        return self.books.change(work)

    @contextmanager
    def pinned(self, key: str) -> Generator[None]:
        """While this lasts the key neither expires nor leaves to make room. It ends with the process at the latest."""
        pin = self.layout.pin(identity(key))
        held = self.books.change(lambda _: locks.acquire(pin, shared=True))
        try:
            yield
        finally:
            if held is not None:
                locks.release(held, pin, keep=False)

    def is_pinned(self, key: str) -> bool:
        """Whether some living process holds the key in place."""
        pin = self.layout.pin(identity(key))
        if not pin.exists():
            return False
        with locks.locked(pin, wait=False, keep=False) as free:
            return not free

    @contextmanager
    def alone(self, key: str) -> Generator[None]:
        """Only one thread of one process at a time works on a key's value.

        Where no lock can be made, on a full disk, work that is done twice is better than none.
        """
        lock = self.layout.lock(identity(key))
        try:
            held = locks.acquire(lock)
        except OSError:
            held = None
        try:
            yield
        finally:
            if held is not None:
                locks.release(held, lock, keep=False)

    def rows(self, prefix: str = "", *, limit: int = -1) -> list[Row]:
        """Keys that begin with ``prefix``, most used first."""

        def work(index: Index) -> list[Row]:
            self.tally.write(index)
            return index.rows(prefix, limit=limit)

        return self.books.change(work)

    def close(self) -> None:
        """Write down what was counted, and close the index."""
        self.tally.close()
        self.books.close()

    def _put(self, entry: Entry, value: bytes) -> bool:
        """One attempt; false if an equal value was there and has just been removed."""
        blob = self.layout.blob(entry.blob)
        known = read(blob) == value
        with self.layout.stage() as (record, record_path), self.layout.stage() as (file, path):
            record.write(records.encode(entry))
            _finish(record, record_path, self.clock())
            if not known:
                file.write(value)
                _finish(file, path, self.clock())

            def work(index: Index) -> bool:
                if known and not Path(blob).exists():
                    return False
                self._publish(index, entry, record=record_path, value=None if known else path)
                return True

            return self.books.change(work)

    def _publish(self, index: Index, entry: Entry, *, record: Path, value: Path | None) -> None:
        """Value first, record after it, then room for both; what dies in between is put right by the next one here.

        So is what a full disk keeps from the index once the value is in its place.
        """
        self._mark(index, [(entry.key, entry.blob)])
        if value is not None:
            move(value, self.layout.blob(entry.blob))
        move(record, self.layout.entry(entry.id))
        try:
            self.books.settle(index)
            self._make_room(index, self.rules.max_bytes, keep=entry.id)
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorcode & 0xFF not in _FULL:
                raise

    def _mark(self, index: Index, touched: Sequence[tuple[str, bytes | None]]) -> None:
        with index.change(durable=True):
            index.mark(touched)

    def _remove(self, index: Index, keys: Sequence[str]) -> None:
        self._mark(index, [(key, None) for key in keys])
        for key in keys:
            remove(self.layout.entry(identity(key)))
        self.books.settle(index)

    def _give_up(self, work: Callable[[Index], None]) -> None:
        """Remove something unreadable. On a disk that cannot be written to, not using it has to do."""
        try:
            self.books.change(work)
        except UnavailableError:
            return

    def _remove_torn(self, index: Index, key: str) -> None:
        record = read(self.layout.entry(identity(key)))
        if record is not None and records.decode(record) is None:
            self._remove(index, [key])

    def _remove_blob(self, index: Index, entry: Entry) -> None:
        path = self.layout.blob(entry.blob)
        if digest_of(path) != entry.blob:
            self._mark(index, [(entry.key, entry.blob)])
            remove(path)
            self.books.settle(index)

    def _make_room(self, index: Index, limit: int, *, keep: bytes = b"") -> None:
        """Remove what has expired, then what leaves first, until ``limit`` bytes are not exceeded; never ``keep``."""
        self.tally.write(index)
        staying, rules = {keep}, self.rules
        if rules.ttl > 0:
            stale = index.expired(self.clock() - rules.ttl, by=rules.expires)
            staying |= self._leave(index, [row for row in stale if row.id != keep], counted="expired")
        while (excess := index.total - limit) > 0:
            first = index.leaving(rules.policy, limit=_BATCH + len(staying))
            chosen = self._enough([row for row in first if row.id not in staying], excess)
            if not chosen:
                return
            staying |= self._leave(index, chosen, counted="evictions")

    def _enough(self, rows: Sequence[Row], excess: int) -> list[Row]:
        """The first rows that free ``excess`` bytes, if nobody else has their values."""
        chosen: list[Row] = []
        for row in rows:
            if excess <= 0:
                break
            chosen.append(row)
            excess -= row.bytes + self.layout.occupied(row.size)
        return chosen

    def _leave(self, index: Index, rows: Sequence[Row], *, counted: str) -> set[bytes]:
        """Remove those of the rows that nobody holds in place; returns the others."""
        held = {row.id for row in rows if self.is_pinned(row.key)}
        free = [row.key for row in rows if row.id not in held]
        if free:
            self._remove(index, free)
            with index.change():
                index.add({counted: len(free)})
        return held


def _finish(file: BinaryIO, path: Path, now: float) -> None:
    """A staged file is complete: it is on the disk before anybody sees it. Its time is the cache's."""
    file.flush()
    os.fsync(file.fileno())
    os.utime(path, (now, now))


def digest_of(path: str | Path, *, algorithm: str = "sha256", prefix: bytes = b"") -> bytes | None:
    """The digest of ``prefix`` and a file's content, whose access time stays as it is; ``None`` if it is gone."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    digest = hashlib.new(algorithm, prefix, usedforsecurity=False)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while part := file.read(_READ):
            digest.update(part)
    return digest.digest()
