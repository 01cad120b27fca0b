"""What the lines of a batch's results cost: a fact for each, as if it had been a request of its own.

Pure. A line's identity is the batch and its ``custom_id``, so that reading a file again gives the same facts. They
are dated when the batch was ordered, which is when it was charged, and priced under batch terms.
"""

import hashlib
from collections.abc import Callable, Iterator

import msgspec

from farthing.catalog.usage import usage_in
from farthing.core.batches import MESSAGES, Actual, Holding
from farthing.core.errors import InputError
from farthing.core.facts import RequestFact, Source, Status
from farthing.core.money import EXACT
from farthing.core.nouns import Decision, Terms
from farthing.gateway import meter as metering
from farthing.gateway.batchlines import ASKED, Result, read_result
from farthing.gateway.ports import Call, Caller, Meter, Provider, Route, Target
from farthing.gateway.route import encode

BATCH = "farthing.batch"
"""The tag that names the batch of a request."""

Find = Callable[[str], Target | None]
"""A model of the batch's provider with its offers, ``None`` when it is not known."""


class Served(msgspec.Struct, gc=False):
    """What an answer says of itself."""

    id: str | None = None
    model: str | None = None


class Ledgered:
    """Turns the lines of one batch into facts, and adds up what they come to."""

    def __init__(self, batch: Holding, provider: Provider, find: Find, *, worker: str) -> None:
        self.actual = Actual()
        self._batch = batch
        self._provider = provider
        self._find = find
        self._worker = worker
        self._targets: dict[str, tuple[Target, Target | None]] = {}

    def facts(self, lines: Iterator[bytes]) -> Iterator[RequestFact]:
        """A fact for each line. A line that is no result stays out of the ledger, and makes the cost unknown."""
        for text in lines:
            result = read_result(self._batch.endpoint, text)
            if result is None:
                self.actual = msgspec.structs.replace(self.actual, cost=None)
                continue
            fact = self._fact(result)
            self._add(fact)
            yield fact

    def lost(self, why: str) -> RequestFact:
        """The one fact of a batch, or of an order, whose results cannot be had."""
        self.actual = msgspec.structs.replace(self.actual, cost=None)
        batch = self._batch
        fact = self._begun("", self._target("")[0], batch.id if batch.kind != "order" else f"{batch.id}-lost")
        return msgspec.structs.replace(fact, status=Status.ABANDONED, unpriced=why)

    def _fact(self, result: Result) -> RequestFact:
        served = _served(result.answer)
        model = self._asked(served.model or "")
        target, baseline = self._target(model)
        digest = hashlib.sha256(result.custom_id.encode()).hexdigest()[:24]
        meter = self._metered(result, served)
        return metering.finish(
            self._begun(model, target, f"{self._batch.id}-{digest}"),
            meter,
            target,
            status=Status.ERROR if meter.error_kind else Status.OK,
            http_status=result.status,
            response_bytes=len(result.answer),
            baseline=baseline,
        )

    def _metered(self, result: Result, served: Served) -> Meter:
        meter = Meter(complete=True, served_model=served.model or "", upstream_id=served.id or "")
        if result.problem is not None:
            meter.error_kind, meter.error = result.problem
            return meter
        try:
            meter.usage = usage_in(ASKED[self._batch.endpoint][1], result.answer)
        except InputError:
            meter.usage = None
        meter.usage_source = Source.NONE if meter.usage is None else Source.PROVIDER
        return meter

    def _begun(self, model: str, target: Target, request_id: str) -> RequestFact:
        batch = self._batch
        call = Call(
            request_id=request_id,
            at=batch.created,
            operation=ASKED[batch.endpoint][0],
            dialect="anthropic" if batch.endpoint == MESSAGES else "openai",
            path=batch.endpoint,
            model=model,
            body=b"",
            caller=Caller(key_id=batch.key_id, scope=batch.scope),
            labels={**batch.labels, BATCH: batch.id},
        )
        decision = Decision(asked=model, chosen=target.offer_id, reason=f"a request of {batch.id}")
        route = Route(targets=(target,), decision=decision, record=encode(decision))
        return metering.begin(call, route, target, 1, worker=self._worker)

    def _asked(self, served: str) -> str:
        """The model that the batch asked for by the name that served: providers answer with a dated one."""
        names = [lot.model for lot in self._batch.lots]
        if len(names) == 1:
            return names[0]
        return max((name for name in names if served.startswith(name)), key=len, default=served)

    def _target(self, model: str) -> tuple[Target, Target | None]:
        """A model under batch terms, and bought on demand, which is what the discount is measured against."""
        if model not in self._targets:
            known = self._find(model) if model else None
            self._targets[model] = (_batched(self._provider, model, known), known)
        return self._targets[model]

    def _add(self, fact: RequestFact) -> None:
        was = self.actual
        cost = None if was.cost is None or fact.cost is None else EXACT.add(was.cost, fact.cost)
        tokens = fact.input_tokens + fact.cache_read_tokens + fact.cache_write_tokens
        tokens += fact.output_tokens + fact.reasoning_tokens
        self.actual = Actual(requests=was.requests + 1, tokens=was.tokens + tokens, cost=cost)


def _batched(provider: Provider, model: str, known: Target | None) -> Target:
    offers = () if known is None else known.other_terms.get(Terms.BATCH, ())
    unknown = f"{model}:batch" if model else "batch"
    offer = offers[0].id if offers else f"{provider.prices or provider.name}/{unknown}"
    return Target(provider=provider, model=model, offer_id=offer, offers=offers, terms=Terms.BATCH)


def _served(body: bytes) -> Served:
    try:
        return msgspec.json.decode(body, type=Served)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Served()


__all__ = ["BATCH", "Find", "Ledgered"]
