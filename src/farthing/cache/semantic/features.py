"""What the learner sees of a question and its neighbours: the group they vote for, and numbers about it.

Neighbours vote with a weight that falls with the distance to the nearest one. The group with most weight is the
candidate's, its nearest entry the candidate. All features are plain floats: similarities, margins, votes, what
happened near these entries before, and how the words differ, rare words counting more.
"""

import math
import re
import zlib
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache

from farthing.cache.semantic import classifier
from farthing.cache.semantic.classifier import Opinion
from farthing.cache.semantic.ports import Neighbour

Lexical = Callable[[str, str], tuple[float, ...]]
"""Numbers about two texts, always as many."""

SHARPNESS = 12.0
"""How fast a vote's weight falls: one that is .1 less similar than the nearest counts 30 %."""

HEARSAY = 0.1
"""The chance that a group has at least in a vote, whatever the classifier says: it may not know it yet."""

HISTORY = (0.3, 1.7)
"""Refuted and confirmed that an entry without history is thought to have, so that one refutation is no verdict."""

BUCKETS = 1 << 14

_WORD = re.compile(r"\w+")


@lru_cache(maxsize=4096)
def _buckets(text: str) -> frozenset[int]:
    return frozenset([zlib.crc32(word.encode()) % BUCKETS for word in _WORD.findall(text.lower())])


class Words:
    """In how many questions each word occurred. Words are kept as hashes: memory is bounded and nothing can be read
    back.
    """

    def __init__(self, counts: bytes = b"", questions: int = 0) -> None:
        """``counts`` is what ``bytes`` gave. Raises ``ValueError`` when it is not."""
        self.counts = array("I", bytes(4 * BUCKETS))
        if counts:
            self.counts = array("I", counts)
            if len(self.counts) != BUCKETS:
                raise ValueError("the table of words has another size")
        self.questions = questions

    def see(self, text: str) -> None:
        """Counts a question's words."""
        self.questions += 1
        for bucket in self.of(text):
            self.counts[bucket] += 1

    def of(self, text: str) -> frozenset[int]:
        return _buckets(text)

    def rarity(self, words: frozenset[int]) -> float:
        """Sum of the words' inverse document frequencies, in nats."""
        known = self.questions + 10
        counts = self.counts
        return sum([math.log(known / (counts[word] + 1)) for word in words])


NAMES = (
    "similarity",
    "similarity_other",
    "margin",
    "similarity_mean",
    "similarity_nearest",
    "spread",
    "entries",
    "groups",
    "share",
    "lead",
    "is_nearest",
    "of_first_three",
    "group_wrong",
    "entry_wrong",
    "around_wrong",
    "group_known",
    "overlap",
    "asked_only",
    "entry_only",
    "asked_only_of_group",
    "asked_words",
    *classifier.NAMES,
)
"""The features in their order, before those of the pair of texts."""


class Ballot:
    """The vote of a question's neighbours, and the candidate it elects."""

    def __init__(self, neighbours: Sequence[Neighbour], opinion: Opinion | None = None) -> None:
        """``neighbours`` come nearest first and are at least one. ``opinion`` counts beside their votes."""
        nearest = neighbours[0].similarity
        votes: dict[int, float] = {}
        for one in neighbours:
            votes[one.group] = votes.get(one.group, 0.0) + math.exp(SHARPNESS * (one.similarity - nearest))
        if opinion is None:
            group = max(votes, key=votes.__getitem__)
        else:
            group = max(votes, key=lambda name: votes[name] * (HEARSAY + opinion.chance(name)))
        self.opinion = opinion
        self.neighbours = neighbours
        self.votes = votes
        self.group = [one for one in neighbours if one.group == group]
        self.candidate = self.group[0]

    def features(self, text: str, words: Words, lexical: Lexical | None = None) -> tuple[float, ...]:
        """All numbers about the candidate, in the order of ``NAMES``, then those of the pair of texts."""
        pair = lexical(text, self.candidate.text) if lexical else ()
        opinion = self.opinion.features(self.candidate.group) if self.opinion else classifier.SILENT
        return (*self._likeness(), *self._history(), *self._wording(text, words), *opinion, *pair)

    def _likeness(self) -> tuple[float, ...]:
        ours, everybody = self.group, self.neighbours
        mine = self.candidate.group
        best = ours[0].similarity
        other = next((one.similarity for one in everybody if one.group != mine), 0.0)
        total = sum(self.votes.values())
        second = max((vote for group, vote in self.votes.items() if group != mine), default=0.0)
        return (
            best,
            other,
            best - other,
            sum([one.similarity for one in ours]) / len(ours),
            everybody[0].similarity,
            everybody[0].similarity - everybody[-1].similarity,
            float(len(ours)),
            float(len(self.votes)),
            self.votes[mine] / total,
            (self.votes[mine] - second) / total,
            float(everybody[0].group == mine),
            sum([one.group == mine for one in everybody[:3]]) / 3,
        )

    def _history(self) -> tuple[float, ...]:
        known = sum([one.confirmed + one.refuted for one in self.group])
        return (_wrong(self.group), _wrong(self.group[:1]), _wrong(self.neighbours), math.log1p(known))

    def _wording(self, text: str, words: Words) -> tuple[float, ...]:
        asked = words.of(text)
        entry = words.of(self.candidate.text)
        group = entry.union(*[words.of(one.text) for one in self.group[1:4]])
        rare = words.rarity
        return (
            rare(asked & entry) / (rare(asked | entry) + 1e-9),
            rare(asked - entry),
            rare(entry - asked),
            rare(asked - group),
            float(len(asked)),
        )


def _wrong(entries: Sequence[Neighbour]) -> float:
    """Share of questions near these entries whose answer was not theirs, drawn towards that of unknown entries."""
    refuted = HISTORY[0] + sum([one.refuted for one in entries])
    return refuted / (refuted + HISTORY[1] + sum([one.confirmed for one in entries]))
