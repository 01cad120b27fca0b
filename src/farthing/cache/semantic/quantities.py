"""Numbers in a question: their values, their units, and the words that say them."""

import re
from collections.abc import Sequence

import msgspec

from farthing.cache.semantic.stems import stem
from farthing.cache.semantic.words import Lexicon

_NUMBER = re.compile(r"([$£€¥]?)([\d,]+(?:\.\d+)?)([%°]?)([a-z]*)")
_CURRENCIES = {"$": "usd", "£": "gbp", "€": "eur", "¥": "jpy"}
_MULTIPLIERS = {"k": 1e3, "mn": 1e6, "bn": 1e9, "hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_ORDINALS = frozenset({"st", "nd", "rd", "th", "s"})
_SPANS = frozenset({"time", "months"})
_TEN, _TWENTY = 10, 20
_CLOSE = 1e-9


class Quantity(msgspec.Struct, frozen=True, gc=False):
    """A number: ``value`` in the first unit of its ``dimension``, which is empty where no unit is said.

    ``said`` is the number without its unit. ``text`` stands for figures that are no quantity ("9:15", "2025/26",
    "4x4"); they have no value. ``weak``: a spelled-out "one", or the "a" of "a week", which only counts beside another
    number.
    """

    value: float
    dimension: str = ""
    said: float = 0.0
    text: str = ""
    weak: bool = False


def same_quantity(one: Quantity, other: Quantity) -> bool:
    """Whether two numbers may be the same: a unit that only one of them says is no difference."""
    if one.text != other.text:
        return False
    if one.dimension == other.dimension:
        return abs(one.value - other.value) <= _CLOSE * max(one.value, other.value)
    return not (one.dimension and other.dimension) and one.value == other.value


def quantity(words: Sequence[str], at: int, known: Lexicon) -> tuple[Quantity, int] | None:
    """The number that starts at a word, with its unit, and how many words say both; ``None`` where none does."""
    word = words[at]
    if word[:1].isdigit() or (len(word) > 1 and word[0] in _CURRENCIES):
        return _measured(_written(word), words, at + 1, known)
    if word in {"a", "an"}:
        return _single(words, at, known)
    if word not in known.grammar.numbers or (word == "one" and _pronoun(words, at, known)):
        return None
    number, used = _spelled(words, at, known)
    measured, length = _measured(number, words, at + used, known)
    return measured, length + used - 1


def _measured(number: Quantity, words: Sequence[str], at: int, known: Lexicon) -> tuple[Quantity, int]:
    """A number of one word in its unit, which is its suffix or starts at the next word; and how many words both are."""
    if unit := known.units.get(number.text):
        return Quantity(number.value * unit[1], unit[0], number.said), 1
    if number.dimension or number.text or at >= len(words):
        return number, 1
    if daytime := _daytime(words, at, known):
        return Quantity(number.value, daytime[0], number.said), 1 + daytime[1]
    if unit := known.units.get(words[at]) or known.units.get(stem(words[at])):
        return Quantity(number.value * unit[1], unit[0], number.said, weak=number.weak), 2
    return number, 1


def _daytime(words: Sequence[str], at: int, known: Lexicon) -> tuple[str, int] | None:
    """Such as "in the evening", which makes the number before it ``pm``."""
    for length in (3, 2):
        said = tuple(words[at : at + length])
        for name, phrases in (("am", known.grammar.am_after), ("pm", known.grammar.pm_after)):
            if said in phrases:
                return name, length
    return None


def _single(words: Sequence[str], at: int, known: Lexicon) -> tuple[Quantity, int] | None:
    """Such as "a week", which is one week."""
    unit = known.units.get(stem(words[at + 1])) if at + 1 < len(words) else None
    if not unit or unit[0] not in _SPANS:
        return None
    return Quantity(unit[1], unit[0], 1.0, weak=True), 2


def _spelled(words: Sequence[str], at: int, known: Lexicon) -> tuple[Quantity, int]:
    """Such as "five", "twenty five", "two hundred"."""
    numbers = known.grammar.numbers
    value, used = numbers[words[at]], 1
    ones = numbers.get(words[at + used], 0) if at + used < len(words) else 0
    if value >= _TWENTY and 0 < ones < _TEN:
        value, used = value + ones, used + 1
    if factor := _MULTIPLIERS.get(words[at + used]) if at + used < len(words) else None:
        value, used = value * factor, used + 1
    return Quantity(value, "", value, weak=words[at] == "one" and used == 1), used


def _pronoun(words: Sequence[str], at: int, known: Lexicon) -> bool:
    """Whether this "one" stands for a thing."""
    last = at + 1 == len(words) or not words[at + 1]
    return last or (at > 0 and words[at - 1] in known.grammar.pronominal)


def _written(word: str) -> Quantity:
    """What figures say. A suffix that is no multiplier stays in ``text``, to be taken for a unit or left."""
    match = _NUMBER.fullmatch(word)
    if not match:
        return _clock(word)
    currency, digits, sign, suffix = match.groups()
    value = float(digits.replace(",", ""))
    if suffix in _ORDINALS:
        suffix = ""
    if currency and suffix == "m":
        suffix = "mn"
    if factor := _MULTIPLIERS.get(suffix):
        value, suffix = value * factor, ""
    if currency:
        return Quantity(value, _CURRENCIES[currency], value)
    return Quantity(value, "percent" if sign == "%" else "", value, suffix)


def _clock(word: str) -> Quantity:
    """A time of day, or figures that are no quantity."""
    hours, colon, minutes = word.partition(":")
    if colon and hours.isdigit() and minutes == "00":
        return Quantity(float(hours), "", float(hours))
    return Quantity(0.0, text=word)
