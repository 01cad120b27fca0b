"""The client's side of one exchange: its request, what it is answered, and whether it is still there."""

import asyncio
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol

import msgspec

from farthing.core.errors import InputError
from farthing.core.facts import RequestFact
from farthing.gateway.ports import Headers

JOIN_BELOW = 64 * 1024
"""Bodies below this size are copied behind their head, to be sent by one system call."""

IN_PLACE_FROM = 16 * 1024
"""Bytes still to come from which a body is read from the socket into its place."""


class TooLargeError(InputError):
    """The body exceeds ``gateway.max_body_bytes``."""


class ClientGoneError(Exception):
    """The client left before its request was complete; nobody is there to be told."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A complete answer."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: Headers = []


class Copy:
    """What a client was answered, kept beside as it goes out, up to ``limit`` bytes. ``fact`` is the attempt that
    answered.
    """

    __slots__ = ("_left", "_pieces", "content_type", "fact", "status", "stream")

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._pieces: list[bytes] = []
        self.status = 0
        self.content_type = b""
        self.stream = False
        self.fact: RequestFact | None = None

    def begin(self, status: int, content_type: bytes) -> None:
        """The head of the answer. A stream that arrived in one piece is a stream, too."""
        self.status, self.content_type = status, content_type
        self.stream = content_type.startswith(b"text/event-stream")

    def add(self, data: bytes) -> None:
        """A part of the body. What is too large is not kept at all."""
        self._left -= len(data)
        if self._left >= 0:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    @property
    def body(self) -> bytes | None:
        """All of it, ``None`` when it was too large."""
        return b"".join(self._pieces) if self._left >= 0 else None


class Line(Protocol):
    """The connection below an exchange. ``full``: the client reads slower than it is written to."""

    full: bool

    def write(self, data: bytes) -> None: ...

    def listen(self) -> None:
        """The body is wanted: read on, and tell a client that waits for leave to send it."""
        ...

    async def room(self) -> None:
        """Wait until the client has caught up, or is gone."""
        ...


class Body:
    """A request's body on its way in. Nothing of it is read on before it is asked for.

    ``announced`` is its length by ``content-length``, -1 where none is given (chunks).
    """

    __slots__ = ("_limit", "_pieces", "_place", "_raw", "_size", "_view", "_waiter", "announced", "complete")

    def __init__(self, announced: int) -> None:
        self.announced = announced
        self.complete = False
        self._raw = False
        self._limit = -1
        self._size = 0
        self._pieces: list[bytes] = []
        self._place: BytesIO | None = None
        self._view: memoryview | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for it."""
        return self._waiter is not None

    @property
    def begun(self) -> bool:
        """Whether any of it has arrived."""
        return self._size > 0

    @property
    def placed(self) -> bool:
        """Whether what is still to come is read into its place, unparsed."""
        return self._view is not None

    def take(self, data: bytes) -> None:
        """Its beginning, where no parser counts what is still to come."""
        self._raw = True
        self.feed(data[: self.announced])
        self.complete = self._size == self.announced

    def feed(self, data: bytes) -> None:
        """Bytes that have arrived."""
        self._size += len(data)
        if 0 <= self._limit < self._size:
            self.fail(_too_large(self._size, self._limit))
        else:
            self._pieces.append(data)

    def room(self) -> memoryview | None:
        """The place of the bytes still to come; ``None`` when they are to be fed."""
        return None if self._view is None else self._view[self._size :]

    def filled(self, count: int) -> bool:
        """So many bytes arrived in their place. True at the body's end."""
        self._size += count
        if self._size < self.announced:
            return False
        self.end()
        return True

    def end(self) -> None:
        """It is complete."""
        self.complete = True
        if self._view is not None:
            self._view.release()
            self._view = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, problem: Exception) -> None:
        """It will not be complete."""
        self._pieces.clear()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(problem)

    async def read(self, limit: int, line: Line) -> bytes:
        """All of it. Raises ``TooLargeError`` as soon as it is known to exceed ``limit`` bytes."""
        known = max(self.announced, self._size)
        if known > limit:
            raise _too_large(known, limit)
        if not self.complete:
            self._limit = limit
            if self._raw or self.announced - self._size >= IN_PLACE_FROM:
                self._make_place()
            self._waiter = asyncio.get_running_loop().create_future()
            line.listen()
            await self._waiter
        if self._place is not None:
            return self._place.getvalue()
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _make_place(self) -> None:
        """Room for all of it, so that the socket is read into it. ``BytesIO`` hands its bytes out uncopied."""
        self._place = BytesIO()
        self._place.seek(self.announced - 1)
        self._place.write(b"\0")
        self._view = self._place.getbuffer()
        self._view[: self._size] = b"".join(self._pieces)
        self._pieces.clear()


