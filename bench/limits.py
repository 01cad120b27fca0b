"""What hard limits cost, and what they are worth: admission, talk with the state store, and a budget under a hammer.

The hammer is one small budget before more requests at a time than it covers, through the whole product with four
workers and, on the same load in the same run, through LiteLLM's proxy. The upstream bills every answer the same, so
that answers times that price is what was spent. Both are told not to shorten answers: the upstream would not.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from bench import _farthing, _peers, _report, _wrk
from bench._process import Process, free_port
from bench._report import Figure
from bench._upstream import READ, WRITTEN
from farthing.core.facts import Operation, RequestFact, Status
from farthing.core.leases import Granted, Message, Reply
from farthing.core.limits import Limit, Measure, Span, dollars
from farthing.core.money import Rate
from farthing.core.nouns import Decision, Kind, Offer, Price, Scope
from farthing.core.units import INPUT, OUTPUT
from farthing.gateway.admit import Unlimited
from farthing.gateway.limits.account import Tally
from farthing.gateway.limits.bank import Bank
from farthing.gateway.ports import Admission, Call, Caller, Provider, Route, Target
from farthing.state.audit import Change
from farthing.state.store import Store

INPUT_PRICE, OUTPUT_PRICE = Decimal("0.15"), Decimal("0.60")
"""Dollars per million tokens of gpt-4o-mini (openai.com/api/pricing, November 2026)."""

ANSWER = (READ * INPUT_PRICE + WRITTEN * OUTPUT_PRICE) / 1_000_000
"""What one answer of the upstream costs."""

BUDGET = Decimal("0.03")
WORKERS = 4
TOGETHER = 64
DELAY_MS = 50
PATIENCE_S = 60
ENOUGH = 200
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BODY = json.dumps(
    {
        "model": "gpt-4o-mini",
        "max_tokens": WRITTEN,
        "messages": [{"role": "user", "content": "word " * 150}],
    }
).encode()

_PLENTY = 10**15
_MEASURES = (Measure.COST, Measure.COST, Measure.REQUESTS, Measure.TOKENS)


def measure(*, quick: bool) -> list[Figure]:
    figures = admission(quick=quick)
    with ExitStack() as stack:
        stage = Stage(stack, quick=quick)
        return [*figures, stage.steady(), *stage.hammered()]


def admission(*, quick: bool) -> list[Figure]:
    """CPU of admitting, settling and closing a request, beyond what a gateway without limits takes for that."""
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (1, 20):
            bank = asyncio.run(_bank(Path(folder), count))
            taken = _taken([Unlimited(), bank], rounds=10 if quick else 40)
            figure = Figure(
                what=f"admission, {count} limit(s) in force",
                unit="µs",
                ours=taken[1] - taken[0],
                at_most=10,
                note="CPU to admit, settle and close a request" + ("; money, requests and tokens" if count > 1 else ""),
            )
            found.append(figure)
    return found


async def _bank(folder: Path, count: int) -> Bank:
    """A bank with ample slices of so many limits, all of them about every request."""
    limits = [
        Limit(
            id=f"limit-{i}",
            name=f"limit {i}",
            measure=_MEASURES[i % len(_MEASURES)],
            amount=Decimal(10**8),
            per=(Span.MONTH, Span.DAY)[i % 2],
            scope={"team": "bench"} if i % 3 else {},
        )
        for i in range(count)
    ]

    async def tell(message: Message) -> Reply:
        words = [
            Granted(
                turn=part.turn,
                granted=part.spent + part.keep + _PLENTY,
                left=_PLENTY,
                most=_PLENTY,
                cap=_PLENTY,
                used=0,
            )
            for part in message.slices
        ]
        return Reply(slices=tuple(words), met=tuple(True for _ in message.asks))

    bank = Bank(
        limits,
        holder=f"bench-{count}",
        tally=Tally(folder, f"bench-{count}"),
        teller=tell,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        patience=1,
        where=str,
    )
    bank.admit(_call(0), _route())
    await bank.exchange()
    return bank


def _taken(gates: Sequence[Admission], *, rounds: int, requests: int = 500) -> list[float]:
    """Median CPU microseconds of a request at each gate, taken in turn."""
    route = _route()
    calls = [_call(number) for number in range(requests)]
    facts = [_fact(call) for call in calls]
    taken: list[list[float]] = [[] for _ in gates]
    for _ in range(rounds):
        for gate, times in zip(gates, taken, strict=True):
            begun = time.process_time()
            for call, fact in zip(calls, facts, strict=True):
                grant = gate.admit(call, route)
                if grant is None:
                    raise RuntimeError("an ample limit did not cover a request")
                grant.settle(fact)
                grant.close()
            times.append((time.process_time() - begun) / requests * 1e6)
    return [statistics.median(times) for times in taken]


def _route() -> Route:
    prices = (
        Price(unit=INPUT, rate=Rate(INPUT_PRICE, per=1_000_000)),
        Price(unit=OUTPUT, rate=Rate(OUTPUT_PRICE, per=1_000_000)),
    )
    offer = Offer(id="openai/gpt-4o-mini", kind=Kind.TOKENS, provider="openai", product="gpt-4o-mini", prices=prices)
    provider = Provider(name="openai", vendor="openai", dialect="openai", base_url="http://127.0.0.1:1")
    target = Target(provider=provider, model="gpt-4o-mini", offer_id=offer.id, offers=(offer,))
    return Route(targets=(target,), decision=Decision(asked="gpt-4o-mini", chosen=offer.id, reason="the only one"))


def _call(number: int) -> Call:
    return Call(
        request_id=f"req_{number}",
        at=datetime.now(UTC),
        operation=Operation.CHAT,
        dialect="openai",
        path="/v1/chat/completions",
        model="gpt-4o-mini",
        body=BODY,
        output_limit=WRITTEN,
        input_estimate=len(BODY),
        caller=Caller(key_id="key_bench", scope=Scope(org="acme", team="bench", user=f"user-{number % 50}")),
        labels={"category": "inference"},
    )


def _fact(call: Call) -> RequestFact:
    return RequestFact(
        request_id=call.request_id,
        attempt=1,
        at=call.at,
        operation=call.operation,
        dialect=call.dialect,
        scope=call.caller.scope,
        requested_model=call.model,
        status=Status.OK,
        worker="bench",
        usage={"token.input": READ, "token.output": WRITTEN},
        input_tokens=READ,
        output_tokens=WRITTEN,
        cost=ANSWER,
    )


class Outcome(msgspec.Struct):
    """What clients got: answers, refusals, anything else by status, and answers when somebody was first refused."""

    answers: int = 0
    refusals: int = 0
    others: dict[str, int] = {}
    before_refusal: int = 0

    def note(self, status: str) -> None:
        if status == "200":
            self.answers += 1
        elif status == "429":
            self.before_refusal = self.before_refusal or self.answers
            self.refusals += 1
        else:
            self.others[status] = self.others.get(status, 0) + 1

    def told(self) -> str:
        """All counts in a line."""
        others = "".join(f", {count} × {status}" for status, count in sorted(self.others.items()))
        return f"{self.answers:,} answers, {self.refusals:,} refusals{others}"


async def hammer(url: str, headers: dict[str, str], requests: int) -> Outcome:
    """So many requests, as many at a time as connections, each as soon as the one before it is answered.

    None is begun after so many refusals that the budget is over for good, or after ``PATIENCE_S``.
    """
    host, _, port = url.partition("//")[2].partition("/")[0].partition(":")
    named = {**headers, "host": host, "content-type": "application/json", "content-length": str(len(BODY))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    whole = f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + BODY
    outcome, left = Outcome(), iter(range(requests))
    until = time.monotonic() + PATIENCE_S

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        while next(left, None) is not None and outcome.refusals < ENOUGH and time.monotonic() < until:
            writer.write(whole)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            outcome.note(head[9:12].decode())
        writer.close()

    async with asyncio.timeout(3 * PATIENCE_S), asyncio.TaskGroup() as clients:
        for _ in range(TOGETHER):
            clients.create_task(client())
    return outcome


class Stage:
    """The product with twenty ample limits, and LiteLLM with a budget, before one upstream."""

    def __init__(self, stack: ExitStack, *, quick: bool) -> None:
        self.quick = quick
        self.requests = 800 if quick else 3_000
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.upstream = free_port()
        command = [sys.executable, "-m", "bench._upstream", "--port", str(self.upstream), "--delay", str(DELAY_MS)]
        upstream = Process(command, log=self.folder / "upstream.log")
        stack.callback(upstream.stop)
        upstream.wait_for(self.upstream)
        self.product = _farthing.start(self.upstream, self.folder / "home", workers=WORKERS)
        stack.callback(self.product.process.stop)
        self.stack = stack
        self.limit("hammered", BUDGET, scope={"feature": "hammer"})
        for number in range(20):
            measure = _MEASURES[number % len(_MEASURES)]
            self.limit(f"ample {number}", Decimal(10**9), measure=measure, scope={"team": "bench"})

    def limit(self, name: str, amount: Decimal, *, scope: dict[str, str], measure: Measure = Measure.COST) -> None:
        """A limit that was made long ago, so that nobody waits for what the ledger says of the time before it."""
        with Store.open(f"sqlite:///{self.product.home / 'state.db'}") as store:
            made = Limit(id="", name=name, measure=measure, amount=amount, per=Span.ONCE, scope=scope)
            store.limits.create(Change(actor="bench", at=LONG_AGO), made)

    def steady(self) -> Figure:
        """Messages to the state store while slices last, per hundred requests."""
        seconds = 5 if self.quick else 15
        self.load(2)
        while self.gauge("limit_accounts") < 20 * WORKERS:
            self.load(1)
        before = self.gauge("limit_messages")
        sent = self.load(seconds)
        return Figure(
            what="transactions of the state store per 100 requests",
            unit="",
            ours=(self.gauge("limit_messages") - before) / sent * 100,
            at_most=1,
            note=f"{sent:,} requests in {seconds} s over {WORKERS} workers, 20 limits in force",
        )

    def load(self, seconds: float) -> int:
        """Requests served within so many seconds."""
        headers = {**self.product.headers, "content-type": "application/json"}
        load = _wrk.post(self.product.url, BODY, headers, seconds=seconds, connections=TOGETHER, folder=self.folder)
        if load.failed:
            raise RuntimeError(f"{load.failed} of {load.requests} requests failed")
        return load.requests

    def gauge(self, name: str) -> float:
        """A gauge's sum over all workers."""
        url = self.product.url.removesuffix("/v1/chat/completions") + "/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"farthing_{name}{{"))

    def hammered(self) -> list[Figure]:
        """One budget under a hammer, here and there."""
        headers = {**self.product.headers, "x-farthing-feature": "hammer", "x-farthing-cap": "off"}
        ours = asyncio.run(hammer(self.product.url, headers, self.requests))
        used = self.used()
        self.product.process.stop()
        peer = _peers.litellm(self.upstream, self.folder, settings=LITELLM_BUDGET)
        self.stack.callback(peer.process.stop)
        theirs = asyncio.run(hammer(peer.url, dict(peer.headers), self.requests))
        load = f"${BUDGET} budget, {self.requests:,} requests, {TOGETHER} at a time"
        return [
            Figure(
                what="overspend of a budget under a hammer",
                unit="%",
                ours=_overspend(ours),
                at_most=0,
                beside={"LiteLLM": _overspend(theirs)},
                note=load,
            ),
            Figure(
                what="… used of it before the first refusal",
                unit="%",
                ours=_share(ours.before_refusal),
                at_least=99,
                beside={"LiteLLM": _share(theirs.before_refusal)},
                note=f"ours: {ours.told()}; LiteLLM: {theirs.told()}",
            ),
            Figure(
                what="… what the state store counted beside what was answered",
                unit="%",
                ours=float(100 * used / (ours.answers * ANSWER)),
                at_least=100,
                at_most=100,
                note=f"${used} settled",
            ),
        ]

    def used(self) -> Decimal:
        """What is settled, once every worker has told."""
        until = time.monotonic() + 20
        with Store.open(f"sqlite:///{self.product.home / 'state.db'}") as store:
            limit = store.limits.get("hammered")
            while True:
                (pot,) = store.pots.list(datetime.now(UTC), [limit.id])
                if not pot.leased or time.monotonic() > until:
                    return dollars(pot.used)
                time.sleep(0.1)


LITELLM_BUDGET = f"""
router_settings:
  num_retries: 0
  provider_budget_config:
    openai: {{budget_limit: {BUDGET}, time_period: 1d}}
"""
"""A provider budget, which LiteLLM counts in memory. Budgets of keys and teams need a Postgres, and Prisma's engine."""


def _share(answers: int) -> float:
    return float(100 * answers * ANSWER / BUDGET)


def _overspend(outcome: Outcome) -> float:
    return max(0.0, _share(outcome.answers) - 100)


if __name__ == "__main__":
    _report.main("limits", measure)
