"""What the forms of a word share: a light stemmer for English, British and American."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

_OUR = re.compile(r"(col|fav|behavi|hon|lab|neighb|flav|harb|rum|hum|vap|od|endeav|sav)our")
_VOWELS = "aeiou"
_VOWEL = re.compile(r"[aeiouy]")
_SHORT = 3
_SUFFIXES = (
    ("isation", "iz", 2),
    ("ization", "iz", 2),
    ("ation", "", 4),
    ("ing", "e", 3),
    ("ed", "e", 3),
    ("ly", "", 5),
)
"""Suffixes, what stands in their place, and how many letters there must be before them."""


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """What all forms of a lower-case word share. No dictionary: "renewing" and "renew" meet, and so may strangers."""
    forms = _forms()
    if len(word) <= _SHORT:
        return forms.get(word, word)
    if known := forms.get(word):
        return _trimmed(known)
    return _trimmed(_unsuffixed(_OUR.sub(r"\1or", word)))


def _unsuffixed(word: str) -> str:
    if word.endswith("ies") and len(word) > _SHORT + 1:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if known := _forms().get(word):
        return known
    for suffix, instead, least in _SUFFIXES:
        rest = word.removesuffix(suffix)
        if rest is not word and len(rest) >= least and _VOWEL.search(rest):
            return rest if rest.endswith(instead) else rest + instead
    return word


def _trimmed(word: str) -> str:
    """Without what spelling adds at the end: "cancell" and "cancel", "activate" and "activ" meet."""
    if len(word) <= _SHORT:
        return word
    if word.endswith("ate") and word[-4] not in _VOWELS and len(word) > 2 * _SHORT:
        word = word[:-3]
    word = word.removesuffix("e")
    if word.endswith("is") and len(word) > 2 * _SHORT - 1:
        word = word[:-1] + "z"
    if word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] + "y" if word.endswith("i") else word


class _Adjectives(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    plain: str
    doubled: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    forms: dict[str, str]
    adjectives: _Adjectives


@cache
def _forms() -> Mapping[str, str]:
    """What each irregular form is counted as, read on first use."""
    text = files("farthing.cache.semantic").joinpath("forms.toml").read_text(encoding="utf-8")
    data = msgspec.convert(tomllib.loads(text), _File)
    found = {form: base for base, forms in data.forms.items() for form in (base, *forms.split())}
    for adjective in data.adjectives.plain.split():
        compared = adjective[:-1] + "i" if adjective.endswith("y") else adjective.removesuffix("e")
        found |= {compared + "er": adjective, compared + "est": adjective}
    for adjective in data.adjectives.doubled.split():
        compared = adjective + adjective[-1]
        found |= {compared + "er": adjective, compared + "est": adjective}
    return found
