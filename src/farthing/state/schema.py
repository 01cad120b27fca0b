"""Brings the store's schema to what the code expects, once, whoever opens it first."""

import time
from importlib.resources import files

import sqlalchemy as sa

from farthing.core.errors import ConflictError, UnavailableError
from farthing.state.database import Database

HEAD = "0002"
"""The newest step in ``migrations/versions``. Stores that are there already are opened without loading Alembic."""

_LOCK = 0x66617274
"""Names the Postgres advisory lock that serializes migrations."""


def current(connection: sa.Connection) -> str | None:
    """The step the store is at, ``None`` for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def migrate(database: Database, *, patience: float) -> None:
    """Run the missing steps in one transaction.

    Processes that open the store at the same time wait for each other up to ``patience`` seconds. Raises
    ``ConflictError`` when the store is newer than this code.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            with database.read() as connection:
                found = current(connection)
            if found != HEAD:
                _upgrade(database)
        except UnavailableError as problem:
            if "locked" not in problem.message or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _upgrade(database: Database) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(files("farthing.state").joinpath("migrations")).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found = current(connection)
        if found is not None and found not in known:
            raise _newer(database.name, found)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _newer(name: str, found: str) -> ConflictError:
    return ConflictError(
        f"The state store {name} is at schema {found}, which this version of Farthing does not know (it knows {HEAD})",
        remedy="Upgrade Farthing to the version that wrote it, or restore the backup from before that upgrade",
    )
