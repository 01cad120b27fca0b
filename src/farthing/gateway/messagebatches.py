"""``/v1/messages/batches``: Anthropic's batches, whose requests come with the order and whose results are one download.

How they are ordered, and charged, is told in ``orders.py``. What the provider says of a batch reaches its owner as it
is, except that ``results_url`` leads through the gateway.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from farthing.core.batches import MESSAGES, ROOTS, Holding
from farthing.core.errors import ConflictError, InputError, NotFoundError
from farthing.core.facts import Operation
from farthing.gateway import pipeline
from farthing.gateway.batchmessages import MOST_BYTES, Batch, read_messages
from farthing.gateway.client import Client, Reply
from farthing.gateway.orders import Orders, divide
from farthing.gateway.parts import Parts
from farthing.gateway.pipeline import Exchange
from farthing.gateway.ports import Provider
from farthing.gateway.providers.anthropic import headers_of
from farthing.gateway.shelf import (
    Charging,
    Shelf,
    account,
    acts_as,
    asked,
    chosen,
    described,
    found,
    is_known,
    kept,
    new_call,
    owner_of,
    passed_on,
    query_of,
    refused,
)
from farthing.gateway.single import through, wanted
from farthing.gateway.uploads import Uploads
from farthing.gateway.vendors import vendor
from farthing.gateway.wire.read import apply_headers

_PATH = re.compile(
    r"/(?:anthropic/)?v1/messages/batches(?:/(?P<id>[A-Za-z0-9_-]{1,100})(?P<rest>/cancel|/results)?)?/?"
)
_JSON = (b"content-type", b"application/json")
_GONE = 404


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list. ``beta`` is what SDKs write for APIs in beta, and changes nothing here."""

    before_id: str = ""
    after_id: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 20
    beta: str = ""


class MessageBatches:
    """The door for these requests."""

    def __init__(self, shelf: Shelf, charging: Charging, uploads: Uploads) -> None:
        self._shelf = shelf
        self._orders = Orders(shelf, charging)
        self._uploads = uploads

    def leads(self, client: Client) -> tuple[Operation, str] | None:
        """The operation and the client's dialect, ``None`` for other paths."""
        return None if _PATH.fullmatch(client.path) is None else (Operation.BATCH, "anthropic")

    async def run(self, exchange: Exchange, parts: Parts) -> None:
        """Answer one request."""
        place = _PATH.fullmatch(exchange.client.path)
        named, rest = ("", "") if place is None else (place["id"], place["rest"] or "")
        match exchange.client.method, bool(named), rest:
            case "POST", False, "":
                stage = self._order
            case "GET", False, "":
                stage = self._list
            case "GET", True, "":
                stage = self._describe
            case "GET", True, "/results":
                stage = self._results
            case "POST", True, "/cancel":
                stage = self._cancel
            case "DELETE", True, "":
                stage = self._remove
            case _:
                stage = refused
        await through(exchange, parts, (pipeline.authenticate, stage))

    async def _order(self, exchange: Exchange, parts: Parts) -> None:
        """Read it like any other request, or like an upload where it is larger than those may be."""
        client = exchange.client
        if 0 <= client.incoming.announced <= parts.max_body_bytes:
            await self._ordered(exchange, parts, await client.body(parts.max_body_bytes))
            return
        async with self._uploads.body(client, most=MOST_BYTES) as body:
            await self._ordered(exchange, parts, body)

    async def _ordered(self, exchange: Exchange, parts: Parts, body: bytes) -> None:
        call = exchange.call = new_call(exchange, body, ROOTS["message_batch"])
        apply_headers(call, known=("provider",))
        call.headers = [_JSON, *headers_of(call)]
        batch = await kept(lambda: read_messages(body))
        able = [p for p in exchange.world.providers.values() if vendor(p.vendor).message_batches]
        provider = chosen(exchange, able, batch.lots, what="has batches of messages", field="requests")
        _check(exchange, provider, batch)
        divide(exchange, provider, batch.lots, f"{provider.name} has batches of messages")
        await pipeline.admit(exchange, parts)
        reply = await self._orders.place(exchange, parts, input=batch.digest, endpoint=MESSAGES)
        if reply is not None:
            await exchange.client.reply(_shown_reply(reply, provider.name))

    async def _list(self, exchange: Exchange, parts: Parts) -> None:
        """An owner's batches as they were last seen: the control process looks once a minute."""
        del parts
        page, owner = query_of(exchange.client.target, Page), owner_of(exchange.caller)
        if page.before_id and page.after_id:
            remedy = "Leave out before_id or after_id"
            raise InputError("only one of them", field="before_id", value=page.before_id, remedy=remedy)
        backward, edge, many = bool(page.before_id), page.before_id or page.after_id, page.limit + 1
        rows = await kept(
            lambda: self._shelf.list("message_batch", owner, after=edge, limit=many, oldest_first=backward)
        )
        held = rows[: page.limit][:: -1 if backward else 1]
        body = _listed([_shown(row.seen) for row in held], more=len(rows) > page.limit)
        await exchange.client.reply(Reply(status=200, body=body))

    async def _describe(self, exchange: Exchange, parts: Parts) -> None:
        await self._asked(exchange, parts, "GET", "")

    async def _cancel(self, exchange: Exchange, parts: Parts) -> None:
        await self._asked(exchange, parts, "POST", "/cancel")

    async def _asked(self, exchange: Exchange, parts: Parts, method: str, suffix: str) -> None:
        batch = await self._found(exchange)
        reply, body = await asked(exchange, parts, account(exchange, batch), method, f"{batch.place}{suffix}")
        if body:
            seen = described(body, batch.provider)
            await kept(lambda: self._shelf.saw(batch.id, seen))
        await exchange.client.reply(_shown_reply(reply, batch.provider))

    async def _results(self, exchange: Exchange, parts: Parts) -> None:
        batch = await self._found(exchange)
        await passed_on(exchange, parts, account(exchange, batch), f"{batch.place}/results")

    async def _remove(self, exchange: Exchange, parts: Parts) -> None:
        """Take it back. Its results must stay until it is settled, for they say what it cost."""
        batch = await self._found(exchange)
        if batch.settled is None:
            raise ConflictError(
                f"The batch {batch.id} is not settled yet, and its results say what it cost",
                remedy="Cancel it or let it end, and delete it some minutes later",
            )
        reply, body = await asked(exchange, parts, account(exchange, batch), "DELETE", batch.place)
        if body or reply.status == _GONE:
            await kept(lambda: self._shelf.remove(acts_as(exchange.caller), exchange.at, batch.id))
        await exchange.client.reply(reply)

    async def _found(self, exchange: Exchange) -> Holding:
        place = _PATH.fullmatch(exchange.client.path)
        named = "" if place is None else place["id"] or ""
        return await found(self._shelf, "message_batch", named, exchange.caller)


