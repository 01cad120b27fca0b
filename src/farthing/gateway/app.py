"""The gateway: which path goes where."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from farthing.core.errors import FarthingError, InputError, NotFoundError, UnavailableError
from farthing.core.facts import Operation
from farthing.gateway.attempt import request_id_headers
from farthing.gateway.auth import token_of
from farthing.gateway.client import Client, ClientGoneError, Reply
from farthing.gateway.metrics import CONTENT_TYPE, Metrics, Tally, exposition
from farthing.gateway.pipeline import Exchange, Parts, run
from farthing.gateway.wire.errors import error_body
from farthing.gateway.wire.models import model_body, models_body
from farthing.gateway.wire.paths import dialect_of, models_of, operation_of

_ID_BITS = 72
_log = logging.getLogger(__name__)


class Door(Protocol):
    """A way in beside the operations that every provider has: it knows its paths, and what happens behind them."""

    def leads(self, client: Client) -> tuple[Operation, str] | None:
        """The operation and the client's dialect, ``None`` for paths that lead elsewhere."""
        ...

    async def run(self, exchange: Exchange, parts: Parts) -> None:
        """Answer one request. Whatever is wrong with it, the client is told."""
        ...


class Gateway:
    """One worker's application. ``gauges`` are further values for ``/metrics``, read when it is asked for.

    ``beside`` gives, for this worker's figures, those to show: its own and those of the workers beside it.
    ``problem`` says why this worker should get no requests now; empty when it is ready.
    """

    def __init__(
        self,
        parts: Parts,
        metrics: Metrics,
        *,
        gauges: Callable[[], Mapping[str, float]] = dict,
        beside: Callable[[Tally], Sequence[Tally]] = lambda own: (own,),
        problem: Callable[[], str] = str,
        doors: Sequence[Door] = (),
    ) -> None:
        self.parts = parts
        self.metrics = metrics
        self._gauges = gauges
        self._beside = beside
        self._problem = problem
        self._doors = tuple(doors)
        self._random = random.Random()  # noqa: S311 - ids must be distinct, not secret
        self._own: dict[str, Callable[[], Reply]] = {
            "/healthz": _healthy,
            "/readyz": self._ready,
            "/metrics": self._measured,
        }

    async def __call__(self, client: Client) -> None:
        """Answer one exchange."""
        path = client.path
        operation = operation_of(path)
        if operation is None:
            for door in self._doors:
                found = door.leads(client)
                if found is not None:
                    await self._served(self._exchange(client, *found), door.run)
                    return
            await client.reply(self._other(client.method, path, client.named))
            return
        exchange = self._exchange(client, *operation)
        if client.method != "POST":
            await client.reply(_not_allowed(client.method, path, exchange.dialect, exchange.request_id, b"POST"))
            return
        await self._served(exchange, run)

    def _exchange(self, client: Client, operation: Operation, dialect: str) -> Exchange:
        at = self.parts.clock()
        return Exchange(
            client,
            client.headers,
            path=client.path,
            operation=operation,
            dialect=dialect,
            request_id=self.new_id(at),
            at=at,
        )

    async def _served(self, exchange: Exchange, serve: Callable[[Exchange, Parts], Awaitable[None]]) -> None:
        client = exchange.client
        self.metrics.in_flight += 1
        try:
            await serve(exchange, self.parts)
        except ClientGoneError:
            pass
        except asyncio.CancelledError:
            if not client.gone:
                raise
        except Exception:  # the edge of a worker: one request's bug must not look like another's
            _log.exception("request %s failed", exchange.request_id)
            if client.started:
                raise
            error = FarthingError("the gateway failed", remedy=f"Look for {exchange.request_id} in its log")
            status, body = error_body(exchange.dialect, error, exchange.request_id)
            await client.reply(
                Reply(status=status, body=body, headers=request_id_headers(exchange.dialect, exchange.request_id))
            )
        finally:
            self.metrics.in_flight -= 1

    def _other(self, method: str, path: str, named: Mapping[bytes, bytes]) -> Reply:
        """What is not an operation: models, health, metrics, and paths that mean nothing."""
        own = self._own.get(path)
        models = models_of(path, named)
        dialect = models[0] if models is not None else dialect_of(path, named)
        request_id = self.new_id(self.parts.clock())
        if (own is not None or models is not None) and method not in ("GET", "HEAD"):
            return _not_allowed(method, path, dialect, request_id, b"GET, HEAD")
        if own is not None:
            return own()
        try:
            if models is None:
                raise NotFoundError("path", path, remedy="See the list of paths in the gateway's documentation")
            return self._models(models[1], dialect, named, request_id)
        except FarthingError as error:
            status, body = error_body(dialect, error, request_id)
            self.metrics.refuse(status)
            return Reply(status=status, body=body, headers=request_id_headers(dialect, request_id))

    def _models(self, name: str, dialect: str, headers: Mapping[bytes, bytes], request_id: str) -> Reply:
        world = self.parts.world
        now = self.parts.clock()
        names = world.router.models(world.keyring.authenticate(token_of(headers), now))
        if name and name not in names:
            raise NotFoundError("model", name, known=names)
        body = model_body(dialect, name, now) if name else models_body(dialect, names, now)
        return Reply(status=200, body=body, headers=request_id_headers(dialect, request_id))

    def _ready(self) -> Reply:
        problem = self._problem()
        if problem:
            return Reply(status=503, body=problem.encode() + b"\n", content_type=b"text/plain; charset=utf-8")
        return _healthy()

    def _measured(self) -> Reply:
        return Reply(status=200, body=exposition(self._beside(self.tally())), content_type=CONTENT_TYPE)

    def tally(self) -> Tally:
        """What this worker has counted and holds now."""
        return self.metrics.tally(self._gauges())

    def new_id(self, at: datetime) -> str:
        """An id that sorts by time: milliseconds, then random bits."""
        milliseconds = int(at.timestamp() * 1000)
        return f"req_{milliseconds << _ID_BITS | self._random.getrandbits(_ID_BITS):030x}"


def journal_problem(check: Callable[[], None]) -> str:
    """Why the journal takes no more requests; empty when it does."""
    try:
        check()
    except UnavailableError as error:
        return str(error)
    return ""


def _healthy() -> Reply:
    return Reply(status=200, body=b"ok\n", content_type=b"text/plain; charset=utf-8")


def _not_allowed(method: str, path: str, dialect: str, request_id: str, allowed: bytes) -> Reply:
    error = InputError("not allowed here", field="method", value=method, remedy=f"{path} takes {allowed.decode()}")
    status, body = error_body(dialect, error, request_id, status=405)
    return Reply(status=status, body=body, headers=[(b"allow", allowed), *request_id_headers(dialect, request_id)])
