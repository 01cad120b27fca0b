"""Errors in the shape that the client's SDK knows how to raise.

OpenAI: ``{"error": {"message", "type", "param", "code"}}``, see platform.openai.com/docs/guides/error-codes.
Anthropic: ``{"type": "error", "error": {"type", "message"}, "request_id"}``, see docs.anthropic.com/en/api/errors.
"""

from typing import Any, NamedTuple

import msgspec

from farthing.core.errors import (
    ConflictError,
    DeniedError,
    FarthingError,
    InputError,
    NotFoundError,
    UnavailableError,
    UpstreamError,
)
from farthing.core.facts import ErrorKind


class Fault(NamedTuple):
    """How one kind of failure is told: the status, and each dialect's words for it.

    ``anthropic_status`` differs where Anthropic has a status of its own (529 for overload).
    """

    status: int
    openai: str
    code: str
    anthropic: str
    anthropic_status: int = 0


INVALID = Fault(400, "invalid_request_error", "invalid_value", "invalid_request_error")
UNAUTHENTICATED = Fault(401, "authentication_error", "invalid_api_key", "authentication_error")
FORBIDDEN = Fault(403, "permission_error", "permission_denied", "permission_error")
UNKNOWN_MODEL = Fault(404, "invalid_request_error", "model_not_found", "not_found_error")
NOT_FOUND = Fault(404, "invalid_request_error", "not_found", "not_found_error")
CONFLICT = Fault(409, "invalid_request_error", "conflict", "invalid_request_error")
TOO_LARGE = Fault(413, "invalid_request_error", "request_too_large", "request_too_large")
LIMITED = Fault(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error")
SPENT = Fault(429, "insufficient_quota", "budget_exceeded", "rate_limit_error")
INTERNAL = Fault(500, "server_error", "internal_error", "api_error")
BAD_UPSTREAM = Fault(502, "upstream_error", "bad_gateway", "api_error")
UNAVAILABLE = Fault(503, "server_error", "unavailable", "overloaded_error", 529)
TIMED_OUT = Fault(504, "timeout_error", "upstream_timeout", "timeout_error")
FILTERED = Fault(400, "invalid_request_error", "content_filter", "invalid_request_error")

_UPSTREAM = {
    ErrorKind.TIMEOUT: TIMED_OUT,
    ErrorKind.RATE_LIMIT: LIMITED,
    ErrorKind.OVERLOADED: UNAVAILABLE,
    ErrorKind.NOT_FOUND: NOT_FOUND,
    ErrorKind.BAD_REQUEST: INVALID,
    ErrorKind.CONTENT_FILTER: FILTERED,
    ErrorKind.INTERNAL: INTERNAL,
}
_DENIED = {"rate_limit": LIMITED, "budget": SPENT}
_UNAUTHENTICATED = ("missing_key", "invalid_key", "unknown_key", "expired_key", "revoked_key", "expired", "revoked")
_BY_STATUS = {401: UNAUTHENTICATED, 403: FORBIDDEN, 404: NOT_FOUND, 409: CONFLICT, 413: TOO_LARGE, 429: LIMITED}


def error_body(dialect: str, error: FarthingError, request_id: str, *, status: int = 0) -> tuple[int, bytes]:
    """The HTTP status and the body that tell this error; ``status`` overrides what its class implies."""
    fault = fault_of(error) if not status else _BY_STATUS.get(status, fault_of(error))
    known, body = tell(dialect, fault, str(error), request_id, param=_param(error))
    return status or known, body


def error_event(dialect: str, error: FarthingError, request_id: str) -> bytes:
    """The same error as a server-sent event, for a stream whose head is already out."""
    body = error_body(dialect, error, request_id)[1]
    return event_of(dialect, body)


def event_of(dialect: str, body: bytes) -> bytes:
    """An error's body as a server-sent event of a dialect."""
    return (b"event: error\ndata: " if dialect == "anthropic" else b"data: ") + body + b"\n\n"


def tell(dialect: str, fault: Fault, message: str, request_id: str, *, param: str = "") -> tuple[int, bytes]:
    """A failure's HTTP status and body in a dialect."""
    if dialect == "anthropic":
        shape: dict[str, Any] = {
            "type": "error",
            "error": {"type": fault.anthropic, "message": message},
            "request_id": request_id,
        }
        return fault.anthropic_status or fault.status, msgspec.json.encode(shape)
    shape = {"error": {"message": message, "type": fault.openai, "param": param or None, "code": fault.code}}
    return fault.status, msgspec.json.encode(shape)


def upstream_fault(kind: ErrorKind) -> Fault:
    """How a provider's failure is told. A provider that refuses Farthing's own key is a bad gateway."""
    return _UPSTREAM.get(kind, BAD_UPSTREAM)


def fault_of(error: FarthingError) -> Fault:
    """How an error is told, by its class and its stable words."""
    match error:
        case UpstreamError():
            return upstream_fault(ErrorKind(error.kind))
        case DeniedError():
            return _DENIED.get(error.reason, UNAUTHENTICATED if error.reason in _UNAUTHENTICATED else FORBIDDEN)
        case NotFoundError() if error.kind == "model":
            return UNKNOWN_MODEL
        case _:
            return next((fault for kind, fault in _BY_CLASS if isinstance(error, kind)), INTERNAL)


_BY_CLASS: tuple[tuple[type[FarthingError], Fault], ...] = (
    (InputError, INVALID),
    (NotFoundError, NOT_FOUND),
    (UnavailableError, UNAVAILABLE),
    (ConflictError, CONFLICT),
)


def _param(error: FarthingError) -> str:
    if isinstance(error, InputError):
        return error.field
    return "model" if isinstance(error, NotFoundError) and error.kind == "model" else ""
