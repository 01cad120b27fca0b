"""Bookkeeping of a cache folder in SQLite: what there is, how large, how often and when used, and what it saved.

Everything here but the counts of uses and savings is derived from the files of the folder, and can be made from them
again. Sizes are what files take on disk. The sum of them is kept by triggers, so that it cannot differ from the rows.

``pending`` lists what a change under way may touch. It reaches the disk before the first file is touched, so after a
death in the middle whoever comes next knows where files and rows may differ, and puts the rows right.
"""

import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

Policy = Literal["lfu", "lru"]
"""What leaves first when room is needed: the least often used, or what was not used for the longest time."""

VERSION = 1

_SCHEMA = """
CREATE TABLE entry (id BLOB PRIMARY KEY, key TEXT NOT NULL, blob BLOB NOT NULL, size INTEGER NOT NULL, bytes INTEGER
    NOT NULL, written REAL NOT NULL, used REAL NOT NULL, uses INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX entry_blob ON entry (blob);
CREATE INDEX entry_written ON entry (written);
CREATE INDEX entry_lru ON entry (used, id);
CREATE INDEX entry_lfu ON entry (uses, used, id);
CREATE TABLE blob (id BLOB PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE pending (key TEXT PRIMARY KEY, blob BLOB) WITHOUT ROWID;
CREATE TABLE total (bytes INTEGER NOT NULL);
INSERT INTO total VALUES (0);
CREATE TABLE counter (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TRIGGER entry_in AFTER INSERT ON entry BEGIN UPDATE total SET bytes = bytes + new.bytes; END;
CREATE TRIGGER entry_out AFTER DELETE ON entry BEGIN UPDATE total SET bytes = bytes - old.bytes; END;
CREATE TRIGGER entry_same AFTER UPDATE OF bytes ON entry BEGIN
    UPDATE total SET bytes = bytes + new.bytes - old.bytes; END;
CREATE TRIGGER blob_in AFTER INSERT ON blob BEGIN UPDATE total SET bytes = bytes + new.bytes; END;
CREATE TRIGGER blob_out AFTER DELETE ON blob BEGIN UPDATE total SET bytes = bytes - old.bytes; END;
"""

_SELECT = "SELECT id, key, blob, size, bytes, written, used, uses FROM entry"
_ORDER: Mapping[Policy, str] = {"lfu": "uses, used, id", "lru": "used, id"}


class Row(msgspec.Struct, frozen=True):
    """A key as the index has it. ``bytes`` is what its record takes on disk, ``size`` the value's length."""

    id: bytes
    key: str
    blob: bytes
    size: int
    bytes: int
    written: float
    used: float
    uses: int


class Index:
    """One connection to a folder's index. Not for use by several threads at once, nor across a fork.

    Raises ``sqlite3.DatabaseError`` where the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.inode = 0
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA wal_autocheckpoint = 250")
            self.inode = path.stat().st_ino
        except sqlite3.DatabaseError:
            self._db.close()
            raise

    def close(self) -> None:
        self._db.close()

    @property
    def fresh(self) -> bool:
        """Whether nothing has ever been written here."""
        return self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION

    def create(self) -> None:
        """Make the tables in a file without any. ``complete`` follows, once the rows are there."""
        self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")

    def complete(self) -> None:
        """From now on the index is to be believed."""
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def change(self, *, durable: bool = False) -> Generator[None]:
        """A transaction; a durable one is on the disk when it ends, others survive anything but a power failure."""
        if durable:
            self._db.execute("PRAGMA synchronous = FULL")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if durable:
                self._db.execute("PRAGMA synchronous = NORMAL")

    def mark(self, touched: Iterable[tuple[str, bytes | None]]) -> None:
        """Say which keys, and which values, are about to change."""
        self._db.executemany("INSERT OR REPLACE INTO pending VALUES (?, ?)", touched)

    def pending(self) -> list[tuple[str, bytes | None]]:
        """What a change may have touched that did not end."""
        return self._db.execute("SELECT key, blob FROM pending").fetchall()

    def settled(self) -> None:
        """Rows and files agree."""
        self._db.execute("DELETE FROM pending")

    def get(self, id: bytes) -> Row | None:
        return next(self._rows("WHERE id = ?", id), None)

    def put(self, row: Row) -> None:
        """Add a key or change its value; how often and when it was used stays as it is."""
        self._db.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET key = excluded.key,"
            " blob = excluded.blob, size = excluded.size, bytes = excluded.bytes, written = excluded.written,"
            " used = max(used, excluded.used)",
            msgspec.structs.astuple(row),
        )

    def drop(self, id: bytes) -> None:
        self._db.execute("DELETE FROM entry WHERE id = ?", (id,))

    def users(self, blob: bytes) -> list[bytes]:
        """The keys that have this value."""
        return [user for (user,) in self._db.execute("SELECT id FROM entry WHERE blob = ?", (blob,))]

    def put_blob(self, id: bytes, bytes: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO blob VALUES (?, ?)", (id, bytes))

    def drop_blob(self, id: bytes) -> None:
        self._db.execute("DELETE FROM blob WHERE id = ?", (id,))

    @property
    def total(self) -> int:
        """Bytes on disk of all records and values."""
        return self._db.execute("SELECT bytes FROM total").fetchone()[0]

    @property
    def count(self) -> int:
        """How many keys there are."""
        return self._db.execute("SELECT count(*) FROM entry").fetchone()[0]

    def leaving(self, policy: Policy, *, limit: int) -> list[Row]:
        """The keys that leave first."""
        return list(self._rows(f"ORDER BY {_ORDER[policy]} LIMIT ?", limit))

    def expired(self, before: float, *, by: Literal["written", "used"]) -> list[Row]:
        """The keys whose last write or use lies at or before an instant."""
        return list(self._rows(f"WHERE {by} <= ? ORDER BY id", before))

    def rows(self, prefix: str = "", *, limit: int = -1) -> list[Row]:
        """Keys that begin with ``prefix``, most used first."""
        match = "substr(key, 1, length(?)) = ?"
        return list(self._rows(f"WHERE {match} ORDER BY uses DESC, used DESC, id LIMIT ?", prefix, prefix, limit))

    def use(self, uses: Mapping[bytes, tuple[int, float]]) -> None:
        """Count uses; each with how many, and when the last one was."""
        counted = [(count, at, user) for user, (count, at) in uses.items()]
        self._db.executemany("UPDATE entry SET uses = uses + ?, used = max(used, ?) WHERE id = ?", counted)

    def add(self, counts: Mapping[str, float]) -> None:
        """Add to the counters."""
        self._db.executemany(
            "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            list(counts.items()),
        )

    def counters(self) -> dict[str, float]:
        return dict(self._db.execute("SELECT name, value FROM counter"))

    def _rows(self, rest: str, *values: object) -> Iterator[Row]:
        found = self._db.execute(f"{_SELECT} {rest}", values)
        return (Row(*columns) for columns in found)
