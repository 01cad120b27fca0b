"""One upstream attempt: intent, call, relay, outcome.

The outcome is in the journal before the client gets the last byte of its answer. Nothing between a
cancellation and the journal waits for anything, so that no outcome is lost to one.
"""

import asyncio
from time import perf_counter

import msgspec

from farthing.core.errors import UpstreamError
from farthing.core.facts import ErrorKind, RequestFact, Status
from farthing.gateway import meter as metering
from farthing.gateway.client import Client, Reply
from farthing.gateway.ports import Answer, Call, Dialect, Headers, Journal, Meter, Reading, Route, Target, Upstream
from farthing.gateway.wire.errors import error_body, error_event

_FORWARDED = frozenset((b"retry-after", b"retry-after-ms", b"x-should-retry"))
_RETRYABLE = frozenset(
    (
        ErrorKind.CONNECT,
        ErrorKind.TIMEOUT,
        ErrorKind.RESET,
        ErrorKind.PROTOCOL,
        ErrorKind.BAD_BODY,
        ErrorKind.RATE_LIMIT,
        ErrorKind.OVERLOADED,
        ErrorKind.AUTH,
        ErrorKind.SERVER,
    )
)
"""Failures that another target may not share."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an attempt ended. ``reply`` is what the client is owed, ``None`` when it has had it already."""

    fact: RequestFact
    reply: Reply | None

    @property
    def final(self) -> bool:
        """Whether trying another target is of no use, or too late."""
        return self.reply is None or self.fact.error_kind not in _RETRYABLE


