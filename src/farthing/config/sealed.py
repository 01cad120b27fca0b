"""Secrets that the state store keeps sealed, and the envelope key that opens them."""

from collections.abc import Mapping

from farthing.config.references import Vault, resolve_secret
from farthing.config.settings import Settings
from farthing.core.errors import NotFoundError, UnavailableError
from farthing.core.seal import SealKey, opened, read_keys


def seal_keys(settings: Settings, env: Mapping[str, str]) -> tuple[SealKey, ...]:
    """The envelope keys: the first seals, all of them open.

    Raises ``UnavailableError`` when there is none yet, ``InputError`` when it is no key.
    """
    return read_keys(resolve_secret(settings.state.seal_key or f"file:{settings.seal_file}", env))


def vault(settings: Settings, env: Mapping[str, str], sealed: Mapping[str, str]) -> Vault:
    """Opens these sealed secrets. The envelope key is read when the first one is opened."""

    def open_one(name: str) -> str:
        if name not in sealed:
            known = NotFoundError("secret", name, known=sealed, remedy=f"Set it: farthing secret set {name}")
            raise UnavailableError(known.message, remedy=known.remedy)
        return opened(name, sealed[name], seal_keys(settings, env))

    return open_one
