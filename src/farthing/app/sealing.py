"""The envelope key of sealed secrets: made when it is first needed, and rotated."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from farthing import config
from farthing.app.local import Local
from farthing.core.errors import ConflictError, UnavailableError
from farthing.core.seal import SealKey

if TYPE_CHECKING:
    from farthing.state.store import Store


def keys_to_seal(local: Local) -> tuple[SealKey, ...]:
    """The envelope keys. Where none is set and none was made, one is made in the data folder (0600).

    Raises ``ConflictError`` where several hosts may share the store, and so must be given the same key;
    ``UnavailableError`` when the key cannot be read or kept.
    """
    settings = local.settings
    if not settings.state.seal_key and not settings.seal_file.exists():
        if settings.state.url and not settings.state_url(local.env).startswith("sqlite"):
            raise ConflictError(
                "All hosts of one state store need the same envelope key",
                remedy="Set seal_key under [state] to env:NAME or file:PATH, made with: openssl rand -base64 32",
            )
        _write(settings.seal_file, (SealKey.make(),), exclusive=True)
    return config.seal_keys(settings, local.env)


def rotate(local: Local, store: "Store") -> tuple[SealKey, list[str]]:
    """Seal all secrets with a new key; the key, and the names of the secrets that were sealed with another.

    A key of our own is made anew. Both keys stand in the file until every secret is sealed with the new one and the
    workers that run here know it, so that it may be interrupted at any moment and begun again.
    """
    own, file = not local.settings.state.seal_key, local.settings.seal_file
    keys = keys_to_seal(local)
    if own:
        keys = (SealKey.make(), *keys)
        _write(file, keys)
    moved = store.secrets.rotate(local.by(), keys)
    if own and local.published(lambda world: all(keys[0].id in sealed for sealed in world.sealed.values())):
        _write(file, keys[:1])
    return keys[0], moved


def _write(file: Path, keys: tuple[SealKey, ...], *, exclusive: bool = False) -> None:
    """Replace the file in one step; nobody but its owner may read it. ``exclusive``: unless it is there by now."""
    text = "".join(f"{key.text()}\n" for key in keys)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            if exclusive:
                os.link(draft, file)
            else:
                Path(draft).replace(file)
        finally:
            Path(draft).unlink(missing_ok=True)
    except FileExistsError:
        return
    except OSError as problem:
        raise UnavailableError(
            f"The envelope key {file} cannot be written: {problem.strerror}", remedy="Make the data folder writable"
        ) from None
