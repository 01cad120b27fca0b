"""What the control process does again and again: drain, sum up, compile, merge, forget."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from farthing import config
from farthing.app.chores import Chore
from farthing.app.compile import compile_snapshot, key_entries, write_snapshot
from farthing.app.desk import PriceDesk
from farthing.app.drain import Drainer
from farthing.app.keyuse import KeyUse
from farthing.app.leasing import bury_the_dead
from farthing.app.local import Local
from farthing.app.noticing import notice_settings
from farthing.catalog.catalog import STALE_AFTER
from farthing.core.errors import UnavailableError
from farthing.web.views import Check

if TYPE_CHECKING:
    from farthing.catalog.catalog import Catalog
    from farthing.ledger.store import Ledger
    from farthing.state.store import Store

DRAIN_SECONDS = 1.0
USE_SECONDS = 2.0
WATCH_SECONDS = 0.2
SUM_SECONDS = 10.0
LIMITS_SECONDS = 1.0
SWEEP_EVERY = timedelta(hours=1)
DAY = 86_400.0

_log = logging.getLogger(__name__)

Landed = Callable[[datetime | None, int], None]
"""Hears that facts landed: up to when, and the ledger's version."""


class Upkeep:
    """The chores' work, each a method that runs in a thread and returns a sentence.

    ``local`` is the installation as its settings say now: they are read again when their file changes, and kept as
    they were while it cannot be used.
    """

    def __init__(
        self, local: Local, config_file: Path | None, store: "Store", ledger: "Ledger", *, landed: Landed
    ) -> None:
        self.local = local
        self.prices = PriceDesk((), local.now)
        self._config_file = config_file
        self._store = store
        self._ledger = ledger
        self._landed = landed
        self._drainer = Drainer(local.settings.journal, ledger)
        self._use = KeyUse(store.keys.touch)
        self._catalog: Catalog | None = None
        self._seen: tuple[object, object, int] | None = None
        self._version = -1
        self._summed = -1
        self._lost_bytes = 0
        self._swept = local.now()

    def chores(self) -> tuple[Chore, ...]:
        """What to repeat, how often, and what to do when it fails."""
        ledger = self.local.settings.ledger
        space = "Free some space, and make the data folder writable; nothing is lost meanwhile"
        return (
            Chore(name="journal", every=DRAIN_SECONDS, work=self.drain, remedy=space),
            Chore(
                name="limits", every=LIMITS_SECONDS, work=self.settle_limits, remedy="Check state.url and its server"
            ),
            Chore(name="key use", every=USE_SECONDS, work=self.note_use, remedy="Check state.url and its server"),
            Chore(name="sums", every=SUM_SECONDS, work=self.sum_up, remedy=space),
            Chore(name="snapshot", every=WATCH_SECONDS, work=self.compile, remedy="Run farthing config check"),
            Chore(name="compaction", every=ledger.compact_minutes * 60.0, work=self.compact, remedy=space),
            Chore(name="retention", every=DAY, work=self.retain, remedy=space),
        )

    def drain(self) -> str:
        """Carry the journal into the ledger, and tell listeners of what landed, also when another process wrote it."""
        done = self._drainer.drain()
        self._use.saw(done.used)
        if done.lost_bytes:
            self._lost_bytes += done.lost_bytes
            _log.error("%d bytes of the journal were damaged and could not be read", done.lost_bytes)
        version = self._ledger.version()
        if version != self._version:
            self._landed(self._ledger.through(), version)
            self._version = version
        if done.busy:
            raise UnavailableError("Another process drains this journal", remedy="Stop it; one is enough")
        return "up to date"

    def note_use(self) -> str:
        """Tell the store when keys were last used."""
        self._use.write()
        return "up to date"

    def settle_limits(self) -> str:
        """Settle what workers that died held of budgets and quotas, and forget slices of spans that are long over."""
        now = self.local.now()
        buried = bury_the_dead(self._store.leases, self.local.settings.tally, now)
        if now - self._swept > SWEEP_EVERY:
            self._swept = now
            self._store.leases.sweep(now)
        return f"{buried} dead workers settled" if buried else "up to date"

    def sum_up(self) -> str:
        """Bring the hourly sums up to date. Questions are exact without them, and slower."""
        version = self._version
        if version != self._summed:
            self._ledger.refresh_rollups()
            self._summed = version
        return "up to date"

    def compile(self) -> str:
        """Write what the workers should know, if settings, keys, providers or prices changed."""
        seen = (self._settings_mark(), self._prices_mark(), self._store.version())
        if seen == self._seen:
            return "up to date"
        if self._seen is not None and seen[0] != self._seen[0]:
            home = self.local.settings.home
            self.local = Local.open(home=home, config_file=self._config_file, env=self.local.env)
        if self._seen is None or seen[0] != self._seen[0]:
            notice_settings(self.local, self._store)
        if self._catalog is None or self._seen is None or seen[1] != self._seen[1]:
            self._catalog = self.local.catalog()
            self.prices.use(self._catalog.offers)
        written = self._write(self._catalog)
        self._seen = seen
        return "written" if written else "up to date"

    def _write(self, catalog: "Catalog") -> bool:
        now = self.local.now()
        snapshot = compile_snapshot(
            made=now,
            providers=self.local.providers(self._store),
            models=self.local.settings.models,
            offers=catalog.offers,
            keys=key_entries(self._store.keys.list(), now),
            rules=catalog.rules,
            sealed=self._store.secrets.sealed(),
            limits=self._store.limits.list(),
            added=self.local.added(self._store),
            cache=self.local.settings.cache,
        )
        return write_snapshot(snapshot, self.local.settings.snapshot)

    def _settings_mark(self) -> object:
        """Changes when the settings file does."""
        file = config.settings_file(self._config_file, self.local.env)
        return _mark(file) if file else None

    def _prices_mark(self) -> object:
        """Changes when prices are refreshed, and once a day, because prices are dated."""
        folder = self.local.settings.home / "prices"
        files = sorted((*folder.glob("*.feed"), *folder.glob("*.toml")))
        return self.local.now().date(), tuple(map(_mark, files))

    def compact(self) -> str:
        """Merge small files."""
        return f"{self._ledger.compact():,} files merged"

    def retain(self) -> str:
        """Forget single requests that are older than wanted."""
        days = self.local.settings.ledger.retain_days
        if not days:
            return "everything is kept"
        return f"{self._ledger.retain(self.local.now(), days=days):,} rows older than {days} days forgotten"

    def checks(self) -> tuple[Check, ...]:
        """What is wrong beside the chores: damaged journals and old prices."""
        stale = self.prices.stale()
        return (
            Check(
                name="journal damage",
                state="failed" if self._lost_bytes else "ok",
                detail=f"{self._lost_bytes:,} bytes could not be read",
                remedy="Check the disk and its log" if self._lost_bytes else "",
            ),
            Check(
                name="prices",
                state="warning" if stale else "ok",
                detail=f"{stale:,} were not confirmed for {STALE_AFTER.days} days",
                remedy="Run farthing prices refresh" if stale else "",
            ),
        )


def _mark(file: Path) -> tuple[str, int, int]:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return file.name, 0, 0
    return file.name, stat.st_mtime_ns, stat.st_size
