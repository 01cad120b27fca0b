"""``farthing budget``: limits on money, requests and tokens, and how they stand."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from farthing.app.local import Local
from farthing.cli._budget import COLUMNS, MACHINE, amount, burn, rows, scope, short
from farthing.cli._output import OK, THRESHOLD, Column, Out
from farthing.core.errors import ConflictError, InputError, NotFoundError
from farthing.core.limits import Limit, Measure, Span
from farthing.core.time import Window, parse_instant

if TYPE_CHECKING:
    from farthing.app.budgets import BudgetDesk
    from farthing.governance.roles import Who
    from farthing.web.limits import BudgetDetail, LimitView

app = App(name="budget", help="Limit money, requests and tokens, and see how the limits stand.")

_IDENTITY = ("measure", "per", "scope", "rolling", "zone", "window")


@app.command(name="list")
def list_budgets(*, fail_over: bool = False, home: Path | None = None, out: Out) -> int:
    """List all limits, the worst first: used, an even pace (│), forecast with its 80 % range, when it begins anew.

    Args:
        fail_over: Exit with 1 when a limit is used up.
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    with _desk(home) as (desk, who, _):
        answer = desk.all(who)
    people = out.format in ("table", "md")
    about = {"now": answer.now, "through": answer.through}
    found = rows(answer.rows, people=people)
    out.table(COLUMNS if people else MACHINE, found, about=about, empty="No limits.")
    if not answer.rows:
        out.next("farthing budget set search --team search --amount 500", "500 dollars a month for a team")
    over = [row.limit.name for row in answer.rows if row.status == "over"]
    if over:
        out.warn(f"used up: {', '.join(over)}")
    return THRESHOLD if fail_over and over else OK


@app.command
def show(name: str, *, fail_over: bool = False, home: Path | None = None, out: Out) -> int:
    """Show one limit: its burn-up with the forecast, and who and what used it.

    Args:
        name: Its name or id.
        fail_over: Exit with 1 when it is used up.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    with _desk(home) as (desk, who, _):
        detail = desk.one(who, name)
    if out.format == "json":
        out.record(detail)
    elif out.format in ("jsonl", "csv"):
        out.table(["until", "used", "total", "even", "expected", "low", "high"], burn(detail), empty=_note(detail))
    else:
        _tell(detail, out)
    return THRESHOLD if fail_over and detail.budget.status == "over" else OK


@app.command(name="set")
def set_budget(
    name: str,
    *,
    amount_: Annotated[str, Parameter(name="--amount")] = "",
    per: Span | None = None,
    measure: Measure | None = None,
    org: str = "",
    team: str = "",
    project: str = "",
    environment: str = "",
    feature: str = "",
    customer: str = "",
    user: str = "",
    key: str = "",
    model: str = "",
    category: str = "",
    soft: Annotated[bool | None, Parameter(negative="--hard")] = None,
    rolling: bool = False,
    zone: str = "",
    from_: Annotated[str, Parameter(name="--from")] = "",
    to: str = "",
    cap_output: bool | None = None,
    unpriced: list[str] | None = None,
    warn: str = "",
    warn_day: int | None = None,
    home: Path | None = None,
    out: Out,
) -> None:
    """Make a limit, or change the one of that name. Workers follow within a second.

    Args:
        name: What people call it.
        amount_: Dollars, or requests or tokens: 500, 12.50, 10k, 2m.
        per: minute, hour, day, week, month (default), quarter, year or once.
        measure: cost (default), requests, tokens, or parallel: requests under way at once.
        org: Who it is about; "each" gives every organization an amount of its own …
        team: … team …
        project: … project …
        environment: … environment …
        feature: … feature …
        customer: … customer …
        user: … person …
        key: … key, by its name in the ledger …
        model: … model, by the name that clients ask for …
        category: … category: training, inference, research, maintenance, or one of your own.
        soft: Only count and warn; --hard refuses what does not fit, which is the default.
        rolling: At no time more than the amount within the last span, instead of per calendar span.
        zone: Time zone in which spans begin; default: the configured one.
        from_: For --per once: from this date or instant on …
        to: … until that one, not included.
        cap_output: Shorten an answer to what is left before refusing it; on by default.
        unpriced: A model that may be asked although its price is not known; repeat for several.
        warn: Percent of the amount at which somebody is told, separated by commas; default 50,80,90,100.
        warn_day: Percent of an even day's share at which somebody is told; default 80.
        home: Data folder; default: the configured one.
        out: Where the limit goes.
    """
    about = scope({
        "org": org, "team": team, "project": project, "environment": environment, "feature": feature,
        "customer": customer, "user": user, "key": key, "model": model, "category": category,
    })  # fmt: skip
    given: dict[str, Any] = {
        "amount": amount(amount_) if amount_ else None,
        "measure": measure,
        "per": per or (Span.ONCE if measure is Measure.PARALLEL or from_ or to else None),
        "scope": about or None,
        "hard": None if soft is None else not soft,
        "rolling": rolling or None,
        "zone": zone or None,
        "window": _window(from_, to) if from_ or to else None,
        "cap_output": cap_output,
        "unpriced": None if unpriced is None else frozenset(unpriced),
        "warn_at": _percents(warn) if warn else None,
        "warn_day_at": warn_day,
    }
    fields = {field: value for field, value in given.items() if value is not None}
    with _desk(home) as (desk, who, local):
        made = _made(desk, who, name, fields)
        _show_limit(made, local, out)


@app.command
def remove(name: str, *, home: Path | None = None, out: Out) -> None:
    """End a limit. What it counted is kept.

    Args:
        name: Its name or id.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    with _desk(home) as (desk, who, local):
        gone = desk.one(who, name).budget.limit
        desk.remove(who, gone.id)
        in_force = local.published(lambda world: all(limit.id != gone.id for limit in world.limits))
    out.record(_plain(gone))
    out.note(
        f"Limit {gone.name} is removed." if in_force else f"Limit {gone.name} is removed; workers learn of it soon."
    )


