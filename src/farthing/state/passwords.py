"""Passwords of people, as scrypt hashes (RFC 7914).

The cost follows the OWASP Password Storage Cheat Sheet (N = 2^15, r = 8, p = 3: 32 MiB for about a fifth of a second)
and stands in the hash, so that it can be raised and old hashes still checked.
"""

import base64
import binascii
import hashlib
import secrets
from typing import NamedTuple

from farthing.core.errors import InputError

LEAST_LETTERS = 12
MOST_LETTERS = 200
_SALT_BYTES = 16
_HASH_BYTES = 32
_MEMORY = 96 * 1024 * 1024


class Cost(NamedTuple):
    """What one guess costs: memory is ``128 · n · r`` bytes, time grows with ``p``."""

    n: int = 1 << 15
    r: int = 8
    p: int = 3


def check_strength(password: str, *, email: str = "") -> str:
    """The password. Raises ``InputError`` for one that is short, endless, or the e-mail itself.

    Length is what counts (NIST SP 800-63B, 5.1.1.2): nothing else about it is demanded.
    """
    if not LEAST_LETTERS <= len(password) <= MOST_LETTERS:
        raise InputError(
            f"a password has {LEAST_LETTERS} to {MOST_LETTERS} letters", field="password", value="…",
            remedy="A few words are easier to remember than a short riddle",
        )  # fmt: skip
    if password.casefold() == email.casefold() or len(set(password)) < 4:  # noqa: PLR2004 - "aaaabbbbaaaa" is no password
        raise InputError("this password is guessed first", field="password", value="…", remedy="Choose another one")
    return password


def hashed(password: str, cost: Cost | None = None) -> str:
    """``scrypt$N$R$P$SALT$HASH`` with a salt of its own."""
    chosen, salt = cost or Cost(), secrets.token_bytes(_SALT_BYTES)
    parts = ("scrypt", *map(str, chosen), _text(salt), _text(_derived(password, salt, chosen)))
    return "$".join(parts)


def matches(password: str, stored: str | None) -> bool:
    """Whether this is the password, in time that depends on neither.

    ``None`` is somebody without a password: it costs as much as a wrong one and is never right, so that the time of
    an answer does not tell which e-mails there are.
    """
    cost, salt, wanted = _read(stored) if stored else (Cost(), b"nobody's own salt", b"")
    return secrets.compare_digest(_derived(password, salt, cost), wanted)


def _derived(password: str, salt: bytes, cost: Cost) -> bytes:
    text = password.encode(errors="surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=_MEMORY, dklen=_HASH_BYTES)


def _read(stored: str) -> tuple[Cost, bytes, bytes]:
    """A hash that this code did not write matches nothing."""
    try:
        kind, n, r, p, salt, wanted = stored.split("$")
        parts = Cost(int(n), int(r), int(p)), base64.b64decode(salt), base64.b64decode(wanted)
    except (ValueError, binascii.Error):
        return Cost(), b"", b""
    return parts if kind == "scrypt" else (Cost(), b"", b"")


def _text(part: bytes) -> str:
    return base64.b64encode(part).decode()
