"""What one provider's bad day costs: failed client requests, extra spend, and the time until it is used again.

The whole product serves a steady stream of requests that all go to one provider, with a second one behind it at the
same price. The first starts failing (errors and resets), slowing (three seconds instead of twenty milliseconds) or
limiting (429 beyond twenty requests a second), and is well again some seconds later. Extra spend is what attempts
that did not answer cost, as the ledger has it; one whose cost is not known counts as a whole answer.
"""

import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import msgspec

from bench import _farthing, _report
from bench._process import Process, free_port
from bench._report import Figure
from farthing.core.time import Window
from farthing.ledger.questions import SpendQuestion
from farthing.ledger.store import Ledger

MOODS = ("failing", "slowing", "limiting")
PER_SECOND = 100
PATIENCE_S = 30.0
_LANDS_S = 30.0


class Phases(msgspec.Struct, frozen=True):
    """Seconds of each part of a story."""

    well: float
    sick: float
    again: float


class Load(msgspec.Struct):
    """What the clients saw: latencies in seconds, and what failed, by what was wrong."""

    taken: list[float] = []
    failed: dict[str, int] = {}

    @property
    def sent(self) -> int:
        return len(self.taken)


class Stage:
    """The product before a provider for each mood, and one that is always well behind all of them."""

    def __init__(self, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.ports = {name: self._provider(stack, folder, name) for name in (*MOODS, "second")}
        self.product = _farthing.start(0, folder / "home", settings="".join(self._settings()))
        stack.callback(self.product.process.stop)

    def _settings(self) -> Iterable[str]:
        for name, port in self.ports.items():
            url = f"http://127.0.0.1:{port}/v1"
            yield f'[providers.{name}]\nvendor = "openai"\napi_key = "env:BENCH_KEY"\nbase_url = "{url}"\n'
        for mood in MOODS:
            first = f'{{ provider = "{mood}", model = "gpt-4o-mini", weight = 1e9 }}'
            second = '{ provider = "second", model = "gpt-4o-mini", weight = 1e-9 }'
            yield f'[models.{mood}]\nstrategy = "weighted"\ntargets = [{first}, {second}]\n'

    def _provider(self, stack: ExitStack, folder: Path, name: str) -> int:
        port = free_port()
        process = Process([sys.executable, "-m", "bench._moody", "--port", str(port)], log=folder / f"{name}.log")
        stack.callback(process.stop)
        process.wait_for(port)
        return port

    def set(self, name: str, mood: str) -> None:
        """Change a provider's mood."""
        url = f"http://127.0.0.1:{self.ports[name]}/mood/{mood}"
        urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=5).close()

    def served(self, name: str) -> int:
        """How many requests a provider has answered well."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}/served", timeout=5) as answer:
            return int(answer.read())


class Clients:
    """Sends requests at a steady rate, however long answers take, over as many connections as that needs."""

    def __init__(self, product: _farthing.Farthing, label: str) -> None:
        host, _, port = product.url.partition("//")[2].partition("/")[0].partition(":")
        self.place = (host, int(port))
        body = json.dumps(
            {"model": label, "max_tokens": 300, "messages": [{"role": "user", "content": "word " * 100}]}
        ).encode()
        headers = {**product.headers, "x-farthing-label-story": label, "host": host, "content-length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.request = f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + body
        self.free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.load = Load()
        self.under_way: set[asyncio.Task[None]] = set()

    async def send(self, seconds: float) -> None:
        """A steady stream for so long."""
        begun = time.perf_counter()
        for number in range(int(seconds * PER_SECOND)):
            await asyncio.sleep(begun + number / PER_SECOND - time.perf_counter())
            task = asyncio.create_task(self._one())
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)

    async def finish(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self.under_way)
        for _, writer in self.free:
            writer.close()

    async def _one(self) -> None:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_S):
                problem = await self._exchange()
        except (OSError, asyncio.IncompleteReadError) as broken:
            problem = type(broken).__name__
        self.load.taken.append(time.perf_counter() - begun)
        if problem:
            self.load.failed[problem] = self.load.failed.get(problem, 0) + 1

    async def _exchange(self) -> str:
        """One request; what was wrong with its answer."""
        reader, writer = self.free.pop() if self.free else await asyncio.open_connection(*self.place)
        writer.write(self.request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        self.free.append((reader, writer))
        status = head[9:12].decode()
        return "" if status == "200" else status


async def _story(stage: Stage, mood: str, phases: Phases) -> tuple[Load, float]:
    """The load of one story, and the seconds from the provider's recovery until it served again."""
    clients = Clients(stage.product, mood)
    await clients.send(phases.well)
    await asyncio.to_thread(stage.set, mood, mood)
    await clients.send(phases.sick)
    await asyncio.to_thread(stage.set, mood, "well")
    watching = asyncio.create_task(_recovered(stage, mood, phases.again))
    await clients.send(phases.again)
    await clients.finish()
    return clients.load, await watching


