"""The connection to the state store: one SQLite file, or Postgres. Driver errors become Farthing's."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from farthing.core.errors import FarthingError, InputError, UnavailableError
from farthing.state import tables

_WRITES = "farthing_writes"
"""Execution option of connections that will write: SQLite takes its write lock at once, so that a
transaction never fails half-way because another process wrote in between."""


class Database:
    """Transactions on the state store. Safe to share between threads."""

    def __init__(self, url: str, *, busy_seconds: float) -> None:
        self.url = _parsed(url)
        self.engine = _engine(self.url, busy_seconds)

    @property
    def name(self) -> str:
        """The address without its password, for messages."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Generator[sa.Connection]:
        """A consistent view. Raises ``UnavailableError`` when the store cannot be read."""
        with self.translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Generator[sa.Connection]:
        """A transaction, committed at the end of the block; one at a time across all processes.

        Raises ``UnavailableError`` when the store cannot be written.
        """
        with self.begin() as connection:
            connection.execute(sa.select(tables.changes.c.number).with_for_update())
            yield connection

    @contextmanager
    def begin(self) -> Generator[sa.Connection]:
        """A transaction that may write, also in a store that has no tables yet."""
        engine = self.engine.execution_options(**{_WRITES: True})
        with self.translated(), engine.begin() as connection:
            yield connection

    @contextmanager
    def translated(self) -> Generator[None]:
        """Turns the driver's errors into ``UnavailableError`` with a remedy, where nothing better is known."""
        try:
            yield
        except DBAPIError as problem:
            raise _explained(self.name, problem) from problem

    def close(self) -> None:
        """Give up all connections."""
        self.engine.dispose()


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        raise InputError("not an address", field="state.url", value="…", remedy=_URL) from None
    name = parsed.get_backend_name()
    if name in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if name == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed
    raise InputError("not a place for the state store", field="state.url", value=parsed.drivername, remedy=_URL)


_URL = "Write sqlite:///PATH or postgresql://USER@HOST/NAME"


def _engine(url: sa.URL, busy_seconds: float) -> sa.Engine:
    try:
        if url.get_backend_name() == "sqlite":
            _prepare(Path(str(url.database)))
            engine = sa.create_engine(url, connect_args={"timeout": busy_seconds})
            _tune(engine)
            return engine
        options = f"-c lock_timeout={int(busy_seconds * 1000)} -c timezone=UTC"
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"options": options, "connect_timeout": 10})
    except NoSuchModuleError:
        raise InputError("no driver for this address", field="state.url", value=url.drivername, remedy=_URL) from None


def _prepare(file: Path) -> None:
    """Create the file, readable by its owner only, before SQLite would create it for everybody.

    One that is there is not touched: to close a file ends every lock that the process holds on it (POSIX), those of
    SQLite's other connections among them, and who closes the store next would take their log away.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        elif not os.access(file, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as problem:
        raise UnavailableError(
            f"The state store {file} cannot be opened for writing: {problem.strerror}",
            remedy=f"Give the user that runs Farthing write access to {file.parent}, or set FARTHING_HOME elsewhere",
        ) from None


def _tune(engine: sa.Engine) -> None:
    """WAL with synchronous NORMAL: a commit survives a killed process, and readers never wait for writers."""

    @event.listens_for(engine, "connect")
    def connect(raw: Any, record: Any) -> None:  # pyright: ignore[reportUnusedFunction] - registered by the decorator
        _ = record
        raw.isolation_level = None
        mode = raw.execute("PRAGMA journal_mode").fetchone()[0]
        if mode != "wal":
            raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = NORMAL")
        raw.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction] - registered by the decorator
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


_CAUSES: tuple[tuple[str, str, str], ...] = (
    ("locked", "is locked by another process", "Try again; if it stays locked, stop the process that holds it"),
    ("lock timeout", "is locked by another process", "Try again; if it stays locked, end the session that holds it"),
    ("readonly", "cannot be written", "Give the user that runs Farthing write access to the file and its folder"),
    ("read-only", "cannot be written", "Connect to the primary, not to a replica"),
    ("disk is full", "has no room", "Free some space on its disk"),
    ("no space left", "has no room", "Free some space on its disk"),
    ("not a database", "is not a Farthing state store", "Move the file away, or restore it from a backup"),
    ("malformed", "is damaged", "Restore it from a backup; keys and settings live only there"),
    ("unable to open", "cannot be opened", "Check that its folder exists and can be written"),
    ("password", "refused the password", "Check the user and the secret in state.url"),
    ("does not exist", "does not have that database or role", "Create it first, or correct state.url"),
)


def _explained(name: str, problem: DBAPIError) -> FarthingError:
    text = str(problem.orig).strip()
    for word, what, remedy in _CAUSES:
        if word in text.lower():
            return UnavailableError(f"The state store {name} {what}", remedy=remedy)
    return UnavailableError(f"The state store {name} does not answer: {text}", remedy="Check state.url and the server")
