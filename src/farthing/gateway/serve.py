"""Makes the attempts of one call until one answers, or the client has seen a byte.

Every attempt beyond the first asks the grant first and is tagged with its role; each is settled once, however it
ends. Most calls make one attempt, and nothing else happens here (``simply``). Where an alias allows it, and behind
every probe of a target that was unwell, a second attempt is sent beside one that stays silent, and the first to have
something for the client goes on alone.
"""

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from time import perf_counter

from farthing.core.errors import InputError
from farthing.core.facts import Status
from farthing.gateway.attempt import Attempt, Outcome
from farthing.gateway.client import Client, Reply
from farthing.gateway.course import Course, Step
from farthing.gateway.hedge import Race
from farthing.gateway.parts import Parts
from farthing.gateway.ports import Call, Grant, Route, Router

PROBE_PATIENCE_S = 5.0
"""A probe is hedged after this when it is not known how fast its target should be."""

_TYPICAL = 20
"""First bytes seen of a target before its quantiles say when to hedge."""


def serve(
    call: Call, route: Route, grant: Grant, client: Client, *, parts: Parts, router: Router, began: float
) -> Awaitable[Reply | None]:
    """The answer that the client is still owed. ``began`` is when the request arrived, by ``perf_counter``.

    Awaiting it raises ``InputError`` when no target can carry the call.
    """
    serving = Serving(call, route, grant, client, parts=parts, router=router, began=began)
    if route.hedge is None:
        target = route.targets[0]
        track = router.clear(target, serving.now())
        if track is not None:
            return serving.simply(Step(0, target, track, ""))
    return serving.reply()


