"""How often a failed attempt is made again at the same target, and after what wait.

The wait is drawn anew between zero and a bound that doubles, so that clients that failed together do not come back
together ("full jitter": M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015). A budget per
target keeps what is sent again at a share of what was sent, so that retries cannot finish off a target that is
overloaded (Google, Site Reliability Engineering, 2016, chapter 21; Finagle's RetryBudget).
"""

from collections.abc import Callable

import msgspec

FIRST_WAIT_S = 0.1
"""The first wait is drawn from 0 to this, the next from 0 to twice this, …"""

LONGEST_WAIT_S = 5.0

WINDOW_S = 10.0
"""The budget looks at this window and the one before it."""

LEAST = 10
"""Retries that a target gets in two windows however little traffic it has."""


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How hard a request is tried. ``patience``: seconds it may wait between its attempts, in all."""

    attempts: int = 4
    patience: float = 10.0


class Budget:
    """Retries that one target may still get: a share of the requests of the last moments, and a few anyway.

    Times are seconds on one clock, given by the caller.
    """

    __slots__ = ("_before", "_now", "_until", "share")

    def __init__(self, share: float) -> None:
        self.share = share
        self._until = 0.0
        self._now = [0, 0]
        self._before = [0, 0]

    def sent(self, now: float) -> None:
        """A request was sent for the first time."""
        if now >= self._until:
            self._roll(now)
        self._now[0] += 1

    def take(self, now: float) -> bool:
        """Whether one more retry is within the budget; it is counted if so. A share of 0 means no retries."""
        if now >= self._until:
            self._roll(now)
        (sent, retried), (sent_before, retried_before) = self._now, self._before
        if not self.share or retried + retried_before >= LEAST + self.share * (sent + sent_before):
            return False
        self._now[1] += 1
        return True

    def _roll(self, now: float) -> None:
        self._before = self._now if now < self._until + WINDOW_S else [0, 0]
        self._now = [0, 0]
        self._until = now + WINDOW_S


def backoff(earlier: int, draw: Callable[[], float]) -> float:
    """Seconds to wait after so many earlier attempts at the same target; ``draw`` gives numbers in [0, 1)."""
    return draw() * min(FIRST_WAIT_S * 2.0 ** min(max(0, earlier - 1), 16), LONGEST_WAIT_S)
