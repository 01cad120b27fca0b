"""Requests that are asked ahead: they go the way of every request, in the name of the key that made them before.

Nobody waits for what they bring but the cache. The key has to be valid still; limits, routing and the ledger treat them
like any other request, whose rows carry the role ``warm``.
"""

import msgspec

from farthing.cache.asks import Ask, Done
from farthing.core.errors import DeniedError, InputError, NotFoundError
from farthing.core.facts import Status
from farthing.gateway.app import Gateway
from farthing.gateway.caching.embedding import VectorFilling
from farthing.gateway.caching.reuse import AnswerFilling
from farthing.gateway.caching.uses import WARM
from farthing.gateway.client import Body, Client, Copy
from farthing.gateway.meter import ROLE
from farthing.gateway.parts import Parts
from farthing.gateway.pipeline import STAGES, Exchange, Stage, authenticate, read, reuse, run
from farthing.gateway.wire.paths import operation_of

OWN_LABEL = "cache"
"""The label of requests that the caches make themselves, with what for."""

_REFUSAL_BYTES = 16 * 1024
_OK = 200


class Nobody:
    """The connection of a client that does not exist: everything is taken at once."""

    full = False

    def write(self, data: bytes) -> None:
        """Nobody hears it."""

    def listen(self) -> None:
        """The body is there already."""

    async def room(self) -> None:
        """There always is."""


class _Error(msgspec.Struct, gc=False):
    message: str = ""


class _Refusal(msgspec.Struct, gc=False):
    error: _Error = msgspec.field(default_factory=_Error)


async def warm(ask: Ask, gateway: Gateway) -> Done:
    """Make a request afresh and keep its answer; how that ended."""
    parts = gateway.parts
    at = parts.clock()
    try:
        caller = parts.world.keyring.caller(ask.key_id, at)
    except DeniedError as problem:
        return Done(problem=problem.message, gone=True)
    found = operation_of(ask.path)
    if found is None:
        return Done(problem=str(NotFoundError("path", ask.path)), gone=True)
    client = _client(ask)
    exchange = Exchange(
        client,
        client.headers,
        path=ask.path,
        operation=found[0],
        dialect=found[1],
        request_id=gateway.new_id(at),
        at=at,
    )
    exchange.world, exchange.caller = parts.world, caller
    await run(exchange, parts, _STAGES)
    return _done(exchange)


async def mark(exchange: Exchange, parts: Parts) -> None:
    """Its rows say that it was asked ahead."""
    del parts
    call = exchange.call
    if call is not None:
        call.labels = {**call.labels, ROLE: WARM, OWN_LABEL: WARM}


async def worth(exchange: Exchange, parts: Parts) -> None:
    """An answer that nobody gets and that is not kept is not asked for."""
    del parts
    filling = exchange.filling
    keeps = filling.wanted is not None if isinstance(filling, AnswerFilling) else _keeps_vectors(filling)
    if not keeps:
        raise InputError(
            "the cache would not keep the answer", field="path", value=exchange.path,
            remedy="Switch the cache on in the request's namespace, and leave out what it does not keep",
        )  # fmt: skip


def _stages() -> tuple[Stage, ...]:
    """The ordinary stages: who asks is known, and what is done for nobody is marked, and done for the cache only."""
    further: dict[Stage, tuple[Stage, ...]] = {authenticate: (), read: (read, mark), reuse: (reuse, worth)}
    return tuple(stage for usual in STAGES for stage in further.get(usual, (usual,)))


_STAGES = _stages()


def _client(ask: Ask) -> Client:
    headers = [*ask.headers, (b"x-farthing-cache", b"refresh")]
    body = Body(len(ask.body))
    body.feed(ask.body)
    body.end()
    client = Client(Nobody(), "POST", ask.path, headers, named=dict(headers), incoming=body, keep=False)
    client.cancels = False
    client.copy = Copy(_REFUSAL_BYTES)
    return client


def _keeps_vectors(filling: object) -> bool:
    return isinstance(filling, VectorFilling) and filling.keeps


def _done(exchange: Exchange) -> Done:
    copy, call, filling = exchange.client.copy, exchange.call, exchange.filling
    assert copy is not None  # noqa: S101 - it was given one
    fact = copy.fact
    if fact is None or fact.status is not Status.OK or copy.status != _OK:
        return Done(problem=_problem(copy))
    if call is None or not isinstance(filling, AnswerFilling) or filling.wanted is None:
        return Done()
    return Done(key=filling.wanted.key, namespace=filling.namespace, scope=call.caller.scope)


def _problem(copy: Copy) -> str:
    try:
        said = msgspec.json.decode(copy.body or b"{}", type=_Refusal).error.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = ""
    return f"status {copy.status}: {said}" if said else f"status {copy.status}"
