"""One upstream attempt: intent, call, relay, outcome.

The outcome is in the journal before the client gets the last byte of its answer. Nothing between a
cancellation and the journal waits for anything, so that no outcome is lost to one.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter

import msgspec

from farthing.core.errors import UpstreamError
from farthing.core.facts import ErrorKind, RequestFact, Status
from farthing.gateway import meter as metering
from farthing.gateway import pace, redact
from farthing.gateway.client import Client, Reply
from farthing.gateway.experience import Track
from farthing.gateway.failure import ELSEWHERE
from farthing.gateway.ports import Answer, Call, Dialect, Headers, Journal, Meter, Reading, Route, Target, Upstream
from farthing.gateway.wire.errors import error_body, error_event

_FORWARDED = frozenset((b"retry-after", b"retry-after-ms", b"x-should-retry"))
_REFUSED = 400


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an attempt ended. ``reply`` is what the client is owed, ``None`` when it has had it already."""

    fact: RequestFact
    reply: Reply | None

    @property
    def final(self) -> bool:
        """Whether trying another target is of no use, or too late."""
        return self.reply is None or self.fact.error_kind not in ELSEWHERE


class Attempt:
    """One call of one target. ``began`` is when the request arrived, by ``perf_counter``; ``role`` why there is more
    than one attempt, empty for the first.

    ``track`` is the target's record, which hears what the provider says of its rate limits and who waits for it.
    ``claim`` is asked before the client gets anything: while attempts race, only one of them may answer.
    ``outpaced`` says that another one does.

    Raises ``InputError`` when the target's dialect cannot carry the call.
    """

    __slots__ = (
        "_answer", "_began", "_call", "_dialect", "_first", "_meter", "_pace", "_reading", "_received", "_route",
        "_sent", "_started", "_waiting", "ask", "claim", "fact", "outpaced", "retry_after", "target",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        route: Route,
        target: Target,
        number: int,
        *,
        dialect: Dialect,
        worker: str,
        began: float,
        track: Track | None = None,
        role: str = "",
    ) -> None:
        self.ask = dialect.ask(call, target)
        if target.provider.timeouts is not None:
            self.ask.timeouts = target.provider.timeouts
        self.fact = metering.begin(call, route, target, number, worker=worker, role=role)
        self._pace = None if track is None else track.pace
        self._waiting: dict[int, float] = {} if track is None else track.health.waiting
        self.claim: Callable[[Attempt], bool] | None = None
        self.outpaced = False
        self.retry_after = 0.0
        self._call, self._route, self.target, self._dialect = call, route, target, dialect
        self._began = began
        self._started = False
        self._sent = 0.0
        self._first: float | None = None
        self._received = 0
        self._answer: Answer | None = None
        self._reading: Reading | None = None
        self._meter = Meter()

    @property
    def drains(self) -> bool:
        """Whether the provider is read to the end when nobody wants the answer any more, because it bills all of it."""
        return self.target.provider.on_disconnect != "cancel"

    async def run(self, client: Client, upstream: Upstream, journal: Journal) -> Outcome:
        """Call the target and relay what it answers.

        Raises ``UnavailableError`` when the journal has no room, before anything was begun.
        """
        intent = journal.intend(self.fact)
        client.cancels = not self.drains
        self._sent = perf_counter()
        self._waiting[id(self)] = self._sent
        failure: UpstreamError | None = None
        tail = b""
        try:
            tail = await self._relay(client, upstream)
            self._finish(Status.CANCELLED if client.gone else self._status())
        except UpstreamError as problem:
            failure = self._named(problem)
            self._break(Status.TRUNCATED if self._received else Status.ERROR, ErrorKind(problem.kind), problem.message)
        except asyncio.CancelledError:
            self._break(Status.CANCELLED, error="another attempt answered first" if self.outpaced else "")
            raise
        finally:
            self._waiting.pop(id(self), None)
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
        headers = dict(answer.headers)
        if self._pace is not None:
            self._pace.heard(headers, self._now)
        if answer.status >= _REFUSED:
            self.retry_after = pace.retry_after(headers, self._now())
        reading = self._reading = self._dialect.reading(self._call, self.target, answer.status, headers)
        meter = self._meter = reading.meter
        held = b""
        async for data in redact.chunks(answer, self.target.provider.api_key):
            if self._first is None:
                self._first = perf_counter()
                self._waiting.pop(id(self), None)
            self._received += len(data)
            out = reading.feed(data)
            if meter.complete:
                held += out
                break
            if not out:
                continue
            if self._started:
                await client.write(out)
            elif meter.error_kind:
                held += out
            else:
                self._lead()
                self._started = True
                await client.start(reading.status, reading.content_type, self._headers())
                await client.write(out)
        held += reading.close()
        if self.claim is not None and meter.complete and not meter.error_kind:
            self._lead()
        return held

    def _lead(self) -> None:
        """From here on this attempt is the client's answer. One that races and comes second ends as if cancelled."""
        if self.claim is not None and not self.claim(self):
            raise asyncio.CancelledError

    def _now(self) -> float:
        """Seconds since 1970."""
        return self._call.at.timestamp() + perf_counter() - self._began

    async def _deliver(self, client: Client, tail: bytes, failure: UpstreamError | None) -> Outcome:
        call = self._call
        if self._started:
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
            self.target,
            status=status,
            http_status=0 if self._answer is None else self._answer.status,
            total_ms=(now - self._began) * 1000,
            ttft_ms=None if first is None else (first - self._began) * 1000,
            upstream_ms=(now - self._sent) * 1000,
            request_bytes=len(self.ask.body),
            response_bytes=self._received,
            baseline=self._route.baseline,
            spared=self._call.spared,
        )

    def _named(self, problem: UpstreamError) -> UpstreamError:
        """The failure under the provider's configured name instead of its host."""
        name = self.target.provider.name
        return UpstreamError(f"{name}: {problem.message}", provider=name, kind=problem.kind, remedy=problem.remedy)

    def _headers(self) -> Headers:
        return [
            *request_id_headers(self._call.dialect, self._call.request_id),
            (b"x-farthing-offer", _plain(self.target.offer_id)),
            *self._call.told,
            *getattr(self._reading, "headers", ()),
        ]

    def _forwarded(self) -> Headers:
        """What a refusal says about coming back."""
        answer = self._answer
        return [] if answer is None or answer.status < _REFUSED else [h for h in answer.headers if h[0] in _FORWARDED]


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
