"""What one request holds of the accounts that it falls under."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from farthing.core.facts import RequestFact, Status
from farthing.core.leases import Charged
from farthing.core.limits import Measure, counted
from farthing.gateway.limits.account import Account
from farthing.gateway.limits.bound import Bounds, Worst
from farthing.gateway.ports import Call, Headers, Target


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
        sizes: Mapping[Measure, int] = {Measure.COST: cost, Measure.TOKENS: tokens}
        return [(account, sizes.get(account.measure, 1)) for account in self.hard]

    def enter(self, cost: int, tokens: int) -> None:
        """Count a request and hold its first attempt. The caller knows that it fits."""
        for account in self.requests:
            account.use(1)
        for account in self.parallel:
            account.hold(1)
        self.take(cost, tokens)

    def take(self, cost: int, tokens: int) -> None:
        """Hold the worst case of an attempt."""
        for account in self.cost:
            account.hold(cost)
        for account in self.tokens:
            account.hold(tokens)


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
        cost, tokens = self._held.pop(self._number(fact.attempt), _NOTHING)
        if fact.status is Status.ABANDONED:
            self._release(cost, tokens)
            return
        unknown = fact.cost is None
        doubt_tokens = unknown and not fact.usage
        spent = cost if fact.cost is None else counted(fact.cost)
        used = tokens if doubt_tokens else _tokens(fact)
        for account in self._group.cost:
            account.settle(cost, spent, spent if unknown else 0)
        for account in self._group.tokens:
            account.settle(tokens, used, used if doubt_tokens else 0)
        self._freed()

    def _number(self, attempt: int) -> int:
        """Which hold an attempt has. Attempts that were given up before they were made leave gaps in their numbers."""
        return attempt if attempt in self._held else min(self._held, default=0)

    def charge(self) -> list[Charged]:
        """Use all that is held, at its worst, instead of settling it: what it comes to will be known later."""
        charges: list[Charged] = []
        for held in self._held.values():
            for accounts, amount in zip((self._group.cost, self._group.tokens), held, strict=True):
                for account in accounts:
                    account.settle(amount, amount, amount)
                    limit, subject, starts = account.pot
                    charges.append(
                        Charged(limit=limit, subject=subject, starts=starts, measure=account.measure, amount=amount)
                    )
        self._held.clear()
        return charges

    def close(self) -> None:
        """The request is over; what was held for attempts that were never made is free again."""
        for cost, tokens in self._held.values():
            self._release(cost, tokens)
        self._held.clear()
        for account in self._group.parallel:
            account.settle(1, 0)
        self._freed()

    def _release(self, cost: int, tokens: int) -> None:
        for account in self._group.cost:
            account.settle(cost, 0)
        for account in self._group.tokens:
            account.settle(tokens, 0)


_NOTHING = (0, 0)


def _tokens(fact: RequestFact) -> int:
    read = fact.input_tokens + fact.cache_read_tokens + fact.cache_write_tokens
    return read + fact.output_tokens + fact.reasoning_tokens
