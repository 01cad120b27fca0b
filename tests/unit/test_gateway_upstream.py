"""The upstream client against a server that breaks the rules of HTTP on purpose."""

import asyncio
import socket
import ssl
import struct
import subprocess
from pathlib import Path

import pytest

from farthing.core.errors import InputError, UpstreamError
from farthing.gateway.ports import Ask
from farthing.gateway.upstream import HttpUpstream, Limits
from support.gateway import STREAM_HEAD, Heard, chunk, reply, upstream

QUICK = Limits(connect=1, first_byte=0.3, read=0.3)


def ask(url: str, body: bytes = b"{}", headers: list[tuple[bytes, bytes]] | None = None) -> Ask:
    return Ask(method="POST", url=url, headers=headers or [], body=body)


async def read(client: HttpUpstream, request: Ask) -> bytes:
    answer = await client.open(request)
    try:
        return b"".join([data async for data in answer.chunks()])
    finally:
        await answer.aclose()


def writes(data: bytes, *, close: bool = False):
    async def script(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if close:
            await writer.drain()
            writer.close()

    return script


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def outcome(script, *, limits: Limits = QUICK) -> tuple[str, int]:
    """The kind of failure a script leads to, and how many requests the server heard."""

    async def run() -> tuple[str, int]:
        async with upstream(script) as server:
            client = HttpUpstream(limits)
            try:
                with pytest.raises(UpstreamError) as caught:
                    await read(client, ask(server.url))
            finally:
                await client.aclose()
            return caught.value.kind, len(server.heard)

    return asyncio.run(run())


async def hangs(_heard: Heard, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3)


async def hangs_in_the_body(_heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await asyncio.sleep(3)


async def resets(_heard: Heard, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def resets_in_the_body(_heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await writer.drain()
    await asyncio.sleep(0.05)
    reset(writer)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (hangs, "timeout"),
        (hangs_in_the_body, "timeout"),
        (resets, "reset"),
        (resets_in_the_body, "reset"),
        (writes(b"", close=True), "reset"),
        (writes(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", close=True), "protocol"),
        (writes(STREAM_HEAD + b"ff\r\nhalf a chunk", close=True), "protocol"),
        (writes(STREAM_HEAD + chunk(b"one") + b"no size\r\n"), "protocol"),
        (writes(b"220 smtp.example.com ESMTP\r\n"), "protocol"),
        (writes(b"HTTP/1.1 200 OK\r\ncontent-type", close=True), "protocol"),
        (writes(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-encoding: gzip\r\n\r\nabc"), "protocol"),
    ],
)
def test_each_way_to_break_off_has_its_kind_and_is_not_sent_again(script, kind):
    assert outcome(script) == (kind, 1)


def test_a_refused_connection_is_a_connect_failure():
    async def run() -> str:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            client = HttpUpstream(QUICK)
            with pytest.raises(UpstreamError) as caught:
                await client.open(ask(f"http://127.0.0.1:{held.getsockname()[1]}/"))
            await client.aclose()
            return caught.value.kind

    assert asyncio.run(run()) == "connect"


def exchanged(script, count: int) -> tuple[list[bytes], int, int]:
    """The bodies of so many requests in a row, and the connections and requests the server saw."""

    async def run() -> tuple[list[bytes], int, int]:
        async with upstream(script) as server:
            client = HttpUpstream(QUICK)
            bodies = []
            for _ in range(count):
                bodies.append(await read(client, ask(server.url)))
                await asyncio.sleep(0.02)
            await client.aclose()
            return bodies, server.connections, len(server.heard)

    return asyncio.run(run())


def test_connections_are_kept():
    assert exchanged(writes(reply(b"yes")), 3) == ([b"yes"] * 3, 1, 3)


def test_chunked_bodies_are_joined():
    assert exchanged(writes(STREAM_HEAD + chunk(b"one ") + chunk(b"two") + b"0\r\n\r\n"), 2) == ([b"one two"] * 2, 1, 2)


def test_a_body_may_end_with_the_connection():
    assert exchanged(writes(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True), 2) == ([b"all of it"] * 2, 2, 2)


def test_interim_answers_are_passed_over():
    assert exchanged(writes(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + reply(b"yes")), 1)[0] == [b"yes"]


def test_what_comes_after_an_answer_never_reaches_the_next():
    assert exchanged(writes(reply(b"mine") + reply(b"smuggled")), 3) == ([b"mine"] * 3, 3, 3)


def test_a_connection_that_went_stale_is_replaced_once():
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if heard.number == 2:
            reset(writer)
        else:
            writer.write(reply(b"%d" % heard.number))

    assert exchanged(script, 2) == ([b"1", b"3"], 2, 3)


def test_a_reused_connection_that_had_begun_to_answer_is_not_replaced():
    async def run() -> tuple[str, int]:
        async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
            if heard.number == 1:
                writer.write(reply(b"1"))
            else:
                writer.write(b"HTTP/1.1 200")
                await writer.drain()
                writer.close()

        async with upstream(script) as server:
            client = HttpUpstream(QUICK)
            await read(client, ask(server.url))
            with pytest.raises(UpstreamError) as caught:
                await read(client, ask(server.url))
            await client.aclose()
            return caught.value.kind, len(server.heard)

    assert asyncio.run(run()) == ("protocol", 2)


def test_idle_connections_expire():
    async def run() -> int:
        async with upstream(writes(reply(b"yes"))) as server:
            client = HttpUpstream(Limits(connect=0.2, idle=0.01))
            await read(client, ask(server.url))
            await asyncio.sleep(0.3)
            await read(client, ask(server.url))
            await client.aclose()
            return server.connections

    assert asyncio.run(run()) == 2


def test_more_requests_than_connections_wait_their_turn():
    async def slow(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(reply(b"yes"))

    async def run() -> tuple[list[bytes], int]:
        async with upstream(slow) as server:
            client = HttpUpstream(Limits(connections=2))
            bodies = await asyncio.gather(*(read(client, ask(server.url)) for _ in range(7)))
            await client.aclose()
            return bodies, server.connections

    assert asyncio.run(run()) == ([b"yes"] * 7, 2)


def test_a_request_that_gets_no_connection_in_time_fails():
    async def run() -> str:
        async with upstream(hangs) as server:
            client = HttpUpstream(Limits(connections=1, connect=0.1, first_byte=5))
            first = asyncio.create_task(client.open(ask(server.url)))
            await asyncio.sleep(0.05)
            with pytest.raises(UpstreamError) as caught:
                await client.open(ask(server.url))
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await client.aclose()
            return caught.value.kind

    assert asyncio.run(run()) == "connect"


def test_a_slow_reader_holds_the_server_back():
    size = 64 * 1024 * 1024

    async def run() -> int:
        sent = 0

        async def floods(_heard: Heard, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            while sent < size:
                writer.write(bytes(65536))
                await writer.drain()
                sent += 65536

        async with upstream(floods) as server:
            client = HttpUpstream()
            answer = await client.open(ask(server.url))
            await asyncio.sleep(0.3)
            held = sent
            await answer.aclose()
            await client.aclose()
            return held

    assert asyncio.run(run()) < size / 2


def test_a_released_connection_is_kept_when_its_rest_arrives():
    async def run() -> tuple[bytes, int]:
        async def script(_heard: Heard, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + chunk(b"all there is"))
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"0\r\n\r\n")

        async with upstream(script) as server:
            client = HttpUpstream(QUICK)
            for _ in range(2):
                answer = await client.open(ask(server.url))
                data = await anext(answer.chunks())
                answer.release()
                await asyncio.sleep(0.2)
            await client.aclose()
            return data, server.connections

    assert asyncio.run(run()) == (b"all there is", 1)


@pytest.mark.parametrize("value", [b"a\r\nx-admin: yes", b"a\nb", b"a\rb", b"a\0b"])
def test_a_header_cannot_smuggle_another(value: bytes):
    async def run() -> int:
        async with upstream(writes(reply(b"yes"))) as server:
            client = HttpUpstream(QUICK)
            with pytest.raises(InputError):
                await client.open(ask(server.url, headers=[(b"x-user", value)]))
            await client.aclose()
            return server.connections

    assert asyncio.run(run()) == 0


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "http://", "http://host/a b", "http://host/a\r\nx: y", "http://h:99999/"]
)
def test_what_is_no_address_is_refused(url: str):
    async def run() -> None:
        client = HttpUpstream(QUICK)
        try:
            await client.open(ask(url))
        finally:
            await client.aclose()

    with pytest.raises(InputError):
        asyncio.run(run())


def test_framing_headers_are_our_own():
    async def run() -> bytes:
        async with upstream(writes(reply(b"yes"))) as server:
            client = HttpUpstream(QUICK)
            headers = [
                (b"content-length", b"99"),
                (b"transfer-encoding", b"chunked"),
                (b"host", b"evil"),
                (b"x-a", b"1"),
            ]
            await read(client, ask(server.url, b"body", headers))
            await client.aclose()
            return server.heard[0].head.lower()

    head = asyncio.run(run())
    assert b"content-length: 4\r\n" in head
    assert b"x-a: 1\r\n" in head
    assert b"evil" not in head
    assert b"transfer-encoding" not in head


def test_certificates_are_verified(tmp_path: Path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, *subject], check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=str(cert))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(b"secret"))
        await writer.drain()
        writer.close()

    async def run() -> tuple[str, bytes]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
        client = HttpUpstream(QUICK)
        with pytest.raises(UpstreamError) as caught:
            await client.open(ask(url, b""))
        await client.aclose()
        trusted = HttpUpstream(QUICK, tls=trusting)
        body = await read(trusted, ask(url, b""))
        await trusted.aclose()
        server.close()
        return caught.value.kind, body

    assert asyncio.run(run()) == ("connect", b"secret")
