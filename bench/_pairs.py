"""Pairs of questions that look alike: how many of those with one answer are served, and how many traps.

``python -m bench._pairs`` prints the table. ``--fit`` fits the prior on all given pairs and writes
``src/farthing/cache/semantic/prior.toml``.

A pair is served when there is no veto and the prior's probability is above a threshold. Both are judged on pairs that
had no part in them: a kind of trap is left out whole, pairs with one answer by fifths. The threshold is the lowest that
serves at most ``TARGET`` of the training traps, each of them judged in turn by a prior that never saw its kind.

To the pairs come *strangers*: questions of different pairs that are nearest to each other. They teach what every lookup
meets, a near question that has nothing to do with this one. They count little, and nobody is measured on them.
Traps with a veto teach too, without what the lexicon knows of them: so the prior learns what a swapped word looks like
that no lexicon has.

The data comes from kmemo (near_miss_pairs, Apache-2.0) and fow-cache (trap_pairs, CC BY 4.0).
"""

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench import _report
from bench._report import Figure
from farthing.cache.semantic.embed import WordLlama
from farthing.cache.semantic.lexical import lexical_features
from farthing.cache.semantic.prior import PRIOR_FEATURES, prior_features
from farthing.cache.semantic.text import take_apart
from farthing.cache.semantic.vetoes import veto

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

DATA = Path(__file__).parents[2] / "shared" / "data" / "semcache"
PRIOR = Path(__file__).parents[1] / "src" / "farthing" / "cache" / "semantic" / "prior.toml"

PLAIN = 0.95
"""The plain rule: serve at this cosine."""
TARGET = 0.02
"""Share of training traps that the threshold may serve."""
ALLOWED = 0.05
"""Share of traps that may be served on pairs that taught nothing."""
FOLDS = 5
NEAREST = 3
STRANGER = 0.2
"""What a stranger counts for in the fit, beside 1 for a pair."""
VETOED = 0.5
RIDGE = 3.0
OF_LEXICON = ("names_only", "negation_differs")
BY_VALUE = frozenset({"number", "date", "id", "unit", "order"})
FALLING = frozenset(
    {"less_only", "more_only", "replaced", "names_only", "figures_only", "swapped", "inserted", "negation_differs"}
)
FREE = frozenset({"synonyms", "slips"})
KINDS = {
    "number_date": "number, date, unit",
    "numeric-swap": "number, date, unit",
    "unit-swap": "number, date, unit",
    "temporal": "number, date, unit",
    "negation": "negation, antonym",
    "polarity-antonym": "negation, antonym",
    "entity_swap": "entity",
    "entity-swap": "entity",
    "scope": "scope",
    "scope-shift": "scope",
    "added-qualifier": "scope",
    "comparative-direction": "order",
}
"""Categories of the two sets that are one kind of trap, so that leaving one out leaves none of its kind behind."""


class Pair(NamedTuple):
    """Two questions, whether they have one answer, and the kind of pair. ``rows`` are the given pairs it comes from."""

    a: str
    b: str
    same: bool
    kind: str
    rows: tuple[int, ...]
    similarity: float = 0.0
    stranger: bool = False


def given() -> list[Pair]:
    """The pairs of both sets."""
    traps = [json.loads(line) for line in (DATA / "trap_pairs.jsonl").read_text().splitlines()]
    near = json.loads((DATA / "near_miss_pairs.json").read_text())["pairs"]
    found = [(r["a"], r["b"], r["same_answer"], r["category"]) for r in traps]
    found += [(r["a"], r["b"], r["shouldMatch"], r["category"]) for r in near]
    return [
        Pair(a, b, same, KINDS.get(kind, kind.replace("_", "-")), (i,)) for i, (a, b, same, kind) in enumerate(found)
    ]


