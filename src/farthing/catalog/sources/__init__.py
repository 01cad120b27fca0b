"""Where prices come from: one file per feed.

A feed fetches bytes and reads offers out of bytes; it keeps nothing. ``catalog.refresh`` stores what was
fetched in the data folder and decides whether it may replace what is there.
"""

from datetime import date
from typing import Protocol

import msgspec

from farthing.core.nouns import Offer
from farthing.core.plugin import Registry


class Rule(msgspec.Struct, frozen=True, gc=False):
    """How a provider's names lead to one model: ``how`` is ``equals``, ``starts``, ``ends``, ``contains`` or
    ``regex``.

    ``text`` is in lower case, or a pattern for lower-case names. Rules are tried in order, the first that fits wins.
    """

    provider: str
    how: str
    text: str
    model: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed knows: offers, and how names lead to them. ``as_of`` is the day its data describes."""

    offers: tuple[Offer, ...]
    rules: tuple[Rule, ...] = ()
    as_of: date | None = None


class Feed(Protocol):
    """One source of prices.

    ``name`` is the plugin's name. ``location`` is where ``fetch`` looks when it is told nothing, a path
    or an ``https`` address. ``version`` changes whenever ``shipped`` would say something else.
    """

    name: str
    location: str

    @property
    def version(self) -> str: ...

    def fetch(self, location: str = "") -> bytes:
        """The feed's newest data. Raises ``UnavailableError`` when it cannot be had."""
        ...

    def read(self, data: bytes, *, as_of: date | None = None) -> Listing:
        """Offers in fetched data. Raises ``InputError`` when the data is not what this feed writes."""
        ...

    def shipped(self, on: date) -> Listing:
        """What comes with the installation, without any network. ``on`` is today."""
        ...


FEEDS: Registry[Feed] = Registry("price feed", "farthing.catalog.sources", "farthing.price_feeds")

__all__ = ["FEEDS", "Feed", "Listing", "Rule"]
