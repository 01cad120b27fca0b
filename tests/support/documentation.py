"""The project's pages as tests read them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


BILL = """\
BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,\
BillingPeriodStart,BillingPeriodEnd,ChargeCategory,ProviderName,PublisherName,InvoiceIssuerName,BillingAccountId,\
ServiceName,ServiceCategory,PricingQuantity,PricingUnit,SkuId
98.32,98.32,98.32,98.32,USD,2026-10-01T00:00:00Z,2026-10-02T00:00:00Z,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,\
Usage,AWS,AWS,AWS,1,Amazon Elastic Compute Cloud,Compute,1,Hours,p5.48xlarge
"""
"""What the pages call ``bill.csv``."""


class Block(NamedTuple):
    """A fenced example: where it stands, its language, its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> Iterator[tuple[str, str]]:
        """Each command of a console, and the output shown below it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command.split("   # ")[0].strip(), output


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(language: str, page: Path | None = None) -> list[Block]:
    """All examples in a language, of one page or of all."""
    found = []
    for path in [page] if page else PAGES:
        text = path.read_text(encoding="utf-8")
        found += [Block(name(path), text.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in _FENCE.finditer(text)]
    return [block for block in found if block.language == language]
