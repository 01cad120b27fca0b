"""Settles batches: looks after those that are under way, and books what they came to when they are done.

Every line of a batch's results becomes a fact of the ledger, in their order and in pieces of ``PIECE`` lines, each of
which is a version of the source ``batch/PROVIDER/ID``: a file that is read again, by this process after it was killed
or by another one, adds nothing. The charge is corrected in the transaction that marks the batch as settled.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from farthing.app.batchorders import FIRST_DOUBT, LAST_DOUBT, traces
from farthing.app.batchreading import Account, results_of
from farthing.app.chores import Chore
from farthing.app.leasing import put_right
from farthing.app.world import SnapshotFile
from farthing.core.batches import Actual, Holding
from farthing.core.errors import FarthingError, InputError
from farthing.core.facts import Operation, RequestFact
from farthing.gateway.batches import written_by
from farthing.gateway.batchmeter import Ledgered
from farthing.gateway.parts import World
from farthing.gateway.ports import Call, Provider, Target
from farthing.gateway.reach import Guard
from farthing.gateway.shelf import described
from farthing.gateway.single import priced_at
from farthing.gateway.upstream import HttpUpstream, Limits

if TYPE_CHECKING:
    from farthing.app.local import Local
    from farthing.state.batches import Batches

TURN_SECONDS = 5.0
"""How often batches are settled that are known to be done."""

LOOK_TURNS = 12
"""Every so many turns, all others are asked after as well: once a minute."""

_BY = "farthing:batches"
_log = logging.getLogger(__name__)


class FactSink(Protocol):
    """What settling asks of the ledger."""

    def append_requests(self, facts: Sequence[RequestFact], *, source: str, version: int) -> int:
        """Write them unless (source, version) was reached already; returns how many were written."""
        ...


class Settling:
    """The chore. It needs the snapshot that the workers have, with its providers and prices."""

    def __init__(self, local: "Callable[[], Local]", batches: "Batches", ledger: FactSink) -> None:
        self._local = local
        self._batches = batches
        self._ledger = ledger
        self._turn = 0

    def chore(self) -> Chore:
        """What to repeat, and how often."""
        remedy = "Check the provider with farthing provider test; its batches are settled when it answers"
        return Chore(name="batches", every=TURN_SECONDS, work=self.work, remedy=remedy)

    def work(self) -> str:
        """Settle what is done. Raises ``UnavailableError`` when there is no snapshot, or the store does not answer."""
        looks = self._turn % LOOK_TURNS == 0
        self._turn += 1
        batches = self._batches.unsettled()
        orders = self._batches.unsettled("order") if looks else []
        due = [batch for batch in batches if looks or batch.done]
        if due or orders:
            asyncio.run(self._settle(due, orders))
        return f"{len(batches):,} under way" if batches else "none under way"

    async def _settle(self, due: list[Holding], orders: list[Holding]) -> None:
        local = self._local()
        guard = Guard(private=local.settings.gateway.private_upstreams)
        world = SnapshotFile(local.settings, local.env, guard).read()
        upstream = HttpUpstream(Limits(), guard=guard)
        problems: list[FarthingError] = []
        try:
            for holding in (*due, *orders):
                provider = world.providers.get(holding.provider)
                if provider is None:
                    _log.warning("%s waits for its provider %s", holding.id, holding.provider)
                    continue
                try:
                    await _Case(self, world, provider, upstream, local.now()).see(holding)
                except FarthingError as problem:
                    problems.append(problem)
        finally:
            await upstream.aclose()
        if problems:
            raise problems[0]

    def append(self, facts: list[RequestFact], batch: Holding, version: int) -> None:
        """Write a piece of a batch's facts, once."""
        if facts:
            self._ledger.append_requests(facts, source=f"batch/{batch.provider}/{batch.id}", version=version)

    def close(self, holding: Holding, actual: Actual, now: datetime) -> None:
        """Correct its charge, once."""
        from farthing.state.audit import Change

        change = Change(actor=_BY, at=now)
        self._batches.settle(change, holding.id, lambda connection, held: put_right(connection, held.charges, actual))

    def saw(self, batch: Holding) -> None:
        """Note what the provider says of it."""
        self._batches.saw(batch.id, batch.seen, found=written_by(batch))

    def owned(self, batch: Holding) -> bool:
        """Whether a batch is on somebody's shelf."""
        return self._batches.find(batch.kind, batch.id) is not None

    def contested(self, order: Holding) -> bool:
        """Whether a batch that fits an order may be somebody else's."""
        return self._batches.contested(order, LAST_DOUBT)

    def adopt(self, order: Holding, batch: Holding, now: datetime) -> None:
        """An order turns out to be this batch."""
        from farthing.state.audit import Change

        self._batches.add(Change(actor=_BY, at=now), batch, instead_of=order.id)


class _Case:
    """One batch, or one order, at its provider."""

    def __init__(
        self, settling: Settling, world: World, provider: Provider, upstream: HttpUpstream, now: datetime
    ) -> None:
        self._settling = settling
        self._world = world
        self._provider = provider
        self._account = Account(provider, upstream)
        self._now = now

    async def see(self, holding: Holding) -> None:
        """Look at it, and settle it if it is done."""
        if holding.kind == "order":
            await self._order(holding)
            return
        batch = holding if holding.done else await self._current(holding)
        if batch is not None and batch.done:
            await self._book(batch)

    async def _current(self, batch: Holding) -> Holding | None:
        """How it stands now; ``None`` when the provider has lost it, which settles it at its charge."""
        body = await self._account.get(batch.place)
        if body is None:
            self._lose(batch, "the provider does not know this batch any more")
            return None
        now = msgspec.structs.replace(batch, seen=described(body, batch.provider))
        self._settling.saw(now)
        return now

    async def _book(self, batch: Holding) -> None:
        """Its lines into the ledger, then its charge to what they come to."""
        book = Ledgered(batch, self._provider, lambda model: self._priced(batch, model), worker="control")
        written = 0
        for place in results_of(batch):
            async for lines in self._account.pieces(place):
                if lines is None:
                    self._lose(batch, f"its results at {place} are gone, so nobody can tell what it cost")
                    return
                facts = list(book.facts(iter(lines)))
                written += len(lines)
                self._settling.append(facts, batch, written)
        self._settling.close(batch, book.actual, self._now)

    def _lose(self, batch: Holding, why: str) -> None:
        book = Ledgered(batch, self._provider, _unknown, worker="control")
        self._settling.append([book.lost(why)], batch, 2**31)
        self._settling.close(batch, book.actual, self._now)

    def _priced(self, batch: Holding, model: str) -> Target | None:
        call = Call(
            request_id=batch.id,
            at=batch.created,
            operation=Operation.BATCH,
            dialect=self._provider.dialect,
            path="",
            model=model,
            body=b"",
        )
        try:
            return priced_at(self._world, call, self._provider, model)
        except InputError:
            return None

    async def _order(self, order: Holding) -> None:
        """Find out whether an order without an answer was placed. Its age says how long its answer was waited for."""
        age = self._now - order.created
        if age < FIRST_DOUBT:
            return
        left = await traces(self._account, order, self._settling.owned)
        if left.found and (len(left.found) > 1 or self._settling.contested(order)):
            self._lose(order, "its answer was lost, and more than one batch at the provider may be it")
        elif left.found:
            self._settling.adopt(order, left.found[0], self._now)
        elif age > LAST_DOUBT and not left.running:
            self._settling.close(order, Actual(), self._now)


def _unknown(model: str) -> Target | None:
    """Where prices make no difference any more."""
    del model
    return None


__all__ = ["LOOK_TURNS", "Settling"]
