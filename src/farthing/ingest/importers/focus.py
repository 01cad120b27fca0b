"""FOCUS 1.0 to 1.3 cost and usage, as CSV (plain or gzip) or Parquet.

Times without a zone are UTC, as FOCUS prescribes. Columns that are not FOCUS's are kept by name in
``x_Columns``. Amounts in Parquet files that store them as doubles are read by their shortest decimal form.
"""

import csv
import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec

from farthing.catalog.accelerator import accelerator_of
from farthing.core.errors import InputError
from farthing.core.money import LEDGER_PLACES
from farthing.ingest.cells import NULLS, typed
from farthing.ingest.importer import Batch, Reject
from farthing.ledger.arrow import arrow
from farthing.ledger.focus import by_name, guess_version
from farthing.ledger.validate import ESSENTIAL, validate

Row = tuple[int, list[str | None]]
"""Line (CSV) or row number (Parquet) from 1, and the cells."""

ROWS = 20_000
_LEDGER_EXPONENT = int(LEDGER_PLACES.as_tuple().exponent)
_TEAM_TAGS = {
    "x_Team": ("team", "squad", "owner", "costcenter", "cost_center", "cost-center"),
    "x_Project": ("project", "application", "app", "workload"),
    "x_Environment": ("environment", "env", "stage"),
    "x_Feature": ("feature", "component"),
    "x_Customer": ("customer", "client"),
}
"""Tags that name who pays, most telling first; compared without case and without AWS's ``user:`` prefix."""

_MACHINE_WORDS = ("SkuPriceDetails", "SkuId", "ResourceType", "ChargeDescription", "SkuMeter")
"""Columns in which providers name the machine, most telling first."""

_ESSENTIAL_HEADER = {"BilledCost", "EffectiveCost", "ChargePeriodStart", "ChargeCategory"}


class Focus:
    """FinOps Open Cost and Usage Specification (focus.finops.org)."""

    name = "focus"

    def detects(self, path: Path) -> bool:
        """By the header: a bill without these columns is none."""
        try:
            return set(_header(path)) >= _ESSENTIAL_HEADER
        except InputError:
            return False

    def batches(self, path: Path) -> Iterator[Batch]:
        """Rows of the file, ``ROWS`` at a time."""
        names = _header(path)
        _is_a_bill(names, path)
        version = guess_version(names)
        rows = _parquet_rows(path) if _is_parquet(path) else _csv_rows(path, len(names))
        while chunk := list(islice(rows, ROWS)):
            yield _batch(names, chunk, version)


plugin = Focus()


def _is_a_bill(names: Sequence[str], path: Path) -> None:
    missing = [name for name in ESSENTIAL if name not in names]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError("a column stands twice", field=str(path), value=", ".join(twice), remedy="Rename one of them")
    if not missing:
        return
    if "ContractCommitmentId" in names:
        remedy = "This is FOCUS's contract commitment data set, which has no charges: import the cost and usage file"
    else:
        remedy = "Export the FOCUS cost and usage data set with all mandatory columns"
    raise InputError("no FOCUS bill: columns are missing", field=str(path), value=", ".join(missing), remedy=remedy)


def _batch(names: Sequence[str], chunk: Sequence[Row | Reject], version: str) -> Batch:
    rows = [r for r in chunk if not isinstance(r, Reject)]
    rejects = [r for r in chunk if isinstance(r, Reject)]
    arrays: dict[str, Any] = {}
    refused: dict[int, Reject] = {}
    for place, name in enumerate(names):
        column = by_name().get(name)
        if column is None:
            continue
        cells = [cells[place] for _, cells in rows]
        arrays[name], misfits = typed(column, cells)
        for i, reason in misfits.items():
            refused.setdefault(i, Reject(line=rows[i][0], field=name, value=str(cells[i]), reason=reason))
    arrays |= _derived(names, rows, version)
    charges = arrow().table(arrays)
    warnings = _rounded(names, rows)
    for finding in validate(charges, version=version):
        if not finding.fatal:
            warnings[f"{finding.column}: {finding.message}"] = len(finding.rows)
        for i in finding.rows if finding.fatal else ():
            reject = Reject(line=rows[i][0], field=finding.column, value=finding.value, reason=finding.message)
            refused.setdefault(i, reject)
    kept = [i for i in range(len(rows)) if i not in refused]
    return Batch(
        charges=charges.take(kept) if refused else charges,
        identities=[_identity(names, rows[i][1]) for i in kept],
        rejects=sorted([*rejects, *refused.values()], key=lambda r: r.line),
        warnings=warnings,
    )


def _rounded(names: Sequence[str], rows: Sequence[Row]) -> dict[str, int]:
    """Amounts finer than the ledger keeps them are rounded, and that is said."""
    counts: dict[str, int] = {}
    for place, name in enumerate(names):
        column = by_name().get(name)
        if column is not None and column.type == "money":
            fine = sum(len((cells[place] or "").rstrip("0").partition(".")[2]) > -_LEDGER_EXPONENT for _, cells in rows)
            if fine:
                counts[f"{name}: more than 12 decimals, rounded half to even"] = fine
    return counts


