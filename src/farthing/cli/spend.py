"""``farthing spend``: what was spent, by anything."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from farthing.cli._output import OK, Column, Out
from farthing.cli._window import filters, window_of
from farthing.ledger.questions import Basis, Grain, SpendAnswer, SpendQuestion, SpendRow

app = App(name="spend", help="Sum what was spent, by anything.")

_COUNTS = ("requests", "errors", "charges", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
           "reasoning_tokens")  # fmt: skip

_UNPRICED = "farthing requests --where cost_source=none"


@app.default
def spend(
    *,
    by: str = "provider",
    grain: Grain = "none",
    last: str = "30d",
    from_: Annotated[str, Parameter(name="--from")] = "",
    to: str = "",
    all: bool = False,
    where: list[str] | None = None,
    basis: Basis = "effective",
    compare: bool = False,
    limit: int = 0,
    zone: str = "",
    home: Path | None = None,
    out: Out,
) -> int:
    """Sum costs of requests and bills. The total is the ledger's, to twelve decimals.

    Args:
        by: Dimensions to group by, separated by commas: team, model, feature, service, accelerator, tag:NAME …
            Empty: only the total.
        grain: Also group by time: hour, day, week or month.
        last: Window that ends now: 24h, 7d, 4w.
        from_: Start of the window instead: a date or an instant.
        to: End of the window, not included.
        all: Everything in the ledger.
        where: Keep only rows with this value, dimension=value; may be repeated.
        basis: FOCUS cost basis of bills: effective, billed, list or contracted.
        compare: Show the window of the same length before.
        limit: Show so many groups and fold the rest into "other".
        zone: Time zone that days begin in; default: the configured one.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.local import Local

    local = Local.open(home=home)
    at = zone or local.settings.web.zone
    question = SpendQuestion(
        window=window_of(last=last, start=from_, end=to, everything=all, zone=at, now=local.now()),
        by=tuple(name.strip() for name in by.split(",") if name.strip()),
        grain=grain,
        where=filters(where or []),
        basis=basis,
        zone=at,
        compare=compare,
        limit=limit,
    )
    _show(local.ledger().spend(question), out)
    return OK


def _show(answer: SpendAnswer, out: Any) -> None:
    rows = [_flat(row, answer) for row in answer.rows]
    total = _flat(answer.total, answer)
    columns = [
        Column(name) for name in (*(["at"] if answer.question.grain != "none" else []), *answer.question.by, "cost")
    ]
    if answer.question.compare:
        columns += [Column("previous_cost"), Column("change_pct", "change %")]
    if answer.total.saved:
        columns += [Column("baseline_cost"), Column("saved")]
    columns += [Column(name) for name in _COUNTS if total[name] or name == "requests"]
    if answer.total.unpriced_requests:
        columns.append(Column("unpriced_requests", "unpriced", style="yellow"))
    about = {
        "currency": answer.currency,
        "basis": answer.question.basis,
        "zone": answer.question.zone,
        "from": answer.question.window.start,
        "to": answer.question.window.end,
        "through": answer.through,
        "other_currencies": answer.other_currencies,
    }
    out.table(columns, rows, total=total, about=about, empty="No facts in this window.")
    if answer.total.unpriced_requests:
        count = answer.total.unpriced_requests
        out.warn(f"{count:,} requests have no known cost and are not in the total: {_UNPRICED}")
    for currency, amount in answer.other_currencies.items():
        out.warn(f"{amount:f} {currency} is not in the total: sums are per currency")
    if answer.empty:
        out.next("farthing spend --all", "look at everything there is")


def _flat(row: SpendRow, answer: SpendAnswer) -> dict[str, Any]:
    flat: dict[str, Any] = {name: row.keys.get(name) or "unallocated" for name in answer.question.by if row.keys}
    if row.at is not None:
        flat["at"] = row.at
    flat["cost"] = row.cost
    if row.previous_cost is not None:
        flat["previous_cost"] = row.previous_cost
        change = (row.cost - row.previous_cost) / row.previous_cost * 100 if row.previous_cost else None
        flat["change_pct"] = None if change is None else round(float(change), 1)
    flat |= {"baseline_cost": row.baseline_cost, "saved": row.saved}
    return flat | {name: getattr(row, name) for name in (*_COUNTS, "unpriced_requests")}
