"""A namespace that learns which answers may be served for a question that is only alike.

Every question that is answered afresh shows whether the candidate would have been right. From these labels the
learner fits a verifier, and from predictions for labels that the verifier had not seen it sets the lowest threshold
that keeps the promise. A share of would-be hits is asked anyway, most where the verifier is least sure. Until there
are enough labels, and from the moment that more is wrong than was thought, nothing is served.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from farthing.cache.semantic.classifier import Classes, Classifier, Opinion, Pupils
from farthing.cache.semantic.drift import Drift
from farthing.cache.semantic.examples import UNKNOWN, Examples, Kept
from farthing.cache.semantic.features import NAMES, Ballot, Lexical, Words
from farthing.cache.semantic.ports import Action, Neighbour, Standing, Verdict
from farthing.cache.semantic.threshold import Sampler, Threshold, lowest, upper
from farthing.cache.semantic.verifier import Model, Verifier, fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Veto = Callable[[str, str], str]
"""What speaks against two questions having one answer: a word such as ``number``; empty when nothing does."""

FIRST_FIT = 150
"""Labels before the first fit, and before the first one after a drift."""

RECENT = 1000
"""Requests, at the least, that stand for those to come; half of all where there are more."""

REMEMBERED = 500
"""Requests that are still believed after a drift."""

NEAR = 0.8
"""Candidates that are at least so probable are watched for drift, served or not."""

SLOTS = 10_000
"""Served hits about which feedback can still be learned from."""

REBUTTAL = 2
"""Entries of the candidate's own group that a veto would have kept apart from it, and wrongly: then it is no veto
here."""

TRIES = 3
"""Candidates that are put before the vetoes."""


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace's memory as it is written down. Another ``version`` is not read."""

    version: Literal[2] = 2
    standing: Standing
    examples: Kept
    words: bytes
    questions: int
    pupils: Pupils
    classes: tuple[Classes, ...]
    model: Model | None
    threshold: Threshold | None
    closed: str
    drift: list[float]
    spread: float
    wrong_samples: int
    next_fit: int


