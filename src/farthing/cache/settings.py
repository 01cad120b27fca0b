"""The settings the caches own: ``[cache]`` and ``[cache.namespaces.NAME]``."""

from typing import Annotated, Literal

import msgspec

Mode = Literal["off", "shadow", "on"]
"""``shadow`` answers nothing: it measures what ``on`` would have saved, and how often it would have been wrong."""

Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Bytes = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]

DEFAULT = "default"
"""The namespace of requests that no other one claims."""


class JudgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that is asked, later, whether two questions have the same answer. Without ``model`` nobody is.

    ``model`` is a name of the gateway's, ``key`` the Farthing key that pays (``env:NAME``, ``file:PATH``);
    ``per_hour`` bounds how often.
    """

    model: str = ""
    key: str = ""
    per_hour: Count = 60


class NamespaceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of traffic with its own rules and its own measured error rate.

    ``where``: scope fields and ``model`` (the name that clients ask for) that requests must have to belong here; of
    those that fit, the one that says most claims a request. ``exact`` answers identical requests, ``semantic``
    questions that mean the same; ``embeddings`` reuses vectors. ``ttl``, ``semantic_ttl`` and ``embedding_ttl`` are
    seconds, 0 for ever. ``target`` is the share of all requests that may get a wrong answer from the semantic cache.
    ``policy``: the ``verifier`` that learns, or the plain rule ``cosine`` with its ``threshold``, for comparison only.
    ``shadow`` is the share of would-be hits that are asked anyway, to measure. ``max_temperature``: requests that say
    a higher one are not cached. ``allow`` lists what is cached although it usually is not: ``tools`` (tool results in
    play), ``time`` (questions about now), ``personal`` (about the one who asks), ``refusals``. ``epoch``: change it,
    and nothing older is served. ``isolate``: scope fields between whose values nothing is shared; ``org`` and
    ``customer`` always are among them. ``quota`` bounds the entries that one key may add in an hour, ``user_quota``
    one user. ``warm``: answers that are asked for again and again are renewed before they expire.
    """

    where: dict[str, str] = {}
    exact: Mode = "shadow"
    semantic: Mode = "off"
    embeddings: Mode = "off"
    ttl: Seconds = 3600
    semantic_ttl: Seconds = 3600
    embedding_ttl: Seconds = 86400
    target: Share = 0.01
    policy: Literal["verifier", "cosine"] = "verifier"
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    shadow: Share = 0.1
    max_temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.7
    allow: frozenset[Literal["tools", "time", "personal", "refusals"]] = frozenset()
    epoch: str = ""
    isolate: frozenset[Literal["org", "team", "project", "environment", "feature", "customer", "user", "key"]] = (
        frozenset({"org", "team", "customer"})
    )
    quota: Count = 5000
    user_quota: Count = 500
    warm: bool = False


class WarmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is asked ahead of anybody, in namespaces with ``warm``: so many calls an hour, and so many US cents in
    24 hours. 0 is nothing. What has no known price is not asked ahead. Schedules are not bounded by this.
    """

    per_hour: Count = 120
    cents_per_day: Count = 100


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is kept, and where. Sizes are bytes.

    ``memory`` is each worker's own, ``max_bytes`` what all share on disk (or in Postgres, where the state is there);
    ``max_answer`` the largest answer that is kept. ``wait_seconds``: how long a request waits for an identical one
    that is under way. ``embedding`` turns questions into vectors: ``wordllama`` here, or ``endpoint``, a model of the
    gateway's own (``embedding_model``, paid for by ``embedding_key``). ``entries`` bounds the questions that the
    semantic cache keeps. ``lookup_ms``: the semantic cache answers within it, or the request goes on without.
    """

    memory: Bytes = 256 * 1024 * 1024
    max_bytes: Bytes = 10 * 1024**3
    max_answer: Bytes = 1024 * 1024
    wait_seconds: Seconds = 60
    embedding: Literal["wordllama", "endpoint"] = "wordllama"
    embedding_model: str = ""
    embedding_key: str = ""
    entries: Count = 1_000_000
    lookup_ms: Annotated[float, msgspec.Meta(gt=0)] = 50
    judge: JudgeSettings = JudgeSettings()
    warm: WarmSettings = WarmSettings()
    namespaces: dict[str, NamespaceSettings] = {}
