"""Many processes hammer limits while some of them are killed. What was truly spent is in their own logs."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from farthing.app.leasing import bury_the_dead
from farthing.state.store import Store
from farthing.state.tables import leases, pots
from support.spender import Job

PotName = tuple[str, str, str]
Event = dict[str, Any]


@dataclass
class Row:
    """A pot as the store has it. ``spent`` is what all its slices ever used, ``used`` what counts now."""

    used: int
    leased: int
    spent: int


@dataclass
class Seen:
    """What the logs say, in order of time, and what the store said meanwhile and in the end."""

    events: list[Event] = field(default_factory=list)
    killed: int = 0
    samples: list[dict[PotName, Row]] = field(default_factory=list)
    pots: dict[PotName, Row] = field(default_factory=dict)

    def count(self, kind: str) -> int:
        return sum(event["kind"] == kind for event in self.events)

    @property
    def before_refusal(self) -> list[Event]:
        """What happened before the first refusal."""
        return list(itertools.takewhile(lambda event: event["kind"] != "refused", self.events))

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
    def forks(self) -> Iterator[None]:
        command = [sys.executable, "-m", "support.spender"]
        folder = Path(__file__).parents[1]
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process = process
        try:
            yield
        finally:
            for pid in self.running:
                kill(pid)
            process.stdin.close()
            process.stdout.close()
            process.wait(10)

    def start(self, job: Job) -> None:
        """A spender with a name, a seed and a log of its own, on the next of the hosts."""
        number = next(self.names)
        folder = self.folders[number % len(self.folders)]
        named = replace(job, name=f"w{number}", seed=number, folder=str(folder), log=str(self.root / f"log{number}"))
        self.process.stdin.write(named.line())
        self.process.stdin.flush()
        self.running[int(self.process.stdout.readline())] = named

    def strike(self) -> None:
        """Kill one of those that are at work, and let another one do the rest of its job.

        Whoever finds its record does so after its death, and that is after everything that it wrote.
        """
        working = [pid for pid, job in self.running.items() if is_alive(pid) and any(log_of(job))]
        if not working:
            return
        pid = self.draw.choice(working)
        at = time.time()
        kill(pid)
        job = self.running.pop(pid)
        self.ended.append(job)
        self.seen.killed += 1
        events = list(log_of(job))
        with Path(job.log).open("a") as log:
            log.write(json.dumps({"kind": "killed", "at": max([at, *(event["at"] for event in events)])}) + "\n")
        begun = sum(event["kind"] in ("sent", "refused", "unsure") for event in events)
        if job.requests > begun:
            self.start(replace(job, requests=job.requests - begun))

    def run(
        self, *, processes: int, requests: int, kills: int = 0, every: float = 0.3, seconds: float, **what: Any
    ) -> Seen:
        """Hammer until all requests are through; one of ``kills`` strikes ``every`` so many seconds."""
        with self.forks(), Store.open(self.url, busy_seconds=30) as store:
            for _ in range(processes):
                self.start(Job(url=self.url, requests=requests // processes, **what))
            until = time.monotonic() + seconds
            strike = time.monotonic() + every
            while any(is_alive(pid) for pid in self.running):
                assert time.monotonic() < until, "the spenders do not come to an end"
                time.sleep(0.05)
                self.seen.samples.append(rows(store))
                if self.seen.killed < kills and time.monotonic() > strike:
                    self.strike()
                    strike = time.monotonic() + every
            self.ended += self.running.values()
            self.running.clear()
            for folder in self.folders:
                bury_the_dead(store.leases, folder, datetime.now(UTC))
            self.seen.pots = rows(store)
        events = ({**event, "who": job.name} for job in self.ended for event in log_of(job))
        self.seen.events = sorted(events, key=lambda event: event["at"])
        return self.seen


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    while is_alive(pid):
        time.sleep(0.001)


def log_of(job: Job) -> Iterator[Event]:
    """What it has done by now; nothing of a line that is being written."""
    log = Path(job.log)
    whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
    return map(json.loads, whole.splitlines())


def rows(store: Store) -> dict[PotName, Row]:
    """Every pot in the store."""
    total = sa.select(sa.func.coalesce(sa.func.sum(leases.c.spent), 0)).where(leases.c.pot_id == pots.c.id)
    spent = total.scalar_subquery().label("spent")
    query = sa.select(pots.c.limit_id, pots.c.subject, pots.c.starts, pots.c.used, pots.c.leased, spent)
    with store._database.read() as connection:
        return {
            (r.limit_id, r.subject, r.starts.isoformat()): Row(r.used, r.leased, int(r.spent))
            for r in connection.execute(query)
        }