class Attempt:
    """One call of one target. ``began`` is when the request arrived, by ``perf_counter``.

    Raises ``InputError`` when the target's dialect cannot carry the call.
    """

    def __init__(
        self, call: Call, route: Route, target: Target, number: int, *, dialect: Dialect, worker: str, began: float
    ) -> None:
        self.ask = dialect.ask(call, target)
        self.fact = metering.begin(call, route, target, number, worker=worker)
        self._call, self._route, self._target, self._dialect = call, route, target, dialect
        self._began = began
        self._sent = 0.0
        self._first: float | None = None
        self._received = 0
        self._answer: Answer | None = None
        self._reading: Reading | None = None
        self._meter = Meter()

    @property
    def retry_after(self) -> float:
        """Seconds for which the provider asked to be left alone. A date in the header counts as none."""
        for name, value in () if self._answer is None else self._answer.headers:
            if name == b"retry-after" and value.isdigit():
                return float(value)
        return 0.0

    async def run(self, client: Client, upstream: Upstream, journal: Journal) -> Outcome:
        """Call the target and relay what it answers.

        Raises ``UnavailableError`` when the journal has no room, before anything was begun.
        """
        intent = journal.intend(self.fact)
        client.cancels = self._target.provider.on_disconnect == "cancel"
        self._sent = perf_counter()
        failure: UpstreamError | None = None
        tail = b""
        try:
            tail = await self._relay(client, upstream)
            self._finish(Status.CANCELLED if client.gone else self._status())
        except UpstreamError as problem:
            failure = self._named(problem)
            self._break(Status.TRUNCATED if self._received else Status.ERROR, ErrorKind(problem.kind), problem.message)
        except asyncio.CancelledError:
            self._break(Status.CANCELLED)
            raise
        finally:
            if self.fact.status is Status.ABANDONED:
                self._break(Status.ERROR, ErrorKind.INTERNAL, "the gateway failed while it read the answer")
            journal.settle(intent, self.fact)
            await self._let_go()
        return await self._deliver(client, tail, failure)

    async def _relay(self, client: Client, upstream: Upstream) -> bytes:
        """Pass the answer on as it comes; returns the last bytes, which the client is still owed.

        A stream's head goes out with its first bytes, so that one that begins with an error can still
        be tried elsewhere.
        """
        answer = self._answer = await upstream.open(self.ask)
        reading = self._reading = self._dialect.reading(self._call, self._target, answer.status, dict(answer.headers))
        meter = self._meter = reading.meter
        held = b""
        async for data in answer.chunks():
            if self._first is None:
                self._first = perf_counter()
            self._received += len(data)
            out = reading.feed(data)
            if meter.complete:
                held += out
                break
            if not out:
                continue
            if client.started:
                await client.write(out)
            elif meter.error_kind:
                held += out
            else:
                await client.start(reading.status, reading.content_type, self._headers())
                await client.write(out)
        return held + reading.close()

    async def _deliver(self, client: Client, tail: bytes, failure: UpstreamError | None) -> Outcome:
        call = self._call
        if client.started:
            await client.finish(tail if failure is None else error_event(call.dialect, failure, call.request_id))
            return Outcome(fact=self.fact, reply=None)
        headers = self._headers() + _cost_headers(self.fact) + self._forwarded()
        if failure is not None or self._reading is None:
            assert failure is not None  # noqa: S101 - without one there is a reading
            status, body = error_body(call.dialect, failure, call.request_id)
            reply = Reply(status=status, body=body, headers=headers)
        else:
            reading = self._reading
            reply = Reply(status=reading.status, body=tail, content_type=reading.content_type, headers=headers)
        return Outcome(fact=self.fact, reply=reply)

    async def _let_go(self) -> None:
        """Keep the connection after a complete answer, cut it otherwise: the provider stops generating."""
        if self._answer is None:
            return
        if self._meter.complete:
            self._answer.release()
        else:
            await self._answer.aclose()

    def _status(self) -> Status:
        if self._meter.error_kind:
            return Status.ERROR
        return Status.OK if self._meter.complete else Status.TRUNCATED

    def _break(self, status: Status, kind: ErrorKind = ErrorKind.NONE, error: str = "") -> None:
        """Finish an attempt whose answer did not come to its end, metering what there is of it."""
        if self._reading is not None:
            self._reading.close()
        self._meter.complete = False
        self._meter.error_kind, self._meter.error = kind, error
        self._finish(status)

    def _finish(self, status: Status) -> None:
        now, first = perf_counter(), self._first
        self.fact = metering.finish(
            self.fact,
            self._meter,
            self._target,
            status=status,
            http_status=0 if self._answer is None else self._answer.status,
            total_ms=(now - self._began) * 1000,
            ttft_ms=None if first is None else (first - self._began) * 1000,
            upstream_ms=(now - self._sent) * 1000,
            request_bytes=len(self.ask.body),
            response_bytes=self._received,
            baseline=self._route.baseline,
        )

    def _named(self, problem: UpstreamError) -> UpstreamError:
        """The failure under the provider's configured name instead of its host."""
        name = self._target.provider.name
        return UpstreamError(f"{name}: {problem.message}", provider=name, kind=problem.kind, remedy=problem.remedy)

    def _headers(self) -> Headers:
        return [
            *request_id_headers(self._call.dialect, self._call.request_id),
            (b"x-farthing-offer", _plain(self._target.offer_id)),
        ]

    def _forwarded(self) -> Headers:
        return [] if self._answer is None else [h for h in self._answer.headers if h[0] in _FORWARDED]


def request_id_headers(dialect: str, request_id: str) -> Headers:
    """The request's id under the name that the client's SDK reads, and under our own."""
    value = request_id.encode()
    return [(b"request-id" if dialect == "anthropic" else b"x-request-id", value), (b"x-farthing-request-id", value)]


def _cost_headers(fact: RequestFact) -> Headers:
    """What it cost in USD; a stream's cost is known only after its head, and stands in the ledger."""
    if fact.cost is not None:
        return [(b"x-farthing-cost", f"{fact.cost:f}".encode())]
    return [(b"x-farthing-cost", b"unpriced"), (b"x-farthing-unpriced", _plain(fact.unpriced))]


def _plain(text: str) -> bytes:
    """Text as a header value: one line of printable ASCII."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(c if c.isprintable() else " " for c in text[:300]).encode("ascii", "replace")
