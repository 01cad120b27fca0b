"""The door of the control plane: who asks, by the admin token, a login's cookie, or a service's token."""

import base64
import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation

from farthing.core.errors import DeniedError
from farthing.governance.roles import Who
from farthing.web.services import Services
from farthing.web.who import ADMIN_TOKEN, introduce

SESSION = timedelta(days=30)
LOGIN_PREFIX = "fl-"
_EXPIRES = re.compile("[0-9]{1,12}")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_REMEDY = "Log in, or send Authorization: Bearer with the token of a service or the one in admin.token"


class Door:
    """Finds out who asks.

    The admin token's cookie is a signed expiry, so that nothing has to be stored and a new token ends it; a person's
    is the token of their login, which the store knows. ``digest``: both sides of every comparison are digests, so
    that it takes the same time for any guess.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._digest = hashlib.sha256(services.admin_token.encode()).digest()
        self.cookie_name = "farthing_" + hashlib.sha256(self._digest).hexdigest()[:8]

    def knows(self, token: str) -> bool:
        """Whether this is the admin token, and it opens anything."""
        same = hmac.compare_digest(hashlib.sha256(token.encode()).digest(), self._digest)
        return same and self._services.login.admin_token

    def cookie(self) -> Cookie:
        """A session of the admin token that begins now."""
        expires = self._services.clock() + SESSION
        return self._cookie(f"{int(expires.timestamp())}.{self._sign(int(expires.timestamp()))}", SESSION)

    def login_cookie(self, token: str) -> Cookie:
        """The cookie that holds a person's login."""
        return self._cookie(token, timedelta(hours=self._services.login.session_hours))

    def farewell(self) -> Cookie:
        """The cookie that ends a session."""
        return self._cookie("", timedelta())

    def leave(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """End the login that a browser comes with, for good. A new one never takes over an old one's token."""
        token = connection.cookies.get(self.cookie_name, "")
        if token.startswith(LOGIN_PREFIX):
            self._services.logins.end(token)

    def check(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """A guard; handlers marked ``open`` let everybody in.

        Raises ``DeniedError`` for who is not known, and for writes that another site began.
        """
        writes = cast("dict[str, Any]", connection.scope)["method"] not in _SAFE
        if handler.opt.get("open"):
            if writes and any(name in connection.headers for name in ("sec-fetch-site", "origin")):
                _refuse_other_sites(connection)
            return
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        who = self._bearer(kind, token.strip()) if kind else self._holder(connection)
        if who is None:
            raise DeniedError(
                "This token is wrong" if kind else "Nobody is logged in", reason="not_logged_in", remedy=_REMEDY
            )
        if writes and not kind:
            _refuse_other_sites(connection)
        introduce(connection, who)

    def _bearer(self, kind: str, token: str) -> Who | None:
        if kind.lower() != "bearer":
            return None
        return ADMIN_TOKEN if self.knows(token) else self._services.logins.service(token)

    def _holder(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Who | None:
        session = connection.cookies.get(self.cookie_name, "")
        if session.startswith(LOGIN_PREFIX):
            return self._services.logins.recognize(session)
        return ADMIN_TOKEN if self._remembers(session) else None

    def _remembers(self, session: str) -> bool:
        expires, _, signature = session.partition(".")
        if not _EXPIRES.fullmatch(expires) or not signature.isascii() or not self._services.login.admin_token:
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


Doorway = NamedDependency[SkipValidation[Door]]


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
            remedy="Use the dashboard itself, or send the token as Authorization: Bearer",
        )