async def _recovered(stage: Stage, mood: str, seconds: float) -> float:
    """When the provider has served a second's worth of requests again; twice the limit if it has not."""
    begun, before = time.perf_counter(), await asyncio.to_thread(stage.served, mood)
    while (passed := time.perf_counter() - begun) < seconds:
        await asyncio.sleep(0.05)
        if await asyncio.to_thread(stage.served, mood) >= before + PER_SECOND:
            return passed
    return 2 * seconds


def _spent(home: Path, story: str, sent: int) -> tuple[Decimal, Decimal]:
    """What answers cost, and what other attempts cost."""
    until = time.monotonic() + _LANDS_S
    while True:
        ledger = Ledger.open(str(home / "ledger"), threads=1)
        where = {"tag:story": (story,)}
        rows = ledger.spend(SpendQuestion(window=Window(), by=("status",), where=where)).rows
        ledger.close()
        if sum(row.requests for row in rows) >= sent:
            break
        if time.monotonic() > until:
            raise RuntimeError(f"{story}: not all of {sent} requests are in the ledger")
        time.sleep(0.5)
    answers = sum((row.cost for row in rows if row.keys["status"] == "ok"), Decimal(0))
    others = [row for row in rows if row.keys["status"] != "ok"]
    unknown = sum(row.unpriced_requests for row in others)
    wasted = sum((row.cost for row in others), Decimal(0)) + unknown * answers / sent
    return answers, wasted


def _figures(stage: Stage, mood: str, phases: Phases) -> list[Figure]:
    load, recovered = asyncio.run(_story(stage, mood, phases))
    answers, wasted = _spent(stage.product.home, mood, load.sent)
    taken = sorted(load.taken)
    failed = sum(load.failed.values())
    told = ", ".join(f"{count} × {what}" for what, count in sorted(load.failed.items()))
    return [
        Figure(
            what=f"{mood}: failed client requests",
            unit="%",
            ours=100 * failed / load.sent,
            at_most=0.1,
            note=f"{failed} of {load.sent:,} at {PER_SECOND} a second{': ' + told if told else ''}",
        ),
        Figure(what=f"{mood}: extra spend", unit="%", ours=float(100 * wasted / answers), at_most=2),
        Figure(
            what=f"{mood}: used again after",
            unit="s",
            ours=recovered,
            at_most=phases.again,
            note="a second's worth of requests served again",
        ),
        Figure(what=f"{mood}: latency, median", unit="ms", ours=1e3 * taken[len(taken) // 2]),
        Figure(what=f"{mood}: latency, 99 %", unit="ms", ours=1e3 * taken[len(taken) * 99 // 100]),
    ]


def measure(*, quick: bool) -> list[Figure]:
    phases = Phases(2, 4, 7) if quick else Phases(4, 6, 10)
    with ExitStack() as stack:
        stage = Stage(stack)
        return [figure for mood in MOODS for figure in _figures(stage, mood, phases)]


if __name__ == "__main__":
    _report.main("failover", measure)
