"""Pots and the slices that workers hold of them: the one place where what is left of a limit is known.

The invariant: ``used + seeded + leased`` of a hard limit's pot never grows beyond its amount by anything but a
report of what a provider billed beyond its worst case. A message is one transaction: what was used is added, what
came back is free, asks are met whole or not at all, and what else is wanted is shared out in ever smaller portions.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from farthing.core.leases import (
    LOST_SECONDS,
    WANTED_SECONDS,
    Ask,
    Charged,
    Granted,
    Message,
    PotName,
    Remains,
    Reply,
    Slice,
)
from farthing.core.limits import LENGTHS, Measure, Span
from farthing.state.audit import Change
from farthing.state.database import Database
from farthing.state.tables import leases, limits, pots, rolled

ROLL_SLOTS = 60
"""A rolling span is counted in this many parts; use falls out of it a part at a time, never early."""

FOREVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Where a span without beginning is said to begin."""

_DEAF = 2**62
"""Number of the last message of a holder that is buried: whatever it said before arrives too late."""

_Row = dict[str, Any]


class Leases:
    """Cuts pots into slices."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def exchange(self, message: Message, now: datetime) -> Reply:
        """Hear a holder and answer it. Raises ``UnavailableError`` when the store cannot be written.

        Hearing a message again, or one that later ones overtook, changes nothing. ``now`` only decides how long
        somebody counts as waiting and when use falls out of a rolling span; Postgres uses its own clock for that.
        """
        with self._database.begin() as connection:
            table = _Table(connection, message, _alone(connection, message.holder, now))
            table.report()
            met = tuple(table.meet(ask) for ask in message.asks)
            table.share()
            table.write()
            return Reply(slices=tuple(table.word(part) for part in message.slices), met=met)

    def bury(self, holder: str, remains: Iterable[Remains], now: datetime) -> None:
        """Settle all slices of a holder that is dead, by the record it left. Doing it again changes nothing.

        What was under way when it died is charged at its worst case: nobody knows what the provider billed. A slice
        that the record does not name was closed. What the holder said before it died and is heard only now is left
        out: the record has it already.
        """
        left = {part.turn: part for part in remains}
        with self._database.begin() as connection:
            at = _alone(connection, holder, now)
            for row in _held_by(connection, holder):
                _settle(connection, row, left.get(row["turn"]), at)
            connection.execute(sa.update(leases).where(leases.c.holder == holder).values(message=_DEAF))

    def release(self, change: Change, holder: str) -> int:
        """Give back what a lost holder had and did not report, on somebody's word that it was not used.

        Returns how many slices there were. The audit log says who did it. Should the holder be heard again, or its
        record be found, what it used beyond its reports is charged then.
        """
        with self._database.write() as connection:
            at = _alone(connection, holder, change.at)
            rows = [row for row in _held_by(connection, holder) if row["granted"] > row["spent"]]
            for row in rows:
                _settle(connection, row, None, at)
            if rows:
                change.record(connection, "lease.release", holder, before={"slices": len(rows)})
        return len(rows)

    def sweep(self, now: datetime, *, keep: timedelta = timedelta(days=1)) -> int:
        """Forget slices that are over, and pots of minutes and hours that are; how many slices there were.

        Pots of longer spans are kept as the history of their limit.
        """
        over = pots.c.ends < now - keep
        idle = sa.and_(leases.c.granted == leases.c.spent, leases.c.renewed < now - keep)
        short = sa.select(limits.c.id).where(limits.c.spec["per"].as_string().in_((Span.MINUTE, Span.HOUR)))
        with self._database.begin() as connection:
            past = leases.c.pot_id.in_(sa.select(pots.c.id).where(over))
            old = connection.execute(sa.delete(leases).where(sa.or_(past, idle)))
            connection.execute(sa.delete(pots).where(over, pots.c.limit_id.in_(short)))
            return old.rowcount


def put_right(connection: sa.Connection, charges: Iterable[Charged], *, cost: int | None, tokens: int) -> None:
    """What pots were charged at its worst turned out to come to this; an unknown ``cost`` stays at its worst.

    Use of a rolling span stays as it was reported, because that is what will fall out of it again.
    """
    for charged in charges:
        came_to = {Measure.COST: cost, Measure.TOKENS: tokens}.get(charged.measure)
        if came_to is None:
            continue
        here = _named(charged.limit, charged.subject, charged.starts)
        joined = sa.join(pots, limits, pots.c.limit_id == limits.c.id)
        query = sa.select(pots.c.id, limits.c.spec).select_from(joined).where(here).with_for_update(of=pots)
        pot = connection.execute(query).first()
        if pot is None or pot.spec.get("rolling"):
            continue
        values = {"used": pots.c.used + came_to - charged.amount, "doubt": pots.c.doubt - charged.amount}
        connection.execute(sa.update(pots).where(pots.c.id == pot.id).values(values))


class _Table:
    """One message's pots and slices, read under lock, changed in memory, written back at the end."""

    def __init__(self, connection: sa.Connection, message: Message, now: datetime) -> None:
        self._connection = connection
        self._message = message
        self._now = now
        self._pots = _locked(connection, message.slices)
        ids = {name: row["id"] for name, row in self._pots.items()}
        held = _held_by(connection, message.holder, [part.turn for part in message.slices])
        self._mine = {row["turn"]: row for row in held}
        self._fresh = {p.turn for p in message.slices if self._mine.get(p.turn, _UNHEARD)["message"] < message.number}
        if any(row["message"] == _DEAF for row in held):
            self._fresh.clear()
        self._pot = {part.turn: self._pots[part.pot] for part in message.slices}
        for part in message.slices:
            self._mine.setdefault(part.turn, {**_UNHEARD, "turn": part.turn, "pot_id": ids[part.pot]})
        self._lost: dict[int, int] | None = None

    def report(self) -> None:
        """Add what was used, take back what is given back."""
        for part in self._message.slices:
            if part.turn not in self._fresh:
                continue
            row, pot = self._mine[part.turn], self._pot[part.turn]
            used = max(0, part.spent - row["spent"])
            granted = min(row["granted"], part.spent + part.keep)
            before = row["granted"] - row["spent"]
            spent = row["spent"] + used
            row.update(spent=spent, granted=max(granted, spent) if pot["hard"] else spent)
            pot["leased"] += row["granted"] - spent - before
            pot["used"] += used
            pot["doubt"] += max(0, part.doubt - row["doubt"])
            row["doubt"] = max(row["doubt"], part.doubt)
            if part.roll:
                self._roll(part, pot, used)

    def _roll(self, part: Slice, pot: _Row, used: int) -> None:
        """Note when a rolling pot's use was reported, and let fall out of the span what is older than it."""
        length = part.roll / ROLL_SLOTS
        current = int(self._now.timestamp() // length)
        old = sa.and_(rolled.c.pot_id == pot["id"], rolled.c.slot < current - ROLL_SLOTS)
        gone = self._connection.execute(sa.select(sa.func.sum(rolled.c.used)).where(old)).scalar()
        if gone:
            self._connection.execute(sa.delete(rolled).where(old))
            pot["used"] -= int(gone)
        if used:
            _note_roll(self._connection, pot["id"], current, used)

    def meet(self, ask: Ask) -> bool:
        """Give one request all that it needs, or nothing. What it lacks is marked as wanted."""
        if not all(turn in self._fresh for turn, _ in ask.needs):
            return False
        lacking = [turn for turn, need in ask.needs if need > _left(self._pot[turn])]
        for turn in lacking:
            self._pot[turn]["wanted"] = self._now + timedelta(seconds=WANTED_SECONDS)
        if not lacking:
            for turn, need in ask.needs:
                self._give(turn, need)
        return not lacking

    def share(self) -> None:
        """Give what else is wanted: at most a part of what is left, so that others find something too."""
        wanting = [part for part in self._message.slices if part.want and part.turn in self._fresh]
        hard = [part for part in wanting if self._pot[part.turn]["hard"] and not self._is_wanted(part)]
        others = _holders(self._connection, [self._pot[part.turn]["id"] for part in hard], self._message.holder)
        for part in hard:
            pot = self._pot[part.turn]
            portion = _left(pot) // (2 * (others.get(pot["id"], 0) + 1))
            self._give(part.turn, max(0, min(part.want, portion)))

    def _give(self, turn: int, amount: int) -> None:
        self._mine[turn]["granted"] += amount
        self._pot[turn]["leased"] += amount

    def _is_wanted(self, part: Slice) -> bool:
        wanted = self._pot[part.turn]["wanted"]
        return wanted is not None and wanted > self._now

    def word(self, part: Slice) -> Granted:
        """What the holder is told of a slice."""
        pot, row = self._pot[part.turn], self._mine[part.turn]
        free = _left(pot)
        return Granted(
            turn=part.turn,
            granted=row["granted"],
            left=free,
            most=free + pot["leased"] - self._lost_of(pot),
            cap=pot["pieces"],
            used=pot["used"] + (pot["seeded"] or 0),
            tight=self._is_wanted(part) or free < 0,
            open=pot["removed"] is None and pot["seeded"] is not None,
        )

    def _lost_of(self, pot: _Row) -> int:
        """What lost holders have of a pot. Asked only when somebody has to wait."""
        if not self._message.asks:
            return 0
        if self._lost is None:
            self._lost = lost_of(self._connection, [p["id"] for p in self._pots.values()], self._now)
        return self._lost.get(pot["id"], 0)

    def write(self) -> None:
        """Put everything back."""
        changed = [self._mine[part.turn] for part in self._message.slices if part.turn in self._fresh]
        for row in changed:
            row.update(holder=self._message.holder, message=self._message.number, renewed=self._now)
        if changed:
            insert = insert_into(self._connection, leases)
            kept = ("granted", "spent", "doubt", "message", "renewed")
            update = insert.on_conflict_do_update(
                index_elements=["holder", "turn"], set_={name: insert.excluded[name] for name in kept}
            )
            self._connection.execute(update, changed)
        self._connection.execute(
            sa.update(pots).where(pots.c.id == sa.bindparam("pot")),
            [
                {"pot": p["id"], **{name: p[name] for name in ("used", "doubt", "leased", "wanted")}}
                for p in self._pots.values()
            ],
        )


_UNHEARD: _Row = {"message": -1, "granted": 0, "spent": 0, "doubt": 0}


def _left(pot: _Row) -> int:
    """What nobody has taken; nothing of a pot whose past is not known yet, or whose limit is gone."""
    if pot["seeded"] is None or pot["removed"] is not None:
        return 0
    return int(pot["pieces"] - pot["used"] - pot["seeded"] - pot["leased"])


def _alone(connection: sa.Connection, holder: str, now: datetime) -> datetime:
    """Make sure that nobody else deals with this holder until the end of the transaction; returns the time.

    A killed process may leave a commit on its way to Postgres: whoever buries it waits here until that is through.
    SQLite lets one write at a time anyway. The time is that of the one clock of all hosts, where the store has one.
    """
    if connection.dialect.name == "postgresql":
        lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(holder, 0))
        return connection.execute(sa.select(sa.func.clock_timestamp(), lock)).one()[0].astimezone(UTC)
    return now