class Table:
    """All pairs with their vectors' cosine, features and vetoes; strangers come after the given ones."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        import numpy as np

        texts = list(dict.fromkeys(text for pair in pairs for text in (pair.a, pair.b)))
        vectors = asyncio.run(WordLlama().embed(texts))
        place = {text: i for i, text in enumerate(texts)}
        judged = [p._replace(similarity=float(vectors[place[p.a]] @ vectors[place[p.b]])) for p in pairs]
        self.pairs = [*judged, *strangers(pairs, texts, vectors @ vectors.T)]
        self.features: Floats = np.array([_features(p) for p in self.pairs])
        self.vetoes = [veto(p.a, p.b) for p in self.pairs]
        self.vetoed: Mask = np.array([bool(v) for v in self.vetoes])
        self.same: Mask = np.array([p.same for p in self.pairs])
        self.stranger: Mask = np.array([p.stranger for p in self.pairs])
        self.kinds = np.array([p.kind for p in self.pairs])
        self.folds = np.array([_fold(p.a) for p in self.pairs])
        self.similarity: Floats = self.features[:, 0]

    @property
    def traps(self) -> "Mask":
        return ~self.same & ~self.stranger

    def without(self, held: "Mask") -> "Mask":
        """What may teach when some pairs must not: not these, nor strangers that come from them."""
        import numpy as np

        kept = ~held
        return np.array([kept[i] and all(kept[row] for row in p.rows) for i, p in enumerate(self.pairs)])


def _features(pair: Pair) -> tuple[float, ...]:
    return prior_features(pair.similarity, lexical_features(pair.a, pair.b))


def _fold(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0] % FOLDS


def strangers(pairs: Sequence[Pair], texts: Sequence[str], similarity: "Floats") -> Iterator[Pair]:
    """For each text the nearest of pairs that share no text with its own, where no veto speaks against them."""
    import numpy as np

    rows = {text: {i for i, p in enumerate(pairs) if text in (p.a, p.b)} for text in texts}
    family = {text: {t for i in rows[text] for t in (pairs[i].a, pairs[i].b)} for text in texts}
    seen: set[frozenset[int]] = set()
    for i, text in enumerate(texts):
        foreign = (j for j in np.argsort(-similarity[i]) if family[text].isdisjoint(family[texts[j]]))
        for j in islice((int(j) for j in foreign if not veto(text, texts[j])), NEAREST):
            if frozenset({i, j}) not in seen:
                seen.add(frozenset({i, j}))
                both = (*rows[text], *rows[texts[j]])
                yield Pair(text, texts[j], False, "strangers", both, float(similarity[i, j]), stranger=True)


class Fit(NamedTuple):
    """A logistic regression."""

    intercept: float
    weights: "Floats"

    def probabilities(self, features: "Floats") -> "Floats":
        import numpy as np

        return 1 / (1 + np.exp(-(features @ self.weights + self.intercept)))


def fit(table: Table, teach: "Mask") -> Fit:
    """Ridge-penalized logistic regression whose weights have the sign that their feature's meaning demands."""
    import numpy as np
    from scipy.optimize import minimize

    features, counts = table.features.copy(), _counts(table)
    unknown = [PRIOR_FEATURES.index(name) for name in OF_LEXICON]
    features[np.ix_(table.vetoed, unknown)] = 0
    x, weight = features[teach], counts[teach]
    center, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 0.05)
    x, y = (x - center) / scale, np.where(table.same[teach], 1.0, -1.0)

    def loss(at: "Floats") -> "tuple[float, Floats]":
        margin = y * (x @ at[1:] + at[0])
        slope = -weight * y / (1 + np.exp(margin))
        penalty = RIDGE * at[1:]
        total = (weight * np.logaddexp(0, -margin)).sum() + penalty @ at[1:] / 2
        return float(total), np.r_[slope.sum(), x.T @ slope + penalty]

    signs = [(None, None), *map(_sign, PRIOR_FEATURES)]
    found = minimize(loss, np.zeros(len(signs)), jac=True, bounds=signs, method="L-BFGS-B").x
    weights = found[1:] / scale
    return Fit(float(found[0] - weights @ center), weights)


def _sign(name: str) -> tuple[float | None, float | None]:
    if name in FREE:
        return None, None
    return (None, 0) if name in FALLING else (0, None)


def _counts(table: Table) -> "Floats":
    """What each pair counts for. Traps that a veto finds by value teach nothing: their words are the same."""
    import numpy as np

    by_value = np.array([reason in BY_VALUE for reason in table.vetoes])
    counts = np.where(table.stranger, STRANGER, 1.0)
    counts[table.vetoed & ~table.same] = VETOED
    counts[by_value & ~table.same] = 0
    return counts


def threshold(table: Table, teach: "Mask") -> float:
    """The lowest probability that serves at most ``TARGET`` of the training traps, each kind judged without itself."""
    import numpy as np

    traps = table.traps & teach
    judged = np.zeros(len(table.pairs))
    for kind in sorted(set(table.kinds[traps])):
        held = traps & (table.kinds == kind)
        judged[held] = fit(table, table.without(~teach | held)).probabilities(table.features[held])
    open_traps = np.sort(judged[traps & ~table.vetoed])[::-1]
    spared = int(TARGET * traps.sum())
    return float(open_traps[spared]) if spared < len(open_traps) else 0.0


