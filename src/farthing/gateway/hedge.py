"""Hedging: a second attempt at another target when the first keeps its client waiting longer than usual.

Sent after the 95th percentile of the first target's own latency, it shortens the tail for a few percent more load
(J. Dean and L. A. Barroso, The Tail at Scale, Communications of the ACM 56(2), 2013). Models bill by the token, so
a few percent more load can be a few percent more money: a purse per alias says no before the share is used up.
"""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, Generic, TypeVar

from farthing.gateway.settings import HedgeSettings

_NANO = 9
_AGES_AT = 100_000
"""Requests after which everything counts half, so that a purse follows what an alias costs now."""


class Purse:
    """What an alias spends, and what of it went into hedges. Amounts are whole nano-dollars.

    ``unpriced`` hedges, whose loser's cost is not known, count as a request's usual cost.
    """

    __slots__ = ("_extra", "_hedges", "_open", "_priced", "_requests", "_spent")

    def __init__(self) -> None:
        self._spent = self._extra = 0
        self._requests = self._priced = self._hedges = self._open = 0

    def paid(self, cost: Decimal | None) -> None:
        """An attempt that answered, or failed, cost this much."""
        self._requests += 1
        if cost is not None:
            self._priced += 1
            self._spent += int(cost.scaleb(_NANO))
        if self._requests >= _AGES_AT:
            self._age()

    def take(self, settings: HedgeSettings) -> bool:
        """Whether one more hedge fits under both caps; its usual cost is set aside if so."""
        if not self._priced or self._hedges + 1 > settings.max_requests * self._requests:
            return False
        usual = self._usual()
        if self._extra + (self._open + 1) * usual > settings.max_extra_cost * self._spent:
            return False
        self._hedges += 1
        self._open += 1
        return True

    def lost(self, cost: Decimal | None) -> None:
        """The race is over: what was set aside is free, and this is what the loser cost."""
        self._open -= 1
        self._extra += self._usual() if cost is None else int(cost.scaleb(_NANO))

    def _usual(self) -> int:
        return -(-self._spent // self._priced)

    def _age(self) -> None:
        self._spent //= 2
        self._extra //= 2
        self._requests //= 2
        self._priced = max(1, self._priced // 2)
        self._hedges //= 2


Runner = TypeVar("Runner")
Result = TypeVar("Result")


class Race(Generic[Runner, Result]):
    """Runners of which at most one may go on once it has something to show.

    ``lost`` is told of every runner that is stopped for it. A runner asks with ``claim`` before it shows anything.
    """

    def __init__(self, lost: Callable[[Runner], None]) -> None:
        self.leader: Runner | None = None
        self._lost = lost
        self._runners: dict[asyncio.Task[Result], Runner] = {}
        self._decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, runner: Runner, running: Coroutine[Any, Any, Result]) -> None:
        """Another one sets off."""
        self._runners[asyncio.get_running_loop().create_task(running)] = runner

    def claim(self, runner: Runner) -> bool:
        """Whether this runner leads. The first who asks does, and the others are stopped."""
        if self.leader is None:
            self.leader = runner
            self._decided.set_result(None)
            for task, other in self._runners.items():
                if other is not runner and not task.done():
                    self._lost(other)
                    task.cancel()
        return self.leader is runner

    async def undecided(self, seconds: float) -> bool:
        """Whether after this time nobody leads, and nobody has given up."""
        done, _ = await asyncio.wait({*self._runners, self._decided}, timeout=seconds, return_when=_FIRST)
        return not done

    async def result(self) -> Result:
        """The leader's, or that of the last to fail when all do. Every runner has ended when this returns or raises."""
        try:
            running = set(self._runners)
            last: asyncio.Task[Result] | None = None
            while running:
                done, running = await asyncio.wait(running, return_when=_FIRST)
                last = next((task for task in done if not task.cancelled()), last)
                leading = next((task for task in done if self._runners[task] is self.leader), None)
                if leading is not None:
                    return leading.result()
            assert last is not None  # noqa: S101 - a runner is stopped only for another one
            return last.result()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Stop whoever still runs, and wait for them."""
        for task in self._runners:
            task.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)


_FIRST = asyncio.FIRST_COMPLETED
