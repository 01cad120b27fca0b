"""A worker's way to the state store for limits, and what dead workers left settled.

Messages go through one thread of their own: the event loop never waits for the store, and the driver is loaded only
where there is a limit.
"""

import asyncio
import contextlib
import logging
import mmap
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from farthing.core.batches import Actual
from farthing.core.decode import convert
from farthing.core.leases import Charged, Message, Reply
from farthing.core.limits import Limit, counted
from farthing.gateway.limits.account import Tally, dead_tallies
from farthing.gateway.limits.bank import Bank
from farthing.gateway.limits.hold import Hold
from farthing.gateway.ports import Grant

if TYPE_CHECKING:
    import sqlalchemy as sa

    from farthing.state.leases import Leases
    from farthing.state.store import Store

BELL = "limits.bell"
LISTEN_SECONDS = 0.025
REAP_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Counter:
    """The state store's side of a worker, behind a thread. It is opened by the first message."""

    def __init__(self, open_store: "Callable[[], Store]", folder: Path, now: Callable[[], datetime]) -> None:
        self._open = open_store
        self._folder = folder
        self._now = now
        self._store: Store | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limits")
        self._reaped = 0.0

    async def exchange(self, message: Message) -> Reply:
        """Carry a message to the store and its answer back. Raises ``UnavailableError``."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, message)

    def warm(self) -> None:
        """Open the store now, so that the first request need not wait for that."""
        self._thread.submit(self._opened)

    def close(self) -> None:
        """Finish what is under way and let the store go."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _exchange(self, message: Message) -> Reply:
        store = self._opened()
        now = self._now()
        if message.asks and now.timestamp() - self._reaped > REAP_SECONDS:
            self._reaped = now.timestamp()
            bury_the_dead(store.leases, self._folder, now)
        return store.leases.exchange(message, now)

    def _opened(self) -> "Store":
        if self._store is None:
            self._store = self._open()
        return self._store

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()


class Bell:
    """Shared by the workers of one data folder: rung when somebody waits for slices that others may have."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, 8)
        self._cell = memoryview(mmap.mmap(self._file, 8)).cast("q")
        self._heard = self._cell[0]

    def ring(self) -> None:
        """Call the others. Two rings at once may count as one, which is as good."""
        self._cell[0] = self._heard = (self._cell[0] + 1) % 2**60

    def rang(self) -> bool:
        """Whether somebody else rang since the last look."""
        rang = self._cell[0] != self._heard
        self._heard = self._cell[0]
        return rang

    def close(self) -> None:
        """Let it go."""
        os.close(self._file)


class Limiting:
    """The limits of one worker: a bank, its record and its way to the store, from start to end."""

    def __init__(
        self,
        limits: Iterable[Limit],
        *,
        worker: str,
        folder: Path,
        open_store: "Callable[[], Store]",
        now: Callable[[], datetime],
        patience: float,
        where: Callable[[str], str],
    ) -> None:
        self._tally = Tally(folder, worker)
        self._counter = Counter(open_store, folder, now)
        self._bell = Bell(folder / BELL)
        loop = asyncio.get_running_loop()
        self.bank = Bank(
            (),
            holder=worker,
            tally=self._tally,
            teller=self._counter.exchange,
            clock=loop.time,
            now=now,
            patience=patience,
            where=where,
            ring=self._bell.ring,
        )
        self._is_warm = False
        self.use(limits)
        self._tasks = [loop.create_task(self._talk()), loop.create_task(self._listen())]

    def use(self, limits: Iterable[Limit]) -> None:
        """Go by these limits from now on."""
        known = tuple(limits)
        self.bank.use(known)
        if known and not self._is_warm:
            self._is_warm = True
            self._counter.warm()

    async def _talk(self) -> None:
        """Keep the bank talking with the store: a worker that no longer did would refuse everybody."""
        while True:
            try:
                await self.bank.run()
            except Exception:  # noqa: BLE001 - the edge of a task: a bug must not stop it for good
                _log.exception("talking with the state store about limits failed, and goes on")
                await asyncio.sleep(REAP_SECONDS)

    async def _listen(self) -> None:
        while True:
            await asyncio.sleep(LISTEN_SECONDS)
            if self._bell.rang():
                self.bank.rung()

    async def close(self) -> None:
        """Give back what is left. A store that does not answer learns it from the record later."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if await self.bank.close():
            self._tally.close()
        else:
            self._tally.abandon()
        self._bell.close()
        await asyncio.get_running_loop().run_in_executor(None, self._counter.close)


class Charges:
    """The ``Charging`` of batches: all that was held for one is used when it is ordered."""

    def charge(self, grant: Grant) -> tuple[Any, ...]:
        """What was charged, as JSON, to be put right when the batch is done."""
        return tuple(msgspec.to_builtins(grant.charge())) if isinstance(grant, Hold) else ()


def put_right(connection: "sa.Connection", charges: tuple[Any, ...], actual: Actual) -> None:
    """Correct what pots were charged for a batch by what it came to."""
    from farthing.state import leases

    cost = None if actual.cost is None else counted(actual.cost)
    leases.put_right(connection, convert(charges, tuple[Charged, ...]), cost=cost, tokens=actual.tokens)


def bury_the_dead(leases: "Leases", folder: Path, now: datetime) -> int:
    """Settle the slices of workers of this machine that died, by the records they left; how many there were.

    Raises ``UnavailableError`` when the store does not answer; the records stay.
    """
    buried = 0
    for tally in dead_tallies(folder):
        settled = False
        try:
            leases.bury(tally.holder, tally.remains(), now)
            settled = True
            buried += 1
        finally:
            tally.done(settled=settled)
    return buried


__all__ = ["Bell", "Charges", "Counter", "Limiting", "bury_the_dead", "put_right"]
