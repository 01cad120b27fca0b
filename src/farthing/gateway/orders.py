"""Ordering a batch, of whichever kind: what it may cost, the order, and the charge.

What a batch costs is known when it is done. When it is ordered it is charged the most that it can cost
(``Call.parts``), and an order is noted before the provider hears of it: should this worker die before the answer
comes, the control process finds out what became of it, and settles it like any other.
"""

import logging
from typing import Any

import msgspec

from farthing.core.batches import ROOTS, Holding, Lot
from farthing.core.errors import UnavailableError
from farthing.core.facts import ErrorKind, RequestFact, Status
from farthing.core.nouns import Terms
from farthing.gateway.client import Reply
from farthing.gateway.parts import Parts
from farthing.gateway.pipeline import Exchange
from farthing.gateway.ports import Call, Part, Provider, Target
from farthing.gateway.relay import Relay
from farthing.gateway.shelf import Charging, Shelf, acts_as, described, kept, owner_of
from farthing.gateway.single import attempt, only, priced_at, wanted

_REFUSED = range(400, 500)
_log = logging.getLogger(__name__)


def divide(exchange: Exchange, provider: Provider, lots: tuple[Lot, ...], reason: str) -> None:
    """The batch model by model, each with the prices of batches at the provider, which is its only target."""
    call = wanted(exchange)
    call.parts = tuple(_part(exchange, call, provider, lot) for lot in lots)
    call.model = call.parts[0].model if len(call.parts) == 1 else ""
    call.input_estimate = sum(part.input_tokens for part in call.parts)
    one = call.parts[0] if len(call.parts) == 1 else None
    target = Target(
        provider=provider,
        model=call.model,
        offer_id=one.offers[0].id if one and one.offers else f"{provider.prices or provider.name}/batch",
        offers=one.offers if one else (),
        terms=Terms.BATCH,
    )
    exchange.route = only(call, target, reason)


def _part(exchange: Exchange, call: Call, provider: Provider, lot: Lot) -> Part:
    target = priced_at(exchange.world, call, provider, lot.model)
    return Part(
        model=lot.model,
        requests=lot.requests,
        input_tokens=lot.input_tokens,
        output_limit=lot.output_limit,
        uncapped=lot.uncapped,
        referring=lot.referring,
        unbounded=lot.unbounded,
        offers=() if target is None else target.other_terms.get(Terms.BATCH, ()),
    )


class Orders:
    """Places orders. A batch is on its owner's shelf before its owner hears of it."""

    def __init__(self, shelf: Shelf, charging: Charging) -> None:
        self._shelf = shelf
        self._charging = charging

    async def place(self, exchange: Exchange, parts: Parts, *, input: str, endpoint: str) -> Reply | None:
        """Note the order, place it, and charge it; the reply that the client is owed. The grant is closed."""
        call, provider = wanted(exchange), exchange.route.targets[0].provider
        order = Holding(
            id=call.request_id,
            kind="order",
            provider=provider.name,
            owner=owner_of(exchange.caller),
            created=call.at,
            input=input,
            endpoint=endpoint,
            lots=tuple(map(_lot, call.parts)),
            scope=call.caller.scope,
            key_id=call.caller.key_id,
            labels=call.labels,
            request_id=call.request_id,
        )
        try:
            await kept(lambda: self._shelf.add(acts_as(exchange.caller), exchange.at, order))
            return await self._placed(exchange, parts, order)
        finally:
            exchange.grant.close()

    async def _placed(self, exchange: Exchange, parts: Parts, order: Holding) -> Reply | None:
        charges: tuple[Any, ...] = ()

        def settle(fact: RequestFact) -> None:
            nonlocal charges
            if _declined(fact):
                exchange.grant.settle(fact)
            else:
                charges = self._charging.charge(exchange.grant)

        try:
            reply, fact = await attempt(exchange, parts, Relay("POST", ROOTS[order.asks], whole=True), settle=settle)
        except UnavailableError:
            await self._forget(exchange, order)
            raise
        if _declined(fact):
            await self._forget(exchange, order)
            return reply
        try:
            await self._confirm(exchange, msgspec.structs.replace(order, charges=charges), reply)
        except UnavailableError as problem:
            _log.error("batch order %s is confirmed by the control process: %s", order.id, problem)
        return reply

    async def _forget(self, exchange: Exchange, order: Holding) -> None:
        await kept(lambda: self._shelf.remove(acts_as(exchange.caller), exchange.at, order.id))

    async def _confirm(self, exchange: Exchange, order: Holding, reply: Reply | None) -> None:
        """Put the batch in its order's place; an order whose answer did not come keeps its charges."""
        if reply is None or reply.status not in range(200, 300):
            await kept(lambda: self._shelf.charged(order.id, order.charges))
            return
        seen = described(reply.body, order.provider)
        batch = msgspec.structs.replace(order, id=seen["id"], kind=order.asks, seen=seen)
        await kept(lambda: self._shelf.add(acts_as(exchange.caller), exchange.at, batch, instead_of=order.id))


def _lot(part: Part) -> Lot:
    return Lot(
        model=part.model,
        requests=part.requests,
        input_tokens=part.input_tokens,
        output_limit=part.output_limit,
        uncapped=part.uncapped,
        referring=part.referring,
        unbounded=part.unbounded,
    )


def _declined(fact: RequestFact) -> bool:
    """Whether the provider certainly did not take the order: it said so, or it never heard of it."""
    return fact.http_status in _REFUSED or fact.error_kind is ErrorKind.CONNECT or fact.status is Status.ABANDONED


__all__ = ["Orders", "divide"]
