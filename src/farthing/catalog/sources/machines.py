"""Machines, serverless GPUs and markets: dated tables kept with Farthing, one TOML file per provider.

A file names its provider, its ``[shapes]`` and blocks of ``[[prices]]`` that share terms, source and the day
they were read; each price lists the regions that charge it. ``[[rules]]`` derive a price for terms of which
none is known (reserved, spot) from the on-demand price of the same shape and region. Such offers carry the
tag ``rule-of-thumb``, and a real price always replaces them. Users' own tables have the same form.
"""

import hashlib
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.resources import files

import msgspec

from farthing.catalog.accelerator import memory_gb
from farthing.catalog.sources import Listing
from farthing.core.decode import convert
from farthing.core.errors import InputError
from farthing.core.money import EXACT, Rate, decimal_of
from farthing.core.nouns import ALWAYS, Capability, Kind, Offer, Price, Terms
from farthing.core.time import Window
from farthing.core.units import Unit

ESTIMATE = "rule-of-thumb"
"""Tag of an offer whose price nobody published for it."""
EVERYWHERE = "*"


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one unit of a product is. ``accelerator`` is a canonical name, ``memory_gb`` the host's."""

    accelerator: str = ""
    count: int = 0
    vcpus: Decimal | float = 0
    memory_gb: Decimal | float = 0


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices read together: shape → price → regions (``*`` is everywhere, ``region/zone`` one zone)."""

    terms: Terms
    source: str
    usd: dict[str, dict[str, list[str]]]
    checked: date | None = None
    start: date | None = None
    end: date | None = None
    tags: frozenset[str] = frozenset()


class Derivation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published rule: these terms cost ``discount`` (a fraction) less than on-demand."""

    terms: Terms
    discount: str
    source: str
    checked: date


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file."""

    provider: str
    shapes: dict[str, Shape]
    prices: list[Block]
    kind: Kind = Kind.MACHINE
    unit: str = "hour"
    tags: frozenset[str] = frozenset()
    rules: list[Derivation] = []


class Machines:
    """The feed ``machines``."""

    name = "machines"
    location = ""

    @property
    def version(self) -> str:
        """A digest of the tables."""
        return hashlib.sha256(b"".join(_shipped())).hexdigest()[:16]

    def fetch(self, location: str = "") -> bytes:
        """Nothing can be fetched: tables of one's own are files beside the refreshed feeds."""
        raise InputError(
            "tables of machines are not fetched",
            field="location",
            value=location,
            remedy="Put your own *.toml tables into the folder prices of the data folder",
        )

    def read(self, data: bytes, *, as_of: date | None = None) -> Listing:
        """Offers of one table."""
        del as_of  # a table carries its own dates
        return Listing(offers=tuple(_offers(_table(data))))

    def shipped(self, on: date) -> Listing:
        """Offers of all tables that come with Farthing."""
        del on
        return Listing(offers=tuple(offer for data in _shipped() for offer in _offers(_table(data))))


plugin = Machines()


def _shipped() -> list[bytes]:
    folder = files("farthing.catalog") / "data"
    return [f.read_bytes() for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".toml")]


def _table(data: bytes) -> Table:
    try:
        raw = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputError(f"not a TOML table: {problem}", field="machines", value=data[:80]) from None
    return convert(raw, Table, what="table of machines")


def _offers(table: Table) -> Iterator[Offer]:
    known = [offer for block in table.prices for offer in _of_block(table, block)]
    yield from known
    taken = {(o.product, o.region, o.zone, o.terms) for o in known}
    for rule in table.rules:
        yield from (
            _derived(o, rule)
            for o in known
            if o.terms is Terms.ON_DEMAND and (o.product, o.region, o.zone, rule.terms) not in taken
        )


def _of_block(table: Table, block: Block) -> Iterator[Offer]:
    unit = Unit.parse(table.unit)
    for product, by_price in block.usd.items():
        if product not in table.shapes:
            raise InputError("a price without a shape", field="prices", value=product, remedy="Add it to [shapes]")
        capability = _capability(table.shapes[product])
        for amount, places in by_price.items():
            price = Price(unit=unit, rate=Rate(decimal_of(amount, field=f"price of {product}")))
            for place in places:
                region, _, zone = ("", "", "") if place == EVERYWHERE else place.partition("/")
                yield Offer(
                    id=_id(table.provider, product, place, block.terms),
                    kind=table.kind,
                    provider=table.provider,
                    product=product,
                    prices=(price,),
                    region=region,
                    zone=zone,
                    tags=table.tags | block.tags,
                    terms=block.terms,
                    capability=capability,
                    effective=_window(block),
                    source=block.source,
                    checked=block.checked,
                )


def _derived(offer: Offer, rule: Derivation) -> Offer:
    keep = EXACT.subtract(Decimal(1), decimal_of(rule.discount, field="discount"))
    prices = tuple(
        msgspec.structs.replace(p, rate=Rate(EXACT.multiply(p.rate.amount, keep), p.rate.currency, p.rate.per))
        for p in offer.prices
    )
    place = "/".join(filter(None, (offer.region, offer.zone))) or EVERYWHERE
    return msgspec.structs.replace(
        offer,
        id=_id(offer.provider, offer.product, place, rule.terms),
        prices=prices,
        terms=rule.terms,
        tags=offer.tags | {ESTIMATE},
        source=rule.source,
        checked=rule.checked,
    )


def _id(provider: str, product: str, place: str, terms: Terms) -> str:
    at = "" if place == EVERYWHERE else f"@{place}"
    return f"{provider}/{product}{at}" + ("" if terms is Terms.ON_DEMAND else f":{terms}")


def _capability(shape: Shape) -> Capability:
    return Capability(
        accelerator=shape.accelerator,
        accelerators=shape.count,
        accelerator_memory_gb=memory_gb(shape.accelerator),
        vcpus=_exact(shape.vcpus),
        memory_gb=_exact(shape.memory_gb),
    )


def _exact(number: Decimal | float) -> Decimal:
    return Decimal(str(number))


def _window(block: Block) -> Window:
    if block.start is None and block.end is None:
        return ALWAYS
    start, end = (None if d is None else datetime.combine(d, time(), UTC) for d in (block.start, block.end))
    return Window(start=start, end=end)
