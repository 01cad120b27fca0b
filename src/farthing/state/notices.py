"""Notices and their way to whoever is to be told: an outbox.

What is to be said is written first, once, and carried afterwards. A carrier claims a delivery in a transaction before
it sends, so that of several processes one sends it. A claim lapses: when its carrier dies, another one sends it
again, perhaps a second time, rather than never. Notices are a record by themselves and need none in the audit log.
"""

import builtins
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from farthing.state.database import Database
from farthing.state.tables import deliveries, notices

CLAIM = timedelta(minutes=2)
"""How long a carrier has for one delivery. Longer than any sending takes."""

_MOST_ERROR = 1000


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A notice and one target. ``due`` is when it is tried next; without it, it was delivered or given up."""

    target: str
    attempts: int
    due: datetime | None = None
    delivered: datetime | None = None
    error: str = ""

    @property
    def state(self) -> Literal["delivered", "waiting", "given up"]:
        """How it went."""
        if self.delivered is not None:
            return "delivered"
        return "given up" if self.due is None else "waiting"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is told. ``kind`` is like ``budget.warning``, ``severity`` info, warning or critical.

    ``same`` is what it is about: it is told once. ``body`` holds the ``text`` and facts for programs.
    """

    id: int
    same: str
    kind: str
    severity: str
    title: str
    body: Mapping[str, Any]
    raised: datetime
    deliveries: tuple[Delivery, ...] = ()


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that nobody else makes until the claim lapses. ``attempts`` counts this one."""

    notice: Notice
    target: str
    attempts: int


class Notices:
    """The notices of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tell(
        self,
        at: datetime,
        *,
        kind: str,
        severity: str,
        title: str,
        body: Mapping[str, Any],
        same: str,
        targets: Iterable[str],
    ) -> bool:
        """Say something once, to some targets; false when the same was said before."""
        here = notices.c.same == same
        with self._database.read() as connection:
            if connection.execute(sa.select(notices.c.id).where(here)).first() is not None:
                return False
        with self._database.write() as connection:
            if connection.execute(sa.select(notices.c.id).where(here)).first() is not None:
                return False
            row = {
                "same": same, "kind": kind, "severity": severity, "title": title, "body": dict(body), "raised": at,
            }  # fmt: skip
            made = connection.execute(sa.insert(notices).values(row).returning(notices.c.id)).scalar_one()
            for target in dict.fromkeys(targets):
                new = {"notice": made, "target": target, "due": at, "attempts": 0, "error": ""}
                connection.execute(sa.insert(deliveries).values(new))
        return True

    def said(self, sames: Iterable[str]) -> set[str]:
        """Which of these were said already."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(notices.c.same).where(notices.c.same.in_(list(sames))))
            return {row.same for row in rows}

    def claim(self, at: datetime, *, most: int = 20) -> builtins.list[Claimed]:
        """Deliveries that are due, oldest first. They are this caller's until ``CLAIM`` has passed."""
        due = sa.and_(deliveries.c.due.is_not(None), deliveries.c.due <= at)
        with self._database.read() as connection:
            if connection.execute(sa.select(deliveries.c.notice).where(due).limit(1)).first() is None:
                return []
        query = sa.select(deliveries, notices).join(notices, notices.c.id == deliveries.c.notice).where(due)
        with self._database.write() as connection:
            rows = connection.execute(query.order_by(deliveries.c.due, deliveries.c.notice).limit(most)).all()
            for row in rows:
                values = {"due": at + CLAIM, "attempts": row.attempts + 1}
                connection.execute(sa.update(deliveries).where(_at(row.notice, row.target)).values(values))
        return [Claimed(notice=_notice(row), target=row.target, attempts=row.attempts + 1) for row in rows]

    def delivered(self, at: datetime, claimed: Claimed) -> None:
        """It arrived."""
        self._settle(claimed, {"due": None, "delivered": at, "error": ""})

    def failed(self, claimed: Claimed, error: str, *, again: datetime | None) -> None:
        """It did not arrive. It is tried ``again``, or given up."""
        self._settle(claimed, {"due": again, "error": error[:_MOST_ERROR]})

    def _settle(self, claimed: Claimed, values: Mapping[str, Any]) -> None:
        """Write down how it went, unless the claim lapsed and somebody else made another attempt."""
        mine = sa.and_(_at(claimed.notice.id, claimed.target), deliveries.c.attempts == claimed.attempts)
        with self._database.write() as connection:
            connection.execute(sa.update(deliveries).where(mine).values(**values))

    def list(self, *, limit: int = 100, kinds: Sequence[str] = ()) -> builtins.list[Notice]:
        """The latest notices, newest first; ``kinds`` keeps those of some kinds."""
        query = sa.select(notices).order_by(notices.c.id.desc()).limit(limit)
        if kinds:
            query = query.where(notices.c.kind.in_(list(kinds)))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            ways: dict[int, builtins.list[Delivery]] = {row.id: [] for row in rows}
            found = sa.select(deliveries).where(deliveries.c.notice.in_(list(ways))).order_by(deliveries.c.target)
            for way in connection.execute(found).mappings():
                ways[way["notice"]].append(Delivery(**{k: v for k, v in way.items() if k != "notice"}))
        return [msgspec.structs.replace(_notice(row), deliveries=tuple(ways[row.id])) for row in rows]

    def troubled(self, since: datetime) -> tuple[int, int]:
        """How many deliveries are being tried again after a failure, and how many were given up since an instant."""
        mine = sa.and_(deliveries.c.delivered.is_(None), deliveries.c.error != "", notices.c.raised >= since)
        query = sa.select(deliveries.c.due).join(notices, notices.c.id == deliveries.c.notice).where(mine)
        with self._database.read() as connection:
            waits = [row.due is not None for row in connection.execute(query)]
        return sum(waits), len(waits) - sum(waits)


def _at(notice: int, target: str) -> sa.ColumnElement[bool]:
    return sa.and_(deliveries.c.notice == notice, deliveries.c.target == target)


def _notice(row: Any) -> Notice:
    return Notice(
        id=row.id,
        same=row.same,
        kind=row.kind,
        severity=row.severity,
        title=row.title,
        body=row.body,
        raised=row.raised,
    )


__all__ = ["CLAIM", "Claimed", "Delivery", "Notice", "Notices"]
