"""Streams of questions of which it is known who has whose answer, and policies that are run over them.

Utterances of one intent have one answer (Banking77, CLINC150: ``../shared/data/semcache``), so a served hit is wrong
when its entry's intent is another. A question that is asked afresh reveals its answer and becomes an entry; a served
one reveals nothing and adds nothing. What a policy is shown is what the semantic cache's process shows it: the ten
nearest entries so far, by the default embedding, and what happened near them."""

import asyncio
import csv
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from bench._report import Figure
from farthing.cache.semantic.comparing import AT_LEAST, representatives
from farthing.cache.semantic.embed import WordLlama, small
from farthing.cache.semantic.learner import Learner
from farthing.cache.semantic.ports import Action, Namespace, Neighbour
from farthing.cache.semantic.prior import weighed_features
from farthing.cache.semantic.questions import NEAREST
from farthing.cache.semantic.rooms import Room
from farthing.cache.semantic.vetoes import veto

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "semcache"
ROOM = b"room"
TARGET = 0.01
SHADOW = 0.1

Name = Literal["banking77", "clinc150"]
REQUESTS: dict[Name, int] = {"banking77": 5_000, "clinc150": 16_000}


class Utterances(msgspec.Struct, frozen=True, kw_only=True):
    """All of a set: texts, the number of each one's answer, unit vectors, and these as ``embed.small`` makes them."""

    texts: list[str]
    answers: list[int]
    vectors: "NDArray[np.float32]"
    small: "NDArray[np.int8]"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each request, in order: served, served wrongly, asked to measure."""

    hits: "NDArray[np.bool_]"
    wrong: "NDArray[np.bool_]"
    samples: "NDArray[np.bool_]"
    consider_us: float = 0.0
    fit_seconds: float = 0.0
    fits: int = 0

    def share(self, what: Literal["hits", "wrong", "samples"], half: int | None = None) -> float:
        """Of all requests, or of one half of them (0, 1), in percent."""
        values = {"hits": self.hits, "wrong": self.wrong, "samples": self.samples}[what]
        middle = len(values) // 2
        part = values if half is None else values[middle:] if half else values[:middle]
        return 100 * float(part.mean())


def load(name: Name) -> Utterances:
    """The set, embedded. Utterances out of every intent's scope are left out: nobody knows their answers."""
    pairs = _banking() if name == "banking77" else _clinc()
    numbers = {intent: at for at, intent in enumerate(dict.fromkeys(intent for _, intent in pairs))}
    texts = [text for text, _ in pairs]
    vectors = asyncio.run(WordLlama().embed(texts))
    return Utterances(
        texts=texts, answers=[numbers[intent] for _, intent in pairs], vectors=vectors, small=small(vectors)
    )


def order(utterances: Utterances, requests: int, seed: int) -> "NDArray[np.intp]":
    """Which utterances come, each once at most, in a random order."""
    import numpy as np

    return np.random.default_rng(seed).permutation(len(utterances.texts))[:requests]


def learner(seed: int) -> Learner:
    """The namespace as the cache's process makes it, with a randomness that can be repeated."""
    return Learner(target=TARGET, shadow=SHADOW, draw=random.Random(seed).random, veto=veto, lexical=weighed_features)


def cosine(threshold: float, seed: int) -> Learner:
    """The plain rule. Nobody samples it: the rate that it is compared by is the best it can have."""
    return Learner(target=TARGET, shadow=1e-9, draw=random.Random(seed).random, policy="cosine", threshold=threshold)


def run(utterances: Utterances, which: "NDArray[np.intp]", policy: Namespace) -> Outcome:
    """A stream under a policy; one that learns is fitted where it says that it is due."""
    import numpy as np

    room = _Room(utterances)
    hits, wrong, samples = (np.zeros(len(which), np.bool_) for _ in range(3))
    considered = fitted = 0.0
    fits = 0
    indexes: list[int] = which.tolist()
    for at, one in enumerate(indexes):
        neighbours = room.nearest(one)
        begun = time.process_time()
        verdict = policy.consider(utterances.texts[one], neighbours, float(at), room=ROOM, vector=utterances.small[one])
        considered += time.process_time() - begun
        agrees = verdict.entry is not None and room.agrees(one, verdict.entry)
        if verdict.action is Action.SERVE:
            hits[at], wrong[at] = True, not agrees
            continue
        samples[at] = verdict.action is Action.SAMPLE
        if verdict.entry is not None:
            policy.learn(verdict, agrees, float(at))
        key, group = room.add(one, representatives(verdict.entry, neighbours))
        policy.enter(ROOM, key, group, utterances.small[one])
        if isinstance(policy, Learner) and policy.due:
            begun = time.process_time()
            policy.refit()
            fitted, fits = fitted + time.process_time() - begun, fits + 1
    return Outcome(
        hits=hits,
        wrong=wrong,
        samples=samples,
        consider_us=considered / len(which) * 1e6,
        fit_seconds=fitted / max(1, fits),
        fits=fits,
    )


