"""The questions on disk: one SQLite file of the cache process's own.

It holds copies and what was learned from them; removed, it costs misses and nothing else. What is deleted is
overwritten (``secure_delete``), and after a purge the log is emptied, so that nothing of it is left in the files.
"""

import os
import sqlite3
import zlib
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from farthing.cache.semantic.ports import Neighbour
from farthing.cache.semantic.questions import HITS_KEPT, Question, Total, of_tenant, parts
from farthing.cache.semantic.wire import Hit
from farthing.core.errors import UnavailableError

STEP = 200
"""Rows that are deleted at once: some milliseconds."""

SCHEMA_VERSION = 1
"""Moves on when tables change. What was kept in others is dropped: it is copies."""

COMPRESSED_ABOVE = 512
_PLAIN, _DEFLATED = b"t", b"z"
_SQLITE_MAX = 2**63 - 1

_SCHEMA = """
create table if not exists questions (
    id integer primary key autoincrement, key blob not null unique, namespace text not null, room blob not null,
    tenant text not null, user_id text not null, key_id text not null, epoch text not null,
    text text not null, answer blob not null, vector blob not null, grp integer not null,
    confirmed integer not null default 0, refuted integer not null default 0, served integer not null default 0,
    cost text not null, made real not null, used real not null, expires real not null
);
create index if not exists questions_epoch on questions (namespace, epoch);
create index if not exists questions_used on questions (used);
create index if not exists questions_user on questions (user_id) where user_id <> '';
create index if not exists questions_expires on questions (expires) where expires > 0;
create table if not exists hits (
    id integer primary key autoincrement, at real not null, namespace text not null, tenant text not null,
    user_id text not null, text text not null, matched text not null, key blob not null,
    probability real not null, similarity real not null, saved text not null, wrong integer, owner text not null
);
create table if not exists namespaces (
    name text primary key, dump blob not null default x'', saved text not null default '0'
);
"""
_INSERT = """
insert into questions (key, namespace, room, tenant, user_id, key_id, epoch, text, answer, vector, grp, cost, made,
    used, expires) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_REFRESH = """
update questions set answer = ?, grp = ?, cost = ?, made = ?, used = ?, expires = ?, epoch = ?,
    confirmed = 0, refuted = 0 where id = ?
"""
_NEIGHBOURS = """
select id, key, text, grp, confirmed, refuted, served, made from questions
    where (expires = 0 or expires > ?) and id in ({marks})
"""
_INSERT_HIT = """
insert into hits values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null,
    coalesce((select user_id from questions where key = ?), ''))
