"""Who may use the control plane: the holder of the admin token, by header or by session cookie."""

import base64
import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler

from farthing.core.errors import DeniedError
from farthing.web.services import Services

SESSION = timedelta(days=30)
_EXPIRES = re.compile("[0-9]{1,12}")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Door:
    """Lets the admin in. The cookie is a signed expiry, so that nothing has to be stored and a new token ends it.

    ``digest``: both sides of every comparison are digests, so that it takes the same time for any guess.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._digest = hashlib.sha256(services.admin_token.encode()).digest()
        self.cookie_name = "farthing_" + hashlib.sha256(self._digest).hexdigest()[:8]

    def knows(self, token: str) -> bool:
        """Whether this is the admin token."""
        return hmac.compare_digest(hashlib.sha256(token.encode()).digest(), self._digest)

    def cookie(self) -> Cookie:
        """A session that begins now."""
        expires = self._services.clock() + SESSION
        return self._cookie(f"{int(expires.timestamp())}.{self._sign(int(expires.timestamp()))}", SESSION)

    def farewell(self) -> Cookie:
        """The cookie that ends a session."""
        return self._cookie("", timedelta())

    def check(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """A guard; handlers marked ``open`` let everybody in.

        Raises ``DeniedError`` for everybody but the admin, and for writes that another site began.
        """
        if handler.opt.get("open"):
            return
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.knows(token.strip()):
            return
        if kind or not self._remembers(connection.cookies.get(self.cookie_name, "")):
            raise DeniedError(
                "The admin token is wrong" if kind else "The admin token is needed",
                reason="not_logged_in",
                remedy="Open the link that farthing up printed, or send Authorization: Bearer with admin.token",
            )
        if cast("dict[str, Any]", connection.scope)["method"] not in _SAFE:
            _refuse_other_sites(connection)

    def _remembers(self, session: str) -> bool:
        expires, _, signature = session.partition(".")
        if not _EXPIRES.fullmatch(expires) or not signature.isascii():
            return False
        return hmac.compare_digest(signature, self._sign(int(expires))) and int(expires) > _seconds(self._services)

    def _sign(self, expires: int) -> str:
        digest = hmac.new(self._digest, b"session %d" % expires, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _cookie(self, value: str, age: timedelta) -> Cookie:
        return Cookie(
            key=self.cookie_name,
            value=value,
            max_age=int(age.total_seconds()),
            path="/",
            httponly=True,
            samesite="strict",
            secure=self._services.settings.secure_cookie,
        )


def _seconds(services: Services) -> float:
    now: datetime = services.clock()
    return now.timestamp()


def _refuse_other_sites(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """A browser says where a write comes from. Raises ``DeniedError`` unless it is this very site."""
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    same = site == "same-origin" if site else urlsplit(origin or "").netloc == connection.headers.get("host")
    if not same or (origin and urlsplit(origin).netloc != connection.headers.get("host")):
        raise DeniedError(
            "This write was begun by another site",
            reason="cross_origin",
            remedy="Use the dashboard itself, or send the admin token as Authorization: Bearer",
        )
