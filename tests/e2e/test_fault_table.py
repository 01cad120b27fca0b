"""Nineteen ways in which an upstream fails, each at the cheaper of two targets behind one real worker.

For each: clients notice nothing, the ledger has every attempt with its role, the target rests after a few failures
instead of being asked each time, and it is used again by itself once it is well.
"""

import asyncio
import json
import socket
import struct
import time
from collections import defaultdict
from contextlib import AsyncExitStack, suppress
from decimal import Decimal

import msgspec
import pytest
from tests.support.gateway import (
    ANSWER,
    CHAT,
    COST,
    STREAM_HEAD,
    Heard,
    Response,
    Script,
    Upstream,
    answers,
    chunk,
    event,
    facts,
    reply,
    send,
    snapshot,
)
from tests.support.workers import Process, free_port

from farthing.app.compile import write_snapshot
from farthing.core.facts import ErrorKind, RequestFact, Status
from farthing.gateway.settings import ModelSettings, ProviderSettings, TargetSettings

SICK, WELL = 12, 3
RECOVERS_S = 15.0
TIMES = {"connect_timeout": 0.4, "first_byte_timeout": 0.5, "read_timeout": 0.5}


class Place:
    """An upstream on a port of its own, which can be closed and opened, or accept nobody."""

    def __init__(self) -> None:
        self.port = free_port()
        self.upstream = Upstream(answers)
        self._server: asyncio.Server | None = None
        self._deaf: list[socket.socket] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        for sock in self._deaf:
            sock.close()
        self._deaf = []
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Nobody listens here any more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for call in list(self._calls):
            call.cancel()
        await asyncio.sleep(0.05)

    async def accept_nobody(self) -> None:
        """The kernel's queue is full: connecting takes for ever."""
        await self.close()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(0)
        self._deaf = [listener]
        for _ in range(3):
            waiting = socket.socket()
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(("127.0.0.1", self.port))
            self._deaf.append(waiting)
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._calls.add(task)
        try:
            await self.upstream.serve(reader, writer)
        finally:
            self._calls.discard(task)


