"""Whatever clients send, the gateway answers in their dialect's own words, and asks providers nothing else."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.gateway import (
    ANSWER,
    CHAT,
    MODEL,
    TOKEN,
    Heard,
    Lab,
    Upstream,
    answers,
    chat,
    facts,
    gateway,
    reply,
    upstream,
)

from farthing.core.facts import Status
from farthing.gateway.client import Body, Client
from farthing.gateway.settings import GatewaySettings
from farthing.ledger.store import Ledger

PATHS = {
    "/v1/chat/completions": {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5},
    "/v1/completions": {"model": MODEL, "prompt": "Hi", "n": 2},
    "/v1/embeddings": {"model": MODEL, "input": ["Hi", "there"]},
    "/v1/responses": {"model": MODEL, "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]},
    "/v1/messages": {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], "system": "Be."},
    "/v1/messages/count_tokens": {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]},
}
ANTHROPIC = ("/v1/messages", "/v1/messages/count_tokens")
FIELDS = (
    "model", "messages", "input", "prompt", "max_tokens", "max_completion_tokens", "n", "stream", "stream_options",
    "tools", "tool_choice", "response_format", "modalities", "text", "system", "content", "role", "type", "metadata",
    "temperature", "top_p", "stop", "thinking", "service_tier", "user",
)  # fmt: skip
LIMIT = 300_000
OWN_ERRORS = range(500, 502)


class Answer(msgspec.Struct):
    """What one exchange came to."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def error(self, dialect: str) -> dict[str, Any]:
        """The error it tells, which must have the dialect's shape."""
        shape = json.loads(self.body)
        if dialect == "anthropic":
            assert shape["type"] == "error"
            assert shape["request_id"] == self.headers[b"request-id"].decode()
        else:
            assert shape["error"].keys() == {"message", "type", "param", "code"}
        assert shape["error"]["message"]
        assert shape["error"]["type"]
        return shape["error"]


class Line:
    """A connection without a socket, always ready to take more."""

    full = False

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def listen(self) -> None:
        raise AssertionError("the body is complete")

    async def room(self) -> None:
        raise AssertionError("there is room")


