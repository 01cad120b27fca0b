"""``/v1/batches``: many requests for half the price, answered within a day, each batch seen by its owner only.

How they are ordered, and charged, is told in ``orders.py``.
"""

import re

import msgspec

from farthing.core.batches import Holding
from farthing.core.decode import decode_json
from farthing.core.errors import InputError
from farthing.core.facts import Operation
from farthing.gateway import pipeline
from farthing.gateway.client import Client, Reply
from farthing.gateway.orders import Orders, divide
from farthing.gateway.parts import Parts
from farthing.gateway.pipeline import Exchange
from farthing.gateway.shelf import (
    Charging,
    Shelf,
    account,
    asked,
    described,
    found,
    kept,
    listed,
    new_call,
    owner_of,
    page_of,
    refused,
)
from farthing.gateway.single import through, wanted
from farthing.gateway.wire.read import apply_headers

_PATH = re.compile(r"/(?:openai/)?v1/batches(?:/(?P<id>[A-Za-z0-9_-]{1,100})(?P<cancel>/cancel)?)?/?")


class Order(msgspec.Struct, frozen=True):
    """What Farthing reads of a request for a batch."""

    input_file_id: str
    endpoint: str


class Batches:
    """The door for these requests."""

    def __init__(self, shelf: Shelf, charging: Charging) -> None:
        self._shelf = shelf
        self._orders = Orders(shelf, charging)

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
                stages = (pipeline.authenticate, refused)
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
        provider = account(exchange, file)
        divide(exchange, provider, file.lots, f"{provider.name} has its input file")

    async def _route(self, exchange: Exchange, parts: Parts) -> None:
        """The file says where the batch goes."""

    async def _order(self, exchange: Exchange, parts: Parts) -> None:
        asks = decode_json(wanted(exchange).body, Order)
        reply = await self._orders.place(exchange, parts, input=asks.input_file_id, endpoint=asks.endpoint)
        if reply is not None:
            await exchange.client.reply(reply)

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
        reply, body = await asked(exchange, parts, account(exchange, batch), method, f"{batch.place}{suffix}")
        if body:
            now = msgspec.structs.replace(batch, seen=described(body, batch.provider))
            await kept(lambda: self._shelf.saw(now.id, now.seen, found=written_by(now)))
        await exchange.client.reply(reply)


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


__all__ = ["Batches", "written_by"]
