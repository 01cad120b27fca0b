"""What the routes for files and for batches share: whose a thing is, how it is found, and how a provider is asked.

All tenants' files lie in one account at the provider, so the provider cannot keep them apart. The gateway does: what
is not on a caller's own shelf does not exist for them.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec

from farthing.core.batches import Holding, Kind, Lot
from farthing.core.decode import convert
from farthing.core.errors import InputError, NotFoundError, UpstreamError
from farthing.core.facts import ErrorKind
from farthing.core.nouns import Scope
from farthing.gateway import redact
from farthing.gateway.attempt import request_id_headers
from farthing.gateway.client import Reply
from farthing.gateway.parts import Parts
from farthing.gateway.pipeline import Exchange
from farthing.gateway.ports import Answer, Ask, Call, Caller, Grant, Headers, Provider
from farthing.gateway.providers._fault import failure
from farthing.gateway.providers._upstream import key_headers
from farthing.gateway.providers.anthropic import VERSION
from farthing.gateway.relay import returned
from farthing.gateway.single import priced_at, provider_named, wanted
from farthing.gateway.vendors import vendor
from farthing.gateway.wire.errors import tell, upstream_fault

PROVIDER = b"x-farthing-provider"
"""The header that names the account for a file, or for a batch of messages."""

MOST_JSON = 4 * 1024 * 1024
"""Bytes of a description of a file or a batch."""

T = TypeVar("T")


class Shelf(Protocol):
    """Where it is kept who owns what. Every method may wait for the state store, and is called in a thread.

    Each raises ``UnavailableError`` when the store does not answer.
    """

    def add(self, by: str, at: datetime, holding: Holding, *, instead_of: str = "") -> None: ...

    def find(self, kind: Kind, id: str, owner: str) -> Holding | None: ...

    def list(
        self, kind: Kind, owner: str, *, after: str, limit: int, oldest_first: bool = False
    ) -> Sequence[Holding]: ...

    def saw(self, id: str, seen: Mapping[str, Any], *, found: tuple[Holding, ...] = ()) -> None: ...

    def charged(self, id: str, charges: tuple[Any, ...]) -> None: ...

    def remove(self, by: str, at: datetime, id: str) -> None: ...

    def unsettled(self, *, file: str) -> Sequence[Holding]: ...


class Charging(Protocol):
    """Charges a batch when it is ordered, since what it costs is known only when it is done."""

    def charge(self, grant: Grant) -> tuple[Any, ...]:
        """Use all that the grant holds, instead of settling it. What is returned, JSON, corrects the charge later."""
        ...


class Uncharged:
    """The ``Charging`` of a gateway without limits."""

    def charge(self, grant: Grant) -> tuple[Any, ...]:
        """Nothing was held."""
        del grant
        return ()


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list."""

    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    order: str = "desc"
    purpose: str = ""


def owner_of(caller: Caller) -> str:
    """A digest of who may see what a caller makes: its key's own scope, or the key where that has none.

    Only what the key says counts, never a header of the request.
    """
    shared = msgspec.structs.replace(caller.scope, key="")
    scope = caller.scope if shared == Scope() else shared
    return hashlib.sha256(msgspec.json.encode(scope)).hexdigest()


def acts_as(caller: Caller) -> str:
    """How the audit log names a caller."""
    return f"key:{caller.key_id or 'none'}"


async def kept(work: Callable[[], T]) -> T:
    """What the shelf says, asked in a thread."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


async def found(shelf: Shelf, kind: Kind, id: str, caller: Caller) -> Holding:
    """A caller's own file or batch. Raises ``NotFoundError``, also for somebody else's."""
    holding = await kept(lambda: shelf.find(kind, id, owner_of(caller)))
    if holding is None:
        raise NotFoundError(kind, id, remedy="A key sees only what keys of its own scope made")
    return holding


def page_of(target: bytes) -> Page:
    """The query of a list. Raises ``InputError`` for a parameter that means nothing."""
    page = query_of(target, Page)
    if page.order not in ("asc", "desc"):
        raise InputError("not an order", field="order", value=page.order, remedy="Use asc or desc")
    return page


def query_of(target: bytes, to: type[T]) -> T:
    """The query of a request. Raises ``InputError`` for a parameter that means nothing."""
    pairs = parse_qsl(target.partition(b"?")[2].decode("latin-1"), keep_blank_values=True)
    return convert(dict(pairs), to, what="query", strict=False)


def listed(rows: Sequence[Mapping[str, Any]], *, more: bool) -> bytes:
    """A page as OpenAI's SDKs read it."""
    edges = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    shape = {"object": "list", "data": rows, "first_id": edges[0], "last_id": edges[1], "has_more": more}
    return msgspec.json.encode(shape)


def keeps_files(provider: Provider) -> bool:
    """Whether a provider has files and batches as OpenAI does."""
    row = vendor(provider.vendor)
    return row.files and (row.paths != "azure" or provider.base_url.endswith("/openai/v1"))


def account(exchange: Exchange, holding: Holding) -> Provider:
    """Where a caller's file or batch is. Raises ``NotFoundError`` when that account is not ready."""
    return provider_named(exchange.world, holding.provider, list(exchange.world.providers))


