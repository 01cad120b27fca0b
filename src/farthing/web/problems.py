"""Errors as RFC 9457 problems: one shape, with field, value, remedy and the nearest names."""

import logging
from collections.abc import Mapping
from typing import Any

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from farthing.core.errors import (
    ConflictError,
    DeniedError,
    FarthingError,
    InputError,
    NotFoundError,
    UnavailableError,
)
from farthing.web.views import Problem
from farthing.web.wire import encode

MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger("farthing.web")
_KINDS: tuple[tuple[type[FarthingError], int, str, str], ...] = (
    (InputError, 400, "input", "The request holds a value that cannot be used"),
    (NotFoundError, 404, "not_found", "There is nothing of that name"),
    (DeniedError, 403, "denied", "Not allowed"),
    (ConflictError, 409, "conflict", "Somebody else holds or changed it"),
    (UnavailableError, 503, "unavailable", "This cannot work right now"),
)
_TITLES = {
    400: ("input", "The request holds a value that cannot be used"),
    401: ("denied", "Not logged in"),
    403: ("denied", "Not allowed"),
    404: ("not_found", "There is nothing at this address"),
    405: ("input", "This address does not take that method"),
    408: ("input", "The body took too long"),
    413: ("input", "The body is too large"),
    415: ("input", "The body's media type is not understood"),
}
_WORDS = {400: "Bad input", 401: "Not logged in", 403: "Refused", 404: "Not found", 409: "Conflict"}


OPEN: Mapping[str, Any] = {"opt": {"open": True}, "security": [{}]}
"""Marks an endpoint as open to everybody, for the guard and in the document."""


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The refusals of an endpoint, for its OpenAPI document. 401 and 400 belong to all of them."""
    return {
        status: ResponseSpec(data_container=Problem, generate_examples=False, description=_WORDS.get(status, "Refused"))
        for status in sorted({400, 401, *statuses})
    }


def explain(error: FarthingError) -> Problem:
    """The problem that an error of the tree is to a client."""
    status, kind, title = next(
        ((s, k, t) for tree, s, k, t in _KINDS if isinstance(error, tree)), (500, "internal", "Farthing failed")
    )
    if isinstance(error, DeniedError) and error.reason == "not_logged_in":
        status, title = 401, "Not logged in"
    return Problem(
        type=kind,
        title=title,
        status=status,
        detail=error.message,
        field=getattr(error, "field", ""),
        value=_shown(getattr(error, "value", "")),
        remedy=error.remedy,
        nearest=getattr(error, "nearest", ()),
        approval=getattr(error, "approval", ""),
        url=getattr(error, "url", ""),
    )


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    """The problem as an HTTP response."""
    extra = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}  # noqa: PLR2004 - the HTTP status
    return Response(
        encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers={**extra, **(headers or {})}
    )


def on_farthing_error(_: Request[Any, Any, Any], error: FarthingError) -> Response[bytes]:
    """An error raised on purpose."""
    problem = explain(error)
    if problem.status >= 500:  # noqa: PLR2004 - the HTTP status
        _LOG.error("%s", error)
    return respond(problem)


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """An error of the framework: bad parameters and bodies, unknown paths and methods."""
    kind, title = _TITLES.get(error.status_code, ("internal", "Farthing failed"))
    problem = Problem(type=kind, title=title, status=error.status_code, detail=error.detail)
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        problem = _invalid(request, error.extra[0], title)
    headers = {k: v for k, v in (error.headers or {}).items() if k.lower() in ("allow", "connection")}
    return respond(problem, headers)


def on_any_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A defect. The log has the traceback; the client learns nothing of the inside."""
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return respond(
        Problem(
            type="internal",
            title="Farthing failed",
            status=500,
            detail="An unexpected error; the log of the control process has the details",
            remedy="Run farthing doctor, and report it with the log",
        )
    )


def _invalid(connection: ASGIConnection[Any, Any, Any, Any], extra: Any, title: str) -> Problem:
    """The first thing that a parameter or a body has wrong, by name."""
    key, message = str(extra.get("key", "body")), str(extra.get("message", "")).partition(" - at `")[0]
    value = connection.query_params.get(key, connection.path_params.get(key, ""))
    remedy = "Correct the value; /api/schema/openapi.json says what is taken"
    if key == "amount" and "matching regex" in message:
        message, remedy = "an amount is zero or more, in digits", 'Write it like "500" or "12.50"'
    return Problem(
        type="input",
        title=title,
        status=400,
        detail=message,
        field=key,
        value=_shown(value),
        remedy=remedy,
    )


def _shown(value: object) -> str:
    return str(value)[:200] if value not in (None, "") else ""
