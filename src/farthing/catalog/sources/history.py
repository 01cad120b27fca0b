"""LLM prices with their history, in the form of the model-prices project (MIT): a third opinion, dated.

``prices[provider][model][tier]`` is a list of entries, each with its start and dollars per million tokens;
rates of an entry hold until the next entry starts, and an entry without rates says that the tier did not
exist. Rates were computed with floats upstream and are rounded to twelve significant digits.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Context, Decimal
from itertools import pairwise
from typing import Any

from farthing.catalog.sources import Listing
from farthing.catalog.sources._fetch import fetch
from farthing.core.errors import InputError
from farthing.core.money import EXACT, Rate
from farthing.core.nouns import Kind, Offer, Price, Terms
from farthing.core.time import Window, parse_instant
from farthing.core.units import CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H, INPUT, OUTPUT, Unit

_RATES: Mapping[str, Unit] = {"input": INPUT, "output": OUTPUT, "cache_read": CACHE_READ, "cache_write": CACHE_WRITE}
_TERMS = {"standard": Terms.ON_DEMAND, "batch": Terms.BATCH, "flex": Terms.FLEX, "fast": Terms.PRIORITY}
_PROVIDERS = {"xai": "x-ai", "amazon-bedrock": "aws"}
_TWELVE = Context(prec=12)
_MILLION = 1_000_000


class History:
    """The feed ``history``."""

    name = "history"
    location = ""
    version = "1"

    def fetch(self, location: str = "") -> bytes:
        """The JSON from a path or an address, which has to be given."""
        if not location:
            raise InputError("nowhere to look", field="location", value="", remedy="Name a file or an https address")
        return fetch(location)

    def read(self, data: bytes, *, as_of: date | None = None) -> Listing:
        """Dated offers in the JSON; its own ``updated_at`` is the day they were checked."""
        try:
            raw: dict[str, Any] = json.loads(data, parse_float=Decimal)
            day = parse_instant(raw["updated_at"]).date()
            offers = tuple(_offers(raw["prices"], day))
        except (ValueError, KeyError, AttributeError, TypeError) as problem:
            raise InputError(f"not a price history: {problem!r}", field=self.name, value=data[:80]) from None
        return Listing(offers=offers, as_of=as_of or day)

    def shipped(self, on: date) -> Listing:
        """Nothing: this feed is a comparison, fetched on demand."""
        del on
        return Listing(offers=())


plugin = History()


def _offers(prices: Mapping[str, Mapping[str, Mapping[str, Sequence[Any]]]], checked: date) -> Iterator[Offer]:
    for provider, models in prices.items():
        vendor = _PROVIDERS.get(provider, provider)
        for model, tiers in models.items():
            for tier, entries in tiers.items():
                if tier in _TERMS:
                    yield from _tier(vendor, model, _TERMS[tier], entries, checked)


def _tier(provider: str, model: str, terms: Terms, entries: Sequence[Any], checked: date) -> Iterator[Offer]:
    starts = [_start(e["start"]) for e in entries] + [None]
    for entry, (start, end) in zip(entries, pairwise(starts), strict=True):
        rates = entry["rates"]
        if rates is None or (start is not None and end is not None and end <= start):
            continue
        yield Offer(
            id=f"{provider}/{model}" + ("" if terms is Terms.ON_DEMAND else f":{terms}"),
            kind=Kind.TOKENS,
            provider=provider,
            product=model,
            prices=(*_prices(rates), *(p for t in rates.get("tiers", ()) for p in _prices(t, t["above"]))),
            terms=terms,
            effective=Window(start=start, end=end),
            source=f"model-prices: {rates.get('source', '')}",
            checked=checked,
        )


def _start(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text)


def _prices(rates: Mapping[str, Any], above: int = 0) -> Iterator[Price]:
    for key, unit in _RATES.items():
        if rates.get(key) is not None:
            yield Price(unit=unit, rate=Rate(_amount(rates[key]), per=_MILLION), above=above)
    multiple = rates.get("cache_write_1h_multiple")
    if multiple is not None and rates.get("input") is not None:
        amount = EXACT.multiply(_amount(rates["input"]), _amount(multiple))
        yield Price(unit=CACHE_WRITE_1H, rate=Rate(amount, per=_MILLION), above=above)


def _amount(value: Decimal | int) -> Decimal:
    return Decimal(value).normalize(_TWELVE)
