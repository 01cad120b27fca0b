"""The caches as one gateway worker has them: looked at before a request is admitted, filled after it was answered.

In order: the worker's memory, the store that workers share, somebody who is asking the same at this moment, and the
semantic cache. What a cache cannot say, or not in time, is a miss, and nothing that goes wrong with one is an error
of a request.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Protocol

from farthing.cache.entry import Entry, Shared
from farthing.cache.flights import Flights, Lead
from farthing.cache.memory import Memory
from farthing.cache.semantic.ports import Action
from farthing.cache.semantic.wire import Found, Learn
from farthing.cache.settings import CacheSettings, NamespaceSettings
from farthing.core.facts import Operation, RequestFact
from farthing.gateway.caching.answer import said
from farthing.gateway.caching.embedding import KIND as EMBEDDINGS
from farthing.gateway.caching.embedding import Filling, Vectors
from farthing.gateway.caching.hit import MISS, SAMPLED, SKIPPED, WOULD, Hit, marked
from farthing.gateway.caching.kept import Kept
from farthing.gateway.caching.namespaces import Namespaces
from farthing.gateway.caching.question import OPERATIONS, Asked, asked, glimpse
from farthing.gateway.caching.rules import why_asked, why_dropped, why_literal
from farthing.gateway.caching.seen import Seen
from farthing.gateway.caching.uses import Uses
from farthing.gateway.client import Copy, Reply
from farthing.gateway.meter import fixed
from farthing.gateway.ports import Call, Route

GLIMPSE_BYTES = 64 * 1024
"""Larger requests are not looked at for counting: their digest would cost more than it tells."""

VERSIONS = 1000


class Semantic(Protocol):
    """The semantic cache's process, as far as a worker talks to it."""

    async def lookup(
        self, *, namespace: str, room: bytes, tenant: str, user: str, key_id: str, text: str, within: float
    ) -> Found | None: ...

    def learn(self, message: Learn) -> None: ...

    def served(self, ticket: int, saved: str) -> None: ...

    def drop(self, ticket: int) -> None: ...


class AnswerFilling:
    """A request on its way to an answer that may be kept. It ends once, whatever becomes of the request.

    Without ``wanted`` it is only counted, by its ``digest``. ``lead``: others wait for it, ``ticket`` is the semantic
    cache's name for it.
    """

    def __init__(
        self, reuse: "Reuse", call: Call, wanted: Asked | None, *, namespace: str, rules: NamespaceSettings,
        digest: bytes = b"",
    ) -> None:  # fmt: skip
        self.call = call
        self.wanted = wanted
        self.namespace = namespace
        self.rules = rules
        self.digest = digest
        self.copy = Copy(0 if wanted is None else reuse.settings.max_answer)
        self.generation = reuse.kept.generation
        self.lead: Lead | None = None
        self.ticket = 0
        self._reuse = reuse

    def answer(self, reply: Reply) -> Reply:
        """The client gets its answer as it comes."""
        return reply

    def end(self, call: Call, *, left: bool) -> None:
        """The request is over. ``call`` is how it was sent in the end, ``left``: its client did not wait."""
        self._reuse.ended(self, call, left=left)


