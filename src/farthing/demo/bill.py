"""A sample cloud bill of the demo's company: FOCUS 1.2 CSV with the GPU machines behind its own models.

Costs are the machines' catalogue prices times the hours, from the one price function.
"""

import csv
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec

from farthing.catalog.price import price
from farthing.core.errors import InputError
from farthing.core.money import Money
from farthing.core.nouns import Offer, Terms
from farthing.core.units import HOUR, Usage

_ISSUERS = {"aws": ("AWS", "Amazon Elastic Compute Cloud"), "azure": ("Microsoft", "Virtual Machines"),
            "gcp": ("Google Cloud", "Compute Engine")}  # fmt: skip


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A rented machine: what it is, whose it is and how many hours a day it runs."""

    offer: Offer
    name: str
    team: str
    hours: int


def write(path: Path, machines: Sequence[Machine], *, until: datetime, days: int, dice: Random) -> Decimal:
    """Write the bill of the whole days before ``until`` and return its billed total in USD."""
    midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [
        _row(machine, midnight - timedelta(days=back), max(1, min(24, machine.hours + dice.randint(-2, 2))))
        for back in range(days, 0, -1)
        for machine in machines
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        sheet = csv.DictWriter(file, list(rows[0]))
        sheet.writeheader()
        sheet.writerows(rows)
    return sum((Decimal(row["BilledCost"]) for row in rows), Decimal(0))


def _row(machine: Machine, day: datetime, hours: int) -> dict[str, str]:
    offer = machine.offer
    cost = price(Usage({HOUR: hours}), offer, day).total
    if not isinstance(cost, Money):
        raise InputError("the sample bill needs a priced machine", field="offer", value=offer.id)
    issuer, service = _ISSUERS.get(offer.provider, (offer.provider.title(), "GPU cloud"))
    month = day.replace(day=1)
    after = (month + timedelta(days=32)).replace(day=1)
    amount = f"{cost.amount:f}"
    return {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), amount),
        "BillingAccountId": f"demo-{offer.provider}",
        "BillingAccountName": "Demo Company",
        "BillingCurrency": cost.currency,
        "BillingPeriodStart": _iso(month),
        "BillingPeriodEnd": _iso(after),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{offer.product} {offer.terms.replace('_', ' ')} in {offer.region}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _iso(day),
        "ChargePeriodEnd": _iso(day + timedelta(days=1)),
        "ConsumedQuantity": str(hours),
        "ConsumedUnit": "Hours",
        "InvoiceIssuerName": issuer,
        "ListUnitPrice": f"{offer.prices[0].rate.amount:f}",
        "PricingCategory": "Dynamic" if offer.terms is Terms.SPOT else "Standard",
        "PricingQuantity": str(hours),
        "PricingUnit": "Hours",
        "ProviderName": issuer,
        "PublisherName": issuer,
        "RegionId": offer.region,
        "ResourceId": f"demo/{machine.name}",
        "ResourceName": machine.name,
        "ResourceType": "Instance",
        "ServiceCategory": "Compute",
        "ServiceName": service,
        "SkuId": offer.product,
        "SubAccountId": "demo-production",
        "Tags": msgspec.json.encode(
            {"team": machine.team, "environment": "production"} if machine.team else {}
        ).decode(),
    }


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
