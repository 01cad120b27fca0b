"""How two questions differ in their words, as figures a learner can use.

Similarity says how much two questions have in common; what decides is what they have not in common. So every word is
paired with its like on the other side (same stem, synonym, slip of the pen), and the figures tell what is left over.
"""

from collections.abc import Callable, Sequence

import msgspec

from farthing.cache.semantic.likeness import same_meaning, slip
from farthing.cache.semantic.text import Analysis, Question, read
from farthing.cache.semantic.words import Lexicon, lexicon

LEXICAL_FEATURES: tuple[str, ...] = (
    "overlap",  # share of the weight of all words that is paired, 0 to 1
    "less_only",  # weight of the words without a like, on the side that has less of them
    "more_only",  # and on the other side
    "replaced",  # words without a like on both sides, pairwise
    "synonyms",  # pairs of synonyms
    "slips",  # pairs of words that differ by a slip of the pen
    "names_only",  # names and things of a known kind without a like, both sides
    "figures_only",  # numbers and codes without a like, both sides
    "length_ratio",  # shorter to longer, in words
    "same_words",  # 1: no word is left over on either side
    "frame",  # share of words in a common beginning and end
    "swapped",  # 1: in one frame, one or two words stand where others do
    "inserted",  # 1: one side is the other with a few words more
    "same_ask",  # 1: the same kind of question, 0.5: one is no question
    "same_tense",
    "negation_differs",
    "content",  # paired weight, how much there was to agree on
)
"""The figures of ``lexical_features``, in their order."""

_FEW = 3
_MANY = 1024
"""Pairs of words beyond which two texts are no rewording of each other, and none is compared singly."""
_NONE: frozenset[str] = frozenset()


class Alignment(msgspec.Struct, frozen=True, gc=False):
    """The words of both sides that have no like on the other, and how many were paired in which way."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    same: float
    synonyms: int
    typos: int


def align(left: Analysis, right: Analysis, known: Lexicon) -> Alignment:
    """Pairs the words that carry meaning: equal stems, then synonyms, then slips of the pen."""
    mine = sorted(left.content - right.content - known.implied.get(right.ask, _NONE))
    theirs = sorted(right.content - left.content - known.implied.get(left.ask, _NONE))
    both = left.content & right.content
    same = sum([left.weights[word] + right.weights[word] for word in both]) / 2
    if len(mine) * len(theirs) > _MANY:
        return Alignment(tuple(mine), tuple(theirs), same, 0, 0)
    synonyms = _pair(mine, theirs, lambda one, other: same_meaning(one, other, known))
    typos = _pair(mine, theirs, lambda one, other: slip(one, other, known))
    return Alignment(tuple(mine), tuple(theirs), same, synonyms, typos)


def _pair(mine: list[str], theirs: list[str], like: Callable[[str, str], bool]) -> int:
    """Takes pairs out of both lists and counts them."""
    found = 0
    for one in tuple(mine):
        other = next((word for word in theirs if like(one, word)), None)
        if other is not None:
            mine.remove(one)
            theirs.remove(other)
            found += 1
    return found


def lexical_features(a: Question, b: Question) -> tuple[float, ...]:
    """The figures named by ``LEXICAL_FEATURES`` for two questions. Symmetric."""
    left, right, known = read(a), read(b), lexicon()
    pairs = align(left, right, known)
    mine, theirs = sum(map(left.weights.__getitem__, pairs.left)), sum(map(right.weights.__getitem__, pairs.right))
    paired = pairs.same + pairs.synonyms + pairs.typos
    whole = 2 * paired + mine + theirs
    return (
        2 * paired / whole if whole else 1.0,
        min(mine, theirs),
        max(mine, theirs),
        float(min(len(pairs.left), len(pairs.right))),
        float(pairs.synonyms),
        float(pairs.typos),
        float(len(left.names.intersection(pairs.left)) + len(right.names.intersection(pairs.right))),
        _figures_only(left, right),
        _ratio(len(left.words), len(right.words)),
        float(not pairs.left and not pairs.right),
        *_frame(left.words, right.words, known),
        _same_ask(left.ask, right.ask),
        float(left.tense == right.tense),
        float(left.negated != right.negated),
        paired,
    )


def _figures_only(left: Analysis, right: Analysis) -> float:
    """How many more numbers and codes one side has: others were paired, or are a veto."""
    return float(abs(len(left.quantities) - len(right.quantities)) + len(left.ids ^ right.ids))


def _ratio(one: int, other: int) -> float:
    return min(one, other) / max(one, other, 1)


def _same_ask(one: str, other: str) -> float:
    if one == other:
        return 1.0
    return 0.5 if not one or not other else 0.0


def _frame(left: Sequence[str], right: Sequence[str], known: Lexicon) -> tuple[float, float, float]:
    """``frame``, ``swapped`` and ``inserted``: what is left when the common beginning and end are taken away."""
    shortest = min(len(left), len(right))
    start = next((i for i in range(shortest) if left[i] != right[i]), shortest)
    end = next((i for i in range(shortest - start) if left[-1 - i] != right[-1 - i]), shortest - start)
    share = (start + end) / max(len(left), len(right), 1)
    mine, theirs = (_telling(side[start : len(side) - end], known) for side in (left, right))
    swapped = 0 < mine <= _FEW and 0 < theirs <= _FEW and 2 * (start + end) >= shortest
    inserted = start + end == shortest and mine + theirs > 0
    return share, float(swapped), float(inserted)


def _telling(words: Sequence[str], known: Lexicon) -> int:
    return sum(w not in known.function and w not in known.light for w in words)
