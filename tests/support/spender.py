"""A process that spends against limits as a gateway worker does, without HTTP: a seeded stream of requests.

``python -m tests.support.spender`` is told everything by one line of JSON on its command line. Each settled request is
appended to a file of its own before its reservation is settled, so that what was truly spent is known however it ends.
"""

import asyncio
import json
import os
import random
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
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
    prices=(Price(unit=INPUT, rate=Rate(Decimal(1), per=1_000_000)), Price(unit=OUTPUT, rate=Rate(Decimal(10), per=1_000_000))),
    capability=Capability(context_tokens=128_000, output_tokens=8_000),
)  # fmt: skip
TARGET = Target(
    provider=Provider(name="sim", vendor="openai", dialect="openai", base_url="http://127.0.0.1:1"),
    model="model",
    offer_id=OFFER.id,
    offers=(OFFER,),
)
ROUTE = Route(targets=(TARGET,), decision=Decision(asked="model", chosen=OFFER.id, reason="the only one"))


@dataclass
class Job:
    """What a spender does: ``requests`` of up to ``output`` tokens, ``together`` at a time, each taking up to ``seconds``."""

    url: str
    folder: str
    log: str
    name: str
    seed: int
    requests: int
    together: int = 200
    output: int = 500
    prompt: int = 200
    seconds: float = 0.05
    patience: float = 30.0
    skew: float = 0.0
    scope: dict[str, str] = field(default_factory=lambda: {"team": "search"})
    unknown: float = 0.0
    whole: bool = False

    def argument(self) -> str:
        return json.dumps(asdict(self))


class Spender:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.draw = random.Random(job.seed)
        self.log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.gate = asyncio.Semaphore(job.together)
        self.results: Counter[str] = Counter()

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.job.skew)

    def write(self, kind: str, pieces: int) -> None:
        os.write(self.log, f"{kind} {pieces} {self.now().timestamp():.6f}\n".encode())

    async def run(self) -> None:
        job = self.job
        with Store.open(job.url, busy_seconds=30) as store:
            limits = store.limits.list()
        limiting = Limiting(
            limits, worker=f"{job.name}-{os.getpid()}-{os.urandom(4).hex()}", folder=Path(job.folder),
            open_store=lambda: Store.open(job.url, busy_seconds=30), now=self.now, patience=job.patience,
            where=lambda limit: f"Ask for more of {limit}",
        )  # fmt: skip
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(job.requests):
                    await self.gate.acquire()
                    group.create_task(self.one(limiting.bank, number))
        finally:
            await limiting.close()
        sys.stdout.write(json.dumps({**self.results, "messages": limiting.bank.counts.messages}) + "\n")

    def call(self, number: int) -> Call:
        output = self.draw.randint(1, self.job.output)
        body = json.dumps(
            {"model": "model", "messages": [], "max_tokens": output, "pad": "x" * self.job.prompt}
        ).encode()
        return Call(
            request_id=f"req_{self.job.name}_{number}", at=self.now(), operation=Operation.CHAT, dialect="openai",
            path="/v1/chat/completions", model="model", body=body, output_limit=output, input_estimate=len(body),
            caller=Caller(key_id="key_1", scope=Scope(**self.job.scope)), labels={"category": "inference"}, whole=self.job.whole,
        )  # fmt: skip

    async def one(self, bank, number: int) -> None:
        try:
            call = self.call(number)
            try:
                grant = bank.admit(call, ROUTE) or await bank.wait(call, ROUTE)
            except LimitError:
                self.results["refused"] += 1
                self.write("refused", 0)
                return
            except UnavailableError:
                self.results["unsure"] += 1
                self.write("unsure", 0)
                return
            fact = await self.spend(grant.call)
            grant.settle(fact)
            grant.close()
            self.results["served"] += 1
        finally:
            self.gate.release()

    async def spend(self, call: Call) -> RequestFact:
        self.write("sent", 0)
        await asyncio.sleep(self.draw.random() * self.job.seconds)
        written = self.draw.randint(0, call.output_limit)
        read = self.draw.randint(1, call.input_estimate)
        cost = (Decimal(read) + Decimal(10) * written) / Decimal(1_000_000)
        known = self.draw.random() >= self.job.unknown
        self.write("spent", int(cost * 1_000_000_000))
        self.write("tokens", read + written)
        return RequestFact(
            request_id=call.request_id, attempt=1, at=call.at, operation=call.operation, dialect="openai",
            scope=call.caller.scope, requested_model="model", status=Status.OK, worker=self.job.name,
            usage={"token.input": read, "token.output": written} if known else {}, input_tokens=read if known else 0,
            output_tokens=written if known else 0, cost=cost if known else None,
            cost_source=Source.CATALOG if known else Source.NONE, unpriced="" if known else "nobody knows",
        )  # fmt: skip


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    asyncio.run(Spender(job).run())


if __name__ == "__main__":
    main()
