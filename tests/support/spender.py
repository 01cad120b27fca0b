"""Processes that spend against limits as gateway workers do, without HTTP: seeded streams of requests.

``python -m support.spender`` reads jobs as lines of JSON, forks a spender for each and answers its process id. What a
spender does is written line by line to a log of its own, and what it spent before its reservation is settled, so that
the truth is known however it ends.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from farthing.app.leasing import Limiting
from farthing.core.errors import LimitError, UnavailableError
from farthing.core.facts import Operation, RequestFact, Source, Status
from farthing.core.money import Rate
from farthing.core.nouns import Capability, Decision, Kind, Offer, Price, Scope
from farthing.core.units import INPUT, OUTPUT
from farthing.gateway.ports import Call, Caller, Provider, Route, Target
from farthing.state.store import Store

OFFER = Offer(
    id="sim/model", kind=Kind.TOKENS, provider="sim", product="model",
    prices=(
        Price(unit=INPUT, rate=Rate(Decimal(1), per=1_000_000)),
        Price(unit=OUTPUT, rate=Rate(Decimal(10), per=1_000_000)),
    ),
    capability=Capability(context_tokens=128_000, output_tokens=8_000),
)  # fmt: skip
PROVIDER = Provider(name="sim", vendor="openai", dialect="openai", base_url="http://127.0.0.1:1")
TARGET = Target(provider=PROVIDER, model="model", offer_id=OFFER.id, offers=(OFFER,))
ROUTE = Route(targets=(TARGET,), decision=Decision(asked="model", chosen=OFFER.id, reason="the only one"))


def pieces(read: int, written: int) -> int:
    """What tokens cost at the only offer, as limits count it."""
    return read * 1_000 + written * 10_000


@dataclass
class Job:
    """``requests`` of up to ``output`` tokens, ``together`` at a time, each taking up to ``seconds``.

    ``pause`` seconds lie between two of them.

    The spender's clock runs ``speed`` times as fast as the real one since ``origin``. Of the requests, the part
    ``unknown`` ends without anybody knowing what it cost. ``users`` of them take turns.
    """

    url: str
    requests: int
    folder: str = ""
    log: str = ""
    name: str = ""
    seed: int = 0
    together: int = 50
    output: int = 500
    prompt: int = 200
    seconds: float = 0.05
    pause: float = 0.0
    patience: float = 30.0
    origin: float = 0.0
    speed: float = 1.0
    users: int = 1
    unknown: float = 0.0
    whole: bool = False
    scope: dict[str, str] = field(default_factory=lambda: {"org": "acme", "team": "search"})

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


class Spender:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.draw = random.Random(job.seed)
        self.log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.gate = asyncio.Semaphore(job.together)
        self.numbers = itertools.count()

    def now(self) -> datetime:
        origin = self.job.origin or time.time()
        return datetime.fromtimestamp(origin + (time.time() - origin) * self.job.speed, UTC)

    def write(self, kind: str, **what: object) -> None:
        os.write(self.log, json.dumps({"kind": kind, "at": time.time(), **what}).encode() + b"\n")

    async def run(self) -> None:
        job = self.job
        with Store.open(job.url, busy_seconds=30) as store:
            limits = store.limits.list()
        limiting = Limiting(
            limits, worker=f"{job.name}-{os.urandom(4).hex()}", folder=Path(job.folder),
            open_store=lambda: Store.open(job.url, busy_seconds=30), now=self.now, patience=job.patience,
            where=lambda limit: f"Ask for more of {limit}",
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(job.requests):
                    await asyncio.sleep(job.pause)
                    await self.gate.acquire()
                    group.create_task(self.one(limiting.bank))
        finally:
            await limiting.close()
        counts = limiting.bank.counts
        self.write("done", messages=counts.messages, waited=counts.waited, shortened=counts.shortened)

    def call(self, number: int) -> Call:
        output = self.draw.randint(1, self.job.output)
        asked = {"model": "model", "messages": [], "max_tokens": output, "pad": "x" * self.job.prompt}
        body = json.dumps(asked).encode()
        scope = Scope(**self.job.scope, user=f"user-{number % self.job.users}")
        return Call(
            request_id=f"req_{self.job.name}_{number}", at=self.now(), operation=Operation.CHAT, dialect="openai",
            path="/v1/chat/completions", model="model", body=body, output_limit=output, input_estimate=len(body),
            caller=Caller(key_id="key_1", scope=scope), labels={"category": "inference"}, whole=self.job.whole,
        )  # fmt: skip

    async def one(self, bank) -> None:
        number = next(self.numbers)
        call = self.call(number)
        try:
            try:
                grant = bank.admit(call, ROUTE) or await bank.wait(call, ROUTE)
            except LimitError as refusal:
                self.write("refused", number=number, **self.size(call), **self.said(refusal))
            except UnavailableError as problem:
                self.write("unsure", number=number, problem=str(problem))
            else:
                self.write("sent", number=number, **self.size(grant.call), pots=pots_of(grant))
                fact = await self.spend(grant.call, number)
                grant.settle(fact)
                grant.close()
        finally:
            self.gate.release()

    def said(self, refusal: LimitError) -> dict[str, object]:
        """Which limit it was, and when that starts anew by the spender's clock, to tell which of its pots it was."""
        ends = None if refusal.retry_after is None else self.now().timestamp() + refusal.retry_after
        return {"limit": refusal.limit, "ends": ends, "scope": self.job.scope}

    def size(self, call: Call) -> dict[str, object]:
        """Its worst case, or what the shortest answer needs."""
        read, written = call.input_estimate, call.output_limit
        least = written if self.job.whole else min(16, written)
        return {
            "cost": pieces(read, written), "tokens": read + written, "user": call.caller.scope.user,
            "least_cost": pieces(read, least), "least_tokens": read + least,
        }  # fmt: skip

    async def spend(self, call: Call, number: int) -> RequestFact:
        await asyncio.sleep(self.draw.random() * self.job.seconds)
        written = self.draw.randint(0, call.output_limit)
        read = self.draw.randint(1, call.input_estimate)
        known = self.draw.random() >= self.job.unknown
        if not known:
            read, written = call.input_estimate, call.output_limit
        self.write("spent", number=number, cost=pieces(read, written), tokens=read + written)
        return RequestFact(
            request_id=call.request_id, attempt=1, at=call.at, operation=call.operation, dialect="openai",
            scope=call.caller.scope, requested_model="model", status=Status.OK, worker=self.job.name,
            usage={"token.input": read, "token.output": written} if known else {}, input_tokens=read if known else 0,
            output_tokens=written if known else 0, cost=Decimal(pieces(read, written)).scaleb(-9) if known else None,
            cost_source=Source.CATALOG if known else Source.NONE, unpriced="" if known else "nobody knows",
        )  # fmt: skip


def pots_of(grant) -> list[list[str]]:
    """The pots that pay for a request: limit, subject, start."""
    group = grant._group
    accounts = {*group.cost, *group.tokens, *group.requests, *group.parallel}
    return [[limit, subject, starts.isoformat()] for limit, subject, starts in (a.pot for a in accounts)]


def main() -> None:
    """Fork a spender for each line; the kernel reaps them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.stdin.close()
            asyncio.run(Spender(Job(**json.loads(line))).run())
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
