"""Bytes on a client's connection: what counts as a request, how answers are framed, when it is closed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from farthing.app import worker
from farthing.gateway import server as serving
from farthing.gateway.client import Client, ClientGoneError, Reply
from farthing.gateway.server import Server

LIMIT = 4_000_000
HEAD = b"POST /echo HTTP/1.1\r\nhost: x\r\n"


async def echo(client: Client) -> None:
    """Answers with the path and the body."""
    body = await client.body(LIMIT)
    await client.reply(Reply(status=200, body=client.path.encode() + b" " + body))


async def streams(client: Client) -> None:
    await client.body(LIMIT)
    await client.start(200, b"text/event-stream", [])
    for part in (b"one", b"two"):
        await client.write(part)
    await client.finish(b"three")


@asynccontextmanager
async def connected(
    handle: Callable[[Client], Awaitable[None]],
) -> AsyncIterator[tuple[Server, asyncio.StreamReader, asyncio.StreamWriter]]:
    server = Server(handle)
    sock = worker.listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    await server.start(sock)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            yield server, reader, writer
    finally:
        writer.close()
        await server.stop(0)


def said(*pieces: bytes, handle: Callable[[Client], Awaitable[None]] = echo) -> bytes:
    """All that comes back for these pieces, up to the closing of the connection."""

    async def run() -> bytes:
        async with connected(handle) as (_, reader, writer):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)
            return await reader.read()

    return asyncio.run(run())


def with_length(body: bytes, *more: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in more)
    return HEAD + lines + b"content-length: %d\r\n\r\n" % len(body) + body


LAST = b"GET /last HTTP/1.1\r\nconnection: close\r\n\r\n"


def test_requests_follow_each_other_on_one_connection():
    got = said(with_length(b"first"), with_length(b"second"), LAST)
    assert [b"/echo first" in got, b"/echo second" in got, got.endswith(b"/last ")] == [True] * 3
    assert got.count(b"connection: close") == 1


def test_pipelined_requests_are_answered_one_after_the_other_in_order():
    running = 0

    async def slow_first(client: Client) -> None:
        nonlocal running
        running += 1
        assert running == 1
        body = await client.body(LIMIT)
        await asyncio.sleep(0.1 if body == b"1" else 0)
        running -= 1
        await client.reply(Reply(status=200, body=b"<" + body + b">"))

    got = said(with_length(b"1") + with_length(b"2") + with_length(b"3") + LAST, handle=slow_first)
    assert [got.index(b"<1>"), got.index(b"<2>"), got.index(b"<3>")] == sorted(
        got.index(b"<%d>" % n) for n in (1, 2, 3)
    )
    assert got.endswith(b"<>")


MALFORMED = {
    "two lengths": HEAD + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "a list of lengths": HEAD + b"content-length: 3, 3\r\n\r\nabc",
    "a signed length": HEAD + b"content-length: +3\r\n\r\nabc",
    "length and chunks": HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    "an unknown coding": HEAD + b"transfer-encoding: gzip\r\n\r\n",
    "chunks not last": HEAD + b"transfer-encoding: chunked, identity\r\n\r\n",
    "a folded header": HEAD + b"a: b\r\n c\r\n\r\n",
    "a NUL": HEAD + b"a: b\0c\r\n\r\n",
    "a space before the colon": HEAD + b"a : b\r\n\r\n",
    "a bare line feed": HEAD + b"a: b\nc: d\r\n\r\n",
    "a bad chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "an upgrade in chunks": HEAD
    + b"connection: upgrade\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_closed(data):
    got = said(data)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.count(b"HTTP/1.1") == 1
    assert b"connection: close" in got


def test_garbage_behind_a_request_does_not_harm_its_answer():
    got = said(with_length(b"fine") + b"\0\0garbage")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"/echo fine")


@pytest.mark.parametrize("size", [0, 1, 20_000, 65_536, 1_000_000, 3_000_000])
def test_a_body_of_any_size_arrives_whole_and_the_connection_goes_on(size):
    body = bytes(range(256)) * (size // 256 + 1)
    got = said(with_length(body[:size]), LAST)
    assert body[:size] + b"HTTP/1.1 200" in got
    assert got.endswith(b"/last ")


def test_a_body_may_come_in_chunks_with_trailers():
    chunks = HEAD + b"transfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n"
    got = said(chunks, b"2\r\nde\r\n0\r\nx-late: 1\r\n\r\n", LAST)
    assert b"/echo abcde" in got
    assert got.endswith(b"/last ")


def test_leave_to_send_a_body_is_given_when_it_is_wanted():
    async def run(handle: Callable[[Client], Awaitable[None]]) -> tuple[bytes, bytes]:
        async with connected(handle) as (_, reader, writer):
            writer.write(HEAD + b"content-length: 4\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n")
            first = await reader.readline()
            writer.write(b"body")
            return first, await reader.read()

    async def refuses(client: Client) -> None:
        await client.reply(Reply(status=401, body=b"no"))

    first, rest = asyncio.run(run(echo))
    assert first == b"HTTP/1.1 100 Continue\r\n"
    assert rest.endswith(b"/echo body")
    first, rest = asyncio.run(run(refuses))
    assert first.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in rest


def test_an_answer_before_the_end_of_a_body_survives_the_rest_of_it():
    async def refuses(client: Client) -> None:
        await client.reply(Reply(status=413, body=b"too much"))

    got = said(HEAD + b"content-length: 3000000\r\n\r\n", b"x" * 1_000_000, handle=refuses)
    assert got.endswith(b"too much")


def test_a_wish_for_another_protocol_is_ignored():
    got = said(with_length(b"x" * 100_000, b"connection: upgrade, http2-settings", b"upgrade: h2c"))
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"x" * 100_000)


def test_answers_without_a_body_keep_their_length():
    got = said(b"HEAD /here HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert b"content-length: 6\r\n" in got
    assert got.endswith(b"\r\n\r\n")


def test_streams_are_chunked_and_for_old_clients_end_with_the_connection():
    new = said(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", handle=streams)
    old = said(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", handle=streams)
    assert new.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n")
    assert b"chunked" not in old
    assert old.endswith(b"\r\n\r\nonetwothree")


def test_paths_are_read_without_query_and_from_whole_addresses():
    got = said(b"GET /a%20b?c HTTP/1.1\r\n\r\n", b"GET http://h/d?e HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert b"/a b " in got
    assert got.endswith(b"/d ")


def test_a_head_without_end_is_refused():
    got = said(HEAD, *(b"x-%d: " % n + b"y" * 30_000 + b"\r\n" for n in range(4)))
    assert got.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(("sent", "status"), [(b"", b""), (HEAD, b"HTTP/1.1 408 ")])
def test_a_client_that_says_nothing_or_never_ends_its_head_is_shown_out(monkeypatch, sent, status):
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(serving, "_SWEEP_SECONDS", 0.05)
    got = said(sent)
    assert got.startswith(status)
    assert bool(got) == bool(status)


def test_a_client_that_leaves_is_noticed_and_its_exchange_cancelled():
    seen: list[str] = []

    async def waits(client: Client) -> None:
        await client.body(LIMIT)
        client.watch()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def wants(client: Client) -> None:
        try:
            await client.body(LIMIT)
        except ClientGoneError:
            seen.append("gone")

    async def run(handle: Callable[[Client], Awaitable[None]], data: bytes) -> None:
        async with connected(handle) as (_, _reader, writer):
            writer.write(data)
            await asyncio.sleep(0.05)
            writer.close()
            while not seen:
                await asyncio.sleep(0.01)

    asyncio.run(run(waits, with_length(b"all")))
    assert seen.pop() == "cancelled"
    asyncio.run(run(wants, HEAD + b"content-length: 100000\r\n\r\nhalf"))
    assert seen.pop() == "gone"


def test_a_client_that_does_not_read_is_not_written_to_without_end():
    written = 0

    async def floods(client: Client) -> None:
        nonlocal written
        client.watch()
        await client.start(200, b"text/event-stream", [])
        while True:
            await client.write(b"x" * 100_000)
            written += 100_000

    async def run() -> int:
        async with connected(floods) as (_, _reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.2)
            return written

    assert 0 < asyncio.run(run()) < 50_000_000


def test_stopping_closes_idle_connections_lets_exchanges_end_and_takes_no_more():
    async def run() -> tuple[bytes, bytes, bool]:
        release = asyncio.Event()

        async def waits(client: Client) -> None:
            await client.body(LIMIT)
            await release.wait()
            await client.reply(Reply(status=200, body=b"done"))

        async with connected(waits) as (server, reader, writer):
            port = writer.get_extra_info("peername")[1]
            idle, other = await asyncio.open_connection("127.0.0.1", port)
            writer.write(with_length(b"x"))
            await asyncio.sleep(0.05)
            stopping = asyncio.create_task(server.stop(10))
            nothing = await idle.read()
            other.close()
            try:
                await asyncio.open_connection("127.0.0.1", port)
                refused = False
            except ConnectionError:
                refused = True
            release.set()
            answer = await reader.read()
            await stopping
            return nothing, answer, refused

    nothing, answer, refused = asyncio.run(run())
    assert (nothing, refused) == (b"", True)
    assert b"connection: close" in answer
    assert answer.endswith(b"done")
