"""What a client is told when a limit does not cover its request."""

import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from farthing.core.errors import FarthingError, LimitError, UnavailableError
from farthing.core.limits import Limit, Measure, dollars
from farthing.gateway.limits.account import Account
from farthing.gateway.ports import Headers

WhereToAsk = Callable[[str], str]
"""Where somebody may ask for more of a limit, by its id."""


LIMIT_TAG = "farthing.limit"
"""Tag of a refused request's fact: the limit that did not cover it."""

LONGEST_SDK_WAIT = 60
"""Seconds beyond which SDKs do not wait for a ``retry-after`` anyway, and retrying is of no use."""


def limit_headers(error: FarthingError) -> Headers:
    """Which limit it was, and whether and when to come back, as SDKs read it."""
    if not isinstance(error, LimitError):
        return []
    wait = error.retry_after
    headers = [(b"x-farthing-limit", error.limit.encode())]
    if wait is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(wait)))
    worth_it = wait is not None and wait <= LONGEST_SDK_WAIT
    return [*headers, (b"x-should-retry", b"true" if worth_it else b"false")]


def used_up(account: Account, needed: int, now: datetime, where: WhereToAsk) -> LimitError:
    """The refusal of a request that needs more than what is left."""
    limit = account.limit
    wait = None if account.ends is None else max(1.0, (account.ends - now).total_seconds())
    left = max(0, account.most)
    message = (
        f"{_name(limit)} does not cover this request: it may take {_amount(limit, needed)}, "
        f"and {_amount(limit, left)} of {_amount(limit, account.cap)} {_span(limit)} are left"
    )
    reset = "" if account.ends is None else f"It starts anew at {account.ends:%Y-%m-%dT%H:%M:%SZ}. "
    return LimitError(
        message,
        reason="budget" if limit.measure is Measure.COST else "rate_limit",
        limit=limit.id,
        retry_after=wait,
        remedy=f"{reset}{where(limit.id)}",
    )


def unpriced(limit: Limit, reason: str, model: str, where: WhereToAsk) -> LimitError:
    """The refusal of a request whose cost nobody can bound."""
    return LimitError(
        f"{_name(limit)} is a hard budget, and this request has no price: {reason}",
        reason="budget",
        limit=limit.id,
        remedy=f"Name a price for it, or allow {model!r} under the budget as unpriced. {where(limit.id)}",
    )


def unsure(problem: str) -> UnavailableError:
    """The refusal of a request about which the state store could not be asked."""
    return UnavailableError(
        f"whether limits cover this request could not be found out: {problem}",
        remedy="Hard limits refuse what they cannot count; check the state store and the control process",
    )


def _name(limit: Limit) -> str:
    kind = "Budget" if limit.measure is Measure.COST else "Quota"
    return f"{kind} {limit.name!r}"


def _amount(limit: Limit, pieces: int) -> str:
    if limit.measure is Measure.COST:
        amount = dollars(pieces)
        return f"${amount.quantize(_CENT if amount >= 1 else _MICRO):f}"
    return f"{pieces:,} {'requests at a time' if limit.measure is Measure.PARALLEL else limit.measure}"


def _span(limit: Limit) -> str:
    if limit.measure is Measure.PARALLEL:
        return "in all"
    if limit.rolling:
        return f"in any {limit.per}"
    return "in all" if limit.per == "once" else f"per {limit.per}"


_CENT = Decimal("0.01")
_MICRO = Decimal("0.000001")
