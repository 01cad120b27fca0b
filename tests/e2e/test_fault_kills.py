"""Processes of a running product killed with SIGKILL under load: nothing lost, nothing twice, and the sums agree."""

import asyncio
import contextlib
import os
import random
import re
import signal
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.support.faulty import COST, PATH, Faulty, ask, facts_in
from tests.support.gateway import connection, read_response, request
from tests.support.product import Product

from farthing.core.facts import RequestFact, Status

CLIENTS = 6
REVIVED_SECONDS = 20.0


class Load(msgspec.Struct):
    """What clients know at the end: each mark is one request, sent once."""

    sent: set[str] = msgspec.field(default_factory=set)
    answered: dict[str, str] = msgspec.field(default_factory=dict)
    refused: set[str] = msgspec.field(default_factory=set)


def children(pid: int) -> dict[str, int]:
    """Processes that ``farthing up`` runs, by name."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            state = (folder / "status").read_text()
        except OSError:
            continue
        if re.search(rf"^PPid:\s+{pid}$", state, re.M) and "-m" in words and "\nState:\tZ" not in state:
            index = words[words.index("--index") + 1] if "--index" in words else ""
            found[words[words.index("-m") + 1].rpartition(".")[2] + index] = int(folder.name)
    return found


async def client(product: Product, key: str, number: int, load: Load, stop: asyncio.Event) -> None:
    """Requests one after the other on connections that are kept, each with a mark of its own."""
    count = 0
    while not stop.is_set():
        try:
            async with connection(product.port) as (reader, writer):
                while not stop.is_set():
                    count += 1
                    mark = f"c{number}n{count}"
                    dialect = "anthropic" if count % 3 == 0 else "openai"
                    headers = {"authorization": f"Bearer {key}", "x-farthing-label-mark": mark}
                    load.sent.add(mark)
                    body = ask(dialect, "quick", mark, stream=count % 2 == 0)
                    writer.write(request(PATH[dialect], body, headers=headers))
                    got = await read_response(reader)
                    if got.status == 200 and got.whole and b"error" not in got.body:
                        load.answered[mark] = got.headers["x-farthing-request-id"]
                    else:
                        load.refused.add(mark)
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.05)


async def killed_under_load(product: Product, key: str, kills: int, dice: random.Random) -> tuple[Load, Counter[str]]:
    """Kill a worker, the control process or both, again and again, while clients ask."""
    load, stop, done = Load(), asyncio.Event(), Counter[str]()
    clients = [asyncio.create_task(client(product, key, n, load, stop)) for n in range(CLIENTS)]
    try:
        while done.total() < kills:
            await asyncio.sleep(0.2 + dice.random() * 0.8)
            running = await asyncio.to_thread(children, product.process.pid)
            wanted = dice.choice(
                [["control"], ["worker0"], ["worker1"], ["worker0", "worker1"], ["control", "worker0"]]
            )
            for name in sorted(running.keys() & set(wanted))[: kills - done.total()]:
                os.kill(running[name], signal.SIGKILL)
                done[name] += 1
        before = len(load.answered)
        async with asyncio.timeout(REVIVED_SECONDS):
            while len(load.answered) < before + CLIENTS or len(children(product.process.pid)) < 3:
                await asyncio.sleep(0.1)
    finally:
        stop.set()
        await asyncio.gather(*clients)
    return load, done


def survived(home: Path, kills: int, seed: int) -> Counter[str]:
    """Run it, and check the ledger against what the clients and the provider know."""
    with Faulty() as upstream, Product(home, upstream.settings(), workers=2) as product:
        key = product.key()
        load, done = asyncio.run(killed_under_load(product, key, kills, random.Random(seed)))
        product.stop()
        facts = facts_in(home)
        shown = product.spend()["total"]
    told = Counter(f.status for f in facts)
    print(f"\n{kills} kills {dict(done)}: {len(load.sent)} requests, {len(load.answered)} answered, "
          f"{len(upstream.begun)} upstream calls, {len(facts)} facts {({str(k): v for k, v in told.items()})}")  # fmt: skip
    check_against_clients(facts, load)
    check_against_upstream(facts, upstream)
    assert Decimal(shown["cost"]) == sum((f.cost or Decimal(0) for f in facts), Decimal(0))
    assert shown["requests"] == len({f.request_id for f in facts})
    assert not list((home / "journal").glob("*/*")), "the journal is drained"
    return done


def check_against_clients(facts: list[RequestFact], load: Load) -> None:
    """Every answered request is there exactly once, as answered, at its price."""
    by_id = Counter(f.request_id for f in facts)
    by_mark = {f.tags["mark"]: f for f in facts}
    assert max(by_id.values()) == 1, "a request is there twice"
    assert len(by_mark) == len(facts)
    for mark, request_id in load.answered.items():
        fact = by_mark[mark]
        assert (fact.request_id, fact.status, fact.attempt) == (request_id, Status.OK, 1)
        assert fact.cost == COST[fact.dialect]
    assert by_mark.keys() <= load.sent
    assert len(load.answered) >= CLIENTS * 2


def check_against_upstream(facts: list[RequestFact], upstream: Faulty) -> None:
    """Every call that a provider saw is one attempt, and only the answered ones have a provider's price."""
    attempts = Counter(f.tags["mark"] for f in facts if f.attempt)
    begun = Counter(upstream.begun)
    assert set(begun) <= set(attempts), f"begun and not accounted for: {sorted(set(begun) - set(attempts))}"
    assert max(begun.values()) == 1
    for fact in facts:
        if fact.status is Status.ABANDONED:
            assert fact.cost is None
            assert fact.unpriced
        if fact.status is Status.OK:
            assert fact.tags["mark"] in begun


def test_nothing_is_lost_or_doubled_by_six_kills(tmp_path):
    done = survived(tmp_path, 6, seed=20261121)
    assert done.total() == 6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_by_fifty_kills(tmp_path):
    done = survived(tmp_path, 50, seed=int(time.time()))
    assert done.total() == 50
    assert min(done["control"], done["worker0"], done["worker1"]) > 0


def test_a_killed_supervisor_takes_everything_along_and_the_next_start_recovers(tmp_path):
    with Faulty() as upstream:
        product = Product(tmp_path, upstream.settings(), workers=2)
        load, stop = Load(), asyncio.Event()

        async def run() -> None:
            key = product.key()
            clients = [asyncio.create_task(client(product, key, n, load, stop)) for n in range(CLIENTS)]
            while len(load.answered) < 20:
                await asyncio.sleep(0.01)
            mine = children(product.process.pid)
            for pid in (product.process.pid, *mine.values()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            product.process.wait(10)
            stop.set()
            await asyncio.gather(*clients)

        try:
            product.start()
            asyncio.run(run())
            product.start()
            product.stop()
        finally:
            product.stop()
        facts = facts_in(tmp_path)
        check_against_clients(facts, load)
        check_against_upstream(facts, upstream)
        assert not list((tmp_path / "journal").glob("*/*"))
