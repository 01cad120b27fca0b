"""Hourly sums of the facts, made from what each commit of a fact table added.

The sums of some commits are appended under the source ``rollup:TABLE`` with the version of the last of them, so
that a commit is summed exactly once, whoever does it and whatever crashes. Commits that only rearrange rows bring
nothing. Partial sums of the same hour are merged from time to time.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from farthing.ledger import shape
from farthing.ledger.arrow import sql
from farthing.ledger.engine import Engine
from farthing.ledger.schema import COUNT_MEASURES, MONEY_MEASURES, ROLLUP_DIMENSIONS
from farthing.ledger.table import FactTable, File, Scan, Snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir

BATCH_ROWS = 4_000_000
"""About how many facts one transaction sums."""


def source_of(table: str) -> str:
    """The name under which the sums of a table are written."""
    return f"rollup:{table}"


def refresh(engine: Engine, rollup: FactTable, facts: FactTable, piece: shape.Piece) -> int:
    """Sums what was not summed yet; returns the number of facts. Someone else's sums are not repeated."""
    source, summed = source_of(piece), 0
    snapshot = facts.snapshot()
    done = rollup.last_version(source)
    for version, files in _batches(facts, snapshot, done):
        sums = engine.run(compiled(piece), {piece: [Scan(table=facts, files=files)]})
        if not rollup.append(sums, source=source, version=version, after=done):
            break
        summed += sum(file.rows for file in files)
        done = version
    return summed


def _batches(facts: FactTable, snapshot: Snapshot, done: int | None) -> Iterator[tuple[int, tuple[File, ...]]]:
    if done is None:
        if snapshot.files:
            yield snapshot.version, snapshot.files
        return
    files: list[File] = []
    version = done
    for version, added in facts.added_since(done, until=snapshot.version):
        files += added
        if sum(file.rows for file in files) >= BATCH_ROWS:
            yield version, tuple(files)
            files = []
    if files:
        yield version, tuple(files)


def merge(engine: Engine, rollup: FactTable, *, at_least: int) -> int:
    """Adds up partial sums in months that have ``at_least`` files; returns how many files went."""
    return rollup.merge(lambda scan: engine.run(compiled("rollup"), {"rollup": [scan]}), at_least=at_least)


@lru_cache(maxsize=4)
def compiled(piece: shape.Piece) -> str:
    """The SQL that sums a piece by hour."""
    return sql(expression(piece))


def expression(piece: shape.Piece) -> "ir.Table":
    """Rows of the ``rollup`` table from requests, charges, or partial sums."""
    source: Any = shape.table(piece)
    hour = shape.time_of(source, piece).truncate("h")
    keys = {name: shape.dimension(source, piece, name) for name in ROLLUP_DIMENSIONS}
    rows = source.select(hour=hour, **keys, **shape.measures(source, piece))
    sums = {name: rows[name].sum().fill_null(0).cast("decimal(38, 12)") for name in MONEY_MEASURES}
    sums |= {name: rows[name].sum().fill_null(0).cast("int64") for name in COUNT_MEASURES}
    return rows.group_by(["hour", *ROLLUP_DIMENSIONS]).agg(**sums)
