"""Joins what the control process does about limits: seed, watch, tell, show."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from farthing.app.alerts import CARRY_SECONDS, WATCH_SECONDS, Carrier, Teller, Watch
from farthing.app.budgets import BudgetDesk
from farthing.app.chores import Chore
from farthing.app.courier import AppriseCourier
from farthing.app.governing import dashboard_url
from farthing.app.local import Local
from farthing.app.reckoning import Facts, Reckoning
from farthing.app.seeding import SEED_SECONDS, Seeder
from farthing.governance.alerts import TargetSettings
from farthing.governance.gate import Gate
from farthing.web.views import Check

if TYPE_CHECKING:
    from farthing.state.store import Store


class Budgeting:
    """The parts, over one state store and one ledger. ``local`` is the installation as its settings say now."""

    def __init__(self, local: Callable[[], Local], store: "Store", facts: Facts) -> None:
        self._local = local
        self._store = store
        self._reckoning = Reckoning(facts)
        clock = local().now
        teller = Teller(store.notices, self._targets, clock)
        self._seeder = Seeder(store, self._reckoning, clock)
        self._watch = Watch(store, self._reckoning, teller, clock)
        self._carrier = Carrier(
            store.notices,
            AppriseCourier(),
            targets=self._targets,
            dashboard=lambda: dashboard_url(self._local()),
            secret=lambda ref: self._local().secret(ref, store),
            clock=clock,
        )

    def chores(self) -> tuple[Chore, ...]:
        """What to repeat."""
        state, targets = "Check state.url and its server", "Run farthing alerts test"
        return (
            Chore(name="seeding", every=SEED_SECONDS, work=self._seeder.work, remedy=state),
            Chore(name="limits", every=WATCH_SECONDS, work=self._watch.work, remedy=state),
            Chore(name="notices", every=CARRY_SECONDS, work=self._carrier.work, remedy=targets),
        )

    def checks(self) -> tuple[Check, ...]:
        """Whether what is to be told arrives."""
        return (self._carrier.check(),)

    def desk(self, gate: Gate) -> BudgetDesk:
        """Limits for the API, changed through this gate."""
        return BudgetDesk(
            self._store,
            self._reckoning,
            gate,
            clock=self._local().now,
            zone=lambda: self._local().settings.web.zone,
            targets=self._targets,
        )

    def _targets(self) -> tuple[TargetSettings, ...]:
        return self._local().settings.alerts.targets


__all__ = ["Budgeting"]
