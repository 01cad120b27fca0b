"""An upstream that fails as it is told to, in a thread of its own, and counts every call that was begun.

What goes wrong and which call it is stand in the prompt (``fault=NAME mark=ID``), so that both survive any
gateway in between. It speaks OpenAI's chat and Anthropic's messages, whole and streamed.
"""

import asyncio
import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from farthing.core.facts import RequestFact
from farthing.ledger.schema import decode_requests

COST = {"openai": Decimal("0.00045"), "anthropic": Decimal("0.0035")}
"""1,000 input and 500 output tokens of gpt-4o-mini (0.15 and 0.60 USD per million) and claude-haiku-4-5 (1 and 5)."""

MODEL = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
PATH = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}

_PROMPT = re.compile(rb"fault=(\S+) mark=(\w+)")


def ask(dialect: str, fault: str, mark: str, *, stream: bool = False, model: str = "") -> bytes:
    """A client's request that will fail in this way."""
    said = [{"role": "user", "content": f"fault={fault} mark={mark} "}]
    return json.dumps(
        {"model": model or MODEL[dialect], "max_tokens": 500, "stream": stream, "messages": said}
    ).encode()


def whole(dialect: str, usage: object = None) -> bytes:
    """A good answer; ``usage`` replaces its counts."""
    if dialect == "anthropic":
        counts = {"input_tokens": 1000, "output_tokens": 500}
        shape: dict = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5"}
        shape |= {"content": [{"type": "text", "text": "Hello!"}], "stop_reason": "end_turn", "stop_sequence": None}
    else:
        counts = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
        message = {"role": "assistant", "content": "Hello!"}
        shape = {"id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
        shape["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({**shape, "usage": counts if usage is None else usage}).encode()


def events(dialect: str, usage: object = None) -> list[bytes]:
    """The same as the events of a stream."""
    if dialect == "anthropic":
        counts = {"input_tokens": 1000, "output_tokens": 500} if usage is None else usage
        begun = {**counts, "output_tokens": 1} if usage is None else usage
        start = {**json.loads(whole(dialect)), "content": [], "stop_reason": None, "usage": begun}
        shapes = [
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            *(
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}}
                for t in ("Hel", "lo!")
            ),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": counts},
            {"type": "message_stop"},
        ]
        return [f"event: {s['type']}\ndata: {json.dumps(s)}\n\n".encode() for s in shapes]
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    counts = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500} if usage is None else usage
    choices = [
        *({"index": 0, "delta": {"content": text}, "finish_reason": None} for text in ("Hel", "lo!")),
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    shapes = [*({**head, "choices": [choice]} for choice in choices), {**head, "choices": [], "usage": counts}]
    return [*(b"data: " + json.dumps(shape).encode() + b"\n\n" for shape in shapes), b"data: [DONE]\n\n"]


def facts_in(home: Path) -> list[RequestFact]:
    """Every fact of a ledger, read from its files without asking its questions."""
    try:
        table = DeltaTable(str(home / "ledger" / "requests"))
    except TableNotFoundError:
        return []
    return decode_requests(table.to_pyarrow_table().to_pylist())


class Wire:
    """One call, and the connection it came on."""

    def __init__(
        self, dialect: str, stream: bool, mark: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.dialect, self.stream, self.mark = dialect, stream, mark
        self.reader, self.writer = reader, writer
        self.gone = False

    async def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            if pause:
                await asyncio.sleep(pause)

    async def body(self, data: bytes, *, status: str = "200 OK", headers: str = "", length: int | None = None) -> None:
        """A whole body under a content-length, which may lie."""
        size = len(data) if length is None else length
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {size}\r\n\r\n"
        await self.send(head.encode() + data)

    async def good(self, usage: object = None, *, headers: str = "", pause: float = 0.0) -> None:
        """An answer as it should be."""
        if self.stream:
            await self.head(headers)
            await self.send(*map(chunk, events(self.dialect, usage)), b"0\r\n\r\n", pause=pause)
        else:
            await asyncio.sleep(pause)
            await self.body(whole(self.dialect, usage), headers=headers)

    async def head(self, headers: str = "") -> None:
        await self.send(
            f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{headers}transfer-encoding: chunked\r\n\r\n".encode()
        )

    async def half(self) -> None:
        """The head, and an answer's first half."""
        if self.stream:
            await self.head()
            await self.send(*map(chunk, events(self.dialect)[:-3]))
        else:
            data = whole(self.dialect)
            await self.body(data[: len(data) // 2], length=len(data))

    async def silence(self) -> None:
        """Nothing more, until the other side leaves."""
        while await self.reader.read(65536):
            pass
        self.gone = True

    async def reset(self) -> None:
        """RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asyncio.sleep(0.02)
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _hang_before(wire: Wire) -> None:
    await wire.silence()


async def _hang_within(wire: Wire) -> None:
    await wire.half()
    await wire.silence()


async def _reset_before(wire: Wire) -> None:
    await wire.reset()


async def _reset_within(wire: Wire) -> None:
    await wire.half()
    await wire.reset()


async def _close_before(wire: Wire) -> None:
    wire.close()


async def _close_within(wire: Wire) -> None:
    await wire.half()
    wire.close()


async def _half_chunk(wire: Wire) -> None:
    await wire.head()
    await wire.send(b"ff\r\n" + events(wire.dialect)[0][:20])
    wire.close()


async def _no_http(wire: Wire) -> None:
    await wire.send(b"SSH-2.0-OpenSSH_9.2\r\n")
    wire.close()


async def _too_long(wire: Wire) -> None:
    data = whole(wire.dialect)
    await wire.body(data, length=len(data) + 50)
    wire.close()


async def _too_short(wire: Wire) -> None:
    data = whole(wire.dialect)
    await wire.body(data, length=len(data) - 10)


async def _bad_json(wire: Wire) -> None:
    if wire.stream:
        await wire.head()
        await wire.send(chunk(b'data: {"choices": [\n\n'), b"0\r\n\r\n")
    else:
        await wire.body(b'{"choices": [')


async def _html(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 17\r\n\r\n<html>Hi!</html>\n")


async def _empty(wire: Wire) -> None:
    await wire.body(b"")


async def _no_content(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")


async def _error_under_200(wire: Wire) -> None:
    error = {"error": {"type": "server_error", "message": "the model is on fire"}}
    await wire.body(json.dumps({"type": "error", **error} if wire.dialect == "anthropic" else error).encode())


async def _error_500(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 500 Oops\r\ncontent-type: text/html\r\ncontent-length: 14\r\n\r\n<html>x</html>")


async def _limited(wire: Wire) -> None:
    await wire.body(
        b'{"error": {"type": "rate_limit_error", "message": "slow down"}}',
        status="429 Slow",
        headers="retry-after: 0\r\n",
    )


async def _limited_forever(wire: Wire) -> None:
    await wire.body(b"{}", status="429 Slow", headers=f"retry-after: {'9' * 400}\r\n")


async def _moved(wire: Wire) -> None:
    await wire.body(b"", status="307 Elsewhere", headers="location: http://127.0.0.1:1/\r\n")


async def _switched(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
    await wire.silence()


async def _packed(wire: Wire) -> None:
    await wire.good(headers="content-encoding: gzip\r\n")


async def _endless_head(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\n")
    with contextlib.suppress(ConnectionError):
        for number in range(4096):
            await wire.send(b"x-more-%d: %b\r\n" % (number, b"y" * 4096))
    await wire.silence()


async def _long_head(wire: Wire) -> None:
    await wire.good(headers=f"x-cookie: {'y' * 20_000}\r\n")


async def _interim(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
    await wire.good()


async def _drip(wire: Wire) -> None:
    if not wire.stream:
        data = whole(wire.dialect)
        await wire.body(b"", length=len(data))
        await wire.send(*(bytes([byte]) for byte in data))
        return
    await wire.head()
    await wire.send(*(chunk(bytes([byte])) for event in events(wire.dialect) for byte in event), b"0\r\n\r\n")


async def _closes_idle(wire: Wire) -> None:
    await wire.good()
    await asyncio.sleep(0.02)
    wire.close()


async def _ok(wire: Wire) -> None:
    await wire.good()


async def _quick(wire: Wire) -> None:
    await wire.good(pause=0.005)


async def _slow(wire: Wire) -> None:
    await wire.good(pause=0.1 if wire.stream else 0.5)


FAULTS: dict[str, Callable[[Wire], Awaitable[None]]] = {
    name.removeprefix("_"): act
    for name, act in list(globals().items())
    if name.startswith("_") and asyncio.iscoroutinefunction(act)
}
"""What an upstream may do, by name."""

ABSURD: dict[str, object] = {
    "negative": {"prompt_tokens": -5, "completion_tokens": 7, "input_tokens": -5, "output_tokens": 7},
    "beyond_int64": {"prompt_tokens": 10**30, "completion_tokens": 1, "input_tokens": 10**30, "output_tokens": 1},
    "int64_edge": {"prompt_tokens": 2**63 - 1, "completion_tokens": 2**63 - 1, "input_tokens": 2**63 - 1, "output_tokens": 2**63 - 1},
    "text": {"prompt_tokens": "many", "completion_tokens": "more", "input_tokens": "many", "output_tokens": "more"},
    "a_list": [1, 2],
    "fraction": {"prompt_tokens": 1.5, "completion_tokens": 2.5, "input_tokens": 1.5, "output_tokens": 2.5},
    "cached_beyond_input": {
        "prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50},
        "input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": -50,
    },
    "huge_cost": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 1e30, "input_tokens": 1, "output_tokens": 1},
    "nothing": {},
}  # fmt: skip
"""Usage objects that no answer should have."""


class Faulty:
    """The upstream. ``begun`` holds the mark of each call in order, ``left`` those whose caller closed
    first. ``always`` is what happens to every call, whatever it asks for.
    """

    def __init__(self) -> None:
        self.always = ""
        self.begun: list[str] = []
        self.bodies: dict[str, bytes] = {}
        self.heads: dict[str, bytes] = {}
        self.left: set[str] = set()
        self.finished: set[str] = set()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Faulty":
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def settings(self) -> str:
        """Both accounts for ``farthing.toml``, and aliases of their models at twins that drain when a client leaves."""
        parts = [
            f'[providers.{name}{twin}]\nvendor = "{name}"\nbase_url = "http://127.0.0.1:{self.port}/{name}/v1"\n'
            f'api_key = "env:SIM_KEY"\n{more}'
            for name in MODEL
            for twin, more in (("", ""), ("_twin", 'on_disconnect = "drain"\nmodels = ["no-such"]\n'))
        ]
        aliases = [
            f'[models.drained-{name}]\ntargets = [{{ provider = "{name}_twin", model = "{model}" }}]\n'
            for name, model in MODEL.items()
        ]
        return "\n".join((*parts, *aliases))

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        calls: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._connection(reader, writer))
            calls.add(task)
            task.add_done_callback(calls.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._stop.wait()
        server.close()
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                await self._call(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        body = await reader.readexactly(length)
        told = _PROMPT.search(body)
        fault, mark = (told[1].decode(), told[2].decode()) if told else ("ok", "")
        fault = self.always or fault
        self.begun.append(mark)
        self.heads[mark], self.bodies[mark] = head, body
        dialect = "anthropic" if b"/anthropic/" in head.partition(b"\r\n")[0] else "openai"
        wire = Wire(dialect, b'"stream": true' in body, mark, reader, writer)
        try:
            if fault.startswith("absurd:"):
                await wire.good(ABSURD[fault.removeprefix("absurd:")])
            else:
                await FAULTS[fault](wire)
        except ConnectionError:
            wire.gone = True
        (self.left if wire.gone else self.finished).add(mark)
