"""``farthing ingest``: bring bills and logs from elsewhere into the ledger."""

from pathlib import Path
from typing import Any

import msgspec
from cyclopts import App

from farthing.cli._output import OK, THRESHOLD, Column, Out

app = App(name="ingest", help="Import bills and logs from elsewhere.")

_COLUMNS = (
    Column("source"),
    Column("rows"),
    Column("added"),
    Column("unchanged"),
    Column("reversed"),
    Column("rejected"),
    Column("currency"),
    Column("billed"),
    Column("effective"),
)


@app.default
def ingest(
    *files: Path,
    format: str = "",
    source: str = "",
    dry_run: bool = False,
    home: Path | None = None,
    rejects: Path | None = None,
    out: Out,
) -> int:
    """Import files. Importing one again changes nothing; a corrected one takes back what it corrects.

    Args:
        files: Bills: FOCUS 1.0 to 1.3 as CSV, gzipped CSV or Parquet.
        format: Importer to use instead of the one that recognizes the file.
        source: Name of the bill, the same for every delivery of it; default: the file's name.
        dry_run: Say what would be imported, and import nothing.
        home: Data folder; default: the configured one.
        rejects: Write the rows that were rejected to this file, as JSON lines.
        out: Where the report goes.
    """
    from farthing.app.local import Local
    from farthing.core.errors import InputError
    from farthing.ingest.run import ingest as run

    if not files:
        raise InputError("no file given", field="files", value="", remedy="Run: farthing ingest bill.csv")
    ledger = Local.open(home=home).ledger()
    reports = [run(path, ledger, importer=format, source=source, dry_run=dry_run) for path in files]
    if not dry_run:
        ledger.refresh_rollups()
    out.table(_COLUMNS, [row for report in reports for row in _rows(report)])
    for report in reports:
        for warning, count in sorted(report.warnings.items()):
            out.note(f"note: {report.source}: {warning}" + (f" ({count:,} rows)" if count else ""))
        for reject in report.rejects:
            out.warn(f"{report.source} line {reject.line}: {reject.field} {reject.value!r}: {reject.reason}")
    refused = [r for report in reports for r in report.rejects]
    if rejects is not None:
        rejects.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in refused))
    if not dry_run and not refused:
        out.next("farthing spend --by provider,service", "see what it adds up to")
    return THRESHOLD if refused else OK


def _rows(report: Any) -> list[dict[str, Any]]:
    counts = {n: getattr(report, n) for n in ("source", "rows", "added", "unchanged", "reversed", "rejected")}
    currencies = report.billed or {"": None}
    return [
        {**counts, "currency": c, "billed": report.billed.get(c), "effective": report.effective.get(c)}
        for c in currencies
    ]