class Reuse:
    """One worker's caches."""

    def __init__(
        self,
        settings: CacheSettings,
        *,
        memory: Memory,
        flights: Flights,
        shared: Shared | None = None,
        semantic: Semantic | None = None,
        clock: Callable[[], datetime],
    ) -> None:
        self.kept = Kept(memory, shared)
        self.uses = Uses()
        self._flights = flights
        self._semantic = semantic
        self._clock = clock
        self._seen = Seen()
        self._vectors = Vectors(self.kept, self._seen, now=self._now, run=self._run)
        self._versions: dict[tuple[str, str], str] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self.use(settings)

    def use(self, settings: CacheSettings) -> None:
        """Go by other settings from now on."""
        self.settings = settings
        self.namespaces = Namespaces(settings)
        self.kept.memory.limit = settings.memory

    def gauges(self) -> dict[str, float]:
        """What this worker holds, for its metrics."""
        return {"cache_entries": len(self.kept.memory), "cache_bytes": self.kept.memory.held}

    async def find(self, call: Call, route: Route) -> Hit | Filling | None:
        """An answer, or what is to be done with the fresh one; ``None``: a cache has no part in this."""
        if call.reuse == "off":
            return None
        namespace, rules = self.namespaces.of(call)
        if call.operation is Operation.EMBEDDING:
            return await self._vectors.find(call, route, namespace, rules) if rules.embeddings != "off" else None
        if call.operation in OPERATIONS and (rules.exact != "off" or rules.semantic != "off"):
            return await self._answer(call, route, namespace, rules)
        return None

    async def _answer(
        self, call: Call, route: Route, namespace: str, rules: NamespaceSettings
    ) -> Hit | AnswerFilling | None:
        if rules.exact == "shadow" and rules.semantic == "off":
            return self._counted(call, route, namespace, rules)
        wanted = asked(call, route, namespace, rules)
        if wanted is None or why_asked(call, wanted, rules):
            call.labels = marked(call.labels, SKIPPED, namespace)
            return None
        call.labels = marked(call.labels, MISS, namespace)
        return await self._found(call, wanted, namespace, rules)

    def served(self, hit: Hit, fact: RequestFact) -> None:
        """A hit was given to its client."""
        rules = self.settings.namespaces.get(hit.namespace)
        if rules is not None and rules.warm and hit.kind != EMBEDDINGS:
            self.uses.used(hit.entry, fact.at.timestamp())
        if hit.ticket and self._semantic is not None:
            saved = fact.baseline_cost
            self._semantic.served(hit.ticket, "" if saved is None else fixed(saved))

    async def aclose(self) -> None:
        """Finish what is being kept, and let go of everything."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        self._flights.close()
        await self.kept.aclose()

    def _counted(self, call: Call, route: Route, namespace: str, rules: NamespaceSettings) -> AnswerFilling | None:
        """Whether an identical request was answered before, by its bytes alone. Nothing but a digest is kept."""
        if len(call.body) > GLIMPSE_BYTES:
            call.labels = marked(call.labels, SKIPPED, namespace)
            return None
        digest, now = glimpse(call, route, namespace, rules), call.at.timestamp()
        if self._seen.all((digest,), now):
            wanted = asked(call, route, namespace, rules)
            reusable = wanted is not None and not why_asked(call, wanted, rules)
            call.labels = marked(call.labels, WOULD + "exact" if reusable else SKIPPED, namespace)
            return None
        call.labels = marked(call.labels, MISS, namespace)
        return AnswerFilling(self, call, None, namespace=namespace, rules=rules, digest=digest)

    async def _found(self, call: Call, wanted: Asked, namespace: str, rules: NamespaceSettings) -> Hit | AnswerFilling:
        now = call.at.timestamp()
        filling = AnswerFilling(self, call, wanted, namespace=namespace, rules=rules)
        if call.reuse != "refresh":
            entry = await self._entry(wanted.key, now)
            if entry is not None and rules.exact == "on":
                return Hit(entry=entry, kind="exact", namespace=namespace)
            if entry is not None:
                call.labels = marked(call.labels, WOULD + "exact", namespace)
            if rules.exact == "on":
                boarded = await self._flights.board(
                    wanted.key, lambda: self._entry(wanted.key, now), patience=self.settings.wait_seconds
                )
                if isinstance(boarded, Entry):
                    return Hit(entry=boarded, kind="exact", namespace=namespace)
                filling.lead = boarded
        elif rules.exact == "on":
            filling.lead = self._flights.begin(wanted.key)
        try:
            hit = await self._alike(call, wanted, filling)
        except BaseException:
            self._stop(filling, again=True)
            raise
        if hit is not None and filling.lead is not None:
            filling.lead.land(None, again=True)
        return hit or filling

    async def _alike(self, call: Call, wanted: Asked, filling: AnswerFilling) -> Hit | None:
        """The answer to a question that means the same, if the semantic cache has one that may be served."""
        rules, semantic = filling.rules, self._semantic
        if rules.semantic == "off" or semantic is None or why_literal(wanted, rules):
            return None
        scope = call.caller.scope
        found = await semantic.lookup(
            namespace=filling.namespace, room=wanted.room, tenant=wanted.tenant, user=scope.user,
            key_id=call.caller.key_id, text=wanted.question, within=self.settings.lookup_ms / 1000,
        )  # fmt: skip
        if found is None:
            return None
        filling.ticket = found.ticket
        if found.action is Action.SERVE and rules.semantic == "on" and call.reuse != "refresh":
            entry = await self._entry(found.key, call.at.timestamp())
            if entry is not None and entry.tenant == wanted.tenant and entry.namespace == filling.namespace:
                confidence, ticket = found.probability, found.ticket
                return Hit(
                    entry=entry, kind="semantic", namespace=filling.namespace, confidence=confidence, ticket=ticket
                )
        elif found.action is not Action.MISS:
            kind = SAMPLED if rules.semantic == "on" else WOULD + "semantic"
            call.labels = marked(call.labels, kind, filling.namespace)
        return None

    async def _entry(self, key: bytes, now: float) -> Entry | None:
        """The entry, unless its model is another version by now."""
        entry = await self.kept.get(key, now)
        if entry is None:
            return None
        return entry if self._versions.get((entry.provider, entry.model), entry.served) == entry.served else None

    def ended(self, filling: AnswerFilling, call: Call, *, left: bool) -> None:
        """Keep the answer of a request that is over, if it may be kept."""
        fact = filling.copy.fact
        if filling.wanted is None:
            if fact is not None:
                self._seen.note((filling.digest,), call.at.timestamp(), filling.rules.ttl)
            return
        entry, text = self._made(filling, call, filling.wanted, fact) if fact is not None else (None, "")
        if entry is None:
            self._stop(filling, again=left)
        else:
            self._run(self._keep(filling, entry, text))

    def _stop(self, filling: AnswerFilling, *, again: bool) -> None:
        """Nothing comes of it. ``again``: somebody who waits may try."""
        if filling.lead is not None:
            filling.lead.land(None, again=again)
        if filling.ticket and self._semantic is not None:
            self._semantic.drop(filling.ticket)
        filling.ticket = 0

    def _made(self, filling: AnswerFilling, call: Call, wanted: Asked, fact: RequestFact) -> tuple[Entry | None, str]:
        """The entry of a fresh answer and its text; no entry for one that was shortened, broke off, was refused …"""
        body = filling.copy.body
        if call is not filling.call or body is None:
            return None, ""
        told = said(call.operation, body, stream=filling.copy.stream)
        if why_dropped(fact, told, filling.rules):
            return None, ""
        self._note_version(fact)
        made = self._now()
        rules = filling.rules
        ttl = rules.ttl if rules.exact == "on" else rules.semantic_ttl
        if filling.ticket:
            ttl = 0.0 if not (ttl and rules.semantic_ttl) else max(ttl, rules.semantic_ttl)
        entry = Entry(
            key=wanted.key,
            namespace=filling.namespace,
            tenant=wanted.tenant,
            made=made,
            expires=made + ttl if ttl else 0.0,
            body=body,
            stream=filling.copy.stream,
            content_type=filling.copy.content_type,
            usage=dict(fact.usage),
            cost="" if fact.cost is None else fixed(fact.cost),
            finish_reason=fact.finish_reason,
            provider=fact.provider,
            model=fact.model,
            served=fact.served_model,
            scope=call.caller.scope,
            epoch=rules.epoch,
        )
        return entry, told.text

    async def _keep(self, filling: AnswerFilling, entry: Entry, text: str) -> None:
        """Where everybody finds it, unless something was purged since the request began."""
        kept = False
        try:
            kept = await self.kept.put((entry,), since=filling.generation)
            if kept and filling.rules.warm and "on" in (filling.rules.exact, filling.rules.semantic):
                self.uses.asked(entry, filling.call)
        finally:
            if filling.lead is not None:
                filling.lead.land(entry)
            if filling.ticket and self._semantic is not None:
                self._teach(self._semantic, filling, entry, text, kept=kept)

    def _teach(self, semantic: Semantic, filling: AnswerFilling, entry: Entry, text: str, *, kept: bool) -> None:
        if not kept or not text:
            semantic.drop(filling.ticket)
            return
        expires = entry.made + filling.rules.semantic_ttl if filling.rules.semantic_ttl else 0.0
        semantic.learn(Learn(ticket=filling.ticket, key=entry.key, answer=text, cost=entry.cost, expires=expires))

    def _note_version(self, fact: RequestFact) -> None:
        if len(self._versions) >= VERSIONS:
            self._versions.clear()
        self._versions[fact.provider, fact.model] = fact.served_model

    def _now(self) -> float:
        return self._clock().timestamp()

    def _run(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
