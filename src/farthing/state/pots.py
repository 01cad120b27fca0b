"""What is left in pots, for people; and what was used before their limits were made."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from farthing.core.leases import PotName
from farthing.core.limits import LENGTHS, Span
from farthing.state.database import Database
from farthing.state.leases import ROLL_SLOTS, insert_into, lost_of
from farthing.state.tables import limits, pots, rolled


class Pot(msgspec.Struct, frozen=True, kw_only=True):
    """What of a limit was used in one span by one subject, in counted pieces.

    ``used`` is settled, of which ``doubt`` was charged at its worst case because nobody knows what the provider
    billed. ``leased`` is what workers have at hand, of which ``lost`` belongs to holders that are no longer heard.
    ``seeded`` was used before the limit began to count, ``None`` while that is not known. ``wanted``: somebody waits.
    """

    limit_id: str
    subject: str
    starts: datetime
    ends: datetime | None
    used: int
    doubt: int
    leased: int
    lost: int = 0
    seeded: int | None = 0
    wanted: bool = False


class Pots:
    """Reads pots, and fills in what was used before their limits were made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, at: datetime, limit_ids: Iterable[str] | None = None) -> "list[Pot]":
        """The pots of spans that an instant lies in, of all limits in force or of some."""
        current = sa.and_(pots.c.starts <= at, sa.or_(pots.c.ends.is_(None), pots.c.ends > at))
        joined = sa.join(pots, limits, pots.c.limit_id == limits.c.id)
        query = sa.select(*pots.c, limits.c.spec).select_from(joined).where(current, limits.c.removed.is_(None))
        if limit_ids is not None:
            query = query.where(pots.c.limit_id.in_(list(limit_ids)))
        with self._database.read() as connection:
            rows = list(connection.execute(query.order_by(pots.c.limit_id, pots.c.subject)).mappings())
            lost = lost_of(connection, [row["id"] for row in rows], at)
            gone = {row["id"]: _rolled_out(connection, row, at) for row in rows if row["spec"].get("rolling")}
        return [_pot(row, lost.get(row["id"], 0), gone.get(row["id"], 0), at) for row in rows]

    def unseeded(self, at: datetime) -> "list[PotName]":
        """Pots of the spans around an instant whose past is not known yet."""
        current = sa.and_(pots.c.starts <= at, sa.or_(pots.c.ends.is_(None), pots.c.ends > at))
        query = sa.select(pots.c.limit_id, pots.c.subject, pots.c.starts).where(current, pots.c.seeded.is_(None))
        with self._database.read() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)]

    def seed(self, limit_id: str, subject: str, starts: datetime, amount: int, *, ends: datetime | None = None) -> None:
        """Say what was used in a span before its limit began to count; saying it again replaces it.

        A pot that nobody has used yet is made.
        """
        with self._database.begin() as connection:
            row = {
                "limit_id": limit_id, "subject": subject, "starts": starts, "ends": ends,
                "used": 0, "doubt": 0, "leased": 0, "seeded": amount,
            }  # fmt: skip
            insert = insert_into(connection, pots).values(row)
            names = ["limit_id", "subject", "starts"]
            connection.execute(insert.on_conflict_do_update(index_elements=names, set_={"seeded": amount}))


def _rolled_out(connection: sa.Connection, row: Mapping[Any, Any], at: datetime) -> int:
    """What of a rolling pot's use lies before its span by now, and was not taken off yet."""
    length = LENGTHS[Span(row["spec"]["per"])].total_seconds() / ROLL_SLOTS
    old = sa.and_(rolled.c.pot_id == row["id"], rolled.c.slot < int(at.timestamp() // length) - ROLL_SLOTS)
    return int(connection.execute(sa.select(sa.func.sum(rolled.c.used)).where(old)).scalar() or 0)


def _pot(row: Mapping[Any, Any], lost: int, gone: int, at: datetime) -> Pot:
    fields = {name: row[name] for name in ("limit_id", "subject", "starts", "ends", "doubt", "leased")}
    wanted = row["wanted"] is not None and row["wanted"] > at
    return Pot(**fields, used=row["used"] - gone, seeded=row["seeded"], lost=lost, wanted=wanted)
