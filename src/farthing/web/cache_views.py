"""The caches as the API shows them, what it takes about them, and what it asks of the rest of Farthing."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

from farthing.core.time import Window
from farthing.governance.roles import Who
from farthing.ledger.questions import Grain
from farthing.web.views import ShortText

Mode = Literal["off", "shadow", "on"]
Kind = Literal[
    "exact", "semantic", "embeddings", "would_exact", "would_semantic", "would_embeddings", "sampled", "miss", "skipped"
]
EntryId = Annotated[str, Meta(pattern=r"^([0-9a-fA-F]{64})$", max_length=64)]
"""An entry's key, 32 bytes as hexadecimal digits."""

# What is shown


class CacheSums(msgspec.Struct, frozen=True, kw_only=True):
    """What the caches did for a set of requests, from the ledger. All requests are exactly one of the kinds.

    ``hits`` were answered from a cache: ``exact`` are identical requests, ``semantic`` questions that mean the same,
    ``embeddings`` reused vectors. ``would`` would have been, were their mode ``on``. ``sampled`` would have been
    answered from the semantic cache and were asked to measure it. ``missed`` had no entry, and of ``skipped`` a rule
    says that they are not to be reused. ``hit_rate`` is hits per request, ``None`` without requests.

    ``saved`` is what the hits would have cost, less what was paid for them; ``checking`` what the sampled ones cost,
    ``would_save`` what those that would have been hits cost. Requests without a known price are in none of the three:
    ``unpriced`` counts the sampled, ``would_unpriced`` the would-be hits among them.
    """

    requests: int
    hits: int
    hit_rate: float | None
    exact: int
    semantic: int
    embeddings: int
    would: int
    sampled: int
    missed: int
    skipped: int
    saved: Decimal
    checking: Decimal
    unpriced: int
    would_save: Decimal
    would_unpriced: int


class KindSums(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of one kind. ``worth`` is what a hit saved, what a would-be hit cost and so would have saved, and
    what a sampled request cost, counted against the rest; zero for the others, ``None`` where no price is known.
    """

    kind: Kind
    requests: int
    per_request: float | None
    worth: Decimal | None


class CacheBucket(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the chart: requests in the order of ``CacheAnswer.kinds``, and what the hits of that time saved."""

    at: datetime
    requests: tuple[int, ...]
    saved: Decimal


class StandingView(msgspec.Struct, frozen=True, kw_only=True):
    """What the semantic cache measured of a namespace since it began to learn, over everybody who shares it.

    ``wrong`` is the share of all requests that got, or would have got, a wrong answer, ``bound`` its one-sided upper
    confidence bound, ``target`` what was promised; ``wrong`` and ``bound`` are ``None`` until enough answers were
    compared. Nothing below the probability ``threshold`` is served, nothing at all where it is ``None``. ``closed``
    says why nothing is. ``labels`` counts compared answers, ``None`` for who is confined to a tenant.
    """

    wrong: float | None
    bound: float | None
    target: float
    threshold: float | None
    closed: str
    labels: int | None


class NamespaceView(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of traffic. The modes are those of the settings, ``None`` for a namespace they name no more.

    ``net`` is what was saved less the cost of checking. ``standing`` is ``None`` where the semantic cache is off or
    does not answer; ``entries`` counts its questions.
    """

    name: str
    exact: Mode | None
    semantic: Mode | None
    embeddings: Mode | None
    policy: str
    sums: CacheSums
    net: Decimal
    standing: StandingView | None
    entries: int | None


class Expense(msgspec.Struct, frozen=True, kw_only=True):
    """What the caches' own requests cost, as far as their price is known."""

    cost: Decimal
    requests: int
    unpriced: int


class StoreView(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept: answers by their key, or the questions that the semantic cache compares. Unknown is ``None``;
    ``most_…`` is how much may be kept, ``None`` where another bound counts.
    """

    name: Literal["answers", "questions"]
    entries: int | None
    bytes: int | None
    most_entries: int | None
    most_bytes: int | None


class SemanticView(msgspec.Struct, frozen=True, kw_only=True):
    """The semantic cache's process. ``off``: no namespace asks for it. ``problem`` says why it is away.

    ``judging`` counts pairs that wait for the judge.
    """

    state: Literal["off", "away", "running"]
    problem: str
    remedy: str
    embedding: str
    judging: int


class CacheAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the Cache page shows of a window. ``kinds``, ``namespaces`` and ``buckets`` each sum to ``total``.

    ``judging``, ``embedding`` and ``warming`` are what the judge, the embedding model and renewing answers beforehand
    cost, which no namespace is charged with; ``net`` is ``total.saved`` less checking and all of them. ``empty``: no
    cache considered any request in this window.
    """

    window: Window
    zone: str
    grain: Grain
    currency: str
    through: datetime | None
    empty: bool
    total: CacheSums
    judging: Expense
    embedding: Expense
    warming: Expense
    net: Decimal
    kinds: tuple[KindSums, ...]
    buckets: tuple[CacheBucket, ...]
    namespaces: tuple[NamespaceView, ...]
    stores: tuple[StoreView, ...]
    semantic: SemanticView


class CacheHit(msgspec.Struct, frozen=True, kw_only=True):
    """A hit of the semantic cache beside the question it matched. ``who`` are the scope fields that were the same for
    both, and the user who asked. ``saved`` is ``None`` where no price is known. ``wrong`` is what people said of it.
    """

    at: datetime
    namespace: str
    who: dict[str, str]
    question: str
    matched: str
    entry: str
    probability: float
    similarity: float
    saved: Decimal | None
    wrong: bool | None


class CacheHits(msgspec.Struct, frozen=True, kw_only=True):
    """The latest hits, newest first. ``semantic`` tells why there may be none."""

    rows: tuple[CacheHit, ...]
    semantic: SemanticView


class CacheDone(msgspec.Struct, frozen=True, kw_only=True):
    """``entries`` were removed, or would be where ``dry_run``."""

    entries: int
    dry_run: bool


# What is taken


class CacheFeedback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether it was wrong to answer ``question`` with ``entry``; a hit of an identical request has no ``question``."""

    entry: EntryId
    wrong: bool
    question: Annotated[str, Meta(max_length=8000)] = ""


class CachePurge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be forgotten: entries of which all that is said holds. ``scope`` says who asked first.

    To forget everything, say nothing but ``everything``. Nothing is removed unless ``dry_run`` is false.
    """

    entry: EntryId | None = None
    namespace: ShortText = ""
    epoch: ShortText = ""
    scope: Annotated[dict[ShortText, ShortText], Meta(max_length=8)] = {}
    everything: bool = False
    dry_run: bool = True


# What is asked of the rest of Farthing


class Caches(Protocol):
    """The caches as people see them. Each method answers for what is theirs: everything, or their tenant's part."""

    def stand(
        self, who: Who, window: Window, *, zone: str, where: Mapping[str, tuple[str, ...]] | None = None
    ) -> CacheAnswer:
        """What the caches did in a window; ``where`` keeps requests whose dimension has one of the values."""
        ...

    def hits(self, who: Who, *, namespace: str = "", limit: int = 100) -> CacheHits: ...

    def feedback(self, who: Who, said: CacheFeedback) -> CacheDone:
        """Raises ``NotFoundError`` when nothing is left of the entry, or it is another tenant's."""
        ...

    def purge(self, who: Who, what: CachePurge) -> CacheDone:
        """Raises ``InputError`` for a purge of nothing, ``DeniedError`` for what is another tenant's, and
        ``UnavailableError`` when something cannot be reached: part of it may be left.
        """
        ...
