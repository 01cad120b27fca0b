"""What a client gets from a cache, and what the ledger keeps of it: no cost, and the cost there would have been."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from time import perf_counter

import msgspec

from farthing.cache.entry import Entry
from farthing.core.facts import (
    CACHE_ENTRY_TAG,
    CACHE_NAMESPACE_TAG,
    CACHE_PROVIDER,
    CACHE_TAG,
    RequestFact,
    Source,
    Status,
)
from farthing.core.units import Unit, Usage
from farthing.gateway.attempt import request_id_headers
from farthing.gateway.client import Client, Reply
from farthing.gateway.meter import at_baseline, fixed
from farthing.gateway.ports import Call, Headers, Route

WOULD = "would_"
"""Before the kind: it would have been answered so, if the cache were on."""

SAMPLED = "sampled"
"""It would have been answered, and was asked anyway, to measure how often that is wrong."""

MISS = "miss"
SKIPPED = "skipped"
"""A rule speaks against reuse."""

_PIECE = 16 * 1024


class Hit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An entry that answers a call: ``kind`` is ``exact`` or ``semantic``, ``confidence`` the probability that it is
    right, ``ticket`` the semantic cache's name for the lookup.
    """

    entry: Entry
    kind: str
    namespace: str
    confidence: float = 1.0
    ticket: int = 0


def marked(labels: Mapping[str, str], kind: str, namespace: str) -> dict[str, str]:
    """A call's labels with what a cache has to say about it."""
    return {**labels, CACHE_TAG: kind, CACHE_NAMESPACE_TAG: namespace}


def hit_fact(call: Call, route: Route, hit: Hit, *, worker: str, began: float) -> RequestFact:
    """The row of a request that a cache answered. What it would have cost is the answer's usage at today's prices."""
    entry, total_ms = hit.entry, (perf_counter() - began) * 1000
    fact = RequestFact(
        request_id=call.request_id,
        attempt=0,
        at=call.at,
        operation=call.operation,
        dialect=call.dialect,
        scope=call.caller.scope,
        requested_model=call.model,
        status=Status.CACHE_HIT,
        worker=worker,
        stream=call.stream,
        key_id=call.caller.key_id,
        provider=CACHE_PROVIDER,
        offer=f"{CACHE_PROVIDER}/{hit.kind}",
        model=entry.model,
        served_model=entry.served,
        http_status=200,
        finish_reason=entry.finish_reason,
        total_ms=total_ms,
        ttft_ms=total_ms,
        request_bytes=len(call.body),
        response_bytes=len(entry.body),
        cost=Decimal(0),
        cost_source=Source.CATALOG,
        baseline_offer=route.decision.baseline,
        decision=route.record,
        tags={**marked(call.labels, hit.kind, hit.namespace), CACHE_ENTRY_TAG: entry.key.hex()},
    )
    return msgspec.structs.replace(fact, baseline_cost=avoided(fact, entry, route))


def avoided(fact: RequestFact, entry: Entry, route: Route) -> Decimal | None:
    """What the entry's usage would cost now; where no price is known, what it cost when it was made."""
    if entry.usage and route.baseline is not None:
        usage = Usage({Unit.parse(name): count for name, count in entry.usage.items()})
        price = at_baseline(fact, usage, route.baseline)
        if price is not None:
            return price
    try:
        return Decimal(entry.cost) if entry.cost else None
    except InvalidOperation:
        return None


def hit_headers(call: Call, hit: Hit, fact: RequestFact, now: float) -> Headers:
    """What a client is told of an answer from a cache."""
    headers: Headers = [
        *request_id_headers(call.dialect, call.request_id),
        (b"x-farthing-cache", hit.kind.encode()),
        (b"x-farthing-cache-entry", hit.entry.key.hex().encode()),
        (b"age", b"%d" % max(0, int(now - hit.entry.made))),
        (b"x-farthing-cost", b"0"),
    ]
    if fact.baseline_cost is not None:
        headers.append((b"x-farthing-saved", fixed(fact.baseline_cost).encode()))
    if hit.kind == "semantic":
        headers.append((b"x-farthing-cache-confidence", b"%.4f" % hit.confidence))
    return headers


async def replay(client: Client, entry: Entry, headers: Headers) -> None:
    """Give the client the answer in the form that it had: a stream as a stream."""
    body = entry.body
    if not entry.stream:
        await client.reply(Reply(status=200, body=body, content_type=entry.content_type, headers=headers))
        return
    await client.start(200, entry.content_type, headers)
    start = 0
    while len(body) - start > _PIECE:
        end = body.find(b"\n\n", start + _PIECE)
        end = len(body) if end < 0 else end + 2
        await client.write(body[start:end])
        start = end
    await client.finish(body[start:])
