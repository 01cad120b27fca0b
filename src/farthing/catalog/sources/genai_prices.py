"""LLM prices of the genai-prices project (MIT): offline in its package, dated, with sources.

The package's own resolver is asked for the prices at sampled instants between its change dates, so that
dates, daily hours and request-specific variants (batch, flex, priority …) come out exactly as it means them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from farthing.catalog.sources import Listing, Rule
from farthing.catalog.sources._fetch import fetch
from farthing.core.errors import InputError
from farthing.core.money import Rate
from farthing.core.nouns import ALWAYS, Capability, Kind, Offer, Price, Terms
from farthing.core.time import DailyHours, Window
from farthing.core.units import Unit

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TimeOfDateConstraint

_FAMILIES = {
    "tokens": "token",
    "characters": "character",
    "messages": "message",
    "durations": "second",
    "pixels": "pixel",
    "document_pages": "page",
    "rerank": "search",
    "tool_calls": "search",
    "requests": "request",
}
_KINDS = {
    "tool": "tool_use",
    "web_search": "web",
    "social_search": "social",
    "storage_search": "storage",
    "code_execution": "",
}
_TERMS = {"batch": Terms.BATCH, "flex": Terms.FLEX, "priority": Terms.PRIORITY, "fast": Terms.PRIORITY}
_PLAIN = ("processing", "service_tier", "speed")
_CLAUSES = {
    "equals": "equals",
    "starts_with": "starts",
    "ends_with": "ends",
    "contains": "contains",
    "regex": "regex",
}
_FREE_TO_USE = ":free"

Context = Mapping[str, str]


class GenaiPrices:
    """The feed ``genai_prices``."""

    name = "genai_prices"
    location = "https://raw.githubusercontent.com/pydantic/genai-prices/main/prices/new_data/v2/data.json"

    @property
    def version(self) -> str:
        """The installed package's version, and this reader's."""
        return f"{version('genai-prices')}/2"

    def fetch(self, location: str = "") -> bytes:
        """The project's published JSON."""
        return fetch(location or self.location)

    def read(self, data: bytes, *, as_of: date | None = None) -> Listing:
        """Offers in the project's JSON."""
        from genai_prices.types import _providers_from_raw  # pyright: ignore[reportPrivateUsage] - its only reader

        try:
            raw = json.loads(data)
            providers = _providers_from_raw(raw if isinstance(raw, list) else raw["providers"])
        except (ValueError, KeyError, TypeError) as problem:
            raise InputError(f"not genai-prices data: {problem}", field=self.name, value=data[:80]) from None
        return _listing(providers, as_of)

    def shipped(self, on: date) -> Listing:
        """Offers of the installed package. Its data is as fresh as the newest price in it that has begun."""
        from genai_prices.data import providers

        begun = [d for p in providers for m in p.models for d in _starts(m) if d <= on]
        return _listing(providers, max(begun, default=None))


plugin = GenaiPrices()


def _listing(providers: "Iterable[Provider]", as_of: date | None) -> Listing:
    units = _units()
    offers: list[Offer] = []
    rules: list[Rule] = []
    for provider in providers:
        for model in provider.models:
            offers.extend(_offers(provider, model, units, as_of))
            rules.extend(_rules(provider.id, model.id, model.match))
    return Listing(offers=tuple(offers), rules=tuple(rules), as_of=as_of)


def _units() -> dict[str, tuple[Unit, int]]:
    """The project's price keys as units, each with the quantity its price is for."""
    from genai_prices.data_units import unit_data

    return {row["price_key"]: (_unit(row["dimensions"]), row["per"]) for row in unit_data.values()}


def _unit(dimensions: Mapping[str, str]) -> Unit:
    family = dimensions["family"]
    special = dimensions.get("token_type") or dimensions.get("tool_type") or dimensions.get("page_type") or ""
    if family == "rerank":
        special = "rerank"
    measure = "execution" if special == "code_execution" else _FAMILIES[family]
    modality = dimensions.get("modality", "") if family != "messages" else "text"
    return Unit(
        measure=measure,
        direction=dimensions.get("direction", ""),
        modality=modality,
        kind=_KINDS.get(special, special),
        ttl=dimensions.get("cache_ttl", ""),
    )


def _offers(
    provider: "Provider", model: "ModelInfo", units: dict[str, tuple[Unit, int]], as_of: date | None
) -> Iterator[Offer]:
    urls = provider.pricing_urls or [""]
    for suffix, terms, context in _contexts(model):
        for window, daily, found in _variants(model, context):
            prices = tuple(_prices(found, units)) or (_free(units) if model.id.endswith(_FREE_TO_USE) else ())
            yield Offer(
                id=f"{provider.id}/{model.id}{suffix}",
                kind=Kind.TOKENS,
                provider=provider.id,
                product=model.id,
                prices=prices,
                region="eu" if suffix.endswith("/eu") else "",
                terms=terms,
                capability=_capability(model, prices),
                effective=window,
                daily=daily,
                source=f"genai-prices: {urls[0]}",
                checked=as_of,
            )


def _contexts(model: "ModelInfo") -> Iterator[tuple[str, Terms, Context]]:
    """On-demand, and every variant that changes a price: suffix of the id, terms, request context."""
    yield "", Terms.ON_DEMAND, {}
    seen: list[Context] = []
    for variant in model.price_variants or ():
        if variant.when in seen or not any(v is not None for v in variant.prices.__dict__.values()):
            continue
        seen.append(variant.when)
        words = [v if k in _PLAIN else f"{k}={v}" for k, v in variant.when.items()]
        terms = next((_TERMS[v] for v in variant.when.values() if v in _TERMS), Terms.ON_DEMAND)
        yield ":" + "+".join(words), terms, variant.when


