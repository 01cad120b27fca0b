"""Stands for the semantic cache's process: answers the control API's questions on a socket, and keeps what it was asked."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farthing.cache.semantic.wire import (
    Feedback,
    Frames,
    Hit,
    Hits,
    NamespaceState,
    Purge,
    Purged,
    Recent,
    Reply,
    Request,
    State,
    framed,
    request,
)


class FakeProcess:
    """``namespaces`` and ``hits`` are what it says of itself; ``asked`` are the messages that it got."""

    def __init__(self, path: Path) -> None:
        self.namespaces: dict[str, NamespaceState] = {}
        self.hits: list[Hit] = []
        self.asked: list[Request] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.bind(str(path))
        self._sock.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._sock.accept()
            except OSError:
                return
            with line:
                frames = Frames()
                while data := line.recv(65536):
                    for payload in frames.take(data):
                        line.sendall(framed(self._answer(request(payload))))

    def _answer(self, message: Request) -> Reply:
        self.asked.append(message)
        match message:
            case Recent():
                name, _, value = message.tenant.partition("=")
                fits = [
                    hit
                    for hit in self.hits
                    if message.namespace in ("", hit.namespace) and (not name or f'["{name}","{value}"]' in hit.tenant)
                ]
                return Hits(message.id, tuple(fits[: message.limit]))
            case Purge() | Feedback():
                return Purged(message.id, 0)
            case _:
                total = sum(state.entries for state in self.namespaces.values())
                return State(
                    getattr(message, "id", 0), self.namespaces, entries=total, disk=4096, embedding="wordllama"
                )


@contextmanager
def answering(path: Path) -> Iterator[FakeProcess]:
    """The process, reachable at ``path``, which has to be short: 107 bytes at the most."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = FakeProcess(path)
    try:
        yield made
    finally:
        made.close()
        path.unlink()
