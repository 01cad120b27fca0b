"""The exact and the embedding cache through the whole product, and what a lookup that finds nothing adds."""

import asyncio
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bench import _farthing, _wrk
from bench._process import Process, cpu_seconds, free_port
from bench._report import Figure
from farthing.cache.entry import Entry
from farthing.cache.flights import Flights
from farthing.cache.memory import Memory
from farthing.cache.settings import CacheSettings, NamespaceSettings
from farthing.core.facts import Operation
from farthing.core.nouns import Decision, Scope
from farthing.gateway.caching.hit import Hit
from farthing.gateway.caching.question import asked
from farthing.gateway.caching.reuse import Reuse
from farthing.gateway.ports import Call, Caller, Route

LOOKUPS = 20_000
TEXTS, REPEATED, AT_ONCE = 2_000, 0.8, 50
ROUTE = Route(targets=(), decision=Decision(asked="m", chosen="", reason=""), models=("openai/gpt-4o-mini",))


def figures(*, quick: bool) -> Iterator[Figure]:
    yield exact_lookup()
    with tempfile.TemporaryDirectory(prefix="farthing-reuse-") as name, ExitStack() as stack:
        yield from _through_the_gateway(Path(name), stack, quick=quick)
    with tempfile.TemporaryDirectory(prefix="farthing-vectors-") as name:
        yield _embeddings(Path(name), quick=quick)


