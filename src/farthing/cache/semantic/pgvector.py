"""The questions of several hosts: tables in Postgres, searched by its ``vector`` extension.

What one host learned the other finds at once, and labels are shared: each host reads what the others observed. Small
rooms are searched exactly, large ones by an HNSW index that goes on until it found enough of the room (pgvector 0.8,
https://github.com/pgvector/pgvector, read 2026-11-21). A purge deletes and vacuums; the server's own log and its
backups are the server's.
"""

import asyncio
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from farthing.cache.semantic.entries import SCHEMA_VERSION, hit_of, packed, unpacked
from farthing.cache.semantic.ports import Neighbour
from farthing.cache.semantic.questions import (
    HITS_KEPT,
    NEAREST,
    Observation,
    Question,
    Total,
    condition,
    of_hits,
    of_tenant,
)
from farthing.cache.semantic.wire import Hit, What
from farthing.core.errors import UnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Small = NDArray[np.int8]

CONNECTIONS = 4
CONNECT_SECONDS = 5
LARGE = 5_000
"""Entries of a room from which the index is used."""

OBSERVATIONS_KEPT = 100_000
EXPIRED_AT_ONCE = 1_000
TRIM_SECONDS = 60.0
EVICTED_SHARE = 0.01

_LOCK = 0x6661727468
"""Whoever makes the tables holds this advisory lock."""

_TABLES = ("cache_questions", "cache_hits", "cache_namespaces", "cache_observations")
_ABOUT = "create table if not exists cache_about (name text primary key, value text not null)"
_SCHEMA = """
create table if not exists cache_questions (
    id bigserial primary key, key bytea not null unique, namespace text not null, room bytea not null,
    tenant text not null, user_id text not null, key_id text not null, epoch text not null,
    text text not null, answer bytea not null, vector halfvec({dimensions}) not null, grp bigint not null,
    confirmed bigint not null default 0, refuted bigint not null default 0, served bigint not null default 0,
    cost text not null, made float8 not null, used float8 not null, expires float8 not null
);
create index if not exists cache_questions_room on cache_questions (room);
create index if not exists cache_questions_epoch on cache_questions (namespace, epoch);
create index if not exists cache_questions_used on cache_questions (used);
create index if not exists cache_questions_user on cache_questions (user_id) where user_id <> '';
create index if not exists cache_questions_expires on cache_questions (expires) where expires > 0;
create index if not exists cache_questions_near on cache_questions using hnsw (vector halfvec_cosine_ops);
create table if not exists cache_hits (
    id bigserial primary key, at float8 not null, namespace text not null, tenant text not null,
    user_id text not null, text text not null, matched text not null, key bytea not null,
    probability float8 not null, similarity float8 not null, saved numeric not null, wrong boolean,
    owner text not null
);
create table if not exists cache_namespaces (
    name text primary key, dump bytea not null default '', seen bigint not null default 0,
    saved numeric not null default 0
);
create table if not exists cache_observations (
    id bigserial primary key, origin text not null, namespace text not null, body bytea not null
);
"""
_INSERT = """
insert into cache_questions as q (key, namespace, room, tenant, user_id, key_id, epoch, text, answer, vector, grp,
    cost, made, used, expires) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::halfvec, %s, %s, %s, %s, %s)
on conflict (key) do update set namespace = excluded.namespace, room = excluded.room, tenant = excluded.tenant,
    user_id = excluded.user_id, key_id = excluded.key_id, epoch = excluded.epoch, text = excluded.text,
    answer = excluded.answer, vector = excluded.vector, grp = excluded.grp, cost = excluded.cost,
    made = excluded.made, used = excluded.used, expires = excluded.expires, confirmed = 0, refuted = 0
"""
_FIELDS = "id, key, text, grp, confirmed, refuted, served, made"
_HERE = "room = %(room)s and (expires = 0 or expires > %(now)s)"
_EXACT = f"""
with here as materialized (select {_FIELDS}, vector from cache_questions where {_HERE} limit {LARGE})
select {_FIELDS}, 1 - (vector <=> %(vector)s::halfvec), (select count(*) from here)
    from here order by vector <=> %(vector)s::halfvec limit {NEAREST}
"""  # noqa: S608 - our own names
_INDEXED = f"""
select {_FIELDS}, 1 - (vector <=> %(vector)s::halfvec), 0 from cache_questions
    where {_HERE} order by vector <=> %(vector)s::halfvec limit {NEAREST}
"""  # noqa: S608 - our own names
_INSERT_HIT = """
insert into cache_hits values (default, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, null,
    coalesce((select user_id from cache_questions where key = %s), ''))
"""
_HITS = (
    "select at, namespace, tenant, user_id, text, matched, key, probability, similarity, saved, wrong from cache_hits"
)


