"""Refusals in the audit log: wrong tokens, and people who try what they may not. At a bounded rate, so that nobody
fills the log by knocking.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.types import Scope as Connection

from farthing.core.errors import DeniedError, FarthingError
from farthing.state.audit import Change
from farthing.web.ports import AuditLog
from farthing.web.who import known

MOST = 20
PERIOD = timedelta(minutes=1)
"""So many entries in so much time. What goes beyond is counted, and the count stands in the next entry."""

_LOG = logging.getLogger("farthing.web")
_EXPECTED = frozenset({"approval_needed"})
"""Reasons that are in the log by themselves."""


class Refusals:
    """Called with every error of the API; see Litestar's ``after_exception``."""

    def __init__(self, audit: Callable[[], AuditLog], clock: Callable[[], datetime]) -> None:
        self._audit = audit
        self._clock = clock
        self._lock = Lock()
        self._since: datetime | None = None
        self._count = 0
        self._unsaid = 0

    async def __call__(self, error: Exception, scope: Connection) -> None:
        """Write a refusal down, if it is one that somebody brought about."""
        if not isinstance(error, DeniedError) or error.reason in _EXPECTED:
            return
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        if error.reason == "not_logged_in" and not _knocked(connection):
            return
        unsaid = self._turn()
        if unsaid is None:
            return
        who = known(connection)
        client = connection.client
        after: dict[str, Any] = {
            "reason": error.reason,
            "method": cast("dict[str, Any]", scope)["method"],
            "address": client.host if client else "",
            **({"unsaid": unsaid} if unsaid else {}),
        }
        actor = who.actor if who else "somebody unknown"
        await asyncio.to_thread(self._write, actor, connection.url.path, after)

    def _turn(self) -> int | None:
        """How many refusals went unsaid before this one; ``None`` when this one does as well."""
        with self._lock:
            now = self._clock()
            if self._since is None or now - self._since >= PERIOD:
                self._since, self._count = now, 0
            if self._count >= MOST:
                self._unsaid += 1
                return None
            self._count += 1
            unsaid, self._unsaid = self._unsaid, 0
            return unsaid

    def _write(self, actor: str, path: str, after: dict[str, Any]) -> None:
        """A store that does not answer is no reason not to refuse."""
        subject = "".join(letter for letter in path if letter.isprintable())[:200]
        try:
            self._audit().note(Change(actor=actor, at=self._clock()), "access.refuse", subject, after=after)
        except FarthingError as problem:
            _LOG.error("a refusal could not be written down: %s", problem)


def _knocked(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether somebody tried to get in, rather than opened a page without being logged in."""
    tried = "authorization" in connection.headers or cast("dict[str, Any]", connection.scope)["method"] != "GET"
    return tried or any(name.startswith("farthing_") for name in connection.cookies)
