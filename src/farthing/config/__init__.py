"""The only reader of the environment and of settings files.

Settings come from ``farthing.toml`` in the working directory (or ``$FARTHING_CONFIG``), then from
variables such as ``FARTHING_GATEWAY_PORT``, which win. Each section is a Struct that belongs to the
feature it configures. Without a file everything has a default that works.
"""

from farthing.config.reading import DETECTED, check, environment, load, settings_file
from farthing.config.references import Vault, is_reference, resolve_secret
from farthing.config.rules import account_problems, is_loopback
from farthing.config.sealed import seal_keys, vault
from farthing.config.settings import FILE, HOME, Settings, SettingsFile, redacted

__all__ = [
    "DETECTED", "FILE", "HOME", "Settings", "SettingsFile", "Vault", "account_problems", "check", "environment",
    "is_loopback", "is_reference", "load", "redacted", "resolve_secret", "seal_keys", "settings_file", "vault",
]  # fmt: skip