class Bench:
    """A gateway and its provider on a loop of their own, asked one request at a time without a socket."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.folder = folder
        self.upstream, self.lab = self._runner.run(self._open(folder))

    async def _open(self, folder: Path) -> tuple[Upstream, Lab]:
        server = await self._stack.enter_async_context(upstream(answers_anything))
        limits = GatewaySettings(max_body_bytes=LIMIT)
        return server, await self._stack.enter_async_context(gateway(folder, {"up": server.url}, settings=limits))

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def ask(
        self, path: str, body: bytes, headers: list[tuple[bytes, bytes]] | None = None, *, method: str = "POST"
    ) -> Answer:
        return self._runner.run(self._ask(path, body, headers, method))

    async def _ask(self, path: str, body: bytes, headers: list[tuple[bytes, bytes]] | None, method: str) -> Answer:
        given_ = [(b"authorization", b"Bearer " + TOKEN.encode())] if headers is None else headers
        line = Line()
        incoming = Body(len(body))
        incoming.feed(body)
        incoming.end()
        client = Client(
            line, method, path, given_, named=dict(given_), incoming=incoming, keep=True, modern=False
        )  # fmt: skip
        async with asyncio.timeout(20):
            await self.lab.app(client)
        head, _, data = line.written.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        named = dict(text.split(b": ", 1) for text in lines)
        return Answer(int(first.split()[1]), named, data)

    def raw(self, data: bytes) -> bytes:
        """Bytes on a connection, and what comes back until the gateway closes it or has nothing more to say."""
        return self._runner.run(self._raw(data))

    async def _raw(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.lab.port)
        got = b""
        try:
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(5):
                while piece := await reader.read(65536):
                    got += piece
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()
        return got


async def answers_anything(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """A provider that does not look closely: what is no JSON to it is answered like a request without a stream."""
    try:
        await answers(heard, writer)
    except ValueError:
        writer.write(reply(json.dumps(ANSWER).encode()))


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("fuzz"))
    try:
        yield made
        check_all(made)
    finally:
        made.close()


def check_all(bench: Bench) -> None:
    """After everything: one attempt for each upstream call, and a ledger that takes and returns every fact."""
    noted = facts(bench.folder)
    assert sum(f.attempt > 0 for f in noted) == len(bench.upstream.heard)
    assert not [f for f in noted if f.status is Status.ABANDONED]
    ledger = Ledger.open(str(bench.folder / "ledger"))
    try:
        assert ledger.append_requests(noted, source="fuzz", version=1) == len(noted)
        for fact in noted[:: max(1, len(noted) // 20)]:
            assert fact.request_id in {f.request_id for f in ledger.request(fact.request_id)}
    finally:
        ledger.close()


def check(bench: Bench, path: str, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> Answer:
    """Ask, and hold the answer to what every answer owes."""
    before = len(bench.upstream.heard)
    got = bench.ask(path, body, headers)
    dialect = "anthropic" if path in ANTHROPIC else "openai"
    assert got.status not in OWN_ERRORS, got.body
    if got.status != 200:
        got.error(dialect)
    heard = bench.upstream.heard[before:]
    assert len(heard) <= 1
    for call in heard:
        if dialect == "openai" and path != "/v1/responses":
            assert call.body == body or without_usage(call.body) == without_usage(body), (
                "it is asked what the client asked"
            )
        assert TOKEN.encode() not in call.head + call.body, "a client's key stays here"
    return got


def without_usage(body: bytes) -> Any:
    shape = json.loads(body)
    shape.pop("stream_options", None)
    return shape


leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, 10**25, -1, 0])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from([MODEL, "tinny", "", "\x00", "a" * 600, "user", "text", "image_url", "\U0010ffff"])
)
json_value = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A good body with a few bytes, or a few fields, changed."""
    path = draw(st.sampled_from(sorted(PATHS)))
    shape = {**PATHS[path], **draw(st.dictionaries(st.sampled_from(FIELDS), json_value, max_size=3))}
    data = bytearray(json.dumps(shape, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass"))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["insert", "delete", "replace", "copy"])):
            case "insert":
                data[at:at] = draw(
                    st.binary(max_size=4) | st.sampled_from([b"\x00", b"\xef\xbb\xbf", b"\\ud800", b"{", b'"'])
                )
            case "delete":
                del data[at : at + draw(st.integers(1, 6))]
            case "replace":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case _:
                data[at:at] = data[at : at + draw(st.integers(1, 20))]
    return path, bytes(data)


DEEP = 10_000
HUGE = b"9" * 400
EXTREMES = [
    b"",
    b"null",
    b"[]",
    b"\xef\xbb\xbf{}",
    b"\x00" * 50,
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b'{"model":"tiny","messages":[{"role":"user","content":' + b"[" * DEEP + b"]" * DEEP + b"}]}",
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"metadata":'
    + b'{"a":' * DEEP
    + b"1"
    + b"}" * DEEP
    + b"}",
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"max_tokens":' + HUGE + b"}",
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"max_tokens":1,"n":' + HUGE + b"}",
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"max_tokens":9223372036854775807,"n":9223372036854775807}',
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"max_tokens":1e400,"temperature":1e400}',
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"max_tokens":5,"temperature":-0.0e-400,"seed":'
    + HUGE
    + b"}",
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"max_tokens":NaN}',
    b'{"model":"tiny","messages":[{"role":"user","content":"\\ud800"}],"max_tokens":5}',
    b'{"model":"tiny","messages":[{"role":"user","content":"\x80"}],"max_tokens":5,"metadata":{"a":"\x80"}}',
    b'{"model":"\\ud83d","messages":[],"max_tokens":5}',
    b'{"model":"ti\\u0000ny","messages":[],"max_tokens":5}',
    b'{"model":"tiny\\u0000","messages":[{"role":"user","content":"a\\u0000b"}],"max_tokens":5}',
    b'{"model":"' + b"m" * 100_000 + b'","messages":[],"max_tokens":5}',
    b'{"model":"tiny","model":"other","messages":[{"role":"user","content":"Hi"}],"max_tokens":5}',
    b'{"model":"other","model":"tiny","messages":[{"role":"user","content":"Hi"}],"max_tokens":5,"max_tokens":6}',
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"stream":true,"stream":false,"max_tokens":5}',
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":null,"stream_options":{},"max_tokens":5}',
    b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}],"max_tokens":5} {}',
    b"x" * (LIMIT + 1),
]


@pytest.mark.parametrize("path", sorted(PATHS))
@pytest.mark.parametrize("body", EXTREMES, ids=range(len(EXTREMES)))
def test_extremes_are_answered_in_the_dialects_own_shape(bench, path, body):
    got = check(bench, path, body)
    if len(body) > LIMIT:
        assert got.status == 413


CALM = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@given(mutated())
@settings(CALM, max_examples=250)
def test_changed_bodies_are_answered_or_refused_by_field(bench, changed):
    path, body = changed
    check(bench, path, body)


@given(st.sampled_from(sorted(PATHS)), st.binary(max_size=200))
@settings(CALM, max_examples=100)
def test_any_bytes_are_refused(bench, path, body):
    assert check(bench, path, body).status in (400, 404)


