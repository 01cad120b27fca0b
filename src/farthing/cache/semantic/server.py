"""The semantic cache's Unix socket: frames in, frames out.

Lookups that arrive together are answered together: all that one turn of the loop reads is embedded at once. What
teaches goes through one bounded queue, so that it keeps its order and never stands in a lookup's way.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import msgspec

from farthing.cache.semantic.ports import Action
from farthing.cache.semantic.service import Service
from farthing.cache.semantic.wire import (
    Drop,
    Failed,
    Feedback,
    Found,
    Frames,
    Learn,
    Lookup,
    Purge,
    Recent,
    Reply,
    Request,
    Served,
    Status,
    framed,
    request,
)
from farthing.core.errors import FarthingError

BACKLOG = 128
LESSONS = 2_000
"""Messages that may wait to be learned from; whatever comes on top is forgotten."""

UNREAD_BYTES = 8 * 1024 * 1024
"""A client that reads no answers is cut off."""

_log = logging.getLogger(__name__)


class Server:
    """Answers on a socket until it is closed. Belongs to one loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._asked: list[tuple[_Line, Lookup]] = []
        self._lessons: asyncio.Queue[Learn | Served | Drop] = asyncio.Queue(LESSONS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: set[_Line] = set()
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listen. The caller sees to it that nobody else does: a socket that is there is stale. Raises ``OSError``."""
        sock = bound(path)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Line(self), sock=sock, backlog=BACKLOG)
        self._begin(self._teach())

    async def aclose(self) -> None:
        """Hang up; what waits to be learned is forgotten."""
        if self._server is not None:
            self._server.close()
        for line in list(self._lines):
            line.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def came(self, line: "_Line") -> None:
        self._lines.add(line)

    def left(self, line: "_Line") -> None:
        self._lines.discard(line)

    def take(self, line: "_Line", message: Request) -> None:
        """Somebody said something."""
        if isinstance(message, Lookup):
            if not self._asked:
                asyncio.get_running_loop().call_soon(self._answer)
            self._asked.append((line, message))
        elif isinstance(message, Learn | Served | Drop):
            with contextlib.suppress(asyncio.QueueFull):
                self._lessons.put_nowait(message)
        else:
            self._begin(self._reply(line, message))

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        self._begin(self._look_up(asked))

    async def _look_up(self, asked: "list[tuple[_Line, Lookup]]") -> None:
        try:
            found = await self._service.lookup([ask for _, ask in asked])
        except Exception:  # noqa: BLE001 - the edge of the process: whatever it was, the requests go on
            _log.exception("lookups failed")
            found = [Found(ask.id, Action.MISS, reason="failed") for _, ask in asked]
        for (line, _), answer in zip(asked, found, strict=True):
            line.send(answer)

    async def _reply(self, line: "_Line", message: Purge | Feedback | Status | Recent) -> None:
        service = self._service
        try:
            match message:
                case Purge():
                    answer: Reply = await service.purge(message)
                case Feedback():
                    answer = await service.feedback(message)
                case Status():
                    answer = await service.status(message)
                case Recent():
                    answer = await service.recent(message)
        except FarthingError as problem:
            answer = Failed(message.id, str(problem))
        except Exception:  # noqa: BLE001 - the edge of the process: who asked is told, and it goes on
            _log.exception("%s failed", type(message).__name__)
            answer = Failed(message.id, "it failed; the log of farthing up says why")
        line.send(answer)

    async def _teach(self) -> None:
        while True:
            message = await self._lessons.get()
            try:
                match message:
                    case Learn():
                        await self._service.learn(message)
                    case Served():
                        await self._service.served(message)
                    case Drop():
                        self._service.drop(message.ticket)
            except FarthingError as problem:
                _log.warning("not learned: %s", problem)
            except Exception:  # noqa: BLE001 - the edge of the process: one lesson less
                _log.exception("not learned")
            await asyncio.sleep(0)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._server.came(self)

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._frames.take(data):
                self._server.take(self, request(payload))
        except (ValueError, msgspec.DecodeError) as problem:
            _log.warning("a connection is closed, it said what nobody understands: %s", problem)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.left(self)
        if exc is not None:
            _log.debug("a connection broke: %s", exc)

    def send(self, message: Reply) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > UNREAD_BYTES:
            transport.abort()
        else:
            transport.write(framed(message))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def bound(path: Path) -> socket.socket:
    """A socket file that only its owner can use, in place of one that was left behind. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
