"""A request that waits until its worst case is covered, and what would have to give for that."""

import asyncio
from collections.abc import Callable, Collection

import msgspec

from farthing.core.limits import Measure
from farthing.gateway.limits.account import Account
from farthing.gateway.limits.bound import Bounds
from farthing.gateway.limits.hold import Group
from farthing.gateway.limits.shorten import can_shorten, shortened
from farthing.gateway.ports import Call, Grant, Target

LEAST_OUTPUT = 16
"""Output tokens below which a shortened answer is worth nothing."""

AMPLE_OUTPUT = 4096
"""Output tokens that hardly any answer needs; a request is shortened to no less while waiting may cover it whole."""


class Waiter:
    """One waiting request. ``worst`` is its present worst case, ``asked`` the last message that asked for it.

    ``number`` grows with each that arrives. ``answered``: the store said what is left at least once.
    """

    def __init__(
        self,
        call: Call,
        target: Target,
        group: Group,
        bounds: Bounds,
        future: "asyncio.Future[Grant]",
        *,
        number: int,
    ) -> None:
        self.call = call
        self.group = group
        self.number = number
        self.future = future
        self.worst = bounds.worst(call, target)
        self.asked = 0
        self.answered = False
        self.changed = False
        self._ceiling = bounds.ceiling(call, target)
        self._first = self.worst
        self._whole = self.worst.output
        self._can_shorten = can_shorten(call) and self.worst.output > 0

    @property
    def shorter(self) -> bool:
        """Whether the answer was shortened."""
        return self.worst.output < self._whole

    def allowed_call(self) -> Call:
        """The call as it may be sent."""
        if self.shorter or (self.worst.capped and (self.group.cost or self.group.tokens)):
            return shortened(self.call, self.worst.output)
        return self.call

    def join(self, group: Group) -> None:
        """Other accounts are to be waited for from now on."""
        self.group = group
        self.worst = self._first
        self.asked = 0
        self.answered = False

    def needs(self) -> list[tuple[Account, int]]:
        """What it needs of each account that can refuse it."""
        return self.group.needs(self.worst.cost or 0, self.worst.tokens)

    def lacking(self, blocked: Collection[Account] = ()) -> list[Account]:
        """The accounts that have not enough, or that somebody before it waits for."""
        return [account for account, need in self.needs() if account.free < need or account in blocked]

    def ask(self, free: dict[int, int]) -> tuple[tuple[int, int], ...]:
        """What it needs beyond what is free, which it uses up for whoever asks after it."""
        short: list[tuple[int, int]] = []
        for account, need in self.needs():
            at_hand = free.get(account.turn, 0)
            if at_hand < need:
                short.append((account.turn, need - at_hand))
            free[account.turn] = max(0, at_hand - need)
        return tuple(short)

    def judge(self) -> tuple[Account, int] | None:
        """An account that will not cover even a shortened answer, whatever comes back, and what is needed of it.

        Otherwise the answer is shortened to what may still come or, if that is ample, to what is left now.
        """
        for account, need in self.needs():
            if need > account.most and account.open and not self._shortens(account):
                return account, need
        if not self._can_shorten:
            return None
        account, fits = self._fits(lambda a: a.most)
        if account is not None and fits < min(LEAST_OUTPUT * self.call.choices, self._whole) and account.open:
            return account, self._least(account)
        _, now = self._fits(lambda a: (max(0, a.free) + a.left) // max(1, a.waiting))
        if fits < self.worst.output:
            self._shorten(fits)
        if AMPLE_OUTPUT * self.call.choices <= now < self.worst.output:
            self._shorten(now)
        return None

    def last_chance(self) -> tuple[Account | None, int]:
        """Nothing more is waited for: what is at hand has to do. The account that does not, or ``None``."""
        if self._can_shorten:
            _, fits = self._fits(lambda a: a.free)
            if LEAST_OUTPUT * self.call.choices <= fits < self.worst.output:
                self._shorten(fits)
        for account, need in self.needs():
            if account.free < need:
                return account, need
        return None, 0

    def forsake(self) -> None:
        """Nobody waits any more: what it was given meanwhile is free again."""
        if self.future.done() and not self.future.cancelled() and self.future.exception() is None:
            self.future.result().close()
        self.future.cancel()

    def _shortens(self, account: Account) -> bool:
        bounded = account.measure in (Measure.COST, Measure.TOKENS)
        return bounded and self._can_shorten and account.limit.cap_output

    def _fits(self, available: Callable[[Account], int]) -> tuple[Account | None, int]:
        """The account that covers the fewest output tokens, and how many."""
        found: tuple[Account | None, int] = (None, self._whole)
        for account in self.group.hard:
            if not self._shortens(account):
                continue
            pieces = available(account)
            if account.measure is Measure.COST:
                fits = self._ceiling.fitting(self.worst.input, pieces)
            else:
                fits = pieces - self.worst.input
            if fits < found[1]:
                found = account, fits
        return found

    def _least(self, account: Account) -> int:
        """What the shortest answer needs of an account."""
        output = min(LEAST_OUTPUT * self.call.choices, self._whole)
        if account.measure is Measure.COST:
            return self._ceiling.cost(self.worst.input, output) or 0
        return self.worst.input + output

    def _shorten(self, output: int) -> None:
        cost = self._ceiling.cost(self.worst.input, output) if self.worst.cost is not None else None
        self.worst = msgspec.structs.replace(self.worst, cost=cost, output=output, tokens=self.worst.input + output)
        self.changed = True
