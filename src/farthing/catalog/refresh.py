"""Fetched prices in the data folder: replaced as a whole or not at all, and never by something worse."""

import hashlib
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from farthing.catalog.sources import Feed, Listing
from farthing.core.errors import ConflictError, InputError
from farthing.core.nouns import Offer

SHRUNKEN = 0.8
"""A new list with fewer than this share of the old one's offers is refused: lists grow."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed delivered last, and when. ``shipped_version`` is what was installed at that time."""

    feed: str
    location: str
    fetched: datetime
    shipped_version: str
    offers: int
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the data."""
        return hashlib.sha256(self.data).hexdigest()


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """What a refresh did: how many offers there were before and are now, and of those of the same id how many have
    other prices.
    """

    feed: str
    location: str
    before: int
    after: int
    changed: bool
    added: int = 0
    removed: int = 0
    repriced: int = 0


def refresh(feed: Feed, folder: Path, now: datetime, *, location: str = "", force: bool = False) -> Refreshed:
    """Fetch a feed and keep it in ``folder``.

    What is there stays when the new data cannot be had, cannot be read or has shrunk. Raises
    ``UnavailableError``, ``InputError`` or ``ConflictError`` then; ``force`` accepts a shrunken list.
    """
    data = feed.fetch(location)
    offers = feed.read(data, as_of=now.date()).offers
    after = len(offers)
    last = stored(feed.name, folder)
    known = (listing(feed, last) if last else feed.shipped(now.date())).offers
    before = last.offers if last else len(known)
    _judge(feed, before, after, force=force)
    new = Stored(
        feed=feed.name,
        location=location or feed.location,
        fetched=now,
        shipped_version=feed.version,
        offers=after,
        data=data,
    )
    replace_file(_path(feed.name, folder), msgspec.msgpack.encode(new))
    changed = last is None or last.digest != new.digest
    return Refreshed(
        feed=feed.name,
        location=new.location,
        before=before,
        after=after,
        changed=changed,
        **_differences(known, offers),
    )


def stored(name: str, folder: Path) -> Stored | None:
    """What a feed delivered last; ``None`` when nothing usable is there."""
    try:
        return msgspec.msgpack.decode(_path(name, folder).read_bytes(), type=Stored)
    except (OSError, msgspec.MsgspecError):
        return None


def listing(feed: Feed, last: Stored) -> Listing:
    """Offers of stored data."""
    return feed.read(last.data, as_of=last.fetched.date())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old content or the new, even if the machine stops in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _differences(known: Iterable[Offer], offers: Iterable[Offer]) -> dict[str, int]:
    """How many ids are new, gone, and there on both sides with other prices."""
    old, new = _prices(known), _prices(offers)
    return {
        "added": len(new.keys() - old.keys()),
        "removed": len(old.keys() - new.keys()),
        "repriced": sum(old[name] != new[name] for name in old.keys() & new.keys()),
    }


def _prices(offers: Iterable[Offer]) -> dict[str, set[object]]:
    found: dict[str, set[object]] = {}
    for offer in offers:
        found.setdefault(offer.id, set()).add((offer.effective, offer.daily, offer.prices))
    return found


def _judge(feed: Feed, before: int, after: int, *, force: bool) -> None:
    if after == 0:
        raise InputError(
            "the new list holds no offers", field=feed.name, value=after, remedy="Check what the address serves"
        )
    if after < before * SHRUNKEN and not force:
        raise ConflictError(
            f"The new list of {feed.name} has {after:,} offers where the last had {before:,}; the last one is kept",
            remedy="Look at the source; --force takes it anyway",
        )


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name}.feed"
