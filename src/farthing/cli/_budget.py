"""Limits as rows and bars, and amounts as people write them."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from farthing.cli._output import Column
from farthing.core.errors import InputError
from farthing.core.limits import EACH
from farthing.core.money import decimal_of
from farthing.web.limits import BudgetDetail, BudgetView, PotView

BAR = 20
"""Letters of a burn bar."""

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LARGE = {"": 1, "k": 1_000, "m": 1_000_000}
_AMOUNT = re.compile(r"\$?([0-9][0-9,_]*(?:\.[0-9]+)?)([km]?)", re.IGNORECASE)

COLUMNS = (
    "name", "who", Column("amount", style="bold"), "unit", "per", "used", "held", "left", Column("percent", "%"),
    Column("bar", "used, and even pace"), "status", "forecast", "resets", "refused",
)  # fmt: skip
MACHINE = (
    "id", "name", "scope", "subject", "measure", "amount", "unit", "per", "rolling", "hard", "starts", "resets", "used",
    "doubt", "seeded", "held", "left", "percent", "elapsed", "status", "forecast_low", "forecast", "forecast_high",
    "exhausted", "ledger", "drift", "refused",
)  # fmt: skip


def amount(text: str, field: str = "--amount") -> Decimal:
    """An amount such as ``500``, ``$1,200.50``, ``10k`` or ``2m``. Raises ``InputError``."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise InputError("not an amount", field=field, value=text, remedy="Write it like 500, 12.50 or 10k")
    return decimal_of(re.sub("[,_]", "", match[1]), field=field) * _LARGE[match[2].lower()]


def scope(given: Mapping[str, str]) -> dict[str, str]:
    """A limit's scope of options: those that were given, with ``each`` for ``*``."""
    return {name: EACH if value in ("each", EACH) else value for name, value in given.items() if value}


def bar(pot: PotView) -> str:
    """How much is used, with a mark where an even pace would be."""
    filled = min(max(float(pot.percent) / 100, 0.0), 1.0) * BAR
    whole = int(filled)
    drawn = list(("█" * whole + _EIGHTHS[int((filled - whole) * 8)]).ljust(BAR)[:BAR])
    if pot.elapsed is not None:
        drawn[min(int(float(pot.elapsed) / 100 * BAR), BAR - 1)] = "│"
    return f"▕{''.join(drawn)}▏"


def rows(budgets: Iterable[BudgetView], *, people: bool) -> list[dict[str, Any]]:
    """A row for each pot; one for a limit without any. ``people`` get rounded figures and a bar."""
    return [_row(budget, pot, people=people) for budget in budgets for pot in (budget.pots or (None,))]


def burn(detail: BudgetDetail) -> list[dict[str, Any]]:
    """The burn-up of the fullest pot, and where it goes."""
    if not detail.budget.pots:
        return []
    pot, found, before = detail.budget.pots[0], list[dict[str, Any]](), Decimal(0)
    for point in pot.points[1:]:
        found.append({"until": point.at, "used": point.used - before, "total": point.used, "even": point.even})
        before = point.used
    ahead = pot.forecast.path if pot.forecast else ()
    return found + [{"until": at.at, "expected": at.mid, "low": at.low, "high": at.high} for at in ahead]


def _row(budget: BudgetView, pot: PotView | None, *, people: bool) -> dict[str, Any]:
    limit = budget.limit
    row: dict[str, Any] = {
        "id": limit.id, "name": limit.name, "scope": limit.scope, "measure": limit.measure, "amount": limit.amount,
        "unit": budget.unit, "per": limit.per, "rolling": limit.rolling, "hard": limit.hard,
    }  # fmt: skip
    if pot is None:
        return {**row, "who": _who(limit.scope, {}), "status": budget.status, "bar": ""}
    ledger, forecast = pot.ledger, pot.forecast
    row |= {
        "subject": pot.subject, "starts": pot.window.start, "resets": pot.window.end, "used": pot.used,
        "doubt": pot.doubt, "seeded": pot.seeded, "held": pot.held, "left": pot.left, "percent": pot.percent,
        "elapsed": pot.elapsed, "status": pot.status, "exhausted": pot.exhausted, "refused": pot.refused,
        "forecast": forecast.mid if forecast else None, "forecast_low": forecast.low if forecast else None,
        "forecast_high": forecast.high if forecast else None, "ledger": ledger.amount if ledger else None,
        "drift": ledger.drift if ledger else None,
    }  # fmt: skip
    return row if not people else {**row, **_for_people(budget, pot)}


def _for_people(budget: BudgetView, pot: PotView) -> dict[str, Any]:
    limit, forecast = budget.limit, pot.forecast
    rounded = {name: short(getattr(pot, name)) for name in ("used", "held", "left")}
    said = f"{short(forecast.mid):,f} ({short(forecast.low):,f} to {short(forecast.high):,f})" if forecast else ""
    return {
        **rounded,
        "who": _who(limit.scope, pot.subject),
        "per": f"{'any ' if limit.rolling else ''}{limit.per}{'' if limit.hard else ', soft'}",
        "bar": bar(pot),
        "forecast": said,
        "resets": None if limit.rolling else pot.window.end,
        "refused": pot.refused or None,
    }


def short(value: Decimal) -> Decimal:
    """An amount to the cent for people; tiny ones keep their digits."""
    return value.quantize(Decimal("0.01")) if abs(value) >= 1 or not value else value.normalize()


def _who(scope: Mapping[str, str], subject: Mapping[str, str]) -> str:
    named = {name: subject.get(name, "each" if value == EACH else value) for name, value in scope.items()}
    return " ".join(f"{name}={value}" for name, value in named.items()) or "everybody"
