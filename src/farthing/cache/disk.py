"""The shared store of one machine: a SQLite file that every worker reads and writes.

Readers never wait (WAL). What a worker adds is written by a thread of its own, several entries to a transaction, so
that no answer waits for a disk. A purge deletes rows, overwrites their bytes, empties the log, and then moves the
*generation* on, a number in a mapped file that workers look at before they trust their own memory.
"""

import mmap
import os
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from farthing.cache import asks
from farthing.cache.entry import Amount, Entry, Purge
from farthing.cache.rows import COLUMNS, conditions, entry_of, row_of
from farthing.core.errors import UnavailableError

T = TypeVar("T")

BUSY_SECONDS = 5.0
STEP = 256
"""Entries that are let go in one transaction."""

_NUMBER = struct.Struct("<Q")
_SCHEMA = """
create table if not exists entries (
    key blob primary key, kind text not null, namespace text not null, tenant text not null, epoch text not null,
    of_org text not null, of_team text not null, of_project text not null, of_environment text not null,
    of_feature text not null, of_customer text not null, of_user text not null, of_key text not null,
    made real not null, expires real not null, used real not null, size integer not null,
    about blob not null, body blob not null
);
create index if not exists entries_used on entries (used);
create index if not exists entries_expires on entries (expires) where expires > 0;
create table if not exists held (entries integer not null, bytes integer not null);
insert into held select 0, 0 where not exists (select 1 from held);
create trigger if not exists entry_added after insert on entries begin
    update held set entries = entries + 1, bytes = bytes + new.size; end;
create trigger if not exists entry_gone after delete on entries begin
    update held set entries = entries - 1, bytes = bytes - old.size; end;
"""