def best_static(
    utterances: Utterances, which: "NDArray[np.intp]", thresholds: Sequence[float]
) -> tuple[float, Outcome]:
    """The threshold on the cosine that serves most within the target, known only afterwards, and what it brings."""
    outcomes = [(threshold, run(utterances, which, cosine(threshold, 0))) for threshold in thresholds]
    kept = [pair for pair in outcomes if pair[1].share("wrong") <= 100 * TARGET]
    return max(kept or outcomes[-1:], key=lambda pair: pair[1].share("hits"))


ASKED: dict[Name, float] = {"banking77": 40.0, "clinc150": 45.0}
"""Served hits in percent of requests."""

STATIC = tuple(at / 200 for at in range(160, 200, 2))
"""Thresholds among which the best static one is looked for, .80 to .99."""

Peer = Callable[[Utterances, "NDArray[np.intp]"], Outcome]
"""Another product, run over the same stream with the same embedding."""


def figures(*, quick: bool, seeds: Sequence[int], peers: Mapping[str, Peer] | None = None) -> list[Figure]:
    """Hit rate, and wrong answers overall and in the worse half, for each stream and order.

    ``quick`` takes one order of 2,000 requests of Banking77, where nothing is asked for but the promise.
    """
    if not DATA.exists():
        print(f"streams: skipped, there is no {DATA}")
        return []
    names: list[Name] = ["banking77"] if quick else ["banking77", "clinc150"]
    found: list[Figure] = []
    for name in names:
        utterances = load(name)
        for seed in seeds[:1] if quick else seeds:
            which = order(utterances, 2_000 if quick else REQUESTS[name], seed)
            ours = run(utterances, which, learner(seed))
            beside = {"cosine .95": run(utterances, which, cosine(0.95, seed))}
            beside["best static"] = best_static(utterances, which, STATIC)[1]
            beside |= {peer: theirs(utterances, which) for peer, theirs in (peers or {}).items()}
            found += _rows(f"{name}, order {seed}", ours, beside, None if quick else ASKED[name])
    return found


def _rows(what: str, ours: Outcome, beside: Mapping[str, Outcome], asked: float | None) -> list[Figure]:
    note = (
        f"{ours.share('samples'):.1f} % sampled; {ours.consider_us:.0f} µs a decision, "
        f"{ours.fits} fits of {ours.fit_seconds:.1f} s"
    )
    return [
        Figure(
            what=f"{what}: hits",
            ours=ours.share("hits"),
            unit="%",
            at_least=asked,
            beside={name: one.share("hits") for name, one in beside.items()},
            note=note,
        ),
        Figure(
            what=f"{what}: wrong",
            ours=ours.share("wrong"),
            unit="%",
            at_most=100 * TARGET,
            beside={name: one.share("wrong") for name, one in beside.items()},
        ),
        Figure(
            what=f"{what}: wrong in the worse half",
            ours=_worse(ours),
            unit="%",
            at_most=100 * TARGET,
            beside={name: _worse(one) for name, one in beside.items()},
        ),
    ]


def _worse(outcome: Outcome) -> float:
    return max(outcome.share("wrong", 0), outcome.share("wrong", 1))


class _Room:
    """The entries so far, searched as the process does, and what is known of them."""

    def __init__(self, utterances: Utterances) -> None:
        self._all = utterances
        self._room = Room(utterances.small.shape[1])
        self._members: list[int] = []
        self._groups: list[int] = []
        self._confirmed: list[int] = []
        self._refuted: list[int] = []

    def nearest(self, one: int) -> list[Neighbour]:
        return [self._neighbour(at, cosine) for at, cosine in self._room.search(self._all.small[one], NEAREST)]

    def agrees(self, one: int, entry: Neighbour) -> bool:
        """Whether a question's answer is that of an entry."""
        return self._all.answers[one] == self._all.answers[self._members[_at(entry)]]

    def add(self, one: int, compared: Sequence[Neighbour]) -> tuple[bytes, int]:
        """A fresh answer: what it agrees with, of some entries, and a new entry; its key and group, 0 for a new one."""
        group = 0
        for number, near in enumerate(compared):
            if number >= AT_LEAST and group:
                break
            agrees = self.agrees(one, near)
            self._confirmed[_at(near)] += agrees
            self._refuted[_at(near)] += not agrees
            if agrees:
                group = group or near.group
                self._groups[_at(near)] = group
        number = len(self._members)
        self._room.add(number, self._all.small[one])
        self._members.append(one)
        self._groups.append(group or number + 1)
        self._confirmed.append(0)
        self._refuted.append(0)
        return _key(number), group

    def _neighbour(self, at: int, similarity: float) -> Neighbour:
        return Neighbour(
            key=_key(at),
            text=self._all.texts[self._members[at]],
            group=self._groups[at],
            similarity=similarity,
            confirmed=self._confirmed[at],
            refuted=self._refuted[at],
        )


def _key(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _at(entry: Neighbour) -> int:
    return int.from_bytes(entry.key, "big")


def _banking() -> list[tuple[str, str]]:
    with (DATA / "banking77_train.csv").open(encoding="utf-8", newline="") as lines:
        return [(row["text"], row["category"]) for row in csv.DictReader(lines)]


def _clinc() -> list[tuple[str, str]]:
    parts: dict[str, list[tuple[str, str]]] = json.loads((DATA / "clinc150.json").read_text(encoding="utf-8"))
    return [(text, intent) for name in ("train", "val", "test") for text, intent in parts[name]]
