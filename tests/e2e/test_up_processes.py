"""``farthing up`` as people run it: real processes, killed in every way, and what the ledger says afterwards."""

import json
import os
import random
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable
from tests.support.product import Product, post, simulated_settings

from farthing.core.time import Window
from farthing.ledger.questions import RequestsQuestion

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


def children(pid: int) -> dict[str, int]:
    """Programs that a process started, by module and worker number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            parent = int(re.search(r"^PPid:\s+(\d+)", (folder / "status").read_text(), re.M)[1])
        except (OSError, TypeError):
            continue
        if parent == pid and "-m" in words:
            index = words[words.index("--index") + 1] if "--index" in words else ""
            found[words[words.index("-m") + 1].rpartition(".")[2] + index] = int(folder.name)
    return found


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def eventually(true, seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.05)
    return False


def said(product: Product, words: str) -> str:
    """The log of ``farthing up`` once it holds some words."""
    assert eventually(lambda: words in product.log.read_text()), product.log.read_text()
    return product.log.read_text()


@pytest.fixture
def bare(tmp_path):
    """A product without providers, not started yet."""
    product = Product(tmp_path, "")
    product.env["FARTHING_DETECT_PROVIDERS"] = "0"
    yield product
    product.stop()


def test_the_first_start_says_where_everything_is_and_what_to_do(bare):
    bare.start()
    told = said(bare, "farthing key create")
    assert f"{bare.web_url}/login#token={bare.admin_token}" in told
    assert f"OPENAI_BASE_URL={bare.url}/v1" in told
    assert f"ANTHROPIC_BASE_URL={bare.url}\n" in told
    assert "farthing provider add" in told
    bare.stop()
    bare.log.unlink()
    bare.start()
    told = said(bare, "farthing key create")
    assert bare.admin_token not in told, "the token is shown once"
    assert "admin.token" in told


def test_a_second_one_on_the_same_folder_is_refused(bare):
    bare.start()
    refused = bare.cli("up", "--port", "0", "--web-port", "0", check=False)
    assert refused.returncode != 0
    assert f"process {bare.process.pid}" in refused.stderr
    assert "--home" in refused.stderr
    assert bare.answers(f"{bare.url}/readyz"), "the first one goes on"


@pytest.mark.parametrize("which", ["port", "web_port"])
def test_a_taken_port_is_named(bare, which):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", getattr(bare, which)))
        taken.listen()
        refused = bare.cli("up", check=False)
    assert refused.returncode != 0
    assert str(getattr(bare, which)) in refused.stderr
    assert "--" + which.replace("_", "-") in refused.stderr


def test_options_win_over_the_settings_and_bad_ones_are_refused(bare):
    refused = bare.cli("up", "--workers", "0", check=False)
    assert refused.returncode == 2
    assert "workers" in refused.stderr.lower()
    assert not (bare.home / "admin.token").exists(), "nothing was begun"


def test_an_ended_supervisor_leaves_nobody_behind(bare):
    bare.start()
    mine = children(bare.process.pid)
    assert set(mine) == {"control", "worker0"}
    os.kill(bare.process.pid, signal.SIGKILL)
    bare.process.wait(10)
    assert eventually(lambda: not any(map(alive, mine.values())))
    bare.start()


def test_ctrl_c_ends_it_with_everything_written(bare):
    bare.start()
    mine = children(bare.process.pid)
    bare.process.send_signal(signal.SIGINT)
    assert bare.process.wait(40) == 0
    assert not any(map(alive, mine.values()))


class Clients:
    """Threads that ask until they are told to stop, and remember which requests were answered."""

    def __init__(self, product: Product, key: str, count: int) -> None:
        self.answered: list[str] = []
        self.other: list[int] = []
        self._product, self._key = product, key
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                status, headers, _ = post(
                    f"{self._product.url}/v1/chat/completions", ASK, {"authorization": f"Bearer {self._key}"}
                )
            except OSError:
                time.sleep(0.05)
                continue
            names = {name.lower(): value for name, value in headers.items()}
            if status == 200:
                self.answered.append(names["x-farthing-request-id"])
            else:
                self.other.append(status)

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def test_nothing_is_lost_or_doubled_when_processes_are_killed(providers, tmp_path):
    dice = random.Random(7)
    kills = {"control": 0, "worker0": 0, "worker1": 0}
    with Product(tmp_path, simulated_settings(providers), workers=2) as product:
        with Clients(product, product.key(), 3) as clients:
            for _ in range(8):
                time.sleep(0.4 + dice.random())
                name, pid = dice.choice(sorted(children(product.process.pid).items()))
                os.kill(pid, signal.SIGKILL)
                kills[name] += 1
            assert eventually(lambda: set(children(product.process.pid)) == set(kills))
            before = len(clients.answered)
            assert eventually(lambda: len(clients.answered) > before + 5), "it serves again"
        product.stop()
        ledger = product.ledger()
        answer = ledger.requests(RequestsQuestion(window=Window(), limit=10_000))
        found = [row.request_id for row in answer.rows]
        statuses = {row.status for row in answer.rows}
        attempts = DeltaTable(str(tmp_path / "ledger" / "requests")).to_pyarrow_table(columns=["request_id", "attempt"])
    assert sum(n > 0 for n in kills.values()) >= 2, kills
    assert len(clients.answered) > 20
    assert len(set(clients.answered)) == len(clients.answered)
    assert set(clients.answered) <= set(found), "an answered request is missing"
    assert len(found) == len(set(found)) == answer.matching
    assert len(attempts.group_by(["request_id", "attempt"]).aggregate([])) == len(attempts), "an attempt is there twice"
    assert statuses <= {"ok", "abandoned", "cancelled", "error"}
    assert not list((tmp_path / "journal").glob("*/*")), "the journal is drained"


def test_every_page_and_the_command_agree_after_traffic(product):
    key = product.key("--team", "search")

    def ask() -> bool:
        return post(f"{product.url}/v1/chat/completions", ASK, {"authorization": f"Bearer {key}"})[0] == 200

    assert eventually(ask), "a new key works at once, or nearly"
    assert ask()
    assert ask()
    product.requests(at_least=3, team="search")
    spend = product.spend("--by", "team")
    status, body = _get(product, "/api/v1/spend?by=team&start=2026-01-01")
    assert status == 200
    shown = json.loads(body)["total"]["cost"]
    assert shown == _total(spend)


def _get(product: Product, path: str) -> tuple[int, bytes]:
    import urllib.request

    request = urllib.request.Request(product.web_url + path, headers={"Authorization": f"Bearer {product.admin_token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, answer.read()


def _total(spend: dict) -> str:
    return spend["total"]["cost"]
