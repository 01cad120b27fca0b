"""A machine that fails around the running product: no space, no right to write, damaged files, a clock that jumps."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.support.faulty import COST, PATH, Faulty, ask, facts_in
from tests.support.gateway import Response, send
from tests.support.product import Product

from farthing.core.facts import Status
from farthing.gateway.journal import SUFFIX

DISK = 24 * 1024 * 1024
SMALL_SEGMENTS = {"FARTHING_GATEWAY_JOURNAL_SEGMENT_BYTES": str(64 * 1024)}


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "farthing-test", place], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextlib.contextmanager
def running(home: Path, log: Path, upstream: Faulty, **env: str) -> Iterator[Product]:
    product = Product(home, upstream.settings())
    product.log = log
    product.env.update(env)
    try:
        yield product
    finally:
        product.stop()


def asked(product: Product, key: str, marks: list[str], dialect: str = "openai") -> dict[str, Response]:
    async def run() -> dict[str, Response]:
        got = {}
        for mark in marks:
            headers = {"authorization": f"Bearer {key}", "x-farthing-label-mark": mark}
            got[mark] = await send(product.port, PATH[dialect], ask(dialect, "ok", mark), headers=headers)
        return got

    return asyncio.run(run())


def fill(place: Path) -> Path:
    """Take all the space there is."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1024 * 1024, 4096):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass
    return ballast


def eventually(true, seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.1)
    return False


def test_a_full_disk_refuses_before_the_provider_is_called_and_recovers(disk, tmp_path):
    with Faulty() as upstream, running(disk, tmp_path / "up.log", upstream, **SMALL_SEGMENTS) as product:
        product.start()
        key = product.key()
        got = asked(product, key, ["early1", "early2"])
        ballast = fill(disk)
        got |= asked(product, key, [f"full{n}" for n in range(40)])
        refused = {mark for mark, answer in got.items() if answer.status != 200}
        also = asked(product, key, ["other"], "anthropic")["other"]
        assert not product.answers(f"{product.url}/readyz"), "no more requests, please"
        assert product.answers(f"{product.url}/healthz"), "and yet alive"
        assert product.answers(f"{product.web_url}/healthz"), "the dashboard goes on"
        ballast.unlink()
        assert eventually(lambda: product.answers(f"{product.url}/readyz"))
        late = asked(product, key, ["late1", "late2"])
        product.stop()
        facts = [f for f in facts_in(disk) if f.attempt]
        shown = product.spend()["total"]["cost"]
    assert len(refused) > 10, "the disk was full"
    assert {got[mark].status for mark in refused} == {503}
    error = got[min(refused)].json()["error"]
    assert "disk space" in error["message"]
    assert error["type"] == "server_error"
    assert (also.status, also.json()["error"]["type"]) == (529, "overloaded_error")
    assert {a.status for a in late.values()} == {200}
    answered = {mark for mark, answer in (got | late).items() if answer.status == 200}
    assert sorted(upstream.begun) == sorted(answered), "nothing was begun that could not be written down"
    assert sorted(f.tags["mark"] for f in facts) == sorted(answered)
    assert Decimal(shown) == COST["openai"] * len(answered)
    assert not list((disk / "journal").glob("*/*"))


def test_a_full_disk_stops_the_ledger_and_not_the_answers_while_the_journal_has_room(disk, tmp_path):
    with Faulty() as upstream, running(disk, tmp_path / "up.log", upstream) as product:
        product.start()
        key = product.key()
        asked(product, key, ["first"])
        ballast = fill(disk)
        marks = [f"m{n}" for n in range(20)]
        got = asked(product, key, marks)
        said = eventually(lambda: "journal failed" in product.log.read_text())
        ballast.unlink()
        assert eventually(lambda: {*marks, "first"} <= {f.tags["mark"] for f in facts_in(disk)})
        product.stop()
        facts = facts_in(disk)
    assert {answer.status for answer in got.values()} == {200}
    assert said, "the log says that the ledger waits"
    assert sorted(f.tags["mark"] for f in facts) == sorted(["first", *marks])


def test_a_folder_that_cannot_be_written_is_named(disk, tmp_path):
    with Faulty() as upstream:
        product = Product(disk, upstream.settings())
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        refused = product.cli("up", check=False)
    assert refused.returncode != 0
    assert str(disk) in refused.stderr
    assert "--home" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_damaged_snapshot_is_written_anew(tmp_path):
    with Faulty() as upstream, running(tmp_path, tmp_path / "up.log", upstream) as product:
        key = product.key()
        for name, damage in {"garbage": b"\xc1\x00garbage", "shape": b"\x93\x01\x02\x03"}.items():
            (tmp_path / "snapshot.msgpack").write_bytes(damage)
            product.start()
            assert asked(product, key, [name])[name].status == 200
            product.stop()


