"""What the caches did, summed from the ledger: one question, whose rows make every figure of the Cache page."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol, cast, get_args

from farthing.core.facts import CACHE_NAMESPACE_TAG, CACHE_TAG
from farthing.core.money import EXACT
from farthing.core.time import Window
from farthing.gateway.caching.hit import MISS, SAMPLED, SKIPPED, WOULD
from farthing.ledger.questions import Grain, SpendAnswer, SpendQuestion, SpendRow
from farthing.web.cache_views import CacheBucket, CacheSums, Expense, Kind, KindSums
from farthing.web.overview import fitting, starts

HITS = ("exact", "semantic", "embeddings")
KINDS: tuple[Kind, ...] = get_args(Kind)
JUDGE, EMBEDDING, WARM = OWN = ("judge", "embedding", "warm")
"""What requests that the caches make themselves are labeled with."""

_KIND, _NAMESPACE, _OWN = f"tag:{CACHE_TAG}", f"tag:{CACHE_NAMESPACE_TAG}", "tag:cache"


class Facts(Protocol):
    """The ledger, for summing."""

    def spend(self, question: SpendQuestion) -> SpendAnswer: ...


class Figures:
    """The requests that caches considered in a window, and those that they made themselves."""

    def __init__(self, answer: SpendAnswer) -> None:
        self.answer = answer
        self.grain: Grain = answer.question.grain
        self._own = [row for row in answer.rows if row.keys.get(_OWN) in OWN]
        self._rows = [row for row in answer.rows if row.keys.get(_KIND) and row.keys.get(_OWN) not in OWN]

    @classmethod
    def asked(
        cls, facts: Facts, window: Window, *, zone: str, where: Mapping[str, tuple[str, ...]] | None = None
    ) -> "Figures":
        """The figures of a bounded window."""
        question = SpendQuestion(
            window=window,
            by=(_NAMESPACE, _KIND, _OWN),
            grain=fitting(window),
            where={"origin": ("gateway",), **(where or {})},
            zone=zone,
        )
        return cls(facts.spend(question))

    @property
    def empty(self) -> bool:
        """Whether no cache considered any request."""
        return not self._rows

    def total(self) -> CacheSums:
        """Over everything."""
        return sums(self._rows)

    def by_namespace(self) -> dict[str, CacheSums]:
        """The same by namespace."""
        found: dict[str, list[SpendRow]] = defaultdict(list)
        for row in self._rows:
            found[row.keys.get(_NAMESPACE, "")].append(row)
        return {name: sums(rows) for name, rows in found.items()}

    def kinds(self) -> tuple[KindSums, ...]:
        """The same by kind, those that there are, hits first."""
        whole = sum(row.requests for row in self._rows)
        parts = _by_kind(self._rows)
        return tuple(
            KindSums(
                kind=kind,
                requests=(requests := sum(row.requests for row in parts[kind])),
                per_request=requests / whole if whole else None,
                worth=_worth(kind, parts[kind]),
            )
            for kind in KINDS
            if kind in parts
        )

    def buckets(self) -> tuple[CacheBucket, ...]:
        """The same by time, gaps included. The requests of each bucket are in the order of ``kinds``."""
        found: dict[datetime, list[SpendRow]] = defaultdict(list)
        for row in self._rows:
            if row.at is not None:
                found[row.at.astimezone(UTC)].append(row)
        order = list(_ordered(_by_kind(self._rows)))
        question = self.answer.question
        known = starts(question.window, self.grain, question.zone)
        return tuple(
            CacheBucket(
                at=at,
                requests=tuple(sum(row.requests for row in parts.get(kind, ())) for kind in order),
                saved=_sum(row.saved for kind in HITS for row in parts.get(kind, ())),
            )
            for at in sorted({*known, *found})
            for parts in [_by_kind(found.get(at, ()))]
        )

    def expense(self, label: str) -> Expense:
        """What the caches' own requests of one label cost."""
        rows = [row for row in self._own if row.keys[_OWN] == label]
        return Expense(
            cost=_sum(row.cost for row in rows),
            requests=sum(row.requests for row in rows),
            unpriced=sum(row.unpriced_requests for row in rows),
        )


def sums(rows: Iterable[SpendRow]) -> CacheSums:
    """The sums of rows that have a kind."""
    parts = _by_kind(rows)
    counts = {kind: sum(row.requests for row in found) for kind, found in parts.items()}
    would = [row for kind, found in parts.items() if kind.startswith(WOULD) for row in found]
    sampled = parts.get("sampled", [])
    requests, hits = sum(counts.values()), sum(counts.get(kind, 0) for kind in HITS)
    return CacheSums(
        requests=requests,
        hits=hits,
        hit_rate=hits / requests if requests else None,
        exact=counts.get("exact", 0),
        semantic=counts.get("semantic", 0),
        embeddings=counts.get("embeddings", 0),
        would=sum(row.requests for row in would),
        sampled=counts.get(SAMPLED, 0),
        missed=counts.get(MISS, 0),
        skipped=counts.get(SKIPPED, 0),
        saved=_sum(row.saved for kind in HITS for row in parts.get(kind, ())),
        checking=_sum(row.cost for row in sampled),
        unpriced=sum(row.unpriced_requests for row in sampled),
        would_save=_sum(row.cost for row in would),
        would_unpriced=sum(row.unpriced_requests for row in would),
    )


def less(amount: Decimal, *costs: Decimal) -> Decimal:
    """What is left of an amount, exactly."""
    for cost in costs:
        amount = EXACT.subtract(amount, cost)
    return amount


def _by_kind(rows: Iterable[SpendRow]) -> dict[str, list[SpendRow]]:
    """A kind that this release does not know counts as one that nothing was done for."""
    found: dict[str, list[SpendRow]] = {}
    for row in rows:
        kind = row.keys[_KIND]
        found.setdefault(kind if kind in KINDS else SKIPPED, []).append(row)
    return found


def _ordered(kinds: Iterable[str]) -> Iterable[Kind]:
    return sorted((cast("Kind", kind) for kind in kinds), key=KINDS.index)


def _worth(kind: Kind, rows: Iterable[SpendRow]) -> Decimal | None:
    """``None`` where nothing in it has a price: that is unknown, and not zero."""
    rows = list(rows)
    if kind in HITS:
        return _sum(row.saved for row in rows) if any(row.baseline_cost for row in rows) else None
    if kind.startswith(WOULD) or kind == SAMPLED:
        priced = any(row.unpriced_requests < row.requests for row in rows)
        return _sum(row.cost for row in rows) if priced else None
    return Decimal(0)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


__all__ = ["EMBEDDING", "HITS", "JUDGE", "KINDS", "WARM", "Facts", "Figures", "less", "sums"]
