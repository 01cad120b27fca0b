"""The semantic cache as a process: killed, started again, told to stop, and kept alive by ``farthing up``."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.product import Product

from farthing.cache.semantic.client import SemanticClient, SemanticControl
from farthing.cache.semantic.ports import Action
from farthing.cache.semantic.wire import Found, Learn
from farthing.core.errors import UnavailableError
from support.loop import in_loop
from support.semantic import digest

QUESTION = "How do I change the delivery address of my order?"
LIKE_IT = "How can I change the delivery address of my order?"
SETTINGS = """\
[cache.namespaces.default]
semantic = "on"
policy = "cosine"
threshold = 0.85
shadow = 0.000001
"""


class Process:
    """``python -m farthing.app.cache`` in a folder of its own."""

    def __init__(self, home: Path, settings: str = SETTINGS) -> None:
        self.home = home
        self.socket = home / "run" / "cache.sock"
        self.config = home / "farthing.toml"
        self.config.write_text(settings)
        self.log = home / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, parent: list[str] | None = None) -> None:
        module = [sys.executable, "-m", "farthing.app.cache", "--config", str(self.config), "--home", str(self.home)]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen([*(parent or []), *module, *options], stdout=out, stderr=out)
        self.wait_ready()

    def wait_ready(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(UnavailableError), SemanticControl(self.socket) as control:
                control.status()
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def process(tmp_path):
    made = Process(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)


async def ask(client: SemanticClient, text: str, *, within: float = 5.0, **where) -> Found | None:
    about = {"namespace": "default", "room": digest("room"), "tenant": "acme", "user": "ann", "key_id": "k", **where}
    return await client.lookup(text=text, within=within, **about)


async def eventually(true, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.05)


async def teach(client: SemanticClient, text: str, answer: str = "On the order page.", *, room: str = "room") -> None:
    found = await ask(client, text, room=digest(room))
    client.learn(Learn(found.ticket, digest(text), answer, "0.01", 0.0))

    async def there() -> bool:
        return (await ask(client, text, room=digest(room))).action is Action.SERVE

    await eventually(there)


@in_loop
async def test_a_killed_process_costs_a_miss_and_comes_back_with_what_it_knew(process):
    process.start()
    client = SemanticClient(process.socket)
    client.start()
    await eventually(_connected(client))
    await teach(client, QUESTION)
    assert (await ask(client, LIKE_IT)).key == digest(QUESTION)
    process.end(signal.SIGKILL)
    assert process.socket.exists(), "a stale socket is no obstacle"
    began = time.monotonic()
    for _ in range(100):
        assert await ask(client, LIKE_IT, within=0.05) is None
    assert time.monotonic() - began < 5, "nobody waits for it"
    process.start()
    await eventually(_connected(client))
    found = await ask(client, LIKE_IT)
    assert (found.action, found.matched) == (Action.SERVE, QUESTION)
    await client.aclose()


@in_loop
async def test_a_stopped_process_is_not_waited_for(process):
    process.start()
    client = SemanticClient(process.socket)
    client.start()
    await eventually(_connected(client))
    process.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert await ask(client, QUESTION, within=0.05) is None
    assert time.monotonic() - began < 5
    process.process.send_signal(signal.SIGCONT)
    assert await ask(client, QUESTION) is not None
    await client.aclose()


def _connected(client: SemanticClient):
    async def connected() -> bool:
        return client.connected

    return connected


def test_sigterm_saves_and_ends(process):
    process.start()
    with SemanticControl(process.socket) as control:
        assert control.status().embedding == "wordllama-256"
    assert process.end(signal.SIGTERM) == 0
    assert not list((process.home / "cache").glob("*-wal")), "the log is carried into the file"
    process.start()
    assert process.socket.stat().st_mode & 0o777 == 0o600
    assert (process.home / "cache" / "semantic.db").stat().st_mode & 0o777 == 0o600


@in_loop
async def test_a_namespace_that_learns_goes_on_from_its_labels(process):
    process.config.write_text('[cache.namespaces.default]\nsemantic = "on"\n')
    process.start()
    client = SemanticClient(process.socket)
    client.start()
    await eventually(_connected(client))
    for i, text in enumerate((QUESTION, LIKE_IT, "Can I change the delivery address of my order?")):
        found = await ask(client, text)
        assert found.reason == ("too_few_labels" if i else "no_neighbour")
        client.learn(Learn(found.ticket, digest(text), "On the order page.", "0.01", 0.0))
        await eventually(_kept(process, i + 1))
    process.end(signal.SIGTERM)
    process.start()
    with SemanticControl(process.socket) as control:
        standing = (await asyncio.to_thread(control.status, "default")).namespaces["default"].standing
    assert (standing.labels, standing.requests, standing.closed) == (2, 3, "too_few_labels")
    await client.aclose()


def _kept(process: Process, count: int):
    def entries() -> bool:
        with SemanticControl(process.socket) as control:
            return control.status().entries == count

    async def kept() -> bool:
        return await asyncio.to_thread(entries)

    return kept


def test_one_process_works_in_a_folder(process):
    process.start()
    command = [sys.executable, "-m", "farthing.app.cache", "--config", str(process.config), "--home", str(process.home)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert second.returncode == 2
    assert str(process.process.pid) in second.stderr
    with SemanticControl(process.socket) as control:
        control.status()


def test_it_ends_with_its_parent(process):
    starter = "import subprocess, sys, os, time; p = subprocess.Popen([*sys.argv[1:], '--parent', str(os.getpid())]); print(p.pid, flush=True); time.sleep(60)"
    process.start(parent=[sys.executable, "-c", starter])
    process.end(signal.SIGKILL)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            SemanticControl(process.socket).close()
        except UnavailableError:
            return
        time.sleep(0.1)
    raise AssertionError("it lives on")


@in_loop
async def test_settings_are_read_again(process):
    process.start()
    client = SemanticClient(process.socket)
    client.start()
    await eventually(_connected(client))
    assert (await ask(client, QUESTION, namespace="support")).reason == "off"
    process.config.write_text(f'{SETTINGS}\n[cache.namespaces.support]\nsemantic = "shadow"\n')

    async def known() -> bool:
        return (await ask(client, QUESTION, namespace="support")).reason != "off"

    await eventually(known)
    await client.aclose()


@in_loop
async def test_a_purge_leaves_no_byte_in_the_files(process):
    process.start()
    client = SemanticClient(process.socket)
    client.start()
    await eventually(_connected(client))
    for i in range(20):
        await teach(client, f"Where is the zanzibar number {i} kept?", "In the zanzibar. " * 60, room=f"{i}")
    assert _holds(process, b"zanzibar")
    with SemanticControl(process.socket) as control:
        assert await asyncio.to_thread(control.purge, "user", "ann") == 20
    assert not _holds(process, b"zanzibar")
    assert (await ask(client, "Where is the zanzibar number 3 kept?", room=digest("3"))).matched == ""
    await client.aclose()
    process.end(signal.SIGTERM)
    assert not _holds(process, b"zanzibar")


def _holds(process: Process, words: bytes) -> bool:
    return any(words in file.read_bytes() for file in (process.home / "cache").rglob("*") if file.is_file())


def _children(pid: int) -> dict[str, int]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and "-m" in words:
                found[words[words.index("-m") + 1]] = int(folder.name)
    return found


@pytest.fixture
def product(tmp_path):
    made = Product(tmp_path, SETTINGS)
    made.env["FARTHING_DETECT_PROVIDERS"] = "0"
    yield made
    made.stop()


def test_farthing_up_keeps_it_alive_and_does_without_it(product):
    product.start()
    first = _children(product.process.pid)
    assert set(first) == {"farthing.app.control", "farthing.app.worker", "farthing.app.cache"}
    os.kill(first["farthing.app.cache"], signal.SIGKILL)
    assert product.answers(f"{product.url}/readyz")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        now = _children(product.process.pid)
        if now.get("farthing.app.cache", first["farthing.app.cache"]) != first["farthing.app.cache"]:
            break
        time.sleep(0.1)
    assert {**now, "farthing.app.cache": 0} == {**first, "farthing.app.cache": 0}, "the others went on"
    product.stop()
    assert not any(Path(f"/proc/{pid}").exists() for pid in now.values())


def test_farthing_up_starts_none_where_nobody_wants_it(product):
    product.config.write_text(product.config.read_text().replace('semantic = "on"', 'semantic = "off"'))
    product.start()
    assert "farthing.app.cache" not in _children(product.process.pid)


def test_a_cache_that_cannot_start_stops_nobody(product):
    (product.home / "cache").mkdir()
    (product.home / "cache" / "semantic.db").mkdir()
    product.start()
    assert product.answers(f"{product.url}/readyz")
    until = time.monotonic() + 20
    while time.monotonic() < until and "semantic.db" not in product.log.read_text():
        time.sleep(0.1)
    assert "semantic cache (process" in product.log.read_text() or "farthing cache:" in product.log.read_text()
    assert product.answers(f"{product.url}/readyz")
