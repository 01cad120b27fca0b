"""Bills come in once, whole, and corrected ones take back what they correct."""

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from farthing.core.errors import ConflictError, InputError
from farthing.core.money import LEDGER_PLACES
from farthing.core.time import Window
from farthing.ingest.importer import importers
from farthing.ingest.run import ingest
from farthing.ledger.questions import SpendQuestion
from farthing.ledger.store import Ledger

BASE = {
    "BilledCost": "1.25", "EffectiveCost": "1.00", "ListCost": "2.00", "ContractedCost": "1.50", "BillingCurrency": "USD",
    "ChargePeriodStart": "2026-10-01 00:00:00", "ChargePeriodEnd": "2026-10-02 00:00:00",
    "BillingPeriodStart": "2026-10-01 00:00:00", "BillingPeriodEnd": "2026-11-01 00:00:00", "ChargeCategory": "Usage",
    "ChargeClass": "", "ChargeDescription": "GPU hours", "ChargeFrequency": "Usage-Based", "ProviderName": "AWS",
    "PublisherName": "AWS", "InvoiceIssuerName": "AWS", "BillingAccountId": "1", "BillingAccountName": "Acme",
    "ServiceName": "Amazon Elastic Compute Cloud", "ServiceCategory": "Compute", "PricingQuantity": "10",
    "PricingUnit": "Hours", "ConsumedQuantity": "10", "ConsumedUnit": "Hours", "SkuId": "p5.48xlarge", "Tags": "{}",
}  # fmt: skip


