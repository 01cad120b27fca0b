"""The columns of a charge: FOCUS 1.0 to 1.4 and Farthing's own, in one place.

Storage schema, validation and the reference table in the docs derive from ``COLUMNS``. Names, types,
levels and versions are those of the FinOps Open Cost and Usage Specification (focus.finops.org,
"Cost and Usage" dataset, read at version 1.4 of June 2026); the descriptions are ours. FOCUS has no
columns for models, tokens or accelerators, so those carry its ``x_`` prefix for extensions.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from farthing.ledger.arrow import arrow
from farthing.ledger.vocabulary import (
    CHARGE_CATEGORIES,
    CHARGE_FREQUENCIES,
    PRICING_CATEGORIES,
    SERVICE_CATEGORIES,
    SERVICE_SUBCATEGORIES,
)  # fmt: skip

if TYPE_CHECKING:
    import pyarrow as pa

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4")
NEWEST = VERSIONS[-1]

Type = Literal["string", "money", "decimal", "instant", "json", "tags", "integer", "boolean"]
"""``money`` keeps 12 decimals, ``decimal`` (quantities and unit prices) 18; ``json`` is text, ``tags`` a map."""

Level = Literal["mandatory", "conditional", "recommended", "extension"]
"""FOCUS feature level; ``extension`` marks ``x_`` columns."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a charge.

    ``since`` is the FOCUS version that brought it and ``until`` the first that no longer has it
    (empty: still there). ``nullable`` is what FOCUS allows a present column to hold. ``allowed``
    lists the only values it may have, empty for free text; ``minimum`` is 0 for unit prices.
    """

    name: str
    type: Type
    level: Level
    nullable: bool
    meaning: str
    since: str = "1.0"
    until: str = ""
    allowed: tuple[str, ...] = ()
    minimum: int | None = None
    currency: bool = False

    def in_version(self, version: str) -> bool:
        """Whether a FOCUS version has this column; extensions are in all of them."""
        if self.level == "extension":
            return True
        return _rank(self.since) <= _rank(version) and (not self.until or _rank(version) < _rank(self.until))


def _rank(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _mandatory(name: str, type: Type, meaning: str, **rest: Any) -> Column:
    return Column(
        name=name, type=type, level="mandatory", meaning=meaning, nullable=rest.pop("nullable", False), **rest
    )


def _conditional(name: str, type: Type, meaning: str, **rest: Any) -> Column:
    return Column(
        name=name, type=type, level="conditional", meaning=meaning, nullable=rest.pop("nullable", True), **rest
    )


def _recommended(name: str, type: Type, meaning: str, **rest: Any) -> Column:
    return Column(
        name=name, type=type, level="recommended", meaning=meaning, nullable=rest.pop("nullable", True), **rest
    )


def _own(name: str, type: Type, meaning: str) -> Column:
    return Column(name=name, type=type, level="extension", meaning=meaning, nullable=True)


FOCUS: tuple[Column, ...] = (
    # Cost
    _mandatory("BilledCost", "money", "What the invoice of this billing period asks for"),
    _mandatory("EffectiveCost", "money", "Cost with prepaid commitments spread over what used them"),
    _mandatory("ListCost", "money", "Cost at public prices, before any discount"),
    _mandatory("ContractedCost", "money", "Cost at negotiated unit prices, before commitment discounts"),
    _mandatory("BillingCurrency", "string", "Currency of the four costs (ISO 4217)", currency=True),
    _conditional("ListUnitPrice", "decimal", "Public price of one pricing unit", minimum=0),
    _conditional("ContractedUnitPrice", "decimal", "Negotiated price of one pricing unit", minimum=0),
    # Time
    _mandatory("ChargePeriodStart", "instant", "First instant the charge covers"),
    _mandatory("ChargePeriodEnd", "instant", "First instant the charge no longer covers"),
    _mandatory("BillingPeriodStart", "instant", "First instant of the invoice period"),
    _mandatory("BillingPeriodEnd", "instant", "First instant after the invoice period"),
    # Charge
    _mandatory("ChargeCategory", "string", "Kind of charge", allowed=CHARGE_CATEGORIES),
    _mandatory(
        "ChargeClass",
        "string",
        "Set when an earlier, closed period is corrected",
        nullable=True,
        allowed=("Correction",),
    ),
    _mandatory("ChargeDescription", "string", "The provider's own words for the charge", nullable=True),
    _recommended(
        "ChargeFrequency", "string", "How often such a charge occurs", nullable=False, allowed=CHARGE_FREQUENCIES
    ),
    # Who sells and who bills
    _mandatory("ProviderName", "string", "Who offers the service (replaced by ServiceProviderName)", until="1.4"),
    _mandatory("PublisherName", "string", "Who made the service (replaced by HostProviderName)", until="1.4"),
    _mandatory("ServiceProviderName", "string", "Who offers the service to the buyer", since="1.3"),
    _mandatory("HostProviderName", "string", "Whose infrastructure it runs on", nullable=True, since="1.3"),
    _mandatory("InvoiceIssuerName", "string", "Who sends the invoice"),
    _conditional("InvoiceId", "string", "The invoice the charge appears on", since="1.2"),
    _conditional("InvoiceDetailId", "string", "The line of that invoice", since="1.4"),
    # Accounts
    _mandatory("BillingAccountId", "string", "Account that is invoiced"),
    _mandatory("BillingAccountName", "string", "Its name", nullable=True),
    _conditional("BillingAccountType", "string", "The provider's term for it", nullable=False, since="1.2"),
    _conditional("SubAccountId", "string", "Account, subscription or project that used the service"),
    _conditional("SubAccountName", "string", "Its name"),
    _conditional("SubAccountType", "string", "The provider's term for it", since="1.2"),
    # Service
    _mandatory("ServiceName", "string", "The service as the provider names it"),
    _mandatory("ServiceCategory", "string", "Its main purpose", allowed=SERVICE_CATEGORIES),
    _recommended(
        "ServiceSubcategory",
        "string",
        "Its purpose in detail",
        nullable=False,
        since="1.1",
        allowed=SERVICE_SUBCATEGORIES,
    ),
    # Resource and place
    _conditional("ResourceId", "string", "Identifier of the thing that was used"),
    _conditional("ResourceName", "string", "Its display name"),
    _conditional("ResourceType", "string", "What sort of thing it is"),
    _conditional("Tags", "tags", "Keys and values set on the resource, after the provider's inheritance"),
    _conditional("RegionId", "string", "Region where it ran or was bought"),
    _conditional("RegionName", "string", "Its display name"),
    _recommended("AvailabilityZone", "string", "Isolated location inside the region"),
    # SKU, price and quantity
    _conditional("SkuId", "string", "Item of the price list"),
    _conditional("SkuMeter", "string", "What is metered of it", since="1.1"),
    _conditional("SkuPriceId", "string", "The price that applied to the item"),
    _conditional(
        "SkuPriceDetails", "json", "Properties of that price, such as instance type or GPU count", since="1.1"
    ),
    _conditional("PricingCategory", "string", "How the price came about", allowed=PRICING_CATEGORIES),
    _mandatory("PricingQuantity", "decimal", "Quantity the price multiplies", nullable=True),
    _mandatory("PricingUnit", "string", "Unit of that quantity", nullable=True),
    _conditional("ConsumedQuantity", "decimal", "Quantity that was used"),
    _conditional("ConsumedUnit", "string", "Unit of that quantity"),
    _conditional("PricingCurrency", "string", "Currency of the price list", nullable=False, since="1.2", currency=True),
    _conditional(
        "PricingCurrencyEffectiveCost", "money", "Effective cost in that currency", nullable=False, since="1.2"
    ),
    _conditional("PricingCurrencyListUnitPrice", "decimal", "List unit price in that currency", since="1.2", minimum=0),
    _conditional(
        "PricingCurrencyContractedUnitPrice", "decimal", "Contracted unit price in it", since="1.2", minimum=0
    ),
    # Commitments, reservations and contracts
    _conditional("CommitmentDiscountId", "string", "Commitment that covers the charge or is bought by it"),
    _conditional("CommitmentDiscountName", "string", "Its display name"),
    _conditional("CommitmentDiscountCategory", "string", "Promised in money or in use", allowed=("Spend", "Usage")),
    _conditional("CommitmentDiscountType", "string", "The provider's term for it"),
    _conditional("CommitmentDiscountStatus", "string", "Was the commitment used", allowed=("Used", "Unused")),
    _conditional("CommitmentDiscountQuantity", "decimal", "Amount of it bought or used", since="1.1"),
    _conditional("CommitmentDiscountUnit", "string", "Unit of that amount", since="1.1"),
    _conditional("CommitmentProgramEligibilityDetails", "json", "Commitment programs that could cover it", since="1.4"),
    _conditional("CapacityReservationId", "string", "Reserved capacity it ran in", since="1.1"),
    _conditional(
        "CapacityReservationStatus", "string", "Was that capacity used", since="1.1", allowed=("Used", "Unused")
    ),
    _conditional("ContractApplied", "json", "Contract commitments the charge counts towards", since="1.3"),
    # Allocation of shared cost
    _conditional("AllocatedMethodId", "string", "How a shared cost was split", since="1.3"),
    _recommended("AllocatedMethodDetails", "json", "Ratios and measures of the split", since="1.3"),
    _conditional("AllocatedResourceId", "string", "Who received this share", since="1.3"),
    _conditional("AllocatedResourceName", "string", "Its display name", since="1.3"),
    _conditional("AllocatedTags", "tags", "Keys and values of the receiver", since="1.3"),
)

EXTENSIONS: tuple[Column, ...] = (
    _own("x_Model", "string", "AI model that was used, by its catalogue name"),
    _own("x_Offer", "string", "Catalogue offer that the charge matches"),
    _own("x_Operation", "string", "What was asked of the model: chat, embeddings, …"),
    _own("x_Accelerator", "string", "GPU or other accelerator by its canonical name, such as H100-80GB"),
    _own("x_AcceleratorCount", "decimal", "How many of them one pricing unit has"),
    _own("x_InputTokens", "integer", "Input tokens that were not cached"),
    _own("x_CacheReadTokens", "integer", "Input tokens read from the provider's cache"),
    _own("x_CacheWriteTokens", "integer", "Input tokens written to the provider's cache"),
    _own("x_OutputTokens", "integer", "Output tokens that were not reasoning"),
    _own("x_ReasoningTokens", "integer", "Reasoning tokens"),
    _own("x_Org", "string", "Organization that pays"),
    _own("x_Team", "string", "Team that pays"),
    _own("x_Project", "string", "Project that pays"),
    _own("x_Environment", "string", "Environment, such as prod or dev"),
    _own("x_Feature", "string", "Product feature it was spent on"),
    _own("x_Customer", "string", "Customer it was spent on"),
    _own("x_User", "string", "User it was spent on"),
    _own("x_Key", "string", "API key that was used"),
    _own("x_ChargeId", "string", "Stable identity of the row in its source"),
    _own("x_Reversal", "boolean", "True where the row takes back an earlier one of the same x_ChargeId"),
    _own("x_Source", "string", "Importer and file or account the row came from"),
    _own("x_SourceRow", "integer", "Line or record in that source, from 1"),
    _own("x_FocusVersion", "string", "FOCUS version of the source, empty where it was converted"),
    _own("x_Columns", "json", "Columns of the source that have no place above, under their own names"),
)

COLUMNS: tuple[Column, ...] = FOCUS + EXTENSIONS
"""All columns of the ``charges`` table, in storage order."""


@lru_cache(maxsize=1)
def by_name() -> dict[str, Column]:
    """Columns by name."""
    return {column.name: column for column in COLUMNS}


def columns_of(version: str) -> list[Column]:
    """The FOCUS columns of one version, without extensions."""
    return [column for column in FOCUS if column.in_version(version)]


def guess_version(names: Iterable[str]) -> str:
    """The oldest FOCUS version that has all the given standard columns."""
    known = [by_name()[n] for n in names if n in by_name() and by_name()[n].level != "extension"]
    return next((v for v in VERSIONS if all(c.in_version(v) for c in known)), NEWEST)


def arrow_type(type: Type) -> "pa.DataType":
    """How a column type is stored."""
    pa = arrow()
    return {
        "string": pa.string(),
        "json": pa.string(),
        "money": pa.decimal128(38, 12),
        "decimal": pa.decimal128(38, 18),
        "instant": pa.timestamp("us", tz="UTC"),
        "tags": pa.map_(pa.string(), pa.string()),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
    }[type]


def arrow_schema() -> "pa.Schema":
    """Schema of a batch of charges. All fields are nullable in storage: what must be there is validated."""
    pa = arrow()
    return pa.schema([pa.field(column.name, arrow_type(column.type)) for column in COLUMNS])


def reference() -> Iterator[tuple[str, str, str, str, str, str]]:
    """Rows of the reference table: name, type, level, null allowed, versions, meaning."""
    for c in COLUMNS:
        span = "" if c.level == "extension" else f"{c.since} – {c.until and f'before {c.until}'}".rstrip(" –")
        yield c.name, c.type, c.level, "yes" if c.nullable else "no", span, c.meaning


__all__ = [
    "COLUMNS", "EXTENSIONS", "FOCUS", "NEWEST", "VERSIONS", "Column", "Level", "Type", "arrow_schema", "arrow_type",
    "by_name", "columns_of", "guess_version", "reference",
]  # fmt: skip
