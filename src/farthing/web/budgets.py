"""The endpoints of budgets and quotas, and of the notices about them."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody, PathParameter
from litestar.response import Stream

from farthing.core.errors import InputError
from farthing.core.money import decimal_of
from farthing.core.time import Window
from farthing.web.limits import (
    BudgetDetail,
    BudgetsAnswer,
    BudgetView,
    LimitChange,
    LimitDraft,
    LimitView,
    NoticesAnswer,
    PotView,
)
from farthing.web.problems import documented
from farthing.web.questions import Limit, clean, texts
from farthing.web.services import Using
from farthing.web.table import CSV, csv_line, csv_stream
from farthing.web.who import Asker

Id = Annotated[str, PathParameter(min_length=1, max_length=200)]


@get("/budgets", summary="All limits and how they stand", sync_to_thread=True, responses=documented(403))
def read_budgets(services: Using, who: Asker) -> BudgetsAnswer:
    who.must("read")
    return services.budgets.all(who)


@get(
    "/budgets.csv",
    summary="All limits and how they stand, as CSV",
    sync_to_thread=True,
    responses={**documented(403), **CSV},
)
def read_budgets_csv(services: Using, who: Asker) -> Stream:
    who.must("read")
    return csv_stream(_lines(services.budgets.all(who)), "budgets")


@get("/budgets/{id:str}", summary="One limit, by id or name", sync_to_thread=True, responses=documented(403, 404))
def read_budget(services: Using, who: Asker, id: Id) -> BudgetDetail:
    who.must("read")
    return services.budgets.one(who, clean(id, "id"))


@post("/budgets", summary="Make a limit", sync_to_thread=True, responses=documented(403, 409))
def create_budget(services: Using, who: Asker, data: JSONBody[LimitDraft]) -> LimitView:
    who.must("limit.write")
    return services.budgets.create(who, _fields(data))


@patch("/budgets/{id:str}", summary="Change a limit", sync_to_thread=True, responses=documented(403, 404, 409))
def change_budget(services: Using, who: Asker, id: Id, data: JSONBody[LimitChange]) -> LimitView:
    who.must("limit.write")
    fields = _fields(data)
    if not fields:
        raise InputError("nothing is to be changed", field="body", value="{}", remedy="Name a field, such as amount")
    return services.budgets.change(who, clean(id, "id"), fields)


@delete("/budgets/{id:str}", summary="End a limit", sync_to_thread=True, responses=documented(403, 404, 409))
def remove_budget(services: Using, who: Asker, id: Id) -> None:
    who.must("limit.write")
    services.budgets.remove(who, clean(id, "id"))


@get("/notices", summary="Who was told what, and whether it arrived", sync_to_thread=True, responses=documented(403))
def read_notices(services: Using, who: Asker, limit: Limit = 100) -> NoticesAnswer:
    who.must("read")
    return services.budgets.notices(who, limit=limit)


ROUTES = (
    read_budgets, read_budgets_csv, read_budget, create_budget, change_budget, remove_budget, read_notices,
)  # fmt: skip


def _fields(draft: LimitDraft | LimitChange) -> dict[str, Any]:
    """What a body says, as fields of a limit: checked text, an exact amount, no absent fields."""
    for field, text in texts(draft):
        clean(text, field)
    fields = {name: value for name, value in msgspec.structs.asdict(draft).items() if value is not None}
    fields |= {name: convert(fields[name]) for name, convert in _FROZEN.items() if name in fields}
    if "amount" in fields:
        fields["amount"] = decimal_of(fields["amount"], field="amount")
    if isinstance(draft, LimitDraft):
        for name, value in draft.scope.items():
            clean(name, "scope")
            clean(value, f"scope.{name}")
        fields["window"] = Window(start=draft.window.start, end=draft.window.end)
        if not draft.zone:
            del fields["zone"]
    return fields


_FROZEN = {"warn_at": tuple[int, ...], "unpriced": frozenset[str]}

_COLUMNS = (
    "limit", "name", "measure", "unit", "per", "rolling", "hard", "scope", "subject", "start", "end", "status",
    "amount", "used", "doubt", "seeded", "held", "left", "percent", "elapsed", "forecast_low", "forecast",
    "forecast_high", "exhausted", "ledger", "drift", "refused",
)  # fmt: skip


def _lines(answer: BudgetsAnswer) -> Iterator[bytes]:
    yield csv_line(_COLUMNS)
    for row in answer.rows:
        for pot in row.pots:
            yield csv_line(_cells(row, pot))


def _cells(row: BudgetView, pot: PotView) -> Sequence[object]:
    limit, forecast, ledger = row.limit, pot.forecast, pot.ledger
    ends = (forecast.low, forecast.mid, forecast.high) if forecast else (None, None, None)
    said = (ledger.amount, ledger.drift) if ledger else (None, None)
    return (
        limit.id, limit.name, limit.measure.value, row.unit, limit.per.value, limit.rolling, limit.hard,
        _pairs(limit.scope), _pairs(pot.subject), pot.window.start, pot.window.end, pot.status, pot.amount,
        pot.used, pot.doubt, pot.seeded, pot.held, pot.left, pot.percent, pot.elapsed, *ends,
        pot.exhausted, *said, pot.refused,
    )  # fmt: skip


def _pairs(of: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in of.items())
