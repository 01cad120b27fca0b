"""The control process: the API and the dashboard, and the chores that carry facts into the ledger.

``python -m farthing.app.control`` runs it; ``farthing up`` does so for you. It writes the workers' snapshot and
drains their journal. SIGTERM ends it after a last drain. Killed at any moment it loses nothing: what was not
committed stands in the journal, and its successor goes on from the last commit.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

import farthing
from farthing import config
from farthing.app.batches import Settling
from farthing.app.budgeting import Budgeting
from farthing.app.cachedesk import CacheDesk
from farthing.app.chores import Chores
from farthing.app.desk import ControlDesk, KeyDesk
from farthing.app.folder import admin_token
from farthing.app.forgetting import cache_chore
from farthing.app.governing import approval_chore, gate_of, links_of
from farthing.app.listen import bound, url
from farthing.app.local import Local
from farthing.app.people import LoginDesk, PeopleDesk
from farthing.app.upkeep import Upkeep
from farthing.app.warming import warming_chore
from farthing.core.errors import FarthingError
from farthing.web.api import build
from farthing.web.live import Landings
from farthing.web.services import Services

if TYPE_CHECKING:
    from farthing.ledger.store import Ledger
    from farthing.state.store import Store

QUESTION_THREADS = 4
"""Questions that are answered at once. More would compete for the same cores, and for the chores' threads."""

WATCH_PARENT_SECONDS = 0.5
GRACE_SECONDS = 5
LAST_CHORES_SECONDS = 20.0

_log = logging.getLogger(__name__)


def run_control(local: Local, *, config_file: Path | None = None, parent: int = 0) -> None:
    """Serve and do chores until SIGTERM or SIGINT. ``parent``: stop as well when that process is gone.

    Raises ``FarthingError`` when something that is needed cannot be opened.
    """
    from litestar.concurrency import set_asyncio_executor

    with local.store() as store, ThreadPoolExecutor(QUESTION_THREADS, thread_name_prefix="question") as pool:
        set_asyncio_executor(pool)
        ledger = local.ledger()
        try:
            asyncio.run(_Control(local, config_file, store, ledger).run(parent))
        finally:
            ledger.close()


def drain(local: Local) -> None:
    """Carry what the journal holds into the ledger, once. Raises ``UnavailableError`` when somebody else does so."""
    with local.store() as store:
        ledger = local.ledger()
        try:
            upkeep = Upkeep(local, None, store, ledger, landed=lambda _through, _version: None)
            upkeep.drain()
            upkeep.note_use()
        finally:
            ledger.close()


class _Control:
    """The parts of the process, joined."""

    def __init__(self, local: Local, config_file: Path | None, store: "Store", ledger: "Ledger") -> None:
        self._local = local
        self._store = store
        self._ledger = ledger
        self._landings = Landings()
        self._upkeep = Upkeep(local, config_file, store, ledger, landed=self._landed)
        self._gate = gate_of(lambda: self._upkeep.local, store)
        self._budgeting = Budgeting(lambda: self._upkeep.local, store, ledger)
        settling = Settling(lambda: self._upkeep.local, store.batches, ledger)
        caching = (cache_chore(lambda: self._upkeep.local), warming_chore(lambda: self._upkeep.local))
        further = (settling.chore(), approval_chore(self._gate), *caching)
        chores = (*self._upkeep.chores(), *further, *self._budgeting.chores())
        self._chores = Chores(chores, local.now)

    async def run(self, parent: int) -> None:
        self._loop = asyncio.get_running_loop()
        settings = self._local.settings.web
        sock = bound(settings.host, settings.port, setting="port under [web], or --web-port")
        server = _Server(_server_config(self._services()))

        def stop() -> None:
            self._chores.stop()
            self._landings.close()
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, stop)
        chores = asyncio.create_task(self._chores.run())
        watcher = asyncio.create_task(_leave_with(parent, stop)) if parent else None
        await server.serve(sockets=[sock])
        stop()
        await asyncio.wait([chores], timeout=LAST_CHORES_SECONDS)
        if watcher is not None:
            watcher.cancel()
        await asyncio.to_thread(self._last_drain)

    def _last_drain(self) -> None:
        """What the workers wrote before they ended. A failure is no loss: the next start drains it."""
        try:
            self._upkeep.drain()
            self._upkeep.note_use()
        except FarthingError as problem:
            _log.warning("the journal is drained at the next start: %s", problem)

    def _landed(self, through: datetime | None, version: int) -> None:
        """Called in the thread of a chore."""
        self._loop.call_soon_threadsafe(self._landings.publish, through, version)

    def _services(self) -> Services:
        settings = self._local.settings
        token, _ = admin_token(settings.admin_token)
        desk = ControlDesk(
            lambda: self._upkeep.local,
            self._store,
            checks=lambda: (*self._chores.checks(), *self._upkeep.checks(), *self._budgeting.checks()),
            has_facts=lambda: self._ledger.through() is not None,
        )
        return Services(
            facts=self._ledger,
            keys=KeyDesk(self._store, self._local.by, self._gate),
            prices=self._upkeep.prices,
            desk=desk,
            budgets=self._budgeting.desk(self._gate),
            caches=CacheDesk(lambda: self._upkeep.local, self._ledger, self._store.audit, clock=self._local.now),
            landings=self._landings,
            clock=self._local.now,
            admin_token=token,
            settings=settings.web,
            version=version("farthing"),
            gateway_url=url(settings.gateway.host, settings.gateway.port),
            pages=Path(farthing.__file__).parent / "web" / "static",
            people=PeopleDesk(self._store, self._local.by),
            approvals=self._gate,
            links=links_of(self._gate, lambda: self._upkeep.local, self._store, token),
            audit=self._store.audit,
            logins=LoginDesk(self._store, self._local.by, lambda: settings.login),
            login=settings.login,
            client_secret=lambda: self._local.secret(settings.login.oidc.client_secret, self._store),
        )


async def _leave_with(parent: int, stop: Callable[[], None]) -> None:
    """Stop when the supervisor is gone, however it ended."""
    while True:
        await asyncio.sleep(WATCH_PARENT_SECONDS)
        if os.getppid() != parent:
            stop()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _server_config(services: Services) -> uvicorn.Config:
    return uvicorn.Config(
        build(services),
        http="httptools",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line of the control process."""
    parser = argparse.ArgumentParser(prog="python -m farthing.app.control", description="Run the control process.")
    parser.add_argument("--config", type=Path, help="settings file")
    parser.add_argument("--home", type=Path, help="data folder, instead of the one in the settings")
    parser.add_argument("--parent", type=int, default=0, help="stop when this is no longer the parent process")
    parser.add_argument("--drain", action="store_true", help="carry the journal into the ledger and end")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        local = Local.open(home=given.home, config_file=given.config, env=config.environment())
        if given.drain:
            drain(local)
        else:
            run_control(local, config_file=given.config, parent=given.parent)
    except FarthingError as error:
        sys.stderr.write(f"farthing control: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
