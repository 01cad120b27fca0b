"""Reads ``words.toml``: what is known of English words when two questions are compared."""

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

import msgspec

from farthing.cache.semantic.stems import stem

Phrases = Mapping[str, Mapping[str, Sequence[tuple[list[str], str]]]]
"""By first word, then second (empty for a single word), longest first: the other words, and what they become."""


class Grammar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds sentences together; ``words.toml`` says of each what it is."""

    negations: frozenset[str]
    asking: frozenset[str]
    deciding: frozenset[str]
    governing: frozenset[str]
    infinitive: frozenset[str]
    am_after: frozenset[tuple[str, ...]]
    pm_after: frozenset[tuple[str, ...]]
    articles: frozenset[str]
    particles: frozenset[str]
    polite: frozenset[str]
    past: frozenset[str]
    future: frozenset[str]
    present: frozenset[str]
    copular: frozenset[str]
    pronominal: frozenset[str]
    numbers: Mapping[str, float]
    answers: frozenset[str]
    alike_answers: frozenset[frozenset[str]]
    directed: frozenset[str]
    symmetric: frozenset[str]
    mutual: frozenset[str]


class Lexicon(msgspec.Struct, frozen=True, kw_only=True):
    """The words by stem.

    ``groups`` numbers the synonyms that a word belongs to. ``kinds`` says of what kinds a word names one, and which;
    ``reasons`` names the veto of each kind that is no ``entity``. ``implied`` are the words that a kind of question
    says already. ``units`` gives a unit's dimension and how many of the dimension's own unit it is. ``words`` are all
    that any part knows.
    """

    grammar: Grammar
    contractions: Mapping[str, tuple[str, ...]]
    capitals: Mapping[str, str]
    phrases: Phrases
    openers: frozenset[str]
    function: frozenset[str]
    light: frozenset[str]
    groups: Mapping[str, frozenset[int]]
    antonyms: Mapping[str, frozenset[str]]
    styles: Phrases
    implied: Mapping[str, frozenset[str]]
    prefixes: tuple[str, ...]
    opposed: tuple[tuple[str, str], ...]
    kinds: Mapping[str, Mapping[str, str]]
    reasons: Mapping[str, str]
    units: Mapping[str, tuple[str, float]]
    words: frozenset[str]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    grammar: dict[str, str | list[str]]
    contractions: dict[str, str]
    capitals: dict[str, str]
    abbreviations: dict[str, str]
    reasons: dict[str, str]
    fillers: list[str]
    openers: list[str]
    function: str
    light: str
    synonyms: list[str]
    antonyms: list[str]
    opposed_groups: list[str]
    styles: list[str]
    implied: dict[str, str]
    negating_prefixes: list[str]
    opposed_prefixes: list[str]
    phrases: dict[str, list[str]]
    kinds: dict[str, str]
    units: dict[str, str]


@cache
def lexicon() -> Lexicon:
    """The one lexicon, read on first use."""
    text = files("farthing.cache.semantic").joinpath("words.toml").read_text(encoding="utf-8")
    data = msgspec.convert(tomllib.loads(text), _File)
    antonyms = _antonyms([*map(_pair, data.antonyms), *_crossed(data.opposed_groups)])
    groups, kinds, light = _groups(data.synonyms), _kinds(data.kinds), frozenset(map(stem, data.light.split()))
    return Lexicon(
        grammar=_grammar(data.grammar),
        contractions={word: tuple(parts.split()) for word, parts in data.contractions.items()},
        capitals=data.capitals,
        phrases=_phrases({"": data.fillers, **_merged(data.phrases, data.fillers)}),
        openers=frozenset(data.openers),
        function=frozenset(data.function.split()),
        light=light,
        groups=groups,
        antonyms=antonyms,
        kinds=kinds,
        words=light.union(groups, antonyms, kinds),
        styles=_phrases({style: [style] for style in data.styles}),
        implied={ask: frozenset(map(stem, words.split())) for ask, words in data.implied.items()},
        prefixes=tuple(data.negating_prefixes),
        opposed=tuple(map(_pair, data.opposed_prefixes)),
        reasons={kind: reason for reason, kinds_of in data.reasons.items() for kind in kinds_of.split()},
        units=_units(data.units, data.abbreviations),
    )


def _grammar(table: Mapping[str, str | list[str]]) -> Grammar:
    """Splits what stands in one line, and counts the numbers."""
    split = {name: _split(words) for name, words in table.items()}
    numbers = {word: float(value) for value, word in enumerate(split.pop("numbers"))}
    numbers |= {word: 10.0 * value for value, word in enumerate(split.pop("tens"), start=3)}
    return msgspec.convert({**split, "mutual": [stem(w) for w in split["mutual"]], "numbers": numbers}, Grammar)


def _split(words: str | Sequence[str]) -> list[Any]:
    return words.split() if isinstance(words, str) else [line.split() for line in words]


def _merged(phrases: Mapping[str, Sequence[str]], fillers: Sequence[str]) -> dict[str, Sequence[str]]:
    return {**phrases, "": [*fillers, *phrases.get("", ())]}


def _phrases(phrases: Mapping[str, Iterable[str]]) -> Phrases:
    found: defaultdict[str, defaultdict[str, list[tuple[list[str], str]]]] = defaultdict(lambda: defaultdict(list))
    for becomes, variants in phrases.items():
        for variant in variants:
            first, *rest = variant.split()
            found[first][rest[0] if rest else ""].append((rest, becomes))
    return {
        first: {second: sorted(variants, key=lambda v: -len(v[0])) for second, variants in following.items()}
        for first, following in found.items()
    }


def _groups(lines: Iterable[str]) -> Mapping[str, frozenset[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for number, line in enumerate(lines):
        for word in line.split():
            found[stem(word)].add(number)
    return {word: frozenset(numbers) for word, numbers in found.items()}


def _pair(line: str) -> tuple[str, str]:
    left, right = line.split()
    return left, right


def _crossed(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        left, right = line.split("|")
        yield from product(left.split(), right.split())


def _antonyms(pairs: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for left, right in pairs:
        found[stem(left)].add(stem(right))
        found[stem(right)].add(stem(left))
    return {word: frozenset(others) for word, others in found.items()}


def _kinds(kinds: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for kind, members in kinds.items():
        for member in members.split():
            names = member.split("=")
            for name in names:
                found[stem(name)][kind] = names[0]
    return dict(found)


def _units(units: Mapping[str, str], abbreviations: Mapping[str, str]) -> Mapping[str, tuple[str, float]]:
    """By stem, and by abbreviation as it stands."""
    found: dict[str, tuple[str, float]] = {}
    for name, value in units.items():
        dimension, factor = value.split()
        found[stem(name)] = dimension, float(factor)
    return found | {short: found[stem(name)] for short, name in abbreviations.items()}
