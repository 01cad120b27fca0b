"""Who asks: every handler may take ``who: Asker``, which the door found out before the handler runs.

::

    @get("/limits")
    def read_limits(services: Using, who: Asker) -> LimitsAnswer:
        who.must("read")
        ...
"""

from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from farthing.governance.roles import Role, Who

ADMIN_TOKEN = Who(actor="admin token", role=Role.ADMIN)
"""The holder of the installation's admin token, by header or by session cookie."""

Asker = NamedDependency[SkipValidation[Who]]

_KEY = "farthing_who"


def introduce(connection: ASGIConnection[Any, Any, Any, Any], who: Who) -> None:
    """Remember who asks, for the handler."""
    cast("dict[str, Any]", connection.scope)[_KEY] = who


def provide_who(request: Request[Any, Any, Any]) -> Who:
    """Who was let in."""
    return cast("Who", cast("dict[str, Any]", request.scope)[_KEY])


def known(connection: ASGIConnection[Any, Any, Any, Any]) -> Who | None:
    """Who was let in; ``None`` where everybody is."""
    return cast("Who | None", cast("dict[str, Any]", connection.scope).get(_KEY))
