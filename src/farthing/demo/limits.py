"""Limits of the demo's company, sized by what it spends, so that its dashboard shows one in every state."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from farthing.core.limits import EACH, Limit, Measure, Span

_DAYS = Decimal("30.4")
_CENT = Decimal("0.01")
_NONE = Decimal(0)

SCRIPT = Decimal("0.0005")
"""Dollars an hour for what nobody answers for: a handful of short questions, so that a visitor sees it refuse."""


def limits_of(
    spent: Mapping[str, Decimal], daily: Mapping[str, Decimal], *, days_left: Decimal, key: str
) -> tuple[Limit, ...]:
    """Budgets and quotas. ``spent``: dollars of this month by team, ``daily``: dollars a day, ``key``: the id of the
    key that everybody shares.

    Support will run out before the ``days_left`` are over, code just so, and the company will not.
    """
    rest = {team: cost * days_left for team, cost in daily.items()}

    def budget(team: str, generous: str) -> Decimal:
        return spent.get(team, _NONE) + rest.get(team, _NONE) * Decimal(generous)

    company = sum(daily.values(), _NONE) * _DAYS
    customers = daily.get("support", _NONE) / 2
    return (
        _budget("company", company * Decimal("1.3"), {"org": "demo"}),
        _budget("support", budget("support", "0.7"), {"team": "support"}),
        _budget("code", budget("code", "1.1"), {"team": "code"}, hard=False),
        _budget("each-customer-a-day", customers, {"team": "support", "customer": EACH}, per=Span.DAY),
        _budget("shared-script", SCRIPT, {"key": key}, per=Span.HOUR, grid=SCRIPT),
        Limit(
            id="", name="each-key-requests", measure=Measure.REQUESTS, amount=Decimal(600), per=Span.MINUTE,
            scope={"key": EACH}, rolling=True,
        ),
    )  # fmt: skip


def _budget(
    name: str,
    amount: Decimal,
    scope: Mapping[str, str],
    *,
    per: Span = Span.MONTH,
    hard: bool = True,
    grid: Decimal = _CENT,
) -> Limit:
    """Dollars, to the next cent and at least one of them."""
    amount = max(grid, amount.quantize(grid, ROUND_CEILING))
    return Limit(id="", name=name, measure=Measure.COST, amount=amount, per=per, scope=scope, hard=hard)
