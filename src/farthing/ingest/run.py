"""Bring a file into the ledger: only what is new, exactly once, and take back what it no longer says.

A *source* is a bill that is delivered again and again: the same name means the same bill. Importing
compares it with what the ledger holds of that source, row by row. Rows that are there already are left alone,
so a second import changes nothing and a killed one goes on where it stopped. Rows the bill no longer
has are taken back by reversals: facts are never changed.
"""

import hashlib
from collections import Counter
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from farthing.core.errors import ConflictError, InputError
from farthing.ingest.importer import Batch, Importer, Reject, importers
from farthing.ledger.arrow import arrow

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 20
"""So many rejects are listed in a report; their number is always exact."""

_NEGATED = (
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingQuantity", "ConsumedQuantity",
    "PricingCurrencyEffectiveCost", "CommitmentDiscountQuantity", "x_InputTokens", "x_CacheReadTokens",
    "x_CacheWriteTokens", "x_OutputTokens", "x_ReasoningTokens",
)  # fmt: skip


class Facts(Protocol):
    """What an import asks of the ledger."""

    def last_version(self, table: str, source: str) -> int | None:
        """Version of the source's last append, ``None`` before the first."""
        ...

    def append_charges(self, table: "pa.Table", *, source: str, version: int) -> int:
        """Append once per (source, version); 0 rows when that version is there already."""
        ...

    def charge_ids(self, source: str) -> set[str]:
        """``x_ChargeId`` of the source's charges that no reversal has taken back."""
        ...

    def charges(self, source: str, ids: Collection[str]) -> "pa.Table":
        """Those charges of the source, whole."""
        ...


class Report(msgspec.Struct, kw_only=True):
    """What an import did. ``billed`` sums the source's accepted rows by currency, whatever was there before.

    ``rows`` = ``added`` + ``unchanged`` + ``rejected``; ``reversed`` rows were in the ledger and the bill no longer
    has them.
    """

    source: str
    importer: str
    rows: int = 0
    added: int = 0
    unchanged: int = 0
    reversed: int = 0
    rejected: int = 0
    billed: dict[str, Decimal] = {}
    effective: dict[str, Decimal] = {}
    rejects: list[Reject] = []
    warnings: dict[str, int] = {}
    dry_run: bool = False


def ingest(path: Path, facts: Facts, *, importer: str = "", source: str = "", dry_run: bool = False) -> Report:
    """Import one file. ``source`` defaults to the importer's and the file's name.

    Raises ``InputError`` for a file no importer knows, for a damaged one, and when a bill that is in
    the ledger comes again with rows that must be rejected: taking those back would lose money.
    """
    if not path.is_file():
        raise InputError("no such file", field="file", value=str(path), remedy="Check the path")
    chosen = importers().get(importer) if importer else _detected(path)
    name = source or f"{chosen.name}:{path.name}"
    report = Report(source=name, importer=chosen.name, dry_run=dry_run)
    _Import(chosen, path, facts, report).run()
    return report


def _detected(path: Path) -> Importer:
    known = importers().load()
    for candidate in known.values():
        if candidate.detects(path):
            return candidate
    raise InputError(
        "no importer recognizes this file",
        field="file",
        value=str(path),
        remedy=f"Name the format with --format; there are {', '.join(sorted(known))}",
    )


class _Import:
    """One run over one file. ``kept`` are the charges in the ledger by identity, until the file shows them."""

    def __init__(self, importer: Importer, path: Path, facts: Facts, report: Report) -> None:
        self.importer = importer
        self.path = path
        self.facts = facts
        self.report = report
        self.kept = set(facts.charge_ids(report.source))
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        """Check a bill that comes again as a whole before anything is written; a new one streams."""
        if self.kept:
            self._must_be_clean()
        for batch in self.importer.batches(self.path):
            self._take(batch)
        if self.kept:
            self._reverse()

    def _must_be_clean(self) -> None:
        first = next((r for b in self.importer.batches(self.path) for r in b.rejects), None)
        if first is not None:
            raise InputError(
                f"line {first.line} of a bill that is in the ledger already cannot be read ({first.reason}), "
                "so nothing was changed",
                field=first.field,
                value=first.value,
                remedy="Export the bill again, or import it as another --source",
            )

    def _take(self, batch: Batch) -> None:
        pa = arrow()
        report = self.report
        ids = [self._charge_id(identity) for identity in batch.identities]
        new = [i for i, charge in enumerate(ids) if charge not in self.kept]
        self.kept.difference_update(ids)
        report.rows += len(ids) + len(batch.rejects)
        report.added += len(new)
        report.unchanged += len(ids) - len(new)
        report.rejected += len(batch.rejects)
        report.rejects += batch.rejects[: SHOWN - len(report.rejects)]
        for warning, count in batch.warnings.items():
            report.warnings[warning] = report.warnings.get(warning, 0) + count
        _add(report.billed, batch.charges, "BilledCost")
        _add(report.effective, batch.charges, "EffectiveCost")
        if new:
            fresh: Any = batch.charges
            charges = fresh.take(new).append_column("x_ChargeId", pa.array([ids[i] for i in new], pa.string()))
            self._append(charges.append_column("x_Reversal", pa.array([False] * len(new), pa.bool_())))

    def _charge_id(self, identity: str) -> str:
        """Rows that say the same are told apart by counting them."""
        digest = hashlib.blake2b(identity.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        self.seen[digest] += 1
        return f"{digest}-{self.seen[digest]}"

    def _reverse(self) -> None:
        pa = arrow()
        gone: Any = self.facts.charges(self.report.source, self.kept)
        self.report.reversed = gone.num_rows
        for name in _NEGATED:
            if name in gone.column_names:
                place = gone.column_names.index(name)
                gone = gone.set_column(place, gone.field(name), _negative(gone.column(name)))
        place = gone.column_names.index("x_Reversal")
        self._append(gone.set_column(place, "x_Reversal", pa.array([True] * gone.num_rows, pa.bool_())))

    def _append(self, charges: Any) -> None:
        pa = arrow()
        if self.report.dry_run:
            return
        source = self.report.source
        if "x_Source" not in charges.column_names:
            charges = charges.append_column("x_Source", pa.array([source] * charges.num_rows, pa.string()))
        version = (self.facts.last_version("charges", source) or 0) + 1
        if not self.facts.append_charges(charges, source=source, version=version):
            raise ConflictError(
                f"Somebody else is importing {source} at the same time",
                remedy="Wait for that import and run this one again: it adds only what is missing",
            )


def _negative(column: Any) -> Any:
    pa = arrow()
    values = [None if v is None else -v for v in column.to_pylist()]
    return pa.chunked_array([pa.array(values, column.type)])


def _add(sums: dict[str, Decimal], charges: Any, name: str) -> None:
    currencies, amounts = charges.column("BillingCurrency").to_pylist(), charges.column(name).to_pylist()
    for currency, amount in zip(currencies, amounts, strict=True):
        sums[currency] = sums.get(currency, Decimal(0)) + amount
