"""Tokens of Farthing keys: ``fk-`` and 256 random bits in URL-safe base64.

Only the SHA-256 of a token is kept. A password needs a slow hash because people choose it from few
candidates; a token of 256 random bits cannot be guessed however fast the hash is, and the gateway
checks one with every request.
"""

import hashlib
import secrets

PREFIX = "fk-"
_BYTES = 32
_SHOWN = len(PREFIX) + 4


def mint() -> str:
    """A new token. It is shown once and never stored."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest(token: str) -> str:
    """SHA-256 of the whole token, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def shown(token: str) -> str:
    """The first characters, by which people recognize a key."""
    return token[:_SHOWN]


def matches(token: str, hashed: str) -> bool:
    """Whether a token has this digest, in time that does not depend on where they differ."""
    return secrets.compare_digest(digest(token), hashed)
