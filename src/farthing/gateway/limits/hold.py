"""What one request holds of the accounts that it falls under."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from farthing.core.facts import RequestFact, Status
from farthing.core.leases import Charged
from farthing.core.limits import counted
from farthing.gateway.limits.account import Account, hold, settle, use
from farthing.gateway.limits.bound import Bounds, Worst
from farthing.gateway.ports import Call, Headers, Target

NOTHING = (0, 0)
"""No cost and no tokens."""


class Group(msgspec.Struct, frozen=True, kw_only=True, gc=False, eq=False):
    """The accounts of requests of one kind, by what they count, until the first of their spans is over.

    ``requests`` count them, ``parallel`` those under way. ``hard`` are those that can refuse. ``known``: models that
    every hard budget allows although their price is not known; ``None`` without a hard budget.
    """

    until: datetime
    cost: tuple[Account, ...] = ()
    tokens: tuple[Account, ...] = ()
    requests: tuple[Account, ...] = ()
    parallel: tuple[Account, ...] = ()
    hard: tuple[Account, ...] = ()
    known: frozenset[str] | None = None

    def lacking(self, cost: int, tokens: int) -> Account | None:
        """An account that has not enough free for one more request with this worst case."""
        for account in self.requests:
            if account.free < 1:
                return account
        for account in self.parallel:
            if account.free < 1:
                return account
        for account in self.cost:
            if account.free < cost:
                return account
        for account in self.tokens:
            if account.free < tokens:
                return account
        return None

    def needs(self, cost: int, tokens: int) -> list[tuple[Account, int]]:
        """What one more request needs of each hard account."""
        sizes = (cost, tokens, 1)
        return [(account, sizes[account.place]) for account in self.hard]

    def enter(self, cost: int, tokens: int) -> None:
        """Count a request and hold its first attempt. The caller knows that it fits."""
        use(self.requests, 1)
        if self.parallel:
            hold(self.parallel, 1)
        self.take(cost, tokens)

    def take(self, cost: int, tokens: int) -> None:
        """Hold the worst case of an attempt."""
        hold(self.cost, cost)
        hold(self.tokens, tokens)

    def settle(self, held: tuple[int, int], spent: tuple[int, int], doubt: tuple[int, int] = NOTHING) -> None:
        """What was held for an attempt came to this; each as cost and tokens."""
        if self.cost:
            settle(self.cost, held[0], spent[0], doubt[0])
        if self.tokens:
            settle(self.tokens, held[1], spent[1], doubt[1])


class Hold:
    """The ``Grant`` of one request. Each attempt is settled at what it cost; what nobody can tell, at its worst."""

    __slots__ = ("_bounds", "_freed", "_group", "_held", "_made", "call", "headers")

    def __init__(self, call: Call, group: Group, worst: Worst, bounds: Bounds, freed: Callable[[], None]) -> None:
        self.call = call
        self.headers: Headers = call.told
        self._group = group
        self._bounds = bounds
        self._freed = freed
        self._held = {1: (worst.cost or 0, worst.tokens)}
        self._made = 1
        group.enter(worst.cost or 0, worst.tokens)

    def extend(self, target: Target) -> bool:
        """Hold the worst case of one more attempt; false when it does not fit now, or cannot be bounded."""
        group = self._group
        worst = self._bounds.worst(self.call, target)
        if worst.cost is None and group.known is not None and self.call.model not in group.known:
            return False
        cost, tokens = worst.cost or 0, worst.tokens
        if any(account.over for account in group.hard):
            return False
        if any(a.free < cost for a in group.cost) or any(a.free < tokens for a in group.tokens):
            return False
        group.take(cost, tokens)
        self._made += 1
        self._held[self._made] = (cost, tokens)
        return True

    def settle(self, fact: RequestFact) -> None:
        """An attempt ended."""
        held = self._held.pop(fact.attempt, None) or self._oldest()
        if fact.status is Status.ABANDONED:
            self._group.settle(held, NOTHING)
            return
        if fact.cost is not None:
            self._group.settle(held, (counted(fact.cost), _tokens(fact)))
        elif fact.usage:
            self._group.settle(held, (held[0], _tokens(fact)), (held[0], 0))
        else:
            self._group.settle(held, held, held)
        self._freed()

    def _oldest(self) -> tuple[int, int]:
        """What an attempt held whose number is another's: those given up before they were made leave gaps."""
        return self._held.pop(min(self._held, default=0), NOTHING)

    def charge(self) -> list[Charged]:
        """Use all that is held, at its worst, instead of settling it: what it comes to will be known later."""
        charges: list[Charged] = []
        for held in self._held.values():
            for accounts, amount in zip((self._group.cost, self._group.tokens), held, strict=True):
                settle(accounts, amount, amount, amount)
                for account in accounts:
                    limit, subject, starts = account.pot
                    charges.append(
                        Charged(limit=limit, subject=subject, starts=starts, measure=account.measure, amount=amount)
                    )
        self._held.clear()
        return charges

    def close(self) -> None:
        """The request is over; what was held for attempts that were never made is free again."""
        for held in self._held.values():
            self._group.settle(held, NOTHING)
        self._held.clear()
        settle(self._group.parallel, 1, 0)
        self._freed()


def _tokens(fact: RequestFact) -> int:
    read = fact.input_tokens + fact.cache_read_tokens + fact.cache_write_tokens
    return read + fact.output_tokens + fact.reasoning_tokens
