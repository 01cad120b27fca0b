"""Limits over a real state store and a real ledger, and a holder that uses them, for tests."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from farthing.app.budgets import BudgetDesk, OpenGate, doers
from farthing.app.reckoning import Reckoning
from farthing.core.facts import RequestFact
from farthing.core.leases import Message, Slice
from farthing.core.limits import Limit, Measure, Span, counted
from farthing.ledger.store import Ledger
from farthing.state.audit import Change
from farthing.state.leases import FOREVER
from farthing.state.store import Store


class Purse:
    """One installation's limits at the moment that ``clock`` says."""

    def __init__(self, folder: Path, clock) -> None:
        self.clock = clock
        self.store = Store.open(f"sqlite:///{folder / 'state.db'}")
        self.ledger = Ledger.open(str(folder / "ledger"))
        self._written = self._turns = 0

    def close(self) -> None:
        self.store.close()
        self.ledger.close()

    def by(self, actor: str = "test") -> Change:
        return Change(actor=actor, at=self.clock())

    def limit(self, name: str, amount: str, *, per: Span = Span.MONTH, scope=None, **rest) -> Limit:
        """A limit in the store, made now."""
        measure = rest.pop("measure", Measure.COST)
        made = Limit(id="", name=name, measure=measure, amount=Decimal(amount), per=per, scope=scope or {}, **rest)
        return self.store.limits.create(self.by(), made)

    def land(self, facts: Sequence[RequestFact]) -> None:
        """Facts arrive in the ledger."""
        self._written += 1
        self.ledger.append_requests(facts, source="test", version=self._written)

    def use(self, limit: Limit, amount: str, *, subject: str = "", doubt: str = "0", held: str = "0") -> None:
        """A worker settles an amount, of which some is in doubt, and holds some more."""

        def pieces(text: str) -> int:
            return counted(Decimal(text)) if limit.measure is Measure.COST else int(text)

        self._turns += 1
        span = limit.opened(self.clock())
        pot = (limit.id, subject, span.start or FOREVER)
        spent, keep = pieces(amount), pieces(held)
        ask = Slice(turn=1, pot=pot, ends=span.end, want=spent + keep)
        holder = f"worker-{self._turns}"
        self.store.leases.exchange(Message(holder=holder, number=1, slices=(ask,)), self.clock())
        told = Slice(turn=1, pot=pot, ends=span.end, spent=spent, doubt=pieces(doubt), keep=keep)
        self.store.leases.exchange(Message(holder=holder, number=2, slices=(told,)), self.clock())

    def desk(self, gate=None, reckoning: Reckoning | None = None, **rest) -> BudgetDesk:
        """What the API and the command line ask. The ledger's answers are fresh for each desk."""
        gate = gate or OpenGate(doers(self.store), self.clock)
        return BudgetDesk(self.store, reckoning or Reckoning(self.ledger), gate, clock=self.clock, **rest)