class Client:
    """One exchange. ``named`` are the request's headers by name, the last of each name; ``target`` is the request
    target as it came, with its query.

    ``started`` and ``finished`` say how much of an answer was given. ``cancels``: whether the client's
    leaving cancels the task that serves it, from ``watch`` to the last byte of the answer. ``copy`` gets a copy of it.
    """

    __slots__ = (
        "_chunked", "_line", "_pending", "_watched", "cancels", "copy", "finished", "gone", "headers", "incoming",
        "keep", "method", "named", "path", "started", "target", "task",
    )  # fmt: skip

    def __init__(
        self,
        line: Line,
        method: str,
        path: str,
        headers: Headers,
        *,
        named: dict[bytes, bytes],
        incoming: Body,
        keep: bool,
        modern: bool = True,
        target: bytes = b"",
    ) -> None:
        """``keep``: the connection may serve another exchange. ``modern``: HTTP/1.1, which has chunks."""
        self.method = method
        self.path = path
        self.target = target
        self.headers = headers
        self.named = named
        self.incoming = incoming
        self.keep = keep
        self.gone = False
        self.started = False
        self.finished = False
        self.cancels = True
        self.task: asyncio.Task[Any] | None = None
        self.copy: Copy | None = None
        self._line = line
        self._chunked = modern
        self._pending = b""
        self._watched = False

    @property
    def expects(self) -> bool:
        """Whether it waits for leave to send its body (RFC 9110, section 10.1.1)."""
        return self._chunked and self.named.get(b"expect", b"").lower() == b"100-continue"

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises ``TooLargeError`` as soon as it is known to exceed ``limit`` bytes."""
        if self.gone:
            raise ClientGoneError
        return await self.incoming.read(limit, self._line)

    def watch(self) -> None:
        """From here on the client's leaving cancels the task that serves it."""
        self._watched = True
        if self.gone:
            self._cancel()

    def unwatch(self) -> None:
        """The answer is complete, or nobody cares any more."""
        self._watched = False

    def leave(self) -> None:
        """The client is gone."""
        self.gone = True
        self.incoming.fail(ClientGoneError())
        if self._watched:
            self._cancel()

    async def reply(self, reply: Reply) -> None:
        """A complete answer at once."""
        self.unwatch()
        self.started = self.finished = True
        if self.copy is not None:
            self.copy.begin(reply.status, reply.content_type)
            self.copy.add(reply.body)
        if self.gone:
            return
        body = b"" if self.method == "HEAD" else reply.body
        head = self._head(reply.status, reply.content_type, reply.headers, b"content-length: %d" % len(reply.body))
        if len(body) < JOIN_BELOW:
            self._line.write(head + body)
        else:
            self._line.write(head)
            self._line.write(body)
        if self._line.full:
            await self._line.room()

    async def start(self, status: int, content_type: bytes, headers: Headers) -> None:
        """The head of a streamed answer; it leaves with the first bytes of its body."""
        self.started = True
        if self.copy is not None:
            self.copy.begin(status, content_type)
        self.keep = self.keep and self._chunked
        framing = _CHUNKED if self._chunked else _UNTIL_CLOSE
        self._pending = self._head(status, content_type, headers, framing)

    async def write(self, data: bytes) -> None:
        """A part of a streamed answer. Waits while the client reads slower than it is written to."""
        if self.gone or not data:
            return
        if self.copy is not None:
            self.copy.add(data)
        if self._chunked:
            data = b"%b%x\r\n%b\r\n" % (self._pending, len(data), data)
        elif self._pending:
            data = self._pending + data
        self._pending = b""
        self._line.write(data)
        if self._line.full:
            await self._line.room()

    async def finish(self, data: bytes) -> None:
        """The last part of a streamed answer."""
        self.unwatch()
        self.finished = True
        if self.copy is not None:
            self.copy.add(data)
        if self.gone:
            return
        if self._chunked:
            data = (b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)) if data else b"0\r\n\r\n"
        self._line.write(self._pending + data)
        self._pending = b""
        if self._line.full:
            await self._line.room()

    def _head(self, status: int, content_type: bytes, headers: Headers, framing: bytes) -> bytes:
        if not self.incoming.complete:
            self.keep = False
        lines = [status_line(status) + content_type, framing]
        lines += [name + b": " + value for name, value in headers]
        if not self.keep:
            lines.append(b"connection: close")
        elif not self._chunked:
            lines.append(b"connection: keep-alive")
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    def _cancel(self) -> None:
        if self.cancels and self.task is not None:
            self.task.cancel()


_UNTIL_CLOSE = b"cache-control: no-cache\r\nx-accel-buffering: no"
_CHUNKED = _UNTIL_CLOSE + b"\r\ntransfer-encoding: chunked"


@lru_cache(maxsize=600)
def status_line(status: int) -> bytes:
    """The first line of an answer, and the name of the header that every answer has."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    return f"HTTP/1.1 {status} {reason}\r\ncontent-type: ".encode()


def _too_large(size: int, limit: int) -> TooLargeError:
    return TooLargeError(
        f"the body exceeds {limit:,} bytes", field="body", value=f"{size:,} bytes", remedy="Send less in one request"
    )