def _check(exchange: Exchange, provider: Provider, batch: Batch) -> None:
    """Refuse models that are somebody else's, and names that only the gateway knows. What nobody knows may be new."""
    for lot, place in zip(batch.lots, batch.places, strict=True):
        if is_known(exchange, provider, lot.model) and not lot.model.startswith(f"{provider.name}/"):
            continue
        own, others = _meant(exchange, provider, lot.model)
        if own == lot.model or not (own or others):
            continue
        raise InputError(
            f"{provider.name} has no model of that name, and a batch goes to one provider as it is",
            field=f"requests.{place}.params.model",
            value=lot.model,
            remedy=f"Write {own}" if own else f"Order it apart from this batch: {', '.join(others)} serves it",
        )


def _meant(exchange: Exchange, provider: Provider, model: str) -> tuple[str, Sequence[str]]:
    """A model in a provider's own words, empty where it has none, and others that serve it."""
    try:
        targets = exchange.world.router.route(msgspec.structs.replace(wanted(exchange), model=model)).targets
    except NotFoundError:
        return "", ()
    own = next((target.model for target in targets if target.provider.name == provider.name), "")
    return own, sorted({target.provider.name for target in targets} - {provider.name})


def _shown(seen: Mapping[str, Any]) -> Mapping[str, Any]:
    """A batch as its owner sees it. The path is below whatever address the client uses, as SDKs read it."""
    if not seen.get("results_url"):
        return seen
    return {**seen, "results_url": f"/v1{ROOTS['message_batch']}/{seen['id']}/results"}


def _shown_reply(reply: Reply, provider: str) -> Reply:
    if reply.status not in range(200, 300):
        return reply
    return msgspec.structs.replace(reply, body=msgspec.json.encode(_shown(described(reply.body, provider))))


def _listed(rows: Sequence[Mapping[str, Any]], *, more: bool) -> bytes:
    """A page as Anthropic's SDKs read it."""
    edges = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return msgspec.json.encode({"data": rows, "has_more": more, "first_id": edges[0], "last_id": edges[1]})


__all__ = ["MessageBatches"]
