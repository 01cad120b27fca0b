"""What a worker knows: the snapshot file, read when it changes, with secrets put where only references stood."""

import logging
import os
import random
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from farthing import config
from farthing.core.errors import FarthingError, UnavailableError
from farthing.gateway.auth import HashedKeyring
from farthing.gateway.breaker import Tolerance
from farthing.gateway.experience import Conduct, Experience
from farthing.gateway.pipeline import World
from farthing.gateway.ports import Provider
from farthing.gateway.reach import Guard, places
from farthing.gateway.route import SnapshotRouter
from farthing.gateway.settings import GatewaySettings
from farthing.gateway.snapshot import Snapshot
from farthing.gateway.vendors import provider

_log = logging.getLogger(__name__)


def _conduct(settings: GatewaySettings) -> Conduct:
    """How targets are judged, by the settings."""
    tolerance = Tolerance(
        failures=settings.breaker_failures, share=settings.breaker_share, longest_rest=settings.breaker_rest
    )
    return Conduct(tolerance=tolerance, retry_share=settings.retry_share)


class SnapshotFile:
    """The file that says what the world is, and the world made of it."""

    def __init__(self, settings: config.Settings, env: Mapping[str, str], guard: Guard | None = None) -> None:
        """``guard`` is told which addresses the settings themselves name."""
        self._guard = guard
        self._path = settings.snapshot
        self._required = settings.gateway.require_keys
        self._env = env
        self._settings = settings
        self._seen: tuple[int, int] | None = None
        self._router: SnapshotRouter | None = None
        self.made = datetime.fromtimestamp(0, UTC)

    def changed(self) -> bool:
        """Whether the file is not the one that was read last."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return False
        return (stat.st_mtime_ns, stat.st_ino) != self._seen

    def read(self) -> World:
        """The world as the file says now. Raises ``UnavailableError`` when the file cannot be read."""
        try:
            with self._path.open("rb") as file:
                stat = os.fstat(file.fileno())
                self._seen = (stat.st_mtime_ns, stat.st_ino)
                snapshot = msgspec.msgpack.decode(file.read(), type=Snapshot)
        except (OSError, msgspec.DecodeError) as problem:
            raise UnavailableError(
                f"cannot read {self._path} ({problem})", remedy="Restart the control process"
            ) from problem
        known = self._router
        providers = self._providers(snapshot)
        if self._guard is not None:
            own = (account.base_url for name, account in providers.items() if name not in snapshot.added)
            self._guard.trusted = places(own)
        self._router = SnapshotRouter(
            snapshot,
            providers,
            draw=random.random,
            experience=Experience(_conduct(self._settings.gateway)) if known is None else known.experience,
        )
        self.made = snapshot.made
        return World(
            router=self._router,
            keyring=HashedKeyring(snapshot.keys, required=self._required),
            providers=providers,
            limits=snapshot.limits,
            cache=snapshot.cache,
        )

    def _providers(self, snapshot: Snapshot) -> dict[str, Provider]:
        """The accounts whose secret can be had; the others cannot serve, and the log says why."""
        found: dict[str, Provider] = {}
        vault = config.vault(self._settings, self._env, snapshot.sealed)
        for name, account in snapshot.providers.items():
            if not account.enabled:
                continue
            try:
                found[name] = provider(name, account, config.resolve_secret(account.api_key, self._env, vault))
            except FarthingError as problem:
                _log.error("provider %s is left out: %s", name, problem)
        return found
