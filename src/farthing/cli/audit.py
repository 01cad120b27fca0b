"""``farthing audit``: who changed what, and whether the record of it is as it was written."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from cyclopts import App

from farthing.app.local import Local
from farthing.cli._output import OK, UNRECONCILED, Column, Out
from farthing.cli._window import window_of

if TYPE_CHECKING:
    from farthing.state.audit import Entry

app = App(name="audit", help="See who changed what, and prove that nobody changed the record.")

_COLUMNS = ("number", "at", "actor", Column("action", style="cyan"), "subject", "before", "after")


@app.default
def audit(
    *,
    since: str = "30d",
    all: bool = False,
    actor: str = "",
    action: str = "",
    subject: str = "",
    limit: int = 50,
    home: Path | None = None,
    out: Out,
) -> None:
    """List changes, newest first, with what they changed.

    Args:
        since: How far back: 24h, 7d, 4w.
        all: Everything, however old and however much.
        actor: Only of this one: an e-mail address, cli:NAME, admin token.
        action: Only actions that begin so, such as key. or approval.deny.
        subject: Only about this: the id of a key, a limit, an approval or a person.
        limit: At most so many, unless --all.
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    from farthing.state.audit import AuditQuestion

    local = Local.open(home=home)
    window = window_of(last=since, start="", end="", everything=all, zone=local.settings.web.zone, now=local.now())
    asked = AuditQuestion(actor=actor, action=action, subject=subject, window=window, limit=limit)
    with local.store() as store:
        found: Sequence[Entry] = list(store.audit.pages(asked)) if all else store.audit.list(asked)
    out.table(_COLUMNS, [_row(entry) for entry in found], empty="Nothing was changed.")
    if found:
        out.next("farthing audit verify", "whether the record is whole")


@app.command
def verify(*, expect: str = "", home: Path | None = None, out: Out) -> int:
    """Check that no entry was changed, removed or put in between. Note the head elsewhere to check against it later.

    Args:
        expect: A head that was noted earlier, and must still be in the chain.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        found = store.audit.verify(expect=expect)
    out.record({"whole": found.whole, **msgspec.structs.asdict(found)})
    if not found.whole:
        out.warn(f"entry {found.broken} does not fit: {found.reason}")
        return UNRECONCILED
    if found.unsealed:
        out.note(f"{found.unsealed:,} entries are older than the chain; its first entry covers them.")
    if found.head:
        out.next(f"farthing audit verify --expect {found.head}", "later, from a note kept elsewhere")
    return OK


def _row(entry: "Entry") -> dict[str, Any]:
    """An entry with only what it changed: fields that are the same before and after say nothing."""
    before, after = entry.before or {}, entry.after or {}
    return {
        "number": entry.number,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "before": {name: value for name, value in before.items() if after.get(name) != value},
        "after": {name: value for name, value in after.items() if before.get(name) != value},
        "hash": entry.hash,
    }
