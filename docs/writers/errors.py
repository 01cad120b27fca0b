"""Errors: the tree, how clients of the gateway and of the control API see them, and exit codes."""

import inspect
from collections.abc import Iterator

from docs.writers.cli import EXIT_CODES
from docs.writers.markdown import attribute_docs, code, summary, table
from farthing.core import errors, facts
from farthing.core.errors import FarthingError
from farthing.core.facts import ErrorKind, Status
from farthing.gateway.wire import errors as wire
from farthing.gateway.wire.errors import Fault, upstream_fault
from farthing.web import problems

WHEN = {
    "INVALID": "A field, a header or the body cannot be used, or no target can carry the request.",
    "UNAUTHENTICATED": "The Farthing key is missing, unknown, expired or revoked.",
    "FORBIDDEN": "The key may not ask for this.",
    "UNKNOWN_MODEL": "No such model or alias; the message names the nearest.",
    "NOT_FOUND": "No such path, or the provider does not know the model.",
    "CONFLICT": "Somebody else holds or changed it.",
    "TOO_LARGE": "The body is over `gateway.max_body_bytes`.",
    "LIMITED": "The provider's rate limit, on every target that could serve.",
    "SPENT": "A budget says no. Reserved: nothing denies for this reason yet.",
    "INTERNAL": "A defect of the gateway; its log has the request id.",
    "BAD_UPSTREAM": "The provider could not be reached, broke off, answered nonsense, or refused Farthing's own key.",
    "UNAVAILABLE": "The gateway takes no requests now (disk full, draining), or the provider is overloaded.",
    "TIMED_OUT": "The provider did not answer in time.",
    "FILTERED": "The provider's content filter refused.",
}

KINDS = {
    "connect": "No connection: name, socket or TLS.",
    "timeout": "Nothing came in time.",
    "reset": "The connection was lost.",
    "rate_limit": "The provider's limit.",
    "overloaded": "The provider has no room now.",
    "auth": "The provider refuses Farthing's key for it.",
    "not_found": "The provider does not know the model or the path.",
    "bad_request": "The provider refuses the request itself, which no other target would take either.",
    "content_filter": "The provider's content filter.",
    "server": "The provider failed.",
    "internal": "A defect of the gateway.",
}
STATUSES = {
    "ok": "The answer is complete.",
    "error": "It was refused or failed; `error_kind` says how.",
    "cache_hit": "An answer was used again. Reserved: there is no cache yet.",
}


def page() -> str:
    """Everything that can be refused, and in what words."""
    return (
        "# Errors\n\n"
        "Every error says what happened and what to do next. There is one tree.\n\n"
        f"```text\n{_drawn()}\n```\n\n"
        + table(("class", "meaning"), ((code(c.__name__), summary(c)) for c in classes()))
        + "\n## Refusals of the gateway\n\n"
        "A client gets each error in the shape that its own SDK knows how to raise.\n\n"
        'OpenAI: `{"error": {"message", "type", "param", "code"}}`\n\n'
        'Anthropic: `{"type": "error", "error": {"type", "message"}, "request_id"}`\n\n'
        + table(("status", "OpenAI type", "OpenAI code", "Anthropic type", "when"), _faults())
        + "\nA stream that has begun ends with an event of the same shape: `data: {…}`, for Anthropic below "
        "`event: error`.\n\n## Failures of providers\n\n"
        "`error_kind` of a request in the ledger, the word in metrics, and the status that the client gets when no "
        "other target could serve.\n\n" + table(("error_kind", "meaning", "OpenAI", "Anthropic"), _kinds()) + "\n"
        "## How a request ended\n\n" + table(("status", "meaning"), _statuses()) + "\n"
        "## Refusals of the control API\n\n"
        "[RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problems, `application/problem+json`, with the members "
        + ", ".join(code(name) for name in problems.Problem.__struct_fields__)
        + ".\n\n" + table(("class", "status", "type"), _problems()) + "\n"
        "## Exit codes\n\n" + table(("code", "meaning"), EXIT_CODES.items())
    )  # fmt: skip


def classes() -> Iterator[type[FarthingError]]:
    """The classes of the tree, in the order of their file."""
    found = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, FarthingError)]
    yield from sorted(found, key=lambda c: inspect.getsourcelines(c)[1])


def faults() -> dict[str, Fault]:
    """The gateway's refusals by the name they have in the code."""
    return {name: found for name, found in vars(wire).items() if isinstance(found, Fault)}


def _drawn() -> str:
    """The drawing at the top of ``core/errors.py``."""
    drawn = (errors.__doc__ or "").split("::")[1].strip("\n")
    return inspect.cleandoc("\n" + drawn)


def _faults() -> Iterator[tuple[str, str, str, str, str]]:
    for name, fault in faults().items():
        own = f", Anthropic {fault.anthropic_status}" if fault.anthropic_status else ""
        yield f"{fault.status}{own}", code(fault.openai), code(fault.code), code(fault.anthropic), WHEN[name]


def _kinds() -> Iterator[tuple[str, str, str, str]]:
    meanings = attribute_docs(facts, "ErrorKind")
    for kind in filter(None, ErrorKind):
        fault = upstream_fault(kind)
        meaning = KINDS.get(kind.value) or meanings[kind.name]
        yield code(kind.value), meaning, str(fault.status), str(fault.anthropic_status or fault.status)


def _statuses() -> Iterator[tuple[str, str]]:
    meanings = attribute_docs(facts, "Status")
    for status in Status:
        yield code(status.value), STATUSES.get(status.value) or meanings[status.name]


def _problems() -> Iterator[tuple[str, str, str]]:
    samples = (
        ("InputError", errors.InputError("x", field="f", value="v")),
        ("NotFoundError", errors.NotFoundError("thing", "x")),
        ("DeniedError, not logged in", errors.DeniedError("x", reason="not_logged_in")),
        ("DeniedError", errors.DeniedError("x", reason="other")),
        ("ConflictError", errors.ConflictError("x")),
        ("UnavailableError", errors.UnavailableError("x")),
        ("any other", FarthingError("x")),
    )
    for name, error in samples:
        problem = problems.explain(error)
        yield name, str(problem.status), code(problem.type)
