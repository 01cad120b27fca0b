"""The audit log: who changed what, when, from what, to what. Nothing in it is ever changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from farthing.state.database import Database
from farthing.state.tables import audit, changes


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. ``action`` is like ``key.create``; ``before`` is empty for something new, ``after`` for
    something removed. Secrets and hashes are never in it.
    """

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes something, and when: every write to the store is made by somebody."""

    actor: str
    at: datetime

    def record(
        self,
        connection: sa.Connection,
        action: str,
        subject: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the change down in the transaction that makes it, and let other processes notice it."""
        states = {"before": sa.null() if before is None else before, "after": sa.null() if after is None else after}
        row = {"at": self.at, "actor": self.actor, "action": action, "subject": subject, **states}
        connection.execute(sa.insert(audit).values(row))
        connection.execute(sa.update(changes).values(number=changes.c.number + 1))


class Audit:
    """Reads the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, *, subject: str = "", limit: int = 100) -> list[Entry]:
        """The latest entries, newest first; those about one subject only when it is given."""
        query = sa.select(audit).order_by(audit.c.number.desc()).limit(limit)
        if subject:
            query = query.where(audit.c.subject == subject)
        with self._database.read() as connection:
            return [Entry(**row) for row in connection.execute(query).mappings()]
