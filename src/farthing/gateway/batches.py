"""``/v1/batches``: many requests for half the price, answered within a day, each batch seen by its owner only.

What a batch costs is known when it is done. When it is ordered it is charged the most that it can cost
(``Call.parts``), and an order is noted before the provider hears of it: should this worker die before the answer
comes, the control process finds out what became of it, and settles it like any other.
"""

import logging
import re
from typing import Any

import msgspec

from farthing.core.batches import Holding, Lot
from farthing.core.decode import decode_json
from farthing.core.errors import InputError, UnavailableError
from farthing.core.facts import ErrorKind, Operation, RequestFact
from farthing.core.nouns import Terms
from farthing.gateway import pipeline
from farthing.gateway.client import Client, Reply
from farthing.gateway.parts import Parts
from farthing.gateway.pipeline import Exchange
from farthing.gateway.ports import Part, Provider, Target
from farthing.gateway.relay import Relay
from farthing.gateway.shelf import (
    Charging,
    Shelf,
    acts_as,
    asked,
    described,
    found,
    kept,
    listed,
    new_call,
    owner_of,
    page_of,
)
from farthing.gateway.single import attempt, only, priced_at, provider_named, through, wanted
from farthing.gateway.wire.read import apply_headers

_PATH = re.compile(r"/(?:openai/)?v1/batches(?:/(?P<id>[A-Za-z0-9_-]{1,100})(?P<cancel>/cancel)?)?/?")
_REFUSED = range(400, 500)
_log = logging.getLogger(__name__)


class Order(msgspec.Struct, frozen=True):
    """What Farthing reads of a request for a batch."""

    input_file_id: str
    endpoint: str