FREE = Decimal(0)
"""What an attempt cost that the provider is known not to bill; ``None`` is what nobody knows."""


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong, what the ledger calls it and says that it cost, and whether it hits streams before their first
    byte too.
    """

    kind: ErrorKind
    cost: Decimal | None
    script: Script | None = None
    streams: bool = True
    status: Status = Status.ERROR
    unreachable: str = ""


def says(data: bytes, *, close: bool = False, stall: bool = False) -> Script:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if stall:
            await heard.reader.read(1)
        if close or stall:
            writer.close()

    return script


async def resets(_heard: Heard, writer: asyncio.StreamWriter, *, after: bytes = b"") -> None:
    writer.write(after)
    await writer.drain()
    await asyncio.sleep(0.02)
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def resets_in_head(heard: Heard, writer: asyncio.StreamWriter) -> None:
    await resets(heard, writer, after=b"HTTP/1.1 200 OK\r\ncontent-ty")


def refuses(status: str, kind: str, *headers: str) -> Script:
    body = json.dumps({"error": {"type": kind, "message": "no"}}).encode()
    return says(
        reply(body, status=status, headers="".join(f"{h}\r\n" for h in ("content-type: application/json", *headers)))
    )


WHOLE = json.dumps(ANSWER).encode()
HALF = (
    f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(WHOLE)}\r\n\r\n".encode() + WHOLE[:99]
)

FAULTS = {
    "refused": Fault(ErrorKind.CONNECT, FREE, unreachable="closed"),
    "connect_hangs": Fault(ErrorKind.CONNECT, FREE, unreachable="deaf"),
    "no_http": Fault(ErrorKind.PROTOCOL, None, says(b"\x16\x03\x01\x02\x00garbage\r\n\r\n", close=True)),
    "reset_before_head": Fault(ErrorKind.RESET, None, resets),
    "reset_in_head": Fault(ErrorKind.RESET, None, resets_in_head),
    "server_error": Fault(ErrorKind.SERVER, FREE, refuses("500 Oops", "server_error")),
    "unavailable": Fault(ErrorKind.OVERLOADED, FREE, refuses("503 Busy", "server_error")),
    "overloaded": Fault(ErrorKind.OVERLOADED, FREE, refuses("529 Busy", "overloaded_error")),
    "proxy_timeout": Fault(ErrorKind.TIMEOUT, None, refuses("504 Late", "timeout_error")),
    "rate_limit": Fault(ErrorKind.RATE_LIMIT, FREE, refuses("429 Slow", "rate_limit_error", "retry-after: 2")),
    "quota": Fault(ErrorKind.QUOTA, FREE, refuses("429 Pay", "insufficient_quota")),
    "key_refused": Fault(ErrorKind.AUTH, FREE, refuses("401 Who", "invalid_api_key")),
    "model_gone": Fault(ErrorKind.NOT_FOUND, FREE, refuses("404 Gone", "model_not_found")),
    "moved": Fault(ErrorKind.SERVER, None, refuses("307 Elsewhere", "moved", "location: http://127.0.0.1:1/")),
    "silent": Fault(ErrorKind.TIMEOUT, None, says(b"", stall=True)),
    "error_under_200": Fault(ErrorKind.SERVER, None, refuses("200 OK", "server_error")),
    "body_stalls": Fault(ErrorKind.TIMEOUT, None, says(HALF, stall=True), streams=False, status=Status.TRUNCATED),
    "body_cut": Fault(ErrorKind.PROTOCOL, None, says(HALF, close=True), streams=False, status=Status.TRUNCATED),
    "bad_json": Fault(ErrorKind.BAD_BODY, None, says(reply(b'{"choices": [')), streams=False),
}


class Story(msgspec.Struct):
    """What became of one fault: answers while it lasted and after, and how often the target was asked meanwhile."""

    during: list[Response] = []
    after: list[Response] = []
    asked: int = 0
    recovered: bool = False


def world(places: dict[str, tuple[Place, Place]]):
    """An alias for each fault, whose first target all requests go to unless it is unwell."""
    accounts, models = {}, {}
    for name, pair in places.items():
        for side, place in zip(("one", "two"), pair, strict=True):
            accounts[f"{name}-{side}"] = ProviderSettings(vendor="openai", base_url=f"http://127.0.0.1:{place.port}/v1")
        targets = tuple(
            TargetSettings(provider=f"{name}-{side}", model="tiny", weight=weight)
            for side, weight in (("one", 1e9), ("two", 1e-9))
        )
        models[name] = ModelSettings(targets=targets, strategy="weighted")
    return snapshot({"unused": "http://127.0.0.1:1/v1"}, providers=accounts, models=models)


def body(model: str, *, stream: bool = False) -> bytes:
    said = [{"role": "user", "content": "Hi"}]
    return json.dumps({"model": model, "messages": said, "max_tokens": 500, "stream": stream}).encode()


async def played(name: str, fault: Fault, one: Place, port: int) -> Story:
    """Well, then sick, then well again."""
    story = Story()
    for _ in range(WELL):
        assert (await send(port, CHAT, body(name))).status == 200
    assert len(one.upstream.heard) == WELL
    if fault.unreachable == "closed":
        await one.close()
    elif fault.unreachable == "deaf":
        await one.accept_nobody()
    else:
        one.upstream.script = fault.script
    for number in range(SICK):
        story.during.append(await send(port, CHAT, body(name, stream=fault.streams and number % 2 == 1)))
    story.asked = len(one.upstream.heard) - WELL
    one.upstream.script = answers
    await one.open()
    heard, until = len(one.upstream.heard), time.monotonic() + RECOVERS_S
    while not story.recovered and time.monotonic() < until:
        story.after.append(await send(port, CHAT, body(name)))
        story.recovered = len(one.upstream.heard) > heard
        await asyncio.sleep(0.1)
    return story


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Every fault at the same time, each at targets of its own, and the worker's facts by alias and request."""
    home = tmp_path_factory.mktemp("table")

    async def run() -> dict[str, Story]:
        places = {name: (Place(), Place()) for name in FAULTS}
        write_snapshot(world(places), home / "snapshot.msgpack")
        process = Process(home, free_port(), **TIMES)
        async with AsyncExitStack() as stack:
            for pair in places.values():
                for place in pair:
                    await place.open()
                    stack.push_async_callback(place.close)
            try:
                await asyncio.to_thread(process.wait_ready)
                playing = [played(n, fault, places[n][0], process.port) for n, fault in FAULTS.items()]
                return dict(zip(FAULTS, await asyncio.gather(*playing), strict=True))
            finally:
                await asyncio.to_thread(process.stop)

    stories = asyncio.run(run())
    by_alias: dict[str, dict[str, list[RequestFact]]] = defaultdict(lambda: defaultdict(list))
    for fact in facts(home / "journal"):
        by_alias[fact.requested_model][fact.request_id].append(fact)
    return stories, by_alias


