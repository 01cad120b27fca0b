"""Requests that wait, in lines of those that fall under the same accounts.

Who came first is served first, and nobody who came later gets past them to an account that they lack. But only to
that one: requests that wait for a quota of their own hold up nobody who merely shares an ample budget with them.
"""

import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator

from farthing.gateway.limits.account import Account
from farthing.gateway.limits.hold import Group
from farthing.gateway.limits.waiter import Waiter

ASKS = 64
"""Waiting requests for which one message asks; the others are behind them, or ask with the next one."""

OF_ONE_LINE = 8
"""How many of one line ask at least, however many lines there are."""


class Queue:
    """The waiting requests of a worker, first come first served."""

    def __init__(self) -> None:
        self._lines: dict[Group, dict[Waiter, None]] = {}
        self._short: set[Account] = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Waiter]:
        return itertools.chain.from_iterable([list(line) for line in self._lines.values()])

    def holds_up(self, accounts: Iterable[Account]) -> bool:
        """Whether somebody waits for one of these accounts."""
        return bool(self._short) and any(account.short for account in accounts)

    def enter(self, waiter: Waiter) -> None:
        """Somebody new, behind all others."""
        self._lines.setdefault(waiter.group, {})[waiter] = None
        self._count += 1
        for account, need in waiter.needs():
            account.waiting += 1
            account.largest = max(account.largest, need)
        self._mark(waiter.lacking(self._short))

    def leave(self, waiter: Waiter) -> None:
        """Somebody waits no more."""
        line = self._lines.get(waiter.group, {})
        if waiter not in line:
            return
        del line[waiter]
        self._count -= 1
        for account in waiter.group.hard:
            account.waiting -= 1
        if not line:
            del self._lines[waiter.group]
        if not self._count:
            self._unmark()

    def serve(self, admit: Callable[[Waiter], None]) -> None:
        """Admit whoever fits now. What the first ones lack is not given to later ones."""
        self._unmark()
        heads = [(first.number, first, line) for line in map(iter, self._lines.values()) if (first := next(line, None))]
        heapq.heapify(heads)
        while heads:
            _, waiter, line = heads[0]
            if not waiter.future.done():
                lacking = waiter.lacking(self._short)
                if lacking:
                    self._mark(lacking)
                    heapq.heappop(heads)
                    continue
                admit(waiter)
            following = next(line, None)
            if following is None:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, (following.number, following, line))

    def asking(self) -> list[Waiter]:
        """Who asks in the next message: the first of each line, and of many lines those that asked longest ago."""
        each = max(OF_ONE_LINE, ASKS // max(1, len(self._lines)))
        firsts = [
            waiter
            for line in self._lines.values()
            for waiter in itertools.islice((w for w in line if not w.future.done()), each)
        ]
        if len(firsts) > ASKS:
            firsts = sorted(firsts, key=lambda waiter: (waiter.asked, waiter.number))[:ASKS]
        return sorted(firsts, key=lambda waiter: waiter.number)

    def _mark(self, accounts: Collection[Account]) -> None:
        self._short.update(accounts)
        for account in accounts:
            account.short = True

    def _unmark(self) -> None:
        for account in self._short:
            account.short = False
        self._short.clear()