def _variants(model: "ModelInfo", context: Context) -> Iterator[tuple[Window, DailyHours | None, "ModelPrice"]]:
    """Prices of one context over time: all-day ones, then those of daily hours that differ from them."""
    edges = [None, *sorted(set(_starts(model))), None]
    spans = [_span(start, end) for start, end in pairwise(edges)]
    slots = _slots(model)
    allday = [(w, _at(model, context, w, _outside(slots))) for w in spans]
    for window, prices in _merged(allday):
        yield window, None, prices
    for slot in slots:
        hours = DailyHours(start=_utc(slot.start_time), end=_utc(slot.end_time))
        inside = [(w, _at(model, context, w, hours.start)) for w in spans]
        special = [(w, p if p != plain else None) for (w, p), (_, plain) in zip(inside, allday, strict=True)]
        for window, prices in _merged(special):
            yield window, hours, prices


def _at(model: "ModelInfo", context: Context, window: Window, hour: time) -> "ModelPrice | None":
    """The prices that hold in a window at an hour of the day; ``None`` while the context's variant does not."""
    day = (window.start or (window.end or _ANY_DAY) - timedelta(days=2)).date()
    at = datetime.combine(day, hour, UTC)
    if context and not any(
        v.when == context and (v.constraint is None or v.constraint.active(at)) for v in model.price_variants or ()
    ):
        return None
    return model.get_prices(at, context or None)


_ANY_DAY = datetime(2020, 1, 1, tzinfo=UTC)


def _merged(parts: "list[tuple[Window, ModelPrice | None]]") -> "Iterator[tuple[Window, ModelPrice]]":
    """Adjacent windows with equal prices as one."""
    held: tuple[Window, ModelPrice] | None = None
    for window, prices in parts:
        if held is not None and prices is not None and held[1] == prices:
            held = (Window(start=held[0].start, end=window.end), prices)
            continue
        if held is not None:
            yield held
        held = None if prices is None else (window, prices)
    if held is not None:
        yield held


def _starts(model: "ModelInfo") -> Iterator[date]:
    conditions = [p.constraint for p in model.prices] if isinstance(model.prices, list) else []
    for constraint in (*conditions, *(v.constraint for v in model.price_variants or ())):
        start: date | None = getattr(constraint, "start_date", None)
        if start is not None:
            yield start


def _slots(model: "ModelInfo") -> "list[TimeOfDateConstraint]":
    conditions: list[Any] = [p.constraint for p in model.prices] if isinstance(model.prices, list) else []
    return [c for c in conditions if hasattr(c, "start_time")]


def _outside(slots: "list[TimeOfDateConstraint]") -> time:
    """An hour of the day in none of the slots."""
    hours = [DailyHours(start=_utc(s.start_time), end=_utc(s.end_time)) for s in slots]
    candidates = [time(0), *(h.end for h in hours)]
    return next(t for t in candidates if not any(datetime.combine(_ANY_DAY, t, UTC) in h for h in hours))


def _utc(at: time) -> time:
    return datetime.combine(_ANY_DAY, at.replace(tzinfo=at.tzinfo or UTC)).astimezone(UTC).time()


def _span(start: date | None, end: date | None) -> Window:
    if start is None and end is None:
        return ALWAYS
    return Window(start=_midnight(start), end=_midnight(end))


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _prices(found: "ModelPrice", units: dict[str, tuple[Unit, int]]) -> Iterator[Price]:
    for key, value in found.__dict__.items():
        if value is None or key.startswith("_"):
            continue
        unit, per = units[key]
        if isinstance(value, Decimal):
            yield Price(unit=unit, rate=Rate(value, per=per))
            continue
        yield Price(unit=unit, rate=Rate(value.base, per=per))
        for tier in value.tiers:
            yield Price(unit=unit, rate=Rate(tier.price, per=per), above=tier.start)


def _free(units: dict[str, tuple[Unit, int]]) -> tuple[Price, ...]:
    """Models that a provider gives away carry no price in the data; their names end in ``:free``."""
    return tuple(Price(unit=units[k][0], rate=Rate(Decimal(0), per=units[k][1])) for k in ("input_mtok", "output_mtok"))


def _capability(model: "ModelInfo", prices: tuple[Price, ...]) -> Capability:
    priced = {p.unit for p in prices if p.unit.measure == "token"}
    into = frozenset(u.modality for u in priced if u.direction == "input" and u.modality)
    out = frozenset(u.modality for u in priced if u.direction == "output" and u.modality)
    answers = any(u.direction == "output" for u in priced)
    return Capability(
        context_tokens=model.context_window or 0,
        input_modalities=into and into | {"text"},
        output_modalities=out and out | {"text"},
        features=frozenset() if answers or not priced else frozenset({"embedding"}),
    )


def _rules(provider: str, model: str, clause: Any) -> Iterator[Rule]:
    """The plain alternatives of a match clause; conjunctions are left out."""
    for alternative in getattr(clause, "or_", (clause,)):
        for field, how in _CLAUSES.items():
            text: str | None = getattr(alternative, field, None)
            if text:
                yield Rule(provider, how, text if how == "regex" else text.lower(), model)
