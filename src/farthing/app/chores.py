"""Work that a process repeats for as long as it lives, supervised: a failure is logged, shown and tried again."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import msgspec

from farthing.core.errors import FarthingError
from farthing.web.views import Check

LONGEST_PAUSE = 10.0
"""Seconds. A chore that keeps failing is tried again at least this often."""

_FIRST_PAUSE = 0.25

_log = logging.getLogger(__name__)


class Chore(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do every so many seconds. ``work`` runs in a thread, never twice at once, and returns what it
    has to tell, a sentence or nothing. ``remedy`` says what to do when it keeps failing.
    """

    name: str
    every: float
    work: Callable[[], str]
    remedy: str


class Chores:
    """Runs chores until it is told to stop, and knows how each of them does."""

    def __init__(self, chores: tuple[Chore, ...], clock: Callable[[], datetime]) -> None:
        self._chores = chores
        self._clock = clock
        self._stopping = asyncio.Event()
        self._checks = {chore.name: Check(name=chore.name, state="ok", detail="not run yet") for chore in chores}

    def checks(self) -> tuple[Check, ...]:
        """How each chore did when it last ran."""
        return tuple(self._checks.values())

    async def run(self) -> None:
        """Repeat all chores. Returns after ``stop``, when those under way have ended."""
        async with asyncio.TaskGroup() as group:
            for chore in self._chores:
                group.create_task(self._repeat(chore), name=chore.name)

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping.set()

    async def _repeat(self, chore: Chore) -> None:
        failures = 0
        while not self._stopping.is_set():
            failures = 0 if await self._once(chore) else min(failures + 1, 10)
            await self._pause(min(_FIRST_PAUSE * 2**failures, LONGEST_PAUSE) if failures else chore.every)

    async def _once(self, chore: Chore) -> bool:
        try:
            told = await asyncio.to_thread(chore.work)
        except Exception as problem:  # noqa: BLE001 - the edge of a chore: the others go on
            self._failed(chore, problem)
            return False
        self._checks[chore.name] = Check(name=chore.name, state="ok", detail=told or "done", at=self._clock())
        return True

    def _failed(self, chore: Chore, problem: Exception) -> None:
        known = isinstance(problem, FarthingError)
        detail = str(problem) if known else f"{type(problem).__name__}: {problem}"
        if self._checks[chore.name].detail != detail:
            _log.error("%s failed: %s", chore.name, detail, exc_info=None if known else problem)
        remedy = problem.remedy if isinstance(problem, FarthingError) and problem.remedy else chore.remedy
        self._checks[chore.name] = Check(
            name=chore.name, state="failed", detail=detail, remedy=remedy, at=self._clock()
        )

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
