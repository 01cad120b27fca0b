"""Prices compiled for comparing many offers in one request.

A rate card is read off the quotes of ``catalog.price``: it knows no price of its own, and for plain input
and output tokens it says exactly what ``price_at`` would, until the next instant at which a price can change.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import msgspec

from farthing.catalog.price import price_at
from farthing.core.money import EXACT, USD, Unpriced
from farthing.core.nouns import Offer
from farthing.core.units import INPUT, OUTPUT, REQUEST, Usage


class Band(msgspec.Struct, frozen=True, gc=False):
    """Prices of one input, one output token and one request while the input exceeds ``above`` tokens."""

    above: int
    input: Decimal
    output: Decimal | None
    request: Decimal


class RateCard(msgspec.Struct, frozen=True, kw_only=True):
    """What an offer's tokens cost from ``since`` until ``until``. ``bands`` run from the longest context down."""

    since: datetime
    until: datetime
    bands: tuple[Band, ...] = ()
    unpriced: str = ""

    def cost(self, input_tokens: int, output_tokens: int) -> Decimal | None:
        """Exact USD for uncached text tokens; ``None`` when the price is not known."""
        for band in self.bands:
            if input_tokens > band.above:
                break
        else:
            if not self.bands:
                return None
            band = self.bands[-1]
        cost = EXACT.fma(band.input, input_tokens, band.request)
        if not output_tokens:
            return cost
        return None if band.output is None else EXACT.fma(band.output, output_tokens, cost)


def rate_card(offers: Sequence[Offer], at: datetime, model: str = "") -> RateCard:
    """The rate card of one offer's variants around an instant."""
    if not offers:
        return RateCard(since=_FIRST, until=_LAST, unpriced=f"no price is known for {model or 'it'}")
    until = min((b for o in offers for b in price_boundaries(o, at) if b > at), default=_LAST)
    thresholds = sorted({0, *(p.above for o in offers for p in o.prices)}, reverse=True)
    bands: list[Band] = []
    for above in thresholds:
        band = _band(offers, at, above)
        if isinstance(band, str):
            return RateCard(since=at, until=until, unpriced=band)
        bands.append(band)
    return RateCard(since=at, until=until, bands=tuple(bands))


def _band(offers: Sequence[Offer], at: datetime, above: int) -> Band | str:
    """One band, read off quotes for a usage just inside it; a reason when plain input has no price."""
    inside = price_at(Usage({INPUT: above + 1}), offers, at)
    if isinstance(inside.total, Unpriced):
        return inside.total.reason
    if inside.total.currency != USD:
        return f"it is priced in {inside.total.currency}"
    answered = price_at(Usage({INPUT: above + 1, OUTPUT: 1}), offers, at).total
    output = None if isinstance(answered, Unpriced) else (answered - inside.total).amount
    amounts = {line.unit: line.amount.amount for line in inside.lines}
    return Band(above, EXACT.divide(amounts[INPUT], above + 1), output, amounts.get(REQUEST, Decimal(0)))


def price_boundaries(offer: Offer, at: datetime) -> list[datetime]:
    """Instants near ``at`` at which a variant begins or ends to hold."""
    edges = [edge for edge in (offer.effective.start, offer.effective.end) if edge is not None]
    if offer.daily is not None:
        today = datetime.combine(at.astimezone(UTC).date(), time(), UTC)
        hours = (offer.daily.start, offer.daily.end)
        edges += [datetime.combine(day, hour, UTC) for day in (today, today + timedelta(days=1)) for hour in hours]
    return edges


_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)

__all__ = ["Band", "RateCard", "price_boundaries", "rate_card"]
