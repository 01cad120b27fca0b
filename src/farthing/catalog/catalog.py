"""Everything that can be bought, as one immutable value."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Self

import msgspec

from farthing.catalog.match import Matcher
from farthing.catalog.price import variant_at
from farthing.catalog.refresh import Stored, listing, replace_file, stored
from farthing.catalog.sources import FEEDS, Feed, Listing, Rule
from farthing.core.errors import ConfigError, InputError, NotFoundError
from farthing.core.nouns import Kind, Offer, Terms
from farthing.core.units import HOUR, INPUT, OUTPUT, Unit

STALE_AFTER = timedelta(days=30)
"""A price that nobody confirmed for longer than this is shown with a warning."""

PRIMARY = ("genai_prices", "machines", "history", "litellm")
"""Whose word counts, in this order: a later feed only adds offers that no earlier one knows."""

_SECOND = Unit(measure="second")
_QUOTED = ((INPUT, 1_000_000), (OUTPUT, 1_000_000), (HOUR, 1), (_SECOND, 3600))


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for; every field that is not empty must fit.

    ``text`` is part of an id, in any case. ``accelerator`` is part of a canonical name (``H100`` fits
    ``H100-80GB``). ``max_price`` bounds ``headline``: dollars per million input tokens, or per hour of
    the whole machine.
    """

    text: str = ""
    kind: Kind | None = None
    provider: str = ""
    region: str = ""
    tags: frozenset[str] = frozenset()
    accelerator: str = ""
    terms: Terms | None = None
    max_price: Decimal | None = None


class Catalog:
    """Offers by id, found and matched. Build it with ``load``, or from offers of your own."""

    def __init__(self, offers: Iterable[Offer], rules: Sequence[Rule] = ()) -> None:
        self.offers = tuple(offers)
        self.rules = tuple(rules)

    @classmethod
    def load(cls, folder: Path | None = None, *, now: datetime) -> Self:
        """The catalogue of this installation.

        ``folder`` is where refreshed feeds are kept (``prices`` in the data folder); compiled offers
        are cached there too, because reading them from their sources takes most of a second. Offers of
        the user's own tables of machines (``*.toml`` in it) replace those of the same id. Raises
        ``ConfigError`` for a table that cannot be read.
        """
        feeds = FEEDS.load()
        order = [*(n for n in PRIMARY if n in feeds), *(n for n in feeds if n not in PRIMARY)]
        last = {n: _newer(feeds[n], folder) for n in order}
        parts = [_compiled(feeds[n], last[n], folder, now) for n in order]
        own = [_own(feeds["machines"], path) for path in sorted(folder.glob("*.toml"))] if folder else []
        return cls(_merged([*own, *parts]), [rule for part in parts for rule in part.rules])

    @cached_property
    def by_id(self) -> Mapping[str, tuple[Offer, ...]]:
        """All dated and daily variants of every offer id."""
        found: dict[str, list[Offer]] = {}
        for offer in self.offers:
            found.setdefault(offer.id, []).append(offer)
        return {i: tuple(o) for i, o in found.items()}

    def variants(self, offer_id: str) -> tuple[Offer, ...]:
        """The variants of one id, oldest first; empty when there is none."""
        return self.by_id.get(offer_id, ())

    def get(self, name: str) -> tuple[Offer, ...]:
        """The variants of an id, or of whatever a messy name means. Raises ``NotFoundError`` naming the nearest."""
        found = self.variants(name) or self.variants(self.match(name) or "")
        if not found:
            raise NotFoundError("offer", name, known=self.nearest(name), remedy="farthing prices lists what is known")
        return found

    def terms_of(self, offer_id: str) -> Mapping[Terms, tuple[Offer, ...]]:
        """The same product under every other term it is sold on, such as batch and flex."""
        base = self.variants(offer_id)
        if not base:
            return {}
        key = (base[0].provider, base[0].product, base[0].region, base[0].zone)
        found: dict[Terms, dict[str, list[Offer]]] = {}
        for offer in self._by_product.get(key, ()):
            found.setdefault(offer.terms, {}).setdefault(offer.id, []).append(offer)
        return {terms: tuple(next(iter(by_id.values()))) for terms, by_id in found.items()}

    def find(self, query: Query, at: datetime) -> list[Offer]:
        """Offers that fit, each as it holds at an instant, by id."""
        fitting = (variant_at(variants, at) for variants in self.by_id.values() if _fits(variants[0], query))
        return sorted((o for o in fitting if o is not None and _affordable(o, query.max_price)), key=lambda o: o.id)

    def match(self, name: str, provider: str = "") -> str | None:
        """The id of the token offer that a messy model name means (see ``catalog.match``)."""
        return self._matcher.match(name, provider)

    def nearest(self, name: str) -> list[str]:
        """Ids that look like a name."""
        return self._matcher.nearest(name)

    @property
    def token_offers(self) -> tuple[Offer, ...]:
        """What the gateway's workers need."""
        return tuple(o for o in self.offers if o.kind is Kind.TOKENS)

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher((o.id for o in self.offers if o.kind is Kind.TOKENS), self.rules)

    @cached_property
    def _by_product(self) -> Mapping[tuple[str, str, str, str], list[Offer]]:
        found: dict[tuple[str, str, str, str], list[Offer]] = {}
        for offer in self.offers:
            found.setdefault((offer.provider, offer.product, offer.region, offer.zone), []).append(offer)
        return found


