"""Forgetting what the caches hold: everywhere it may be, or with an error that says where it still is."""

from datetime import datetime
from pathlib import Path

from farthing import config
from farthing.cache.disk import DiskStore
from farthing.cache.entry import Purge
from farthing.core.errors import NotFoundError


def forget(settings: config.Settings, what: Purge) -> int:
    """Purge answers from the shared store, and so from every worker's memory; how many entries that were.

    Raises ``InputError`` for a purge that makes no sense, ``UnavailableError`` when something cannot be reached.
    """
    file = answers_file(settings)
    if not file.exists():
        return 0
    with DiskStore(file, limit=settings.cache.max_bytes) as store:
        return store.purge(what)


def would_forget(settings: config.Settings, what: Purge) -> int:
    """How many entries a purge would remove."""
    file = answers_file(settings)
    if not file.exists():
        return 0
    with DiskStore(file, limit=settings.cache.max_bytes) as store:
        return len(store.keys_of(what))


def report_wrong(settings: config.Settings, entry: str, question: str, *, wrong: bool, now: datetime) -> int:
    """Somebody says that a hit was wrong, or right: a wrong one is removed; how many entries that were.

    Raises ``NotFoundError`` when nothing of that entry is left.
    """
    del question, now
    removed = forget(settings, Purge(entry=entry)) if wrong else would_forget(settings, Purge(entry=entry))
    if not removed:
        raise NotFoundError("cache entry", entry, remedy="It expired, or was removed before")
    return removed if wrong else 0


def answers_file(settings: config.Settings) -> Path:
    """Where answers are kept on this machine."""
    return settings.cache_folder / "answers.db"
