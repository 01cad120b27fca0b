"""Budgets and quotas as people set them."""

import builtins
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from farthing.core.decode import convert
from farthing.core.errors import ConflictError, InputError, NotFoundError
from farthing.core.limits import Limit, Span
from farthing.state.audit import Change
from farthing.state.database import Database
from farthing.state.tables import limits


class Limits:
    """The limits of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> builtins.list[Limit]:
        """All limits in force, by name."""
        query = sa.select(limits.c.spec).where(limits.c.removed.is_(None)).order_by(limits.c.name, limits.c.id)
        with self._database.read() as connection:
            return [_limit(row.spec) for row in connection.execute(query)]

    def get(self, ref: str) -> Limit:
        """A limit by id or name. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            return _find(connection, ref)

    def create(self, change: Change, limit: Limit) -> Limit:
        """A new limit; an empty id is filled in. It counts requests from now on, and what was spent before in the
        same span is to be filled in from the ledger. Raises ``ConflictError`` when the name is taken.
        """
        made = msgspec.structs.replace(
            limit,
            id=limit.id or f"lim_{secrets.token_hex(8)}",
            since=None if limit.rolling or limit.per is Span.ONCE else change.at,
        )
        with self._database.write() as connection:
            _must_be_free(connection, made)
            connection.execute(sa.insert(limits).values(**_row(made), created=change.at))
            change.record(connection, "limit.create", made.id, after=public(made))
        return made

    def change(self, change: Change, ref: str, **fields: Any) -> Limit:
        """Change some fields of a limit; what was used stays used.

        Raises ``NotFoundError``, ``ConflictError`` for a name that is taken, and ``InputError`` for what no limit can
        say or what would make it count something else.
        """
        with self._database.write() as connection:
            old = _find(connection, ref)
            new = msgspec.structs.replace(old, **{**fields, "id": old.id, "since": old.since})
            _must_count_the_same(old, new)
            if new == old:
                return old
            _must_be_free(connection, new)
            connection.execute(sa.update(limits).where(limits.c.id == old.id).values(**_row(new)))
            change.record(connection, "limit.change", old.id, before=public(old), after=public(new))
        return new

    def remove(self, change: Change, ref: str) -> Limit:
        """End a limit. What it counted is kept."""
        with self._database.write() as connection:
            old = _find(connection, ref)
            connection.execute(sa.update(limits).where(limits.c.id == old.id).values(removed=change.at))
            change.record(connection, "limit.remove", old.id, before=public(old))
        return old


def public(limit: Limit) -> dict[str, Any]:
    """A limit as JSON, for people and the audit log."""
    return msgspec.to_builtins(limit)


def _row(limit: Limit) -> dict[str, Any]:
    return {
        "id": limit.id, "name": limit.name, "spec": public(limit), "pieces": limit.pieces, "hard": limit.hard,
    }  # fmt: skip


def _limit(spec: Mapping[str, Any]) -> Limit:
    return convert(spec, Limit, what="limit")


def _must_be_free(connection: sa.Connection, limit: Limit) -> None:
    taken = sa.and_(limits.c.name == limit.name, limits.c.id != limit.id, limits.c.removed.is_(None))
    if connection.execute(sa.select(limits.c.id).where(taken)).first() is not None:
        raise ConflictError(f"There is a limit {limit.name!r} already", remedy="Choose another name, or change that")


def _must_count_the_same(old: Limit, new: Limit) -> None:
    for field in ("measure", "per", "rolling", "zone", "scope", "window"):
        if getattr(old, field) != getattr(new, field):
            raise InputError(
                "what a limit counts cannot change, because its past would be wrong",
                field=field, value=str(getattr(new, field)), remedy="Remove it and create another one",
            )  # fmt: skip


def _find(connection: sa.Connection, ref: str) -> Limit:
    working = limits.c.removed.is_(None)
    here = sa.and_(working, sa.or_(limits.c.id == ref, limits.c.name == ref))
    row = connection.execute(sa.select(limits.c.spec).where(here)).first()
    if row is None:
        known = [r.name for r in connection.execute(sa.select(limits.c.name).where(working))]
        raise NotFoundError("limit", ref, known=known, remedy="farthing budget list shows them")
    return _limit(row.spec)