@pytest.mark.parametrize("name", FAULTS)
def test_clients_notice_nothing(table, name):
    story = table[0][name]
    assert len(story.during) == SICK
    assert [(got.status, got.whole) for got in story.during + story.after] == [(200, True)] * (SICK + len(story.after))


@pytest.mark.parametrize("name", FAULTS)
def test_every_attempt_is_in_the_ledger_with_its_role(table, name):
    requests, fault = table[1][name], FAULTS[name]
    assert len(requests) == WELL + SICK + len(table[0][name].after)
    for attempts in requests.values():
        attempts.sort(key=lambda fact: fact.attempt)
        *failed, answered = attempts
        assert [fact.attempt for fact in attempts] == list(range(1, len(attempts) + 1))
        assert (answered.status, answered.cost, answered.unpriced) == (Status.OK, COST, "")
        for fact in failed:
            assert (fact.status, fact.error_kind, fact.cost) == (fault.status, fault.kind, fault.cost), fact.error
            assert bool(fact.unpriced) is (fault.cost is None), "what is not known has a reason"
        roles = [fact.tags.get("farthing.role", "") for fact in attempts]
        assert roles == ["", "failover"][: len(attempts)]


@pytest.mark.parametrize("name", FAULTS)
def test_a_sick_target_rests_and_comes_back_by_itself(table, name):
    story, requests = table[0][name], table[1][name]
    failed = [fact for attempts in requests.values() for fact in attempts if fact.status is not Status.OK]
    assert 1 <= len(failed) < SICK / 2, "it is not asked every time"
    if not FAULTS[name].unreachable:
        assert story.asked <= len(failed) + 1, "a connection that had gone stale was replaced once at most"
    assert story.recovered


async def broken_stream(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(event("Hel")))
    await writer.drain()
    await heard.reader.read(1)


def test_what_breaks_after_the_first_byte_is_told_and_never_sent_again(tmp_path):
    """The twentieth way: the only one that a client sees, because its answer has begun."""

    async def run() -> tuple[Response, list[Heard]]:
        one, two = Place(), Place()
        write_snapshot(world({"cut": (one, two)}), tmp_path / "snapshot.msgpack")
        process = Process(tmp_path, free_port(), **TIMES)
        try:
            await one.open()
            await two.open()
            await asyncio.to_thread(process.wait_ready)
            one.upstream.script = broken_stream
            return await send(process.port, CHAT, body("cut", stream=True)), two.upstream.heard
        finally:
            await asyncio.to_thread(process.stop)
            await one.close()
            await two.close()

    got, other = asyncio.run(run())
    (fact,) = facts(tmp_path / "journal")
    assert got.status == 200
    assert b'"error"' in got.body
    assert (fact.status, fact.error_kind) == (Status.TRUNCATED, ErrorKind.TIMEOUT)
    assert other == []
