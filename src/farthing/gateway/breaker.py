"""A circuit breaker: whether a target deserves traffic, judged by what became of its last requests.

Closed, it lets everything through. It opens after failures in a row, when too many of the last requests failed,
when first bytes come much later than usual, or when the provider asks for a rest. After the rest it is half open:
one request at a time may probe, and the first good answer closes it again. Each relapse doubles the rest.
(M. Nygard, Release It!, 2nd ed. 2018, chapter 5; the count-based window is that of resilience4j's documentation.)

Only news counts: what an attempt that began before the breaker opened has to say was known when it opened, so that
a burst of concurrent failures is one relapse and the answers still under way end no rest.
"""

from collections.abc import Callable
from enum import IntEnum
from itertools import islice

import msgspec

from farthing.core.facts import ErrorKind

WINDOW = 20
"""Last outcomes that are looked at."""

MEMORY_S = 60.0
"""Outcomes are forgotten when the next one comes later than this, relapses when it was closed for so long."""

FIRST_REST_S = 1.0

LONGEST_WISH_S = 3600.0
"""A provider that asks for more rest than this is asked again after it."""

PROBE_S = 30.0
"""A probe that has not ended after this no longer keeps others from probing."""

SLOW_IN_A_ROW = 5
"""Late first bytes in a row, or requests that wait for one too long at the same time, that open it."""

SLOW_FORGIVEN_S = 600.0
"""For how long after it opened what is usual is not learned anew: a target that stays slow is slow by then."""

_MASK = (1 << WINDOW) - 1
_NEVER = float("inf")


class State(IntEnum):
    """What a breaker lets through; the number is the metric's value."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens: ``failures`` in a row, or a ``share`` of the last ``WINDOW`` outcomes.

    ``longest_rest`` is in seconds.
    """

    failures: int = 3
    share: float = 0.5
    longest_rest: float = 60.0


