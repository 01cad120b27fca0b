"""Limits, people and a question for the demo: what a company has that looks after its spend."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from farthing.app.budgets import BudgetDesk
from farthing.app.governing import local_gate
from farthing.app.local import Local
from farthing.app.people import who_is
from farthing.app.reckoning import Reckoning
from farthing.core.limits import Limit
from farthing.core.nouns import Scope
from farthing.core.time import Window
from farthing.demo.limits import limits_of
from farthing.governance.gate import ApprovalNeededError
from farthing.governance.roles import Role
from farthing.ledger.questions import SpendQuestion
from farthing.ledger.store import Ledger

WANTED = Decimal(2500)
"""Dollars a month that somebody asks for, so that there is something to agree to."""

_DAYS = 7
_DAY = 86_400


def govern(local: Local, *, shared_key: str) -> None:
    """Set limits sized by the past week, let two people in, and let one of them ask for more than she may have."""
    change = local.by("demo")
    ledger = local.ledger()
    with local.store() as store:
        for limit in _sized(ledger, local.now(), shared_key):
            store.limits.create(change, limit)
        store.people.create(change, email="fay@demo.example", name="Fay", role=Role.FINANCE)
        mia = store.people.create(
            change, email="mia@demo.example", name="Mia", role=Role.ENGINEER, scope=Scope(team="support")
        )
        gate = local_gate(local, store)
        desk = BudgetDesk(store, Reckoning(ledger), gate, clock=local.now)
        try:
            desk.change(who_is(mia), "support", {"amount": WANTED})
        except ApprovalNeededError:
            return


def _sized(ledger: Ledger, now: datetime, shared_key: str) -> tuple[Limit, ...]:
    """The company's limits, by what it spent this month and in the past week."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (month + timedelta(days=31)).replace(day=1)
    week = _by_team(ledger, Window(start=now - timedelta(days=_DAYS), end=now))
    return limits_of(
        _by_team(ledger, Window(start=month, end=now)),
        {team: cost / _DAYS for team, cost in week.items()},
        days_left=Decimal((following - now).total_seconds()) / _DAY,
        key=shared_key,
    )


def _by_team(ledger: Ledger, window: Window) -> Mapping[str, Decimal]:
    """Dollars by team."""
    question = SpendQuestion(window=window, by=("team",), where={"origin": ("gateway",)})
    return {row.keys["team"]: row.cost for row in ledger.spend(question).rows}