class Learner:
    """Decisions of one namespace, and what it learned. ``refit`` may run in a thread of its own, the rest in one."""

    def __init__(
        self,
        *,
        target: float,
        shadow: float,
        draw: Callable[[], float],
        policy: Literal["verifier", "cosine"] = "verifier",
        threshold: float = 0.95,
        learned: bytes | None = None,
        veto: Veto | None = None,
        lexical: Lexical | None = None,
    ) -> None:
        """``learned`` is what ``dump`` gave; damaged, or of another version or other features, it is as if there were
        none.

        ``draw`` gives uniform numbers from 0 to 1.
        """
        self._target, self._shadow, self._draw = target, shadow, draw
        self._cosine = threshold if policy == "cosine" else None
        self._veto, self._lexical = veto, lexical
        self._width = len(NAMES) + (len(lexical("a", "b")) if lexical else 0)
        self._places: OrderedDict[Hashable, int] = OrderedDict()
        self._reported: deque[int] = deque()
        self._begin()
        if learned:
            self._resume(learned)

    def consider(
        self,
        text: str,
        neighbours: Sequence[Neighbour],
        now: float,  # noqa: ARG002 - others may
        *,
        room: bytes = b"",
        vector: "NDArray[np.int8] | None" = None,
    ) -> Verdict:
        threshold = self._threshold
        self._requests += 1
        self._words.see(text)
        if not neighbours:
            return Verdict(action=Action.MISS, reason="no_neighbour")
        if self._cosine is not None:
            return self._by_similarity(neighbours[0], self._cosine)
        for one in neighbours:
            self._classifier.regroup(one.key, one.group)
        ballot, objection = self._hear(text, neighbours, self._classifier.opinion(room, vector))
        candidate = ballot.candidate
        if objection:
            self._vetoes[objection] = self._vetoes.get(objection, 0) + 1
            return Verdict(action=Action.MISS, entry=candidate, reason=f"veto:{objection}")
        features = ballot.features(text, self._words, self._lexical)
        probability = self._verifier.probability(features) if self._verifier else 0.0
        if threshold is None or probability < threshold.probability:
            reason = "below_threshold" if threshold else self._closed
            return Verdict(
                action=Action.MISS, entry=candidate, probability=probability, reason=reason, features=features
            )
        return self._would_hit(text, candidate, probability, features)

    def enter(self, room: bytes, key: bytes, group: int, vector: "NDArray[np.int8]") -> None:
        if self._cosine is None:
            self._classifier.enter(room, key, group, vector)

    def leave(self, key: bytes = b"") -> None:
        if key:
            self._classifier.drop(key)
        else:
            self._classifier.clear()

    def learn(self, verdict: Verdict, agrees: bool | None, now: float) -> None:  # noqa: ARG002, FBT001 - as agreed
        if agrees is None or verdict.entry is None or not verdict.features:
            return
        wrong = not agrees
        self._labels += 1
        place = self._places.get(_sign(verdict.entry, verdict.features))
        if verdict.action is Action.SAMPLE:
            self._samples += 1
            self._wrong_samples += wrong
        if place is None or not self._examples.label(place, wrong=wrong):
            self._examples.add(self._requests, verdict.features, int(wrong))
        if self._threshold is not None and verdict.probability >= min(NEAR, self._threshold.probability):
            self._drift.observe(verdict.probability, wrong=wrong)
            if self._drift.suspicion >= 1:
                self._close("drift")

    def feedback(self, text: str, entry: Neighbour, *, wrong: bool, now: float) -> None:  # noqa: ARG002 - as agreed
        place = self._places.get(_sign(entry, text))
        if place is not None:
            self._examples.label(place, wrong=wrong)
        if not wrong:
            return
        self._reported.append(self._requests)
        while self._reported[0] <= self._requests - RECENT:
            self._reported.popleft()
        if self._threshold is not None and len(self._reported) > self._target * RECENT:
            self._close("reported")

    def standing(self) -> Standing:
        wrong, bound = self._measured()
        threshold = self._threshold
        return Standing(
            requests=self._requests,
            hits=self._hits,
            would_hit=self._would,
            samples=self._samples,
            labels=self._labels,
            wrong=wrong,
            bound=bound,
            target=self._target,
            threshold=self._cosine or (threshold.probability if threshold else None),
            closed="" if self._cosine or threshold else self._closed,
            vetoes=dict(self._vetoes),
        )

    def dump(self) -> bytes:
        learned = Learned(
            standing=self.standing(),
            examples=self._examples.keep(),
            words=self._words.counts.tobytes(),
            questions=self._words.questions,
            pupils=self._classifier.keep(),
            classes=self._classifier.classes,
            model=self._verifier.model if self._verifier else None,
            threshold=self._threshold,
            closed=self._closed,
            drift=self._drift.levels,
            spread=self._sampler.spread,
            wrong_samples=self._wrong_samples,
            next_fit=self._next_fit,
        )
        return msgspec.msgpack.encode(learned)

    @property
    def due(self) -> bool:
        """Whether there are enough new labels for a fit."""
        return self._cosine is None and self._labels >= min(self._next_fit, self._next_classes)

    def refit(self) -> None:
        """Fits the classifier, and when there is enough for that, the verifier, and sets the threshold anew.

        It takes a second or two, on copies.
        """
        self._next_classes = self._labels + max(50, min(200, self._labels // 16))
        self._classifier.fit()
        if self._labels < self._next_fit:
            return
        self._next_fit = self._labels + max(50, min(500, self._labels // 8))
        epoch, requests = self._epoch, self._requests
        rows, wrong, numbers = self._examples.table()
        try:
            fitted = fit(rows, wrong)
        except ValueError:  # all that was seen agrees, or nothing does
            return
        start = _recent(numbers, requests)
        threshold = lowest(fitted.probabilities, wrong, numbers > start, requests=requests - start, target=self._target)
        if epoch != self._epoch:
            return  # closed in the meantime: this was fitted to what is no longer believed
        self._verifier, self._threshold = Verifier(fitted.model), threshold
        self._closed = "" if threshold else "target_not_kept"
        self._drift.relent()

    def _begin(self) -> None:
        self._examples = Examples(self._width)
        self._words = Words()
        self._classifier = Classifier()
        self._verifier: Verifier | None = None
        self._threshold: Threshold | None = None
        self._drift = Drift()
        self._sampler = Sampler(self._shadow)
        self._vetoes: dict[str, int] = {}
        self._requests = self._hits = self._would = self._samples = self._labels = self._wrong_samples = 0
        self._next_fit, self._next_classes, self._epoch = FIRST_FIT, FIRST_FIT, 0
        self._closed = "too_few_labels"

    def _resume(self, learned: bytes) -> None:
        try:
            memory = msgspec.msgpack.decode(learned, type=Learned)
            examples = Examples(self._width, memory.examples)
            words = Words(memory.words, memory.questions)
            classifier = Classifier(memory.pupils, memory.classes)
            verifier = Verifier(memory.model) if memory.model else None
        except (msgspec.DecodeError, ValueError):
            return
        if verifier and verifier.features != self._width:
            return
        self._examples, self._words, self._classifier, self._verifier = examples, words, classifier, verifier
        self._threshold, self._closed = memory.threshold, memory.closed
        self._drift = Drift(memory.drift)
        known = memory.standing
        self._sampler = Sampler(self._shadow, known.would_hit, memory.spread)
        self._vetoes = dict(known.vetoes)
        self._requests, self._hits, self._would = known.requests, known.hits, known.would_hit
        self._samples, self._labels, self._wrong_samples = known.samples, known.labels, memory.wrong_samples
        self._next_fit = self._next_classes = memory.next_fit

    def _hear(self, text: str, neighbours: Sequence[Neighbour], opinion: Opinion | None) -> tuple[Ballot, str]:
        """The candidate that no veto stands against, or the first with what stands against it."""
        ballot = first = Ballot(neighbours, opinion)
        if self._veto is None:
            return first, ""
        objection = self._objection(text, first)
        at, left = objection, neighbours
        for _ in range(TRIES - 1):
            left = [one for one in left if one is not ballot.candidate]
            if not at or not left:
                break
            ballot = Ballot(left, opinion)
            at = self._objection(text, ballot)
        return (first, objection) if at else (ballot, "")

    def _objection(self, text: str, ballot: Ballot) -> str:
        """A veto, unless entries whose answers agree show that what it is about makes no difference here."""
        veto, candidate = self._veto, ballot.candidate
        objection = veto(text, candidate.text) if veto else ""
        if not veto or not objection:
            return ""
        apart = sum([veto(candidate.text, one.text) == objection for one in ballot.group[1:]])
        return "" if apart >= REBUTTAL else objection

    def _by_similarity(self, nearest: Neighbour, threshold: float) -> Verdict:
        features = (nearest.similarity,) * self._width
        if nearest.similarity < threshold:
            return Verdict(action=Action.MISS, entry=nearest, probability=nearest.similarity, reason="below_threshold")
        self._would += 1
        if self._draw() < self._shadow:
            return Verdict(
                action=Action.SAMPLE, entry=nearest, probability=nearest.similarity, reason="sample",
                features=features, weight=1 / self._shadow,
            )  # fmt: skip
        self._hits += 1
        return Verdict(
            action=Action.SERVE, entry=nearest, probability=nearest.similarity, reason="similar", features=features
        )

    def _would_hit(self, text: str, entry: Neighbour, probability: float, features: tuple[float, ...]) -> Verdict:
        self._would += 1
        chance = self._sampler.chance(probability, self._drift.suspicion)
        if self._draw() < chance:
            return Verdict(
                action=Action.SAMPLE, entry=entry, probability=probability, reason="sample", features=features,
                weight=1 / chance,
            )  # fmt: skip
        self._hits += 1
        place = self._examples.add(self._requests, features, UNKNOWN)
        self._places[_sign(entry, features)] = self._places[_sign(entry, text)] = place
        while len(self._places) > 2 * SLOTS:
            self._places.popitem(last=False)
        return Verdict(action=Action.SERVE, entry=entry, probability=probability, reason="verified", features=features)

    def _close(self, reason: str) -> None:
        """Serves nothing until there are enough labels from after what went wrong."""
        self._threshold, self._closed = None, reason
        self._epoch += 1
        self._examples.forget(self._requests - REMEMBERED)
        self._next_fit = self._next_classes = self._labels + FIRST_FIT
        self._drift = Drift()
        self._reported.clear()

    def _measured(self) -> tuple[float | None, float | None]:
        """Wrong answers per request and their bound."""
        if self._threshold is not None:
            return self._threshold.wrong, self._threshold.bound
        if self._cosine is None or not self._samples:
            return None, None
        import numpy as np

        share = self._would / self._requests / self._samples
        return self._wrong_samples * share, float(upper(np.array([self._wrong_samples + 1.0]))[0] * share)


def _sign(entry: Neighbour, what: Hashable) -> Hashable:
    """What a served hit is found by: its entry, and the features or the question."""
    return hash((entry.key, what))


def _recent(numbers: "NDArray[np.int64]", requests: int) -> int:
    """The request after which everything stands for what is to come."""
    first = int(numbers[0]) - 1 if len(numbers) else 0
    return max(first, requests - max(RECENT, (requests - first) // 2))
