"""Where price sources disagree about the same model."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from farthing.catalog.price import variant_at
from farthing.core.nouns import Offer, Terms
from farthing.core.units import Unit

_MILLION = 1_000_000


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Two sources name different prices for one unit of one model, in dollars per million.

    ``above`` is the context band.
    """

    offer: str
    unit: Unit
    above: int
    source: str
    primary: Decimal
    other: Decimal

    @property
    def percent(self) -> float | None:
        """How much ``other`` lies above ``primary``; ``None`` when the primary price is zero."""
        return float((self.other - self.primary) / self.primary * 100) if self.primary else None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How one source compares: models known to both, prices compared, and those that differ."""

    source: str
    models: int
    prices: int
    differences: tuple[Difference, ...]


def compare(primary: Iterable[Offer], other: Iterable[Offer], source: str, at: datetime) -> Comparison:
    """Prices of models that both sources know, on demand, as they hold at an instant.

    Models are matched by provider and normalized name; a unit or band that only one source prices is no
    difference.
    """
    ours, theirs = _by_model(primary, at), _by_model(other, at)
    shared = sorted(ours.keys() & theirs.keys())
    compared, found = 0, list[Difference]()
    for model in shared:
        mine, its = _amounts(ours[model]), _amounts(theirs[model])
        for unit, above in sorted(mine.keys() & its.keys()):
            compared += 1
            if mine[unit, above] != its[unit, above]:
                found.append(
                    Difference(
                        offer=ours[model].id,
                        unit=unit,
                        above=above,
                        source=source,
                        primary=mine[unit, above],
                        other=its[unit, above],
                    )
                )
    return Comparison(source=source, models=len(shared), prices=compared, differences=tuple(found))


def _by_model(offers: Iterable[Offer], at: datetime) -> Mapping[str, Offer]:
    variants: dict[str, list[Offer]] = {}
    for offer in offers:
        if offer.terms is Terms.ON_DEMAND and offer.daily is None and ":" not in offer.product.rpartition("/")[2]:
            variants.setdefault(offer.id, []).append(offer)
    holding = (variant_at(found, at) for found in variants.values())
    return {f"{o.provider}/{_normal(o.product)}": o for o in holding if o is not None and o.prices}


def _normal(product: str) -> str:
    return re.sub(r"-latest$", "", re.sub(r"[._\s]+", "-", product.lower()))


def _amounts(offer: Offer) -> dict[tuple[Unit, int], Decimal]:
    return {(p.unit, p.above): p.rate.times(_MILLION).amount for p in offer.prices if p.unit.measure == "token"}