def _named(limit: str, subject: str, starts: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(pots.c.limit_id == limit, pots.c.subject == subject, pots.c.starts == starts)


def insert_into(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that can say ON CONFLICT; both dialects have the same words for it."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _locked(connection: sa.Connection, parts: Sequence[Slice]) -> dict[PotName, _Row]:
    """The pots that slices are of, made where they are new, and locked in one order."""
    names = {part.pot: part for part in parts}
    found = _find(connection, names)
    missing = [names[name] for name in sorted(names) if name not in found]
    if missing:
        connection.execute(
            insert_into(connection, pots).on_conflict_do_nothing(),
            [
                {
                    "limit_id": part.pot[0], "subject": part.pot[1], "starts": part.pot[2], "ends": part.ends,
                    "used": 0, "doubt": 0, "leased": 0, "seeded": None if part.unseeded else 0,
                }
                for part in missing
            ],
        )  # fmt: skip
        found = _find(connection, names)
    return found


def _find(connection: sa.Connection, names: Iterable[PotName]) -> dict[PotName, _Row]:
    where = sa.tuple_(pots.c.limit_id, pots.c.subject, pots.c.starts).in_(list(names))
    joined = sa.join(pots, limits, pots.c.limit_id == limits.c.id)
    columns = (*pots.c, limits.c.pieces, limits.c.hard, limits.c.removed)
    query = sa.select(*columns).select_from(joined).where(where).order_by(pots.c.id).with_for_update(of=pots)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return {(row["limit_id"], row["subject"], row["starts"]): row for row in rows}


def _held_by(connection: sa.Connection, holder: str, turns: Sequence[int] | None = None) -> list[_Row]:
    """A holder's slices in the order in which pots are locked, all or some of them."""
    query = sa.select(leases).where(leases.c.holder == holder).order_by(leases.c.pot_id)
    if turns is not None:
        query = query.where(leases.c.turn.in_(turns))
    return [dict(row) for row in connection.execute(query).mappings()]


def _holders(connection: sa.Connection, ids: Sequence[int], but: str) -> Mapping[int, int]:
    """How many others have something of each pot."""
    if not ids:
        return {}
    having = sa.and_(leases.c.pot_id.in_(ids), leases.c.holder != but, leases.c.granted > leases.c.spent)
    query = sa.select(leases.c.pot_id, sa.func.count()).where(having).group_by(leases.c.pot_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def lost_of(connection: sa.Connection, ids: Sequence[int], now: datetime) -> dict[int, int]:
    silent = leases.c.renewed < now - timedelta(seconds=LOST_SECONDS)
    query = (
        sa.select(leases.c.pot_id, sa.func.sum(leases.c.granted - leases.c.spent))
        .where(leases.c.pot_id.in_(ids), silent, leases.c.granted > leases.c.spent)
        .group_by(leases.c.pot_id)
    )
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def _settle(connection: sa.Connection, row: _Row, remains: Remains | None, now: datetime) -> None:
    """Charge what a slice used that was not reported, and free the rest."""
    here = pots.c.id == row["pot_id"]
    joined = sa.join(pots, limits, pots.c.limit_id == limits.c.id)
    pot = connection.execute(
        sa.select(pots.c.id, limits.c.spec).select_from(joined).where(here).with_for_update(of=pots)
    ).one()
    used = doubt = 0
    if remains is not None:
        held = 0 if pot.spec["measure"] == Measure.PARALLEL else remains.held
        used = max(0, remains.spent + held - row["spent"])
        doubt = max(0, remains.doubt + held - row["doubt"])
    free = row["granted"] - row["spent"]
    values = {"used": pots.c.used + used, "doubt": pots.c.doubt + doubt, "leased": pots.c.leased - free}
    connection.execute(sa.update(pots).where(here).values(values))
    spent = row["spent"] + used
    mine = sa.and_(leases.c.holder == row["holder"], leases.c.turn == row["turn"])
    settled = {"granted": spent, "spent": spent, "doubt": row["doubt"] + doubt, "renewed": now}
    connection.execute(sa.update(leases).where(mine).values(settled))
    if used and pot.spec.get("rolling"):
        _roll_in(connection, pot, used, now)


def _roll_in(connection: sa.Connection, pot: Any, used: int, now: datetime) -> None:
    length = LENGTHS[Span(pot.spec["per"])].total_seconds() / ROLL_SLOTS
    _note_roll(connection, pot.id, int(now.timestamp() // length), used)


def _note_roll(connection: sa.Connection, pot_id: int, slot: int, used: int) -> None:
    insert = insert_into(connection, rolled).values(pot_id=pot_id, slot=slot, used=used)
    more = {"used": rolled.c.used + insert.excluded.used}
    connection.execute(insert.on_conflict_do_update(index_elements=["pot_id", "slot"], set_=more))
