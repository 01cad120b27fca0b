"""What can be configured: the whole file as one Struct, of sections that belong to the features they configure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from farthing.cache.settings import CacheSettings
from farthing.config.references import hidden, is_reference, resolve_secret, without_password
from farthing.gateway.limits.settings import LimitSettings
from farthing.gateway.settings import GatewaySettings, ModelSettings, ProviderSettings
from farthing.governance.alerts import AlertSettings
from farthing.governance.approvals import ApprovalSettings
from farthing.ledger.settings import LedgerSettings
from farthing.state.settings import StateSettings
from farthing.web.settings import LoginSettings, WebSettings

FILE = "farthing.toml"
HOME = ".farthing"


class SettingsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``farthing.toml`` may hold. ``home`` is the data folder, relative to the file.

    ``detect_providers``: when no ``[providers]`` are configured, use those whose usual variable
    (``OPENAI_API_KEY``, ``ANTHROPIC_API_KEY``, …) is set.
    """

    home: Path = Path(HOME)
    detect_providers: bool = True
    gateway: GatewaySettings = GatewaySettings()
    providers: dict[str, ProviderSettings] = {}
    models: dict[str, ModelSettings] = {}
    state: StateSettings = StateSettings()
    ledger: LedgerSettings = LedgerSettings()
    web: WebSettings = WebSettings()
    login: LoginSettings = LoginSettings()
    approvals: ApprovalSettings = ApprovalSettings()
    alerts: AlertSettings = AlertSettings()
    limits: LimitSettings = LimitSettings()
    cache: CacheSettings = CacheSettings()


class Settings(SettingsFile, frozen=True, kw_only=True):
    """Everything that is configured. ``detected``: the providers were found in the environment."""

    detected: bool = False

    @property
    def journal(self) -> Path:
        """Folder of the workers' journal segments."""
        return self.home / "journal"

    @property
    def snapshot(self) -> Path:
        """What the workers know about the world, as one file."""
        return self.home / "snapshot.msgpack"

    @property
    def admin_token(self) -> Path:
        """The control plane's first-run token, readable by its owner only."""
        return self.home / "admin.token"

    @property
    def seal_file(self) -> Path:
        """The envelope key of sealed secrets where none is set, readable by its owner only."""
        return self.home / "seal.key"

    @property
    def run(self) -> Path:
        """Folder of locks, process ids and sockets."""
        return self.home / "run"

    @property
    def tally(self) -> Path:
        """Folder of the workers' records of what they spent of limits."""
        return self.run / "tally"

    @property
    def cache_folder(self) -> Path:
        """Folder of what the caches keep."""
        return self.home / "cache"

    @property
    def cache_socket(self) -> Path:
        """Where the semantic cache listens."""
        return self.run / "cache.sock"

    @property
    def ledger_url(self) -> str:
        """Where the ledger's tables are."""
        return self.ledger.url or str(self.home / "ledger")

    def state_url(self, env: Mapping[str, str]) -> str:
        """The state store's address, with its secret."""
        url = self.state.url
        if not url:
            return f"sqlite:///{self.home / 'state.db'}"
        return resolve_secret(url, env) if is_reference(url) else url


def redacted(settings: Settings) -> dict[str, Any]:
    """Settings for people: references stay, passwords in addresses and secret-looking values go."""
    plain: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    for part in ("state", "ledger"):
        plain[part]["url"] = without_password(plain[part]["url"])
    plain["ledger"]["storage"] = {k: hidden(v) for k, v in settings.ledger.storage.items()}
    for account in plain["providers"].values():
        account["base_url"] = without_password(account["base_url"])
        account["headers"] = {k: hidden(v) for k, v in account["headers"].items()}
    return plain
