"""How two words relate: the same in other letters, the same in another word, opposites, or two things of one kind.

Words are stems, as ``words.stem`` makes them. All relations are symmetric.
"""

import math
from collections.abc import Iterator

from farthing.cache.semantic.words import Lexicon

_SLIP = 4
_LONG = 8
_WORD = 32
_REST = 3
_LESS = "les"
"""The stem of the suffix "-less"."""


def same_meaning(one: str, other: str, known: Lexicon) -> bool:
    """Whether two words are synonyms in the lexicon."""
    groups = known.groups.get(one)
    if groups and not groups.isdisjoint(known.groups.get(other, ())):
        return True
    mine, theirs = known.kinds.get(one), known.kinds.get(other)
    if not mine or not theirs:
        return False
    return any(theirs.get(kind) == name for kind, name in mine.items())


def shared_kinds(one: str, other: str, known: Lexicon) -> Iterator[str]:
    """The kinds of which two words name different ones, without being synonyms: two weekdays, two currencies."""
    mine, theirs = known.kinds.get(one), known.kinds.get(other)
    if not mine or not theirs or same_meaning(one, other, known):
        return
    for kind, name in mine.items():
        if theirs.get(kind, name) != name:
            yield kind


def opposite(one: str, other: str, known: Lexicon) -> bool:
    """Whether two words are opposites: as the lexicon has it, or by a prefix or suffix."""
    if other in known.antonyms.get(one, ()):
        return True
    if len(one) > len(other):
        one, other = other, one
    return _negated(one, other, known) or _opposed_prefixes(one, other, known)


def _negated(word: str, longer: str, known: Lexicon) -> bool:
    """Such as "lock" and "unlock", "cord" and "cordless"."""
    if len(word) < _REST:
        return False
    return longer == word + _LESS or (longer.endswith(word) and longer.removesuffix(word) in known.prefixes)


def _opposed_prefixes(one: str, other: str, known: Lexicon) -> bool:
    """Such as "inbound" and "outbound"."""
    if one[-_REST:] != other[-_REST:]:
        return False
    return any(_rest(one, x) == _rest(other, y) or _rest(one, y) == _rest(other, x) for x, y in known.opposed)


def _rest(word: str, prefix: str) -> str | float:
    """What follows a prefix; where nothing much does, something that equals nothing."""
    rest = word.removeprefix(prefix)
    return rest if _REST <= len(rest) < len(word) else math.nan


def slip(one: str, other: str, known: Lexicon) -> bool:
    """Whether two words differ by a slip of the pen: a letter too many, too few, wrong or exchanged; two in long words.

    At least one of them must be no word of the lexicon: two real words mean two things.
    """
    shorter, longer = (one, other) if len(one) <= len(other) else (other, one)
    allowed = 1 if len(longer) < _LONG else 2
    if not _SLIP <= len(longer) <= _WORD or one[0] != other[0] or len(longer) - len(shorter) > allowed:
        return False
    if one in known.words and other in known.words:
        return False
    return _distance(shorter, longer, allowed) <= allowed


def _distance(one: str, other: str, allowed: int) -> int:
    """Optimal string alignment distance (Damerau 1964, restricted), given up above ``allowed``."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, x in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, y in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if last and j > 1 and x == other[j - 2] and one[i - 2] == y:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > allowed:
            return allowed + 1
    return row[-1]
