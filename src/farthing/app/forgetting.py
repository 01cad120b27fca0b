"""Forgetting what the caches hold: everywhere it may be, or with an error that says where it still is."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from farthing import config
from farthing.app.chores import Chore
from farthing.app.local import Local
from farthing.cache.disk import DiskStore
from farthing.cache.entry import Amount, Purge
from farthing.cache.rows import entry_key
from farthing.cache.semantic.client import SemanticControl
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
    """Purge entries from the shared store, so from every worker's memory, and from the semantic cache.

    Returns how many entries there were. Raises ``InputError`` for a purge that makes no sense, and
    ``UnavailableError`` when something cannot be reached: what is purged in the store is served no more even then.
    """
    with answers(settings, env) as store:
        keys = [] if store is None else store.keys_of(what)
        gone = 0 if store is None else store.purge(what)
    if not compares(settings):
        _drop_questions(settings)
        return gone
    with SemanticControl(settings.cache_socket) as control:
        return max(gone, _forget_questions(control, what, keys))


def would_forget(settings: config.Settings, env: Mapping[str, str], what: Purge) -> int:
    """How many entries a purge would remove."""
    with answers(settings, env) as store:
        return 0 if store is None else len(store.keys_of(what))


def report_wrong(settings: config.Settings, env: Mapping[str, str], entry: str, question: str, *, wrong: bool) -> int:
    """Somebody says that a hit was wrong, or right. The semantic cache learns from it, a wrong entry is removed.

    Returns how many entries were removed. Raises ``NotFoundError`` when nothing of the entry is left.
    """
    what = Purge(entry=entry)
    known = would_forget(settings, env, what)
    if compares(settings) and question:
        with SemanticControl(settings.cache_socket) as control:
            known += control.feedback(entry_key(entry), question, wrong=wrong)
    if not known:
        raise NotFoundError("cache entry", entry, remedy="It expired, or was removed before")
    return forget(settings, env, what) if wrong else 0


def compares(settings: config.Settings) -> bool:
    """Whether questions are compared anywhere, so that the semantic cache's process runs."""
    return any(rules.semantic != "off" for rules in settings.cache.namespaces.values())


def _drop_questions(settings: config.Settings) -> None:
    """Questions of a time in which they were compared: nobody uses them now, and a purge has to reach them, too."""
    for file in (*settings.cache_folder.glob("semantic.db*"), *settings.cache_folder.glob("rooms/*")):
        file.unlink(missing_ok=True)


def _forget_questions(control: SemanticControl, what: Purge, keys: list[bytes]) -> int:
    """The same purge of questions: by what they are known by, else by the keys of their answers."""
    said = {name: value for name, value in msgspec.structs.asdict(what).items() if value}
    if not said:
        return control.purge("all")
    if said.keys() == {"namespace"}:
        return control.purge("namespace", what.namespace)
    if said.keys() == {"scope"} and len(what.scope) == 1:
        ((field, value),) = what.scope.items()
        if field == "user":
            return control.purge("user", value)
        control.purge("tenant", f"{field}={value}")
    if what.entry:
        keys = [*keys, entry_key(what.entry)]
    return sum(control.purge("entry", key.hex()) for key in keys)


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
