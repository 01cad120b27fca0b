"""Many processes hammer limits while some of them are killed; what was truly spent is summed from their own logs."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from farthing.app.leasing import bury_the_dead
from farthing.core.limits import Limit, Measure
from farthing.state.store import Store
from farthing.state.tables import pots
from support.spender import Job

PotName = tuple[str, str, str]
Event = dict[str, Any]


@dataclass
class Seen:
    """What the logs say, in order of time, and what the store said meanwhile."""

    events: list[Event] = field(default_factory=list)
    killed: int = 0
    samples: list[dict[PotName, tuple[int, int]]] = field(default_factory=list)
    pots: dict[PotName, tuple[int, int, int]] = field(default_factory=dict)

    def count(self, kind: str) -> int:
        return sum(event["kind"] == kind for event in self.events)

    @property
    def messages(self) -> int:
        return sum(event.get("messages", 0) for event in self.events)


class Hammer:
    """Spenders against one store; ``folders`` are the data folders of as many hosts."""

    def __init__(self, url: str, root: Path, *, folders: int = 1) -> None:
        self.url = url
        self.root = root
        self.folders = [root / f"host{i}" for i in range(folders)]
        self.draw = random.Random(7)
        self.names = itertools.count()
        self.running: dict[int, Job] = {}
        self.ended: list[Job] = []
        self.seen = Seen()

    @contextmanager
    def forks(self) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "support.spender"]
        folder = Path(__file__).parents[1]
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process = process
        try:
            yield process
        finally:
            for pid in self.running:
                self.kill(pid)
            process.stdin.close()
            process.stdout.close()
            process.wait(10)

    def start(self, **what: Any) -> None:
        number = next(self.names)
        folder = self.folders[number % len(self.folders)]
        job = Job(
            url=self.url, folder=str(folder), log=str(self.root / f"log{number}"), name=f"w{number}", seed=number, **what
        )  # fmt: skip
        self.process.stdin.write(job.line())
        self.process.stdin.flush()
        self.running[int(self.process.stdout.readline())] = job

    @staticmethod
    def kill(pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.001)

    def strike(self) -> None:
        """Kill one of those that are at work, and let another one do the rest of its job."""
        working = [pid for pid, job in self.running.items() if Path(f"/proc/{pid}").exists() and Path(job.log).exists()]
        if not working:
            return
        pid = self.draw.choice(working)
        self.kill(pid)
        job = self.running.pop(pid)
        self.ended.append(job)
        self.seen.killed += 1
        with Path(job.log).open("a") as log:
            log.write(json.dumps({"kind": "killed", "at": time.time()}) + "\n")
        done = sum(line.startswith('{"kind": "sent"') for line in Path(job.log).read_text().splitlines())
        if job.requests > done:
            same = ("together", "output", "prompt", "seconds", "patience", "origin", "speed", "users", "unknown", "whole")
            self.start(requests=job.requests - done, **{name: getattr(job, name) for name in same})

    def run(self, *, processes: int, requests: int, kills: int = 0, every: float = 0.3, seconds: float, **what: Any) -> Seen:
        """Hammer until all requests are through; ``kills`` strike every so often, while some of them still wait."""
        with self.forks(), Store.open(self.url, busy_seconds=30) as store:
            for _ in range(processes):
                self.start(requests=requests // processes, **what)
            until = time.monotonic() + seconds
            strike = time.monotonic() + every
            while any(Path(f"/proc/{pid}").exists() for pid in self.running):
                assert time.monotonic() < until, "the spenders do not come to an end"
                time.sleep(0.05)
                self.seen.samples.append({name: row[:2] for name, row in rows(store).items()})
                if self.seen.killed < kills and time.monotonic() > strike:
                    self.strike()
                    strike = time.monotonic() + every
            self.ended += self.running.values()
            self.running.clear()
            for folder in self.folders:
                bury_the_dead(store.leases, folder, datetime.now(UTC))
            self.seen.pots = rows(store)
        self.seen.events = sorted(self._events(), key=lambda event: event["at"])
        return self.seen

    def _events(self) -> Iterator[Event]:
        for job in self.ended:
            for line in Path(job.log).read_text().splitlines():
                yield {**json.loads(line), "who": job.name}


def rows(store: Store) -> dict[PotName, tuple[int, int, int]]:
    """Used, leased and doubtful amounts of every pot."""
    query = sa.select(pots.c.limit_id, pots.c.subject, pots.c.starts, pots.c.used, pots.c.leased, pots.c.doubt)
    with store._database.read() as connection:
        return {(r.limit_id, r.subject, r.starts.isoformat()): (r.used, r.leased, r.doubt) for r in connection.execute(query)}


@dataclass
class Truth:
    """One pot as the logs tell it: settled, under way by worst case, and what was under way when somebody was killed."""

    settled: int = 0
    lost: int = 0
    under_way: dict[tuple[str, int], int] = field(default_factory=dict)
    most: int = 0
    before_refusal: int | None = None
    rolling: list[tuple[float, int]] = field(default_factory=list)


def audit(seen: Seen, limits: Sequence[Limit], *, rolling_seconds: float = 0) -> dict[PotName, Truth]:
    """Replay the logs: no pot was ever overspent, and nobody refused who fitted even if nothing had come back.

    ``rolling_seconds``: how long a rolling span is in real seconds.
    """
    known = {limit.id: limit for limit in limits}
    found: dict[PotName, Truth] = defaultdict(Truth)
    sent: dict[tuple[str, int], Event] = {}
    for event in seen.events:
        match event["kind"]:
            case "sent":
                sent[event["who"], event["number"]] = event
                for pot in map(tuple, event["pots"]):
                    _send(found[pot], event, known[pot[0]])
            case "spent":
                begun = sent.pop((event["who"], event["number"]))
                for pot in map(tuple, begun["pots"]):
                    _settle(found[pot], event, known[pot[0]])
            case "killed":
                for key in [key for key in sent if key[0] == event["who"]]:
                    for pot in map(tuple, sent.pop(key)["pots"]):
                        worst = found[pot].under_way.pop(key)
                        parallel = known[pot[0]].measure is Measure.PARALLEL
                        found[pot].lost += 0 if parallel else worst
                        found[pot].rolling.append((event["at"], worst))
            case "refused":
                _refuse(found, event, known[event["limit"]])
        for pot, truth in found.items():
            limit = known[pot[0]]
            if limit.rolling:
                recent = sum(amount for at, amount in truth.rolling if at > event["at"] - rolling_seconds)
                assert recent + sum(truth.under_way.values()) <= limit.pieces, (limit.name, event)
            else:
                assert truth.settled + truth.lost <= limit.pieces, (limit.name, event)
                assert limit.measure is not Measure.PARALLEL or len(truth.under_way) <= limit.pieces, event
    assert not sent
    return dict(found)
