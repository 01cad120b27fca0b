"""What happens to a request, in order.

``STAGES`` is the whole story: authenticate → read → route → reuse → admit → call. Who asks is settled before
the body is read, so that strangers cannot make the gateway buffer. The last stage makes attempts at the route's
targets (``course.py`` says which, ``serve.py`` makes them); each journals its intent, calls, meters and journals its
outcome (``attempt.py``). A stage that refuses raises a ``FarthingError``, which the client gets in its own
dialect's shape and, once it is known who asked for what, the ledger as a request that reached no
provider.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from time import perf_counter

from farthing.core.errors import DeniedError, FarthingError, InputError, LimitError, NotFoundError, UnavailableError
from farthing.core.facts import ErrorKind, Operation, RequestFact, Source, Status
from farthing.gateway.attempt import request_id_headers
from farthing.gateway.auth import token_of
from farthing.gateway.caching.embedding import Filling
from farthing.gateway.caching.hit import Hit, hit_fact, hit_headers, replay
from farthing.gateway.client import Client, Reply, TooLargeError
from farthing.gateway.limits.refusal import LIMIT_TAG, limit_headers
from farthing.gateway.parts import Observer, Parts, World
from farthing.gateway.ports import Call, Caller, Grant, Headers, Route
from farthing.gateway.serve import serve
from farthing.gateway.wire.errors import error_body
from farthing.gateway.wire.read import read_call


class Exchange:
    """One client request on its way through the stages."""

    def __init__(
        self,
        client: Client,
        headers: Headers,
        *,
        path: str,
        operation: Operation,
        dialect: str,
        request_id: str,
        at: datetime,
    ) -> None:
        self.client = client
        self.headers = headers
        self.named = client.named
        self.path = path
        self.operation = operation
        self.dialect = dialect
        self.request_id = request_id
        self.began = perf_counter()
        self.at = at
        self.world: World
        self.caller: Caller
        self.call: Call | None = None
        self.route: Route
        self.grant: Grant
        self.filling: Filling | None = None
        self.answered = False


Stage = Callable[[Exchange, Parts], Awaitable[None]]


async def authenticate(exchange: Exchange, parts: Parts) -> None:
    """Whose key it is."""
    exchange.world = parts.world
    exchange.caller = exchange.world.keyring.authenticate(token_of(exchange.named), exchange.at)


async def read(exchange: Exchange, parts: Parts) -> None:
    """What is asked for. From here on it is noticed when the client leaves."""
    body = await exchange.client.body(parts.max_body_bytes)
    exchange.call = read_call(
        exchange.operation,
        exchange.dialect,
        exchange.path,
        body,
        exchange.headers,
        request_id=exchange.request_id,
        at=exchange.at,
        caller=exchange.caller,
    )
    exchange.client.watch()


async def route(exchange: Exchange, parts: Parts) -> None:
    """Where it may go, best first."""
    del parts
    exchange.route = exchange.world.router.route(_call(exchange))


async def reuse(exchange: Exchange, parts: Parts) -> None:
    """Whether it was answered before."""
    caches = parts.reuse
    if caches is None:
        return
    wanted, client = _call(exchange), exchange.client
    found = await caches.find(wanted, exchange.route)
    if isinstance(found, Hit):
        fact = hit_fact(wanted, exchange.route, found, worker=parts.worker, began=exchange.began)
        parts.journal.note(fact)
        parts.observe(fact)
        exchange.answered = True
        await replay(client, found.entry, hit_headers(wanted, found, fact, wanted.at.timestamp()))
        caches.served(found, fact)
    elif found is not None:
        exchange.filling, client.copy = found, found.copy


async def admit(exchange: Exchange, parts: Parts) -> None:
    """Whether it may spend. It waits while what others hold may come back."""
    wanted, admission = _call(exchange), parts.admission
    exchange.grant = admission.admit(wanted, exchange.route) or await admission.wait(wanted, exchange.route)
    exchange.call = exchange.grant.call


async def call(exchange: Exchange, parts: Parts) -> None:
    """Make attempts until one answers, or the client has seen a byte."""
    client, grant, router = exchange.client, exchange.grant, exchange.world.router
    try:
        reply = await serve(
            _call(exchange), exchange.route, grant, client, parts=parts, router=router, began=exchange.began
        )
    finally:
        grant.close()
    if reply is not None:
        await client.reply(reply if exchange.filling is None else exchange.filling.answer(reply))


STAGES: tuple[Stage, ...] = (authenticate, read, route, reuse, admit, call)


async def run(exchange: Exchange, parts: Parts, stages: Sequence[Stage] = STAGES) -> None:
    """Take a request through the stages; the client gets an answer or a refusal."""
    try:
        for stage in stages:
            await stage(exchange, parts)
            if exchange.answered:
                break
    except FarthingError as error:
        await refuse(exchange, parts, error)
    finally:
        exchange.client.unwatch()
        if exchange.filling is not None:
            exchange.filling.end(_call(exchange), left=exchange.client.gone)


async def refuse(exchange: Exchange, parts: Parts, error: FarthingError) -> None:
    """Tell the client why not."""
    status = 413 if isinstance(error, TooLargeError) else 0
    status, body = error_body(exchange.dialect, error, exchange.request_id, status=status)
    if exchange.call is not None:
        fact = _refusal(exchange, exchange.call, parts.worker, error, status)
        with contextlib.suppress(UnavailableError):
            parts.journal.note(fact)
        parts.observe(fact)
    else:
        parts.refused(status)
    if not exchange.client.started:
        headers = request_id_headers(exchange.dialect, exchange.request_id) + limit_headers(error)
        await exchange.client.reply(Reply(status=status, body=body, headers=headers))


def _call(exchange: Exchange) -> Call:
    assert exchange.call is not None  # noqa: S101 - the read stage set it or raised
    return exchange.call


def _refusal(exchange: Exchange, wanted: Call, worker: str, error: FarthingError, status: int) -> RequestFact:
    """The fact of a request that reached no provider, and so cost nothing."""
    return RequestFact(
        request_id=wanted.request_id,
        attempt=0,
        at=wanted.at,
        operation=wanted.operation,
        dialect=wanted.dialect,
        scope=wanted.caller.scope,
        requested_model=wanted.model,
        status=Status.ERROR,
        worker=worker,
        stream=wanted.stream,
        key_id=wanted.caller.key_id,
        http_status=status,
        error_kind=_kind(error),
        error=str(error),
        total_ms=(perf_counter() - exchange.began) * 1000,
        request_bytes=len(wanted.body),
        cost=Decimal(0),
        cost_source=Source.CATALOG,
        baseline_cost=Decimal(0),
        tags={**wanted.labels, LIMIT_TAG: error.limit} if isinstance(error, LimitError) else wanted.labels,
    )


def _kind(error: FarthingError) -> ErrorKind:
    match error:
        case NotFoundError():
            return ErrorKind.NOT_FOUND
        case InputError():
            return ErrorKind.BAD_REQUEST
        case LimitError():
            return ErrorKind.LIMIT
        case DeniedError():
            return ErrorKind.AUTH
        case UnavailableError():
            return ErrorKind.OVERLOADED
        case _:
            return ErrorKind.INTERNAL


__all__ = [
    "STAGES",
    "Exchange",
    "Observer",
    "Parts",
    "Stage",
    "World",
    "admit",
    "authenticate",
    "call",
    "read",
    "refuse",
    "reuse",
    "route",
    "run",
]