@app.command
def split(
    *,
    monthly: str,
    training: int = 30,
    inference: int = 45,
    research: int = 15,
    maintenance: int = 10,
    hard: bool = False,
    apply: bool = False,
    home: Path | None = None,
    out: Out,
) -> None:
    """Split a monthly total by category, after a rule of thumb of early 2026, and make it limits with --apply.

    Args:
        monthly: The total in dollars: 10000, 12.5k.
        training: Percent for training.
        inference: Percent for inference; what a request says nothing else of.
        research: Percent for research.
        maintenance: Percent for maintenance.
        hard: Refuse what does not fit; by default the limits only warn.
        apply: Make the limits. Those of the same names stay as they are.
        home: Data folder; default: the configured one.
        out: Where the split goes.
    """
    from farthing.governance.profiles import split_limits

    shares = {"training": training, "inference": inference, "research": research, "maintenance": maintenance}
    total = amount(monthly, "--monthly")
    with _desk(home) as (desk, who, local):
        limits = split_limits(total, shares, hard=hard, zone=local.settings.web.zone)
        own = {row.limit.name for row in desk.all(who).rows} if apply else set[str]()
        for limit in limits:
            if apply and limit.name not in own:
                _made(desk, who, limit.name, {f: getattr(limit, f) for f in ("amount", "scope", "hard", "zone")})
    found = [
        {"category": limit.name, "percent": shares[limit.name], "amount": limit.amount, "currency": "USD"}
        for limit in limits
    ]  # fmt: skip
    out.table(["category", "percent", "amount", "currency"], found, total={"percent": 100, "amount": total})
    for name in own & set(shares):
        out.note(f"Limit {name} existed and stays as it is.")
    if not apply:
        out.next(f"farthing budget split --monthly {monthly} --apply", "make these limits")


