"""Files and batches at providers: who owns them, and which batches are still to be settled."""

import builtins
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from farthing.core.batches import BATCHES, Holding, Kind
from farthing.core.decode import convert
from farthing.core.errors import ConflictError
from farthing.state.audit import Change
from farthing.state.database import Database
from farthing.state.tables import batches

_COLUMNS = ("id", "kind", "provider", "owner", "created", "settled")


class Batches:
    """The files and batches of a store. What the provider says of them is noted without an audit entry: nobody here
    changed it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, change: Change, holding: Holding, *, instead_of: str = "") -> None:
        """Keep something new; ``instead_of`` is the order that it confirms. Adding it again changes nothing.

        Raises ``ConflictError`` when somebody else owns that id.
        """
        with self._database.write() as connection:
            if _insert(connection, holding):
                change.record(connection, f"{holding.kind}.create", holding.id, after=_public(holding))
            if instead_of:
                connection.execute(sa.delete(batches).where(batches.c.id == instead_of))

    def find(self, kind: Kind, id: str, owner: str = "") -> Holding | None:
        """One holding; with ``owner``, only if it is theirs."""
        wanted = sa.and_(batches.c.id == id, batches.c.kind == kind)
        if owner:
            wanted = sa.and_(wanted, batches.c.owner == owner)
        with self._database.read() as connection:
            row = connection.execute(sa.select(batches).where(wanted)).mappings().first()
        return None if row is None else _holding(row)

    def list(
        self, kind: Kind, owner: str, *, after: str = "", limit: int = 100, oldest_first: bool = False
    ) -> builtins.list[Holding]:
        """An owner's holdings, newest first unless asked otherwise, behind the one called ``after``."""
        mine = sa.and_(batches.c.kind == kind, batches.c.owner == owner)
        place = sa.tuple_(batches.c.created, batches.c.id)
        query = sa.select(batches).where(mine)
        if after:
            start = sa.select(batches.c.created, batches.c.id).where(mine, batches.c.id == after).subquery()
            edge = sa.select(start.c.created).scalar_subquery(), sa.select(start.c.id).scalar_subquery()
            query = query.where(place > sa.tuple_(*edge) if oldest_first else place < sa.tuple_(*edge))
        order = (batches.c.created, batches.c.id)
        query = query.order_by(*(order if oldest_first else (column.desc() for column in order))).limit(limit)
        with self._database.read() as connection:
            return [_holding(row) for row in connection.execute(query).mappings()]

    def saw(self, id: str, seen: Mapping[str, Any], *, found: tuple[Holding, ...] = ()) -> None:
        """Note what the provider says of something now, and the files that it says a batch has written."""
        with self._database.write() as connection:
            old = _find(connection, id)
            if old is not None and old.seen != seen:
                _update(connection, msgspec.structs.replace(old, seen=seen))
            for holding in found:
                _insert(connection, holding)

    def charged(self, id: str, charges: tuple[Any, ...]) -> None:
        """Note what an order or a batch was charged. Whoever charged it keeps the books."""
        with self._database.write() as connection:
            old = _find(connection, id)
            if old is not None:
                _update(connection, msgspec.structs.replace(old, charges=charges))

    def remove(self, change: Change, id: str) -> None:
        """Forget something that the provider has no more. Nothing happens when it is gone already."""
        with self._database.write() as connection:
            old = _find(connection, id)
            if old is not None:
                connection.execute(sa.delete(batches).where(batches.c.id == id))
                change.record(connection, f"{old.kind}.remove", id, before=_public(old))

    def unsettled(self, *kinds: Kind, file: str = "") -> builtins.list[Holding]:
        """What is still to be settled, oldest first; with ``file``, only batches that read or wrote that file.

        Without ``kinds``, batches of every kind.
        """
        open_ones = sa.and_(batches.c.kind.in_(kinds or BATCHES), batches.c.settled.is_(None))
        with self._database.read() as connection:
            rows = connection.execute(sa.select(batches).where(open_ones).order_by(batches.c.created)).mappings()
            found = [_holding(row) for row in rows]
        return [h for h in found if not file or file == h.input or file in h.results]

    def contested(self, order: Holding, within: timedelta) -> bool:
        """Whether somebody else ordered the same of its provider at about that time, and got no answer either."""
        others = sa.and_(
            batches.c.kind == "order",
            batches.c.provider == order.provider,
            batches.c.owner != order.owner,
            batches.c.created.between(order.created - within, order.created + within),
        )
        with self._database.read() as connection:
            rows = connection.execute(sa.select(batches).where(others)).mappings()
            return any(_holding(row).input == order.input for row in rows)

    def settle(self, change: Change, id: str, also: Callable[[sa.Connection, Holding], None]) -> bool:
        """Mark a batch or an order as settled, once, and do in the same transaction what goes with it.

        False when it was settled before: then ``also`` is not called.
        """
        with self._database.write() as connection:
            old = _find(connection, id)
            if old is None or old.settled is not None:
                return False
            also(connection, old)
            connection.execute(sa.update(batches).where(batches.c.id == id).values(settled=change.at))
            change.record(connection, f"{old.kind}.settle", id, before={"status": old.status})
        return True


def _find(connection: sa.Connection, id: str) -> Holding | None:
    row = connection.execute(sa.select(batches).where(batches.c.id == id)).mappings().first()
    return None if row is None else _holding(row)


def _insert(connection: sa.Connection, holding: Holding) -> bool:
    """Whether it is new. Raises ``ConflictError`` when the id is somebody else's."""
    old = _find(connection, holding.id)
    if old is not None:
        if (old.owner, old.provider, old.kind) != (holding.owner, holding.provider, holding.kind):
            raise ConflictError(f"Another {old.kind} is called {holding.id!r}", remedy="Ask the provider for a new one")
        return False
    connection.execute(sa.insert(batches).values(**_row(holding)))
    return True


def _update(connection: sa.Connection, holding: Holding) -> None:
    row = _row(holding)
    connection.execute(sa.update(batches).where(batches.c.id == holding.id).values(facts=row["facts"]))


def _row(holding: Holding) -> dict[str, Any]:
    own = {name: getattr(holding, name) for name in _COLUMNS}
    plain: dict[str, Any] = msgspec.to_builtins(holding)
    return {**own, "facts": {name: value for name, value in plain.items() if name not in _COLUMNS}}


def _holding(row: Mapping[Any, Any]) -> Holding:
    return convert({**row["facts"], **{name: row[name] for name in _COLUMNS}}, Holding, what="batches")


def _public(holding: Holding) -> dict[str, Any]:
    """What the audit log says of it."""
    shown: dict[str, Any] = {"provider": holding.provider, "key": holding.key_id}
    if holding.lots:
        shown["requests"] = {lot.model: lot.requests for lot in holding.lots}
    return {name: value for name, value in shown.items() if value}
