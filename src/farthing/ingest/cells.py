"""Text cells become typed columns. A cell that does not fit names its row and why; the others are kept."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec

from farthing.ledger.arrow import arrow
from farthing.ledger.focus import Column, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

NULLS = frozenset({"", "NULL", "null", "None", "\\N"})
"""How exporters write that there is no value."""

_PLACES = {"money": Decimal("1e-12"), "decimal": Decimal("1e-18")}
_LIMITS = {"money": Decimal(10) ** 26, "decimal": Decimal(10) ** 20}
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)


class MisfitError(ValueError):
    """A cell that its column cannot hold."""


def typed(column: Column, cells: Sequence[str | None]) -> "tuple[pa.Array[Any], dict[int, str]]":
    """The cells as an Arrow array of the column's type, and the reason for each position that does not fit."""
    read = _READERS[column.type]
    memo: dict[str | None, Any] = dict.fromkeys((*NULLS, None))
    wrong: dict[str, str] = {}
    for cell in set(cells) - memo.keys():
        assert cell is not None  # noqa: S101 - None is in the memo
        try:
            memo[cell] = read(cell.strip())
        except MisfitError as problem:
            memo[cell] = None
            wrong[cell] = str(problem)
    misfits = {i: wrong[cell] for i, cell in enumerate(cells) if cell in wrong} if wrong else {}
    return arrow().array([memo[cell] for cell in cells], arrow_type(column.type)), misfits


def _text(cell: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in cell):
        raise MisfitError("not valid UTF-8")
    return cell


def _number(kind: str, cell: str) -> Decimal:
    try:
        number = Decimal(cell)
    except ArithmeticError:
        raise MisfitError("not a decimal number") from None
    if not number.is_finite() or abs(number) >= _LIMITS[kind]:
        raise MisfitError("not a finite number that the ledger can hold")
    return number.quantize(_PLACES[kind], context=_WIDE)


def _instant(cell: str) -> datetime:
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        raise MisfitError("not an ISO 8601 date and time") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _json(cell: str) -> str:
    try:
        msgspec.json.decode(cell)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise MisfitError("not valid JSON") from None
    return cell


def _tags(cell: str) -> list[tuple[str, str]]:
    """A JSON object, or the list of key and value objects that some exporters write."""
    try:
        found: Any = msgspec.json.decode(cell)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise MisfitError("not a JSON object of tags") from None
    if isinstance(found, list):
        pairs = [cast("dict[str, Any]", pair) for pair in cast("list[Any]", found) if isinstance(pair, dict)]
        found = {pair["key"]: pair.get("value") for pair in pairs if "key" in pair}
    if not isinstance(found, dict):
        raise MisfitError("not a JSON object of tags")
    tags = cast("dict[str, Any]", found)
    return [(k, v if isinstance(v, str) else msgspec.json.encode(v).decode()) for k, v in tags.items() if v is not None]


def _integer(cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise MisfitError("not a whole number") from None


def _boolean(cell: str) -> bool:
    try:
        return {"true": True, "false": False, "1": True, "0": False}[cell.lower()]
    except KeyError:
        raise MisfitError("neither true nor false") from None


_READERS: dict[str, Callable[[str], Any]] = {
    "string": _text,
    "money": partial(_number, "money"),
    "decimal": partial(_number, "decimal"),
    "instant": _instant,
    "json": _json,
    "tags": _tags,
    "integer": _integer,
    "boolean": _boolean,
}
