"""What an attempt cost: the fact that is opened before the upstream call and closed after it.

Pure functions. Prices come from ``catalog.price`` and nowhere else. A cost is one of three things and
the fact says which: what the provider reported, the provider's counts at a catalogue price, or
Farthing's own counts at a catalogue price. What is not known is ``None`` with a reason, never zero;
zero is written only where providers document that they do not bill.
"""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

import msgspec

from farthing.catalog.price import Bill, Item, bill_at
from farthing.core.errors import UsageError
from farthing.core.facts import ErrorKind, Operation, RequestFact, Source, Status
from farthing.core.money import LEDGER_PLACES, USD, Unpriced, ledger_amount
from farthing.core.nouns import Offer, Terms
from farthing.core.units import INPUT, OUTPUT, Count, Unit, Usage
from farthing.gateway.ports import Call, Meter, Route, Target

TIERS = {
    "default": Terms.ON_DEMAND,
    "standard": Terms.ON_DEMAND,
    "on_demand": Terms.ON_DEMAND,
    "flex": Terms.FLEX,
    "priority": Terms.PRIORITY,
    "fast": Terms.PRIORITY,
    "batch": Terms.BATCH,
    "provisioned": Terms.PROVISIONED,
    "scale": Terms.PROVISIONED,
    "reserved": Terms.PROVISIONED,
}
"""Service tiers as providers report them, in Farthing's terms. ``default`` … ``scale`` are OpenAI's, ``standard``
and ``batch`` Anthropic's, ``on_demand`` Groq's, ``reserved`` Bedrock's (their API references, November 2026)."""

ROLE = "farthing.role"
"""The tag of an attempt beyond a request's first, which says why it was made."""

ROLES = ("retry", "failover", "hedge")
"""Its values: again at the same target, at another one after a failure, beside one that stayed silent."""

_TIMED_OUT = frozenset({408, 504, 524})
"""Statuses that a proxy in between may send while the provider goes on generating, and billing."""

_UNBILLED_KINDS = frozenset(
    {ErrorKind.CONNECT, ErrorKind.RATE_LIMIT, ErrorKind.QUOTA, ErrorKind.OVERLOADED, ErrorKind.AUTH}
)

_FREE = frozenset({Operation.COUNT_TOKENS, Operation.FILE, Operation.BATCH})
"""Counting tokens is free (docs.anthropic.com, Token counting), and so is handing over a file. A batch is ordered for
nothing, too: its requests are billed, and each has a fact of its own."""

_NOTHING = Decimal(0).quantize(LEDGER_PLACES)

Columns = tuple[int, int, int, int, int]
"""Input, cache read, cache write, output, reasoning: tokens in disjoint classes."""

Line = tuple[str, str, str, int, str]
"""Unit name, quantity, rate amount, rate per, amount."""

_NO_COLUMNS: Columns = (0, 0, 0, 0, 0)


