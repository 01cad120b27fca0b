"""``farthing cache warm``: answers that are asked for at a time of day, before people do."""

from datetime import UTC, datetime
from pathlib import Path

from farthing.app.local import Local
from farthing.cli._output import OK, THRESHOLD, Column, Out

_COLUMNS = (
    Column("name"), Column("requests"), Column("at"), Column("days"), Column("zone"), Column("key"),
    Column("next"), Column("last"), Column("problem"),
)  # fmt: skip


def warm(
    file: Path,
    *,
    at: str,
    key: str,
    weekdays: bool = False,
    zone: str = "",
    name: str = "",
    path: str = "/v1/chat/completions",
    dry_run: bool = False,
    home: Path | None = None,
    out: Out,
) -> None:
    """Store requests that are made every day at a time, so that their answers are in the cache when people come.

    They are made in the name of a key, within its limits. A file of the same name replaces what it stored before.

    Args:
        file: JSON lines, each with a url and a body as in batch files, or with the body alone.
        at: Time of day, such as 08:30.
        key: Whose requests they are: a key's id, the beginning of its token, or its name.
        weekdays: Not on Saturdays and Sundays.
        zone: Time zone of the time of day; default: the configured one.
        name: What the schedule is called; default: the file's name.
        path: The path of lines that say none.
        dry_run: Read the file and check it, and store nothing.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.schedules import schedule
    from farthing.cache.schedules import Plan

    local = Local.open(home=home)
    plan = Plan(at=at, zone=zone or local.settings.web.zone, weekdays=weekdays)
    label = name or file.stem
    asks = schedule(local, file, plan, key=key, name=label, path=path, dry_run=dry_run)
    due = datetime.fromtimestamp(plan.next(local.now().timestamp()), UTC)
    out.record({"name": label, "requests": len(asks), "key": asks[0].key_id, "next": due, "stored": not dry_run})
    if dry_run:
        out.next("the same command without --dry-run", "store them")
    else:
        out.next("farthing cache schedules", "see how they do")


def schedules(*, home: Path | None = None, out: Out) -> int:
    """List stored requests by schedule: when they are due, and what speaks against them. Exits with 1 for a problem.

    Args:
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    from farthing.app.schedules import scheduled

    found = scheduled(Local.open(home=home))
    rows = [
        {
            "name": name,
            "requests": len(group),
            "at": group[0].plan.at,
            "days": "Mon-Fri" if group[0].plan.weekdays else "every day",
            "zone": group[0].plan.zone,
            "key": group[0].key_id,
            "next": _instant(min(one.due for one in group)),
            "last": _instant(max(one.tried for one in group)),
            "problem": next((one.problem for one in group if one.problem), ""),
        }
        for name in dict.fromkeys(one.name for one in found)
        for group in [[one for one in found if one.name == name]]
    ]
    out.table(_COLUMNS, rows, empty="No schedules.")
    if not rows:
        out.next("farthing cache warm FILE --at 08:30 --key NAME", "store requests")
    return THRESHOLD if any(row["problem"] for row in rows) else OK


def unschedule(name: str, *, home: Path | None = None, out: Out) -> None:
    """Forget the stored requests of a schedule. Answers that it brought stay until they expire.

    Args:
        name: The schedule, as the list shows it.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    from farthing.app.schedules import unschedule as forget

    out.record({"name": name, "requests": forget(Local.open(home=home), name)})


def _instant(at: float) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if at else None
