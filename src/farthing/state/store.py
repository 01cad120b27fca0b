"""What changes: keys, settings, providers and the record of who changed them, in SQLite or Postgres."""

from types import TracebackType
from typing import Self

import sqlalchemy as sa

from farthing.state import schema, tables
from farthing.state.approvals import Approvals
from farthing.state.audit import Audit
from farthing.state.batches import Batches
from farthing.state.database import Database
from farthing.state.keys import Keys
from farthing.state.leases import Leases
from farthing.state.limits import Limits
from farthing.state.notices import Notices
from farthing.state.people import People
from farthing.state.pots import Pots
from farthing.state.rows import Providers, RuntimeSettings
from farthing.state.secrets import Secrets
from farthing.state.sessions import Sessions


class Store:
    """The state store, open. Several threads and processes may use it at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.keys = Keys(database)
        self.limits = Limits(database)
        self.leases = Leases(database)
        self.pots = Pots(database)
        self.batches = Batches(database)
        self.notices = Notices(database)
        self.settings = RuntimeSettings(database)
        self.providers = Providers(database)
        self.people = People(database)
        self.sessions = Sessions(database)
        self.secrets = Secrets(database)
        self.approvals = Approvals(database)
        self.audit = Audit(database)

    @classmethod
    def open(cls, url: str, *, busy_seconds: float = 5) -> Self:
        """Open a store and bring its schema up to date; a new one is created.

        Raises ``UnavailableError`` when it cannot be reached, read or written, ``ConflictError`` when a newer
        Farthing wrote it, ``InputError`` for an address of neither SQLite nor Postgres.
        """
        database = Database(url, busy_seconds=busy_seconds)
        try:
            schema.migrate(database, patience=busy_seconds)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @property
    def name(self) -> str:
        """Its address without the password."""
        return self._database.name

    def version(self) -> int:
        """How many changes were committed. Cheap to ask: processes poll it to notice each other's changes."""
        with self._database.read() as connection:
            return int(connection.execute(sa.select(tables.changes.c.number)).scalar_one())

    def schema(self) -> str | None:
        """The schema step the store is at."""
        with self._database.read() as connection:
            return schema.current(connection)

    def close(self) -> None:
        """Give up all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