@contextmanager
def _desk(home: Path | None) -> "Generator[tuple[BudgetDesk, Who, Local]]":
    """The limits of the installation here. Whoever can write its state store is its admin."""
    from farthing.app.budgets import BudgetDesk, OpenGate, doers, local_admin
    from farthing.app.reckoning import Reckoning

    local = Local.open(home=home)
    with local.store() as store:
        ledger = local.ledger()
        try:
            gate = OpenGate(doers(store), local.now)
            desk = BudgetDesk(
                store, Reckoning(ledger), gate, clock=local.now, zone=lambda: local.settings.web.zone
            )  # fmt: skip
            yield desk, local_admin(local.by().actor), local
        finally:
            ledger.close()


def _made(desk: "BudgetDesk", who: "Who", name: str, fields: dict[str, Any]) -> "LimitView":
    """The limit of that name, made or changed. Raises ``ConflictError`` for what would make it another limit."""
    try:
        old = desk.one(who, name).budget.limit
    except NotFoundError:
        if "amount" not in fields:
            raise InputError("a new limit needs an amount", field="--amount", value="", remedy="--amount 500") from None
        return desk.create(who, {"name": name, "measure": Measure.COST, "per": Span.MONTH, **fields})
    other = [field for field in _IDENTITY if field in fields and fields[field] != getattr(old, field)]
    if other:
        raise ConflictError(
            f"Limit {old.name} has another {' and '.join(other)}; with these it would be another limit",
            remedy=f"Choose another name, or first: farthing budget remove {old.name}",
        )
    return desk.change(who, old.id, {field: value for field, value in fields.items() if field not in _IDENTITY})


def _show_limit(made: "LimitView", local: Local, out: Out) -> None:
    out.record(_plain(made))
    wanted = msgspec.convert(_plain(made), Limit, strict=False)
    if local.published(lambda world: any(limit == wanted for limit in world.limits)):
        out.note(f"Limit {made.name} is in force.")
    else:
        out.warn("the gateway does not know it yet; it will within seconds")
    out.next(f"farthing budget show {made.id}", "how it stands")


def _plain(limit: "LimitView") -> dict[str, Any]:
    return msgspec.to_builtins(limit)


def _tell(detail: "BudgetDetail", out: Out) -> None:
    out.table(COLUMNS, rows([detail.budget], people=True))
    course = [
        {name: short(value) if name != "until" else value for name, value in row.items()} for row in burn(detail)
    ]  # fmt: skip
    if course:
        out.text("")
        headings = [Column("total", "in all"), Column("even", "even pace"), "expected", "low", "high"]
        out.table(["until", "used", *headings], course)
    for part in detail.breakdowns:
        out.text("")
        found = [{part.by: row.key or "unallocated", "amount": short(row.amount), "requests": row.requests,
                  "percent": row.percent} for row in part.rows]  # fmt: skip
        out.table([part.by, "amount", "requests", Column("percent", "%")], found)
    out.note(_note(detail))
    for pot in detail.budget.pots[:1]:
        if pot.ledger is not None and pot.ledger.reconciled is False:
            out.warn(f"counted {pot.ledger.drift:f} {detail.budget.unit} more than the ledger has of the same span")


def _note(detail: "BudgetDetail") -> str:
    for pot in detail.budget.pots[:1]:
        if pot.forecast is not None:
            return f"Forecast: {pot.forecast.method} of {pot.forecast.observed}, 80 % range."
        return f"{pot.note}."
    return "Nobody used it in this span."


def _window(start: str, end: str) -> Window:
    return Window(
        start=parse_instant(start, field="--from") if start else None,
        end=parse_instant(end, field="--to") if end else None,
    )


def _percents(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.replace("%", "").split(","))
    except ValueError:
        raise InputError("not percentages", field="--warn", value=text, remedy="Write --warn 50,80,90,100") from None
