"""The semantic cache as others see it: a gateway worker's client, and a plain one for commands and the control API.

A worker's client never raises and never makes a request wait for long: where the process is gone, slow or broken, a
lookup says ``None`` and the request goes on without it. Nothing heavy is imported.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar, cast

import msgspec

from farthing.cache.semantic.wire import (
    ANSWER_CHARS,
    QUESTION_CHARS,
    Drop,
    Failed,
    Feedback,
    Found,
    Frames,
    Hit,
    Hits,
    Learn,
    Lookup,
    Purge,
    Purged,
    Recent,
    Reply,
    Request,
    Served,
    State,
    Status,
    What,
    framed,
    reply,
)
from farthing.core.errors import UnavailableError

SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
BUFFER_BYTES = 4 * 1024 * 1024
"""What may wait to be sent. Beyond it messages are dropped: they teach, and nobody depends on them."""

ROOM_BYTES = 32
ANSWER_SECONDS = 30.0
_READ_BYTES = 256 * 1024

_log = logging.getLogger(__name__)

_R = TypeVar("_R", bound=Found | Purged | State | Hits)


class SemanticClient:
    """One worker's connection to the cache process: pipelined, and made again by itself when it breaks.

    ``start`` and ``aclose`` belong to the worker's loop. Before the first connection every lookup is answered with
    ``None``. ``dropped`` counts the messages that could not be sent.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Found | None]] = {}
        self._line: _Line | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.dropped = 0

    def start(self) -> None:
        """Connect, and keep connected, beside whatever else the loop does."""
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._keep_connected())

    async def aclose(self) -> None:
        """Hang up. What was written is sent; lookups under way are answered with ``None``."""
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
            self._connecting = None
        if self._line is not None:
            self._line.close()

    @property
    def connected(self) -> bool:
        """Whether the process is there."""
        return self._line is not None

    async def lookup(
        self, *, namespace: str, room: bytes, tenant: str, user: str, key_id: str, text: str, within: float
    ) -> Found | None:
        """What the process says of a question, ``None`` when it does not say so ``within`` so many seconds.

        ``room`` is a digest of 32 bytes; a question that is empty or longer than ``QUESTION_CHARS`` is not looked up.
        """
        if self._line is None or not 0 < len(text) <= QUESTION_CHARS or len(room) != ROOM_BYTES:
            return None
        number = next(self._ids)
        message = Lookup(number, namespace, room, tenant, user, key_id, text)
        if not self._send(message):
            return None
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(number, None)

    def learn(self, message: Learn) -> None:
        """Tell of a fresh answer. Sent when it can be, forgotten otherwise."""
        self._send(msgspec.structs.replace(message, answer=message.answer[:ANSWER_CHARS]))

    def served(self, ticket: int, saved: str) -> None:
        """Tell that the entry of a ticket was served; ``saved`` as decimal text."""
        self._send(Served(ticket, saved))

    def drop(self, ticket: int) -> None:
        """Tell that nothing comes of a ticket."""
        self._send(Drop(ticket))

    def _send(self, message: Request) -> bool:
        if self._line is None:
            sent = False
        else:
            try:
                sent = self._line.send(framed(message))
            except UnicodeEncodeError:  # a lone surrogate, which JSON lets through
                sent = False
        self.dropped += not sent
        return sent

    async def _keep_connected(self) -> None:
        loop, pause = asyncio.get_running_loop(), SHORTEST_PAUSE
        while True:
            try:
                _, line = await loop.create_unix_connection(lambda: _Line(self._answered), str(self._path))
            except OSError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            self._line = line
            began = loop.time()
            try:
                await line.closed
            finally:
                self._line = None
                self._forget()
                line.close()
            pause = SHORTEST_PAUSE if loop.time() - began > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def _answered(self, message: Reply) -> None:
        answer = self._waiting.pop(message.id, None)
        if answer is not None and not answer.done():
            answer.set_result(message if isinstance(message, Found) else None)

    def _forget(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(None)
        self._waiting.clear()


class _Line(asyncio.Protocol):
    """One connection: frames in, frames out."""

    def __init__(self, answered: Callable[[Reply], None]) -> None:
        self._answered = answered
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._frames.take(data):
                self._answered(reply(payload))
        except (ValueError, msgspec.DecodeError):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        _log.debug("the semantic cache is gone (%s)", exc or "it hung up")
        if not self.closed.done():
            self.closed.set_result(None)

    def send(self, frame: bytes) -> bool:
        """Whether there was room for it."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > BUFFER_BYTES:
            return False
        transport.write(frame)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class SemanticControl:
    """The cache process asked by a command or the control API: one question at a time, blocking.

    Raises ``UnavailableError`` when the process does not run, does not answer, or says that it cannot.
    """

    def __init__(self, path: Path, *, timeout: float = ANSWER_SECONDS) -> None:
        self._frames = Frames()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(timeout)
        try:
            self._sock.connect(str(path))
        except OSError as problem:
            self._sock.close()
            raise UnavailableError(
                f"The semantic cache does not answer ({problem.strerror or problem})",
                remedy='It runs with farthing up where a namespace sets semantic = "shadow" or "on"',
            ) from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def status(self, namespace: str = "") -> State:
        """How the namespaces stand, and how much is kept."""
        return self._ask(Status(1, namespace), State)

    def recent(self, *, tenant: str = "", namespace: str = "", limit: int = 100) -> tuple[Hit, ...]:
        """The latest hits, newest first. An empty ``tenant`` or ``namespace`` means all of them."""
        return self._ask(Recent(1, tenant, namespace, limit), Hits).hits

    def purge(self, what: What, value: str = "") -> int:
        """Remove entries for good; how many there were."""
        return self._ask(Purge(1, what, value), Purged).entries

    def feedback(self, key: bytes, text: str, *, wrong: bool, tenant: str = "") -> int:
        """Say that serving the entry ``key`` to ``text`` was wrong or right; how many entries that removed."""
        return self._ask(Feedback(1, key, text, wrong, tenant), Purged).entries

    def _ask(self, message: Request, kind: type[_R]) -> _R:
        try:
            self._sock.sendall(framed(message))
            answer = self._receive()
        except (OSError, ValueError, msgspec.DecodeError) as problem:
            raise UnavailableError(
                f"The semantic cache broke off ({problem})", remedy="Ask again; farthing up starts it again"
            ) from problem
        if not isinstance(answer, kind):
            problem = answer.problem if isinstance(answer, Failed) else "another answer than was asked for"
            raise UnavailableError(f"The semantic cache could not do it: {problem}", remedy="Ask again")
        return answer

    def _receive(self) -> Reply:
        while data := self._sock.recv(_READ_BYTES):
            for payload in self._frames.take(data):
                return reply(payload)
        raise ConnectionResetError("it hung up")