@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_damaged_state_store_is_named_with_what_to_do(tmp_path, damage):
    with Faulty() as upstream, running(tmp_path, tmp_path / "up.log", upstream) as product:
        product.key()
        file = tmp_path / "state.db"
        for beside in tmp_path.glob("state.db-*"):
            beside.unlink()
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2] if damage == "truncated" else os.urandom(len(data)))
        refused = product.cli("up", check=False)
    assert refused.returncode != 0
    assert "state.db" in refused.stderr
    assert re.search(r"damaged|not a Farthing state store", refused.stderr)
    assert "backup" in refused.stderr
    assert "Traceback" not in refused.stderr


def child(pid: int, module: str) -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                module in (folder / "cmdline").read_bytes().decode()
                and f"PPid:\t{pid}\n" in (folder / "status").read_text()
            ):
                return int(folder.name)
    raise AssertionError(module)


def test_a_damaged_journal_loses_no_request_and_says_so(tmp_path):
    marks = [f"j{n}" for n in range(20)]
    with Faulty() as upstream, running(tmp_path, tmp_path / "up.log", upstream) as product:
        product.start()
        key = product.key()
        supervisor, control, worker = (
            product.process.pid,
            *(child(product.process.pid, f"farthing.app.{m}") for m in ("control", "worker")),
        )
        os.kill(supervisor, signal.SIGSTOP)
        os.kill(control, signal.SIGKILL)
        assert {a.status for a in asked(product, key, marks).values()} == {200}
        os.kill(worker, signal.SIGKILL)
        os.kill(supervisor, signal.SIGKILL)
        product.process.wait(10)
        (segment,) = (tmp_path / "journal").glob(f"*/*{SUFFIX}")
        data = bytearray(segment.read_bytes())
        end = len(data.rstrip(b"\0"))
        for at in (int(end * where) for where in (0.2, 0.5, 0.9)):
            data[at : at + 3] = bytes(255 - byte for byte in data[at : at + 3])
        segment.write_bytes(data)
        product.start()
        product.stop()
        facts = facts_in(tmp_path)
    assert sorted(f.tags["mark"] for f in facts) == sorted(marks), "each is accounted for"
    assert sum(f.status is not Status.OK for f in facts) <= 3
    assert all(f.status in (Status.OK, Status.ABANDONED) for f in facts)
    assert "Traceback" not in product.log.read_text()
    assert re.search("bytes .*could not be read", product.log.read_text()), "the log says what was damaged"


SHIFTED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    char text[32] = {0};
    int file, failed;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    failed = real(id, at);
    if (failed || id != CLOCK_REALTIME || !getenv("SHIFT_FILE")) return failed;
    if ((file = open(getenv("SHIFT_FILE"), O_RDONLY)) >= 0) {
        if (read(file, text, sizeof text - 1) > 0) at->tv_sec += atol(text);
        close(file);
    }
    return 0;
}
"""
"""Shifts the wall clock of a process by the seconds in a file, and no other clock: what a corrected clock does."""


@pytest.fixture
def clock(tmp_path):
    """The file that shifts the wall clock of processes with this environment."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to make a clock that can be shifted")
    (tmp_path / "shift.c").write_text(SHIFTED)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "shift.so", "shift.c", "-ldl"], cwd=tmp_path, check=True)
    file = tmp_path / "shift"
    file.write_text("0")
    return file


def test_a_clock_that_jumps_changes_no_duration_and_loses_nothing(clock, tmp_path):
    shifted = {"LD_PRELOAD": str(clock.with_suffix(".so")), "SHIFT_FILE": str(clock)}
    with Faulty() as upstream, running(tmp_path, tmp_path / "up.log", upstream, **shifted) as product:
        product.start()
        key = product.key()
        marks = []
        for jump, hours in enumerate((0, 2, -3, 30)):
            (tmp_path / "new").write_text(str(hours * 3600))
            (tmp_path / "new").replace(clock)
            wave = [f"j{jump}n{n}" for n in range(4)]
            marks += wave
            assert {a.status for a in asked(product, key, wave).values()} == {200}
            assert eventually(lambda wave=wave: set(wave) <= {f.tags["mark"] for f in facts_in(tmp_path)}), (
                "drained meanwhile"
            )
        assert eventually(lambda: summed(product) == len(marks)), "hourly sums hold what came out of order"
        product.stop()
        facts = facts_in(tmp_path)
        shown = product.spend("--all")["total"]
    assert sorted(f.tags["mark"] for f in facts) == sorted(marks)
    waves = {jump: [f.at for f in facts if f.tags["mark"].startswith(f"j{jump}")] for jump in range(4)}
    assert max(waves[2]) < min(waves[0]) < min(waves[1]) < min(waves[3]), "the clock did jump"
    assert all(0 <= f.upstream_ms <= f.total_ms < 20_000 for f in facts)
    assert Decimal(shown["cost"]) == COST["openai"] * len(marks)


def summed(product: Product) -> int:
    return product.spend("--all", "--grain", "hour")["total"]["requests"]
