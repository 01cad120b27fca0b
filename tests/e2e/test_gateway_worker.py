"""A worker as a process of its own: killed, drained, reloaded, and light."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest

from farthing.app.compile import write_snapshot
from farthing.app.drain import Drainer
from farthing.core.facts import Status
from support.gateway import CHAT, TOKEN, answers, chat, connection, read_response, request, send, snapshot, upstream
from support.journals import MemoryLedger
from support.workers import Process, free_port, worker

HEAVY = (
    "aiohttp", "alembic", "deltalake", "duckdb", "genai_prices", "httpx", "ibis", "litestar", "numpy", "opentelemetry",
    "pandas", "pyarrow", "pydantic", "requests", "rich", "sqlalchemy", "starlette",
)  # fmt: skip


async def many(port: int, answered: list[str], *, stream: bool) -> None:
    """Requests without a pause until the worker is gone; notes the ids of those that were answered whole."""
    try:
        async with connection(port) as (reader, writer):
            while True:
                writer.write(request(CHAT, chat(stream=stream)))
                got = await read_response(reader)
                if got.status == 200 and got.whole:
                    answered.append(got.headers["x-request-id"])
    except (asyncio.IncompleteReadError, ConnectionError):
        return


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.5])
def test_a_worker_killed_under_load_has_every_answer_once_and_every_call_accounted_for(tmp_path, delay):
    async def run() -> tuple[list[str], int]:
        answered: list[str] = []
        async with upstream(answers) as server:
            with worker(tmp_path, {"up": server.url}) as process:
                clients = [asyncio.create_task(many(process.port, answered, stream=n % 2 == 0)) for n in range(8)]
                while len(answered) < 20:
                    await asyncio.sleep(0.005)
                await asyncio.sleep(delay)
                process.process.send_signal(signal.SIGKILL)
                await asyncio.gather(*clients)
            return answered, len(server.heard)

    answered, heard = asyncio.run(run())
    ledger = MemoryLedger()
    for _ in range(2):
        Drainer(tmp_path / "journal", ledger).drain()
    ids = ledger.ids()
    assert len(ids) == len(set(ids))
    assert set(answered) <= set(ids)
    assert set(answered) & set(ledger.ids(Status.ABANDONED)) == set()
    assert len(ids) >= heard


def test_sigterm_lets_requests_finish_and_journals_the_rest_as_cancelled(tmp_path):
    async def slow(heard, writer) -> None:
        await asyncio.sleep(0.5 if b"quick" in heard.body else 30)
        await answers(heard, writer)

    async def run() -> tuple[int, int, list]:
        async with upstream(slow) as server:
            with worker(tmp_path, {"up": server.url}, drain_seconds=1) as process:
                quick = asyncio.create_task(send(process.port, CHAT, chat(user="quick")))
                stuck = asyncio.create_task(send(process.port, CHAT, chat(user="stuck")))
                while len(server.heard) < 2:
                    await asyncio.sleep(0.01)
                process.process.send_signal(signal.SIGTERM)
                got = await quick
                code = await asyncio.to_thread(process.process.wait, 20)
                refused = await asyncio.gather(stuck, return_exceptions=True)
                with socket.socket() as sock:
                    assert sock.connect_ex(("127.0.0.1", process.port)) != 0
                return got.status, code, refused

    status, code, refused = asyncio.run(run())
    assert (status, code) == (200, 0)
    assert not isinstance(refused[0], BaseException) or isinstance(refused[0], (asyncio.IncompleteReadError, OSError))
    ledger = MemoryLedger()
    Drainer(tmp_path / "journal", ledger).drain()
    assert sorted(f.status for f in ledger.facts) == [Status.CANCELLED, Status.OK]


def test_a_new_snapshot_is_taken_without_a_restart(tmp_path):
    async def run() -> list[int]:
        async with upstream(answers) as server:
            with worker(tmp_path, {"up": server.url}) as process:
                before = await send(process.port, CHAT, chat())
                changed = snapshot({"up": server.url})
                write_snapshot(
                    type(changed)(made=changed.made, providers=changed.providers), tmp_path / "snapshot.msgpack"
                )
                after = before
                async with asyncio.timeout(10):
                    while after.status == 200:
                        await asyncio.sleep(0.05)
                        after = await send(process.port, CHAT, chat())
                (tmp_path / "snapshot.msgpack").write_bytes(b"\xc1 broken")
                await asyncio.sleep(1)
                return [before.status, after.status, (await send(process.port, CHAT, chat())).status]

    assert asyncio.run(run()) == [200, 401, 401]


def test_a_worker_whose_supervisor_is_gone_stops(tmp_path):
    write_snapshot(snapshot({}), tmp_path / "snapshot.msgpack")
    process = Process(tmp_path, free_port(), "--parent", str(os.getpid() + 1))
    assert process.process.wait(20) == 0
    process.process.stderr.close()


def test_two_workers_share_a_port_and_neither_the_journal(tmp_path):
    async def run() -> set[str]:
        async with upstream(answers) as server:
            with worker(tmp_path, {"up": server.url}) as first:
                second = Process(tmp_path, first.port, "--index", "1")
                try:
                    while len(list((tmp_path / "journal").glob("1-*"))) == 0:
                        await asyncio.sleep(0.05)
                    await asyncio.sleep(0.5)
                    for _ in range(40):
                        assert (await send(first.port, CHAT, chat())).status == 200
                finally:
                    second.stop()
                    first.stop()
            return {fact.worker.partition("-")[0] for fact in first.drained().facts}

    assert asyncio.run(run()) == {"0", "1"}


def test_the_world_is_not_served_without_keys(tmp_path):
    (tmp_path / "farthing.toml").write_text(f'home = "{tmp_path}"\n[gateway]\nhost = "0.0.0.0"\nrequire_keys = false\n')
    command = [sys.executable, "-m", "farthing.app.worker", "--config", str(tmp_path / "farthing.toml")]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 2
    assert b"require_keys" in done.stderr


def test_a_worker_imports_nothing_heavy():
    code = (
        "import sys, farthing.app.worker as w; w._dialects(); import farthing.gateway.route, farthing.gateway.meter;"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True, text=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} & set(HEAVY) == set()


def test_the_token_is_never_written_down(tmp_path):
    async def run() -> None:
        async with upstream(answers) as server:
            with worker(tmp_path, {"up": server.url}) as process:
                await send(process.port, CHAT, chat())
                process.stop()

    asyncio.run(run())
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert TOKEN.encode() not in held
