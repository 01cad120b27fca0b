"""``/v1/files``: files for a provider's batches and models, each seen by its owner only.

An upload is read whole, up to ``max_file_bytes``, and goes to the provider untouched. What a batch of it may cost is
summed up on the way.
"""

import re
from typing import Any

from farthing.core.batches import Holding, Lot
from farthing.core.errors import ConflictError, InputError
from farthing.core.facts import Operation
from farthing.gateway import pipeline
from farthing.gateway.batchfile import read_batch
from farthing.gateway.client import Client, Reply
from farthing.gateway.parts import Parts
from farthing.gateway.pipeline import Exchange
from farthing.gateway.ports import Provider, Target
from farthing.gateway.relay import Relay
from farthing.gateway.shelf import (
    Shelf,
    account,
    acts_as,
    asked,
    chosen,
    described,
    found,
    keeps_files,
    kept,
    listed,
    new_call,
    owner_of,
    page_of,
    passed_on,
    refused,
)
from farthing.gateway.single import attempt, only, through, wanted
from farthing.gateway.uploads import Uploads
from farthing.gateway.wire.form import Form, read_form
from farthing.gateway.wire.read import apply_headers

_PATH = re.compile(r"/(?:openai/)?v1/files(?:/(?P<id>[A-Za-z0-9_-]{1,100})(?P<content>/content)?)?/?")
_PURPOSE = "batch"


class Files:
    """The door for these requests."""

    def __init__(self, shelf: Shelf, uploads: Uploads) -> None:
        self._shelf = shelf
        self._uploads = uploads

    def leads(self, client: Client) -> tuple[Operation, str] | None:
        """The operation and the client's dialect, ``None`` for other paths. ``/v1/files`` of Anthropic is another."""
        if b"anthropic-version" in client.named or _PATH.fullmatch(client.path) is None:
            return None
        return Operation.FILE, "openai"

    async def run(self, exchange: Exchange, parts: Parts) -> None:
        """Answer one request."""
        place = _PATH.fullmatch(exchange.client.path)
        named, content = ("", False) if place is None else (place["id"] or "", bool(place["content"]))
        match exchange.client.method, bool(named), content:
            case "POST", False, False:
                stages = (pipeline.authenticate, self._upload)
            case "GET", False, False:
                stages = (pipeline.authenticate, self._list)
            case "GET", True, False:
                stages = (pipeline.authenticate, self._describe)
            case "GET", True, True:
                stages = (pipeline.authenticate, self._download)
            case "DELETE", True, False:
                stages = (pipeline.authenticate, self._remove)
            case _:
                stages = (pipeline.authenticate, refused)
        await through(exchange, parts, stages)

    async def _upload(self, exchange: Exchange, parts: Parts) -> None:
        async with self._uploads.body(exchange.client) as body:
            await self._stored(exchange, parts, body)

    async def _stored(self, exchange: Exchange, parts: Parts, body: bytes) -> None:
        """Hand it to the provider, and put it on its owner's shelf before the owner hears of it."""
        form = read_form(body, exchange.named.get(b"content-type", b""))
        call = exchange.call = new_call(exchange, body, "/files")
        apply_headers(call, known=("provider",))
        endpoint, lots = await _contents(form)
        provider = self._provider(exchange, lots)
        target = Target(provider=provider, model="", offer_id=f"{provider.prices or provider.name}/files")
        exchange.route = only(call, target, f"files are kept by {provider.name}")
        await pipeline.admit(exchange, parts)
        try:
            reply, _ = await attempt(exchange, parts, Relay("POST", "/files", whole=True))
        finally:
            exchange.grant.close()
        if reply is None:
            return
        if reply.status in range(200, 300):
            await self._add(exchange, provider, described(reply.body, provider.name), endpoint, lots)
        await exchange.client.reply(reply)

    async def _add(
        self, exchange: Exchange, provider: Provider, seen: dict[str, Any], endpoint: str, lots: tuple[Lot, ...]
    ) -> None:
        call = wanted(exchange)
        holding = Holding(
            id=seen["id"],
            kind="file",
            provider=provider.name,
            owner=owner_of(exchange.caller),
            created=call.at,
            seen=seen,
            lots=lots,
            endpoint=endpoint,
            scope=call.caller.scope,
            key_id=call.caller.key_id,
            request_id=call.request_id,
        )
        await kept(lambda: self._shelf.add(acts_as(exchange.caller), exchange.at, holding))

    def _provider(self, exchange: Exchange, lots: tuple[Lot, ...]) -> Provider:
        """Where it goes: OpenAI's own account before others that keep files as well."""
        providers = filter(keeps_files, exchange.world.providers.values())
        able = sorted(providers, key=lambda provider: provider.vendor != "openai")
        return chosen(exchange, able, lots, what="keeps files", field="file")

    async def _list(self, exchange: Exchange, parts: Parts) -> None:
        del parts
        page, owner = page_of(exchange.client.target), owner_of(exchange.caller)
        oldest = page.order == "asc"
        many = page.limit + 1 if not page.purpose else 10_000
        rows = await kept(lambda: self._shelf.list("file", owner, after=page.after, limit=many, oldest_first=oldest))
        fitting = [row.seen for row in rows if page.purpose in ("", row.seen.get("purpose"))]
        body = listed(fitting[: page.limit], more=len(fitting) > page.limit)
        await exchange.client.reply(Reply(status=200, body=body))

    async def _describe(self, exchange: Exchange, parts: Parts) -> None:
        holding = await found(self._shelf, "file", _named(exchange), exchange.caller)
        reply, body = await asked(exchange, parts, account(exchange, holding), "GET", f"/files/{holding.id}")
        if body:
            seen = described(body, holding.provider)
            await kept(lambda: self._shelf.saw(holding.id, seen))
        await exchange.client.reply(reply)

    async def _download(self, exchange: Exchange, parts: Parts) -> None:
        holding = await found(self._shelf, "file", _named(exchange), exchange.caller)
        await passed_on(exchange, parts, account(exchange, holding), f"/files/{holding.id}/content")

    async def _remove(self, exchange: Exchange, parts: Parts) -> None:
        """Take it back. What a batch reads or has written must stay until it is settled."""
        holding = await found(self._shelf, "file", _named(exchange), exchange.caller)
        if await kept(lambda: self._shelf.unsettled(file=holding.id)):
            raise ConflictError(
                f"A batch that is not settled yet needs the file {holding.id}",
                remedy="Delete it when the batch is done, some minutes later",
            )
        reply, body = await asked(exchange, parts, account(exchange, holding), "DELETE", f"/files/{holding.id}")
        if body or reply.status == _GONE:
            await kept(lambda: self._shelf.remove(acts_as(exchange.caller), exchange.at, holding.id))
        await exchange.client.reply(reply)


_GONE = 404


def _named(exchange: Exchange) -> str:
    place = _PATH.fullmatch(exchange.client.path)
    return "" if place is None else place["id"] or ""


async def _contents(form: Form) -> tuple[str, tuple[Lot, ...]]:
    """What a batch of this file asks for; nothing for files that are for something else."""
    file, purpose = form.one("file"), form.text("purpose")
    if file is None or not purpose:
        missing = "file" if file is None else "purpose"
        raise InputError("missing", field=missing, value="", remedy="Send the fields file and purpose")
    if purpose != _PURPOSE:
        return "", ()
    return await kept(lambda: read_batch(form.body, file.start, file.end))