def crossed(table: Table) -> "Mask":
    """Which given pairs are served when nothing of their kind (traps) or fifth (others) taught anything."""
    import numpy as np

    served = np.zeros(len(table.pairs), dtype=bool)
    for held in _held(table):
        teach = table.without(held)
        bar = threshold(table, teach)
        served[held] = fit(table, teach).probabilities(table.features[held]) > bar
    return served & ~table.vetoed


def _held(table: Table) -> "Iterator[Mask]":
    for kind in sorted(set(table.kinds[table.traps])):
        yield table.traps & (table.kinds == kind)
    for fold in range(FOLDS):
        yield table.same & (table.folds == fold)


def measure(*, quick: bool = False) -> Iterable[Figure]:
    """Served shares: ours on pairs that taught nothing, beside the plain rule and the best threshold in hindsight."""
    del quick
    if not DATA.is_dir():
        print(f"skipped: {DATA} is not here")
        return
    table = Table(given())
    policies = {
        "ours": crossed(table),
        f"cosine ≥ {PLAIN}": table.similarity >= PLAIN,
        "best static": table.similarity > _static(table),
        "vetoes alone": ~table.vetoed,
    }
    yield _share(policies, table.same, "should-hits served", at_least=60)
    yield _share(policies, table.traps, "traps served", at_most=100 * ALLOWED)
    for kind in sorted(set(table.kinds[table.traps])):
        yield _share(policies, table.traps & (table.kinds == kind), f"traps served: {kind}")
    for kind in sorted(set(table.kinds[table.same])):
        yield _share(policies, table.same & (table.kinds == kind), f"should-hits served: {kind}")
    yield from _speed(table)


def _static(table: Table) -> float:
    """The lowest cosine that serves at most the allowed share of traps, all pairs known."""
    import numpy as np

    similar = np.sort(table.similarity[table.traps])[::-1]
    return float(similar[int(ALLOWED * len(similar))])


def _share(
    policies: "dict[str, Mask]", of: "Mask", what: str, *, at_most: float | None = None, at_least: float | None = None
) -> Figure:
    ours, *others = ((name, 100 * float(served[of].mean())) for name, served in policies.items())
    return Figure(
        what=what,
        ours=ours[1],
        unit="%",
        at_most=at_most,
        at_least=at_least,
        beside=dict(others),
        note=f"of {int(of.sum())}",
    )


def _speed(table: Table) -> Iterator[Figure]:
    """CPU of reading one text, and of judging a pair that is read."""
    pairs = [(take_apart(p.a), take_apart(p.b)) for p in table.pairs if not p.stranger]
    texts = [p.a for p in table.pairs if not p.stranger]
    yield Figure(
        what="reading a text", ours=_micros(lambda: [take_apart(t) for t in texts], len(texts)), unit="µs", at_most=60
    )
    judge = _micros(lambda: [veto(a, b) or lexical_features(a, b) for a, b in pairs], len(pairs))
    yield Figure(what="veto and features of a pair", ours=judge, unit="µs", at_most=40)


def _micros(work: Callable[[], object], count: int) -> float:
    times: list[float] = []
    for _ in range(5):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) / count * 1e6


def write() -> None:
    """Fits on all given pairs and writes the file that the package ships."""
    table = Table(given())
    found = fit(table, table.without(~table.same & table.same))
    names = zip(PRIOR_FEATURES, found.weights, strict=True)
    lines = [
        "# Written by `python -m bench._pairs --fit` from near_miss_pairs (kmemo, Apache-2.0)",
        "# and trap_pairs (fow-cache, CC BY 4.0).",
        f"# {int((~table.stranger).sum())} pairs, {int(table.stranger.sum())} strangers, embedding {WordLlama.name}.",
        f"intercept = {found.intercept:.4f}",
        "",
        "[weights]",
        *(f"{name} = {weight + 0.0:.4f}" for name, weight in names),
    ]
    PRIOR.write_text("\n".join(lines) + "\n")
    print(PRIOR.read_text())


if __name__ == "__main__":
    if "--fit" in sys.argv:
        write()
    else:
        _report.main("_pairs", measure)
