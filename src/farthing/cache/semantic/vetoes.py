"""Reasons why two questions cannot have the same answer, however alike they sound.

A veto looks for what was swapped: a number, a date, a code, a unit, a negation, an opposite, a name, an order, a scope.
It only speaks when both questions were read surely enough; silence is no promise that they mean the same.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product

import msgspec

from farthing.cache.semantic.likeness import opposite, same_meaning, shared_kinds, slip
from farthing.cache.semantic.quantities import Quantity, same_quantity
from farthing.cache.semantic.text import Analysis, Question, read
from farthing.cache.semantic.words import Grammar, Lexicon, lexicon

_YEARS = range(1900, 2100)
_TWO, _TWO_DOZEN = 2, 24
_MANY = 1024
"""Pairs of words or numbers beyond which two texts are no rewording of each other, and none is compared singly."""


class _Pair(msgspec.Struct, frozen=True, gc=False):
    """Two questions, and the words that only one of them has."""

    left: Analysis
    right: Analysis
    only_left: frozenset[str]
    only_right: frozenset[str]
    known: Lexicon


def veto(a: Question, b: Question) -> str:
    """Why these two cannot share an answer; empty when nothing speaks against it. Symmetric.

    Reasons are ``number``, ``date``, ``id``, ``unit``, ``negation``, ``antonym``, ``entity``, ``order``, ``scope``.
    """
    left, right = read(a), read(b)
    mine, theirs = left.content, right.content
    only_left, only_right = mine - theirs, theirs - mine
    if len(only_left) * len(only_right) > _MANY or len(left.quantities) * len(right.quantities) > _MANY:
        return "" if left.quantities == right.quantities else "number"
    pair = _Pair(left, right, only_left, only_right, lexicon())
    for check in _CHECKS:
        if reason := check(pair):
            return reason
    return ""


def _quantities(pair: _Pair) -> str:
    """Numbers that only one side has. A weak one counts where the other side has one left, too."""
    if pair.left.quantities == pair.right.quantities:
        return ""
    rest = list(pair.right.quantities)
    lonely: list[Quantity] = []
    for number in pair.left.quantities:
        match = next((other for other in rest if same_quantity(number, other)), None)
        if match is None:
            lonely.append(number)
        else:
            rest.remove(match)
    lonely, rest = [q for q in lonely if rest or not q.weak], [q for q in rest if lonely or not q.weak]
    if not lonely and not rest:
        return ""
    return _difference(lonely, rest)


def _difference(left: Sequence[Quantity], right: Sequence[Quantity]) -> str:
    for one, other in product(left, right):
        if one.said == other.said and one.text == other.text:
            return "unit"
    return "date" if any(not q.dimension and q.value in _YEARS for q in (*left, *right)) else "number"


def _ids(pair: _Pair) -> str:
    """A code, an address or a quoted string on each side that the other does not have."""
    return "id" if pair.left.ids - pair.right.ids and pair.right.ids - pair.left.ids else ""


def _polarity(pair: _Pair) -> str:
    """A negation on one side, or an opposite on the other. Both take each other back: "not safe" is "unsafe"."""
    turned = _opposed(pair) or _turned(pair)
    denied = pair.left.negated != pair.right.negated and _denies(pair)
    if turned == denied:
        return ""
    return "antonym" if turned else "negation"


def _opposed(pair: _Pair) -> bool:
    return any(opposite(one, other, pair.known) for one in pair.only_left for other in pair.only_right)


def _turned(pair: _Pair) -> bool:
    """Whether a small word was turned round: "on" and "off", "before" and "after"."""
    mine, theirs = pair.left.particles, pair.right.particles
    if mine == theirs:
        return False
    return any(other in pair.known.antonyms.get(one, ()) for one in mine - theirs for other in theirs - mine)


def _denies(pair: _Pair) -> bool:
    """Whether what one side denies is what the other is about; when a problem is told in other words it is not."""
    mine, theirs = pair.left.denied - pair.right.denied, pair.right.denied - pair.left.denied
    return _about(mine, pair.right, pair.known) or _about(theirs, pair.left, pair.known)


def _about(denied: frozenset[str], other: Analysis, known: Lexicon) -> bool:
    return any(
        w in other.words or any(same_meaning(w, x, known) or opposite(w, x, known) for x in other.content)
        for w in denied
    )


def _scope(pair: _Pair) -> str:
    """Another form of the answer is wished for, or another kind of answer: a time and a place, a reason and a price."""
    if pair.left.styles != pair.right.styles:
        return "scope"
    grammar, asks = pair.known.grammar, frozenset({pair.left.ask, pair.right.ask})
    return "scope" if len(asks) == _TWO and asks <= grammar.answers and asks not in grammar.alike_answers else ""


def _kinds(pair: _Pair) -> str:
    """Two things of one kind, one on each side."""
    for one, other in product(pair.only_left, pair.only_right):
        for kind in shared_kinds(one, other, pair.known):
            return pair.known.reasons.get(kind, "entity")
    return ""


def _names(pair: _Pair) -> str:
    """A name on each side that the other does not have, and that is neither its abbreviation nor a slip of the pen."""
    mine, theirs = pair.left.capital & pair.only_left, pair.right.capital & pair.only_right
    if not mine or not theirs or any(_same_name(x, y, pair.known) for x in mine for y in theirs):
        return ""
    return "entity"


def _same_name(one: str, other: str, known: Lexicon) -> bool:
    """Two unknown names that differ by a letter are two; beside a known one it is taken for a slip."""
    if one.startswith(other) or other.startswith(one) or same_meaning(one, other, known):
        return True
    return (one in known.words or other in known.words) and slip(one, other, known)


def _order(pair: _Pair) -> str:
    """The same words in other parts: "A to B" and "B to A"."""
    left, right, grammar = pair.left, pair.right, pair.known.grammar
    if not grammar.mutual.isdisjoint((*left.words, *right.words)):
        return ""
    if (
        _reversed(left.roles, right.roles, pair.known)
        or _crossed(left.roles, right.roles, grammar)
        or _exchanged(left.words, right.words, grammar)
    ):
        return "order"
    return ""


def _reversed(left: Mapping[str, str], right: Mapping[str, str], known: Lexicon) -> bool:
    """Whether a word has the opposite role: "to the lake" and "from the lake"."""
    return any(right.get(word) in known.antonyms.get(role, ()) for word, role in left.items() if role)


def _crossed(left: Mapping[str, str], right: Mapping[str, str], grammar: Grammar) -> bool:
    """Whether two words have each other's role, and one of the roles is directed."""
    moved = [word for word in left if right.get(word, left[word]) != left[word]][:_TWO_DOZEN]
    crossed = ((x, y) for x, y in combinations(moved, 2) if left[x] == right[y] and left[y] == right[x])
    return any(left[x] in grammar.directed or left[y] in grammar.directed for x, y in crossed)


def _exchanged(left: Sequence[str], right: Sequence[str], grammar: Grammar) -> bool:
    """Whether the only difference is that two words changed places around something that is not symmetric."""
    if len(left) != len(right) or left == right:
        return False
    places = [i for i, (one, other) in enumerate(zip(left, right, strict=True)) if one != other]
    if len(places) != _TWO or places[1] - places[0] < _TWO:
        return False
    first, last = places
    swapped = left[first] == right[last] and left[last] == right[first]
    return swapped and grammar.symmetric.isdisjoint(left[first + 1 : last])


_CHECKS: tuple[Callable[[_Pair], str], ...] = (
    _quantities,
    _ids,
    _polarity,
    _scope,
    _kinds,
    _names,
    _order,
)
"""In this order: the first to speak names the reason, so what is surest and cheapest comes first."""
