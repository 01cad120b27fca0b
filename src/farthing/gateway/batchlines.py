"""The lines of a batch's results, in either of their shapes: whose request it was, and what became of it.

OpenAI's: ``{"custom_id", "response": {"status_code", "body"} | null, "error": {"code", "message"} | null}``
(platform.openai.com/docs/guides/batch). Anthropic's: ``{"custom_id", "result": {"type": "succeeded", "message"} |
{"type": "errored", "error"} | {"type": "canceled"} | {"type": "expired"}}``
(docs.anthropic.com/en/api/retrieving-message-batch-results, both November 2026).
"""

from collections.abc import Mapping

import msgspec

from farthing.core.batches import MESSAGES
from farthing.core.facts import ErrorKind, Operation
from farthing.gateway.batchfile import ENDPOINTS
from farthing.gateway.providers._fault import Failure, failure

ASKED: Mapping[str, tuple[Operation, str]] = {**ENDPOINTS, MESSAGES: (Operation.MESSAGE, "anthropic")}
"""What the requests of a batch ask for: the operation, and how its answers report usage."""

_OK = range(200, 300)
_NOTHING = msgspec.Raw()
_STATUS = {
    ErrorKind.BAD_REQUEST: 400,
    ErrorKind.AUTH: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.RATE_LIMIT: 429,
    ErrorKind.OVERLOADED: 529,
}
_UNRUN = {"canceled": "was canceled", "expired": "expired"}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request. ``answer`` is a good answer's body, ``problem`` why there is none; a ``status`` of 0
    says that it was not run.
    """

    custom_id: str
    status: int = 0
    answer: bytes = b""
    problem: Failure | None = None


class Answered(msgspec.Struct, gc=False):
    """An answer over HTTP."""

    status_code: int = 0
    body: msgspec.Raw = _NOTHING


class Problem(msgspec.Struct, gc=False):
    """Why a request was not run."""

    code: str | None = None
    message: str | None = None


class Line(msgspec.Struct, gc=False):
    """A line of OpenAI's."""

    custom_id: str
    response: Answered | None = None
    error: Problem | None = None


class Outcome(msgspec.Struct, gc=False):
    """How a request of Anthropic's ended."""

    type: str
    message: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


class MessageLine(msgspec.Struct, gc=False):
    """A line of Anthropic's."""

    custom_id: str
    result: Outcome


def read_result(endpoint: str, text: bytes) -> Result | None:
    """A line of the results of a batch of requests for ``endpoint``; ``None`` when it is none."""
    try:
        if endpoint == MESSAGES:
            return _of_message(msgspec.json.decode(text, type=MessageLine))
        return _of_line(msgspec.json.decode(text, type=Line))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _of_line(line: Line) -> Result:
    answered = line.response
    if answered is None:
        problem = line.error or Problem()
        why = Failure(ErrorKind.OVERLOADED, problem.message or problem.code or "it was not run")
        return Result(custom_id=line.custom_id, problem=why)
    status, body = answered.status_code, bytes(answered.body)
    if status in _OK:
        return Result(custom_id=line.custom_id, status=status, answer=body)
    return Result(custom_id=line.custom_id, status=status, problem=failure(status, body))


def _of_message(line: MessageLine) -> Result | None:
    """What has no answer is not billed: requests that failed, were canceled or expired (Batch processing, ibid.)."""
    outcome = line.result
    match outcome.type:
        case "succeeded":
            return Result(custom_id=line.custom_id, status=200, answer=bytes(outcome.message))
        case "errored":
            told = failure(200, bytes(outcome.error))
            kind = ErrorKind.SERVER if told.kind is ErrorKind.BAD_BODY else told.kind
            why = Failure(kind, told.message)
            return Result(custom_id=line.custom_id, status=_STATUS.get(kind, 500), problem=why)
        case "canceled" | "expired" as unrun:
            why = Failure(ErrorKind.OVERLOADED, f"the batch {_UNRUN[unrun]} before this request ran")
            return Result(custom_id=line.custom_id, problem=why)
        case _:
            return None


__all__ = ["ASKED", "Result", "read_result"]
