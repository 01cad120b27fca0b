"""From the name a client asks for to the targets that could serve it, before any filter.

In this order: an alias of the settings; ``provider/model``; a model that providers list; a model of
the catalogue, at every provider that is charged by a price list which has it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from farthing.catalog.match import Matcher
from farthing.catalog.sources import Rule
from farthing.core.nouns import Objective, Offer, Rejection, Terms
from farthing.gateway.ports import Provider, Target
from farthing.gateway.settings import HedgeSettings, ModelSettings, ProviderSettings, TargetSettings
from farthing.gateway.snapshot import Snapshot

Place = tuple[str, str]
"""A price list and a product on it."""


_NOT_SERVED: Mapping[str, re.Pattern[str]] = {
    "gemini": re.compile("claude|mistral|codestral|llama|jamba|deepseek|qwen|gpt-oss|kimi|glm|minimax", re.IGNORECASE),
    "bedrock": re.compile("regional[.]"),
}
"""Products of a price list that cannot be asked for under their own name in a dialect: Google's list covers Vertex
AI, which resells other makers' models, and Amazon's has prices of inference profiles, whose ids begin with a region."""

_BEDROCK_ID = re.compile(r"(?:[a-z-]+\.)?[a-z0-9]+\.[a-z][\w.:-]*")
"""``anthropic.claude-…`` and ``us.anthropic.claude-…``: names that only Bedrock understands."""


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """The targets behind a name, in the order of the settings, and those that are out from the start."""

    asked: str
    targets: tuple[Target, ...]
    out: tuple[Rejection, ...] = ()
    strategy: Literal["cheapest", "weighted"] = "cheapest"
    tags: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    objective: Objective = Objective()
    hedge: HedgeSettings | None = None


class PriceLists:
    """Token offers by price list and product, every set of terms apart."""

    def __init__(self, offers: Iterable[Offer], rules: Sequence[Rule]) -> None:
        self._products: dict[Place, list[Offer]] = {}
        self._places: dict[str, Place] = {}
        for offer in offers:
            place = (offer.provider, offer.product)
            self._products.setdefault(place, []).append(offer)
            if offer.terms is Terms.ON_DEMAND:
                self._places.setdefault(offer.id, place)
        self._matcher = Matcher(self._places, rules)

    def place(self, prices: str, name: str) -> Place | None:
        """What a provider charged by a price list charges for a name; ``None`` when that is not known.

        Clouds sell other makers' models at the makers' prices, so it may be on another list.
        """
        if not prices or (prices, name) in self._products:
            return (prices, name) if prices else None
        return self._places.get(self._matcher.match(name, prices) or "")

    def product(self, prices: str, name: str) -> str | None:
        """The product on this very list that a name means."""
        place = self.place(prices, name)
        return place[1] if place is not None and place[0] == prices else None

    def products(self, prices: str) -> list[str]:
        """Everything on a price list."""
        return [product for name, product in self._products if name == prices]

    def terms(self, place: Place | None, region: str) -> dict[Terms, tuple[Offer, ...]]:
        """A product's offers by terms: those of the region where there are any, else those of no region.

        Where two offers have the same terms (OpenAI's ``fast`` and ``priority``), the one named after them holds.
        """
        offers = self._products.get(place, []) if place is not None else []
        regional = [o for o in offers if region and o.region == region]
        found: dict[Terms, dict[str, list[Offer]]] = {}
        for offer in regional or [o for o in offers if not o.region]:
            found.setdefault(offer.terms, {}).setdefault(offer.id, []).append(offer)
        return {terms: tuple(by_id[_eponym(by_id, terms)]) for terms, by_id in found.items()}


class Resolver:
    """Names of one snapshot. ``providers`` are those that are ready: enabled, and their secret found."""

    def __init__(self, snapshot: Snapshot, providers: Mapping[str, Provider]) -> None:
        self._settings: Mapping[str, ProviderSettings] = snapshot.providers
        self._aliases: Mapping[str, ModelSettings] = snapshot.models
        self._providers = {n: p for n, p in providers.items() if n not in self._settings or self._settings[n].enabled}
        self._prices = PriceLists(snapshot.offers, snapshot.rules)

    def resolve(self, asked: str) -> Resolved | None:
        """Every target behind a name, ``None`` when nothing here is called so."""
        alias = self._aliases.get(asked)
        if alias is not None:
            return self._alias(asked, alias)
        targets = self._named(asked) or self._listed(asked) or self._catalogued(asked) or self._unlisted(asked)
        if targets:
            return Resolved(asked=asked, targets=tuple(targets))
        name = asked.partition("/")[0]
        if name in self._settings and name not in self._providers:
            return Resolved(asked=asked, targets=(), out=(Rejection(asked, "enabled", self._missing(name)),))
        return None

    def names(self) -> list[str]:
        """Every name that resolves, sorted: aliases, listed models, and the price lists of providers that list none."""
        names = set(self._aliases)
        for provider in self._providers.values():
            names.update(self._models(provider) or self._sold(provider))
        return sorted(names)

    def _alias(self, asked: str, alias: ModelSettings) -> Resolved:
        targets: list[Target] = []
        out: list[Rejection] = []
        for place in alias.targets:
            provider = self._providers.get(place.provider)
            if provider is None:
                out.append(Rejection(f"{place.provider}/{place.model}", "enabled", self._missing(place.provider)))
            else:
                targets.append(self._target(provider, place.model, place))
        return Resolved(
            asked=asked,
            targets=tuple(targets),
            out=tuple(out),
            strategy=alias.strategy,
            tags=alias.tags,
            regions=alias.regions,
            objective=alias.objective,
            hedge=alias.hedge if alias.hedge.enabled else None,
        )

    def _missing(self, name: str) -> str:
        if name not in self._settings:
            return f"no provider {name} is configured"
        return f"provider {name} has no secret" if self._settings[name].enabled else f"provider {name} is switched off"

    def _named(self, asked: str) -> list[Target]:
        """``provider/model`` where the provider lists the model or its price list has it."""
        name, _, model = asked.partition("/")
        provider = self._providers.get(name)
        if provider is None:
            return []
        listed = self._models(provider)
        known = model in listed if listed else self._prices.product(provider.prices, model) is not None
        return [self._target(provider, model)] if known else []

    def _unlisted(self, asked: str) -> list[Target]:
        """``provider/model`` as a last resort: new and private models pass, without a price."""
        name, _, model = asked.partition("/")
        provider = self._providers.get(name)
        return [self._target(provider, model)] if provider and model and not self._models(provider) else []

    def _listed(self, asked: str) -> list[Target]:
        return [self._target(p, asked) for p in self._providers.values() if asked in self._models(p)]

    def _catalogued(self, asked: str) -> list[Target]:
        """Whoever sells it. A name that begins with a provider of ours means no other, unless it is literal there."""
        pinned = asked.partition("/")[0] in {*self._settings, *self._providers}
        found: list[Target] = []
        for provider in self._providers.values():
            product = self._prices.product(provider.prices, asked)
            if pinned and product != asked:
                continue
            if product is None:
                continue
            model = self._spelled(provider, asked, product)
            if model:
                found.append(self._target(provider, model))
        return found

    def _spelled(self, provider: Provider, asked: str, product: str) -> str:
        """A product in the provider's own words; empty when it does not offer it.

        What was asked is kept where it says more than the product: a date, or an inference profile's region.
        """
        listed = self._models(provider)
        if listed:
            return next((m for m in listed if self._prices.product(provider.prices, m) == product), "")
        if _BEDROCK_ID.fullmatch(asked):
            return asked if provider.dialect == "bedrock" else ""
        return "" if _unserved(provider, product) else asked if asked.startswith(product) else product

    def _sold(self, provider: Provider) -> list[str]:
        """What a provider that lists no models of its own can be asked for by name."""
        return [product for product in self._prices.products(provider.prices) if not _unserved(provider, product)]

    def _models(self, provider: Provider) -> Sequence[str]:
        settings = self._settings.get(provider.name)
        return settings.models if settings is not None else ()

    def _target(self, provider: Provider, model: str, place: TargetSettings | None = None) -> Target:
        wanted = Terms(place.terms) if place is not None else Terms.ON_DEMAND
        by_terms = self._prices.terms(self._prices.place(provider.prices, model), provider.region)
        offers = by_terms.pop(wanted, ())
        return Target(
            provider=provider,
            model=model,
            offer_id=offers[0].id if offers else f"{provider.prices or provider.name}/{model}",
            offers=offers,
            weight=place.weight if place is not None else 1,
            terms=wanted,
            other_terms=by_terms,
        )


def _eponym(ids: Iterable[str], terms: Terms) -> str:
    return min(ids, key=lambda name: (not name.endswith(f":{terms}"), name))


def _unserved(provider: Provider, product: str) -> bool:
    pattern = _NOT_SERVED.get(provider.dialect if provider.prices != "google" else "gemini")
    return pattern is not None and pattern.match(product) is not None


def on_demand(target: Target) -> Target:
    """The same target bought on demand: the baseline of whatever is bought otherwise."""
    offers = target.other_terms.get(Terms.ON_DEMAND, ())
    if target.terms is Terms.ON_DEMAND or not offers:
        return target
    others = {t: o for t, o in target.other_terms.items() if t is not Terms.ON_DEMAND} | {target.terms: target.offers}
    return Target(
        provider=target.provider,
        model=target.model,
        offer_id=offers[0].id,
        offers=offers,
        weight=target.weight,
        other_terms=others,
    )
