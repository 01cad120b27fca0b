"""Compiles what the workers know: settings, keys, run-time providers and prices into one file.

The file is replaced in one step and only when its content changes, so that workers, which watch it, reload
for a reason. It holds no secret: keys are hashes, providers name where their secret is.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from farthing.cache.settings import CacheSettings
from farthing.catalog.match import sellers
from farthing.catalog.sources import Rule
from farthing.core.limits import Limit
from farthing.core.nouns import Kind, Offer
from farthing.gateway.settings import ModelSettings, ProviderSettings
from farthing.gateway.snapshot import KeyEntry, Snapshot
from farthing.gateway.vendors import vendor

if TYPE_CHECKING:
    from farthing.state.keys import Key


def compile_snapshot(
    *,
    made: datetime,
    providers: Mapping[str, ProviderSettings],
    models: Mapping[str, ModelSettings],
    offers: Iterable[Offer],
    keys: Iterable[KeyEntry],
    rules: Iterable[Rule] = (),
    sealed: Mapping[str, str] | None = None,
    limits: Iterable[Limit] = (),
    added: Iterable[str] = (),
    cache: CacheSettings | None = None,
) -> Snapshot:
    """The snapshot of these facts; the same facts give the same content in whatever order they come.

    Only what some provider may be charged by is kept: token offers of its price list and of the makers
    it resells, and the ``rules`` by which names lead to them. Of the ``sealed`` secrets those are kept that some
    provider names.
    """
    lists = {seller for settings in providers.values() for seller in sellers(price_list(settings)) if seller}
    return Snapshot(
        made=made,
        providers=dict(sorted(providers.items())),
        models=dict(sorted(models.items())),
        offers=tuple(sorted((o for o in offers if o.kind is Kind.TOKENS and o.provider in lists), key=_order)),
        rules=tuple(rule for rule in rules if rule.provider in lists),
        keys=tuple(sorted(keys, key=lambda key: key.id)),
        limits=tuple(sorted(limits, key=lambda limit: limit.id)),
        sealed=_named(providers, sealed or {}),
        added=frozenset(added),
        cache=cache or CacheSettings(),
    )


def _named(providers: Mapping[str, ProviderSettings], sealed: Mapping[str, str]) -> dict[str, str]:
    """The sealed secrets that accounts refer to."""
    names = {account.api_key.removeprefix("secret:") for account in providers.values()}
    return {name: text for name, text in sorted(sealed.items()) if name in names}


def key_entries(keys: "Iterable[Key]", now: datetime) -> list[KeyEntry]:
    """Working keys as workers see them. Dead ones are left out, so that a worker knows nothing to revive."""
    return [
        KeyEntry(
            id=key.id, hash=key.hash, scope=key.scope, models=key.models, category=key.category, expires=_ends(key)
        )
        for key in keys
        if key.status(now) == "active"
    ]


def price_list(settings: ProviderSettings) -> str:
    """The catalogue's name of the prices that an account is charged by; empty for an unpriced one."""
    return settings.prices or vendor(settings.vendor).prices


def version(snapshot: Snapshot) -> str:
    """A digest of everything a snapshot says except when it was made.

    It is taken as a reader sees it: a weight written as 1 is read as 1.0, and they are the same weight.
    """
    timeless = msgspec.structs.replace(snapshot, made=datetime.fromtimestamp(0, UTC))
    read = msgspec.msgpack.decode(_ENCODER.encode(timeless), type=Snapshot)
    return hashlib.sha256(_ENCODER.encode(read)).hexdigest()


def write_snapshot(snapshot: Snapshot, path: Path) -> bool:
    """Replace the file, unless it says the same already; whether it was replaced.

    Readers see the old file or the new one, never a part. Only the owner may read it (0600).
    """
    if _version_on_disk(path) == version(snapshot):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_ENCODER.encode(snapshot))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _version_on_disk(path: Path) -> str:
    """The version of the file; empty when there is none or another release wrote it differently."""
    try:
        return version(msgspec.msgpack.decode(path.read_bytes(), type=Snapshot))
    except (FileNotFoundError, msgspec.DecodeError):
        return ""


def _ends(key: "Key") -> datetime | None:
    ends = [at for at in (key.expires, key.revoked) if at is not None]
    return min(ends, default=None)


def _order(offer: Offer) -> tuple[str, datetime, bool, str]:
    return offer.id, offer.effective.start or _FIRST, offer.daily is not None, str(offer.daily)


_FIRST = datetime.min.replace(tzinfo=UTC)
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")

__all__ = ["compile_snapshot", "key_entries", "price_list", "version", "write_snapshot"]
