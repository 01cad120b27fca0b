"""``farthing approval``: what waits for somebody's yes.

Whoever uses the command line on the machine that keeps the state store acts as an admin there, in the name of their
account. Where four eyes are needed, people vote in the dashboard, by their own login.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import App

from farthing.app.local import Local
from farthing.cli._output import Column, Out
from farthing.core.money import decimal_of
from farthing.core.nouns import Scope

if TYPE_CHECKING:
    from farthing.app.gate import ApprovalGate
    from farthing.governance.roles import Who
    from farthing.state.approvals import Approval
    from farthing.state.store import Store

app = App(name="approval", help="Ask for a yes, give one, and see what waits for one.")

_COLUMNS = (
    "id", Column("state", style="yellow"), "action", "summary", "amount", "category", Column("duties", "needs"),
    "agreed", "asked_by", "asked", "expires",
)  # fmt: skip
Word = Literal["pending", "approved", "running", "done", "failed", "denied", "expired", "withdrawn"]


@app.command(name="list")
def list_approvals(
    *, state: list[Word] | None = None, all: bool = False, limit: int = 50, home: Path | None = None, out: Out
) -> None:
    """List what waits: for votes, or to be collected.

    Args:
        state: Only in this state; may be repeated.
        all: What is over as well.
        limit: At most so many, the newest.
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    from farthing.state.approvals import OPEN, State

    local = Local.open(home=home)
    states: Iterable[State] = [State(word) for word in state or ()] or (() if all else OPEN)
    with local.store() as store:
        found = _gate(local, store).list(_who(local), states=states)[:limit]
    out.table(_COLUMNS, [_row(each) for each in found], empty="Nothing waits for anybody.")
    if found:
        out.next(f"farthing approval show {found[0].id}", "what it would change")


@app.command
def show(id: str, *, home: Path | None = None, out: Out) -> None:
    """Show one approval: what it would change, who said what, and what became of it.

    Args:
        id: The approval.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.web.approval_views import changes

    local = Local.open(home=home)
    with local.store() as store:
        gate = _gate(local, store)
        found = gate.get(_who(local), id)
    said = [f"{vote.name}: {vote.verdict} {vote.comment}".strip() for vote in found.votes]
    different = {change.field: f"{change.before or '–'} → {change.after or '–'}" for change in changes(found.payload)}
    more = {"reason": found.reason, "votes": said, "changes": different, "result": found.result}
    out.record({**_row(found), **more, "url": gate.address(id)})
    if found.state.value == "pending":
        out.next(f"farthing approval approve {id}", "or deny")


@app.command
def ask(
    *,
    amount: str,
    summary: str,
    action: Literal["spend", "plan"] = "spend",
    subject: str = "",
    category: str = "",
    org: str = "",
    team: str = "",
    project: str = "",
    home: Path | None = None,
    out: Out,
) -> None:
    """Ask for leave to spend something once, or to begin a plan. Nothing is spent by asking.

    Args:
        amount: Dollars; a month's where it recurs.
        summary: What it is for, as those who agree read it.
        action: spend or plan.
        subject: What later checks name it by; by default the summary.
        category: What it is for: training, inference, research, maintenance, hardware.
        org: Who pays: organization …
        team: … team …
        project: … project.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.governance.gate import Act

    local = Local.open(home=home)
    act = Act(
        name=action,
        subject=(subject or summary)[:200],
        summary=summary,
        payload={},
        scope=Scope(org=org, team=team, project=project),
        category=category,
        amount=decimal_of(amount, field="--amount"),
    )
    with local.store() as store:
        asked = _gate(local, store).ask(_who(local), act)
    _tell(asked, out)


@app.command
def approve(id: str, *, comment: str = "", home: Path | None = None, out: Out) -> None:
    """Say yes. With the last yes that is needed, what was asked happens.

    Args:
        id: The approval.
        comment: Why, for the record.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.state.approvals import Verdict

    local = Local.open(home=home)
    with local.store() as store:
        _tell(_gate(local, store).vote(_who(local), id, Verdict.APPROVE, comment), out)


@app.command
def deny(id: str, *, comment: str = "", home: Path | None = None, out: Out) -> None:
    """Say no. One no is enough.

    Args:
        id: The approval.
        comment: Why, for whoever asked.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.state.approvals import Verdict

    local = Local.open(home=home)
    with local.store() as store:
        _tell(_gate(local, store).vote(_who(local), id, Verdict.DENY, comment), out)


@app.command
def withdraw(id: str, *, home: Path | None = None, out: Out) -> None:
    """Take a question back, or leave that was given and not used.

    Args:
        id: The approval.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        _tell(_gate(local, store).withdraw(_who(local), id), out)


@app.command
def collect(id: str, *, home: Path | None = None, out: Out) -> None:
    """Have what you asked for done, and see its result once: a new key's token.

    Args:
        id: The approval.
        home: Data folder; default: the configured one.
        out: Where the result goes.
    """
    from farthing.web.views import KeyCreated

    local = Local.open(home=home)
    with local.store() as store:
        made: KeyCreated = _gate(local, store).collect(_who(local), id)
    if out.format in ("table", "md"):
        out.text(made.token)
    else:
        out.record({"token": made.token, "id": made.key.id, "name": made.key.name})
    out.note(f"Key {made.key.id} ({made.key.name or 'no name'}). This token is not shown again.")


def _gate(local: Local, store: "Store") -> "ApprovalGate":
    from farthing.app.governing import local_gate

    return local_gate(local, store)


def _who(local: Local) -> "Who":
    from farthing.app.budgets import local_admin

    return local_admin(local.by().actor)


def _tell(found: "Approval", out: Out) -> None:
    out.record(_row(found))
    if found.result and "problem" in found.result:
        out.warn(str(found.result["problem"]))
    if found.state.value == "pending":
        out.note(f"{found.reason}: it waits for {' or '.join(found.duties)}.")
        out.next(f"farthing approval show {found.id}", "who said what")


def _row(found: "Approval") -> dict[str, Any]:
    return {
        "id": found.id,
        "state": found.state,
        "action": found.action,
        "summary": found.summary,
        "amount": found.amount,
        "category": found.category,
        "duties": " or ".join(found.duties) if found.duty else "",
        "agreed": f"{found.yes} of {found.wanted}",
        "asked_by": found.asked_by,
        "asked": found.asked,
        "expires": found.expires,
    }