class PostgresQuestions:
    """``Questions`` in a database that several hosts share."""

    def __init__(self, url: str, *, limit: int) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._limit = limit
        self._origin = secrets.token_hex(8)
        self._idle: asyncio.LifoQueue[psycopg.AsyncConnection[Any] | None] = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            self._idle.put_nowait(None)
        self._large: set[bytes] = set()
        self._seen: dict[str, int] = {}
        self._read = 0
        self._trimmed = 0.0

    @classmethod
    async def opened(cls, url: str, *, limit: int, embedding: str, dimensions: int) -> "PostgresQuestions":
        """The tables, made where they are missing. Those of another ``embedding`` or release begin anew.

        Raises ``UnavailableError``, also where the server lacks the extension.
        """
        self = cls(url, limit=limit)
        with _available():
            async with await self._connected() as connection, connection.transaction():
                await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
                await connection.execute("create extension if not exists vector")
                await connection.execute(_ABOUT)
                cursor = await connection.execute("select value from cache_about where name = 'of'")
                before, of = await cursor.fetchone(), f"{SCHEMA_VERSION} {embedding}"
                if before is not None and before[0] != of:
                    for table in _TABLES:
                        await connection.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(table)))
                await connection.execute(sql.SQL(_SCHEMA).format(dimensions=sql.Literal(dimensions)))
                query = "insert into cache_about values ('of', %s) on conflict (name) do update set value = %s"
                await connection.execute(query, (of, of))
        return self

    async def nearest(self, room: bytes, vector: "Small", now: float) -> list[Neighbour]:
        values = {"room": room, "now": now, "vector": _written(vector)}
        rows = await self._rows(_INDEXED if room in self._large else _EXACT, values)
        if rows and rows[0][-1] >= LARGE:
            self._large.add(room)
            rows = await self._rows(_INDEXED, values)
        return [_neighbour(row, now) for row in rows]

    async def answers(self, keys: Sequence[bytes]) -> Mapping[bytes, str]:
        rows = await self._rows("select key, answer from cache_questions where key = any(%s)", (list(keys),))
        return {bytes(key): unpacked(bytes(answer)) for key, answer in rows}

    async def add(self, question: Question) -> None:
        import numpy as np

        q = question
        vector = _written(np.frombuffer(q.vector, dtype=np.int8))
        row = (q.key, q.namespace, q.room, q.tenant, q.user, q.key_id, q.epoch, q.text, packed(q.answer), vector,
               q.group, q.cost, q.made, q.made, q.expires)  # fmt: skip
        if self._limit > 0:
            await self._do(_INSERT, row)

    async def tally(self, key: bytes, now: float, *, confirmed: int = 0, refuted: int = 0, served: int = 0) -> None:
        query = """update cache_questions set confirmed = confirmed + %s, refuted = refuted + %s, served = served + %s,
            used = greatest(used, %s) where key = %s"""
        await self._do(query, (confirmed, refuted, served, now, key))

    async def regroup(self, key: bytes, group: int) -> None:
        await self._do("update cache_questions set grp = %s where key = %s", (group, key))

    async def forget(self, key: bytes) -> None:
        await self._do("delete from cache_questions where key = %s", (key,))

    async def remove(self, what: What, value: str, *, epoch: str = "") -> int:
        plain, values = condition(what, value, epoch=epoch)
        hits, of = of_hits(what, value, where=plain, values=values)
        await self._do(f"delete from cache_hits where {_for_postgres(hits)}", of)  # noqa: S608 - our own conditions
        gone = await self._do(f"delete from cache_questions where {_for_postgres(plain)}", values)  # noqa: S608 - ours
        if gone:
            await self._do("delete from cache_observations", ())
            for table in ("cache_questions", "cache_hits", "cache_observations"):
                await self._do(f"vacuum {table}", ())
        return gone

    async def hit(self, hit: Hit) -> None:
        row = (hit.at, hit.namespace, hit.tenant, hit.user, hit.question, hit.matched, hit.key, hit.probability,
               hit.similarity, Decimal(hit.saved), hit.key)  # fmt: skip
        await self._do(_INSERT_HIT, row)
        query = """insert into cache_namespaces as n (name, saved) values (%s, %s)
            on conflict (name) do update set saved = n.saved + excluded.saved"""
        await self._do(query, (hit.namespace, Decimal(hit.saved)))

    async def judged(self, key: bytes, text: str, *, wrong: bool, tenant: str) -> Hit | None:
        where, values = _scoped(tenant)
        about = f"key = %s and text = %s and {where}"
        await self._do(f"update cache_hits set wrong = %s where {about}", (wrong, key, text, *values))  # noqa: S608
        rows = await self._rows(f"{_HITS} where {about} order by id desc limit 1", (key, text, *values))
        return hit_of(rows[0]) if rows else None

    async def hits(self, tenant: str, namespace: str, limit: int) -> Sequence[Hit]:
        where, values = _scoped(tenant)
        query = f"{_HITS} where {where} and (%s = '' or namespace = %s) order by id desc limit %s"
        return [hit_of(row) for row in await self._rows(query, (*values, namespace, namespace, limit))]

    async def totals(self) -> Mapping[str, Total]:
        rows = await self._rows("select namespace, count(*) from cache_questions group by namespace", ())
        counts: dict[str, int] = dict(rows)
        saved: dict[str, Decimal] = dict(await self._rows("select name, saved from cache_namespaces", ()))
        return {
            name: Total(entries=counts.get(name, 0), saved=f"{saved.get(name, Decimal()):f}")
            for name in {*counts, *saved}
        }

    async def learned(self, namespace: str) -> bytes:
        rows = await self._rows("select dump, seen from cache_namespaces where name = %s", (namespace,))
        dump, seen = rows[0] if rows else (b"", 0)
        self._seen[namespace] = seen
        self._read = min(self._seen.values())
        return bytes(dump)

    async def keep(self, namespace: str, dump: bytes) -> None:
        query = """insert into cache_namespaces (name, dump, seen) values (%s, %s, %s)
            on conflict (name) do update set dump = excluded.dump, seen = excluded.seen"""
        await self._do(query, (namespace, dump, self._read))

    async def share(self, namespace: str, body: bytes) -> None:
        query = "insert into cache_observations (origin, namespace, body) values (%s, %s, %s)"
        await self._do(query, (self._origin, namespace, body))

    async def shared(self) -> Sequence[Observation]:
        query = "select id, origin, namespace, body from cache_observations where id > %s order by id limit 10000"
        rows = await self._rows(query, (self._read,))
        found = [
            Observation(number=number, namespace=namespace, body=bytes(body))
            for number, origin, namespace, body in rows
            if origin != self._origin and number > self._seen.get(namespace, 0)
        ]
        if rows:
            self._read = int(rows[-1][0])
            self._seen = dict.fromkeys(self._seen, self._read)
        return found

    async def upkeep(self, now: float) -> None:
        if now - self._trimmed < TRIM_SECONDS:
            return
        self._trimmed = now
        self._large.clear()
        some = "select id from cache_questions where expires > 0 and expires <= %s limit %s"
        await self._do(f"delete from cache_questions where id in ({some})", (now, EXPIRED_AT_ONCE))  # noqa: S608
        count = (await self._rows("select count(*) from cache_questions", ()))[0][0]
        if count > self._limit:
            oldest = "select id from cache_questions order by used limit %s"
            more = count - self._limit + int(self._limit * EVICTED_SHARE)
            await self._do(f"delete from cache_questions where id in ({oldest})", (more,))  # noqa: S608 - our own
        for table, kept in (("cache_hits", HITS_KEPT), ("cache_observations", OBSERVATIONS_KEPT)):
            await self._do(f"delete from {table} where id <= (select max(id) from {table}) - %s", (kept,))  # noqa: S608

    def rooms(self) -> int:
        """None is in memory."""
        return 0

    def disk(self) -> int:
        """Nothing is on this host's."""
        return 0

    def stop(self) -> None:
        """Nothing takes long."""

    async def aclose(self) -> None:
        for _ in range(CONNECTIONS):
            connection = await self._idle.get()
            if connection is not None:
                await connection.close()

    async def _rows(self, query: str, values: Any) -> list[Any]:
        return await self._ask(query, values, fetch=True)

    async def _do(self, query: str, values: Any) -> int:
        return await self._ask(query, values, fetch=False)

    async def _ask(self, query: str, values: Any, *, fetch: bool) -> Any:
        connection = await self._idle.get()
        try:
            with _available():
                if connection is None or connection.closed:
                    connection = await self._connected()
                cursor = await connection.execute(query.encode(), values or None)
                return await cursor.fetchall() if fetch else cursor.rowcount
        finally:
            self._idle.put_nowait(connection)

    async def _connected(self) -> "psycopg.AsyncConnection[Any]":
        connection = await psycopg.AsyncConnection[Any].connect(
            self._url, autocommit=True, connect_timeout=CONNECT_SECONDS
        )
        with suppress(psycopg.errors.UndefinedObject):  # the extension is not there yet, or older than 0.8
            await connection.execute("set hnsw.iterative_scan = strict_order")
        return connection


def _written(vector: "Small") -> str:
    """A vector as Postgres reads it. Whole numbers up to 127 are exact in half precision."""
    return f"[{','.join(map(str, vector.tolist()))}]"


def _for_postgres(where: str) -> str:
    return where.replace("?", "%s").replace("instr(", "strpos(")


def _scoped(tenant: str) -> tuple[str, tuple[str, ...]]:
    """What a tenant may see, as SQL."""
    where, values = of_tenant(tenant) if tenant else ("true", ())
    return _for_postgres(where), values


def _neighbour(row: Sequence[Any], now: float) -> Neighbour:
    number, key, text, group, confirmed, refuted, served, made, similarity, _ = row
    return Neighbour(
        key=bytes(key), text=text, group=group or number, similarity=similarity, confirmed=confirmed, refuted=refuted,
        served=served, age=max(0.0, now - made),
    )  # fmt: skip


@contextmanager
def _available() -> Generator[None]:
    try:
        yield
    except psycopg.Error as problem:
        raise UnavailableError(
            f"The semantic cache's tables cannot be used: {str(problem).strip()}",
            remedy="Check state.url, its server, and that it has the extension vector 0.8 or later",
        ) from problem
