"""Envelope encryption: every secret has a data key of its own, and the data keys are sealed with one envelope key.

AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces; a data key seals one text only. The name of the secret is
authenticated with it, so that a row which is moved to another name does not open. Rotating the envelope key seals the
data keys again and touches no secret.

A sealed text is ``v1.KEY_ID.DATA_KEY.SECRET`` in URL-safe base64. It may be stored and sent in the clear. This module
is all that a gateway worker needs of it, therefore it stands below everything else.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence

from farthing.core.errors import InputError, UnavailableError

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_VERSION = "v1"
_REMEDY = "Make one with: openssl rand -base64 32"


class SealKey:
    """One envelope key. ``id`` tells which key sealed something and says nothing about it."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.id = hashlib.sha256(b"farthing envelope key" + key).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"SealKey({self.id})"

    @classmethod
    def make(cls) -> "SealKey":
        """A new random one."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def read(cls, text: str) -> "SealKey":
        """A key of 32 bytes in base64, URL-safe or not. Raises ``InputError`` without saying what was read."""
        plain = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
        try:
            key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise InputError("not a key of 32 bytes in base64", field="state.seal_key", value="…", remedy=_REMEDY)
        return cls(key)

    def text(self) -> str:
        """The key in base64, for the file it is kept in and nothing else."""
        return base64.urlsafe_b64encode(self._key).decode()

    def encrypt(self, text: bytes, bound: bytes) -> bytes:
        """Nonce and ciphertext, bound to some context."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, text, bound)

    def decrypt(self, blob: bytes, bound: bytes) -> bytes:
        """The text. Raises ``ValueError`` when it was sealed with another key, for another context, or changed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(blob) < _NONCE_BYTES + _TAG_BYTES:
            raise ValueError
        try:
            return AESGCM(self._key).decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], bound)
        except InvalidTag:
            raise ValueError from None


def read_keys(text: str) -> tuple[SealKey, ...]:
    """The keys in a text, one a line: the first seals, the others still open what they sealed.

    Raises ``InputError`` when there is none, or a line is no key.
    """
    keys = tuple(SealKey.read(line) for line in text.split())
    if not keys:
        raise InputError("there is no envelope key", field="state.seal_key", value="", remedy=_REMEDY)
    return keys


def seal(name: str, secret: str, key: SealKey) -> str:
    """The secret, sealed under its name."""
    data = SealKey.make()
    return _written(key, name, data, data.encrypt(secret.encode(), _bound("secret", name)))


def reseal(name: str, sealed: str, keys: Sequence[SealKey]) -> str:
    """The same secret with its data key sealed by the first of the keys. Raises ``UnavailableError`` as ``opened``."""
    parts = _parts(name, sealed)
    return _written(keys[0], name, _data_key(name, parts, keys), parts[2])


def opened(name: str, sealed: str, keys: Sequence[SealKey]) -> str:
    """The secret of that name. Raises ``UnavailableError`` when no key opens it, or it is not what was sealed."""
    parts = _parts(name, sealed)
    try:
        return _data_key(name, parts, keys).decrypt(parts[2], _bound("secret", name)).decode()
    except ValueError:
        raise _unreadable(name, "it was changed, or belongs to another name") from None


def sealed_by(sealed: str) -> str:
    """The id of the envelope key that a sealed text needs."""
    return sealed.split(".")[1] if sealed.count(".") else ""


def _data_key(name: str, parts: tuple[str, bytes, bytes], keys: Sequence[SealKey]) -> SealKey:
    key_id, wrapped, _ = parts
    for key in keys:
        if key.id == key_id:
            try:
                return SealKey(key.decrypt(wrapped, _bound(key_id, name)))
            except ValueError:
                break
    else:
        raise _unreadable(name, f"the envelope key {key_id} is not here")
    raise _unreadable(name, "it was changed, or belongs to another name")


def _written(key: SealKey, name: str, data: SealKey, body: bytes) -> str:
    wrapped = key.encrypt(base64.urlsafe_b64decode(data.text()), _bound(key.id, name))
    return ".".join((_VERSION, key.id, *(base64.urlsafe_b64encode(part).decode() for part in (wrapped, body))))


def _parts(name: str, sealed: str) -> tuple[str, bytes, bytes]:
    try:
        version, key_id, wrapped, body = sealed.split(".")
        parts = key_id, base64.urlsafe_b64decode(wrapped), base64.urlsafe_b64decode(body)
    except ValueError:
        raise _unreadable(name, "it is not a sealed text") from None
    if version != _VERSION:
        raise _unreadable(name, f"its form {version[:10]!r} is not known")
    return parts


def _bound(what: str, name: str) -> bytes:
    return f"farthing {_VERSION} {what} {name}".encode()


def _unreadable(name: str, why: str) -> UnavailableError:
    return UnavailableError(
        f"The secret {name!r} cannot be opened: {why}",
        remedy=f"Put the right key behind seal_key under [state], or set it again: farthing secret set {name}",
    )


__all__ = ["SealKey", "opened", "read_keys", "reseal", "seal", "sealed_by"]
