"""Why a provider refused or failed, in Farthing's words, from the many shapes in which it may say so."""

from typing import Any, NamedTuple, cast

import msgspec

from farthing.core.facts import ErrorKind


class Failure(NamedTuple):
    """What went wrong at a provider."""

    kind: ErrorKind
    message: str


_BY_STATUS = {
    400: ErrorKind.BAD_REQUEST,
    401: ErrorKind.AUTH,
    402: ErrorKind.QUOTA,
    403: ErrorKind.AUTH,
    404: ErrorKind.NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    429: ErrorKind.RATE_LIMIT,
    503: ErrorKind.OVERLOADED,
    504: ErrorKind.TIMEOUT,
    524: ErrorKind.TIMEOUT,
    529: ErrorKind.OVERLOADED,
}
_BY_WORD = {
    "content_filter": ErrorKind.CONTENT_FILTER,
    "content_policy_violation": ErrorKind.CONTENT_FILTER,
    "invalid_request_error": ErrorKind.BAD_REQUEST,
    "authentication_error": ErrorKind.AUTH,
    "permission_error": ErrorKind.AUTH,
    "invalid_api_key": ErrorKind.AUTH,
    "not_found_error": ErrorKind.NOT_FOUND,
    "model_not_found": ErrorKind.NOT_FOUND,
    "rate_limit_error": ErrorKind.RATE_LIMIT,
    "rate_limit_exceeded": ErrorKind.RATE_LIMIT,
    "insufficient_quota": ErrorKind.QUOTA,
    "billing_error": ErrorKind.QUOTA,
    "overloaded_error": ErrorKind.OVERLOADED,
    "timeout_error": ErrorKind.TIMEOUT,
    "api_error": ErrorKind.SERVER,
    "server_error": ErrorKind.SERVER,
    "INVALID_ARGUMENT": ErrorKind.BAD_REQUEST,
    "RESOURCE_EXHAUSTED": ErrorKind.RATE_LIMIT,
    "UNAVAILABLE": ErrorKind.OVERLOADED,
    "ThrottlingException": ErrorKind.RATE_LIMIT,
    "throttlingException": ErrorKind.RATE_LIMIT,
    "serviceUnavailableException": ErrorKind.OVERLOADED,
    "modelStreamErrorException": ErrorKind.SERVER,
    "validationException": ErrorKind.BAD_REQUEST,
    "internalServerException": ErrorKind.SERVER,
    "modelTimeoutException": ErrorKind.TIMEOUT,
}
_WHATEVER_STATUS = (ErrorKind.CONTENT_FILTER, ErrorKind.QUOTA)
_MESSAGE_LIMIT = 1_000
_CLIENT_ERRORS = range(400, 500)
_OK = range(200, 300)


def failure(status: int, body: bytes) -> Failure:
    """The failure that a status and a body tell; under a status of success the body's own words decide."""
    words, message = _told(body)
    by_word = next((_BY_WORD[word] for word in words if word in _BY_WORD), None)
    if by_word is not None and (by_word in _WHATEVER_STATUS or status in _OK):
        return Failure(by_word, message)
    if status in _OK:
        return Failure(ErrorKind.BAD_BODY, message or "the answer was empty")
    fallback = ErrorKind.BAD_REQUEST if status in _CLIENT_ERRORS else ErrorKind.SERVER
    return Failure(_BY_STATUS.get(status, fallback), message or f"HTTP {status}")


def _told(body: bytes) -> tuple[list[str], str]:
    """The stable words and the sentence in an error body, or its beginning when it is no JSON."""
    try:
        shape: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return [], body[:_MESSAGE_LIMIT].decode(errors="replace").strip()
    outer = _object(shape)
    if outer is None:
        return [], str(shape)[:_MESSAGE_LIMIT]
    inner = _object(outer.get("error", outer))
    if inner is None:
        return [], str(outer["error"])[:_MESSAGE_LIMIT]
    words = [word for key in _WORDS if isinstance(word := inner.get(key), str)]
    message = next((inner[key] for key in _SENTENCES if inner.get(key)), None)
    return words, str(message or body[:_MESSAGE_LIMIT].decode(errors="replace"))[:_MESSAGE_LIMIT]


_WORDS = ("code", "type", "status", "__type")
_SENTENCES = ("message", "Message", "detail", "error_description")


def _object(value: Any) -> dict[str, Any] | None:
    """A JSON object, or the first of a list of them, which is how Gemini tells errors of a stream."""
    if isinstance(value, list) and value:
        value = cast("list[Any]", value)[0]
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