def bill(path: Path, *rows: dict[str, str]) -> Path:
    whole = [{**BASE, **row} for row in rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        sheet = csv.DictWriter(file, list(whole[0]))
        sheet.writeheader()
        sheet.writerows(whole)
    return path


def total(ledger: Ledger, **more) -> Decimal:
    ledger.refresh_rollups()
    return ledger.spend(SpendQuestion(window=Window(), basis="billed", **more)).total.cost


@pytest.fixture
def ledger(tmp_path):
    return Ledger.open(str(tmp_path / "ledger"))


def test_a_bill_imports_to_its_own_total(ledger, tmp_path):
    path = bill(tmp_path / "a.csv", {"BilledCost": "0.000000000001"}, {"BilledCost": "3.1"}, {"BilledCost": "-0.1"})
    report = ingest(path, ledger)
    assert (report.rows, report.added, report.rejected) == (3, 3, 0)
    assert report.billed == {"USD": Decimal("3.000000000001")}
    assert total(ledger) == Decimal("3.000000000001")


def test_importing_twice_changes_nothing_even_with_equal_rows(ledger, tmp_path):
    path = bill(tmp_path / "a.csv", {}, {}, {"BilledCost": "7"})
    ingest(path, ledger)
    again = ingest(path, ledger)
    assert (again.added, again.unchanged, again.reversed) == (0, 3, 0)
    assert total(ledger) == Decimal("9.50")


def test_a_corrected_bill_takes_back_what_it_no_longer_says(ledger, tmp_path):
    ingest(bill(tmp_path / "a.csv", {}, {"BilledCost": "7"}), ledger)
    report = ingest(bill(tmp_path / "a.csv", {}, {"BilledCost": "6.5"}), ledger)
    assert (report.added, report.unchanged, report.reversed) == (1, 1, 1)
    assert total(ledger) == Decimal("7.75")
    back = ingest(bill(tmp_path / "a.csv", {}, {"BilledCost": "7"}), ledger)
    assert (back.added, back.reversed) == (1, 1)
    assert total(ledger) == Decimal("8.25")


def test_a_killed_import_goes_on_where_it_stopped(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("farthing.ingest.importers.focus.ROWS", 2)
    path = bill(tmp_path / "a.csv", *({"BilledCost": str(n)} for n in range(1, 6)))

    class Dying:
        def __init__(self, facts):
            self.facts, self.left = facts, 1

        def __getattr__(self, name):
            return getattr(self.facts, name)

        def append_charges(self, *args, **more):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            return self.facts.append_charges(*args, **more)

    with pytest.raises(KeyboardInterrupt):
        ingest(path, Dying(ledger))
    report = ingest(path, ledger)
    assert (report.added, report.unchanged, report.reversed) == (3, 2, 0)
    assert total(ledger) == Decimal(15)


def test_rows_that_cannot_be_counted_are_rejected_by_line_and_reason(ledger, tmp_path):
    path = bill(
        tmp_path / "a.csv",
        {"BilledCost": "twelve"},
        {"ChargeDescription": "two\nlines"},
        {"ChargePeriodStart": "yesterday"},
        {"BillingCurrency": "dollars"},
        {},
    )
    with path.open("a") as file:
        file.write("only,three,cells\n")
    report = ingest(path, ledger)
    assert (report.added, report.rejected) == (2, 4)
    assert [(r.line, r.field) for r in report.rejects] == [
        (2, "BilledCost"), (5, "ChargePeriodStart"), (6, "BillingCurrency"), (8, "row"),
    ]  # fmt: skip
    assert report.rejects[0].value == "twelve"
    assert total(ledger) == Decimal("2.50")


def test_a_known_bill_with_unreadable_rows_changes_nothing(ledger, tmp_path):
    ingest(bill(tmp_path / "a.csv", {}, {"BilledCost": "7"}), ledger)
    with pytest.raises(InputError, match="line 3 .* nothing was changed"):
        ingest(bill(tmp_path / "a.csv", {}, {"BilledCost": "x"}), ledger)
    assert total(ledger) == Decimal("8.25")


def test_a_dry_run_writes_nothing(ledger, tmp_path):
    report = ingest(bill(tmp_path / "a.csv", {}), ledger, dry_run=True)
    assert report.added == 1
    assert ledger.last_version("charges", "focus:a.csv") is None


def test_gpu_rows_teams_and_foreign_columns_are_found(ledger, tmp_path):
    tags = json.dumps({"user:Team": "research", "env": "prod"})
    ingest(bill(tmp_path / "a.csv", {"Tags": tags, "x_Whatever": "kept", "MyColumn": "mine"}), ledger)
    ledger.refresh_rollups()
    rows = ledger.spend(SpendQuestion(window=Window(), by=("accelerator", "team", "environment"))).rows
    assert [r.keys for r in rows] == [{"accelerator": "H100-80GB", "team": "research", "environment": "prod"}]
    charge = ledger.charges("focus:a.csv", ledger.charge_ids("focus:a.csv")).to_pylist()[0]
    assert json.loads(charge["x_Columns"]) == {"x_Whatever": "kept", "MyColumn": "mine"}
    assert charge["x_SourceRow"] == 2


def test_gzip_and_parquet_say_the_same_as_csv(ledger, tmp_path):
    path = bill(tmp_path / "a.csv", {"BilledCost": "0.1"}, {"BilledCost": "0.2"})
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    rows = [{**BASE, "BilledCost": 0.1}, {**BASE, "BilledCost": 0.2}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for file in (path, packed, tmp_path / "a.parquet"):
        assert ingest(file, ledger).billed == {"USD": Decimal("0.3")}, file


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no importer recognizes"),
        (b"a,b,c\n1,2,3\n", "no importer recognizes"),
        (b"\x00\xff\xfe", "no importer recognizes"),
        (b"PAR1 but no parquet", "no importer recognizes"),
    ],
)
def test_strange_files_are_refused_by_name(ledger, tmp_path, content, message):
    path = tmp_path / "strange"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        ingest(path, ledger)


def test_a_file_that_breaks_off_is_refused_and_says_where(ledger, tmp_path):
    path = bill(tmp_path / "a.csv", {}, {})
    path.write_bytes(path.read_bytes().rstrip() + b'\n"an open quote')
    with pytest.raises(InputError, match="line 4"):
        ingest(path, ledger)
    packed = tmp_path / "b.csv.gz"
    whole = gzip.compress(bill(tmp_path / "b.csv", *[{"BilledCost": str(i)} for i in range(4000)]).read_bytes())
    packed.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="breaks off or is damaged"):
        ingest(packed, ledger)


