"""Who is asking: Farthing keys, looked up by hash."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from farthing.core.errors import DeniedError
from farthing.gateway.ports import Caller
from farthing.gateway.snapshot import KeyEntry

_BEARER = b"bearer "
_REMEDY = "Create a key with: farthing key create"


class HashedKeyring:
    """The keys of one snapshot. Only hashes are held, so a token is compared by its hash.

    With ``required`` off, a request without a known key is nobody's: allowed, and unallocated.
    """

    def __init__(self, keys: Iterable[KeyEntry], *, required: bool = True) -> None:
        self._callers = {key.hash: (_caller(key), key.expires) for key in keys}
        self._ids = {known[0].key_id: known for known in self._callers.values()}
        self._required = required

    def authenticate(self, token: str, at: datetime) -> Caller:
        """Raises ``DeniedError`` for missing, unknown and expired keys; revoked ones are not in the snapshot."""
        known = self._callers.get(hashlib.sha256(token.encode()).hexdigest()) if token else None
        if known is None:
            if not self._required:
                return Caller()
            if not token:
                raise DeniedError("no Farthing key was sent", reason="missing_key", remedy=_REMEDY)
            raise DeniedError("this Farthing key is not known", reason="unknown_key", remedy=_REMEDY)
        return _in_time(known, at)

    def caller(self, key_id: str, at: datetime) -> Caller:
        """Whose key has this id; nobody's for no id, where keys are not required.

        Raises ``DeniedError`` for what may not ask any more.
        """
        known = self._ids.get(key_id) if key_id else None
        if known is not None:
            return _in_time(known, at)
        if key_id or self._required:
            raise DeniedError(f"the key {key_id or '(none)'} is revoked, or unknown", reason="unknown_key")
        return Caller()


def _in_time(known: tuple[Caller, datetime | None], at: datetime) -> Caller:
    caller, expires = known
    if expires is not None and at >= expires:
        raise DeniedError(f"this key expired at {expires.isoformat()}", reason="expired_key", remedy=_REMEDY)
    return caller


def _caller(key: KeyEntry) -> Caller:
    scope = key.scope.narrowed(key=key.id)
    return Caller(key_id=key.id, scope=scope, models=key.models, category=key.category)


def token_of(headers: Mapping[bytes, bytes]) -> str:
    """The key as OpenAI's SDKs send it (``Authorization: Bearer``) or as Anthropic's do (``x-api-key``)."""
    value = headers.get(b"authorization", b"")
    if value[: len(_BEARER)].lower() == _BEARER:
        return value[len(_BEARER) :].strip().decode("latin-1")
    return headers.get(b"x-api-key", b"").strip().decode("latin-1")
