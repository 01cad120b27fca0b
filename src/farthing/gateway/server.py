"""HTTP/1.1 for clients: asyncio's transport below, llhttp's parser beside it, one task for each exchange.

A general server costs what a general interface costs: dictionaries for each message, two awaits for each
part, a task to notice that the client left. Measured alone on one core, with a handler that reads a body and
answers 1 KB, uvicorn took 29 to 43 µs of CPU a request and this takes 20 to 24; with a body of 1 MB, which is
read from the socket into its place, 450 to 540 µs and 245 to 294.

What is strict is llhttp: no header is folded, no line ends in a bare LF, and a request whose length is
told twice, or as length and as chunks, is refused (RFC 9112, sections 6.3 and 11.2). What is bounded is
here: heads in bytes and in time, bodies in bytes, in time between two reads, and to what somebody asked
for; answers in time between two reads of the client. Pipelined requests are served one after the other.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import cast
from urllib.parse import unquote

import httptools

from farthing.gateway.client import Body, Client
from farthing.gateway.ports import Headers

HEAD_LIMIT = 64 * 1024
"""Bytes in which a request's head must end."""

HEAD_SECONDS = 30.0
"""In which a request's head must be complete, from its first byte or from the connection's beginning."""

IDLE_SECONDS = 75.0
"""How long a connection is kept for another request. SDKs keep theirs for less."""

STALL_SECONDS = 60.0
"""How long a client may take to send the next part of a body, or to read the next part of an answer."""

LINGER_SECONDS = 2.0
"""How long the rest of an unwanted body is thrown away; closing at once would destroy the answer on its way."""

LAST_TASKS_SECONDS = 5.0
"""How long cancelled exchanges may take to journal what became of them."""

BACKLOG = 2048
_SCRATCH = 64 * 1024
_SWEEP_SECONDS = 1.0
_NEVER = float("inf")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSAL = b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
_BAD_REQUEST = b"400 Bad Request"
_TIMEOUT = b"408 Request Timeout"
_TOO_LARGE = b"431 Request Header Fields Too Large"
_log = logging.getLogger(__name__)