NAMES = st.sampled_from(
    [
        "x-farthing-team", "x-farthing-org", "x-farthing-user", "x-farthing-tags", "x-farthing-regions", "x-farthing-",
        "x-farthing-label-", "x-farthing-label-a", "x-farthing-label-farthing.reversal", "x-farthing-key", "x-other",
        "x-farthing-request-id", "anthropic-version", "anthropic-beta", "openai-beta", "x-client-request-id", "cookie",
        "authorization", "x-api-key", "content-type", "content-length", "host", "transfer-encoding", "expect", "accept",
    ]
)  # fmt: skip
VALUES = st.binary(max_size=20).map(lambda b: b.translate(None, b"\r\n\0")) | st.sampled_from(
    [b"9" * 5000, b"a" * 8000, b"eu,us", b"true"]
)


@given(st.sampled_from(sorted(PATHS)), st.lists(st.tuples(NAMES, VALUES), max_size=5), st.booleans())
@example("/v1/chat/completions", [("content-length", b"9" * 5000)], True)
@example("/v1/chat/completions", [("x-farthing-label-farthing.reversal", b"true")], True)
@settings(CALM, max_examples=200)
def test_headers_are_understood_or_refused(bench, path, pairs, known):
    headers = [(name.encode(), value) for name, value in pairs]
    if known:
        headers.append((b"authorization", b"Bearer " + TOKEN.encode()))
    before = len(bench.upstream.heard)
    got = check(bench, path, json.dumps(PATHS[path]).encode(), headers)
    if not known:
        assert got.status == 401
    for call in bench.upstream.heard[before:]:
        sent = {line.partition(b":")[0] for line in call.head.split(b"\r\n")[1:] if line}
        assert not {n for n in sent if n.startswith((b"x-farthing", b"cookie", b"x-other"))}
        assert b"farthing.reversal" not in b"".join(f.encode() for fact in facts(bench.folder)[-1:] for f in fact.tags)


@given(st.text(max_size=30), st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]), st.booleans())
@example("/v1/models/" + "\x00", "GET", True)
@example("/v1/models/" + "x" * 5000, "GET", True)
@example("/v1/../healthz", "GET", False)
@settings(CALM, max_examples=100)
def test_any_path_and_method_is_answered(bench, path, method, anthropic):
    headers = [(b"authorization", b"Bearer " + TOKEN.encode())]
    if anthropic:
        headers.append((b"anthropic-version", b"2023-06-01"))
    got = bench.ask("/" + path.lstrip("/"), b"", headers, method=method)
    assert got.status not in OWN_ERRORS
    if got.status >= 400 and method != "HEAD":
        got.error("anthropic" if anthropic and "/chat/" not in path else "openai")


PIECES = st.sampled_from(
    [
        b"POST /v1/chat/completions HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"POST /%ff%00 HTTP/1.1\r\n", b"GET /\xff\xfe HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"host: x\r\n", b"content-length: 5\r\n", b"content-length: -1\r\n",
        b"content-length: " + b"9" * 40 + b"\r\n", b"transfer-encoding: chunked\r\n", b"upgrade: websocket\r\nconnection: upgrade\r\n",
        b"expect: 100-continue\r\n", f"authorization: Bearer {TOKEN}\r\n".encode(), b"\r\n", b"5\r\nhello\r\n", b"zz\r\n", b"0\r\n\r\n",
        b"x: " + b"y" * 70_000 + b"\r\n", chat(),
    ]
)  # fmt: skip


@given(st.lists(PIECES | st.binary(max_size=20), max_size=8))
@settings(CALM, max_examples=60)
def test_no_bytes_on_the_wire_harm_the_next_client(bench, pieces):
    before = len(bench.upstream.heard)
    got = bench.raw(b"".join(pieces))
    assert not got or got.startswith(b"HTTP/1.1 ")
    assert not any(got.startswith(b"HTTP/1.1 %d" % status) for status in OWN_ERRORS)
    if TOKEN.encode() not in b"".join(pieces):
        assert len(bench.upstream.heard) == before
    assert bench.ask(CHAT, chat()).status == 200


def test_a_client_that_sends_half_a_request_and_leaves_leaves_nothing_behind(bench):
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 500\r\n\r\n".encode()
    before = len(bench.upstream.heard)
    with socket.create_connection(("127.0.0.1", bench.lab.port)) as sock:
        sock.sendall(head + b'{"model":')
    assert bench.ask(CHAT, chat()).status == 200
    assert len(bench.upstream.heard) == before + 1
    bench.raw(b"")
    assert bench.lab.app.metrics.in_flight == 0
