"""The semantic cache itself: looks questions up, learns from what they were answered, and says how it stands.

It joins an embedding model, a store of questions, what each namespace learned, and a judgment of whether two answers
agree. Nothing here knows of sockets. Lookups come first: fits run in a thread, and whatever takes long goes in steps.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from farthing.cache.semantic.comparing import compared, representatives
from farthing.cache.semantic.embed import Embedder, restored, small
from farthing.cache.semantic.observations import Label, Left, Said, decoder
from farthing.cache.semantic.ports import Action, Neighbour, Verdict
from farthing.cache.semantic.questions import Question, Questions, Total
from farthing.cache.semantic.seams import Agrees, Judge, Learner, Make, Pair
from farthing.cache.semantic.tickets import Asked, Quota, Tickets
from farthing.cache.semantic.wire import (
    Feedback,
    Found,
    Hit,
    Hits,
    Learn,
    Lookup,
    NamespaceState,
    Purge,
    Purged,
    Recent,
    Served,
    State,
    Status,
)
from farthing.cache.settings import NamespaceSettings
from farthing.core.errors import UnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Small = NDArray[np.int8]

KEEP_SECONDS = 60.0
"""How often what was learned is written down. A killed process forgets no more."""

_log = logging.getLogger(__name__)


class _Desk:
    """One namespace at work."""

    def __init__(self, settings: NamespaceSettings, learner: Learner) -> None:
        self.settings = settings
        self.learner = learner
        self.fitting: asyncio.Task[None] | None = None
        self.changed = False


class Service:
    """The semantic cache of one process. Belongs to its loop.

    ``now`` is in seconds since the epoch.
    """

    def __init__(
        self,
        questions: Questions,
        embedder: Embedder,
        *,
        make: Make,
        agrees: Agrees,
        now: Callable[[], float],
        memory: Callable[[], int],
    ) -> None:
        self._questions = questions
        self._embedder = embedder
        self._make = make
        self._agrees = agrees
        self._now = now
        self._memory = memory
        self._desks: dict[str, _Desk] = {}
        self._tickets = Tickets(first=int(now() * 1000))
        self._quota = Quota()
        self._started = now()
        self._kept = now()
        self.judge: Judge | None = None

    async def use(self, namespaces: Mapping[str, NamespaceSettings]) -> None:
        """Serve these namespaces. One whose settings changed goes on from what it learned, without older epochs."""
        wanted = {name: rules for name, rules in namespaces.items() if rules.semantic != "off"}
        for name in self._desks.keys() - wanted.keys():
            await self._keep(name, self._desks.pop(name))
        for name, rules in wanted.items():
            desk = self._desks.get(name)
            if desk is not None and desk.settings == rules:
                continue
            learned = await self._questions.learned(name) if desk is None else desk.learner.dump()
            self._desks[name] = _Desk(rules, self._make(rules, learned))
            if await self._questions.remove("epoch", name, epoch=rules.epoch):
                await self._leave(name, self._desks[name], b"")

    async def lookup(self, asks: Sequence[Lookup]) -> list[Found]:
        """What is known of some questions, which are embedded together."""
        try:
            vectors = await self._embedder.embed([ask.text for ask in asks])
        except UnavailableError as problem:
            _log.warning("%s", problem)
            return [_miss(ask, "no_embedding") for ask in asks]
        rows: list[Small] = list(small(vectors))
        return await asyncio.gather(*(self._found(ask, row) for ask, row in zip(asks, rows, strict=True)))

    async def _found(self, ask: Lookup, vector: "Small") -> Found:
        desk = self._desks.get(ask.namespace)
        if desk is None or not vector.any():
            return _miss(ask, "off" if desk is None else "no_words")
        now, room = self._now(), room_of(ask)
        try:
            neighbours = await self._questions.nearest(room, vector, now)
        except UnavailableError as problem:
            _log.warning("%s", problem)
            return _miss(ask, "no_store")
        verdict = desk.learner.consider(ask.text, neighbours, now, room=room, vector=vector)
        desk.changed = True
        if verdict.action is Action.SERVE and desk.settings.semantic == "shadow":
            verdict = msgspec.structs.replace(verdict, action=Action.SAMPLE)
        asked = Asked(
            namespace=ask.namespace, room=room, tenant=ask.tenant, user=ask.user, key_id=ask.key_id, text=ask.text,
            vector=vector.tobytes(), verdict=verdict, neighbours=representatives(verdict.entry, neighbours), at=now,
        )  # fmt: skip
        return _told(ask, verdict, self._tickets.keep(asked))

    async def learn(self, message: Learn) -> None:
        """A question was answered afresh: label the candidate, and keep the answer."""
        asked = self._tickets.take(message.ticket) or await self._asked(message)
        desk = self._desks.get(asked.namespace) if asked is not None else None
        if asked is None or desk is None:
            return
        now = self._now()
        group, agrees = await self._compare(desk, asked, message, now)
        if agrees is None:
            await self._refer(asked, message)
        served = asked.verdict.entry if asked.verdict.action is Action.SERVE else None
        if served is not None and served.key != message.key:  # it was to be served, and its answer is gone
            await self._questions.forget(served.key)
        if self._has_room(desk, asked, message, now):
            await self._questions.add(_question(asked, message, desk.settings.epoch, group, now))
            desk.learner.enter(asked.room, message.key, group, restored(asked.vector))

    def _has_room(self, desk: _Desk, asked: Asked, message: Learn, now: float) -> bool:
        """Whether an entry still holds, and neither its key nor its user added too many in this hour."""
        if message.expires and message.expires <= now:
            return False
        names = [(("key", asked.namespace, asked.key_id), desk.settings.quota)]
        if asked.user:
            names.append((("user", asked.namespace, asked.user), desk.settings.user_quota))
        return self._quota.allows(names, now)

    async def _asked(self, message: Learn) -> Asked | None:
        """A question that comes without a ticket: nobody looked it up, so there is nothing to label."""
        if not message.text or message.namespace not in self._desks:
            return None
        vectors = await self._embedder.embed([message.text])
        if not vectors.any():
            return None
        room, now = room_of(message), self._now()
        vector = small(vectors)[0]
        return Asked(
            namespace=message.namespace, room=room, tenant=message.tenant, user=message.user, key_id=message.key_id,
            text=message.text, vector=vector.tobytes(), verdict=Verdict(action=Action.MISS),
            neighbours=representatives(None, await self._questions.nearest(room, vector, now)), at=now,
        )  # fmt: skip

    async def _compare(self, desk: _Desk, asked: Asked, message: Learn, now: float) -> tuple[int, bool | None]:
        """The group that a fresh answer belongs to, 0 for one of its own; and whether it agrees with the candidate's.

        True as well where there is no candidate: nothing is left to be found out.
        """
        some = asked.neighbours
        answers = await self._questions.answers([one.key for one in some])
        verdicts = await compared(message.answer, some, answers, self._agrees)
        group = next((one.group for one in some if verdicts.get(one.key)), 0)
        await self._tally({key: agrees for key, agrees in verdicts.items() if key != message.key}, now)
        for one in some:  # whoever agrees with the same answer is of one group
            if one.group != group and verdicts.get(one.key):
                await self._questions.regroup(one.key, group)
        candidate = asked.verdict.entry
        if candidate is None or candidate.key == message.key:
            return group, True
        agrees = verdicts.get(candidate.key)
        if agrees is not None or self.judge is None:
            await self._label(desk, asked.namespace, asked.verdict, agrees=agrees, now=now)
        return group, agrees

    async def _tally(self, verdicts: Mapping[bytes, bool | None], now: float) -> None:
        """Entries near a question: whether its fresh answer agrees with theirs, where that can be told."""
        for key, agrees in verdicts.items():
            if agrees is not None:
                await self._questions.tally(key, now, confirmed=int(agrees), refuted=int(not agrees))

    async def _label(self, desk: _Desk, namespace: str, verdict: Verdict, *, agrees: bool | None, now: float) -> None:
        desk.learner.learn(verdict, agrees, now)
        desk.changed = True
        if agrees is not None and verdict.entry is not None:
            await self._questions.share(namespace, msgspec.msgpack.encode(Label(verdict, agrees)))
        self._refit(desk)

    def _refit(self, desk: _Desk) -> None:
        if desk.learner.due and (desk.fitting is None or desk.fitting.done()):
            desk.fitting = asyncio.create_task(_fitted(desk.learner))

    async def _refer(self, asked: Asked, message: Learn) -> None:
        """Nobody can tell whether two answers agree: the judge may."""
        candidate, desk = asked.verdict.entry, self._desks[asked.namespace]
        if self.judge is None or candidate is None:
            return
        answers = await self._questions.answers([candidate.key])
        pair = Pair(
            namespace=asked.namespace, key=message.key, verdict=asked.verdict, text=asked.text, answer=message.answer,
            candidate=candidate.text, candidate_answer=answers.get(candidate.key, ""),
        )  # fmt: skip
        if candidate.key not in answers or not self.judge.take(pair):
            await self._label(desk, asked.namespace, asked.verdict, agrees=None, now=self._now())

    async def judged(self, pair: Pair, *, agrees: bool | None) -> None:
        """What the judge says of a pair."""
        desk = self._desks.get(pair.namespace)
        if desk is None:
            return
        now, entry = self._now(), pair.verdict.entry
        await self._tally({entry.key: agrees} if entry else {}, now)
        await self._label(desk, pair.namespace, pair.verdict, agrees=agrees, now=now)
        if agrees and entry is not None:
            await self._questions.regroup(pair.key, entry.group)

    async def served(self, message: Served) -> None:
        """An entry was really given: it was of use, and people can look at it."""
        asked = self._tickets.take(message.ticket)
        entry = asked.verdict.entry if asked is not None else None
        if asked is None or entry is None:
            return
        now = self._now()
        await self._questions.tally(entry.key, now, served=1)
        hit = Hit(
            at=now, namespace=asked.namespace, tenant=asked.tenant, user=asked.user, question=asked.text,
            matched=entry.text, key=entry.key, probability=asked.verdict.probability, similarity=entry.similarity,
            saved=message.saved or "0",
        )  # fmt: skip
        await self._questions.hit(hit)

    def drop(self, ticket: int) -> None:
        """Nothing comes of a ticket."""
        self._tickets.take(ticket)

    async def purge(self, message: Purge) -> Purged:
        """Remove entries for good. Questions under way are forgotten: one of them might be what is to go."""
        desk = self._desks.get(message.value) if message.what == "epoch" else None
        epoch = desk.settings.epoch if desk is not None else ""
        self._tickets.clear()
        if self.judge is not None:
            self.judge.clear()
        removed = await self._questions.remove(message.what, message.value, epoch=epoch)
        key = bytes.fromhex(message.value) if message.what == "entry" else b""
        for name, desk in self._desks.items():
            await self._leave(name, desk, key)
        return Purged(message.id, removed)

    async def _leave(self, name: str, desk: _Desk, key: bytes) -> None:
        """What was learned of purged entries themselves goes, too, also from the file, and on other hosts."""
        desk.learner.leave(key)
        desk.changed = True
        await self._keep(name, desk)
        await self._questions.share(name, msgspec.msgpack.encode(Left(key)))

    async def feedback(self, message: Feedback) -> Purged:
        """Learn from what somebody says of a hit; one that was wrong takes its entry with it."""
        hit = await self._questions.judged(message.key, message.text, wrong=message.wrong, tenant=message.tenant)
        if hit is None:
            return Purged(message.id, 0)
        desk, now = self._desks.get(hit.namespace), self._now()
        if desk is not None:
            entry = Neighbour(key=hit.key, text=hit.matched, group=0, similarity=hit.similarity)
            desk.learner.feedback(message.text, entry, wrong=message.wrong, now=now)
            desk.changed = True
            await self._questions.share(hit.namespace, msgspec.msgpack.encode(Said(message.text, entry, message.wrong)))
        if not message.wrong:
            return Purged(message.id, 0)
        await self._questions.forget(message.key)
        return Purged(message.id, 1)

    async def status(self, message: Status) -> State:
        """How the namespaces stand, and how much there is."""
        totals = await self._questions.totals()
        names = [message.namespace] if message.namespace else list(self._desks)
        states = {
            name: NamespaceState(
                standing=self._desks[name].learner.standing(),
                entries=totals.get(name, Total()).entries,
                saved=totals.get(name, Total()).saved,
            )
            for name in names
            if name in self._desks
        }
        return State(
            message.id,
            states,
            entries=sum(total.entries for total in totals.values()),
            rooms=self._questions.rooms(),
            memory=self._memory(),
            disk=self._questions.disk(),
            started=self._started,
            embedding=self._embedder.name,
            judging=len(self.judge) if self.judge is not None else 0,
        )

    async def recent(self, message: Recent) -> Hits:
        """The latest hits."""
        return Hits(message.id, tuple(await self._questions.hits(message.tenant, message.namespace, message.limit)))

    async def upkeep(self) -> None:
        """What is to be done now and then."""
        now = self._now()
        self._tickets.expire(now)
        for observation in await self._questions.shared():
            desk = self._desks.get(observation.namespace)
            if desk is not None:
                self._heard(desk, observation.body, now)
        if now - self._kept >= KEEP_SECONDS:
            self._kept = now
            for name, desk in self._desks.items():
                await self._keep(name, desk)
        await self._questions.upkeep(now)

    def _heard(self, desk: _Desk, body: bytes, now: float) -> None:
        """Another host learned something."""
        told = decoder.decode(body)
        if isinstance(told, Label):
            desk.learner.learn(told.verdict, told.agrees, now)
        elif isinstance(told, Left):
            desk.learner.leave(told.key)
        else:
            desk.learner.feedback(told.text, told.entry, wrong=told.wrong, now=now)
        desk.changed = True
        self._refit(desk)

    async def _keep(self, name: str, desk: _Desk) -> None:
        if desk.changed:
            desk.changed = False
            await self._questions.keep(name, desk.learner.dump())

    async def aclose(self) -> None:
        """Write down what was learned, and close everything."""
        fits = [desk.fitting for desk in self._desks.values() if desk.fitting is not None]
        await asyncio.gather(*fits, return_exceptions=True)
        try:
            for name, desk in self._desks.items():
                await self._keep(name, desk)
        finally:
            await self._questions.aclose()
            await self._embedder.aclose()


async def _fitted(learner: Learner) -> None:
    """A fit in a thread of its own; one that fails is tried again when there are more labels."""
    try:
        await asyncio.to_thread(learner.refit)
    except Exception:  # noqa: BLE001 - the edge of a thread: decisions go on as before
        _log.exception("a namespace could not be fitted")


def room_of(ask: Lookup | Learn) -> bytes:
    """A room of one namespace and tenant only, whatever the asking side mistook."""
    said = msgspec.msgpack.encode((ask.namespace, ask.tenant, ask.room))
    return blake2b(said, digest_size=32).digest()


def _question(asked: Asked, message: Learn, epoch: str, group: int, now: float) -> Question:
    return Question(
        key=message.key, namespace=asked.namespace, room=asked.room, tenant=asked.tenant, user=asked.user,
        key_id=asked.key_id, epoch=epoch, text=asked.text, answer=message.answer, vector=asked.vector, group=group,
        cost=message.cost or "0", made=now, expires=message.expires,
    )  # fmt: skip


def _told(ask: Lookup, verdict: Verdict, ticket: int) -> Found:
    entry = verdict.entry
    if entry is None:
        return Found(ask.id, verdict.action, ticket, reason=verdict.reason)
    return Found(
        ask.id, verdict.action, ticket, entry.key, entry.text, verdict.probability, entry.similarity, verdict.reason
    )


def _miss(ask: Lookup, reason: str) -> Found:
    return Found(ask.id, Action.MISS, reason=reason)