class Batches:
    """The door for these requests."""

    def __init__(self, shelf: Shelf, charging: Charging) -> None:
        self._shelf = shelf
        self._charging = charging

    def leads(self, client: Client) -> tuple[Operation, str] | None:
        """The operation and the client's dialect, ``None`` for other paths."""
        return None if _PATH.fullmatch(client.path) is None else (Operation.BATCH, "openai")

    async def run(self, exchange: Exchange, parts: Parts) -> None:
        """Answer one request."""
        place = _PATH.fullmatch(exchange.client.path)
        named, cancels = (False, False) if place is None else (bool(place["id"]), bool(place["cancel"]))
        match exchange.client.method, named, cancels:
            case "POST", False, False:
                stages = (pipeline.authenticate, self._read, self._route, pipeline.admit, self._order)
            case "GET", False, False:
                stages = (pipeline.authenticate, self._list)
            case "GET", True, False:
                stages = (pipeline.authenticate, self._describe)
            case "POST", True, True:
                stages = (pipeline.authenticate, self._cancel)
            case _:
                stages = (pipeline.authenticate, _refused)
        await through(exchange, parts, stages)

    async def _read(self, exchange: Exchange, parts: Parts) -> None:
        """What is ordered, of which file."""
        body = await exchange.client.body(parts.max_body_bytes)
        order = decode_json(body, Order)
        exchange.call = new_call(exchange, body, "/batches")
        apply_headers(exchange.call)
        file = await found(self._shelf, "file", order.input_file_id, exchange.caller)
        if not file.lots:
            remedy = 'Upload it through the gateway with purpose "batch"'
            raise InputError("not a batch's input", field="input_file_id", value=file.id, remedy=remedy)
        if order.endpoint != file.endpoint:
            remedy = f"Its requests are for {file.endpoint}"
            raise InputError("not what the file asks for", field="endpoint", value=order.endpoint, remedy=remedy)
        self._divide(exchange, file)

    def _divide(self, exchange: Exchange, file: Holding) -> None:
        """The batch model by model, each with the prices of batches at the provider that has the file."""
        call = wanted(exchange)
        provider = provider_named(exchange.world, file.provider, list(exchange.world.providers))
        for lot in file.lots:
            target = priced_at(exchange.world, call, provider, lot.model)
            offers = () if target is None else target.other_terms.get(Terms.BATCH, ())
            part = Part(
                model=lot.model,
                requests=lot.requests,
                input_tokens=lot.input_tokens,
                output_limit=lot.output_limit,
                uncapped=lot.uncapped,
                offers=offers,
            )
            call.parts = (*call.parts, part)
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
        exchange.route = only(call, target, f"{provider.name} has its input file")

    async def _route(self, exchange: Exchange, parts: Parts) -> None:
        """The file says where the batch goes."""

    async def _order(self, exchange: Exchange, parts: Parts) -> None:
        """Note the order, place it, and charge it; the client hears of it when its owner can see it."""
        call, provider = wanted(exchange), exchange.route.targets[0].provider
        asks = decode_json(call.body, Order)
        order = Holding(
            id=call.request_id,
            kind="order",
            provider=provider.name,
            owner=owner_of(exchange.caller),
            created=call.at,
            input=asks.input_file_id,
            endpoint=asks.endpoint,
            lots=tuple(map(_lot, call.parts)),
            scope=call.caller.scope,
            key_id=call.caller.key_id,
            labels=call.labels,
            request_id=call.request_id,
        )
        try:
            await kept(lambda: self._shelf.add(acts_as(exchange.caller), exchange.at, order))
            reply = await self._placed(exchange, parts, order)
        finally:
            exchange.grant.close()
        if reply is not None:
            await exchange.client.reply(reply)

    async def _placed(self, exchange: Exchange, parts: Parts, order: Holding) -> Reply | None:
        charges: tuple[Any, ...] = ()

        def settle(fact: RequestFact) -> None:
            nonlocal charges
            if _declined(fact):
                exchange.grant.settle(fact)
            else:
                charges = self._charging.charge(exchange.grant)

        reply, fact = await attempt(exchange, parts, Relay("POST", "/batches", whole=True), settle=settle)
        if _declined(fact):
            await kept(lambda: self._shelf.remove(acts_as(exchange.caller), exchange.at, order.id))
            return reply
        try:
            await self._confirm(exchange, msgspec.structs.replace(order, charges=charges), reply)
        except UnavailableError as problem:
            _log.error("batch order %s is confirmed by the control process: %s", order.id, problem)
        return reply

    async def _confirm(self, exchange: Exchange, order: Holding, reply: Reply | None) -> None:
        """Put the batch in its order's place; an order whose answer did not come keeps its charges."""
        if reply is None or reply.status not in range(200, 300):
            await kept(lambda: self._shelf.charged(order.id, order.charges))
            return
        seen = described(reply.body, order.provider)
        batch = msgspec.structs.replace(order, id=seen["id"], kind="batch", seen=seen)
        await kept(lambda: self._shelf.add(acts_as(exchange.caller), exchange.at, batch, instead_of=order.id))

    async def _list(self, exchange: Exchange, parts: Parts) -> None:
        """An owner's batches as they were last seen: the control process looks once a minute."""
        del parts
        page, owner = page_of(exchange.client.target), owner_of(exchange.caller)
        rows = await kept(lambda: self._shelf.list("batch", owner, after=page.after, limit=page.limit + 1))
        body = listed([row.seen for row in rows[: page.limit]], more=len(rows) > page.limit)
        await exchange.client.reply(Reply(status=200, body=body))

    async def _describe(self, exchange: Exchange, parts: Parts) -> None:
        await self._asked(exchange, parts, "GET", "")

    async def _cancel(self, exchange: Exchange, parts: Parts) -> None:
        await self._asked(exchange, parts, "POST", "/cancel")

    async def _asked(self, exchange: Exchange, parts: Parts, method: str, suffix: str) -> None:
        place = _PATH.fullmatch(exchange.client.path)
        named = "" if place is None else place["id"] or ""
        batch = await found(self._shelf, "batch", named, exchange.caller)
        provider = self._account(exchange, batch)
        reply, body = await asked(exchange, parts, provider, method, f"/batches/{batch.id}{suffix}")
        if body:
            now = msgspec.structs.replace(batch, seen=described(body, batch.provider))
            await kept(lambda: self._shelf.saw(now.id, now.seen, found=written_by(now)))
        await exchange.client.reply(reply)

    def _account(self, exchange: Exchange, batch: Holding) -> Provider:
        return provider_named(exchange.world, batch.provider, list(exchange.world.providers))


def written_by(batch: Holding) -> tuple[Holding, ...]:
    """The files that a batch has written, which belong to its owner."""
    return tuple(
        Holding(
            id=name,
            kind="file",
            provider=batch.provider,
            owner=batch.owner,
            created=batch.created,
            seen={
                "id": name, "object": "file", "purpose": "batch_output", "filename": f"{name}.jsonl", "bytes": 0,
                "created_at": int(batch.created.timestamp()), "status": "processed",
            },
            scope=batch.scope,
            key_id=batch.key_id,
            request_id=batch.request_id,
        )
        for name in batch.results
    )  # fmt: skip


def _lot(part: Part) -> Lot:
    return Lot(
        model=part.model,
        requests=part.requests,
        input_tokens=part.input_tokens,
        output_limit=part.output_limit,
        uncapped=part.uncapped,
    )


def _declined(fact: RequestFact) -> bool:
    """Whether the provider certainly did not take the order."""
    return fact.http_status in _REFUSED or fact.error_kind is ErrorKind.CONNECT


async def _refused(exchange: Exchange, parts: Parts) -> None:
    del parts
    remedy = f"{exchange.client.path} does not take it"
    raise InputError("not allowed here", field="method", value=exchange.client.method, remedy=remedy)


__all__ = ["Batches", "written_by"]
