"""Keys that clients of the gateway authenticate with."""

import builtins
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from farthing.core.errors import ConflictError, DeniedError, InputError, NotFoundError
from farthing.core.nouns import Scope
from farthing.state import token as tokens
from farthing.state.audit import Change
from farthing.state.database import Database
from farthing.state.tables import keys

_NOBODY = Scope()
USE_RESOLUTION = timedelta(minutes=1)
"""``last_used`` is written at most this often, so that a busy key does not keep the store busy."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key. ``hash`` is the SHA-256 of its token, ``prefix`` the token's first characters.

    ``scope`` is who pays for what it does; ``models`` are names it may ask for, all when empty; ``category`` is what
    its requests are for, left to them when empty.
    ``rotated_from`` is the key it replaces; ``last_used`` is right to the minute.
    """

    id: str
    hash: str
    prefix: str
    name: str
    scope: Scope
    models: frozenset[str]
    created: datetime
    category: str = ""
    expires: datetime | None = None
    revoked: datetime | None = None
    rotated_from: str | None = None
    last_used: datetime | None = None

    def status(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether it works at an instant, and why not."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    def public(self) -> dict[str, Any]:
        """What people and the audit log may see of it."""
        shown = msgspec.to_builtins(self)
        del shown["hash"]
        return {name: value for name, value in shown.items() if value not in (None, "", [])}


class Keys:
    """The keys of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        change: Change,
        *,
        name: str = "",
        scope: Scope = _NOBODY,
        models: Iterable[str] = (),
        category: str = "",
        expires: datetime | None = None,
    ) -> tuple[Key, str]:
        """A new key and its token, which cannot be shown again. Raises ``InputError`` for an expiry in the past."""
        if expires is not None and expires <= change.at:
            raise InputError("a key cannot expire before it begins", field="expires", value=expires.isoformat())
        key, token = _made(
            change.at, name=name, scope=scope, models=frozenset(models), category=category, expires=expires
        )
        with self._database.write() as connection:
            _insert(connection, key)
            change.record(connection, "key.create", key.id, after=key.public())
        return key, token

    def rotate(
        self, change: Change, ref: str, *, grace: timedelta = timedelta(), expires: datetime | None = None
    ) -> tuple[Key, str]:
        """A new key in the place of another one, and its token.

        The old token works until the ``grace`` is over, and never longer than it would have. The new key
        lives as long as the old one was made for, unless ``expires`` says otherwise. Raises
        ``NotFoundError``, and ``ConflictError`` for a key that is revoked or expired.
        """
        with self._database.write() as connection:
            old = _find(connection, ref, change.at)
            if old.status(change.at) != "active":
                raise ConflictError(f"Key {old.id} is {old.status(change.at)}", remedy="Create a new one")
            lifetime = old.expires - old.created if old.expires else None
            ends = expires or (change.at + lifetime if lifetime else None)
            key, token = _made(
                change.at,
                name=old.name,
                scope=old.scope,
                models=old.models,
                category=old.category,
                expires=ends,
                rotated_from=old.id,
            )
            _insert(connection, key)
            last = change.at + grace
            until = min(last, old.expires) if old.expires else last
            retired = msgspec.structs.replace(old, expires=until)
            connection.execute(sa.update(keys).where(keys.c.id == old.id).values(expires=until))
            change.record(connection, "key.rotate", old.id, before=old.public(), after=retired.public())
            change.record(connection, "key.create", key.id, after=key.public())
        return key, token

    def revoke(self, change: Change, ref: str) -> Key:
        """Stop a key at once. Revoking it again changes nothing. Raises ``NotFoundError``."""
        with self._database.write() as connection:
            old = _find(connection, ref, change.at)
            if old.revoked is not None:
                return old
            key = msgspec.structs.replace(old, revoked=change.at)
            connection.execute(sa.update(keys).where(keys.c.id == old.id).values(revoked=change.at))
            change.record(connection, "key.revoke", old.id, before=old.public(), after=key.public())
        return key

    def list(self) -> builtins.list[Key]:
        """All keys, newest first, dead ones included."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(keys).order_by(keys.c.created.desc(), keys.c.id)).mappings()
            return [_key(row) for row in rows]

    def get(self, ref: str, now: datetime) -> Key:
        """A key by id, by the beginning of its token that is shown, or by name if one working key has it.

        Raises ``NotFoundError``, or ``ConflictError`` when several keys fit.
        """
        with self._database.read() as connection:
            return _find(connection, ref, now)

    def authenticate(self, token: str, now: datetime) -> Key:
        """The key of a token.

        Raises ``DeniedError`` with reason ``invalid_key``, ``revoked_key`` or ``expired_key``.
        """
        with self._database.read() as connection:
            row = connection.execute(sa.select(keys).where(keys.c.hash == tokens.digest(token))).mappings().first()
        if row is None or not tokens.matches(token, row["hash"]):
            raise DeniedError(
                "This key does not exist", reason="invalid_key", remedy="Check it, or create one: farthing key create"
            )
        key = _key(row)
        if (status := key.status(now)) != "active":
            raise DeniedError(f"Key {key.prefix}… is {status}", reason=f"{status}_key", remedy="Ask for a new key")
        return key

    def touch(self, used: Mapping[str, datetime]) -> None:
        """Remember when keys were last used, to the minute. Does not count as a change."""
        with self._database.write() as connection:
            for key_id, at in used.items():
                stale = sa.or_(keys.c.last_used.is_(None), keys.c.last_used <= at - USE_RESOLUTION)
                connection.execute(sa.update(keys).where(keys.c.id == key_id, stale).values(last_used=at))


def _made(now: datetime, **facts: Any) -> tuple[Key, str]:
    token = tokens.mint()
    key_id = f"key_{secrets.token_hex(8)}"
    return Key(id=key_id, hash=tokens.digest(token), prefix=tokens.shown(token), created=now, **facts), token


def _insert(connection: sa.Connection, key: Key) -> None:
    row = msgspec.structs.asdict(key)
    own = {"scope": msgspec.to_builtins(key.scope), "models": sorted(key.models)}
    connection.execute(sa.insert(keys).values({**row, **own}))


def _key(row: Mapping[Any, Any]) -> Key:
    own: dict[str, Any] = {"scope": Scope(**row["scope"]), "models": frozenset(row["models"])}
    return Key(**{**row, **own})


def _find(connection: sa.Connection, ref: str, now: datetime) -> Key:
    found = [_key(row) for row in connection.execute(sa.select(keys).where(keys.c.id == ref)).mappings()]
    if found:
        return found[0]
    by_sight = sa.or_(keys.c.prefix == ref, keys.c.name == ref) if ref else sa.false()
    fitting = [_key(row) for row in connection.execute(sa.select(keys).where(by_sight)).mappings()]
    fitting = [k for k in fitting if k.status(now) == "active"] or fitting
    if len(fitting) > 1:
        ids = ", ".join(sorted(k.id for k in fitting))
        raise ConflictError(f"Several keys are called {ref!r}: {ids}", remedy="Say which one by its id")
    if not fitting:
        known = connection.execute(sa.select(keys.c.id, keys.c.name)).all()
        names = {word for row in known for word in row if word}
        raise NotFoundError("key", ref, known=names, remedy="farthing key list shows them")
    return fitting[0]