def body_of(question: str, size: int = 1024) -> bytes:
    """A chat request of about ``size`` bytes that ends with a question."""
    turns = [{"role": "system", "content": "word " * (size // 5 - 40)}, {"role": "user", "content": question}]
    return json.dumps({"model": "gpt-4o-mini", "messages": turns, "max_tokens": 300}).encode()


def exact_lookup() -> Figure:
    """CPU of finding the answer to a 1 KB request in a worker's memory, from body to entry."""

    async def work() -> float:
        rules = NamespaceSettings(exact="on")
        settings = CacheSettings(namespaces={"default": rules})
        memory = Memory(settings.memory)
        reuse = Reuse(settings, memory=memory, flights=Flights(), clock=lambda: datetime.now(UTC))
        calls = [_call() for _ in range(LOOKUPS)]
        found = asked(calls[0], ROUTE, "default", rules)
        assert found is not None
        memory.put(Entry(key=found.key, namespace="default", tenant=found.tenant, made=0.0, body=b"x" * 500))
        began = time.process_time()
        hits = [isinstance(await reuse.find(call, ROUTE), Hit) for call in calls]
        taken = time.process_time() - began
        assert all(hits)
        return taken / LOOKUPS * 1e6

    taken = statistics.median(asyncio.run(work()) for _ in range(5))
    return Figure(what="an exact lookup that hits, 1 KB, CPU", ours=round(taken, 1), unit="µs", at_most=40)


def _call() -> Call:
    return Call(
        request_id="r", at=datetime.now(UTC), operation=Operation.CHAT, dialect="openai", path="/", model="gpt-4o-mini",
        body=body_of("Which one?"), caller=Caller(key_id="k", scope=Scope(team="a")),
        labels={"category": "inference"}, headers=[(b"host", b"x"), (b"content-type", b"application/json")],
    )  # fmt: skip


def _through_the_gateway(folder: Path, stack: ExitStack, *, quick: bool) -> Iterator[Figure]:
    """CPU of a whole request that hits beside one that is proxied, and what looking in vain adds to one."""
    upstream = _upstream(folder, stack)
    off = _started(folder, stack, upstream, "off", '[cache.namespaces.default]\nexact = "off"\n')
    exact = _started(folder, stack, upstream, "exact", '[cache.namespaces.default]\nexact = "on"\n')
    both = '[cache.namespaces.default]\nexact = "on"\nsemantic = "on"\n'
    semantic = _started(folder, stack, upstream, "semantic", both)
    body, seconds = body_of("Which one?"), 2.0 if quick else 5.0
    taken: dict[str, list[float]] = {"off": [], "exact": []}
    for _ in range(3):
        for name, subject in (("off", off), ("exact", exact)):
            before = cpu_seconds(subject.workers())
            load = _wrk.post(subject.url, body, _headers(subject), seconds=seconds, connections=8, folder=folder)
            taken[name].append((cpu_seconds(subject.workers()) - before) / max(load.requests, 1) * 1e6)
    hit, proxied = statistics.median(taken["exact"]), statistics.median(taken["off"])
    what = "a whole request that hits, worker's CPU"
    yield Figure(what=what, ours=round(hit), unit="µs", beside={"the same, proxied": round(proxied)})
    count = 400 if quick else 2000
    waits = {name: _waits(subject, count) for name, subject in (("off", off), ("on", semantic), ("off again", off))}
    plain = statistics.median([*waits["off"], *waits["off again"]])
    added = statistics.median(waits["on"]) - plain
    what = "added by a miss in all caches, p50 of a request"
    yield Figure(what=what, ours=round(added, 2), unit="ms", at_most=1.5, beside={"without caches": round(plain, 2)})


def _upstream(folder: Path, stack: ExitStack) -> int:
    port = free_port()
    command = [sys.executable, "-m", "bench._upstream", "--port", str(port), "--delay", "0"]
    process = Process(command, log=folder / "upstream.log")
    stack.callback(process.stop)
    process.wait_for(port)
    return port


def _started(folder: Path, stack: ExitStack, upstream: int, name: str, caches: str) -> _farthing.Farthing:
    account = f'[providers.bench]\nvendor = "openai"\nbase_url = "http://127.0.0.1:{upstream}/v1"\n'
    settings = f'{account}api_key = "env:BENCH_KEY"\n\n{caches}'
    started = _farthing.start(upstream, folder / name, settings=settings)
    stack.callback(started.process.stop)
    return started


def _headers(subject: _farthing.Farthing) -> dict[str, str]:
    return {"content-type": "application/json", **subject.headers}


def _waits(subject: _farthing.Farthing, count: int) -> list[float]:
    """Milliseconds of requests that nobody asked before, one after another on one connection."""
    place = urlsplit(subject.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port)
    waits: list[float] = []
    for n in range(count):
        question = f"What about {random.Random(n).choice(_THINGS)} and the {n}. {random.Random(-n).choice(_THINGS)}?"
        began = time.perf_counter()
        connection.request("POST", place.path, body_of(question), _headers(subject))
        answer = connection.getresponse()
        answer.read()
        waits.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, answer.status
    connection.close()
    return waits[count // 10 :]


_THINGS = (
    "parcel", "invoice", "refund", "voucher", "account", "password", "delivery", "warranty", "contract", "battery",
    "printer", "router",
)  # fmt: skip


def _embeddings(home: Path, *, quick: bool) -> Figure:
    """Upstream tokens of texts of which four of five were embedded before, against those of all texts."""
    dice = random.Random(3)
    count = TEXTS // 4 if quick else TEXTS
    known = [_passage(dice, n) for n in range(round(count * (1 - REPEATED)))]
    texts = [*known, *(dice.choice(known) for _ in range(count - len(known)))]
    with _simulated() as address:
        account = f'[providers.openai]\nvendor = "openai"\nbase_url = "{address}/openai/v1"\n'
        caches = '[cache.namespaces.default]\nembeddings = "on"\n'
        settings = f'{account}api_key = "env:BENCH_KEY"\n\n{caches}'
        subject = _farthing.start(0, home / "vectors", settings=settings)
        try:
            billed = sum(_embedded(subject, texts[at : at + AT_ONCE]) for at in range(0, count, AT_ONCE))
        finally:
            subject.process.stop()
    whole = sum(-(-len(text) // 4) for text in texts)
    return Figure(
        what=f"embedding tokens saved, {REPEATED:.0%} of the texts repeated",
        ours=round((1 - billed / whole) * 100, 1),
        unit="%",
        at_least=75,
        beside={"texts": count, "tokens billed": billed, "tokens of all texts": whole},
    )


def _embedded(subject: _farthing.Farthing, texts: list[str]) -> int:
    """The tokens that the provider bills."""
    place = urlsplit(subject.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port)
    body = json.dumps({"model": "text-embedding-3-small", "input": texts})
    connection.request("POST", "/v1/embeddings", body, _headers(subject))
    answer = connection.getresponse()
    told = msgspec.json.decode(answer.read())
    connection.close()
    assert len(told["data"]) == len(texts)
    return int(told["usage"]["prompt_tokens"])


def _passage(dice: random.Random, number: int) -> str:
    return f"Passage {number}: " + " ".join(dice.choice(_THINGS) for _ in range(dice.randrange(20, 80)))


@contextmanager
def _simulated() -> Iterator[str]:
    command = [sys.executable, "-m", "farthing.demo.simulator", "--leash", "--calm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().decode().strip()
        finally:
            process.terminate()
