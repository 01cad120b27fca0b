"""Signed links, by which somebody votes from an e-mail or a chat without logging in.

A link holds one person's yes or no to one approval until an instant, and a MAC over these and over what was asked, so
that it fits no other approval, person or verdict, and not the same approval with another content. Opening one does
nothing: scanners of mail open links. Sending its form back votes, once, because a person has one vote.

HMAC-SHA256 (RFC 2104) with a key derived from the installation's admin token: a new token ends all links.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Literal

import msgspec

from farthing.core.errors import DeniedError

_CONTEXT = b"farthing approval link v1"
_MOST = 2000


class Link(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a link says: whose word it is, which, and until when it counts (seconds since 1970, UTC)."""

    person: str
    verdict: Literal["approve", "deny"]
    until: int

    @property
    def expires(self) -> datetime:
        """When it stops working."""
        return datetime.fromtimestamp(self.until, UTC)


class Signer:
    """Makes and reads links. ``secret`` is the installation's."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.new(hashlib.sha256(secret.encode()).digest(), _CONTEXT, hashlib.sha256).digest()

    def sign(self, link: Link, *, approval: str, digest: str) -> str:
        """The text for ``?sign=``. ``digest`` is that of what was asked."""
        said = msgspec.json.encode(link)
        return f"{_text(said)}.{_text(self._mac(said, approval, digest))}"

    def read(self, sign: str, *, approval: str, digest: str, now: datetime) -> Link:
        """What a link says. Raises ``DeniedError`` for one that was not made for this approval, and for an old one."""
        said, _, mac = sign[:_MOST].partition(".")
        content = _bytes(said)
        if not content or not hmac.compare_digest(_bytes(mac), self._mac(content, approval, digest)):
            raise DeniedError(
                "This link was not made for this approval",
                reason="link_invalid",
                remedy="Open it exactly as it was sent, or log in and vote on the page",
            )
        link = msgspec.json.decode(content, type=Link)
        if link.expires <= now:
            raise DeniedError("This link is too old", reason="link_expired", remedy="Log in and vote on the page")
        return link

    def _mac(self, said: bytes, approval: str, digest: str) -> bytes:
        return hmac.new(self._key, msgspec.json.encode([approval, digest, said]), hashlib.sha256).digest()


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """The content of a text; nothing for what is none, or spells its content in another way than ``_text`` does."""
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    return content if _text(content) == text else b""
