"""A provider for ``bench.failover`` whose mood is set from outside: well, failing, slow, or limiting its callers.

It is ``bench._upstream`` with two more paths: ``POST /mood/NAME`` sets the mood, ``GET /served`` tells how many
requests it has answered well.
"""

import argparse
import asyncio
import itertools
import struct
from socket import SO_LINGER, SOL_SOCKET

import uvloop

from bench._upstream import WHOLE, Provider

DELAY = 0.02
SLOW = 3.0
ALLOWED = 20
"""Requests a second that a limiting provider serves."""

_FAILED = b"HTTP/1.1 500 Oops\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_LIMITED = b"HTTP/1.1 429 Slow\r\ncontent-type: application/json\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\n{}"


class Moods:
    """What all connections share."""

    def __init__(self) -> None:
        self.mood = "well"
        self.served = 0
        self.turns = itertools.count()
        self.second = 0
        self.in_second = 0

    def allows(self, now: float) -> bool:
        """Whether a limiting provider serves one more request in this second."""
        if int(now) != self.second:
            self.second, self.in_second = int(now), 0
        self.in_second += 1
        return self.in_second <= ALLOWED


class Moody(Provider):
    """One connection."""

    def __init__(self, moods: Moods) -> None:
        super().__init__(DELAY, 0)
        self.moods = moods
        self.path = b""

    def on_url(self, url: bytes) -> None:
        self.path = url

    def on_message_complete(self) -> None:
        moods = self.moods
        if self.path.startswith(b"/mood/"):
            moods.mood = self.path.removeprefix(b"/mood/").decode()
            self.say(b"")
        elif self.path == b"/served":
            self.say(b"%d" % moods.served)
        elif moods.mood == "failing":
            self.fail()
        elif moods.mood == "limiting" and not moods.allows(self.loop.time()):
            self.transport.write(_LIMITED)
        else:
            self.loop.call_later(SLOW if moods.mood == "slowing" else DELAY, self.serve)

    def serve(self) -> None:
        if not self.transport.is_closing():
            self.moods.served += 1
            self.transport.write(WHOLE)

    def fail(self) -> None:
        """Two errors, then two connections that are reset without a word: the second meets who replaced the first."""
        if next(self.moods.turns) % 4 > 1:
            self.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.write(_FAILED)

    def say(self, body: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def serve(port: int) -> None:
    moods = Moods()
    server = await asyncio.get_running_loop().create_server(lambda: Moody(moods), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    uvloop.run(serve(arguments.parse_args().port))
