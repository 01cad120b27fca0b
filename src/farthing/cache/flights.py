"""Identical requests at the same time run once: in a worker by a table, between workers by locks on a file.

The first one *leads*, the others wait for what it brings. When its client leaves, one of those that wait leads instead;
when its answer may not be kept, they all go on alone. A worker that dies lets go of its locks by dying.
"""

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from farthing.cache.entry import Entry

POLL_SECONDS = 0.02
_PLACES = (1 << 62) - 1


class Lead:
    """The right to make an answer, until it has landed. ``again``: it brought nothing, but another one may."""

    __slots__ = ("_flights", "_key", "again", "arrival")

    def __init__(self, flights: "Flights", key: bytes) -> None:
        self._flights = flights
        self._key = key
        self.again = False
        self.arrival: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()

    def land(self, entry: Entry | None, *, again: bool = False) -> None:
        """Give those that wait what it brought, ``None`` when that is nothing; what is said later is not heard."""
        if not self.arrival.done():
            self.again = again
            self._flights.over(self._key)
            self.arrival.set_result(entry)


class Flights:
    """What is under way in this worker. ``file`` is locked for what is under way in any worker of the folder."""

    def __init__(self, file: Path | None = None) -> None:
        self._leads: dict[bytes, Lead] = {}
        self._handle = -1 if file is None else os.open(file, os.O_RDWR | os.O_CREAT, 0o600)

    def __len__(self) -> int:
        return len(self._leads)

    async def board(
        self, key: bytes, look: Callable[[], Awaitable[Entry | None]], *, patience: float
    ) -> Lead | Entry | None:
        """The lead, or the entry that somebody else brought; ``None`` when there is none to be had within ``patience``
        seconds: the request then goes on by itself.

        ``look`` looks for the entry among those that other workers brought.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while (first := self._leads.get(key)) is not None:
            left = until - loop.time()
            if left <= 0:
                return None
            done, _ = await asyncio.wait((first.arrival,), timeout=left)
            if done and not first.again:
                return first.arrival.result()
        lead = self._leads[key] = Lead(self, key)
        try:
            return await self._among_workers(lead, key, look, until)
        except BaseException:
            lead.land(None, again=True)
            raise

    def begin(self, key: bytes) -> Lead | None:
        """The lead at once, for an answer that is asked afresh in any case; ``None`` where somebody else has it."""
        if key in self._leads or not self._take(key):
            return None
        lead = self._leads[key] = Lead(self, key)
        return lead

    async def _among_workers(
        self, lead: Lead, key: bytes, look: Callable[[], Awaitable[Entry | None]], until: float
    ) -> Lead | Entry | None:
        loop = asyncio.get_running_loop()
        while not self._take(key):
            if loop.time() >= until:
                lead.land(None)
                return None
            await asyncio.sleep(POLL_SECONDS)
        entry = await look()  # somebody may have brought it between the caller's look and the lock
        if entry is None:
            return lead
        lead.land(entry)
        return entry

    def over(self, key: bytes) -> None:
        """Nothing is under way any more for a key."""
        self._leads.pop(key, None)
        if self._handle >= 0:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, _place(key))

    def close(self) -> None:
        """Let go of everything."""
        for lead in list(self._leads.values()):
            lead.land(None)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _take(self, key: bytes) -> bool:
        """Whether no other worker leads. Two keys that share a place wait for each other, which only costs time."""
        if self._handle < 0:
            return True
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except OSError:
            return False
        return True


def _place(key: bytes) -> int:
    return int.from_bytes(key[:8], "little") & _PLACES
