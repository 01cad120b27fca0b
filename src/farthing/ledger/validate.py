"""Are these rows charges? Checks a batch against the columns, and says which rows break which rule."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from farthing.ledger.arrow import arrow, compute
from farthing.ledger.focus import NEWEST, Column, by_name, columns_of

if TYPE_CHECKING:
    import pyarrow as pa

    Values = pa.ChunkedArray[Any]
    Rule = Callable[[Column, Values, str], "Finding | None"]

ESSENTIAL = (
    "BilledCost", "EffectiveCost", "BillingCurrency", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory",
)  # fmt: skip
"""Without one of these a row cannot be counted. Every other finding is worth telling, not worth losing money over."""

_LIST_UP_TO = 6


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that rows break. ``rows`` are their positions in the batch, none when a column is missing.

    ``fatal`` rows cannot be counted and must be rejected; other findings are warnings.
    """

    column: str
    rule: Literal["missing", "null", "not_allowed", "negative", "currency", "period"]
    message: str
    rows: tuple[int, ...] = ()
    value: str = ""
    fatal: bool = False


def validate(batch: "pa.Table | pa.RecordBatch", *, version: str = NEWEST) -> list[Finding]:
    """Everything about a typed batch that FOCUS ``version`` does not allow, fatal findings first.

    The batch has the types of ``focus.arrow_schema``; columns may be missing.
    """
    found = [*_missing(batch, version), *_values(batch, version), *_periods(batch)]
    return sorted(found, key=lambda f: not f.fatal)


def _missing(batch: "pa.Table | pa.RecordBatch", version: str) -> Iterator[Finding]:
    present = set(batch.schema.names)
    for column in columns_of(version):
        if column.level == "mandatory" and column.name not in present:
            yield Finding(
                column=column.name,
                rule="missing",
                message=f"FOCUS {version} asks for this column",
                fatal=column.name in ESSENTIAL,
            )


def _values(batch: "pa.Table | pa.RecordBatch", version: str) -> Iterator[Finding]:
    rules: tuple[Rule, ...] = (_null, _not_allowed, _negative, _currency)
    for name in batch.schema.names:
        column = by_name().get(name)
        if column is not None and column.in_version(version):
            values = _column(batch, name)
            yield from filter(None, (rule(column, values, version) for rule in rules))


def _null(column: Column, values: "Values", version: str) -> Finding | None:
    if column.nullable or not values.null_count:
        return None
    message = f"FOCUS {version} wants a value here"
    return _finding(column, values, values.is_null(), "null", message)


def _not_allowed(column: Column, values: "Values", version: str) -> Finding | None:
    pa, pc = arrow(), compute()

    if not column.allowed:
        return None
    strange = pc.and_(pc.invert(pc.is_in(values, pa.array(column.allowed, pa.string()))), values.is_valid())
    few = ", ".join(column.allowed) if len(column.allowed) <= _LIST_UP_TO else f"one of {len(column.allowed)} words"
    return _finding(column, values, strange, "not_allowed", f"FOCUS {version} allows {few}", fatal=False)


def _negative(column: Column, values: "Values", _version: str) -> Finding | None:
    pa, pc = arrow(), compute()

    if column.minimum is None:
        return None
    below = pc.fill_null(pc.less(values, pa.scalar(column.minimum, pa.int64()).cast(values.type)), False)
    return _finding(column, values, below, "negative", "A unit price is zero or more", fatal=False)


def _currency(column: Column, values: "Values", _version: str) -> Finding | None:
    pc = compute()

    if not column.currency:
        return None
    strange = pc.fill_null(pc.invert(pc.match_substring_regex(values, "^[A-Z]{3}$")), False)
    return _finding(column, values, strange, "currency", "A currency is three capital letters (ISO 4217)")


def _periods(batch: "pa.Table | pa.RecordBatch") -> Iterator[Finding]:
    pc = compute()

    for kind in ("Charge", "Billing"):
        names = f"{kind}PeriodStart", f"{kind}PeriodEnd"
        if not set(names) <= set(batch.schema.names):
            continue
        start, end = (_column(batch, n) for n in names)
        backwards = pc.fill_null(pc.greater(start, end), False)
        found = _finding(by_name()[names[1]], end, backwards, "period", "A period ends before it starts")
        if found:
            yield found


def _column(batch: "pa.Table | pa.RecordBatch", name: str) -> "Values":
    pa = arrow()
    found: Any = batch
    column = found.column(name)
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _finding(
    column: Column,
    values: "Values",
    broken: "Values",
    rule: str,
    message: str,
    *,
    fatal: bool | None = None,
) -> Finding | None:
    rows = tuple(compute().indices_nonzero(broken).to_pylist())
    if not rows:
        return None
    return msgspec.convert(
        {
            "column": column.name,
            "rule": rule,
            "message": message,
            "rows": rows,
            "value": str(values.slice(rows[0], 1).to_pylist()[0]),
            "fatal": column.name in ESSENTIAL if fatal is None else fatal,
        },
        Finding,
    )


__all__ = ["ESSENTIAL", "Finding", "validate"]
