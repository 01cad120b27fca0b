"""How much was spent, by what: one expression over hourly sums where they answer exactly, over the facts where not."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from farthing.core.money import EXACT, USD
from farthing.core.time import Window
from farthing.ledger import shape
from farthing.ledger.arrow import sql
from farthing.ledger.calendar import Calendar
from farthing.ledger.questions import Basis, Grain, SpendQuestion, SpendRow
from farthing.ledger.schema import COUNT_MEASURES

if TYPE_CHECKING:
    import ibis.expr.types as ir

Where = tuple[tuple[str, tuple[str, ...]], ...]
_MONEY = ("cost", "baseline_cost", "saved")
_COUNTS = tuple(name for name in COUNT_MEASURES if name != "facts")
OTHER = "other"


class SpendShape(msgspec.Struct, frozen=True, kw_only=True):
    """What the text of a query depends on: everything of a question but its window."""

    pieces: tuple[shape.Piece, ...]
    by: tuple[str, ...]
    where: Where
    basis: Basis
    grain: Grain
    calendar: Calendar


def where_of(where: Mapping[str, tuple[str, ...]]) -> Where:
    """Filters in a fixed order, each dimension checked."""
    return tuple(sorted((shape.check_dimension(name), tuple(values)) for name, values in where.items()))


@lru_cache(maxsize=512)
def compiled(asked: SpendShape) -> str:
    """The SQL of a spend question. Compiling costs milliseconds and dashboards repeat themselves."""
    return sql(expression(asked))


def expression(asked: SpendShape) -> "ir.Table":
    """Rows of ``bucket``, currency, the asked dimensions ``k0 … kn``, and sums of every measure."""
    rows: Any = shape.union([_piece(piece, asked) for piece in asked.pieces])
    keys = [*(["bucket"] if asked.grain != "none" else []), "currency", *(f"k{i}" for i in range(len(asked.by)))]
    sums = {name: rows[name].sum().fill_null(0).cast("decimal(38, 12)") for name in _MONEY}
    sums |= {name: rows[name].sum().fill_null(0).cast("int64") for name in COUNT_MEASURES}
    return rows.group_by(keys).agg(**sums)


def _piece(piece: shape.Piece, asked: SpendShape) -> "ir.Table":
    source: Any = shape.table(piece)
    for name, values in asked.where:
        source = source.filter(shape.dimension(source, piece, name).isin(list(values)))
    measures = shape.measures(source, piece)
    columns: dict[str, Any] = {f"k{i}": shape.dimension(source, piece, name) for i, name in enumerate(asked.by)}
    columns |= {"currency": shape.dimension(source, piece, "currency"), "cost": measures[asked.basis]}
    columns |= {name: measures[name] for name in ("baseline_cost", "saved", *COUNT_MEASURES)}
    if asked.grain != "none":
        columns["bucket"] = shape.bucket(shape.time_of(source, piece), asked.calendar, asked.grain)
    return source.select(**columns)


class Group(msgspec.Struct, frozen=True):
    """One row as it came from the engine, before currencies are told apart."""

    currency: str
    facts: int
    row: SpendRow


def groups(table: Any, question: SpendQuestion, calendar: Calendar) -> Iterator[Group]:
    """The engine's rows as values."""
    for record in table.to_pylist():
        local: datetime | None = record.get("bucket")
        at = calendar.instant(local, question.grain) if local else None
        keys = {name: record[f"k{i}"] for i, name in enumerate(question.by)}
        yield Group(record["currency"], int(record["facts"]), row_of(record, keys=keys, at=at))


def row_of(record: Mapping[str, Any], *, keys: Mapping[str, str] | None = None, at: datetime | None = None) -> SpendRow:
    """The sums of one record of the engine. DuckDB adds whole numbers in 128 bits, which arrive as decimals."""
    sums: dict[str, Any] = {name: record[name] for name in _MONEY}
    sums |= {name: int(record[name]) for name in _COUNTS}
    return SpendRow(keys=dict(keys or {}), at=at, **sums)


def currency_of(found: Iterable[Group]) -> str:
    """The currency to answer in: dollars if there are any, otherwise the one with the most facts."""
    facts: dict[str, int] = {}
    for group in found:
        facts[group.currency] = facts.get(group.currency, 0) + group.facts
    return USD if USD in facts or not facts else max(sorted(facts), key=facts.__getitem__)


def total(rows: Iterable[SpendRow], *, keys: Mapping[str, str] | None = None, at: datetime | None = None) -> SpendRow:
    """The exact sum of rows. Previous figures are summed where rows have them."""
    found: dict[str, Any] = {"keys": dict(keys or {}), "at": at}
    for row in rows:
        for name in _SUMMED:
            value = getattr(row, name)
            if value is not None:
                old = found.get(name, 0)
                found[name] = EXACT.add(old, value) if isinstance(value, Decimal) else old + value
    return SpendRow(**found)


_SUMMED = tuple(name for name in SpendRow.__struct_fields__ if name not in ("keys", "at"))


def beside(
    rows: list[SpendRow], previous: list[SpendRow], follows: Mapping[datetime | None, datetime | None]
) -> list[SpendRow]:
    """Rows with the figures of the previous window beside them; groups that only it has come with zeros."""
    earlier = {(follows.get(row.at, row.at), *row.keys.items()): row for row in previous}
    joined = [_compared(row, earlier.pop((row.at, *row.keys.items()), None)) for row in rows]
    for (at, *_), row in earlier.items():
        joined.append(_compared(SpendRow(keys=row.keys, at=at), row))
    return joined


def _compared(row: SpendRow, before: SpendRow | None) -> SpendRow:
    cost, requests = (before.cost, before.requests) if before else (Decimal(0), 0)
    return msgspec.structs.replace(row, previous_cost=cost, previous_requests=requests)


def ordered(rows: list[SpendRow]) -> list[SpendRow]:
    """By time, then by falling cost, then by name."""
    return sorted(rows, key=lambda r: (r.at.timestamp() if r.at else 0, -r.cost, tuple(r.keys.values())))


def folded(rows: list[SpendRow], limit: int) -> list[SpendRow]:
    """At most ``limit`` groups by total cost; the rest become one row named ``other`` (per bucket)."""
    groups: dict[tuple[str, ...], Decimal] = {}
    for row in rows:
        key = tuple(row.keys.values())
        groups[key] = EXACT.add(groups.get(key, Decimal(0)), row.cost)
    if not limit or len(groups) <= limit:
        return rows
    kept = set(sorted(groups, key=lambda k: (-groups[k], k))[:limit])
    rest: dict[datetime | None, list[SpendRow]] = {}
    for row in rows:
        if tuple(row.keys.values()) not in kept:
            rest.setdefault(row.at, []).append(row)
    named = [total(rs, keys=dict.fromkeys(rs[0].keys, OTHER), at=at) for at, rs in rest.items()]
    return [*(r for r in rows if tuple(r.keys.values()) in kept), *named]


def aligned(
    calendar: Calendar, window: Window, before: Calendar, previous: Window, grain: Grain
) -> dict[datetime | None, datetime | None]:
    """Which bucket of the window each bucket of the previous window stands beside: the first beside the first."""
    if grain == "none":
        return {None: None}
    return dict(zip(before.buckets(previous, grain), calendar.buckets(window, grain), strict=False))
