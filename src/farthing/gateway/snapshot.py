"""What a worker knows about the world: one immutable file, swapped when it changes.

The control process compiles it from settings, state and catalogue; workers read it and watch its
modification time. It holds no secret in the clear: keys are hashes, provider keys are references, and what
``secret:`` references name is sealed with a key that only the workers' machine has.
"""

from datetime import datetime

import msgspec

from farthing.cache.settings import CacheSettings
from farthing.catalog.sources import Rule
from farthing.core.limits import Limit
from farthing.core.nouns import Offer, Scope
from farthing.gateway.settings import ModelSettings, ProviderSettings

WATCH_SECONDS = 0.5
"""How often a worker looks whether there is a new snapshot."""


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One Farthing key as a worker sees it; ``hash`` is SHA-256 hex of the whole token."""

    id: str
    hash: str
    scope: Scope = Scope()
    models: frozenset[str] = frozenset()
    category: str = ""
    expires: datetime | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything routing, authentication and pricing need. ``offers`` are token offers only.

    ``rules`` say how names of models lead to products of the price lists. A provider's ``api_key`` is a
    reference (``env:NAME``, ``file:PATH``, ``secret:NAME``), resolved by the worker; ``sealed`` holds what the last
    kind names, by name. ``added`` are the providers that were added at run time, and may not have private addresses.
    """

    made: datetime
    providers: dict[str, ProviderSettings] = {}
    models: dict[str, ModelSettings] = {}
    offers: tuple[Offer, ...] = ()
    rules: tuple[Rule, ...] = ()
    keys: tuple[KeyEntry, ...] = ()
    limits: tuple[Limit, ...] = ()
    sealed: dict[str, str] = {}
    added: frozenset[str] = frozenset()
    cache: CacheSettings = CacheSettings()