def _derived(names: Sequence[str], rows: Sequence[Row], version: str) -> dict[str, Any]:
    """Farthing's own columns: place in the source, owner by tags, accelerator by machine name, foreign columns."""
    pa = arrow()
    count = len(rows)
    at = {name: i for i, name in enumerate(names)}
    derived: dict[str, Any] = {
        "x_SourceRow": pa.array([line for line, _ in rows], pa.int64()),
        "x_FocusVersion": pa.array([version] * count, pa.string()),
    }
    foreign = [name for name in names if name not in by_name()]
    if foreign:
        kept = [{n: row[at[n]] for n in foreign if row[at[n]] not in NULLS} for _, row in rows]
        derived["x_Columns"] = pa.array([msgspec.json.encode(k).decode() if k else None for k in kept], pa.string())
    if "Tags" in at:
        owners = [_owner(row[at["Tags"]]) for _, row in rows]
        for name in _TEAM_TAGS:
            if name not in at:
                derived[name] = pa.array([o.get(name) for o in owners], pa.string())
    if "x_Accelerator" not in at:
        words = [at[n] for n in _MACHINE_WORDS if n in at]
        found = [_accelerator(row[i] for i in words) for _, row in rows]
        derived["x_Accelerator"] = pa.array([f[0] if f else None for f in found], pa.string())
        derived["x_AcceleratorCount"] = pa.array([f[1] if f else None for f in found], pa.decimal128(38, 18))
    return derived


def _accelerator(cells: Iterable[str | None]) -> tuple[str, int] | None:
    """The first cell that names a machine with an accelerator decides."""
    return next(filter(None, (accelerator_of(cell) for cell in cells if cell and cell not in NULLS)), None)


def _owner(tags: str | None) -> dict[str, str]:
    if tags is None or tags in NULLS:
        return {}
    try:
        found: Any = msgspec.json.decode(tags)
    except msgspec.DecodeError:
        return {}
    named = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    plain = {k.lower().removeprefix("user:"): v for k, v in named.items() if isinstance(v, str) and v}
    owners: dict[str, str] = {}
    for column, words in _TEAM_TAGS.items():
        word = next((w for w in words if w in plain), None)
        if word is not None:
            owners[column] = plain[word]
    return owners


def _identity(names: Sequence[str], cells: Sequence[str | None]) -> str:
    """All cells by name, so that the order of columns does not matter."""
    by_column = dict(zip(names, cells, strict=True))
    return "\x1f".join(f"{name}={by_column[name]}" for name in sorted(by_column) if by_column[name] not in NULLS)


def _header(path: Path) -> list[str]:
    if _is_parquet(path):
        return list(_parquet(path).schema_arrow.names)
    with _open(path) as file:
        try:
            return [name.strip() for name in next(csv.reader(file), list[str]())]
        except (csv.Error, OSError, EOFError) as problem:
            raise InputError(f"unreadable: {problem}", field="file", value=str(path)) from None


def _csv_rows(path: Path, width: int) -> Iterator[Row | Reject]:
    with _open(path) as file:
        reader = csv.reader(file, strict=True)
        next(reader)
        line = reader.line_num + 1
        try:
            for cells in reader:
                if len(cells) == width:
                    yield line, list(cells)
                elif cells:
                    reason = f"{len(cells)} cells where the header has {width}"
                    yield Reject(line=line, field="row", value=",".join(cells)[:80], reason=reason)
                line = reader.line_num + 1
        except (csv.Error, OSError, EOFError) as problem:
            raise InputError(
                f"the file breaks off or is damaged at line {line}: {problem}",
                field="file",
                value=str(path),
                remedy="Export it again; nothing that follows that line was read",
            ) from None


def _open(path: Path) -> TextIO:
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    try:
        return opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as problem:
        raise InputError(f"cannot open it: {problem.strerror}", field="file", value=str(path)) from None


def _is_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as problem:
        raise InputError(f"cannot open it: {problem.strerror}", field="file", value=str(path)) from None


def _parquet(path: Path) -> Any:
    try:
        return import_module("pyarrow.parquet").ParquetFile(path)
    except arrow().ArrowInvalid as problem:
        reason = f"damaged Parquet: {problem}"
        raise InputError(reason, field="file", value=str(path), remedy="Export it again") from None


def _parquet_rows(path: Path) -> Iterator[Row | Reject]:
    line = 0
    for batch in _parquet(path).iter_batches(batch_size=ROWS):
        columns = [[_cell(value) for value in column.to_pylist()] for column in batch.columns]
        for cells in zip(*columns, strict=True):
            line += 1
            yield line, list(cells)


def _cell(value: Any) -> str | None:
    """A Parquet value as the text that a CSV of it would hold."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, list):
        parts = cast("list[Any]", value)
        is_map = all(isinstance(part, tuple) for part in parts)
        return msgspec.json.encode(dict(parts) if is_map else parts).decode()
    if isinstance(value, dict):
        return msgspec.json.encode(cast("dict[str, Any]", value)).decode()
    return repr(value) if isinstance(value, float) else str(value)
