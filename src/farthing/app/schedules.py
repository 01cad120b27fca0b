"""Requests that are stored to be made at a time of day, so that their answers are there when people come."""

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import msgspec

from farthing.app.local import Local
from farthing.app.warming import Opened
from farthing.cache.asks import MOST_ASK_BYTES, Ask, Asks, Job, Scheduled
from farthing.cache.entry import KEY_BYTES
from farthing.cache.schedules import Plan
from farthing.core.errors import ConflictError, InputError, NotFoundError
from farthing.core.facts import Operation
from farthing.gateway.caching.question import OPERATIONS
from farthing.gateway.caching.uses import kept_headers
from farthing.gateway.wire.paths import operation_of

T = TypeVar("T")

_CACHED = OPERATIONS | {Operation.EMBEDDING}


class Line(msgspec.Struct, frozen=True):
    """A line as batch files have it: a ``url`` and a ``body``, and ``headers`` where some matter."""

    body: msgspec.Raw
    url: str = ""
    headers: dict[str, str] = {}


class _Body(msgspec.Struct, frozen=True):
    model: str


def schedule(local: Local, file: Path, plan: Plan, *, key: str, name: str, path: str, dry_run: bool) -> list[Ask]:
    """Store the requests of a file, to be made in the name of a key, in the place of those of the same name.

    ``path`` is that of lines which say none. Raises ``InputError`` with file and line, ``NotFoundError`` for the key,
    ``ConflictError`` when it does not work any more, ``UnavailableError``.
    """
    _must_keep(local)
    change = local.by()
    with local.store() as store:
        owner = store.keys.get(key, change.at)
        if owner.status(change.at) != "active":
            raise ConflictError(f"Key {owner.id} is {owner.status(change.at)}", remedy="Name one that works")
        asks = list(_asks(file, key_id=owner.id, path=path))
        if not asks:
            raise InputError("no requests", field="file", value=str(file), remedy="Write one JSON object to a line")
        if not dry_run:
            scope = owner.scope.narrowed(key=owner.id)
            jobs = [Job(id=_id(name, ask), ask=ask, plan=plan) for ask in asks]
            _do(local, lambda found: found.schedule(jobs, name=name, scope=scope, now=change.at.timestamp()))
            about = {"requests": len(asks), "key": owner.id, **msgspec.structs.asdict(plan)}
            store.audit.note(change, "cache.schedule", name, after=about)
    return asks


def scheduled(local: Local) -> Sequence[Scheduled]:
    """All stored requests, by when they are due."""
    return _do(local, lambda found: found.scheduled())


def unschedule(local: Local, name: str) -> int:
    """Forget the stored requests of a name; how many those were. Raises ``NotFoundError``."""
    gone = _do(local, lambda found: found.unschedule(name))
    if not gone:
        known = {one.name for one in scheduled(local)}
        raise NotFoundError("schedule", name, known=known, remedy="farthing cache schedules lists them")
    with local.store() as store:
        store.audit.note(local.by(), "cache.unschedule", name, after={"requests": gone})
    return gone


def _do(local: Local, work: Callable[[Asks], T]) -> T:
    opened = Opened()
    try:
        return opened.do(local.settings, local.env, work)
    finally:
        opened.close()


def _must_keep(local: Local) -> None:
    rules = local.settings.cache.namespaces.values()
    if not any("on" in (one.exact, one.embeddings) for one in rules):
        raise InputError(
            "the cache is off, so nothing would be kept", field="exact", value="shadow",
            remedy='Set exact = "on" under [cache.namespaces.default]',
        )  # fmt: skip


def _asks(file: Path, *, key_id: str, path: str) -> Iterator[Ask]:
    try:
        lines = file.read_bytes().splitlines()
    except OSError as problem:
        raise InputError(
            "cannot be read", field="file", value=str(file), remedy=f"{problem.strerror}: check the path"
        ) from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _ask(line, f"{file}:{number}", key_id=key_id, path=path)


def _ask(line: bytes, where: str, *, key_id: str, path: str) -> Ask:
    try:
        said = _line(line)
        body = bytes(said.body)
        msgspec.json.decode(body, type=_Body)
    except msgspec.DecodeError as problem:
        shown = line[:80].decode(errors="replace")
        remedy = 'Write {"url": "/v1/chat/completions", "body": {"model": …}}, or the body alone'
        raise InputError(f"no request ({problem})", field=where, value=shown, remedy=remedy) from None
    found = operation_of(said.url or path)
    if found is None or found[0] not in _CACHED:
        raise InputError(
            "the cache keeps no answers of this path", field=where, value=said.url or path,
            remedy="It keeps those of /v1/chat/completions, /v1/responses, /v1/messages and /v1/embeddings",
        )  # fmt: skip
    if len(body) > MOST_ASK_BYTES:
        raise InputError("too large", field=where, value=len(body), remedy=f"{MOST_ASK_BYTES:,} bytes at most")
    return Ask(path=said.url or path, body=body, key_id=key_id, headers=_headers(said.headers, where))


def _line(line: bytes) -> Line:
    """A line with a body, or a bare body."""
    fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    return msgspec.json.decode(line, type=Line) if "body" in fields else Line(body=msgspec.Raw(line))


def _headers(given: dict[str, str], where: str) -> tuple[tuple[bytes, bytes], ...]:
    headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    kept = kept_headers(headers)
    if len(kept) < len(headers):
        other = ", ".join(name.decode() for name, value in headers if (name, value) not in kept)
        remedy = "Write x-farthing-… headers, anthropic-version, anthropic-beta, openai-beta or accept-language"
        raise InputError("a header that is not kept", field=where, value=other, remedy=remedy)
    return kept


def _id(name: str, ask: Ask) -> bytes:
    return blake2b(name.encode() + b"\0" + msgspec.msgpack.encode(ask), digest_size=KEY_BYTES).digest()
