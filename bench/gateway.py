"""What a request costs on its way through Farthing, beside nginx, LiteLLM and Portkey in one interleaved run.

CPU is what the kernel accounted to a gateway's processes, divided by the requests wrk counted. Farthing
runs as ``farthing up`` does, with everything on: keys, routing over two providers, metering, journal,
metrics; its control process, which drains the journal into the ledger, is shown apart.
"""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench import _farthing, _peers, _report, _wrk
from bench._process import Process, cpu_seconds, free_port, resident_mb
from bench._report import Figure
from bench._upstream import EVENTS

CONNECTIONS = 8
JSON = {"content-type": "application/json"}


def body_of(size: int, *, stream: bool = False) -> bytes:
    """A chat request of about ``size`` bytes."""
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": ""}], "max_tokens": 300}
    if stream:
        asked["stream"] = True
    asked["messages"] = [{"role": "user", "content": "word " * ((size - len(json.dumps(asked))) // 5)}]
    return json.dumps(asked, separators=(",", ":")).encode()


class Subject(msgspec.Struct, kw_only=True):
    """Something under load, and whose CPU is counted."""

    name: str
    url: str
    headers: dict[str, str]
    pids: Callable[[], Sequence[int]]
    others: Callable[[], Sequence[int]] = list
    stop: Callable[[], None] = lambda: None


class Bench:
    """All processes of a run. What a figure needs alone is stopped after it, the rest in the end."""

    def __init__(self, stack: ExitStack, *, quick: bool) -> None:
        self.stack = stack
        self.quick = quick
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.seconds = 1.0 if quick else 5.0
        self.rounds = 1 if quick else 5
        self.upstream = self.start_upstream(0)
        with ThreadPoolExecutor() as starting:
            peers = [starting.submit(self.start_peer, p, self.upstream) for p in (_peers.litellm, _peers.portkey)]
            self.nginx = self.start_peer(_peers.nginx, self.upstream)
            self.ours = self.start_farthing(self.upstream, "one")
            self.peers = [peer.result() for peer in peers]

    def start_farthing(self, upstream: int, name: str, *, workers: int = 1) -> Subject:
        started = _farthing.start(upstream, self.folder / name, workers=workers)
        self.stack.callback(started.process.stop)
        return Subject(
            name="Farthing",
            url=started.url,
            headers=started.headers,
            pids=started.workers,
            others=started.others,
            stop=started.process.stop,
        )

    def start_upstream(self, delay: float) -> int:
        port = free_port()
        command = [sys.executable, "-m", "bench._upstream", "--port", str(port), "--delay", str(delay)]
        process = Process(command, log=self.folder / f"upstream-{delay}.log")
        self.stack.callback(process.stop)
        process.wait_for(port)
        return port

    def start_peer(self, start: Callable[[int, Path], _peers.Peer], upstream: int) -> Subject:
        peer = start(upstream, self.folder)
        self.stack.callback(peer.process.stop)
        headers = dict(peer.headers)
        return Subject(name=peer.name, url=peer.url, headers=headers, pids=peer.process.tree, stop=peer.process.stop)

    def load(self, subject: Subject, body: bytes, *, seconds: float = 0, connections: int = CONNECTIONS) -> _wrk.Load:
        load = self.wrk(subject, body, seconds=seconds or self.seconds, connections=connections)
        if load.failed or not load.requests:
            raise RuntimeError(f"{subject.name}: {load.failed} of {load.requests} requests failed")
        return load

    def wrk(self, subject: Subject, body: bytes, *, seconds: float, connections: int = CONNECTIONS) -> _wrk.Load:
        headers = {**JSON, **subject.headers}
        return _wrk.post(subject.url, body, headers, seconds=seconds, connections=connections, folder=self.folder)

    def warm(self, subject: Subject, body: bytes) -> None:
        """Until it answers: some gateways take their first requests to load themselves."""
        for _ in range(20):
            if self.wrk(subject, body, seconds=1).requests:
                return
        raise RuntimeError(f"{subject.name} does not answer")

    def cpu(self, subjects: Sequence[Subject], body: bytes, *, rounds: int = 0) -> dict[str, float]:
        """Median CPU microseconds per request of each subject, taken in turn."""
        for subject in subjects:
            self.warm(subject, body)
        taken: dict[str, list[float]] = {subject.name: [] for subject in subjects}
        for _ in range(rounds or self.rounds):
            for subject in subjects:
                pids = subject.pids()
                before = cpu_seconds(pids)
                load = self.load(subject, body)
                taken[subject.name].append((cpu_seconds(pids) - before) / load.requests * 1e6)
        return {name: statistics.median(values) for name, values in taken.items()}


def measure(*, quick: bool) -> list[Figure]:
    with ExitStack() as stack:
        bench = Bench(stack, quick=quick)
        return [
            *_whole(bench),
            *_streamed(bench),
            *_large(bench),
            *_memory(bench),
            *_latency(bench),
            *([] if quick else _scaling(bench)),
        ]


def _whole(bench: Bench) -> list[Figure]:
    body = body_of(1024)
    fast = bench.cpu([bench.nginx, bench.ours], body)
    slow = bench.cpu([bench.ours, *bench.peers], body, rounds=1 if bench.quick else 3)
    for peer in bench.peers:
        peer.stop()
    ours, nginx = fast["Farthing"], fast["nginx"]
    control = Subject(name="control", url=bench.ours.url, headers=bench.ours.headers, pids=bench.ours.others)
    beside = {"nginx": nginx, "LiteLLM": slow["LiteLLM"], "Portkey": slow["Portkey"]}
    return [
        Figure(what="CPU per 1 KB JSON request", unit="µs", ours=ours, at_most=150, beside=beside),
        Figure(what="… as a multiple of nginx", unit="×", ours=ours / nginx, at_most=9),
        Figure(
            what="… LiteLLM's as a multiple of ours",
            unit="×",
            ours=slow["LiteLLM"] / slow["Farthing"],
            at_least=60,
        ),
        Figure(
            what="CPU of the control process per request",
            unit="µs",
            ours=bench.cpu([control], body, rounds=1)["control"],
            note="journal → ledger, rollups; off the request's path",
        ),
    ]


def _streamed(bench: Bench) -> list[Figure]:
    taken = bench.cpu([bench.nginx, bench.ours], body_of(1024, stream=True))
    return [
        Figure(
            what=f"CPU per streamed event ({EVENTS} events a stream)",
            unit="µs",
            ours=taken["Farthing"] / EVENTS,
            at_most=30,
            beside={"nginx": taken["nginx"] / EVENTS},
            note="the whole stream's CPU, shared among its events",
        )
    ]


def _large(bench: Bench) -> list[Figure]:
    taken = bench.cpu([bench.nginx, bench.ours], body_of(1024 * 1024), rounds=2)
    return [
        Figure(
            what="CPU per request with a 1 MB prompt",
            unit="ms",
            ours=taken["Farthing"] / 1e3,
            at_most=1.5,
            beside={"nginx": taken["nginx"] / 1e3},
        )
    ]


def _memory(bench: Bench) -> list[Figure]:
    """Resident memory before and after the long run; a quick run sends a twentieth of the requests."""
    body, wanted = body_of(1024), 10_000 if bench.quick else 200_000
    early, sent = resident_mb(bench.ours.pids()[0]), 0
    while sent < wanted:
        sent += bench.load(bench.ours, body, seconds=5).requests
    late = resident_mb(bench.ours.pids()[0])
    return [
        Figure(what="resident memory of a worker", unit="MB", ours=late, at_most=120),
        Figure(what=f"… growth over {sent:,} requests", unit="MB", ours=late - early, at_most=3),
    ]


def _scaling(bench: Bench) -> list[Figure]:
    """Two workers against one. The load and the upstream need cores of their own, so this is asked only of four."""
    both = bench.start_farthing(bench.upstream, "two", workers=2)
    body = body_of(1024)
    one = bench.load(bench.ours, body, connections=32).per_second
    ratio = bench.load(both, body, connections=32).per_second / one
    enough = len(os.sched_getaffinity(0)) >= 4
    return [
        Figure(
            what="requests a second, two workers to one",
            unit="×",
            ours=ratio,
            at_least=1.8 if enough else None,
            note="" if enough else "wrk, upstream and ledger share the same two cores: nothing can be asked here",
        )
    ]


def _latency(bench: Bench) -> list[Figure]:
    """Median latency above the upstream's own, which takes 20 ms.

    Asked for is what a gateway adds to one request. Four connections keep in step with the upstream's timer and
    arrive together, so that they wait for each other: that is shown beside it.
    """
    upstream = bench.start_upstream(20)
    nginx = bench.start_peer(_peers.nginx, upstream)
    ours = bench.start_farthing(upstream, "slow")
    direct = Subject(name="direct", url=f"http://127.0.0.1:{upstream}/v1/chat/completions", headers={}, pids=list)
    alone = _added(bench, direct, [nginx, ours], connections=1)
    together = _added(bench, direct, [nginx, ours], connections=4)
    nginx.stop()
    ours.stop()
    what = "latency added at a 20 ms upstream, p50"
    return [
        Figure(what=what, unit="ms", ours=alone["Farthing"], at_most=1, beside={"nginx": alone["nginx"]}),
        Figure(
            what="… four arriving together", unit="ms", ours=together["Farthing"], beside={"nginx": together["nginx"]}
        ),
    ]


def _added(bench: Bench, direct: Subject, subjects: Sequence[Subject], *, connections: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {s.name: [] for s in (direct, *subjects)}
    for _ in range(bench.rounds):
        for subject in (direct, *subjects):
            taken[subject.name].append(bench.load(subject, body_of(1024), connections=connections).p50_ms)
    p50 = {name: statistics.median(values) for name, values in taken.items()}
    return {subject.name: p50[subject.name] - p50["direct"] for subject in subjects}


if __name__ == "__main__":
    _report.main("gateway", measure)
