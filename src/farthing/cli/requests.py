"""``farthing requests``: list requests, and show one with its cost line by line."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from farthing.cli._output import OK, Column, Out
from farthing.cli._window import filters, window_of
from farthing.core.facts import RequestFact
from farthing.ledger.questions import RequestRow, RequestsQuestion

app = App(name="requests", help="List requests, and show one with its cost line by line.")

_COLUMNS = (
    Column("at"),
    Column("request_id", "request"),
    Column("team"),
    Column("feature"),
    Column("requested_model", "asked for"),
    Column("offer", "served by"),
    Column("status"),
    Column("input_tokens", "input"),
    Column("cache_read_tokens", "cached"),
    Column("output_tokens", "output"),
    Column("total_ms", "ms"),
    Column("cost"),
    Column("unpriced", style="yellow"),
)


@app.default
def requests(
    *,
    last: str = "24h",
    from_: Annotated[str, Parameter(name="--from")] = "",
    to: str = "",
    all: bool = False,
    where: list[str] | None = None,
    search: str = "",
    order: Literal["newest", "cost", "latency"] = "newest",
    limit: int = 50,
    after: str = "",
    zone: str = "",
    home: Path | None = None,
    out: Out,
) -> int:
    """List requests. The total is over all that match, not over the page.

    Args:
        last: Window that ends now: 30m, 24h, 7d.
        from_: Start of the window instead: a date or an instant.
        to: End of the window, not included.
        all: Everything in the ledger.
        where: Keep only rows with this value, dimension=value; may be repeated.
        search: Text in request id, model, feature or error.
        order: newest, cost or latency first.
        limit: Rows of a page.
        after: Where the page before ended.
        zone: Time zone that days begin in; default: the configured one.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.local import Local

    local = Local.open(home=home)
    days = zone or local.settings.web.zone
    window = window_of(last=last, start=from_, end=to, everything=all, zone=days, now=local.now())
    question = RequestsQuestion(
        window=window, where=filters(where or []), search=search, order=order, limit=limit, after=after
    )
    answer = local.ledger().requests(question)
    total = {
        "cost": answer.total.cost,
        "request_id": f"{answer.matching:,} match" if out.format in ("table", "md") else "",
        "input_tokens": answer.total.input_tokens,
        "cache_read_tokens": answer.total.cache_read_tokens,
        "output_tokens": answer.total.output_tokens,
    }
    about = {"matching": answer.matching, "next": answer.next, "through": answer.through}
    out.table(_COLUMNS, [_flat(row) for row in answer.rows], total=total, about=about, empty="No request matches.")
    if answer.next:
        out.next(f"farthing requests --after {answer.next}", "the next page")
    elif answer.rows:
        out.next(f"farthing requests show {answer.rows[0].request_id}", "one request, line by line")
    return OK


@app.command
def show(request_id: str, *, home: Path | None = None, out: Out) -> int:
    """Show one request: its attempts, its cost line by line, and why it was served where it was.

    Args:
        request_id: The id of the ``x-farthing-request-id`` header.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.local import Local

    facts = Local.open(home=home).ledger().request(request_id)
    if out.format in ("json", "jsonl"):
        out.record({"request_id": request_id, "attempts": [_plain(f) for f in facts]})
        return OK
    for fact in facts:
        _describe(fact, out)
    return OK


def _describe(fact: RequestFact, out: Any) -> None:
    """One attempt for people: what it was, the formula of its cost, the decision."""
    columns = ("unit", "quantity", "rate", "per", "amount")
    shown = {
        "attempt": fact.attempt,
        "at": fact.at,
        "status": f"{fact.status} {fact.http_status or ''} {fact.error_kind} {fact.error}".strip(),
        "asked for": fact.requested_model,
        "served by": fact.offer or "nobody",
        "team": fact.scope.team or "unallocated",
        "feature": fact.scope.feature or "unallocated",
        "ms": fact.total_ms,
        "first byte ms": fact.ttft_ms,
        "cost": fact.cost if fact.cost is not None else f"unpriced: {fact.unpriced}",
        "cost from": fact.cost_source,
        "baseline": fact.baseline_cost,
    }
    out.record(shown)
    if fact.lines:
        out.table(columns, [dict(zip(columns, line, strict=True)) for line in fact.lines], total={"amount": fact.cost})
    if fact.decision:
        decision = msgspec.json.decode(fact.decision)
        out.note(f"route: {decision.get('chosen', '')}: {decision.get('reason', '')}")
        for loser in decision.get("rejected", []):
            out.note(f"  not {loser['offer']} ({loser['stage']}): {loser['reason']}")


def _flat(row: RequestRow) -> dict[str, Any]:
    flat = msgspec.structs.asdict(row)
    scope = flat.pop("scope")
    return {**flat, "team": scope.team or "unallocated", "feature": scope.feature or "unallocated"}


def _plain(fact: RequestFact) -> dict[str, Any]:
    plain = msgspec.structs.asdict(fact)
    plain["decision"] = msgspec.json.decode(fact.decision) if fact.decision else None
    return plain
