from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from farthing.ledger import focus
from farthing.ledger.validate import ESSENTIAL, validate

GOOD = {
    "BilledCost": Decimal("1.5"),
    "EffectiveCost": Decimal("1.25"),
    "ListCost": Decimal(2),
    "ContractedCost": Decimal(2),
    "BillingCurrency": "USD",
    "ChargePeriodStart": datetime(2026, 5, 1, tzinfo=UTC),
    "ChargePeriodEnd": datetime(2026, 5, 1, 1, tzinfo=UTC),
    "BillingPeriodStart": datetime(2026, 5, 1, tzinfo=UTC),
    "BillingPeriodEnd": datetime(2026, 6, 1, tzinfo=UTC),
    "ChargeCategory": "Usage",
    "ChargeClass": None,
    "ChargeDescription": None,
    "ProviderName": "AWS",
    "PublisherName": "AWS",
    "InvoiceIssuerName": "AWS",
    "BillingAccountId": "1",
    "BillingAccountName": "main",
    "ServiceName": "EC2",
    "ServiceCategory": "Compute",
    "PricingQuantity": Decimal(1),
    "PricingUnit": "Hours",
}


def batch(**changes):
    row = {**GOOD, **changes}
    return pa.Table.from_pylist([row], schema=pa.schema([f for f in focus.arrow_schema() if f.name in row]))


@pytest.mark.parametrize(("version", "count"), [("1.0", 43), ("1.1", 50), ("1.2", 57), ("1.3", 65), ("1.4", 65)])
def test_each_version_has_its_columns(version, count):
    assert len(focus.columns_of(version)) == count


def test_names_are_unique_and_extensions_are_marked():
    names = [c.name for c in focus.COLUMNS]
    assert len(names) == len(set(names))
    assert all((c.level == "extension") == c.name.startswith("x_") for c in focus.COLUMNS)


def test_money_keeps_twelve_decimals_and_quantities_more():
    schema = focus.arrow_schema()
    assert schema.field("BilledCost").type == pa.decimal128(38, 12)
    assert schema.field("ConsumedQuantity").type == pa.decimal128(38, 18)
    assert schema.field("ChargePeriodStart").type == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    ("names", "version"),
    [
        (["BilledCost", "ProviderName"], "1.0"),
        (["SkuMeter"], "1.1"),
        (["InvoiceId", "x_Mine", "Unheard"], "1.2"),
        (["ProviderName", "HostProviderName"], "1.3"),
        (["InvoiceDetailId"], "1.4"),
    ],
)
def test_the_version_of_a_bill_is_read_off_its_columns(names, version):
    assert focus.guess_version(names) == version


def test_a_good_row_has_no_findings():
    assert validate(batch(), version="1.0") == []


@pytest.mark.parametrize(
    ("changes", "column", "rule", "fatal"),
    [
        ({"BilledCost": None}, "BilledCost", "null", True),
        ({"ServiceName": None}, "ServiceName", "null", False),
        ({"ChargeCategory": "Gift"}, "ChargeCategory", "not_allowed", False),
        ({"ServiceCategory": "Snacks"}, "ServiceCategory", "not_allowed", False),
        ({"ListUnitPrice": Decimal("-0.1")}, "ListUnitPrice", "negative", False),
        ({"BillingCurrency": "usd"}, "BillingCurrency", "currency", True),
        ({"ChargePeriodEnd": datetime(2026, 4, 1, tzinfo=UTC)}, "ChargePeriodEnd", "period", True),
    ],
)
def test_a_bad_value_is_found(changes, column, rule, fatal):
    (found,) = validate(batch(**changes), version="1.0")
    assert (found.column, found.rule, found.rows, found.fatal) == (column, rule, (0,), fatal)


def test_a_missing_column_is_found_and_essential_ones_are_fatal():
    found = {f.column: f.fatal for f in validate(batch().drop_columns(["BilledCost", "PricingUnit"]), version="1.0")}
    assert found == {"BilledCost": True, "PricingUnit": False}
    assert "BilledCost" in ESSENTIAL


def test_record_batches_are_checked_like_tables():
    record_batch = batch(ServiceName=None).to_batches()[0]
    assert [f.column for f in validate(record_batch, version="1.0")] == ["ServiceName"]


def test_the_reference_has_a_row_for_every_column():
    rows = list(focus.reference())
    assert [r[0] for r in rows] == [c.name for c in focus.COLUMNS]
    assert all(r[-1] for r in rows)
    assert next(r[4] for r in rows if r[0] == "ProviderName") == "1.0 – before 1.4"
