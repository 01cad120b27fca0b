"""Things kept by name as JSON: settings that change at run time, and providers added at run time."""

import builtins
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from farthing.core.errors import ConflictError, NotFoundError
from farthing.state.audit import Change
from farthing.state.database import Database
from farthing.state.tables import providers, settings


class RuntimeSettings:
    """Settings that processes share and people change without a restart. Values are JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Any]:
        """Every setting by name."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(settings.c.name, settings.c.value).order_by(settings.c.name))
            return {row.name: row.value for row in rows}

    def get(self, name: str, default: Any = None) -> Any:
        """One value, or the default when it was never set."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(settings.c.value).where(settings.c.name == name)).first()
            return default if row is None else row.value

    def put(self, change: Change, name: str, value: Any) -> None:
        """Set a value. Setting what is already there changes nothing."""
        with self._database.write() as connection:
            here = settings.c.name == name
            row = connection.execute(sa.select(settings.c.value).where(here)).first()
            if row is not None and row.value == value:
                return
            if row is None:
                connection.execute(sa.insert(settings).values(name=name, value=value, changed=change.at))
            else:
                connection.execute(sa.update(settings).where(here).values(value=value, changed=change.at))
            before = None if row is None else {"value": row.value}
            change.record(connection, "setting.put", name, before=before, after={"value": value})

    def remove(self, change: Change, name: str) -> None:
        """Forget a value, so that its default holds again."""
        with self._database.write() as connection:
            here = settings.c.name == name
            row = connection.execute(sa.select(settings.c.value).where(here)).first()
            if row is not None:
                connection.execute(sa.delete(settings).where(here))
                change.record(connection, "setting.remove", name, before={"value": row.value})


class Providers:
    """Upstream accounts added at run time: name → the fields of ``[providers.NAME]``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> dict[str, dict[str, Any]]:
        """Every account by name."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(providers).order_by(providers.c.name))
            return {row.name: row.settings for row in rows}

    def add(self, change: Change, name: str, fields: Mapping[str, Any], *, replace: bool = False) -> None:
        """Add an account. Raises ``ConflictError`` when the name is taken and ``replace`` is off."""
        with self._database.write() as connection:
            here = providers.c.name == name
            row = connection.execute(sa.select(providers.c.settings).where(here)).first()
            if row is not None and not replace:
                raise ConflictError(
                    f"There is a provider {name!r} already", remedy="Choose another name, or --replace it"
                )
            if row is None:
                connection.execute(sa.insert(providers).values(name=name, settings=dict(fields), created=change.at))
            else:
                connection.execute(sa.update(providers).where(here).values(settings=dict(fields)))
            before = None if row is None else row.settings
            change.record(connection, "provider.add", name, before=before, after=fields)

    def remove(self, change: Change, name: str) -> None:
        """Remove an account. Raises ``NotFoundError``."""
        with self._database.write() as connection:
            here = providers.c.name == name
            row = connection.execute(sa.select(providers.c.settings).where(here)).first()
            if row is None:
                known: builtins.list[str] = [r.name for r in connection.execute(sa.select(providers.c.name))]
                raise NotFoundError("provider", name, known=known, remedy="farthing provider list shows them")
            connection.execute(sa.delete(providers).where(here))
            change.record(connection, "provider.remove", name, before=row.settings)
