"""What the pipeline works with."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from farthing.cache.settings import CacheSettings
from farthing.core.facts import RequestFact
from farthing.core.limits import Limit
from farthing.gateway.caching.reuse import Reuse
from farthing.gateway.ports import Admission, Dialect, Journal, Keyring, Provider, Router, Upstream
from farthing.gateway.retry import Retries

Observer = Callable[[RequestFact], None]


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What one snapshot says; swapped whole when it changes. ``providers`` are the accounts that are ready."""

    router: Router
    keyring: Keyring
    providers: Mapping[str, Provider] = {}
    limits: tuple[Limit, ...] = ()
    cache: CacheSettings = CacheSettings()


class Parts(msgspec.Struct, kw_only=True):
    """The parts of one worker's pipeline.

    ``observers`` see every fact after the journal has it; ``refused`` gets the status of requests that were refused
    before they were read, which leave no fact. ``draw`` gives random numbers in [0, 1), ``reuse`` are the caches.
    """

    world: World
    dialects: Mapping[str, Dialect]
    upstream: Upstream
    journal: Journal
    admission: Admission
    clock: Callable[[], datetime]
    worker: str
    max_body_bytes: int
    refused: Callable[[int], None]
    observers: tuple[Observer, ...] = ()
    retries: Retries = Retries()
    reuse: Reuse | None = None
    draw: Callable[[], float] = random.random

    def observe(self, fact: RequestFact) -> None:
        """Tell every observer."""
        for observe in self.observers:
            observe(fact)
