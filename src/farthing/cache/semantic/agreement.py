"""Whether two answers of a language model say the same.

Equal texts do, and so do equal values however they are written. Of prose only what can be seen is told: numbers,
names, yes or no, negation, and how many of the words both use. Where that does not decide, it cannot be told: an answer
that is wrongly taken for the same does harm, one that is wrongly taken for another only costs a hit.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any, cast

import msgspec

from farthing.cache.semantic.likeness import opposite, same_meaning, shared_kinds
from farthing.cache.semantic.quantities import Quantity, same_quantity
from farthing.cache.semantic.text import Analysis, take_apart
from farthing.cache.semantic.vetoes import veto
from farthing.cache.semantic.words import lexicon

Similarity = Callable[[str, str], float]
"""The cosine of two texts' embeddings."""

_FENCE = re.compile(r"\s*```[\w+-]*[ \t]*\n(.*?)\n?\s*```\s*", re.DOTALL)
_SPACE = re.compile(r"\s+")
_MARKUP = re.compile(r"\*\*|__|`|^\s*(?:#{1,6}|[-*•]|\d{1,2}[.)])[ \t]+", re.MULTILINE)
_OPENING = re.compile(
    r"(?:(?:sure|certainly|of course|absolutely|great question|good question)[!.,:]+\s*"
    r"|(?:the answer is|answer|here(?: is|'s) (?:the|your|an?) (?:answer|result)):\s*)+",
    re.IGNORECASE,
)
_YES = re.compile(r"(?:yes|yep|yeah|correct|true|indeed)\b", re.IGNORECASE)
_NO = re.compile(r"(?:no|nope|incorrect|false)\b(?![.°] ?\d)", re.IGNORECASE)
_LONGEST = 8000
"""Characters beyond which answers are only compared for being equal: no more of a text is read."""
_NOTHING = object()
"""Beside what a longer list has more: equal to no value."""
_COPULAS = frozenset({"is", "are", "was", "were"})
_LABEL = 4
_SENTENCE = 14
_SHORT = 20
"""Words up to which an answer is one statement, so that each difference in it counts."""
_SAME, _SAME_PROSE, _NAMES = 0.8, 0.7, 0.6
_NEAR = 0.85
_FOREIGN, _FAR = 0.25, 0.6


def agrees(a: str, b: str, similarity: Similarity | None = None) -> bool | None:
    """Whether two answers say the same; ``None`` where it cannot be told.

    JSON is compared by value, field by field; labels, short answers and prose by what they state. ``similarity`` is
    only asked of prose: where it is not near, much alike words do not count as the same. Symmetric.
    """
    left, right = _bare(a), _bare(b)
    if left.casefold() == right.casefold():
        return True
    if not left or not right:
        return False
    if max(len(left), len(right)) > _LONGEST:
        return None
    try:
        mine, theirs = _decoded(left), _decoded(right)
        return _stated(left, right, similarity) if mine is theirs is None else _equal(mine, theirs, similarity)
    except RecursionError:  # nested deeper than anybody meant
        return None


def _bare(text: str) -> str:
    """Without what models put around an answer: fences, markup, pleasantries, a final stop."""
    fenced = _FENCE.fullmatch(text)
    bare = _SPACE.sub(" ", _MARKUP.sub("", fenced[1] if fenced else text)).strip()
    if opening := _OPENING.match(bare):
        bare = bare[opening.end() :]
    return bare.rstrip(".! ").strip("\"'“” ")


def _decoded(text: str) -> Any:
    """The value of a JSON document; ``None`` for everything else. A bare number is left to the words' reading."""
    if text[0] not in "{[":
        return None
    try:
        return msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return None


def _equal(mine: Any, theirs: Any, similarity: Similarity | None) -> bool | None:
    """Whether two JSON values say the same; texts in them are compared as answers are."""
    if isinstance(mine, str) and isinstance(theirs, str):
        return agrees(mine, theirs, similarity)
    if isinstance(mine, dict) and isinstance(theirs, dict):
        one, other = cast("dict[str, Any]", mine), cast("dict[str, Any]", theirs)
        if one.keys() != other.keys():
            return False
        return _all(_equal(value, other[key], similarity) for key, value in one.items())
    if isinstance(mine, list) and isinstance(theirs, list):
        pairs = zip_longest(cast("list[Any]", mine), cast("list[Any]", theirs), fillvalue=_NOTHING)
        return _all(_equal(value, beside, similarity) for value, beside in pairs)
    return isinstance(mine, bool) == isinstance(theirs, bool) and bool(mine == theirs)


