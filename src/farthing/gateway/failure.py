"""Whom a failure speaks against, and whether trying again can help.

Four classes: the request itself (nobody else would serve it either), a target, a provider's whole account,
and a moment that passes. Statuses and words are those of the providers' own references
(platform.openai.com/docs/guides/error-codes, docs.anthropic.com/en/api/errors, November 2026).
"""

from farthing.core.facts import ErrorKind, Operation, RequestFact

ELSEWHERE = frozenset(
    {
        ErrorKind.CONNECT, ErrorKind.TIMEOUT, ErrorKind.RESET, ErrorKind.PROTOCOL, ErrorKind.BAD_BODY,
        ErrorKind.RATE_LIMIT, ErrorKind.QUOTA, ErrorKind.OVERLOADED, ErrorKind.AUTH, ErrorKind.NOT_FOUND,
        ErrorKind.SERVER,
    }
)  # fmt: skip
"""Failures that another target may not share. What a client did wrong, and what a filter refused, are not among them:
no request is sent around until somebody accepts it."""

_PASSING = frozenset({ErrorKind.CONNECT, ErrorKind.RATE_LIMIT, ErrorKind.OVERLOADED})
"""Failures that may be over in a moment, and that no provider bills."""

_CHEAP = frozenset({Operation.EMBEDDING, Operation.COUNT_TOKENS})
"""Operations that have no output to pay for twice."""

_UNAUTHENTICATED = 401
_SERVER_ERRORS = 500


def may_pass(fact: RequestFact) -> bool:
    """Whether the same target may answer in a moment, at no risk of paying for a generated answer twice.

    A connection that was reset before any byte counts: load balancers do that when they lose a server. A timeout
    does not, unless the operation is cheap: the provider may have generated, and billed, all of the answer.
    """
    kind = fact.error_kind
    if kind in _PASSING:
        return True
    if kind is ErrorKind.RESET:
        return not fact.http_status
    if kind is ErrorKind.SERVER:
        return fact.http_status >= _SERVER_ERRORS
    return kind is ErrorKind.TIMEOUT and not fact.http_status and fact.operation in _CHEAP


def is_of_account(fact: RequestFact) -> bool:
    """Whether every model of the account would fail alike: its key is refused, or its credit is used up."""
    return fact.error_kind is ErrorKind.AUTH or fact.error_kind is ErrorKind.QUOTA


def is_certain(fact: RequestFact) -> bool:
    """Whether once is enough to know. A 403 may be about one request, a 401 is about the key."""
    kind = fact.error_kind
    return (
        kind is ErrorKind.RATE_LIMIT
        or kind is ErrorKind.QUOTA
        or (kind is ErrorKind.AUTH and fact.http_status == _UNAUTHENTICATED)
    )
