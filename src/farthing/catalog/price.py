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
from farthing.core.units import INPUT, REQUEST, Count, Unit, Usage, inside_out


def price(usage: Usage, offer: Offer, at: datetime) -> Quote:
    """What ``usage`` costs on ``offer``, itemised, in the offer's currency, exact.

    The rate of a leaf is the most specific one whose unit contains it. A rate with ``above`` holds
    for the whole usage once the total of ``token.input`` exceeds it. Where an offer charges per
    request, a usage that counts no requests is one request; where it does not, requests are free.

    A provider's report may be nonsense and a price may be missing: then the total is ``Unpriced``
    with the reason, and the lines show what could be priced. This function never raises for
    either. ``at`` is only noted in the quote; ``price_at`` chooses the variant that holds then.
    """
    found = bill(usage, offer)
    if isinstance(found, Unpriced):
        return Quote(offer=offer.id, at=at, total=found)
    currency = found.currency
    lines = tuple([QuoteLine(unit, count, rate, Money(amount, currency)) for unit, count, rate, amount in found.items])
    return Quote(offer=offer.id, at=at, lines=lines, total=found.missing or Money(found.total, currency))


Item = tuple[Unit, Count, Rate, Decimal]
"""A leaf, its quantity, its rate and the exact amount."""


class Bill(msgspec.Struct, frozen=True, gc=False):
    """What ``price`` says, as bare numbers for the request path.

    ``total`` sums the items; ``missing`` says why it is not the whole price, ``None`` when it is.
    """

    items: list[Item]
    total: Decimal
    currency: str
    missing: Unpriced | None


def bill(usage: Usage, offer: Offer) -> Bill | Unpriced:
    """The items of a usage on an offer; a reason when nothing can be itemised. Never raises.

    How units nest and which rate fits which is worked out once per offer and set of units. What is left
    for each usage is one pass from the innermost units outwards: subtract, multiply, add.
    """
    if not offer.prices:
        return _contradiction(usage, f"no price of {offer.id} is known")
    counts = usage.counts
    plan = _plan(offer, tuple(counts))
    steps = plan.steps[sum([usage[INPUT] > start for start in plan.bands]) if plan.bands else 0]
    quantities = [*counts.values(), 1]
    items: list[Item] = []
    total, missing = _ZERO, None
    multiply, add = EXACT.multiply, EXACT.add
    for unit, index, parts, rate in steps:
        quantity = quantities[index]
        for part in parts:
            quantity -= quantities[part]
        if quantity < 0:
            return _contradiction(usage, "its counts contradict each other")
        quantities[index] = quantity
        if not quantity or rate is None:
            continue
        if isinstance(rate, Unpriced):
            missing = missing or rate
            continue
        amount = multiply(rate.each, quantity) if rate.exact else rate.rate.times(quantity).amount
        items.append((unit, quantity, rate.rate, amount))
        total = add(total, amount)
    return Bill(items, total, offer.prices[0].rate.currency, missing)


def price_at(usage: Usage, offers: Sequence[Offer], at: datetime) -> Quote:
    """The price under the variant of one offer that holds at an instant (see ``variant_at``)."""
    offer = variant_at(offers, at)
    if offer is None:
        return Quote(offer=_names(offers), at=at, total=_no_variant(offers, at))
    return price(usage, offer, at)


def bill_at(usage: Usage, offers: Sequence[Offer], at: datetime) -> Bill | Unpriced:
    """The bill under the variant of one offer that holds at an instant."""
    offer = variant_at(offers, at)
    return _no_variant(offers, at) if offer is None else bill(usage, offer)


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


_Step = tuple[Unit, int, tuple[int, ...], _Fit | Unpriced | None]
"""A unit, the index of its count, those of the parts inside it, and its rate; ``None`` for requests that are free."""


class _Plan(msgspec.Struct, frozen=True, gc=False):
    """How some units are priced on one offer, per context band, the innermost units first.

    ``bands`` are the ascending thresholds; ``steps[i]`` holds when ``i`` of them are exceeded. Where the offer
    charges per request and none was counted, the last step prices the one that the counts stand for.
    """

    bands: tuple[int, ...]
    steps: tuple[tuple[_Step, ...], ...]


_ZERO = Decimal(0)


def _contradiction(usage: Usage, otherwise: str) -> Unpriced:
    """Why a usage has no leaves, if it has none."""
    try:
        usage.leaves()
    except UsageError as problem:
        return Unpriced(str(problem))
    return Unpriced(otherwise)


@lru_cache(maxsize=8192)
def _plan(offer: Offer, units: tuple[Unit, ...]) -> _Plan:
    bands = tuple(sorted({p.above for p in offer.prices if p.above}))
    nesting = [(units[index], index, parts) for index, parts in inside_out(units)]
    if REQUEST not in units and any(p.unit == REQUEST for p in offer.prices):
        nesting.append((REQUEST, len(units), ()))
    steps = [tuple((u, i, parts, _rate(offer, u, context)) for u, i, parts in nesting) for context in (0, *bands)]
    return _Plan(bands, tuple(steps))


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


def _names(offers: Sequence[Offer]) -> str:
    return ", ".join(sorted({o.id for o in offers})) or "any offer"


def _no_variant(offers: Sequence[Offer], at: datetime) -> Unpriced:
    return Unpriced(f"no price of {_names(offers)} holds at {at.isoformat()}")


def _holds(offer: Offer, at: datetime) -> bool:
    return at in offer.effective and (offer.daily is None or at in offer.daily)


def _precedence(offer: Offer) -> tuple[bool, datetime]:
    return offer.daily is not None, offer.effective.start or _BEGINNING


_BEGINNING = datetime.min.replace(tzinfo=UTC)

__all__ = ["Bill", "Item", "bill", "bill_at", "price", "price_at", "variant_at"]
