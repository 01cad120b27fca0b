"""A gateway on a loopback port, before an upstream that misbehaves on purpose. Real sockets on both sides."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from farthing.app import worker
from farthing.app.compile import compile_snapshot
from farthing.core.facts import RequestFact
from farthing.core.money import Rate
from farthing.core.nouns import Kind, Offer, Price, Scope
from farthing.core.units import INPUT, OUTPUT
from farthing.gateway import journal as journals
from farthing.gateway.admit import Unlimited
from farthing.gateway.app import Door, Gateway, journal_problem
from farthing.gateway.auth import HashedKeyring
from farthing.gateway.journal import Scan, SegmentJournal
from farthing.gateway.metrics import Metrics
from farthing.gateway.pipeline import Parts, World
from farthing.gateway.reach import Guard
from farthing.gateway.retry import Retries
from farthing.gateway.route import SnapshotRouter
from farthing.gateway.server import Server
from farthing.gateway.settings import GatewaySettings, HedgeSettings, ModelSettings, ProviderSettings, TargetSettings
from farthing.gateway.snapshot import KeyEntry, Snapshot
from farthing.gateway.upstream import HttpUpstream, Limits
from farthing.gateway.vendors import provider

TOKEN = "fk_of_the_search_team"
MODEL = "tiny"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
}
COST = Decimal("0.000450000000")
"""1,000 input tokens at 0.15 and 500 output tokens at 0.60 USD per million."""

Script = Callable[["Heard", asyncio.StreamWriter], Awaitable[None]]


class Heard(msgspec.Struct):
    """A request as an upstream got it. ``number`` counts from 1 over all connections."""

    number: int
    head: bytes
    body: bytes
    reader: asyncio.StreamReader


class Upstream:
    """Answers each request by a script that writes raw bytes; keeps what it heard."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[Heard] = []
        self.connections = 0
        self.left = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                heard = Heard(len(self.heard) + 1, head, await reader.readexactly(length), reader)
                self.heard.append(heard)
                await self.script(heard, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            self.left.set()
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


@asynccontextmanager
async def upstream(script: Script) -> AsyncIterator[Upstream]:
    """An upstream that runs a script for each request."""
    made = Upstream(script)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def reply(body: bytes, *, status: str = "200 OK", headers: str = "content-type: application/json\r\n") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(delta: str = "", *, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": delta} if delta else {}, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "tiny-2026", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def usage_event() -> bytes:
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "tiny-2026", "choices": []}
    return b"data: " + json.dumps({**body, "usage": ANSWER["usage"]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


async def answers(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """A provider in good health: whole or streamed, as asked for."""
    if json.loads(heard.body).get("stream"):
        parts = (event("Hel"), event("lo!"), event(finish="stop"), usage_event(), DONE)
        writer.write(STREAM_HEAD + b"".join(map(chunk, parts)) + b"0\r\n\r\n")
    else:
        writer.write(reply(json.dumps(ANSWER).encode()))


def snapshot(
    urls: Mapping[str, str],
    *,
    drains: bool = False,
    hedge: HedgeSettings | None = None,
    providers: Mapping[str, ProviderSettings] | None = None,
    models: Mapping[str, ModelSettings] | None = None,
) -> Snapshot:
    """One model at each of these accounts, in this order, all at one price; further accounts and aliases beside it.

    With a ``hedge`` the order is kept, however fast each turns out to be.
    """
    prices = (
        Price(unit=INPUT, rate=Rate(amount=Decimal("0.15"), per=1_000_000)),
        Price(unit=OUTPUT, rate=Rate(amount=Decimal("0.60"), per=1_000_000)),
    )
    offer = Offer(id="openai/tiny", kind=Kind.TOKENS, provider="openai", product="tiny", prices=prices)
    accounts = {
        name: ProviderSettings(vendor="openai", base_url=url, on_disconnect="drain" if drains else "cancel")
        for name, url in urls.items()
    }
    targets = tuple(TargetSettings(provider=name, model="tiny", weight=10.0**-i) for i, name in enumerate(urls))
    alias = ModelSettings(targets=targets)
    if hedge is not None:
        alias = ModelSettings(targets=targets, strategy="weighted", hedge=hedge)
    key = KeyEntry(id="k1", hash=hashlib.sha256(TOKEN.encode()).hexdigest(), scope=Scope(team="search"))
    return compile_snapshot(
        made=datetime(2026, 11, 1, tzinfo=UTC),
        providers={**accounts, **(providers or {})},
        models={MODEL: alias, **(models or {})},
        offers=[offer],
        keys=[key],
    )


class Lab(msgspec.Struct):
    """A running gateway and its journal's folder."""

    app: Gateway
    journal: SegmentJournal
    folder: Path
    port: int

    def facts(self) -> list[RequestFact]:
        return facts(self.folder)

    async def settled(self, count: int) -> list[RequestFact]:
        """The journaled facts once there are that many."""
        async with asyncio.timeout(5):
            while len(self.facts()) < count:
                await asyncio.sleep(0.01)
        return self.facts()


def facts(folder: Path) -> list[RequestFact]:
    """Every outcome and note in a journal folder."""
    wanted = (journals.Kind.OUTCOME, journals.Kind.NOTE)
    return [f.fact() for path in segments(folder) for f in Scan(path).frames() if f.kind in wanted]


def segments(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.glob(f"*/*{journals.SUFFIX}")))


@asynccontextmanager
async def gateway(
    folder: Path, urls: Mapping[str, str], *, limits: Limits | None = None, settings: GatewaySettings | None = None,
    drains: bool = False, retries: Retries | None = None, hedge: HedgeSettings | None = None,
    doors: Sequence[Door] = (), guard: Guard | None = None,
    providers: Mapping[str, ProviderSettings] | None = None,
) -> AsyncIterator[Lab]:  # fmt: skip
    """A gateway in this process, as a worker would run it."""
    chosen = settings or GatewaySettings()
    known = snapshot(urls, drains=drains, hedge=hedge, providers=providers)
    accounts = {name: provider(name, account, "") for name, account in known.providers.items()}
    router = SnapshotRouter(known, accounts, draw=lambda: 0.5)
    journal = SegmentJournal(folder, "w1", segment_bytes=chosen.journal_segment_bytes, clock=time.monotonic)
    client = HttpUpstream(limits or Limits(), guard=guard)
    metrics = Metrics("0")
    parts = Parts(
        world=World(router=router, keyring=HashedKeyring(known.keys, required=chosen.require_keys), providers=accounts),
        dialects=worker._dialects(),
        upstream=client,
        journal=journal,
        admission=Unlimited(),
        clock=lambda: datetime.now(UTC),
        worker="w1",
        max_body_bytes=chosen.max_body_bytes,
        refused=metrics.refuse,
        observers=(metrics.observe,),
        retries=retries or Retries(),
    )
    app = Gateway(parts, metrics, problem=lambda: journal_problem(journal.check), doors=doors)
    server = Server(app)
    sock = worker.listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    await server.start(sock)
    try:
        yield Lab(app, journal, folder, port)
    finally:
        await server.stop(0)
        await client.aclose()


class Response(msgspec.Struct):
    """What a client got. ``whole`` says that the body ended as its framing promised."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    def json(self) -> dict:
        return json.loads(self.body)


async def send(
    port: int, path: str, body: bytes = b"", *, method: str = "POST", headers: Mapping[str, str] | None = None
) -> Response:
    """One request on a connection of its own, read to its end."""
    async with connection(port) as (reader, writer):
        writer.write(request(path, body, method=method, headers=headers))
        return await read_response(reader)


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client's connection, closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def request(path: str, body: bytes, *, method: str = "POST", headers: Mapping[str, str] | None = None) -> bytes:
    named = {"host": "x", "authorization": f"Bearer {TOKEN}", "content-length": str(len(body)), **(headers or {})}
    return f"{method} {path} HTTP/1.1\r\n".encode() + b"".join(
        f"{name}: {value}\r\n".encode() for name, value in named.items() if value
    ) + b"\r\n" + body  # fmt: skip


async def read_response(reader: asyncio.StreamReader) -> Response:
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        named = dict(line.split(": ", 1) for line in lines[1:] if line)
        if "content-length" in named:
            body = await reader.readexactly(int(named["content-length"]))
            return Response(int(lines[0].split()[1]), named, body, whole=True)
        pieces = b""
        while True:
            try:
                size = int(await reader.readuntil(b"\r\n"), 16)
            except asyncio.IncompleteReadError:
                return Response(int(lines[0].split()[1]), named, pieces, whole=False)
            pieces += (await reader.readexactly(size + 2))[:size]
            if not size:
                return Response(int(lines[0].split()[1]), named, pieces, whole=True)


def chat(**more: object) -> bytes:
    return json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], **more}).encode()


CHAT = "/v1/chat/completions"
