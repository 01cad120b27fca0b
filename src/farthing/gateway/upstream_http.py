"""One HTTP/1.1 connection to a provider: asyncio's transport below, llhttp's parser beside it.

General clients spend more CPU on a request than the rest of the gateway together, on cookies,
redirects and encodings that no model API uses. This one carries what those APIs need and leaves the
parsing of HTTP to the parser that Node and uvicorn use. One connection carries one exchange at a
time (no pipelining) and lives on one event loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import cast
from urllib.parse import urlsplit

import httptools
import msgspec

from farthing.core.errors import InputError, UpstreamError
from farthing.core.facts import ErrorKind
from farthing.gateway.ports import Ask, Headers

BUFFER_HIGH = 256 * 1024
"""Unread body bytes at which a connection stops reading from its socket."""

HEAD_LIMIT = 256 * 1024
"""Bytes in which an answer's head must end, interim answers included."""

JOIN_BELOW = 64 * 1024
"""Bodies below this size are copied behind their head, to be sent by one system call."""

_OWN_HEADERS = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"connection", b"accept-encoding", b"expect", b"upgrade")
)
_NO_BODY = frozenset((204, 304))


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a connection leads. Equal origins may share connections."""

    host: str
    port: int
    tls: bool


@lru_cache(maxsize=1024)
def locate(url: str) -> tuple[Origin, bytes, bytes]:
    """Origin, ``Host`` header and request target of an address. Raises ``InputError`` for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_url(url) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not (url.isascii() and url.isprintable()):
        raise _bad_url(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if " " in url:
        raise _bad_url(url)
    tls = parts.scheme == "https"
    host = parts.netloc.rpartition("@")[2]
    return Origin(parts.hostname, port or (443 if tls else 80), tls), host.encode(), target.encode()


def _bad_url(url: str) -> InputError:
    return InputError("not an http address", field="url", value=url, remedy="Correct the provider's base_url")


def request_head(ask: Ask, host: bytes, target: bytes) -> bytes:
    """The request's head as it goes over the wire.

    Framing headers are written here and never taken from ``ask``. Raises ``InputError`` when a
    header holds a line break, which would smuggle a second header or request.
    """
    lines = [ask.method.encode() + b" " + target + b" HTTP/1.1", b"host: " + host]
    lines += [name + b": " + value for name, value in ask.headers if name not in _OWN_HEADERS]
    lines += (b"accept-encoding: identity", b"content-length: %d" % len(ask.body), b"", b"")
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        raise InputError("a header holds a line break", field="headers", value="", remedy="Remove the line break")
    return head


class Connection(asyncio.Protocol):
    """The state of one connection. The fields without underscore are for its pool and its answer.

    ``deadline`` is the loop time by which the next byte must arrive; the pool's sweeper calls
    ``expire`` after it, so that an exchange costs no timer of its own.
    """

    def __init__(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self.status = 0
        self.headers: Headers = []
        self.complete = False
        self.closed = False
        self.touched = False
        self.served = 0
        self.deadline = float("inf")
        self.idle_since = 0.0
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._head = False
        self._head_bytes = 0
        self._until_close = False
        self._keep_alive = False
        self._surplus = False
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._failure: UpstreamError | None = None
        self._done: Callable[[Connection], None] | None = None

    # What the pool and the answer do with it

    def send(self, head: bytes, body: bytes) -> None:
        """Begin an exchange."""
        self.status, self.headers = 0, []
        self.complete = self.touched = self._head = self._until_close = False
        self._head_bytes = 0
        self.served += 1
        if self._transport is None or self.closed:
            return
        if len(body) < JOIN_BELOW:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    async def head(self) -> None:
        """Wait until status and headers are there."""
        while not self._head:
            await self._more()

    async def read(self) -> bytes:
        """The body bytes that have arrived, waiting for some; empty at the body's end."""
        while not self._chunks:
            if self.complete:
                return b""
            await self._more()
        data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._drop()
        return data

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow on this connection."""
        return (
            self.complete
            and not self._chunks
            and not self.closed
            and not self._surplus
            and not self._until_close
            and self._failure is None
            and self._keep_alive
        )

    def expire(self) -> None:
        """The deadline has passed."""
        phase = "the body" if self._head else "the first byte"
        self._fail(ErrorKind.TIMEOUT, f"{self.origin.host} took too long to send {phase}")
        self.cut()

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def discard(self, done: Callable[["Connection"], None]) -> None:
        """Nobody reads the rest of this answer: throw it away, and call ``done`` at its end, good or bad."""
        self._done = done
        self._drop()

    def _drop(self) -> None:
        self._chunks.clear()
        self._buffered = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _hand_over(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(self)

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, kind: ErrorKind, message: str) -> None:
        if self._failure is None and not self.complete:
            self._failure = UpstreamError(message, provider=self.origin.host, kind=kind)
        self._wake()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.touched = True
        if self.complete:
            self._surplus = True
            self.cut()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as problem:
            if not self.complete:
                self._fail(ErrorKind.PROTOCOL, f"{self.origin.host} sent no valid HTTP ({problem})")
            self._surplus = True
            self.cut()
        except httptools.HttpParserUpgrade:
            self._fail(ErrorKind.PROTOCOL, f"{self.origin.host} changed the protocol though not asked to")
            self._surplus = True
            self.cut()
        if not self._head:
            self._bound_head(len(data))
        self._wake()
        if self._done is not None:
            self._drop()
            if self.complete:
                self._hand_over()

    def _bound_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_LIMIT:
            self._fail(ErrorKind.PROTOCOL, f"{self.origin.host} sent a head of more than {HEAD_LIMIT:,} bytes")
            self.cut()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._until_close and self._head and exc is None:
            self.complete = True
        elif self.touched and exc is None:
            self._fail(ErrorKind.PROTOCOL, f"{self.origin.host} closed before the answer was complete")
        else:
            self._fail(ErrorKind.RESET, f"{self.origin.host} closed the connection")
        self._wake()
        self._hand_over()

    # What the parser calls

    def on_message_begin(self) -> None:
        if self.complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._surplus:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._surplus:
            return
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200:  # noqa: PLR2004 - interim answers
            self.headers = []
            return
        names = dict(self.headers)
        if names.get(b"content-encoding", b"identity") != b"identity":
            self._fail(ErrorKind.PROTOCOL, f"{self.origin.host} compressed its answer though asked not to")
            self._surplus = True
            return
        self._head = True
        framed = b"content-length" in names or b"chunked" in names.get(b"transfer-encoding", b"").lower()
        self._until_close = not framed and self.status not in _NO_BODY

    def on_body(self, data: bytes) -> None:
        if self._surplus:
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > BUFFER_HIGH and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._head:
            self.complete = True
            self._keep_alive = self._parser.should_keep_alive()
