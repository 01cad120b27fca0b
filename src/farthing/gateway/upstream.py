"""Moves bytes to providers and back: pooled HTTP/1.1 connections, TLS verified, nothing retried but a stale one.

Proxies are not used. A provider that must be reached through one is configured with the proxy's
own address as ``base_url``.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator

import msgspec

from farthing.core.errors import UpstreamError
from farthing.core.facts import ErrorKind
from farthing.gateway.ports import Ask, Headers, Timeouts
from farthing.gateway.reach import Guard
from farthing.gateway.upstream_http import Connection, Origin, locate, request_head

REPLAY_SECONDS = 1.0
"""How soon after sending a lost connection still means that the provider closed an idle one."""

LINGER_SECONDS = 1.0
"""How long a body may take to end after its last event was seen, before the connection is cut."""

_NEVER = float("inf")
_NONE = Timeouts()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds per phase, and connections per origin.

    ``connect`` covers name, socket and TLS, and the wait for a free connection. ``first_byte`` runs
    from the request to the answer's head, ``read`` between two reads of its body. An unused
    connection is closed after ``idle``.
    """

    connect: float = 5
    first_byte: float = 600
    read: float = 120
    idle: float = 60
    connections: int = 512


class _Pool:
    """Connections to one origin. Free ones are used newest first, so that the oldest can expire."""

    def __init__(self) -> None:
        self.free: deque[Connection] = deque()
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.open = 0

    def take(self) -> Connection | None:
        while self.free:
            connection = self.free.pop()
            if not connection.closed:
                return connection
            self.open -= 1
        return None

    def leave(self) -> None:
        self.open -= 1
        self.wake()

    def wake(self) -> None:
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class HttpAnswer:
    """An answer whose head has arrived; ``chunks`` may be iterated once."""

    def __init__(self, connection: Connection, upstream: "HttpUpstream", read: float) -> None:
        self.status = connection.status
        self.headers: Headers = connection.headers
        self._connection: Connection | None = connection
        self._upstream = upstream
        self._read = read

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ``UpstreamError`` when it breaks or stalls."""
        connection, upstream = self._connection, self._upstream
        while connection is not None:
            connection.deadline = upstream.now() + self._read
            data = await connection.read()
            if not data:
                return
            connection.deadline = _NEVER
            yield data

    async def aclose(self) -> None:
        """Give the connection back, or cut it when the body was not read to its end."""
        if (connection := self._taken()) is not None:
            self._upstream.give_back(connection)

    def release(self) -> None:
        """The answer is complete: keep the connection as soon as what is left of the body has arrived."""
        if (connection := self._taken()) is not None:
            self._upstream.linger(connection)

    def _taken(self) -> Connection | None:
        connection, self._connection = self._connection, None
        return connection


class HttpUpstream:
    """The ``Upstream`` of a worker; belongs to the event loop it was made on.

    A request is sent again in one case only, and never if it says ``once``: it went out on a reused
    connection which the provider closed within ``REPLAY_SECONDS`` without one byte of an answer. Providers
    close idle connections while a request is under way to them; one that had begun to answer would not have
    closed so soon and so silently. Every other failure is the caller's to judge, because a provider may bill
    what it never answered.
    """

    def __init__(
        self, limits: Limits | None = None, *, tls: ssl.SSLContext | None = None, guard: Guard | None = None
    ) -> None:
        """``guard`` says where it may connect to; without one, private networks are allowed."""
        self.limits = limits or Limits()
        self._guard = guard or Guard(private=True)
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._tls = tls
        self._pools: dict[Origin, _Pool] = {}
        self._busy: set[Connection] = set()
        self._tick = min(0.25, self.limits.connect / 4, self.limits.first_byte / 4, self.limits.read / 4)
        self._sweeper = self._loop.call_later(self._tick, self._sweep)

    async def open(self, ask: Ask) -> HttpAnswer:
        """Send it and wait for the head. Raises ``UpstreamError`` with its kind."""
        origin, host, target = locate(ask.url)
        head = request_head(ask, host, target)
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = _Pool()
        own = ask.timeouts or _NONE
        first_byte, read = own.first_byte or self.limits.first_byte, own.read or self.limits.read
        while True:
            free = None if ask.once else pool.take()
            connection = free or await self._connect(origin, pool, own.connect or self.limits.connect)
            sent = self.now()
            self._busy.add(connection)
            connection.deadline = sent + first_byte
            try:
                connection.send(head, ask.body)
                await connection.head()
            except UpstreamError as problem:
                self.give_back(connection)
                if ask.once or not self._stale(connection, problem, sent):
                    raise
            except asyncio.CancelledError:
                self.give_back(connection)
                raise
            else:
                return HttpAnswer(connection, self, read)

    def _stale(self, connection: Connection, problem: UpstreamError, sent: float) -> bool:
        return (
            problem.kind == ErrorKind.RESET
            and connection.served > 1
            and not connection.touched
            and self.now() - sent < REPLAY_SECONDS
        )

    async def _connect(self, origin: Origin, pool: _Pool, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                while pool.open >= self.limits.connections:
                    waiter = self._loop.create_future()
                    pool.waiting.append(waiter)
                    await waiter
                    if (free := pool.take()) is not None:
                        return free
                pool.open += 1
                try:
                    return await self._dial(origin)
                except BaseException:
                    pool.leave()
                    raise
        except TimeoutError:
            raise _unreachable(origin, "no connection in time") from None
        except OSError as problem:
            raise _unreachable(origin, str(problem)) from problem

    async def _dial(self, origin: Origin) -> Connection:
        context = None
        if origin.tls:
            context = self._tls = self._tls or ssl.create_default_context()
        problem: OSError | None = None
        for address in await self._guard.addresses(origin.host, origin.port):
            try:
                _, connection = await self._loop.create_connection(
                    lambda: Connection(origin, self._loop),
                    address,
                    origin.port,
                    ssl=context,
                    server_hostname=origin.host if origin.tls else None,
                )
            except OSError as failed:
                problem = failed
            else:
                return connection
        raise problem or ConnectionRefusedError(f"{origin.host} has no address")

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose exchange is complete for the next one; cut any other."""
        self._busy.discard(connection)
        pool = self._pools[connection.origin]
        connection.deadline = _NEVER
        if connection.reusable:
            connection.idle_since = self.now()
            pool.free.append(connection)
            pool.wake()
        else:
            connection.cut()
            pool.leave()

    def linger(self, connection: Connection) -> None:
        """Keep a connection once the rest of its answer has arrived, which is thrown away."""
        if connection.complete or connection.closed:
            self.give_back(connection)
        else:
            connection.deadline = self.now() + LINGER_SECONDS
            connection.discard(self.give_back)

    def _sweep(self) -> None:
        now = self.now()
        for connection in [c for c in self._busy if c.deadline < now]:
            connection.expire()
        for pool in self._pools.values():
            while pool.free and (pool.free[0].closed or pool.free[0].idle_since + self.limits.idle < now):
                pool.free.popleft().cut()
                pool.leave()
        self._sweeper = self._loop.call_later(self._tick, self._sweep)

    async def aclose(self) -> None:
        """Cut every connection."""
        self._sweeper.cancel()
        for pool in self._pools.values():
            while pool.free:
                pool.free.pop().cut()
                pool.leave()
        for connection in list(self._busy):
            connection.cut()


def _unreachable(origin: Origin, why: str) -> UpstreamError:
    return UpstreamError(
        f"cannot reach {origin.host}:{origin.port} ({why})",
        provider=origin.host,
        kind=ErrorKind.CONNECT,
        remedy="Check the provider's base_url and the network",
    )