class Serving:
    """One call on its way to an answer."""

    __slots__ = ("_began", "_call", "_client", "_course", "_grant", "_parts", "_route", "_router", "_unfit")

    def __init__(
        self, call: Call, route: Route, grant: Grant, client: Client, *, parts: Parts, router: Router, began: float
    ) -> None:
        self._call, self._route, self._grant, self._client = call, route, grant, client
        self._parts, self._router, self._began = parts, router, began
        self._course: Course | None = None
        self._unfit: InputError | None = None

    async def simply(self, step: Step) -> Reply | None:
        """A first attempt that nothing speaks against; the others follow when it fails."""
        try:
            attempt = self._new(step, 1)
        except InputError:
            return await self.reply()
        outcome = await self._made(step, attempt)
        if outcome.final or self._client.gone:
            return outcome.reply
        return await self.reply(outcome)

    async def reply(self, outcome: Outcome | None = None) -> Reply | None:
        """Attempts until one answers. ``outcome`` is how the last one ended, if there was one."""
        course = self._way()
        while (step := course.next(self.now())) is not None:
            if step.wait:
                await asyncio.sleep(step.wait)
            attempt = self._attempt(step)
            if attempt is None:
                continue
            if course.made > 1 and not self._grant.extend(step.target):
                break
            now = self.now()
            probes = self._router.sending(step.track, now)
            if not step.role:
                step.track.budget.sent(now)
            if probes or self._route.hedge is not None:
                outcome = await self._hedged(step, attempt, probes=probes)
            else:
                outcome = await self._made(step, attempt)
            if outcome.final or self._client.gone:
                break
        if outcome is None and self._unfit is not None:
            raise self._unfit
        return None if outcome is None else outcome.reply

    async def _hedged(self, step: Step, attempt: Attempt, *, probes: bool) -> Outcome:
        """How the attempt ended, or the one that was sent beside it and won."""
        after = self._hedge_after(step, probes=probes)
        if after is not None and not attempt.drains:
            return await self._raced(step, attempt, after, probes=probes)
        outcome = await self._made(step, attempt)
        if self._route.hedge is not None:
            self._router.purse(self._call.model).paid(attempt.fact.cost)
        return outcome

    async def _made(self, step: Step, attempt: Attempt) -> Outcome:
        """Make one attempt; its outcome is settled and learned from, whatever happens."""
        parts = self._parts
        try:
            outcome = await attempt.run(self._client, parts.upstream, parts.journal)
        finally:
            fact = attempt.fact
            self._grant.settle(fact)
            if self._client.copy is not None and fact.status is Status.OK:
                self._client.copy.fact = fact
            if fact.status is not Status.ABANDONED:
                self._router.observe(fact, attempt.retry_after)
                if attempt.outpaced and step.role != "hedge":
                    self._router.outpaced(fact)
                parts.observe(fact)
        if not outcome.final:
            course = self._way()
            if not course.made:
                course.begun(step)
            course.failed(step, fact, at=self.now(), retry_after=attempt.retry_after)
        return outcome

    async def _raced(self, step: Step, attempt: Attempt, after: float, *, probes: bool) -> Outcome:
        """Make an attempt, and another one beside it if it is silent for so many seconds."""
        race: Race[Attempt, Outcome] = Race(_outpace)
        attempt.claim = race.claim
        second: Attempt | None = None
        race.start(attempt, self._made(step, attempt))
        try:
            if await race.undecided(after):
                second = self._second(race, spends=not probes)
            return await race.result()
        finally:
            await race.stop()
            self._pay(race.leader, attempt, second, spends=not probes)

    def _second(self, race: Race[Attempt, Outcome], *, spends: bool) -> Attempt | None:
        """Send the hedge, if there is a target for it, the purse allows it and the grant covers it."""
        step = self._way().beside(self.now())
        if step is None or step.target.provider.on_disconnect != "cancel":
            return None
        hedge, purse = self._route.hedge, self._router.purse(self._call.model)
        if spends and hedge is not None and not purse.take(hedge):
            return None
        attempt = self._attempt(step)
        if attempt is None or not self._grant.extend(step.target):
            if spends:
                purse.lost(_NOTHING)
            return None
        attempt.claim = race.claim
        race.start(attempt, self._made(step, attempt))
        return attempt

    def _pay(self, leader: Attempt | None, first: Attempt, second: Attempt | None, *, spends: bool) -> None:
        """What the race cost, where the alias has a purse: the leader's as its request's, the other's as extra."""
        if self._route.hedge is None:
            return
        purse = self._router.purse(self._call.model)
        winner, loser = (second, first) if second is not None and leader is second else (first, second)
        purse.paid(winner.fact.cost)
        if loser is not None and spends:
            purse.lost(loser.fact.cost)

    def _attempt(self, step: Step) -> Attempt | None:
        """The attempt, with a number of its own; ``None`` when the target's dialect cannot carry the call."""
        course = self._way()
        try:
            attempt = self._new(step, course.made + 1)
        except InputError as problem:
            self._unfit = problem
            course.unfit(step)
            return None
        course.begun(step)
        return attempt

    def _new(self, step: Step, number: int) -> Attempt:
        target, parts = step.target, self._parts
        return Attempt(
            self._call,
            self._route,
            target,
            number,
            dialect=parts.dialects[target.provider.dialect],
            worker=parts.worker,
            began=self._began,
            track=step.track,
            role=step.role,
        )

    def _way(self) -> Course:
        """The course, which most calls never need."""
        course = self._course
        if course is None:
            parts, route = self._parts, self._route
            course = self._course = Course(route.targets, parts.retries, track=self._router.track, draw=parts.draw)
        return course

    def _hedge_after(self, step: Step, *, probes: bool) -> float | None:
        """Seconds of silence after which a second attempt may be sent; ``None`` for never."""
        hedge, ttft = self._route.hedge, step.track.ttft
        if probes:
            usual = step.track.health.slow_after
            return min(usual, PROBE_PATIENCE_S)
        if hedge is None or step.role:
            return None
        if hedge.after_ms:
            return hedge.after_ms / 1000
        if ttft.seen < _TYPICAL:
            return None
        return (ttft.p99 if hedge.after == "p99" else ttft.p95) / 1000

    def now(self) -> float:
        """Seconds since 1970."""
        return self._call.at.timestamp() + perf_counter() - self._began


_NOTHING = Decimal(0)


def _outpace(attempt: Attempt) -> None:
    attempt.outpaced = True
