"""Secrets at rest, sealed: this store never sees an envelope key, and its rows may be copied anywhere."""

import builtins
import re
from collections.abc import Sequence
from datetime import datetime

import msgspec
import sqlalchemy as sa

from farthing.core.errors import InputError, NotFoundError
from farthing.core.seal import SealKey, opened, reseal, seal, sealed_by
from farthing.state.audit import Change
from farthing.state.database import Database
from farthing.state.tables import secrets

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class SecretFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A secret without what it holds. ``sealed_by`` is the id of the envelope key that opens it."""

    name: str
    sealed_by: str
    created: datetime
    changed: datetime


class Secrets:
    """The secrets of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, change: Change, name: str, secret: str, key: SealKey) -> None:
        """Keep a secret under a name, in the place of an older one. Raises ``InputError``."""
        if not _NAME.fullmatch(name):
            raise InputError("not a name", field="name", value=name, remedy="Use letters, digits, dot, dash")
        if not secret:
            raise InputError("there is no secret", field="secret", value="", remedy="Write it on standard input")
        values = {"sealed": seal(name, secret, key), "sealed_by": key.id, "changed": change.at}
        with self._database.write() as connection:
            here = secrets.c.name == name
            known = connection.execute(sa.select(secrets.c.name).where(here)).first()
            if known:
                connection.execute(sa.update(secrets).where(here).values(values))
            else:
                connection.execute(sa.insert(secrets).values({**values, "name": name, "created": change.at}))
            change.record(connection, "secret.change" if known else "secret.create", name, after={"sealed_by": key.id})

    def remove(self, change: Change, name: str) -> None:
        """Forget a secret. Raises ``NotFoundError``."""
        with self._database.write() as connection:
            if not connection.execute(sa.delete(secrets).where(secrets.c.name == name)).rowcount:
                known = [found for (found,) in connection.execute(sa.select(secrets.c.name))]
                raise NotFoundError("secret", name, known=known, remedy="farthing secret list shows them")
            change.record(connection, "secret.remove", name)

    def list(self) -> builtins.list[SecretFacts]:
        """All secrets by name, without what they hold."""
        columns = [secrets.c.name, secrets.c.sealed_by, secrets.c.created, secrets.c.changed]
        with self._database.read() as connection:
            rows = connection.execute(sa.select(*columns).order_by(secrets.c.name)).mappings()
            return [SecretFacts(**{str(name): value for name, value in row.items()}) for row in rows]

    def sealed(self) -> dict[str, str]:
        """What is kept under each name, sealed."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(secrets.c.name, secrets.c.sealed).order_by(secrets.c.name))
            return {row.name: row.sealed for row in rows}

    def rotate(self, change: Change, keys: Sequence[SealKey]) -> builtins.list[str]:
        """Seal every data key with the first of the keys; the names of those that were sealed with another.

        All or none. Raises ``UnavailableError`` naming the first secret that no key opens.
        """
        moved: builtins.list[str] = []
        with self._database.write() as connection:
            for row in connection.execute(sa.select(secrets).order_by(secrets.c.name)).all():
                if sealed_by(row.sealed) == keys[0].id:
                    continue
                opened(row.name, row.sealed, keys)
                values = {"sealed": reseal(row.name, row.sealed, keys), "sealed_by": keys[0].id}
                connection.execute(sa.update(secrets).where(secrets.c.name == row.name).values(values))
                change.record(
                    connection,
                    "secret.reseal",
                    row.name,
                    before={"sealed_by": row.sealed_by},
                    after={"sealed_by": keys[0].id},
                )
                moved.append(row.name)
        return moved


__all__ = ["SecretFacts", "Secrets"]