def headline(offer: Offer) -> dict[Unit, Decimal]:
    """What people compare: dollars per million input and output tokens, or per hour of the whole machine."""
    base = {p.unit: p.rate for p in offer.prices if not p.above}
    found = {unit: base[unit].times(quantity).amount for unit, quantity in _QUOTED if unit in base}
    if _SECOND in found:
        found[HOUR] = found.pop(_SECOND)
    return found


def is_stale(offer: Offer, today: date) -> bool:
    """Whether the price was not confirmed within the last 30 days."""
    return offer.checked is None or today - offer.checked > STALE_AFTER


def _fits(offer: Offer, query: Query) -> bool:
    return (
        query.text.lower() in offer.id.lower()
        and query.kind in (None, offer.kind)
        and query.provider in ("", offer.provider)
        and query.region in ("", offer.region, offer.zone)
        and query.tags <= offer.tags
        and query.accelerator.lower() in offer.capability.accelerator.lower()
        and query.terms in (None, offer.terms)
    )


def _affordable(offer: Offer, limit: Decimal | None) -> bool:
    if limit is None:
        return True
    quoted = headline(offer)
    shown = quoted.get(HOUR, quoted.get(INPUT))
    return shown is not None and shown <= limit


def _merged(parts: Sequence[Listing]) -> list[Offer]:
    taken: set[str] = set()
    offers: list[Offer] = []
    for part in parts:
        fresh = [o for o in part.offers if o.id not in taken]
        offers.extend(fresh)
        taken |= {o.id for o in fresh}
    return offers


def _own(feed: Feed, path: Path) -> Listing:
    try:
        return feed.read(path.read_bytes())
    except InputError as problem:
        raise ConfigError(
            problem.message, file=str(path), field=problem.field, value=problem.value, remedy=problem.remedy
        ) from None


class _Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """The cache's content: a listing, and what it was made from."""

    key: str
    listing: Listing


_FORM = 1
"""Raise this when offers change their shape, so that older caches are ignored."""


def _compiled(feed: Feed, last: Stored | None, folder: Path | None, now: datetime) -> Listing:
    key = f"{_FORM}:{feed.version}:{last.digest if last else 'shipped'}"
    path = folder / f"{feed.name}.compiled" if folder else None
    if path is not None:
        try:
            cached = msgspec.msgpack.decode(path.read_bytes(), type=_Compiled)
        except (OSError, msgspec.MsgspecError):
            cached = None
        if cached is not None and cached.key == key:
            return cached.listing
    made = listing(feed, last) if last else feed.shipped(now.date())
    if path is not None:
        _keep(path, _Compiled(key=key, listing=made))
    return made


def _keep(path: Path, compiled: _Compiled) -> None:
    """Cache if possible: a read-only or full folder only costs time."""
    try:
        replace_file(path, msgspec.msgpack.encode(compiled))
    except OSError:
        return


def _newer(feed: Feed, folder: Path | None) -> Stored | None:
    """Refreshed data, unless an upgrade installed newer data since."""
    last = stored(feed.name, folder) if folder else None
    return last if last is not None and last.shipped_version == feed.version else None


__all__ = ["STALE_AFTER", "Catalog", "Query", "headline", "is_stale"]
