"""The client's side of one exchange: its body, what it is answered, and whether it is still there."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from farthing.core.errors import InputError
from farthing.gateway.ports import Headers

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WATCH_AFTER = 0.05
"""Seconds into an answer at which it begins to be noticed that the client leaves."""


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


class Client:
    """One exchange over ASGI. ``cancels``: whether its leaving cancels the task that serves it.

    ASGI's ``send`` does not fail when the client has left, so a watcher waits on ``receive`` while the
    answer is under way, from ``WATCH_AFTER`` on: shorter answers do without.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self.gone = False
        self.started = False
        self.cancels = True
        self._receive = receive
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def body(self, limit: int, announced: int) -> bytes:
        """The whole body. Raises ``TooLargeError`` as soon as it is known to exceed ``limit`` bytes."""
        if announced > limit:
            raise _too_large(announced, limit)
        pieces: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGoneError
            data: bytes = message.get("body", b"")
            size += len(data)
            if size > limit:
                raise _too_large(size, limit)
            pieces.append(data)
            more = message.get("more_body", False)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def watch(self) -> None:
        """Begin to notice that the client leaves."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - ASGI servers run each request in a task
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._begin, task)

    def unwatch(self) -> None:
        """The answer is complete, or nobody cares any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def reply(self, reply: Reply) -> None:
        """A complete answer at once."""
        length = (b"content-length", b"%d" % len(reply.body))
        await self._start(reply.status, [(b"content-type", reply.content_type), length, *reply.headers])
        await self.finish(reply.body)

    async def start(self, status: int, content_type: bytes, headers: Headers) -> None:
        """The head of a streamed answer."""
        plain = [(b"content-type", content_type), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        await self._start(status, [*plain, *headers])

    async def write(self, data: bytes) -> None:
        """A part of a streamed answer. Waits while the client reads slower than it is written to."""
        if not self.gone:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes) -> None:
        """The last part of an answer."""
        self.unwatch()
        if not self.gone:
            await self._send({"type": "http.response.body", "body": data})

    async def _start(self, status: int, headers: Headers) -> None:
        self.started = True
        if not self.gone:
            await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def _begin(self, task: asyncio.Task[Any]) -> None:
        self._timer = None
        self._watcher = task.get_loop().create_task(self._watch(task))

    async def _watch(self, task: asyncio.Task[Any]) -> None:
        message = await self._receive()
        while message["type"] != "http.disconnect":
            message = await self._receive()
        self.gone = True
        if self.cancels:
            task.cancel()


def _too_large(size: int, limit: int) -> TooLargeError:
    return TooLargeError(
        f"the body exceeds {limit:,} bytes", field="body", value=f"{size:,} bytes", remedy="Send less in one request"
    )