class DiskStore:
    """Entries in one file. Safe between processes; within one, it belongs to one thread at a time."""

    def __init__(self, file: Path, *, limit: int) -> None:
        """``limit`` is in bytes. Raises ``UnavailableError`` when the file cannot be used."""
        self._limit = limit
        self._file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not file.exists():  # closing a file ends every lock that this process has on it, SQLite's among them
                os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = _opened(file)
            self._generation = Generation(file.with_suffix(".generation"))
        except (OSError, sqlite3.Error) as problem:
            raise UnavailableError(
                f"The cache {file} cannot be used: {problem}", remedy="Remove the file: it holds nothing but copies"
            ) from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def get(self, key: bytes, now: float) -> Entry | None:
        """The entry, unless it expired or cannot be read."""
        return self.get_many((key,), now).get(key)

    def get_many(self, keys: Iterable[bytes], now: float) -> dict[bytes, Entry]:
        """Those entries that there are."""
        found: dict[bytes, Entry] = {}
        for some in _slices(list(keys), 500):
            marks = ",".join("?" * len(some))
            query = f"select key, about, body from entries where key in ({marks}) and (expires = 0 or expires > ?)"  # noqa: S608 - marks only
            for key, about, body in self._rows(query, (*some, now)):
                entry = entry_of(about, body)
                if entry is not None:
                    found[key] = entry
        return found

    def put(self, entries: Iterable[Entry], now: float, *, since: int | None = None) -> bool:
        """Keep them, unless something was purged since a generation; whether that was done.

        What was not used for longest goes where there is no room.
        """
        rows = [row_of(entry, now) for entry in entries if entry.size <= self._limit]
        marks = ",".join("?" * len(COLUMNS))
        query = f"insert or replace into entries values ({marks})"  # noqa: S608 - marks only

        def write() -> bool:
            if since is not None and self.generation() != since:
                return False
            self._database.executemany(query, rows)
            return True

        try:
            kept = self._write(write)
            self._make_room()
        except sqlite3.Error:
            return False
        return kept

    def touch(self, keys: Iterable[bytes], now: float) -> None:
        """They were used."""
        rows = [(now, key) for key in keys]
        try:
            self._write(lambda: self._database.executemany("update entries set used = ? where key = ?", rows))
        except sqlite3.Error:
            return

    def expire(self, now: float) -> int:
        """Remove what expired; how many that were."""
        return self._delete("expires > 0 and expires <= ?", (now,))

    def purge(self, what: Purge) -> int:
        """Remove entries so that nothing of them is left in the files; how many that were.

        Raises ``InputError`` for a key that is none, ``UnavailableError`` when the file cannot be written.
        """
        where, values = conditions(what)
        self._generation.advance()  # before, so that nobody writes any more what was under way; after, for their copies
        try:
            gone = self._delete(where, values)
        except sqlite3.Error as problem:
            raise UnavailableError(f"The cache {self._file} cannot be written: {problem}", remedy="Try again") from None
        self._generation.advance()
        self.within(lambda execute: asks.purge(execute, where, values))
        self._database.execute("pragma wal_checkpoint(truncate)").fetchall()
        return gone

    def within(self, work: Callable[[asks.Execute], T]) -> T:
        """Run work in a transaction. Raises ``UnavailableError`` when the file cannot be written."""
        try:
            return self._write(lambda: work(lambda query, values: self._database.execute(query, values).fetchall()))
        except sqlite3.Error as problem:
            raise UnavailableError(f"The cache {self._file} cannot be written: {problem}", remedy="Try again") from None

    def look(self, query: str, values: Sequence[Any]) -> list[Any]:
        """The rows of a query. Raises ``UnavailableError`` when the file cannot be read."""
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as problem:
            raise UnavailableError(f"The cache {self._file} cannot be read: {problem}", remedy="Try again") from None

    def keys_of(self, what: Purge) -> list[bytes]:
        """The keys of what a purge would remove."""
        where, values = conditions(what)
        query = f"select key from entries where {where}"  # noqa: S608 - fixed text
        return [row[0] for row in self._rows(query, values)]

    def amount(self) -> Amount:
        """How much there is."""
        rows = self._rows("select entries, bytes from held", ())
        return Amount(entries=rows[0][0], bytes=rows[0][1]) if rows else Amount()

    def generation(self) -> int:
        """Moves on with every purge, by whatever process."""
        return self._generation.now()

    def close(self) -> None:
        """Give up the file."""
        self._database.close()
        self._generation.close()

    def _make_room(self) -> None:
        while beyond := self.amount().beyond(self._limit):
            oldest = "rowid in (select rowid from entries order by used limit ?)"
            if not self._delete(oldest, (min(beyond, STEP),)):
                return

    def _delete(self, where: str, values: Sequence[Any]) -> int:
        def run() -> int:
            query = f"delete from entries where {where}"  # noqa: S608 - fixed text, values by mark
            return self._database.execute(query, values).rowcount

        return self._write(run)

    def _write(self, work: Callable[[], T]) -> T:
        self._database.execute("begin immediate")
        try:
            done = work()
            self._database.execute("commit")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("rollback")
            raise
        return done

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error:
            return []


class Generation:
    """A number in a small file, mapped by all processes that use it."""

    def __init__(self, file: Path) -> None:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size < _NUMBER.size:
                os.ftruncate(handle, _NUMBER.size)
            self._map = mmap.mmap(handle, _NUMBER.size)
        finally:
            os.close(handle)
        self._lock = threading.Lock()

    def now(self) -> int:
        """As it stands."""
        return int(_NUMBER.unpack_from(self._map)[0])

    def advance(self) -> None:
        """Move it on. Two that do so at once may move it by one together, which tells everybody all the same."""
        with self._lock:
            _NUMBER.pack_into(self._map, 0, self.now() + 1)

    def close(self) -> None:
        """Give up the file."""
        self._map.close()


def _opened(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute("pragma journal_mode = wal").fetchall()
        database.execute("pragma synchronous = normal")
        database.execute("pragma secure_delete = on").fetchall()
        database.executescript(_SCHEMA + asks.SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _slices(items: list[bytes], size: int) -> Iterable[list[bytes]]:
    return (items[at : at + size] for at in range(0, len(items), size))
