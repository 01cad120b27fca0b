"""Forgetting what the caches hold: everywhere it may be, or with an error that says where it still is."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from farthing import config
from farthing.app.chores import Chore
from farthing.app.local import Local
from farthing.cache.disk import DiskStore
from farthing.cache.entry import Amount, Purge
from farthing.core.errors import NotFoundError

EXPIRE_SECONDS = 60.0


class Answers(Protocol):
    """The store that the workers share, for what is done with it beside requests."""

    def purge(self, what: Purge) -> int: ...

    def keys_of(self, what: Purge) -> list[bytes]: ...

    def expire(self, now: float) -> int: ...

    def amount(self) -> Amount: ...


@contextmanager
def answers(settings: config.Settings, env: Mapping[str, str]) -> Generator[Answers | None]:
    """The shared store: in Postgres where the state is there, else a file; ``None`` while there is none.

    Raises ``UnavailableError`` when it cannot be opened.
    """
    url = settings.state_url(env)
    if is_postgres(url):
        from farthing.cache.postgres import PostgresStore

        with PostgresStore(url, limit=settings.cache.max_bytes) as store:
            yield store
    elif not answers_file(settings).exists():
        yield None
    else:
        with DiskStore(answers_file(settings), limit=settings.cache.max_bytes) as store:
            yield store


def is_postgres(url: str) -> bool:
    """Whether the state, and so what several machines share, is in Postgres."""
    return url.startswith(("postgresql:", "postgres:", "postgresql+psycopg:"))


def forget(settings: config.Settings, env: Mapping[str, str], what: Purge) -> int:
    """Purge answers from the shared store, and so from every worker's memory; how many entries that were.

    Raises ``InputError`` for a purge that makes no sense, ``UnavailableError`` when something cannot be reached.
    """
    with answers(settings, env) as store:
        return 0 if store is None else store.purge(what)


def would_forget(settings: config.Settings, env: Mapping[str, str], what: Purge) -> int:
    """How many entries a purge would remove."""
    with answers(settings, env) as store:
        return 0 if store is None else len(store.keys_of(what))


def report_wrong(settings: config.Settings, env: Mapping[str, str], entry: str, question: str, *, wrong: bool) -> int:
    """Somebody says that a hit was wrong, or right: a wrong one is removed; how many entries that were.

    Raises ``NotFoundError`` when nothing of that entry is left.
    """
    del question
    what = Purge(entry=entry)
    removed = forget(settings, env, what) if wrong else would_forget(settings, env, what)
    if not removed:
        raise NotFoundError("cache entry", entry, remedy="It expired, or was removed before")
    return removed if wrong else 0


def cache_chore(local: Callable[[], Local]) -> Chore:
    """Removes what expired, and keeps the shared store below its limit."""

    def expire() -> str:
        now = local()
        with answers(now.settings, now.env) as store:
            gone = 0 if store is None else store.expire(now.now().timestamp())
        return f"{gone} answers expired" if gone else "up to date"

    return Chore(name="cache", every=EXPIRE_SECONDS, work=expire, remedy="Check state.url, or remove cache/answers.db")


def answers_file(settings: config.Settings) -> Path:
    """Where answers are kept on this machine."""
    return settings.cache_folder / "answers.db"
