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
from farthing.core.facts import RequestFact
from farthing.gateway.caching.answer import said
from farthing.gateway.caching.hit import SAMPLED, WOULD, Hit, marked
from farthing.gateway.caching.namespaces import Namespaces
from farthing.gateway.caching.question import OPERATIONS, Asked, asked, glimpse
from farthing.gateway.caching.rules import why_asked, why_dropped, why_literal
from farthing.gateway.client import Copy
from farthing.gateway.meter import fixed
from farthing.gateway.ports import Call, Route

GLIMPSES = 50_000
"""Identical requests are recognized among so many of the last, where they are only counted."""

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


class Filling:
    """A request on its way to an answer that may be kept. It ends once, whatever becomes of the request."""

    def __init__(
        self,
        reuse: "Reuse",
        call: Call,
        wanted: Asked | None,
        *,
        namespace: str,
        rules: NamespaceSettings,
        limit: int = 0,
    ) -> None:
        self.reuse = reuse
        self.call = call
        self.wanted = wanted
        self.namespace = namespace
        self.rules = rules
        self.copy = Copy(limit)
        self.generation = reuse.generation
        self.digest = b""
        self.lead: Lead | None = None
        self.ticket = 0

    def end(self, call: Call, *, left: bool) -> None:
        """The request is over. ``call`` is how it was sent in the end, ``left``: its client did not wait."""
        self.reuse.ended(self, call, left=left)


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
        self.memory = memory
        self._flights = flights
        self._shared = shared
        self._semantic = semantic
        self._clock = clock
        self._seen: dict[bytes, float] = {}
        self._versions: dict[tuple[str, str], str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.generation = 0 if shared is None else shared.generation()
        self.use(settings)

    def use(self, settings: CacheSettings) -> None:
        """Go by other settings from now on."""
        self.settings = settings
        self.namespaces = Namespaces(settings)
        self.memory.limit = settings.memory

    def gauges(self) -> dict[str, float]:
        """What this worker holds, for its metrics."""
        return {"cache_entries": len(self.memory), "cache_bytes": self.memory.held}

    async def find(self, call: Call, route: Route) -> Hit | Filling | None:
        """An answer, or what is to be done with the fresh one; ``None``: a cache has no part in this.

        Raises ``InputError`` for a cache header that means nothing.
        """
        if call.operation not in OPERATIONS or call.reuse == "off":
            return None
        namespace, rules = self.namespaces.of(call)
        if rules.exact == "shadow" and rules.semantic == "off":
            return self._counted(call, route, namespace, rules)
        if rules.exact != "on" and rules.semantic == "off":
            return None
        wanted = asked(call, route, namespace, rules)
        if wanted is None or why_asked(call, wanted, rules):
            return None
        return await self._found(call, wanted, namespace, rules)

    def served(self, hit: Hit, fact: RequestFact) -> None:
        """A hit was given to its client."""
        if hit.ticket and self._semantic is not None:
            saved = fact.baseline_cost
            self._semantic.served(hit.ticket, "" if saved is None else fixed(saved))

    async def aclose(self) -> None:
        """Finish what is being kept, and let go of everything."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        self._flights.close()
        if self._shared is not None:
            await self._shared.aclose()

    def _counted(self, call: Call, route: Route, namespace: str, rules: NamespaceSettings) -> Filling | None:
        """Whether an identical request was answered before, by its bytes alone. Nothing but a digest is kept."""
        if len(call.body) > GLIMPSE_BYTES:
            return None
        digest, now = glimpse(call, route, namespace, rules), call.at.timestamp()
        until = self._seen.get(digest)
        if until is not None and now < until:
            wanted = asked(call, route, namespace, rules)
            if wanted is not None and not why_asked(call, wanted, rules):
                call.labels = marked(call.labels, WOULD + "exact", namespace)
            return None
        filling = Filling(self, call, None, namespace=namespace, rules=rules)
        filling.digest = digest
        return filling

    async def _found(self, call: Call, wanted: Asked, namespace: str, rules: NamespaceSettings) -> Hit | Filling:
        now = call.at.timestamp()
        filling = Filling(self, call, wanted, namespace=namespace, rules=rules, limit=self.settings.max_answer)
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
        try:
            hit = await self._alike(call, wanted, filling)
        except BaseException:
            self._stop(filling, again=True)
            raise
        if hit is not None and filling.lead is not None:
            filling.lead.land(None, again=True)
        return hit or filling

    async def _alike(self, call: Call, wanted: Asked, filling: Filling) -> Hit | None:
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
        """The entry, from memory or from the store, unless its model is another version by now."""
        shared = self._shared
        if shared is not None:
            generation = shared.generation()
            if generation != self.generation:
                self.memory.clear()
                self.generation = generation
        entry = self.memory.get(key, now)
        if entry is None and shared is not None:
            entry = await shared.get(key, now)
            if entry is not None:
                self.memory.put(entry)
        if entry is None:
            return None
        return entry if self._versions.get((entry.provider, entry.model), entry.served) == entry.served else None

    def ended(self, filling: Filling, call: Call, *, left: bool) -> None:
        """Keep the answer of a request that is over, if it may be kept."""
        fact = filling.copy.fact
        if filling.wanted is None:
            if fact is not None:
                self._note_seen(filling.digest, call.at.timestamp(), filling.rules)
            return
        entry, text = self._made(filling, call, filling.wanted, fact) if fact is not None else (None, "")
        if entry is None:
            self._stop(filling, again=left)
        else:
            self._run(self._keep(filling, entry, text))

    def _stop(self, filling: Filling, *, again: bool) -> None:
        """Nothing comes of it. ``again``: somebody who waits may try."""
        if filling.lead is not None:
            filling.lead.land(None, again=again)
        if filling.ticket and self._semantic is not None:
            self._semantic.drop(filling.ticket)
        filling.ticket = 0

    def _made(self, filling: Filling, call: Call, wanted: Asked, fact: RequestFact) -> tuple[Entry | None, str]:
        """The entry of a fresh answer and its text; no entry for one that was shortened, broke off, was refused …"""
        body = filling.copy.body
        if call is not filling.call or body is None:
            return None, ""
        told = said(call.operation, body, stream=filling.copy.stream)
        if why_dropped(fact, told, filling.rules):
            return None, ""
        self._note_version(fact)
        made = self._clock().timestamp()
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
            path=call.path,
            ask=call.body if rules.warm else b"",
        )
        return entry, told.text

    async def _keep(self, filling: Filling, entry: Entry, text: str) -> None:
        """Where everybody finds it, unless something was purged since the request began."""
        kept = False
        try:
            shared = self._shared
            if shared is None or shared.generation() == filling.generation:
                kept = shared is None or await shared.put((entry,))
                self.memory.put(entry)
        finally:
            if filling.lead is not None:
                filling.lead.land(entry)
            if filling.ticket and self._semantic is not None:
                self._teach(self._semantic, filling, entry, text, kept=kept)

    def _teach(self, semantic: Semantic, filling: Filling, entry: Entry, text: str, *, kept: bool) -> None:
        if not kept or not text:
            semantic.drop(filling.ticket)
            return
        expires = entry.made + filling.rules.semantic_ttl if filling.rules.semantic_ttl else 0.0
        semantic.learn(Learn(ticket=filling.ticket, key=entry.key, answer=text, cost=entry.cost, expires=expires))

    def _note_seen(self, digest: bytes, now: float, rules: NamespaceSettings) -> None:
        if len(self._seen) >= GLIMPSES:
            for old in list(self._seen)[: GLIMPSES // 10]:
                del self._seen[old]
        self._seen[digest] = now + rules.ttl if rules.ttl else float("inf")

    def _note_version(self, fact: RequestFact) -> None:
        if len(self._versions) >= VERSIONS:
            self._versions.clear()
        self._versions[fact.provider, fact.model] = fact.served_model

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
