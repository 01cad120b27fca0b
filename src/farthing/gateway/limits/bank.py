"""The ``Admission`` of a gateway with limits: who may send, who has to wait, and what is said to the state store.

A request takes its worst case from slices at hand and never waits for the store while they last. When they do not,
it waits: for more of the pot, for requests under way to cost less than their worst, for other holders to give back
what they do not need. It is refused when even all of that would not cover it, or after ``patience``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

import msgspec

from farthing.core.errors import FarthingError
from farthing.core.leases import Ask, Granted, Message, Reply, Slice
from farthing.core.limits import Limit
from farthing.gateway.admit import Free
from farthing.gateway.limits import refusal
from farthing.gateway.limits.account import Account, Tally
from farthing.gateway.limits.book import Book
from farthing.gateway.limits.bound import Bounds, Worst
from farthing.gateway.limits.hold import Group, Hold
from farthing.gateway.limits.pace import LOOKS, Pace
from farthing.gateway.limits.queue import Queue
from farthing.gateway.limits.shorten import shortened
from farthing.gateway.limits.waiter import Waiter
from farthing.gateway.ports import Call, Grant, Route

Teller = Callable[[Message], Awaitable[Reply]]
"""Carries a message to the state store. Raises ``UnavailableError`` when that does not answer."""

MOST_SLICES = 1000
"""Slices in one message, beside those that are asked for; the others are in the next one."""


class Counts(msgspec.Struct):
    """What a bank did: requests admitted, those that waited, those refused, those shortened, messages sent."""

    admitted: int = 0
    waited: int = 0
    refused: int = 0
    shortened: int = 0
    messages: int = 0


class Bank:
    """Slices at hand and the requests that wait for more.

    ``holder`` is this worker's name, new for every process. ``ring`` tells other workers of this machine that
    somebody waits; ``clock`` is monotonic, ``now`` the time of day; ``where`` says where to ask for more of a limit.
    """

    def __init__(
        self,
        limits: Iterable[Limit],
        *,
        holder: str,
        tally: Tally,
        teller: Teller,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        patience: float,
        where: refusal.WhereToAsk,
        ring: Callable[[], None] = lambda: None,
    ) -> None:
        self.counts = Counts()
        self._book = Book(limits, tally, clock)
        self._bounds = Bounds()
        self._pace = Pace(clock)
        self._holder = holder
        self._teller = teller
        self._clock = clock
        self._now = now
        self._patience = patience
        self._where = where
        self._ring = ring
        self._number = 0
        self._queue = Queue()
        self._arrived = 0
        self._pumping = False
        self._problem = ""

    def gauges(self) -> dict[str, float]:
        """What it did since it began and holds now, by the names of metrics."""
        counts = {f"limit_{name}": float(count) for name, count in msgspec.structs.asdict(self.counts).items()}
        return {**counts, "limit_waiting": float(len(self._queue)), "limit_accounts": float(len(self._book))}

    def use(self, limits: Iterable[Limit]) -> None:
        """Go by these limits, and by prices that may have changed."""
        self._bounds.forget()
        self._book.use(limits)
        self._move(list(self._queue))
        self._pace.soon()

    def admit(self, call: Call, route: Route) -> Hold | Free | None:
        """See ``ports.Admission``."""
        group = self._book.group(call, call.at)
        if group is None:
            return Free(call)
        worst = self._bounds.worst(call, route.targets[0])
        unpriced = None if worst.cost is not None else self._unpriced(call, group, worst)
        if unpriced is not None:
            self.counts.refused += 1
            raise unpriced
        if group.lacking(worst.cost or 0, worst.tokens) is not None:
            return None
        if self._queue.holds_up(group.hard):
            return None
        self.counts.admitted += 1
        if self._pace.due_for_a_look():
            self._look(group.needs(worst.cost or 0, worst.tokens))
        if worst.capped and (group.cost or group.tokens):
            call = shortened(call, worst.output)
        return Hold(call, group, worst, self._bounds, self._freed)

    async def wait(self, call: Call, route: Route) -> Grant:
        """See ``ports.Admission``. Raises ``UnavailableError`` when the state store did not answer meanwhile."""
        group = self._book.group(call, call.at)
        if group is None:
            return Free(call)
        self._arrived += 1
        future: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        waiter = Waiter(call, route.targets[0], group, self._bounds, future, number=self._arrived)
        self.counts.waited += 1
        self._queue.enter(waiter)
        self._pace.soon()
        try:
            await asyncio.wait((waiter.future,), timeout=self._patience)
            return self._outcome(waiter)
        except asyncio.CancelledError:
            waiter.forsake()
            raise
        finally:
            self._leave(waiter)

    async def run(self) -> None:
        """Talk with the store until cancelled, as often as it takes and no oftener."""
        while True:
            await self._pace.turn()
            await self.exchange()

    def rung(self) -> None:
        """Another worker of this machine has requests waiting."""
        if self._holds_free:
            self._pace.soon()

    async def close(self) -> bool:
        """Give everything back. Whether the store heard it; what it did not hear is settled from the record."""
        for account in self._book:
            account.ends = self._now()
        await self.exchange()
        return not len(self._book)

    async def exchange(self) -> None:
        """One message and what follows from its answer."""
        message, spoken = self._message()
        if not spoken:
            return
        self.counts.messages += 1
        try:
            reply = await self._teller(message)
        except FarthingError as problem:
            self._problem = str(problem)
            for account in spoken.values():
                account.unheard()
            self._pace.failed()
            return
        self._problem = ""
        self._hear(message, reply, spoken)

    def _message(self) -> tuple[Message, dict[int, Account]]:
        self._number += 1
        now, at = self._clock(), self._now()
        elapsed = self._pace.told()
        self._move([waiter for waiter in self._queue if waiter.group.until <= at])
        waiters = self._queue.asking()
        spoken: dict[int, Account] = {}
        slices: list[Slice] = []
        for account in self._speaking(waiters):
            part = account.word(now, at, elapsed)
            if part is not None:
                spoken[account.turn] = account
                slices.append(part)
        free = {turn: account.free for turn, account in spoken.items() if account.hard}
        asks = tuple(Ask(needs) for waiter in waiters if (needs := waiter.ask(free)))
        for waiter in waiters:
            waiter.asked = self._number
        return Message(holder=self._holder, number=self._number, slices=tuple(slices), asks=asks), spoken

    def _speaking(self, waiters: Iterable[Waiter]) -> Iterable[Account]:
        """The accounts that the next message is about: if not all, those that were silent longest."""
        if len(self._book) <= MOST_SLICES:
            return list(self._book)
        asked = dict.fromkeys(account for waiter in waiters for account in waiter.group.hard)
        others = sorted((a for a in self._book if a not in asked), key=lambda account: account.spoken)
        if len(others) > MOST_SLICES:
            self._pace.soon()
        return [*asked, *others[:MOST_SLICES]]

    def _hear(self, message: Message, reply: Reply, spoken: dict[int, Account]) -> None:
        sent = {part.turn: part for part in message.slices}
        for word in reply.slices:
            account = spoken[word.turn]
            account.hear(word, sent[word.turn].spent)
            if _is_closed(account, word, self._now()):
                self._book.drop(account)
        if not all(reply.met):
            self._ring()
        scarce = any(word.tight for word in reply.slices)
        self._pace.answered(met=all(reply.met), waiting=bool(self._queue), scarce=scarce)
        self._pump()
        for waiter in [w for w in self._queue if 0 < w.asked <= message.number]:
            waiter.answered = True
            self._judge(waiter)

    def _pump(self) -> None:
        """Let those go who fit."""
        self._pumping = False
        self._queue.serve(self._admit)

    def _admit(self, waiter: Waiter) -> None:
        call = waiter.allowed_call()
        self.counts.admitted += 1
        self.counts.shortened += waiter.shorter
        waiter.future.set_result(Hold(call, waiter.group, waiter.worst, self._bounds, self._freed))

    def _judge(self, waiter: Waiter) -> None:
        """Refuse what nothing that may come back could cover, and shorten what can be shortened."""
        if waiter.future.done():
            return
        hopeless = waiter.judge()
        if hopeless is not None:
            account, needed = hopeless
            waiter.future.set_exception(refusal.used_up(account, needed, self._now(), self._where))
        elif not waiter.lacking():
            self._admit(waiter)
        elif waiter.changed:
            waiter.changed = False
            self._pace.soon()

    def _outcome(self, waiter: Waiter) -> Grant:
        if not waiter.future.done():
            account, needed = waiter.last_chance()
            if account is None:
                self._admit(waiter)
            elif self._problem or not account.open or not waiter.answered:
                self.counts.refused += 1
                raise refusal.unsure(self._problem or "it has not answered yet")
            else:
                self.counts.refused += 1
                raise refusal.used_up(account, needed, self._now(), self._where)
        try:
            return waiter.future.result()
        except FarthingError:
            self.counts.refused += 1
            raise

    def _move(self, waiters: list[Waiter]) -> None:
        """Let requests wait for the accounts that they fall under by now: limits were changed, or a span is over."""
        for waiter in sorted(waiters, key=lambda waiter: waiter.number):
            if waiter.future.done():
                continue
            self._queue.leave(waiter)
            group = self._book.group(waiter.call, self._now())
            unpriced = None if group is None else self._unpriced(waiter.call, group, waiter.worst)
            if group is None:
                waiter.future.set_result(Free(waiter.call))
            elif unpriced is not None:
                waiter.future.set_exception(unpriced)
            else:
                waiter.join(group)
                self._queue.enter(waiter)

    def _leave(self, waiter: Waiter) -> None:
        self._queue.leave(waiter)
        self._freed()

    def _unpriced(self, call: Call, group: Group, worst: Worst) -> FarthingError | None:
        """Why a call without a price is not sent, if a hard budget is about it that does not allow its model."""
        if worst.cost is not None or group.known is None or call.model in group.known:
            return None
        limits = (account.limit for account in group.cost if account.hard)
        limit = next(limit for limit in limits if call.model not in limit.unpriced)
        return refusal.unpriced(limit, worst.unpriced, call.model, self._where)

    def _freed(self) -> None:
        """Something came back: whoever waits may fit now."""
        if self._queue and not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)
            self._pace.settled()
        elif self._pace.scarce:
            self._pace.settled()

    def _look(self, needs: list[tuple[Account, int]]) -> None:
        """Whether slices are running low, so that more is fetched before somebody has to wait."""
        for account, need in needs:
            account.largest = max(account.largest, need)
            account.taken += need * LOOKS
            if account.free < account.low or account.reported < 0:
                self._pace.soon()

    @property
    def _holds_free(self) -> bool:
        return any(account.hard and account.free > 0 for account in self._book)


def _is_closed(account: Account, word: Granted, at: datetime) -> bool:
    """Whether the store knows all of an account that nobody will use again."""
    told = account.reported == account.spent == word.granted or (not account.hard and account.reported == account.spent)
    return told and not account.held and not account.waiting and account.ended(at)
