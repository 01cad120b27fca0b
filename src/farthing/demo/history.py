"""Two weeks of the demo company's past, so that its first screen has something to compare with.

The facts are simulated and say so: their ``worker`` is ``demo-history``. Each is priced by the one price
function at the catalogue's rates.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from farthing.catalog.price import price_at
from farthing.core.facts import (
    CACHE_NAMESPACE_TAG,
    CACHE_PROVIDER,
    CACHE_TAG,
    ErrorKind,
    Operation,
    RequestFact,
    Source,
    Status,
)
from farthing.core.money import Money
from farthing.core.nouns import Offer, Quote, Scope
from farthing.core.units import CACHE_READ, INPUT, OUTPUT, Usage
from farthing.demo.company import ALIASES, FEATURES, Feature

Place = tuple[str, str]
"""A provider of the demo and its model."""

Offers = Mapping[Place, Sequence[Offer]]

_FAILED = 0.012
_WEEKEND = 5


def places_of(model: str) -> tuple[Place, ...]:
    """Where a model name of the demo may be served, the place it was used at before first."""
    homes = {"claude": "anthropic", "gemini": "gemini"}
    home = next((provider for prefix, provider in homes.items() if model.startswith(prefix)), "openai")
    return ALIASES.get(model, ((home, model),))


def past(offers: Offers, *, until: datetime, days: int, per_day: int, dice: random.Random) -> Iterator[RequestFact]:
    """Facts of the whole hours of ``days`` before ``until``, oldest first, busy at noon and quiet at weekends."""
    start = until.replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
    for hour in range(days * 24):
        begun = start + timedelta(hours=hour)
        growth = 0.8 + 0.4 * hour / (days * 24)
        count = round(per_day / 24 * _busy(begun) * growth * dice.lognormvariate(0, 0.15))
        for moment in sorted(dice.uniform(0, 3600) for _ in range(count)):
            feature = dice.choices(FEATURES, weights=[f.share for f in FEATURES])[0]
            yield _fact(feature, offers, begun + timedelta(seconds=moment), dice)


def _busy(at: datetime) -> float:
    """Load relative to the daily mean."""
    by_hour = 0.35 + 1.3 * max(0.0, 1 - abs(at.hour - 13) / 8)
    return by_hour * (0.45 if at.weekday() >= _WEEKEND else 1.1)


def _fact(feature: Feature, offers: Offers, at: datetime, dice: random.Random) -> RequestFact:
    usage = _usage(feature, dice)
    quotes = {place: price_at(usage, offers.get(place, ()), at) for place in places_of(feature.model)}
    place = min(quotes, key=lambda p: _amount(quotes[p]) or Decimal("Infinity"))
    begun = RequestFact(
        request_id=f"past-{dice.getrandbits(80):020x}",
        attempt=1,
        at=at,
        operation=Operation(feature.operation),
        dialect="anthropic" if feature.operation == "messages" else "openai",
        scope=Scope(
            org="demo",
            team=feature.team,
            feature=feature.name,
            customer=dice.choice(feature.customers) if feature.customers else "",
        ),
        requested_model=feature.model,
        status=Status.OK,
        worker="demo-history",
        stream=dice.random() < feature.streams,
        provider=place[0],
        offer=quotes[place].offer,
        model=place[1],
        total_ms=round(dice.lognormvariate(7.0, 0.5), 1),
        ttft_ms=round(dice.lognormvariate(5.7, 0.4), 1),
        baseline_offer=next(iter(quotes.values())).offer,
    )
    if dice.random() < _FAILED:
        return _refused(begun)
    priced = _priced(begun, usage, quotes[place], next(iter(quotes.values())))
    return _considered(priced, dice) if feature.faq else priced


def _considered(asked: RequestFact, dice: random.Random) -> RequestFact:
    """A question that comes again and again, as the caches of those days saw it."""
    (kind,) = dice.choices(("exact", "semantic", "sampled", "miss"), weights=(18, 27, 3, 52))
    tags = {CACHE_TAG: kind, CACHE_NAMESPACE_TAG: asked.scope.feature}
    if kind not in ("exact", "semantic"):
        return msgspec.structs.replace(asked, tags=tags)
    return msgspec.structs.replace(
        asked,
        attempt=0,
        status=Status.CACHE_HIT,
        provider=CACHE_PROVIDER,
        offer=f"{CACHE_PROVIDER}/{kind}",
        total_ms=round(dice.lognormvariate(0.6, 0.4), 1),
        ttft_ms=None,
        usage={},
        usage_source=Source.NONE,
        input_tokens=0,
        cache_read_tokens=0,
        output_tokens=0,
        cost=Decimal(0),
        lines=(),
        baseline_cost=asked.cost,
        tags=tags,
    )


def _refused(begun: RequestFact) -> RequestFact:
    """Providers do not bill a request they refuse."""
    return msgspec.structs.replace(
        begun,
        status=Status.ERROR,
        http_status=503,
        error_kind=ErrorKind.OVERLOADED,
        error="The engine is currently overloaded.",
        cost=Decimal(0),
        baseline_cost=Decimal(0),
        cost_source=Source.CATALOG,
    )


def _priced(begun: RequestFact, usage: Usage, quote: Quote, before: Quote) -> RequestFact:
    leaves = usage.leaves()
    cost = _amount(quote)
    return msgspec.structs.replace(
        begun,
        http_status=200,
        served_model=begun.model,
        finish_reason="stop",
        usage={unit.name: int(count) for unit, count in usage.counts.items()},
        usage_source=Source.PROVIDER,
        input_tokens=int(leaves.get(INPUT, 0)),
        cache_read_tokens=int(leaves.get(CACHE_READ, 0)),
        output_tokens=int(leaves.get(OUTPUT, 0)),
        cost=cost,
        cost_source=Source.NONE if cost is None else Source.CATALOG,
        unpriced=str(quote.total) if cost is None else "",
        lines=tuple(
            (line.unit.name, str(line.quantity), f"{line.rate.amount:f}", line.rate.per, f"{line.amount.amount:f}")
            for line in quote.lines
        ),
        baseline_cost=_amount(before),
    )


def _usage(feature: Feature, dice: random.Random) -> Usage:
    question = max(8, int(feature.question * dice.lognormvariate(0, 0.4)))
    cached = feature.system if feature.system >= 1024 and dice.random() < 0.8 else 0  # noqa: PLR2004 - providers' floor
    answer = min(feature.limit, int(dice.lognormvariate(4.6, 0.6))) if feature.limit else 0
    return Usage.tokens(feature.system + question, answer, cache_read=cached)


def _amount(quote: Quote) -> Decimal | None:
    return quote.total.rounded().amount if isinstance(quote.total, Money) else None
