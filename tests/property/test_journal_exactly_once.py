"""Whatever is written, killed and drained in whatever order: each outcome once, each attempt accounted for."""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from farthing.app.drain import Drainer
from farthing.core.facts import Status
from farthing.gateway.journal import SUFFIX, Scan
from support.journals import DiedError, MemoryLedger, fact, journal


class Journaling(RuleBasedStateMachine):
    """Workers that write and die, and a drainer that dies too. Names are unique, so sets tell everything."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ledger = MemoryLedger()
        self.drainer = Drainer(self.folder, self.ledger)
        self.workers: dict[int, object] = {}
        self.open: list[tuple[int, object, str]] = []
        self.settled: set[str] = set()
        self.begun: set[str] = set()
        self.torn: set[str] = set()
        self.count = 0

    def _name(self) -> str:
        self.count += 1
        return f"r{self.count}"

    @rule()
    def start(self) -> None:
        self.count += 1
        self.workers[self.count] = journal(self.folder, f"w{self.count}", size=40_000)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), size=st.integers(0, 2000))
    def begin(self, data, size) -> None:
        number = data.draw(st.sampled_from(sorted(self.workers)))
        name = self._name()
        self.open.append((number, self.workers[number].intend(fact(name, text="x" * size)), name))
        self.begun.add(name)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), size=st.integers(0, 20_000))
    def settle(self, data, size) -> None:
        number, intent, name = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.workers[number].settle(intent, fact(name, text="x" * size))
        self.settled.add(name)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def close(self, data) -> None:
        self._forget(data).close()

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def kill(self, data) -> None:
        os.close(self._forget(data)._lock)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), part=st.floats(0, 1))
    def kill_while_it_writes(self, data, part) -> None:
        """A write that had not returned: nobody relied on it, and any part of it may be there."""
        worker = self._forget(data)
        name = self._name()
        path = max(self.folder.glob(f"{worker.folder.name}/*{SUFFIX}"))
        before = Scan(path)
        list(before.frames())
        worker.note(fact(name))
        path = max(self.folder.glob(f"{worker.folder.name}/*{SUFFIX}"))
        if path == before.path:
            content = bytearray(path.read_bytes())
            cut = before.offset + int(part * (worker._current.tail - before.offset))
            content[cut:] = bytes(len(content) - cut)
            path.write_bytes(content)
        self.torn.add(name)
        os.close(worker._lock)

    def _forget(self, data):
        number = data.draw(st.sampled_from(sorted(self.workers)))
        self.open = [entry for entry in self.open if entry[0] != number]
        return self.workers.pop(number)

    @rule(dies=st.sampled_from(["", "", "before", "after"]))
    def drain(self, dies) -> None:
        self.ledger.dies = dies
        try:
            self.drainer.drain()
        except DiedError:
            self.drainer = Drainer(self.folder, self.ledger)
        self.ledger.dies = ""

    @rule()
    def restart_the_drainer(self) -> None:
        self.drainer = Drainer(self.folder, self.ledger)

    @invariant()
    def nothing_twice(self) -> None:
        ids = self.ledger.ids()
        assert len(ids) == len(set(ids))

    def teardown(self) -> None:
        for worker in self.workers.values():
            os.close(worker._lock)
        Drainer(self.folder, self.ledger).drain()
        abandoned = set(self.ledger.ids(Status.ABANDONED))
        told = set(self.ledger.ids()) - abandoned - self.torn
        assert told == self.settled
        assert abandoned == self.begun - self.settled
        assert not list(self.folder.glob(f"*/*{SUFFIX}"))
        shutil.rmtree(self.folder)


Journaling.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestJournaling = Journaling.TestCase
