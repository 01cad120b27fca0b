"""When a worker talks with the state store: soon when somebody waits, seldom when nobody does."""

import asyncio
from collections.abc import Callable

SOON = 0.002
"""Seconds within which needs that arise together share a message."""

SETTLED = 0.02
"""How long what came back of a scarce pot may stay here."""

LONGEST_PAUSE = 0.25
"""Between two messages about requests that wait for others."""

USUAL = 5.0
"""Between two reports while slices last."""

UNANSWERED = 0.5
LOOKS = 8
"""One admission in so many looks whether slices run low."""


class Pace:
    """Decides when the next message is due. ``scarce``: some pot is so empty that what comes back goes home at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.scarce = False
        self._clock = clock
        self._due = clock() + SOON
        self._told = clock()
        self._pause = SOON
        self._wake = asyncio.Event()
        self._seen = 0
        self._silent_until = 0.0

    def due_for_a_look(self) -> bool:
        """Whether this admission is the one that looks."""
        self._seen += 1
        return self._seen % LOOKS == 1

    def soon(self) -> None:
        """Something is needed."""
        self._by(SOON)

    def settled(self) -> None:
        """Something came back that somebody may wait for."""
        self._by(SETTLED)

    def told(self) -> float:
        """A message goes out; returns the seconds since the last one."""
        now = self._clock()
        elapsed, self._told = now - self._told, now
        self._due = now + USUAL
        return max(elapsed, 0.05)

    def answered(self, *, met: bool, waiting: bool, scarce: bool) -> None:
        """The store answered; whoever still waits asks again after a pause that grows until something is met."""
        self.scarce = scarce
        self._pause = SOON if met else min(max(self._pause * 2, 0.01), LONGEST_PAUSE)
        if waiting:
            self._by(self._pause)
        elif scarce:
            self._by(SETTLED)

    def failed(self) -> None:
        """The store did not answer: it is left alone for a while, whatever is needed."""
        self._silent_until = self._clock() + UNANSWERED
        self._by(UNANSWERED)

    async def turn(self) -> None:
        """Return when a message is due."""
        while (left := self._due - self._clock()) > 0:
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _by(self, seconds: float) -> None:
        due = max(self._clock() + seconds, self._silent_until)
        if due < self._due:
            self._due = due
            self._wake.set()