def test_missing_and_doubled_columns_are_named(ledger, tmp_path):
    rows = [{k: v for k, v in BASE.items() if k != "BillingCurrency"}]
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        sheet = csv.DictWriter(file, list(rows[0]))
        sheet.writeheader()
        sheet.writerows(rows)
    with pytest.raises(InputError, match="BillingCurrency"):
        ingest(path, ledger, importer="focus")
    path.write_text("ContractCommitmentId,BillingCurrency\n1,USD\n")
    with pytest.raises(InputError, match="contract commitment"):
        ingest(path, ledger, importer="focus")


def test_two_imports_of_one_bill_at_once_conflict(ledger, tmp_path):
    path = bill(tmp_path / "a.csv", {})

    class Late:
        def __getattr__(self, name):
            return getattr(ledger, name)

        def last_version(self, table, source):
            version = ledger.last_version(table, source)
            ingest(path, ledger)
            return version

    with pytest.raises(ConflictError, match="at the same time"):
        ingest(path, Late())
    assert total(ledger) == Decimal("1.25")


@pytest.mark.parametrize("name", sorted(importers().load()))
def test_every_importer_is_named_documented_and_calm(name, tmp_path):
    importer = importers().get(name)
    assert importer.name == name
    assert (type(importer).__doc__ or "").strip()
    empty = tmp_path / "empty"
    empty.touch()
    assert importer.detects(empty) is False


def test_amounts_finer_than_the_ledger_are_rounded_once_and_said_so(ledger, tmp_path):
    path = bill(tmp_path / "a.csv", {"BilledCost": "0.0000000000015"}, {"BilledCost": "1.100000000000000"})
    report = ingest(path, ledger)
    assert report.billed == {"USD": Decimal("1.100000000002")}
    assert report.warnings["BilledCost: more than 12 decimals, rounded half to even"] == 1


def test_the_real_sample_is_exact_and_its_gpus_are_found(ledger):
    path = SHARED / "focus_1_0_real_sample.csv"
    if not path.exists():
        pytest.skip("the evaluation data is not beside the checkout")
    ingest(path, ledger)
    ledger.refresh_rollups()
    rows = ledger.spend(SpendQuestion(window=Window(), by=("accelerator",), basis="billed")).rows
    gpus = {r.keys["accelerator"]: r.charges for r in rows if r.keys["accelerator"]}
    with path.open(newline="") as file:
        whole = sum((Decimal(r["BilledCost"]) for r in csv.DictReader(file)), Decimal(0))
    assert sum((r.cost for r in rows), Decimal(0)) == whole
    assert gpus, "the sample holds GPU instances"


SHARED = Path(__file__).parents[2].parent / "shared/data/billing"


@pytest.mark.skipif(not SHARED.exists(), reason="the evaluation data is not beside the checkout")
@pytest.mark.parametrize("name", sorted(p.name for p in SHARED.glob("focus_*.csv") if "contract" not in p.name))
def test_published_samples_import_to_their_own_totals(ledger, name):
    with (SHARED / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected: dict[str, Decimal] = {}
    for row in rows:
        currency = row["BillingCurrency"]
        billed = Decimal(row["BilledCost"]).quantize(LEDGER_PLACES)
        expected[currency] = expected.get(currency, Decimal(0)) + billed
    report = ingest(SHARED / name, ledger)
    assert (report.rows, report.rejected, report.billed) == (len(rows), 0, expected)
    assert ingest(SHARED / name, ledger).unchanged == len(rows)
    ledger.refresh_rollups()
    answer = ledger.spend(SpendQuestion(window=Window(), basis="billed"))
    assert {answer.currency: answer.total.cost, **answer.other_currencies} == expected
