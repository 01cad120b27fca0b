"""A request for embeddings on its way through the cache: which texts are known, and what becomes of the others."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from farthing.cache.entry import Entry
from farthing.cache.settings import NamespaceSettings
from farthing.core.facts import RequestFact
from farthing.core.units import INPUT
from farthing.gateway.caching.hit import MISS, SKIPPED, WOULD, Hit, marked
from farthing.gateway.caching.kept import Kept
from farthing.gateway.caching.seen import Seen
from farthing.gateway.caching.vectors import (
    Wanted,
    fresh,
    merged,
    rest_of,
    shares,
    spared_usage,
    vector_entry,
    wanted,
    whole_answer,
)
from farthing.gateway.client import Copy, Reply
from farthing.gateway.ports import Call, Route

KIND = "embeddings"
KNOWN_HEADER = b"x-farthing-cache-texts"
"""Tells a client of how many texts the vectors were known; where all were, the answer is a hit."""


class Vectors:
    """The embedding cache of one worker. ``run`` does something beside what the loop does."""

    def __init__(
        self, kept: Kept, seen: Seen, *, now: Callable[[], float], run: Callable[[Coroutine[Any, Any, object]], None]
    ) -> None:
        self.kept = kept
        self.now = now
        self.run = run
        self._seen = seen

    async def find(
        self, call: Call, route: Route, namespace: str, rules: NamespaceSettings
    ) -> "Hit | VectorFilling | None":
        """All vectors, or what is to be done with those that are asked for."""
        texts = wanted(call, route, namespace, rules)
        if texts is None:
            call.labels = marked(call.labels, SKIPPED, namespace)
            return None
        if rules.embeddings == "shadow":
            known = self._seen.all(texts.items, call.at.timestamp())
            call.labels = marked(call.labels, WOULD + KIND if known else MISS, namespace)
            return VectorFilling(self, call, texts, namespace=namespace, rules=rules, counts=True)
        if call.reuse != "refresh":
            texts.known = await self.kept.get_many(texts.items, call.at.timestamp())
        if not texts.missing:
            return Hit(entry=_answer(texts, namespace, call.at.timestamp()), kind=KIND, namespace=namespace)
        call.labels = marked(call.labels, KIND if texts.known else MISS, namespace)
        if texts.known:
            known = sum(key in texts.known for key in texts.keys)
            call.told = [*call.told, (KNOWN_HEADER, b"%d" % known)]
        filling = VectorFilling(self, call, texts, namespace=namespace, rules=rules)
        if len(texts.missing) < len(texts.keys):
            call.body = rest_of(call, texts)
            call.input_estimate = min(call.input_estimate, len(call.body))
            call.spared = spared_usage(texts.spared)
        return filling

    def seen(self, texts: Wanted, now: float, ttl: float) -> None:
        """These texts were embedded: whoever asks again might have been answered from a cache."""
        self._seen.note(texts.items, now, ttl)


class Filling(Protocol):
    """What is to be done with a fresh answer."""

    copy: Copy

    def answer(self, reply: Reply) -> Reply:
        """The answer as its client gets it, where it does not get it as it comes."""
        ...

    def end(self, call: Call, *, left: bool) -> None:
        """The request is over. ``call`` is how it was sent in the end, ``left``: its client did not wait."""
        ...


class VectorFilling:
    """A request for those vectors that were not known. ``counts``: nothing is kept, it is only measured."""

    def __init__(
        self,
        cache: Vectors,
        call: Call,
        texts: Wanted,
        *,
        namespace: str,
        rules: NamespaceSettings,
        counts: bool = False,
    ) -> None:
        self.copy = Copy(0)
        self._cache = cache
        self._call = call
        self._texts = texts
        self._namespace = namespace
        self._rules = rules
        self._counts = counts
        self._generation = cache.kept.generation

    @property
    def keeps(self) -> bool:
        """Whether what is fresh is kept, rather than only measured."""
        return not self._counts

    def answer(self, reply: Reply) -> Reply:
        """What was known and what is fresh as one answer; the fresh is kept."""
        fact, texts = self.copy.fact, self._texts
        if self._counts or fact is None:
            return reply
        vectors = fresh(texts, reply)
        if vectors is None:
            return reply
        tokens = shares(texts, vectors, fact.usage.get(INPUT.name, 0))
        like = self._like(fact)
        entries = tuple(vector_entry(key, body, like, tokens[key]) for key, body in vectors.items())
        self._cache.run(self._cache.kept.put(entries, since=self._generation))
        return reply if len(vectors) == len(texts.keys) else merged(texts, reply, vectors)

    def end(self, call: Call, *, left: bool) -> None:
        """The request is over; what is measured only is measured now."""
        del left
        if self._counts and self.copy.fact is not None:
            self._cache.seen(self._texts, call.at.timestamp(), self._rules.embedding_ttl)

    def _like(self, fact: RequestFact) -> Entry:
        made, ttl = self._cache.now(), self._rules.embedding_ttl
        return Entry(
            key=b"",
            namespace=self._namespace,
            tenant=self._texts.tenant,
            made=made,
            expires=made + ttl if ttl else 0.0,
            provider=fact.provider,
            model=fact.model,
            served=fact.served_model,
            scope=self._call.caller.scope,
            epoch=self._rules.epoch,
        )


def _answer(texts: Wanted, namespace: str, now: float) -> Entry:
    """A whole answer made of vectors that are known."""
    one = texts.known[texts.keys[0]]
    return Entry(
        key=texts.keys[0],
        namespace=namespace,
        tenant=texts.tenant,
        made=min((entry.made for entry in texts.known.values()), default=now),
        body=whole_answer(texts, one.served or one.model),
        usage={INPUT.name: texts.spared},
        provider=one.provider,
        model=one.model,
        served=one.served,
    )
