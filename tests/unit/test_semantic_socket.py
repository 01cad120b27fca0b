"""The semantic cache's socket and both of its clients: whatever is wrong over there, a lookup says nothing, quickly."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from farthing.cache.semantic import client as clients
from farthing.cache.semantic import server as servers
from farthing.cache.semantic.client import SemanticClient, SemanticControl
from farthing.cache.semantic.ports import Action
from farthing.cache.semantic.server import Server
from farthing.cache.semantic.wire import FRAME_BYTES, Frames, Learn, Lookup, framed, request
from farthing.core.errors import UnavailableError
from support.loop import in_loop
from support.semantic import NAME, Cache, cache, digest

QUESTION = "How do I reset the password of my account?"
LIKE_IT = "How do I reset the password of my account"


@asynccontextmanager
async def listening(running: Cache, path) -> AsyncIterator[Server]:
    server = Server(running.service)
    await server.start(path)
    try:
        yield server
    finally:
        await server.aclose()


@asynccontextmanager
async def connected(path) -> AsyncIterator[SemanticClient]:
    client = SemanticClient(path)
    client.start()
    try:
        yield client
    finally:
        await client.aclose()


async def until(true, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def ask(client: SemanticClient, text: str = QUESTION, *, within: float = 5.0, **where):
    about = {"namespace": NAME, "room": digest("room"), "tenant": "acme", "user": "ann", "key_id": "k", **where}
    return client.lookup(text=text, within=within, **about)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_worker_looks_up_learns_and_serves(tmp_path, loop):
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_look_up_learn_and_serve(tmp_path))


async def _look_up_learn_and_serve(tmp_path):
    path = tmp_path / "run" / "cache.sock"
    async with cache(tmp_path / "cache") as running, listening(running, path), connected(path) as client:
        await until(lambda: client.connected)
        missed = await ask(client)
        client.learn(Learn(missed.ticket, digest("key"), "On the profile page.", "0.01", 0.0))
        await until(lambda: running.service._questions._entries)
        found = await ask(client, LIKE_IT)
        assert (found.action, found.key, found.matched) == (Action.SERVE, digest("key"), QUESTION)
        client.served(found.ticket, "0.01")
        client.drop((await ask(client, LIKE_IT)).ticket)
        await until(lambda: running.service._questions._entries.hits("", "", 10))
        assert path.stat().st_mode & 0o777 == 0o600

        def talk():
            with SemanticControl(path) as control:
                return (
                    control.status(),
                    control.recent(),
                    control.feedback(digest("key"), LIKE_IT, wrong=True),
                    control.purge("all"),
                )

        state, hits, removed, purged = await asyncio.to_thread(talk)
        assert state.namespaces[NAME].entries == 1
        assert [hit.question for hit in hits] == [LIKE_IT]
        assert (removed, purged) == (1, 0)


@in_loop
async def test_lookups_that_come_together_are_embedded_together(tmp_path):
    path = tmp_path / "s"
    async with cache(tmp_path / "cache") as running, listening(running, path), connected(path) as client:
        await until(lambda: client.connected)
        answers = await asyncio.gather(*(ask(client, f"{QUESTION} {i}", room=digest(str(i))) for i in range(100)))
        assert len({answer.ticket for answer in answers}) == 100
        assert max(running.embedder.calls) > 10
        assert sum(running.embedder.calls) == 100


@in_loop
async def test_without_a_process_a_lookup_says_nothing_at_once(tmp_path):
    async with connected(tmp_path / "nobody") as client:
        assert await ask(client) is None
        client.learn(Learn(1, digest("k"), "Yes."))
        client.served(1, "1")
        client.drop(1)
        assert client.dropped == 3


@in_loop
async def test_what_cannot_be_looked_up_is_not_sent(tmp_path):
    path = tmp_path / "s"
    async with cache(tmp_path / "cache") as running, listening(running, path), connected(path) as client:
        await until(lambda: client.connected)
        assert await ask(client, "") is None
        assert await ask(client, "long " * 5000) is None
        assert await ask(client, room=b"short") is None
        assert await ask(client, "a lone surrogate \ud800") is None
        assert running.embedder.calls == []
        assert await ask(client) is not None


@in_loop
async def test_a_slow_process_is_not_waited_for(tmp_path):
    path = tmp_path / "s"
    async with cache(tmp_path / "cache") as running, listening(running, path), connected(path) as client:
        await until(lambda: client.connected)
        released = asyncio.Event()
        embed = running.embedder.embed

        async def slow(texts):
            await released.wait()
            return await embed(texts)

        running.embedder.embed = slow
        assert await ask(client, within=0.02) is None
        released.set()
        assert await ask(client) is not None, "the late answer to the first is passed over"


@in_loop
async def test_a_process_that_ends_costs_lookups_and_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "LONGEST_PAUSE", 0.05)
    path = tmp_path / "s"
    async with connected(path) as client:
        for _ in range(3):
            async with cache(tmp_path / "cache") as running:
                async with listening(running, path):
                    await until(lambda: client.connected)
                    assert await ask(client) is not None
                    running.embedder.embed = _forever
                    waiting = asyncio.create_task(ask(client, within=30))
                    await asyncio.sleep(0.02)
                assert await waiting is None
                await until(lambda: not client.connected)
                assert await ask(client) is None


async def _forever(_texts):
    await asyncio.Event().wait()


@pytest.mark.parametrize("noise", [b"\xff" * 64, struct.pack(">I", 3) + b"abc", struct.pack(">I", FRAME_BYTES + 1)])
@in_loop
async def test_noise_from_the_process_ends_the_connection_and_nothing_else(tmp_path, noise):
    path = tmp_path / "s"

    async def talk(reader, writer):
        await reader.read(10)
        writer.write(noise)
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(talk, path)
    async with connected(path) as client:
        await until(lambda: client.connected)
        assert await ask(client, within=5) is None
    server.close()


@in_loop
async def test_a_process_that_does_not_read_fills_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "BUFFER_BYTES", 10_000)
    path = tmp_path / "s"
    sock = servers.bound(path)
    sock.listen()
    async with connected(path) as client:
        await until(lambda: client.connected)
        for _ in range(1000):
            client.learn(Learn(1, digest("k"), "words " * 1000))
        assert client.dropped > 500
        assert client._line._transport.get_write_buffer_size() < 30_000
    sock.close()


@pytest.mark.parametrize("noise", [b"\xff" * 64, struct.pack(">I", 3) + b"abc", struct.pack(">I", FRAME_BYTES + 1)])
@in_loop
async def test_noise_from_a_client_closes_its_connection_only(tmp_path, noise):
    path = tmp_path / "s"
    async with cache(tmp_path / "cache") as running, listening(running, path), connected(path) as client:
        await until(lambda: client.connected)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(noise)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert await ask(client) is not None


@in_loop
async def test_a_bug_in_a_lookup_is_a_miss(tmp_path, caplog):
    path = tmp_path / "s"
    async with cache(tmp_path / "cache") as running, listening(running, path), connected(path) as client:
        await until(lambda: client.connected)
        running.rule.consider = None
        found = await ask(client)
        assert (found.action, found.reason) == (Action.MISS, "failed")
        assert "lookups failed" in caplog.text


@in_loop
async def test_what_waits_to_be_learned_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "LESSONS", 10)
    async with cache(tmp_path / "cache") as running:
        server = Server(running.service)
        for i in range(100):
            server.take(None, Learn(i, digest("k"), "Yes."))
        assert server._lessons.qsize() == 10


@in_loop
async def test_a_command_is_told_what_is_wrong(tmp_path):
    path = tmp_path / "s"
    with pytest.raises(UnavailableError, match="does not answer"):
        SemanticControl(path)
    async with cache(tmp_path / "cache") as running, listening(running, path):

        def purge():
            with SemanticControl(path) as control:
                control.purge("entry", "no key")

        with pytest.raises(UnavailableError, match="hexadecimal"):
            await asyncio.to_thread(purge)


def test_a_command_is_told_of_a_process_that_breaks_off(tmp_path):
    path = tmp_path / "s"
    sock = servers.bound(path)
    sock.setblocking(True)
    sock.listen()

    def hang_up():
        other, _ = sock.accept()
        other.recv(10)
        other.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with SemanticControl(path) as control, pytest.raises(UnavailableError, match="broke off"):
        control.status()
    thread.join()
    sock.close()


def test_a_stale_socket_gives_way(tmp_path):
    path = tmp_path / "deep" / "s"
    for _ in range(2):
        with contextlib.closing(servers.bound(path)) as sock:
            assert sock.family is socket.AF_UNIX


def test_frames_come_out_as_they_went_in_however_they_are_cut():
    messages = [Lookup(i, "n", digest("r"), "t", "u", "k", "words " * i) for i in range(40)]
    stream = b"".join(map(framed, messages))
    for size in (1, 3, 4, 5, 64, 1000, len(stream)):
        frames = Frames()
        out = [request(p) for at in range(0, len(stream), size) for p in frames.take(stream[at : at + size])]
        assert out == messages
