"""The shared store of several machines: a table in the Postgres that holds the state.

Workers ask it by a connection of their own each, beside what they do. Every second they ask for the *generation*, too,
which a purge moves on; a purge waits until all of them must have heard of it. What cannot be reached is a miss.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, LiteralString, Self, TypeVar, cast

import psycopg

from farthing.cache import asks
from farthing.cache.entry import Amount, Entry, Purge
from farthing.cache.rows import COLUMNS, conditions, entry_of, row_of
from farthing.core.errors import UnavailableError

POLL_SECONDS = 1.0
"""How often a worker asks whether something was purged."""

CONNECT_SECONDS = 5
PAUSE_SECONDS = 2.0
"""Between attempts to reach a server that was gone."""

STATEMENT_MS = 2000
TOUCHED = 500

_LOST = 32
"""Bits of a generation that count purges; those above count lost connections."""

_LOCK = 0x6661727470
"""Whoever makes the table holds this advisory lock."""

_SCHEMA = """
create table if not exists cache_entries (
    key bytea primary key, kind text not null, namespace text not null, tenant text not null, epoch text not null,
    of_org text not null, of_team text not null, of_project text not null, of_environment text not null,
    of_feature text not null, of_customer text not null, of_user text not null, of_key text not null,
    made float8 not null, expires float8 not null, used float8 not null, size bigint not null,
    about bytea not null, body bytea not null
);
create index if not exists cache_entries_used on cache_entries (used);
create table if not exists cache_generation (number bigint not null);
insert into cache_generation select 0 where not exists (select 1 from cache_generation);
"""
_ASKS = cast("LiteralString", asks.on_postgres(asks.SCHEMA))
_log = logging.getLogger(__name__)

T = TypeVar("T")


class PostgresStore:
    """Entries in one table, for what is done with them beside requests: purging, expiring, counting."""

    def __init__(self, url: str, *, limit: int) -> None:
        """``limit`` is in bytes. Raises ``UnavailableError`` when the server cannot be used."""
        self._limit = limit
        try:
            self._connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)
            prepare(self._connection)
        except psycopg.Error as problem:
            raise _unreachable(problem) from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def purge(self, what: Purge) -> int:
        """Remove entries, and wait until every worker has heard of it; how many that were.

        Raises ``InputError`` for a key that is none, ``UnavailableError`` when the server cannot be reached.
        """
        where, values = _condition(what)
        try:
            with self._connection.transaction():  # waits for what is being written, and keeps the rest from it
                self._connection.execute("update cache_generation set number = number + 1")
                gone = self._run(_DELETE + where, values)
        except psycopg.Error as problem:
            raise _unreachable(problem) from problem
        self.within(lambda execute: asks.purge(execute, *conditions(what)))
        self._run("vacuum cache_entries, cache_asks", ())
        time.sleep(2 * POLL_SECONDS)
        return gone

    def within(self, work: Callable[[asks.Execute], T]) -> T:
        """Run work in a transaction. Raises ``UnavailableError`` when the server cannot be reached."""

        def execute(query: str, values: Sequence[Any]) -> list[Any]:
            done = self._connection.execute(cast("LiteralString", query.replace("?", "%s")), values)
            return done.fetchall() if done.description else []

        try:
            with self._connection.transaction():
                return work(execute)
        except psycopg.Error as problem:
            raise _unreachable(problem) from problem

    def look(self, query: str, values: Sequence[Any]) -> list[Any]:
        """The rows of a query. Raises ``UnavailableError`` when the server cannot be reached."""
        return self._rows(query.replace("?", "%s"), values)

    def keys_of(self, what: Purge) -> list[bytes]:
        """The keys of what a purge would remove."""
        where, values = _condition(what)
        return [bytes(row[0]) for row in self._rows(_KEYS + where, values)]

    def expire(self, now: float) -> int:
        """Remove what expired, and what was not used for longest where there is no room; how many that were."""
        gone = self._run("delete from cache_entries where expires > 0 and expires <= %s", (now,))
        while beyond := self.amount().beyond(self._limit):
            gone += self._run(_DELETE + _OLDEST, (beyond,))
        return gone

    def amount(self) -> Amount:
        """How much there is."""
        ((entries, size),) = self._rows("select count(*), coalesce(sum(size), 0) from cache_entries", ())
        return Amount(entries=entries, bytes=int(size))

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()

    def _run(self, query: str, values: Sequence[Any]) -> int:
        try:
            return self._connection.execute(cast("LiteralString", query), values).rowcount
        except psycopg.Error as problem:
            raise _unreachable(problem) from problem

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._connection.execute(cast("LiteralString", query), values).fetchall()
        except psycopg.Error as problem:
            raise _unreachable(problem) from problem


class OnPostgres:
    """One worker's view of the table. ``start`` connects, and keeps connected."""

    def __init__(self, url: str, *, limit: int, clock: Callable[[], datetime]) -> None:
        self._url = url
        self._limit = limit
        self._clock = clock
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._generation = 0
        self._writing = asyncio.Lock()
        self._used: set[bytes] = set()

    def start(self) -> None:
        """Connect beside whatever else the loop does."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep_connected())

    async def get(self, key: bytes, now: float) -> Entry | None:
        """The entry, unless it expired or the server does not say."""
        return (await self.get_many((key,), now)).get(key)

    async def get_many(self, keys: Iterable[bytes], now: float) -> dict[bytes, Entry]:
        """Those entries that there are."""
        query = "select key, about, body from cache_entries where key = any(%s) and (expires = 0 or expires > %s)"
        found: dict[bytes, Entry] = {}
        for key, about, body in await self._ask(query, (list(keys), now)):
            entry = entry_of(bytes(about), bytes(body))
            if entry is not None:
                found[bytes(key)] = entry
        self._used.update(found)
        return found

    async def put(self, entries: Iterable[Entry], *, since: int) -> bool:
        """Keep them, unless something was purged since that generation; whether that was done."""
        now = self._clock().timestamp()
        rows = [row_of(entry, now) for entry in entries if entry.size <= self._limit]
        if self._connection is None or since >> _LOST != self._generation >> _LOST:
            return False
        async with self._writing:
            return await self._write(self._connection, rows, since & (1 << _LOST) - 1)

    def generation(self) -> int:
        """As the worker heard it last, at most ``POLL_SECONDS`` ago."""
        return self._generation

    async def aclose(self) -> None:
        """Hang up."""
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    async def _keep_connected(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=CONNECT_SECONDS,
                    options=f"-c statement_timeout={STATEMENT_MS}",
                ) as connection:  # fmt: skip
                    await _prepare(connection)
                    await self._listen(connection)
            except psycopg.Error as problem:
                _log.warning("the shared cache in Postgres is not there: %s", str(problem).strip())
            finally:
                self._connection = None
            self._generation = (
                self._generation >> _LOST
            ) + 1 << _LOST  # what was purged meanwhile is not known: trust nothing
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Hear of purges, and say what was used, until the connection breaks."""
        lost = self._generation >> _LOST << _LOST
        while True:
            rows = await (await connection.execute("select number from cache_generation")).fetchall()
            self._generation = lost + int(rows[0][0])
            self._connection = connection
            if len(self._used) >= TOUCHED:
                used, self._used = list(self._used), set()
                now = self._clock().timestamp()
                await connection.execute("update cache_entries set used = %s where key = any(%s)", (now, used))
            await asyncio.sleep(POLL_SECONDS)

    async def _ask(self, query: LiteralString, values: Sequence[Any]) -> list[Any]:
        if self._connection is None:
            return []
        try:
            return await (await self._connection.execute(query, values)).fetchall()
        except psycopg.Error:
            return []

    async def _write(
        self, connection: psycopg.AsyncConnection[Any], rows: Sequence[Sequence[Any]], number: int
    ) -> bool:
        """Write rows, if that is the generation still: a purge waits for this transaction, or this one for it."""
        try:
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.execute("select number from cache_generation for share")
                found = await cursor.fetchone()
                if found is None or found[0] != number:
                    return False
                await cursor.executemany(_PUT, rows)
        except psycopg.Error:
            return False
        return True


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the table, unless it is there."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(_SCHEMA)
        connection.execute(_ASKS)


async def _prepare(connection: psycopg.AsyncConnection[Any]) -> None:
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        await connection.execute(_SCHEMA)
        await connection.execute(_ASKS)


def _condition(what: Purge) -> tuple[str, tuple[Any, ...]]:
    where, values = conditions(what)
    return where.replace("?", "%s"), values


def _unreachable(problem: Exception) -> UnavailableError:
    return UnavailableError(f"The shared cache does not answer: {str(problem).strip()}", remedy="Check state.url")


_DELETE = "delete from cache_entries where "
_OLDEST = "key in (select key from cache_entries order by used limit %s)"
_KEYS = "select key from cache_entries where "
_PUT = cast(
    "LiteralString",
    f"insert into cache_entries ({', '.join(COLUMNS)}) values ({', '.join(['%s'] * len(COLUMNS))})"  # noqa: S608 - fixed
    f" on conflict (key) do update set {', '.join(f'{name} = excluded.{name}' for name in COLUMNS[1:])}",
)
