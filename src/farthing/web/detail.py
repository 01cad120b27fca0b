"""One request explained: its facts as a cost formula whose lines add up, and the decision behind it."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import reduce

import msgspec

from farthing.core.facts import RequestFact, Source, last_word
from farthing.core.money import EXACT, LEDGER_PLACES, USD
from farthing.core.nouns import Rejection
from farthing.gateway.meter import ROLE
from farthing.web.views import CostLine, DecisionView, RequestDetail, Timing


def explain(facts: Sequence[RequestFact]) -> RequestDetail:
    """The view of a request from all facts that share its id, in the order of their attempts.

    The attempt that answered, or else the last, says how the request ended. Cost and baseline are sums over attempts,
    and the saving over those that have both, as in every other answer of the ledger.
    """
    last = last_word(facts)
    baselines = [fact.baseline_cost for fact in facts if fact.baseline_cost is not None]
    savings = [
        EXACT.subtract(fact.baseline_cost, fact.cost)
        for fact in facts
        if fact.baseline_cost is not None and fact.cost is not None
    ]
    return RequestDetail(
        request_id=last.request_id,
        at=facts[0].at,
        operation=last.operation,
        dialect=last.dialect,
        scope=last.scope,
        requested_model=last.requested_model,
        provider=last.provider,
        offer=last.offer,
        model=last.model,
        served_model=last.served_model,
        status=last.status,
        error_kind=last.error_kind,
        error=last.error,
        currency=USD,
        cost=_sum(fact.cost for fact in facts if fact.cost is not None),
        unpriced=_reasons(facts),
        baseline_offer=last.baseline_offer,
        baseline_cost=_sum(baselines),
        saved=_sum(savings),
        formula=tuple(line for fact in facts for line in cost_lines(fact)),
        timing=_timing(facts),
        decision=decision_of(last.decision),
        attempts=tuple(facts),
        roles=tuple(fact.tags.get(ROLE, "") for fact in facts),
        tags={name: value for name, value in last.tags.items() if name != ROLE},
    )


def cost_lines(fact: RequestFact) -> Iterator[CostLine]:
    """The itemized cost of one attempt. Its amounts sum to the stored cost exactly; none if it has no cost."""
    if fact.cost is None:
        return
    amounts: list[Decimal] = []
    for unit, quantity, rate, per, amount in fact.lines:
        amounts.append(Decimal(amount))
        yield CostLine(
            attempt=fact.attempt,
            kind="unit",
            unit=unit,
            quantity=quantity,
            rate=Decimal(rate),
            per=per,
            amount=amounts[-1],
        )
    difference = EXACT.subtract(fact.cost, _sum(amounts) or Decimal(0))
    if difference:
        yield CostLine(
            attempt=fact.attempt,
            kind="adjustment",
            unit="",
            quantity="",
            rate=None,
            per=1,
            amount=difference,
            note=_why(difference, fact),
        )


def decision_of(text: str) -> DecisionView | None:
    """The routing decision that a fact keeps as JSON, ``None`` when it keeps none that can be read."""
    if not text:
        return None
    try:
        kept = msgspec.json.decode(text, type=_Kept)
        expected, expected_unpriced = _money(kept.expected_cost)
        baseline, baseline_unpriced = _money(kept.baseline_cost)
    except (msgspec.DecodeError, ArithmeticError):
        return None
    return DecisionView(
        asked=kept.asked,
        chosen=kept.chosen,
        reason=kept.reason,
        rejected=kept.rejected,
        expected_cost=expected,
        expected_unpriced=expected_unpriced,
        expected_ms=kept.expected_ms,
        baseline=kept.baseline,
        baseline_cost=baseline,
        baseline_unpriced=baseline_unpriced,
    )


class _Kept(msgspec.Struct, kw_only=True):
    """``Decision`` as it reads in JSON: a cost is an amount with its currency, or the reason why there is none."""

    asked: str
    chosen: str
    reason: str
    rejected: tuple[Rejection, ...] = ()
    expected_cost: dict[str, str] = {}
    expected_ms: float | None = None
    baseline: str = ""
    baseline_cost: dict[str, str] = {}


def _money(kept: dict[str, str]) -> tuple[Decimal | None, str]:
    amount = kept.get("amount")
    return (Decimal(amount), "") if amount is not None else (None, kept.get("reason", "no estimate"))


def _sum(amounts: Iterable[Decimal]) -> Decimal | None:
    """The exact sum, ``None`` of nothing: what nobody priced is not free."""
    parts = list(amounts)
    return reduce(EXACT.add, parts) if parts else None


def _reasons(facts: Sequence[RequestFact]) -> tuple[str, ...]:
    """Why attempts have no price, each reason once."""
    return tuple(dict.fromkeys(fact.unpriced for fact in facts if fact.cost is None and fact.unpriced))


def _why(difference: Decimal, fact: RequestFact) -> str:
    if fact.cost_source is Source.PROVIDER:
        return "as the provider reported it"
    if abs(difference) < LEDGER_PLACES:
        return "rounding to the ledger's twelve decimals"
    return "difference to the stored cost"


def _timing(facts: Sequence[RequestFact]) -> Timing:
    """Times of the whole request: its end as the attempt that answered saw it, all upstream calls together."""
    last = last_word(facts)
    calls = [fact.upstream_ms for fact in facts if fact.upstream_ms is not None]
    upstream = sum(calls) if calls else None
    return Timing(
        total_ms=last.total_ms,
        ttft_ms=last.ttft_ms,
        upstream_ms=upstream,
        overhead_ms=None if last.total_ms is None or upstream is None else max(0.0, last.total_ms - upstream),
    )