"""
_HITS = "select at, namespace, tenant, user_id, text, matched, key, probability, similarity, saved, wrong from hits"


class Entries:
    """The file. Belongs to one thread. Every method raises ``UnavailableError`` when it cannot be used."""

    def __init__(self, file: Path, *, embedding: str) -> None:
        """``embedding`` names the model of the vectors. With another one, or other tables, all begins anew."""
        self._file = file
        with _available(file):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not file.exists():  # to close a file ends every lock that the process has on it, SQLite's among them
                os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(file, isolation_level=None)
            try:
                self._prepare(embedding)
            except sqlite3.Error:
                self._database.close()
                raise

    @classmethod
    def opened(cls, file: Path, *, embedding: str) -> "Entries":
        """The file; one that is damaged is replaced by an empty one."""
        try:
            return cls(file, embedding=embedding)
        except UnavailableError as problem:
            if not is_damage(problem):
                raise
        discard(file)
        return cls(file, embedding=embedding)

    def _prepare(self, embedding: str) -> None:
        for setting in ("journal_mode = wal", "synchronous = normal", "secure_delete = on", "temp_store = memory",
                        "wal_autocheckpoint = 0", "busy_timeout = 5000"):  # fmt: skip
            self._database.execute(f"pragma {setting}").fetchall()
        self._database.execute("create table if not exists about (name text primary key, value text not null)")
        before = self._database.execute("select value from about where name = 'of'").fetchone()
        of = f"{SCHEMA_VERSION} {embedding}"
        if before is not None and before[0] != of:
            for table in ("questions", "hits", "namespaces"):
                self._database.execute(f"drop table if exists {table}")
        self._database.executescript(_SCHEMA)
        self._database.execute("insert or replace into about values ('of', ?)", (of,))
        rows = self._database.execute("select namespace, count(*) from questions group by namespace").fetchall()
        self._counts = Counter(dict(rows))

    def __len__(self) -> int:
        return self._counts.total()

    def vectors(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Every id with its room and vector, in the order of the ids."""
        with _available(self._file):
            yield from self._database.execute("select id, room, vector from questions order by id")

    def neighbours(self, near: Sequence[tuple[int, float]], now: float) -> list[Neighbour]:
        """Entries by id, with their cosines, in the order given."""
        query = _NEIGHBOURS.format(marks=",".join("?" * len(near)))
        rows = {row[0]: row for row in self._rows(query, (now, *(number for number, _ in near)))}
        return [_neighbour(row, cosine, now) for number, cosine in near if (row := rows.get(number))]

    def answers(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Answers by key."""
        marks = ",".join("?" * len(keys))
        rows = self._rows(f"select key, answer from questions where key in ({marks})", keys)  # noqa: S608 - marks only
        return {key: unpacked(answer) for key, answer in rows}

    def add(self, question: Question) -> int:
        """Keep a question. Its id when it is new, 0 when one of the same room and key got another answer."""
        q = question
        found = self._rows("select id, room from questions where key = ?", (q.key,))
        if found and found[0][1] == q.room:
            refreshed = (packed(q.answer), q.group, q.cost, q.made, q.made, q.expires, q.epoch, found[0][0])
            self._do(_REFRESH, refreshed)
            return 0
        if found:
            self.delete([found[0][0]])
        row = (q.key, q.namespace, q.room, q.tenant, q.user, q.key_id, q.epoch, q.text, packed(q.answer), q.vector,
               q.group, q.cost, q.made, q.made, q.expires)  # fmt: skip
        number = self._do(_INSERT, row).lastrowid or 0
        self._counts[q.namespace] += 1
        return number

    def tally(self, key: bytes, now: float, *, confirmed: int, refuted: int, served: int) -> None:
        """Add to an entry's counts, and say that it was of use."""
        query = """update questions set confirmed = confirmed + ?, refuted = refuted + ?, served = served + ?,
            used = max(used, ?) where key = ?"""
        self._do(query, (confirmed, refuted, served, now, key))

    def regroup(self, key: bytes, group: int) -> None:
        """Its answer agrees with those of a group."""
        self._do("update questions set grp = ? where key = ?", (min(group, _SQLITE_MAX), key))

    def where(self, condition: str, values: Sequence[Any], *, limit: int = -1) -> list[tuple[int, bytes]]:
        """Ids and rooms of entries."""
        query = f"select id, room from questions where {condition} limit ?"  # noqa: S608 - our own conditions
        return self._rows(query, (*values, limit))

    def oldest(self, count: int) -> list[tuple[int, bytes]]:
        """Those that were of no use for longest."""
        return self._rows("select id, room from questions order by used limit ?", (count,))

    def delete(self, ids: Sequence[int]) -> None:
        """Delete entries by id: a few, or in pieces of ``STEP``."""
        for some in parts(ids, STEP):
            marks = ",".join("?" * len(some))
            query = f"delete from questions where id in ({marks}) returning namespace"  # noqa: S608 - marks only
            self._counts -= Counter(namespace for (namespace,) in self._rows(query, some))

    def delete_hits(self, condition: str, values: Sequence[Any]) -> None:
        """Delete the hits of a condition."""
        self._do(f"delete from hits where {condition}", values)  # noqa: S608 - our own conditions

    def hit(self, hit: Hit) -> None:
        """Remember a hit, forget the oldest, and add to what was saved."""
        with _available(self._file), self._transaction():
            row = (hit.at, hit.namespace, hit.tenant, hit.user, hit.question, hit.matched, hit.key, hit.probability,
                   hit.similarity, hit.saved, hit.key)  # fmt: skip
            added = self._database.execute(_INSERT_HIT, row)
            self._database.execute("delete from hits where id <= ?", ((added.lastrowid or 0) - HITS_KEPT,))
            saved = Decimal(self._totals().get(hit.namespace, "0")) + Decimal(hit.saved)
            query = "insert into namespaces (name, saved) values (?1, ?2) on conflict (name) do update set saved = ?2"
            self._database.execute(query, (hit.namespace, f"{saved:f}"))

    def judged(self, key: bytes, text: str, *, wrong: bool, tenant: str) -> Hit | None:
        """Mark a hit; the latest of those meant."""
        condition, values = of_tenant(tenant) if tenant else ("1 = 1", ())
        about = f"key = ? and text = ? and {condition}"
        self._do(f"update hits set wrong = ? where {about}", (int(wrong), key, text, *values))  # noqa: S608 - ours
        rows = self._rows(f"{_HITS} where {about} order by id desc limit 1", (key, text, *values))
        return hit_of(rows[0]) if rows else None

    def hits(self, tenant: str, namespace: str, limit: int) -> list[Hit]:
        """The latest hits, newest first."""
        condition, values = of_tenant(tenant) if tenant else ("1 = 1", ())
        query = f"{_HITS} where {condition} and (? = '' or namespace = ?) order by id desc limit ?"
        return [hit_of(row) for row in self._rows(query, (*values, namespace, namespace, limit))]

    def totals(self) -> Mapping[str, Total]:
        """What there is, by namespace."""
        with _available(self._file):
            saved = self._totals()
        names = {*saved, *(name for name, count in self._counts.items() if count)}
        return {name: Total(entries=self._counts[name], saved=saved.get(name, "0")) for name in names}

    def learned(self, namespace: str) -> bytes:
        """What was kept of a namespace."""
        rows = self._rows("select dump from namespaces where name = ?", (namespace,))
        return rows[0][0] if rows else b""

    def keep(self, namespace: str, dump: bytes) -> None:
        """Keep what a namespace learned."""
        query = "insert into namespaces (name, dump) values (?1, ?2) on conflict (name) do update set dump = ?2"
        self._do(query, (namespace, dump))

    def empty_log(self) -> None:
        """Carry everything from the log into the file, and cut the log."""
        if self._rows("pragma wal_checkpoint(truncate)", ())[0][0]:
            raise UnavailableError(f"The log of {self._file} is in use", remedy="Purge again")

    def bytes(self) -> int:
        """Size of the files."""
        return sum(f.stat().st_size for f in files(self._file) if f.exists())

    def close(self) -> None:
        """Close the file; the log goes with it."""
        self._database.close()

    def _totals(self) -> dict[str, str]:
        return dict(self._database.execute("select name, saved from namespaces").fetchall())

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with _available(self._file):
            return self._database.execute(query, values).fetchall()

    def _do(self, query: str, values: Sequence[Any]) -> sqlite3.Cursor:
        with _available(self._file):
            return self._database.execute(query, values)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._database.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._database.execute("rollback")
            raise
        self._database.execute("commit")


def checkpoint(file: Path) -> None:
    """Carry the log into the file, beside whoever reads and writes: for a thread."""
    with _available(file):
        beside = sqlite3.connect(file, isolation_level=None)
        try:
            beside.execute("pragma wal_checkpoint(passive)").fetchall()
        finally:
            beside.close()


def files(file: Path) -> tuple[Path, ...]:
    """The database and what SQLite puts beside it."""
    return tuple(file.with_name(file.name + end) for end in ("", "-wal", "-shm"))


def discard(file: Path) -> None:
    """Remove a database that cannot be read."""
    for one in files(file):
        one.unlink(missing_ok=True)


def is_damage(problem: UnavailableError) -> bool:
    """Whether the file itself is the problem, rather than who holds it or the disk."""
    cause = problem.__cause__
    return isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError)


