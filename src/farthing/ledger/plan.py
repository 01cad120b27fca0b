"""Which files answer a spend question: hourly sums for the whole hours, facts for the rest.

Hourly sums hold the facts up to some version of each fact table (``rollup``). What was written since is read from
the facts, and so are the ends of a window that cut through an hour. The pieces never overlap and leave nothing out,
so that every total is the ledger's, however far the sums lag behind.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from farthing.core.errors import UnavailableError
from farthing.core.time import Window
from farthing.ledger.rollup import source_of
from farthing.ledger.schema import ROLLUP_DIMENSIONS
from farthing.ledger.shape import Piece
from farthing.ledger.table import FactTable, File, Scan, Snapshot

HOUR = timedelta(hours=1)
FACTS: tuple[Piece, ...] = ("requests", "charges")


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """The tables that spend is asked of."""

    requests: FactTable
    charges: FactTable
    rollup: FactTable

    def facts(self) -> "Iterable[tuple[Piece, FactTable]]":
        """The two tables of facts by name."""
        return (("requests", self.requests), ("charges", self.charges))


Sources = dict[Piece, list[Scan]]


def sources(tables: Tables, window: Window, dimensions: Iterable[str], *, on_the_hour: bool) -> Sources:
    """What to read for a window. ``on_the_hour`` is whether the question's hours are UTC hours."""
    core, edges = split(window)
    if core is not None and on_the_hour and set(dimensions) <= set(ROLLUP_DIMENSIONS):
        try:
            return _nonempty(_summed(tables, core, edges))
        except UnavailableError:
            pass  # the log no longer says what came since the sums were made: the facts know
    return _nonempty({name: [_scan(table, table.snapshot(), [window])] for name, table in tables.facts()})


def _summed(tables: Tables, core: Window, edges: list[Window]) -> Sources:
    sums = tables.rollup.snapshot(*(source_of(name) for name in FACTS))
    found: Sources = {"rollup": [_scan(tables.rollup, sums, [core])]}
    for name, table in tables.facts():
        facts = table.snapshot()
        since = sums.sources.get(source_of(name))
        tail = unsummed(table, facts, since)
        found[name] = [_scan(table, facts, edges), _files(table, tail, [core])]
    return found


def unsummed(table: FactTable, facts: Snapshot, since: int | None) -> list[File]:
    """Files with facts that came after version ``since``; all of them when it is ``None``."""
    if since is None:
        return list(facts.files)
    return [file for _, files in table.added_since(since, until=facts.version) for file in files]


def _scan(table: FactTable, snapshot: Snapshot, windows: list[Window]) -> Scan:
    return _files(table, snapshot.files, windows)


def _files(table: FactTable, files: Iterable[File], windows: list[Window]) -> Scan:
    touched = tuple(f for f in files if any(f.touches(w) for w in windows))
    return Scan(table=table, files=touched, windows=tuple(windows))


def _nonempty(found: Sources) -> Sources:
    kept: Sources = {name: [scan for scan in scans if scan.files] for name, scans in found.items()}
    return {name: scans for name, scans in kept.items() if scans}


def split(window: Window) -> tuple[Window | None, list[Window]]:
    """The whole UTC hours of a window, and what is left at its two ends."""
    start, end = _up(window.start), _down(window.end)
    if start is not None and end is not None and start >= end:
        return None, [window]
    edges = [
        Window(start=a, end=b)
        for a, b in ((window.start, start), (end, window.end))
        if a is not None and b is not None and a < b
    ]
    return Window(start=start, end=end), edges


def _down(at: datetime | None) -> datetime | None:
    return at and at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _up(at: datetime | None) -> datetime | None:
    floor = _down(at)
    return floor + HOUR if at and floor and floor < at else floor