class Server:
    """A worker's connections. ``handle`` answers one exchange; it belongs to the event loop it is started on."""

    def __init__(self, handle: Callable[[Client], Awaitable[None]]) -> None:
        self.handle = handle
        self.draining = False
        self.connections: set[Connection] = set()
        self.scratch = memoryview(bytearray(_SCRATCH))
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, sock: socket.socket) -> None:
        """Accept connections from a listening socket."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self, loop), sock=sock, backlog=BACKLOG)
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep, loop)

    async def stop(self, grace: float) -> None:
        """Accept nothing new, give the exchanges under way ``grace`` seconds, then cancel them."""
        self.draining = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.retire()
        await self._wait(grace)
        for task in self._tasks():
            task.cancel()
        await self._wait(LAST_TASKS_SECONDS)
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.cut()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [c.serving.task for c in self.connections if c.serving is not None and c.serving.task is not None]

    async def _wait(self, seconds: float) -> None:
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=seconds)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [c for c in self.connections if c.deadline < now]:
            connection.expire()
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep, loop)


class Connection(asyncio.BufferedProtocol):
    """One client's connection.

    ``serving`` is the exchange under way, ``_arriving`` the request whose body is not complete, ``_queue``
    holds requests that were sent before the answer to an earlier one. ``deadline`` is the loop time after
    which the server's sweeper calls ``expire``, so that an exchange costs no timer of its own.
    """

    __slots__ = (
        "_arriving", "_begun", "_discarding", "_drained", "_head_bytes", "_headers", "_loop", "_parser", "_paused",
        "_queue", "_server", "_target", "_transport", "_upgrading", "deadline", "full", "serving",
    )  # fmt: skip

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.full = False
        self.serving: Client | None = None
        self.deadline = loop.time() + HEAD_SECONDS
        self._server = server
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[Client] = deque()
        self._arriving: Client | None = None
        self._target = b""
        self._headers: Headers = []
        self._begun = False
        self._head_bytes = 0
        self._paused = False
        self._upgrading = False
        self._discarding = False
        self._drained: asyncio.Future[None] | None = None

    # What an exchange does with it

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def listen(self) -> None:
        client = self._arriving
        if client is not None and client.expects and not client.incoming.begun:
            self.write(_CONTINUE)
        self.deadline = self._loop.time() + STALL_SECONDS
        self._resume()

    async def room(self) -> None:
        while self.full and self._transport is not None:
            self._drained = self._loop.create_future()
            await self._drained

    # What the server does with it

    def retire(self) -> None:
        """Close as soon as the exchange under way is over."""
        if self.serving is None:
            self._close()
        else:
            self.serving.keep = False

    def expire(self) -> None:
        """The deadline has passed."""
        if self.serving is None and self._begun and not self._discarding:
            self._reject(_TIMEOUT, "the request did not arrive in time")
        else:
            self.cut()

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        self.deadline = _NEVER
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)
        if self._server.draining:
            self._close()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to: a large body's own place, else a scratch that is used up before the next read."""
        del sizehint
        client = self._arriving
        return (None if client is None else client.incoming.room()) or self._server.scratch

    def buffer_updated(self, nbytes: int) -> None:
        client = self._arriving
        if self._discarding:
            return
        if client is not None and client.incoming.placed:
            if client.incoming.filled(nbytes):
                self._parser = httptools.HttpRequestParser(self)
                self.on_message_complete()
            else:
                self.deadline = self._loop.time() + STALL_SECONDS
            return
        self._parse(self._server.scratch[:nbytes])
        if self._begun:
            self._bound_head(nbytes)
        elif self._arriving is not None:
            self._bound_body(self._arriving.incoming)
        elif self._queue:
            self._pause()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.full = True
        self.deadline = self._loop.time() + STALL_SECONDS

    def resume_writing(self) -> None:
        self.full = False
        self.deadline = self._loop.time() + IDLE_SECONDS if self.serving is None else _NEVER
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._server.connections.discard(self)
        self._wake()
        if self.serving is not None:
            self.serving.leave()
        self._queue.clear()

    # What the parser calls

    def on_message_begin(self) -> None:
        self._begun = True

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._begun:  # trailers are not for us
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        headers, self._headers = self._headers, []
        target, self._target = self._target, b""
        self._begun, self._head_bytes = False, 0
        named = dict(headers)
        self._upgrading = b"upgrade" in named and parser.should_upgrade()
        chunked = b"transfer-encoding" in named
        client = self._arriving = Client(
            self,
            parser.get_method().decode(),
            path_of(target),
            headers,
            named=named,
            incoming=Body(-1 if chunked else int(named.get(b"content-length", b"0"))),
            keep=parser.should_keep_alive() and not self._server.draining,
            modern=parser.get_http_version() == "1.1",
            target=target,
        )
        if self.serving is None:
            self._serve(client)
        else:
            self._queue.append(client)

    def on_body(self, body: bytes) -> None:
        if self._arriving is not None:
            self._arriving.incoming.feed(body)

    def on_message_complete(self) -> None:
        client = self._arriving
        if client is None or (self._upgrading and client.incoming.announced):
            return
        self._arriving = None
        client.incoming.end()
        if client is self.serving and not self.full:
            self.deadline = _NEVER

    # The rest

    def _parse(self, data: memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(bytes(data[upgrade.args[0] :]))
        except httptools.HttpParserError as problem:
            self._reject(_BAD_REQUEST, f"no valid HTTP request: {problem}")

    def _stay(self, rest: bytes) -> None:
        """Ignore a wish for another protocol. llhttp ends such a message with its head; its body is to come."""
        client = self._arriving
        self._upgrading = False
        self._parser = httptools.HttpRequestParser(self)
        if client is None:
            self._discarding = True
            if self.serving is not None:
                self.serving.keep = False
        elif client.incoming.announced < 0:
            self._reject(_BAD_REQUEST, "a change of protocol is not to be had")
        else:
            client.keep = False
            client.incoming.take(rest)
            if client.incoming.complete:
                self.on_message_complete()

    def _reject(self, status: bytes, why: str) -> None:
        """What arrives is no request. One before it gets its answer; then the connection is closed."""
        client = self.serving
        self._discarding, self._begun = True, False
        if client is not None and client is not self._arriving:
            client.keep = False
        elif client is None or not client.started:
            self._refuse(status, why)
        else:
            self._close()
        if client is not None and client is self._arriving:
            client.leave()

    def _bound_head(self, count: int) -> None:
        """A head that is not complete yet: bounded in bytes and time."""
        if not self._head_bytes and self.serving is None:
            self.deadline = self._loop.time() + HEAD_SECONDS
        self._head_bytes += count
        if self._head_bytes > HEAD_LIMIT and not self._discarding:
            self._reject(_TOO_LARGE, f"the head exceeds {HEAD_LIMIT:,} bytes")

    def _bound_body(self, body: Body) -> None:
        """A body that is not complete yet: read on only when it is asked for."""
        if body.wanted:
            self.deadline = self._loop.time() + STALL_SECONDS
        else:
            self._pause()

    def _serve(self, client: Client) -> None:
        self.serving = client
        self.deadline = _NEVER
        client.task = self._loop.create_task(self._run(client))

    async def _run(self, client: Client) -> None:
        try:
            await self._server.handle(client)
        except Exception:  # noqa: BLE001 - the edge of an exchange: its bug ends its connection and nothing else
            _log.exception("an exchange failed")
        finally:
            self._ended(client)

    def _ended(self, client: Client) -> None:
        if self._discarding or not (client.keep and client.finished):
            self.serving = None
            self._close()
        elif self._queue:
            self._serve(self._queue.popleft())
            if not self._queue:
                self._resume()
        else:
            self.serving = None
            self.deadline = self._loop.time() + IDLE_SECONDS
            self._resume()

    def _refuse(self, status: bytes, why: str) -> None:
        """Answer what cannot be read as a request, and close."""
        text = why.encode("ascii", "replace") + b"\n"
        self.write(_REFUSAL % (status, len(text), text))
        self._close()

    def _close(self) -> None:
        """Close after what is written. Where more may be on its way, it is thrown away for a while."""
        if self._transport is None or self._transport.is_closing():
            return
        self.deadline = self._loop.time() + STALL_SECONDS
        if self._arriving is None and not self._discarding:
            self._transport.close()
            return
        self._discarding = True
        self.deadline = self._loop.time() + LINGER_SECONDS
        self._transport.write_eof()
        self._resume()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


@lru_cache(maxsize=1024)
def path_of(target: bytes) -> str:
    """The path of a request target, unquoted. Raises ``HttpParserError`` for what is none."""
    path = httptools.parse_url(target).path if target[:1] != b"/" else target.partition(b"?")[0]
    return unquote((path or b"/").decode("ascii", "replace"))