def packed(answer: str) -> bytes:
    """An answer as it is kept, compressed where that pays."""
    raw = answer.encode()
    return _DEFLATED + zlib.compress(raw, 1) if len(raw) > COMPRESSED_ABOVE else _PLAIN + raw


def unpacked(kept: bytes) -> str:
    """An answer as it was."""
    return (zlib.decompress(kept[1:]) if kept[:1] == _DEFLATED else kept[1:]).decode()


def hit_of(row: Sequence[Any]) -> Hit:
    """A row of the table of hits."""
    at, namespace, tenant, user, question, matched, key, probability, similarity, saved, wrong = row
    return Hit(
        at=at, namespace=namespace, tenant=tenant, user=user, question=question, matched=matched, key=bytes(key),
        probability=probability, similarity=similarity, saved=str(saved), wrong=None if wrong is None else bool(wrong),
    )  # fmt: skip


def _neighbour(row: Sequence[Any], cosine: float, now: float) -> Neighbour:
    number, key, text, group, confirmed, refuted, served, made = row
    return Neighbour(
        key=key, text=text, group=group or number, similarity=cosine, confirmed=confirmed, refuted=refuted,
        served=served, age=max(0.0, now - made),
    )  # fmt: skip


@contextmanager
def _available(file: Path) -> Generator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as problem:
        raise UnavailableError(
            f"The semantic cache's file {file} cannot be used: {problem}",
            remedy="Remove it: it holds nothing but copies",
        ) from problem