def _all(parts: Iterable[bool | None]) -> bool | None:
    """``False`` when one part is, ``None`` when one cannot be told."""
    found = set(parts)
    if False in found:
        return False
    return None if None in found else True


def _stated(left: str, right: str, similarity: Similarity | None) -> bool | None:
    yes = _says_yes(left), _says_yes(right)
    if None not in yes and yes[0] != yes[1]:
        return False
    mine, theirs = take_apart(left), take_apart(right)
    shorter, longer = sorted((mine, theirs), key=lambda one: (len(one.words), len(one.content), one.words))
    if len(shorter.words) <= _LABEL and len(longer.words) <= _SENTENCE:
        return _labels(shorter, longer, yes=yes[0] is not None and yes[0] == yes[1])
    if len(longer.words) <= _SHORT:
        return _sentences(mine, theirs)
    return _prose(mine, theirs, lambda: similarity(left, right) if similarity else None)


def _says_yes(text: str) -> bool | None:
    if _YES.match(text):
        return True
    return False if _NO.match(text) else None


def _labels(label: Analysis, sentence: Analysis, *, yes: bool) -> bool | None:
    """A few words beside as many, or beside the sentence that says them."""
    if yes and not label.content and not label.quantities:
        return True
    numbers = _has(sentence.quantities, label.quantities) and _has(label.quantities, sentence.quantities)
    if label.negated != sentence.negated or label.ids != sentence.ids or not numbers or not _says(sentence, label):
        return False
    if label.words == sentence.words:
        return True
    if not (label.content or label.quantities) or _rivals(label.content, sentence.content - label.content):
        return False if len(label.words) == len(sentence.words) else None
    return True if not _COPULAS.isdisjoint(sentence.words) else None


def _says(sentence: Analysis, label: Analysis) -> bool:
    """Whether all words of the label are in the sentence, or their synonyms."""
    known = lexicon()
    missing = label.content - sentence.content
    return all(any(same_meaning(word, other, known) for other in sentence.content) for word in missing)


def _rivals(said: frozenset[str], rest: frozenset[str]) -> bool:
    """Whether the rest names another thing of the same kind, or the opposite: "Paris" beside "Paris or Rome"."""
    known = lexicon()
    return any(opposite(x, y, known) or any(shared_kinds(x, y, known)) for x in said for y in rest)


def _has(quantities: Sequence[Quantity], wanted: Sequence[Quantity]) -> bool:
    return all(any(same_quantity(one, other) for other in quantities) for one in wanted)


def _sentences(mine: Analysis, theirs: Analysis) -> bool | None:
    """Two statements: what would keep two questions apart keeps them apart, too."""
    if reason := veto(mine, theirs):
        return None if reason == "scope" else False
    overlap = _overlap(mine, theirs)
    if overlap >= _SAME and mine.ids == theirs.ids and _names(mine, theirs) == 1:
        return True
    return False if overlap <= _FOREIGN else None


def _prose(mine: Analysis, theirs: Analysis, similarity: Callable[[], float | None]) -> bool | None:
    """More than a statement: the same numbers, codes and names, and most of the words, too."""
    more, fewer = not _has(theirs.quantities, mine.quantities), not _has(mine.quantities, theirs.quantities)
    overlap = _overlap(mine, theirs)
    alike = overlap >= _SAME_PROSE and _names(mine, theirs) >= _NAMES and mine.ids == theirs.ids
    if more and fewer:
        return False if alike or not _meet(mine.quantities, theirs.quantities) else None
    if alike and not more and not fewer:
        near = similarity()
        return True if near is None or near >= _NEAR else None
    if overlap > _FOREIGN:
        return None
    near = similarity()
    return False if near is None or near < _FAR else None


def _meet(mine: Sequence[Quantity], theirs: Sequence[Quantity]) -> bool:
    return any(same_quantity(one, other) for one in mine for other in theirs)


def _overlap(mine: Analysis, theirs: Analysis) -> float:
    """Share of the words' weight that both use, 0 to 1."""
    both = sum(map(mine.weights.__getitem__, mine.content & theirs.content))
    whole = sum(mine.weights.values()) + sum(theirs.weights.values())
    return 2 * both / whole if whole else 1.0


def _names(mine: Analysis, theirs: Analysis) -> float:
    """Share of the names that both say, however they write them, 0 to 1."""
    both = len(mine.capital & theirs.content) + len(theirs.capital & mine.content)
    whole = len(mine.capital) + len(theirs.capital)
    return both / whole if whole else 1.0
