"""Facts for ledger tests, and the sums they must come to, added up by hand."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from farthing.core.facts import Operation, RequestFact, Status
from farthing.core.nouns import Scope

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def fact(number: int = 0, *, at: datetime = NOON, cost: str | None = "0.000001234567", **rest) -> RequestFact:
    """A request with one attempt."""
    values = {
        "request_id": f"req-{number:06}",
        "attempt": 1,
        "at": at,
        "operation": Operation.CHAT,
        "dialect": "openai",
        "scope": Scope(team="search", feature="answers"),
        "requested_model": "fast",
        "model": "gpt-5-mini",
        "provider": "openai",
        "status": Status.OK,
        "worker": "w1",
        "input_tokens": 10,
        "output_tokens": 3,
        "usage": {"token.input": 10, "token.output": 3},
        "cost": None if cost is None else Decimal(cost),
        "unpriced": "no price" if cost is None else "",
    }
    return RequestFact(**{**values, **rest})


def facts(count: int, *, first: int = 0, step: timedelta = timedelta(minutes=1)) -> list[RequestFact]:
    """Requests one step apart, the models taking turns, every cost different."""
    return [
        fact(first + i, at=NOON + i * step, cost=f"0.{first + i + 1:012}", model=f"model-{i % 3}") for i in range(count)
    ]


def cost_of(some: Iterable[RequestFact]) -> Decimal:
    """The exact cost of what is priced."""
    return sum((f.cost for f in some if f.cost is not None), Decimal(0))


def ids(some: Sequence) -> list[str]:
    return [row.request_id for row in some]