class Cost(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An attempt's price as the fact keeps it; ``amount`` is USD at ledger places, ``None`` when unpriced."""

    amount: Decimal | None = None
    source: Source = Source.NONE
    unpriced: str = ""
    offer: str
    bill: Bill | None = None


def begin(call: Call, route: Route, target: Target, attempt: int, *, worker: str, role: str = "") -> RequestFact:
    """The fact as it stands if the worker dies during this attempt. ``role`` says why there is more than one."""
    return RequestFact(
        request_id=call.request_id,
        attempt=attempt,
        at=call.at,
        operation=call.operation,
        dialect=call.dialect,
        scope=call.caller.scope,
        requested_model=call.model,
        status=Status.ABANDONED,
        worker=worker,
        stream=call.stream,
        key_id=call.caller.key_id,
        provider=target.provider.name,
        offer=target.offer_id,
        model=target.model,
        unpriced="the worker stopped before the answer ended; what the provider billed is not known",
        baseline_offer=route.decision.baseline,
        decision=route.record,
        tags={**call.labels, ROLE: role} if role else call.labels,
    )


def finish(
    fact: RequestFact,
    meter: Meter,
    target: Target,
    *,
    status: Status,
    http_status: int = 0,
    total_ms: float | None = None,
    ttft_ms: float | None = None,
    upstream_ms: float | None = None,
    request_bytes: int = 0,
    response_bytes: int = 0,
    baseline: Target | None = None,
    spared: Usage | None = None,
) -> RequestFact:
    """The attempt's outcome. ``baseline`` is the route's; without it the target is its own baseline.

    ``spared`` is what a cache answered of the request, which would have cost something, too.
    """
    cost = cost_of(fact, meter, target, http_status)
    usage = meter.usage
    columns, lines = _NO_COLUMNS, ()
    if cost.bill is not None:
        columns, lines = _itemised(cost.bill.items)
    elif usage is not None:
        columns = disjoint(usage)
    return msgspec.structs.replace(
        fact,
        status=status,
        offer=cost.offer,
        served_model=meter.served_model,
        upstream_id=meter.upstream_id,
        http_status=http_status,
        error_kind=meter.error_kind,
        error=meter.error,
        finish_reason=meter.finish_reason,
        total_ms=total_ms,
        ttft_ms=ttft_ms,
        upstream_ms=upstream_ms,
        request_bytes=request_bytes,
        response_bytes=response_bytes,
        usage={} if usage is None else {_place(unit)[0]: _whole(count) for unit, count in usage.counts.items()},
        usage_source=meter.usage_source,
        input_tokens=columns[0],
        cache_read_tokens=columns[1],
        cache_write_tokens=columns[2],
        output_tokens=columns[3],
        reasoning_tokens=columns[4],
        cost=cost.amount,
        cost_source=cost.source,
        unpriced=cost.unpriced,
        lines=lines,
        baseline_offer=baseline.offer_id if baseline is not None else target.offer_id,
        baseline_cost=_baseline(fact, usage, cost, baseline)
        if spared is None or status is not Status.OK
        else avoided(fact, usage, spared, baseline or target),
    )


def cost_of(fact: RequestFact, meter: Meter, target: Target, http_status: int) -> Cost:
    """What the provider charges for this attempt: its own word first, then its counts at catalogue prices."""
    reported = meter.reported_cost
    if reported is not None:
        if reported.currency != USD:
            reason = f"{target.provider.name} reported {reported}, and the request ledger is kept in {USD}"
            return Cost(offer=target.offer_id, unpriced=reason)
        return Cost(offer=target.offer_id, amount=ledger_amount(reported.amount), source=Source.PROVIDER)
    if meter.usage is None:
        return _without_usage(fact, meter, target, http_status)
    offers = _served(target, meter.service_tier)
    if isinstance(offers, str):
        return Cost(offer=target.offer_id, unpriced=offers)
    bill = _bill(meter.usage, offers, fact)
    offer = offers[0].id
    if isinstance(bill, str):
        return Cost(offer=offer, unpriced=bill)
    source = Source.CATALOG if meter.usage_source is Source.PROVIDER else Source.ESTIMATED
    return Cost(offer=offer, amount=ledger_amount(bill.total), source=source, bill=bill)


def disjoint(usage: Usage) -> Columns:
    """Token classes that add up without counting a token twice.

    Counts that contradict each other have no disjoint form: then the reported totals stand, unsplit.
    """
    try:
        return _columns(usage.leaves().items())
    except UsageError:
        return (_whole(usage[INPUT]), 0, 0, _whole(usage[OUTPUT]), 0)


def _served(target: Target, tier: str) -> tuple[Offer, ...] | str:
    """The offers of the terms under which the provider says it served; otherwise why there are none."""
    offers = target.offers
    if not offers:
        return f"no price is known for {target.model} at {target.provider.prices or target.provider.name}"
    if not tier or tier == "auto":
        return offers
    terms = TIERS.get(tier.lower())
    if terms is None:
        return f"{target.provider.name} served it in tier {tier!r}, whose price is not known"
    if terms is offers[0].terms:
        return offers
    return target.other_terms.get(terms) or f"no {terms} price is known for {target.model}, which was served so"


def _bill(usage: Usage, offers: tuple[Offer, ...], fact: RequestFact) -> Bill | str:
    """A whole bill in the ledger's currency, or why there is none."""
    bill = bill_at(usage, offers, fact.at)
    if isinstance(bill, Unpriced):
        return bill.reason
    if bill.missing is not None:
        return bill.missing.reason
    return bill if bill.currency == USD else f"priced in {bill.currency}, and the request ledger is kept in {USD}"


def _without_usage(fact: RequestFact, meter: Meter, target: Target, http_status: int) -> Cost:
    """Zero where the provider does not bill, otherwise the reason why the cost is not known.

    Providers bill generated and processed tokens, not requests they refuse. A call that was sent and then broke off
    may have been billed.
    """
    name = target.provider.name
    if fact.operation in _FREE and http_status < 400:  # noqa: PLR2004 - HTTP's line
        return Cost(offer=target.offer_id, amount=_NOTHING, source=Source.CATALOG)
    if meter.error_kind in _UNBILLED_KINDS or (http_status >= 400 and http_status not in _TIMED_OUT):  # noqa: PLR2004
        return Cost(offer=target.offer_id, amount=_NOTHING, source=Source.CATALOG)
    if meter.error_kind is not ErrorKind.NONE:
        reason = f"{name} was called and the answer broke off ({meter.error_kind}) before any usage was known"
    elif not meter.complete:
        reason = f"the answer of {name} ended before it was complete, and no usage was known"
    else:
        reason = f"{name} reported no usage"
    return Cost(offer=target.offer_id, unpriced=reason)


def _baseline(fact: RequestFact, usage: Usage | None, cost: Cost, baseline: Target | None) -> Decimal | None:
    """The same usage at the offer the caller named, bought on demand.

    Where that offer served, the baseline is the cost itself, whoever reported it, so that a discount the
    caller has anyway never counts as a saving.
    """
    if baseline is None or baseline.offer_id == cost.offer:
        return cost.amount
    return cost.amount if usage is None else at_baseline(fact, usage, baseline)


def avoided(fact: RequestFact, usage: Usage | None, spared: Usage, baseline: Target) -> Decimal | None:
    """What a usage and what a cache spared of it would have cost at the offer the caller named; ``None``: not known."""
    counts = dict(spared.counts)
    if usage is not None:
        for unit, count in usage.counts.items():
            counts[unit] = counts.get(unit, 0) + count
    return at_baseline(fact, Usage(counts), baseline)


def at_baseline(fact: RequestFact, usage: Usage, baseline: Target) -> Decimal | None:
    """What a usage costs at the offer the caller named; ``None``: not known."""
    if not baseline.offers:
        return None
    bill = _bill(usage, baseline.offers, fact)
    return None if isinstance(bill, str) else ledger_amount(bill.total)


def _columns(leaves: Iterable[tuple[Unit, Count]]) -> Columns:
    sums: list[Count] = [0, 0, 0, 0, 0, 0]
    for unit, count in leaves:
        sums[_place(unit)[1]] += count
    return _five(sums)


def _itemised(bill: Iterable[Item]) -> tuple[Columns, tuple[Line, ...]]:
    """Columns and cost lines in one pass: the items of a bill are the usage's leaves."""
    sums: list[Count] = [0, 0, 0, 0, 0, 0]
    lines: list[Line] = []
    for unit, quantity, rate, amount in bill:
        name, column = _place(unit)
        sums[column] += quantity
        lines.append((name, fixed(quantity), fixed(rate.amount), rate.per, fixed(amount)))
    return _five(sums), tuple(lines)


def fixed(number: Count) -> str:
    """Fixed-point text of an exact number; ``str`` is three times as fast where it gives that already."""
    text = str(number)
    return text if "E" not in text else f"{number:f}"


def _five(sums: list[Count]) -> Columns:
    a, b, c, d, e, _ = sums
    return _whole(a), _whole(b), _whole(c), _whole(d), _whole(e)


def _whole(count: Count) -> int:
    """The ledger counts whole units; fractional ones (seconds of audio) stay exact in the cost lines."""
    return count if type(count) is int else round(count)


@lru_cache(maxsize=512)
def _place(unit: Unit) -> tuple[str, int]:
    """A unit's name and the column that it adds to; 5 is none."""
    if unit.measure != "token":
        return unit.name, 5
    if unit.direction == "output":
        return unit.name, 4 if unit.kind == "reasoning" else 3
    return unit.name, {"cache_read": 1, "cache_write": 2}.get(unit.kind, 0)
