"""``farthing alerts``: who was told what, and whether the targets can be reached."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from farthing.app.local import Local
from farthing.cli._output import OK, THRESHOLD, Column, Out
from farthing.core.errors import NotFoundError

if TYPE_CHECKING:
    from farthing.state.notices import Delivery, Notice

app = App(name="alerts", help="See who was told what, and try the targets.")


@app.command(name="list")
def list_notices(*, limit: int = 50, home: Path | None = None, out: Out) -> None:
    """List the latest notices, newest first, with how each got to its targets.

    Args:
        limit: At most this many notices.
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        notices = store.notices.list(limit=limit)
    rows = [_row(notice, way) for notice in notices for way in (notice.deliveries or (None,))]
    columns = ["raised", Column("severity", style="bold"), "kind", "title", "target", "state", "attempts", "error"]
    out.table(
        columns if out.format in ("table", "md") else list(rows[0] if rows else columns), rows, empty="No notices."
    )
    if not local.settings.alerts.targets:
        out.note("Nobody is told: no [[alerts.targets]] are configured.")


@app.command(name="test")
def try_targets(target: str = "", *, home: Path | None = None, out: Out) -> int:
    """Send a test message to all targets, or one. Exit code 1 when one does not take it.

    Args:
        target: The name of a target; all when left out.
        home: Data folder; default: the configured one.
        out: Where the outcome goes.
    """
    from farthing.app.alerts import tried
    from farthing.app.courier import AppriseCourier

    local = Local.open(home=home)
    targets = local.settings.alerts.targets
    if target and all(one.label != target for one in targets):
        raise NotFoundError("target", target, known=[one.label for one in targets], remedy="See farthing config show")
    wanted = [one for one in targets if target in ("", one.label)]
    rows: list[dict[str, Any]] = []
    courier = AppriseCourier()
    for one in wanted:
        problem = tried(courier, local, one)
        rows.append({"target": one.label, "arrived": not problem, "problem": problem})
    out.table(["target", "arrived", Column("problem", style="red")], rows, empty="No targets are configured.")
    if not rows:
        out.next("farthing init --profile startup", "puts a commented example into farthing.toml")
    return THRESHOLD if any(row["problem"] for row in rows) else OK


def _row(notice: "Notice", way: "Delivery | None") -> dict[str, Any]:
    """A notice on its way to one target, or to nobody."""
    row = {"raised": notice.raised, "severity": notice.severity, "kind": notice.kind, "title": notice.title}
    row["text"] = notice.body.get("text", "")
    if way is None:
        return {**row, "target": "", "state": "listed", "attempts": 0, "due": None, "error": ""}
    return {
        **row, "target": way.target, "state": way.state, "attempts": way.attempts, "due": way.due, "error": way.error,
    }  # fmt: skip