def chosen(exchange: Exchange, able: Sequence[Provider], lots: Sequence[Lot], *, what: str, field: str) -> Provider:
    """Where a file or a batch goes: to the account that the client names in a header, or the first that is known to
    serve most of its models.

    Raises ``InputError`` when there is no such one, and as the router does when the key may not use a model.
    """
    named = exchange.named.get(PROVIDER, b"").decode("latin-1").strip()
    names = [provider.name for provider in able]
    if named in exchange.world.providers and named not in names:
        remedy = f"Name one of {', '.join(names)}" if names else "Add a provider that does"
        raise InputError(f"not a provider that {what}", field="x-farthing-provider", value=named, remedy=remedy)
    if named:
        return provider_named(exchange.world, named, names)
    if len(able) == 1:
        return able[0]
    known = [sum(is_known(exchange, provider, lot.model) for lot in lots) for provider in able]
    if able and (not lots or max(known)):
        return able[known.index(max(known))]
    models = ", ".join(lot.model for lot in lots)
    raise InputError(
        f"no provider {what} and serves {models}" if lots else f"no provider {what}",
        field=field,
        value="any provider",
        remedy="Write the provider's own names of models, all of one provider, or name one in x-farthing-provider",
    )


def is_known(exchange: Exchange, provider: Provider, model: str) -> bool:
    """Whether a provider's price list has a model."""
    target = priced_at(exchange.world, wanted(exchange), provider, model)
    return target is not None and bool(target.offers)


async def refused(exchange: Exchange, parts: Parts) -> None:
    """The stage of a method that a path does not take."""
    del parts
    remedy = f"{exchange.client.path} does not take it"
    raise InputError("not allowed here", field="method", value=exchange.client.method, remedy=remedy)


async def passed_on(exchange: Exchange, parts: Parts, provider: Provider, suffix: str) -> None:
    """Answer with what a provider keeps there, as its bytes come. Raises ``UpstreamError`` when it does not answer."""
    client = exchange.client
    answer = await parts.upstream.open(request(provider, "GET", suffix))
    try:
        if answer.status not in range(200, 300):
            await client.reply((await told(exchange, answer, provider))[0])
            return
        client.watch()
        headers = dict(answer.headers)
        content_type = headers.get(b"content-type", b"application/octet-stream")
        await client.start(answer.status, content_type, returned(headers))
        async for data in answer.chunks():
            await client.write(data)
        await client.finish(b"")
    finally:
        await answer.aclose()


async def asked(exchange: Exchange, parts: Parts, provider: Provider, method: str, suffix: str) -> tuple[Reply, bytes]:
    """Ask a provider about something that costs nothing: the reply that the client is owed, and the body if it is good.

    Raises ``UpstreamError`` when the provider does not answer.
    """
    answer = await parts.upstream.open(request(provider, method, suffix))
    try:
        return await told(exchange, answer, provider)
    finally:
        await answer.aclose()


async def told(exchange: Exchange, answer: Answer, provider: Provider) -> tuple[Reply, bytes]:
    """A provider's answer for the client, an error in the client's dialect, and the body if it is good."""
    body = await _body(answer, provider)
    headers = request_id_headers(exchange.dialect, exchange.request_id)
    if answer.status in range(200, 300):
        return Reply(status=answer.status, body=body, headers=headers), body
    why = failure(answer.status, body)
    message = f"{provider.name}: {why.message}"
    status, said = tell(exchange.dialect, upstream_fault(why.kind), message, exchange.request_id)
    return Reply(status=status, body=said, headers=headers), b""


def request(provider: Provider, method: str, suffix: str) -> Ask:
    """A request without a body below a provider's address."""
    version = [VERSION] if provider.dialect == "anthropic" else []
    headers: Headers = [*version, *provider.headers, *key_headers(provider)]
    return Ask(method=method, url=provider.base_url + suffix, headers=headers, body=b"", timeouts=provider.timeouts)


async def _body(answer: Answer, provider: Provider) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for data in redact.chunks(answer, provider.api_key):
        size += len(data)
        if size > MOST_JSON:
            raise UpstreamError(
                f"{provider.name}: its answer is too long", provider=provider.name, kind=ErrorKind.BAD_BODY
            )
        pieces.append(data)
    return b"".join(pieces)


def described(body: bytes, provider: str) -> dict[str, Any]:
    """A file or a batch as a provider describes it. Raises ``UpstreamError`` when it has no id."""
    try:
        seen: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        seen = None
    if isinstance(seen, dict) and isinstance(seen.get("id"), str) and seen["id"]:  # pyright: ignore[reportUnknownMemberType] - decoded JSON
        return dict[str, Any](seen)  # pyright: ignore[reportUnknownArgumentType] - decoded JSON
    raise UpstreamError(f"{provider}: its answer has no id", provider=provider, kind=ErrorKind.BAD_BODY)


def new_call(exchange: Exchange, body: bytes, path: str) -> Call:
    """The call of a request that is about a file or a batch."""
    return Call(
        request_id=exchange.request_id,
        at=exchange.at,
        operation=exchange.operation,
        dialect=exchange.dialect,
        path=path,
        model="",
        body=body,
        caller=exchange.caller,
        headers=exchange.headers,
        method=exchange.client.method,
    )
