"""What one command of the command line needs: settings at once, everything else when it is asked for."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from farthing import config
from farthing.core.decode import convert
from farthing.core.errors import ConfigError, ConflictError, UnavailableError
from farthing.gateway.settings import ProviderSettings

if TYPE_CHECKING:
    from farthing.catalog.catalog import Catalog
    from farthing.core.limits import Limit
    from farthing.gateway.snapshot import Snapshot
    from farthing.ledger.store import Ledger
    from farthing.state.audit import Change
    from farthing.state.store import Store


Kept = TypeVar("Kept")


class Local:
    """An installation on this machine. Opening it reads the settings and touches nothing else."""

    def __init__(self, settings: config.Settings, env: Mapping[str, str]) -> None:
        self.settings = settings
        self.env = env

    @classmethod
    def open(
        cls, *, home: Path | None = None, config_file: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Self:
        """The installation that the settings describe; ``home`` replaces their data folder.

        Raises ``ConfigError`` for settings that cannot be used.
        """
        variables = config.environment() if env is None else env
        settings = config.load(config_file, variables)
        if home is not None:
            settings = msgspec.structs.replace(settings, home=home)
        return cls(settings, variables)

    @staticmethod
    def problems(*, config_file: Path | None = None, env: Mapping[str, str]) -> list[ConfigError]:
        """Everything that is wrong with the settings, in the light of what was added at run time."""
        try:
            local = Local.open(config_file=config_file, env=env)
            added, sealed = local.added_providers(), local.sealed()
        except ConfigError:
            added = []
            sealed = None
        return config.check(config_file, env, providers=added, sealed=sealed)

    def now(self) -> datetime:
        """The clock."""
        return datetime.now(UTC)  # noqa: TID251 - the clock's home

    def by(self, actor: str = "") -> "Change":
        """A change made by whoever runs this command, now."""
        from farthing.state.audit import Change

        return Change(actor=actor or f"cli:{self.env.get('USER') or 'unknown'}", at=self.now())

    def store(self) -> "Store":
        """The state store, to be closed (it is a context manager). Created and migrated when needed."""
        from farthing.state.store import Store

        return Store.open(self.settings.state_url(self.env), busy_seconds=self.settings.state.busy_seconds)

    def ledger(self) -> "Ledger":
        """The ledger. Created when there is none."""
        from farthing.ledger.store import Ledger

        return Ledger.open(self.settings.ledger_url, options=self._storage())

    def catalog(self) -> "Catalog":
        """Everything that can be bought, with its prices; refreshed ones come from the data folder, once it exists."""
        from farthing.catalog.catalog import Catalog

        home = self.settings.home
        return Catalog.load(home / "prices" if home.is_dir() else None, now=self.now())

    def published(self, holds: "Callable[[Snapshot], bool]") -> bool:
        """Wait until the workers that run here act on a change; false when they did not in time."""
        from farthing.app.published import reached_workers

        return reached_workers(self.settings.run / "lock", self.settings.snapshot, holds)

    def providers(self, store: "Store") -> dict[str, ProviderSettings]:
        """Accounts from the settings and those added at run time.

        Where both have a name, the settings win over what was added, and that over what was only detected.
        """
        added = {
            name: convert(fields, ProviderSettings, what=f"provider {name}")
            for name, fields in store.providers.list().items()
        }
        own = self.settings.providers
        return {**own, **added} if self.settings.detected else {**added, **own}

    def added(self, store: "Store") -> list[str]:
        """Names of accounts whose fields were given at run time, rather than in the settings."""
        names = store.providers.list()
        return sorted(names if self.settings.detected else names.keys() - self.settings.providers.keys())

    def added_providers(self) -> list[str]:
        """Names of accounts that were added at run time; none when there is no store yet, or it does not open."""
        return self._kept(lambda store: list(store.providers.list())) or []

    def limits(self) -> "list[Limit]":
        """Limits in force; none when there is no store yet, or it does not open."""
        return self._kept(lambda store: store.limits.list()) or []

    def sealed(self) -> dict[str, str]:
        """Sealed secrets by name; none when there is no store yet, or it does not open."""
        return self._kept(lambda store: store.secrets.sealed()) or {}

    def _kept(self, ask: "Callable[[Store], Kept]") -> "Kept | None":
        if not self.settings.state.url and not (self.settings.home / "state.db").exists():
            return None
        try:
            with self.store() as store:
                return ask(store)
        except (ConflictError, UnavailableError):
            return None

    def secret(self, ref: str, store: "Store | None" = None) -> str:
        """The secret behind a reference. Raises ``UnavailableError`` when it is missing.

        ``store``: one that is open already, for sealed secrets.
        """
        if not ref.startswith("secret:"):
            return config.resolve_secret(ref, self.env)
        sealed = self.sealed() if store is None else store.secrets.sealed()
        return config.resolve_secret(ref, self.env, config.vault(self.settings, self.env, sealed))

    def _storage(self) -> dict[str, str]:
        given = self.settings.ledger.storage
        return {name: self.secret(v) if config.is_reference(v) else v for name, v in given.items()}
