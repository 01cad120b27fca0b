"""Where secrets are: settings point at them by ``env:NAME``, ``file:PATH`` or ``secret:NAME``, and hold none."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from farthing.core.errors import InputError, UnavailableError

REFERENCE = "Write env:NAME, file:PATH or secret:NAME, so that no secret stands in a settings file"
"""The remedy for a secret that stands in settings."""

REDACTED = "********"

Vault = Callable[[str], str]
"""Opens a sealed secret by its name. Raises ``UnavailableError`` when there is none, or the envelope key is missing."""


def is_reference(text: str) -> bool:
    """Whether a setting points at a secret instead of holding one."""
    return text.startswith(("env:", "file:", "secret:"))


def resolve_secret(ref: str, env: Mapping[str, str], vault: Vault | None = None) -> str:
    """The secret behind ``env:NAME``, ``file:PATH`` or, where there is a vault, ``secret:NAME``, without surrounding
    space; empty for an empty reference.

    Raises ``InputError`` when it is no reference, ``UnavailableError`` when what it names is missing or empty.
    """
    if not ref:
        return ""
    kind, _, name = ref.partition(":")
    if kind == "env" and name:
        secret = env.get(name, "").strip()
        missing = f"the variable {name} is not set"
    elif kind == "file" and name:
        secret, missing = _secret_file(Path(name))
    elif kind == "secret" and name and vault is not None:
        secret, missing = vault(name).strip(), f"the secret {name} is empty"
    else:
        raise InputError("not a reference to a secret", field="secret", value=hidden(ref), remedy=REFERENCE)
    if not secret:
        raise UnavailableError(
            f"No secret behind {ref!r}: {missing}", remedy=f"Set it before starting, or change {ref}"
        )
    return secret


def hidden(text: str) -> str:
    """A setting for people: a reference stays, anything else may be a secret."""
    return text if is_reference(text) else REDACTED


def without_password(url: str) -> str:
    """An address for people."""
    return re.sub(r"(//[^:/@]*):[^@]*@", rf"\1:{REDACTED}@", url)


def _secret_file(path: Path) -> tuple[str, str]:
    try:
        return path.read_text(encoding="utf-8").strip(), f"the file {path} is empty"
    except (OSError, UnicodeDecodeError) as problem:
        return "", f"the file {path} cannot be read ({problem})"
