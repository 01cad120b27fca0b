"""What a short question says, read from its words alone: cheap enough for every request.

Nothing here understands a sentence. It finds what must be equal for two questions to have one answer (numbers, names,
negations, who does what to whom) and leaves the rest to similarity.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from farthing.cache.semantic.quantities import Quantity, quantity
from farthing.cache.semantic.stems import stem
from farthing.cache.semantic.words import Grammar, Lexicon, Phrases, lexicon

_TOKEN = re.compile(
    r"""(?P<id>https?://\S+ | www\.\S+ | [\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]+ | [A-Za-z]{1,32}[-_]?\d(?:[\w.-]*\w)?
            | [^\W_]{1,64}_\w+ | \d{1,32}[A-Za-z]{1,32}\d[\w-]*)
      | (?P<number>[$£€¥]?\d[\d,]*(?:\.\d+)*(?:[:/-]\d+)*(?:[%°]?[A-Za-z]{0,5}\b|%)?)
      | (?P<word>[^\W\d_]+(?:'[^\W\d_]+)?)
      | (?P<quoted>(?<!\w)["“`][^"”`]{1,80}["”`])
      | (?P<stop>[.?!;:,]+)
      | (?P<sign>[+$£€¥%])""",
    re.VERBOSE,
)
_QUOTES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "–": "-", "—": " - ", "\u00a0": " "})
_ENDINGS = {"re": "are", "ve": "have", "ll": "will", "d": "would", "m": "am"}
_QUESTION = {"what": "what", "which": "what", "whose": "who", "whom": "who", "how": "how"}
_NUMBER = "#"
"""What stands for a number among the words."""
_LIGHT, _NAME = 0.25, 1.5
_KEPT = 16384
_LONGEST = 8000
"""Characters that are read of a text: a question that is longer is told from others by its start."""
_REMEMBERED = 1000
"""Characters up to which an analysis is worth remembering."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A question taken apart. Words are stems in their order, without politeness.

    ``content`` are those that carry meaning, with how much they tell in ``weights``; ``names`` those among them that
    are written like a name or name a thing of a known kind, ``capital`` only the former; ``ids`` are codes, addresses,
    versions and quoted strings as they stand. ``negated``: an odd number of negations; ``denied`` are the words that
    follow them. ``styles`` are wishes for the form of the answer. ``roles`` tells by which preposition each content
    word is governed. ``ask`` is the kind of question, empty for a command. ``tense`` is ``past``, ``future`` or empty.
    ``particles`` are the small words that can turn a meaning round.
    """

    words: tuple[str, ...]
    content: frozenset[str]
    weights: Mapping[str, float]
    names: frozenset[str]
    capital: frozenset[str]
    quantities: tuple[Quantity, ...]
    ids: frozenset[str]
    negated: bool
    denied: frozenset[str]
    styles: frozenset[str]
    roles: Mapping[str, str]
    ask: str
    tense: str
    particles: frozenset[str]


Question = str | Analysis
"""A text, or what was read from it before."""


def read(question: Question) -> Analysis:
    """The analysis of a text; one that was made before is itself."""
    return question if isinstance(question, Analysis) else analyze(question)


def analyze(text: str) -> Analysis:
    """Takes a question apart. The last ones are remembered, a few kilobytes each, unless they are long."""
    return _remembered(text) if len(text) <= _REMEMBERED else take_apart(text)


@lru_cache(maxsize=_KEPT)
def _remembered(text: str) -> Analysis:
    return take_apart(text)


def take_apart(text: str) -> Analysis:
    """Takes a text apart, and remembers nothing."""
    known = lexicon()
    words, ids = _split(_plain(text[:_LONGEST]), known)
    joined = _joined(words, known)
    left, quantities = _counted(joined, known)
    return _analysis(left, quantities, ids, frozenset(_styles(joined, known)), known)


def _plain(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text).translate(_QUOTES)


class _Word(msgspec.Struct, gc=False):
    """A word on its way, in lower case; empty where a part of the sentence ends. ``name``: it is written like one."""

    text: str
    name: bool = False


def _split(text: str, known: Lexicon) -> tuple[list[_Word], list[str]]:
    """The words and the codes of a text. Capitals mean a name only where others are small, and not at the start."""
    words: list[_Word] = []
    ids: list[str] = []
    first, capitals = True, not (text.isupper() or text.istitle())
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match[0]
        if kind == "stop":
            first = token[-1] not in ",;:"
            words.append(_Word(""))
            continue
        if kind == "word":
            words.extend(_word(token, name=capitals and not first, known=known))
        elif kind in {"id", "quoted"}:
            ids.append(token.lower().strip('"“”`.,'))
            words.append(_Word(ids[-1], name=True))
        else:
            words.append(_Word(token.lower()))
        first = False
    return words, ids


def _word(written: str, *, name: bool, known: Lexicon) -> Iterator[_Word]:
    """A token as the words that it stands for: contractions are two, politeness none."""
    word = known.capitals.get(written, "") if name else ""
    word = word or written.lower()
    if word in known.grammar.polite:
        return
    base, apostrophe, ending = word.partition("'")
    if parts := known.contractions.get(word):
        yield from map(_Word, parts)
    elif not apostrophe:
        yield _Word(word, name and word != written)
    elif word.endswith("n't"):
        yield from (_Word(word[:-3]), _Word("not"))
    elif ending == "s" and base in known.grammar.copular:
        yield from (_Word(base), _Word("is"))
    elif ending in _ENDINGS:
        yield from (_Word(base), _Word(_ENDINGS[ending]))
    else:
        yield _Word(base if ending == "s" else base + ending, name and word != written)


def _joined(words: Sequence[_Word], known: Lexicon) -> list[_Word]:
    """Puts one word where several mean one, and leaves out politeness and fillers."""
    found: list[_Word] = []
    texts = [word.text for word in words]
    at = 0
    while at < len(words):
        word = words[at]
        length, becomes = _phrase(texts, at, known.phrases)
        if not length and (word.text not in known.openers or (found and found[-1].text)):
            found.append(word)
        elif becomes:
            name = becomes not in known.grammar.asking and any(w.name for w in words[at : at + length])
            found.append(_Word(becomes, name))
        at += length or 1
    return found


def _phrase(texts: Sequence[str], at: int, phrases: Phrases) -> tuple[int, str]:
    """How many words the longest phrase that starts here has, and what it becomes; 0 where none does."""
    following = phrases.get(texts[at])
    if following is None:
        return 0, ""
    for second in (texts[at + 1] if at + 1 < len(texts) else "", ""):
        for rest, becomes in following.get(second, ()):
            length = len(rest)
            if texts[at + 1 : at + 1 + length] == rest:
                return length + 1, becomes
    return 0, ""


def _counted(words: Sequence[_Word], known: Lexicon) -> tuple[list[_Word], list[Quantity]]:
    """Takes numbers and their units out of the words, and leaves a mark in their place."""
    left: list[_Word] = []
    found: list[Quantity] = []
    texts = [word.text for word in words]
    at = 0
    while at < len(words):
        number = quantity(texts, at, known)
        if number:
            found.append(number[0])
            left.append(_Word(_NUMBER))
        else:
            left.append(words[at])
        at += number[1] if number else 1
    return left, found


def _analysis(
    words: Sequence[_Word],
    quantities: Sequence[Quantity],
    ids: Sequence[str],
    styles: frozenset[str],
    known: Lexicon,
) -> Analysis:
    grammar = known.grammar
    plain = [w.text for w in words if w.text]
    stems = tuple([w if w in known.function else stem(w) for w in plain])
    content = frozenset([s for w, s in zip(plain, stems, strict=True) if _carries(w, known)])
    capital = frozenset([stem(w.text) for w in words if w.name]) & content
    names = capital.union([w for w in content if w in known.kinds and w not in known.light])
    return Analysis(
        words=stems,
        content=content,
        weights={w: _NAME if w in names else _LIGHT if w in known.light else 1.0 for w in content},
        names=names,
        capital=capital,
        quantities=tuple(quantities),
        ids=frozenset(ids),
        negated=sum([w in grammar.negations for w in plain]) % 2 == 1,
        denied=_denied(plain, known),
        styles=styles,
        roles=_roles(words, known),
        ask=_ask(plain, grammar),
        tense=_tense(plain, grammar),
        particles=grammar.particles.intersection(plain),
    )


def _carries(word: str, known: Lexicon) -> bool:
    grammar = known.grammar
    return not (word in known.function or word in grammar.negations or word in grammar.asking or word == _NUMBER)


def _roles(words: Sequence[_Word], known: Lexicon) -> Mapping[str, str]:
    """By which preposition each content word is governed: the last one said before it in its part of the sentence."""
    grammar = known.grammar
    roles: dict[str, str] = {}
    role = before = ""
    for word in words:
        text = word.text
        if text in grammar.governing:
            role = "" if text == "to" and before in grammar.infinitive else text
        elif not text or text in grammar.asking:
            role = ""
        elif text in known.function:
            role = role if text in grammar.articles or text in grammar.symmetric else ""
        else:
            roles.setdefault(stem(text), role)
        before = text
    return roles


def _ask(words: Sequence[str], grammar: Grammar) -> str:
    """The kind of question: its first asking word, else whether it can be answered with yes or no."""
    for word in words:
        if word in grammar.asking:
            return _QUESTION.get(word, word)
        if word in _QUESTION:
            return _QUESTION[word]
    return "yesno" if words and words[0] in grammar.deciding else ""


def _denied(words: Sequence[str], known: Lexicon) -> frozenset[str]:
    """The first word with a meaning after each negation."""
    found: list[str] = []
    wanted = False
    for word in words:
        if word in known.grammar.negations:
            wanted = True
        elif wanted and word not in known.function and word != _NUMBER:
            found.append(stem(word))
            wanted = False
    return frozenset(found)


def _styles(words: Sequence[_Word], known: Lexicon) -> Iterator[str]:
    texts = [word.text for word in words]
    at = 0
    while at < len(texts):
        length, style = _phrase(texts, at, known.styles)
        if length:
            yield style
        at += length or 1


def _tense(words: Sequence[str], grammar: Grammar) -> str:
    """That of the first auxiliary."""
    for word in words:
        if word in grammar.past:
            return "past"
        if word in grammar.future:
            return "future"
        if word in grammar.present:
            return ""
    return ""
