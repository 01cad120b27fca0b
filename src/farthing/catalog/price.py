"""The one price function. Nobody else multiplies a price.

A usage is split into disjoint leaves, each leaf takes the most specific rate that covers it, and
the total is the exact sum. What has no rate makes the total ``Unpriced``; it never counts as zero.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

import msgspec

from farthing.core.errors import UsageError
from farthing.core.money import EXACT, Money, Rate, Unpriced
from farthing.core.nouns import Offer, Quote, QuoteLine
from farthing.core.units import INPUT, REQUEST, Count, Unit, Usage


def price(usage: Usage, offer: Offer, at: datetime) -> Quote:
    """What ``usage`` costs on ``offer``, itemised, in the offer's currency, exact.

    The rate of a leaf is the most specific one whose unit contains it. A rate with ``above`` holds
    for the whole usage once the total of ``token.input`` exceeds it. Where an offer charges per
    request, a usage that counts no requests is one request; where it does not, requests are free.

    A provider's report may be nonsense and a price may be missing: then the total is ``Unpriced``
    with the reason, and the lines show what could be priced. This function never raises for
    either. ``at`` is only noted in the quote; ``price_at`` chooses the variant that holds then.
    """
    try:
        leaves = usage.leaves()
    except UsageError as problem:
        return Quote(offer=offer.id, at=at, total=Unpriced(str(problem)))
    if not offer.prices:
        return Quote(offer=offer.id, at=at, total=Unpriced(f"no price of {offer.id} is known"))
    plan = _plan(offer, tuple(leaves))
    if plan.per_request and REQUEST not in usage.counts:
        leaves = {**leaves, REQUEST: 1}
        plan = _plan(offer, tuple(leaves))
    band = _band(plan.bands, usage[INPUT]) if plan.bands else 0
    return _itemised(offer, at, leaves, plan.fits[band])


def price_at(usage: Usage, offers: Sequence[Offer], at: datetime) -> Quote:
    """The price under the variant of one offer that holds at an instant (see ``variant_at``)."""
    offer = variant_at(offers, at)
    if offer is None:
        names = ", ".join(sorted({o.id for o in offers})) or "any offer"
        return Quote(offer=names, at=at, total=Unpriced(f"no price of {names} holds at {at.isoformat()}"))
    return price(usage, offer, at)


def variant_at(offers: Sequence[Offer], at: datetime) -> Offer | None:
    """The variant that holds at an instant: daily hours win over all-day prices, then the later start."""
    if len(offers) == 1:
        only = offers[0]
        return only if _holds(only, at) else None
    holding = [o for o in offers if _holds(o, at)]
    return max(holding, key=_precedence) if holding else None


class _Fit(msgspec.Struct, frozen=True, gc=False):
    """A rate with the price of one unit, when that is a finite decimal (an hour's price per second is not)."""

    rate: Rate
    each: Decimal
    exact: bool


class _Plan(msgspec.Struct, frozen=True, gc=False):
    """Rates of some leaves on one offer, per context band.

    ``bands`` are the ascending thresholds; ``fits[i]`` holds when ``i`` of them are exceeded.
    """

    bands: tuple[int, ...]
    fits: tuple[tuple[_Fit | Unpriced | None, ...], ...]
    per_request: bool


def _itemised(
    offer: Offer, at: datetime, leaves: dict[Unit, Count], rates: tuple[_Fit | Unpriced | None, ...]
) -> Quote:
    lines: list[QuoteLine] = []
    running, currency, missing = _ZERO, offer.prices[0].rate.currency, None
    multiply, add = EXACT.multiply, EXACT.add
    for (unit, quantity), rate in zip(leaves.items(), rates, strict=True):
        if rate is None:
            continue
        if isinstance(rate, Unpriced):
            missing = missing or rate
            continue
        amount = multiply(rate.each, quantity) if rate.exact else rate.rate.times(quantity).amount
        lines.append(QuoteLine(unit, quantity, rate.rate, Money(amount, currency)))
        running = add(running, amount)
    return Quote(offer=offer.id, at=at, lines=tuple(lines), total=missing or Money(running, currency))


_ZERO = Decimal(0)


def _band(bands: tuple[int, ...], context: Count) -> int:
    return sum(context > start for start in bands)


@lru_cache(maxsize=8192)
def _plan(offer: Offer, units: tuple[Unit, ...]) -> _Plan:
    bands = tuple(sorted({p.above for p in offer.prices if p.above}))
    fits = tuple(tuple(_rate(offer, unit, context) for unit in units) for context in (0, *bands))
    return _Plan(bands, fits, any(p.unit == REQUEST for p in offer.prices))


def _rate(offer: Offer, unit: Unit, band: int) -> _Fit | Unpriced | None:
    """The rate of one leaf once the context exceeds ``band``; ``None`` for requests that are free."""
    by_unit: dict[Unit, tuple[int, Rate]] = {}
    for candidate in offer.prices:
        fits = candidate.above <= band and candidate.unit.contains(unit)
        if fits and candidate.above >= by_unit.get(candidate.unit, (0, None))[0]:
            by_unit[candidate.unit] = (candidate.above, candidate.rate)
    innermost = [u for u in by_unit if not any(u != o and u.contains(o) for o in by_unit)]
    if len(innermost) == 1:
        return _fit(by_unit[innermost[0]][1])
    if not innermost:
        return None if unit == REQUEST else Unpriced(f"{offer.id} has no price for {unit.name}")
    names = " and ".join(sorted(u.name for u in innermost))
    return Unpriced(f"{offer.id} prices {names}, and {unit.name} is both")


def _fit(rate: Rate) -> _Fit:
    each = EXACT.divide(rate.amount, rate.per)
    return _Fit(rate, each, EXACT.multiply(each, rate.per) == rate.amount)


def _holds(offer: Offer, at: datetime) -> bool:
    return at in offer.effective and (offer.daily is None or at in offer.daily)


def _precedence(offer: Offer) -> tuple[bool, datetime]:
    return offer.daily is not None, offer.effective.start or _BEGINNING


_BEGINNING = datetime.min.replace(tzinfo=UTC)

__all__ = ["price", "price_at", "variant_at"]