class Breaker:
    """The breaker of one target, or of one account. Times are seconds on one clock, given by the caller.

    ``slow_after`` is how long a first byte may take, in seconds; who knows what is usual sets it while the breaker
    is closed. ``waiting`` holds who waits for one, by the time it was sent, in the order of sending. ``why`` says what
    opened it.
    """

    __slots__ = (
        "_closed", "_failed", "_in_a_row", "_last", "_late", "_late_in_a_row", "_opened", "_probe", "_relapses",
        "_rest", "_seen", "rests_until", "slow_after", "tolerance", "waiting", "why",
    )  # fmt: skip

    def __init__(self, tolerance: Tolerance) -> None:
        self.tolerance = tolerance
        self.rests_until = 0.0
        self.slow_after = _NEVER
        self.waiting: dict[int, float] = {}
        self.why = ""
        self._opened = 0.0
        self._closed = 0.0
        self._probe = 0.0
        self._relapses = 0
        self._rest = 0.0
        self._last = 0.0
        self._forget()

    def state(self, now: float) -> State:
        """What it lets through at this moment."""
        if not self.rests_until:
            return State.CLOSED
        return State.OPEN if now < self.rests_until else State.HALF_OPEN

    def refuses(self, now: float) -> bool:
        """Whether a request should go elsewhere: it rests, or somebody probes it already."""
        return now < self.rests_until or now < self._probe

    def probe(self, now: float) -> None:
        """The request that is about to be sent is the probe of a half-open breaker."""
        self._probe = now + PROBE_S

    def answered(self, began: float, first: float, ended: float) -> bool:
        """A good answer, whose first byte came at ``first``. Whether it closed the breaker, or came so late that it
        opened it.
        """
        if first - began > self.slow_after:
            return self._slow(began, first, ended)
        if ended - self._last > MEMORY_S:
            self._forget()
        self._last = max(self._last, ended)
        self._failed = self._failed << 1 & _MASK
        self._late = self._late << 1 & _MASK
        self._in_a_row = self._late_in_a_row = 0
        self._seen += 1
        return bool(self.rests_until) and self._heal(began, ended)

    def failed(self, kind: ErrorKind, began: float, ended: float, *, certain: bool = False, wish: float = 0.0) -> bool:
        """A failure. ``wish`` is the rest that the provider asked for in seconds, ``certain`` that once is enough.

        Whether it opened the breaker, or made it rest longer.
        """
        self._note(1, ended)
        if self.rests_until and began < self._opened:
            return wish > 0 and self._rest_until(ended + min(wish, LONGEST_WISH_S))
        allowed = 1 if certain or wish else self.tolerance.failures
        many = self._seen >= WINDOW and self._failed.bit_count() >= self.tolerance.share * WINDOW
        if self._in_a_row < allowed and not many and not self.rests_until:
            return False
        said = f"{self._in_a_row} failures in a row, last {kind}"
        if many and self._in_a_row < allowed:
            said = f"{self._failed.bit_count()} of the last {WINDOW} requests failed, last {kind}"
        self._open(said, began, ended, wish)
        return True

    def outpaced(self, began: float, at: float) -> bool:
        """The first byte had not come when another target had answered. Whether that opened the breaker."""
        return self._late_byte(began, at)

    def overdue(self, now: float, waited: Callable[[float], float]) -> bool:
        """Whether so many requests wait too long for a first byte that it opened the breaker at this moment.

        ``waited`` turns the time at which a request began to wait into seconds.
        """
        waiting = self.waiting
        if len(waiting) < SLOW_IN_A_ROW or self.rests_until:
            return False
        if waited(next(islice(waiting.values(), SLOW_IN_A_ROW - 1, None))) <= self.slow_after:
            return False
        self._open(f"{SLOW_IN_A_ROW} requests wait for a first byte" + self._usually(), now, now, 0.0)
        return True

    def _slow(self, began: float, first: float, ended: float) -> bool:
        """A good answer that came late: no failure, and no cure for as long as what is usual is remembered."""
        self._note(0, ended)
        if self._late_byte(began, first):
            return True
        return bool(self.rests_until) and first > self._opened + SLOW_FORGIVEN_S and self._heal(began, ended)

    def _late_byte(self, began: float, at: float) -> bool:
        self._late = (self._late << 1 | 1) & _MASK
        self._late_in_a_row += 1
        if self.rests_until:
            news = began >= self.rests_until and at <= self._opened + SLOW_FORGIVEN_S
        else:
            news = self._late_in_a_row >= SLOW_IN_A_ROW or self._late.bit_count() * 2 >= WINDOW
        if news:
            self._open("first bytes come late" + self._usually(), began, at, 0.0)
        return news

    def _heal(self, began: float, at: float) -> bool:
        """Close again, unless the answer was under way when it opened."""
        if began < self._opened:
            return False
        self.rests_until = self._probe = 0.0
        self._closed = at
        self._forget()
        return True

    def _usually(self) -> str:
        return f", which should take {self.slow_after:.3g} s at most" if self.slow_after < _NEVER else ""

    def _note(self, failed: int, at: float) -> None:
        if at - self._last > MEMORY_S:
            self._forget()
        self._last = max(self._last, at)
        self._failed = (self._failed << 1 | failed) & _MASK
        self._seen += 1
        self._in_a_row = self._in_a_row + 1 if failed else 0

    def _open(self, why: str, began: float, at: float, wish: float) -> None:
        """Rest from now on, twice as long as the last time; failures amid a rest only renew it."""
        if not self.rests_until and at - self._closed > MEMORY_S:
            self._relapses = 0
        if not self.rests_until or began >= self.rests_until:
            self._rest = min(FIRST_REST_S * 2.0 ** min(self._relapses, 16), self.tolerance.longest_rest)
            self._relapses += 1
        self._opened = max(self._opened, at)
        self._probe = 0.0
        self._late_in_a_row = self._late = 0
        self._rest_until(at + (min(wish, LONGEST_WISH_S) or self._rest))
        self.why = f"{why}; rests {self.rests_until - at:.3g} s"

    def _rest_until(self, until: float) -> bool:
        longer = until > self.rests_until
        self.rests_until = max(self.rests_until, until)
        return longer

    def _forget(self) -> None:
        self._failed = self._late = self._seen = 0
        self._in_a_row = self._late_in_a_row = 0


__all__ = ["FIRST_REST_S", "LONGEST_WISH_S", "PROBE_S", "WINDOW", "Breaker", "State", "Tolerance"]
