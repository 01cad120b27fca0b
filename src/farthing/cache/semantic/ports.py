"""The values of the semantic cache, and what its parts ask of each other.

A *room* holds the questions that share everything that must be equal (tenant, model, system prompt, tools, …), so
that whatever lies in another room cannot be found at all. A *namespace* is what learns: its rooms share one
verifier and one promise about wrong answers. A *group* is a set of entries in one room whose answers agree.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    """A unit vector: a question's embedding."""
    Small = NDArray[np.int8]


class Neighbour(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An entry near a question: ``key`` is that of the answer in the shared cache, ``similarity`` the cosine.

    ``group`` numbers the entries of a room whose answers agree. ``confirmed`` and ``refuted`` count how often a
    question near it got an answer that agreed with its own, or did not. ``age`` is in seconds.
    """

    key: bytes
    text: str
    group: int
    similarity: float
    confirmed: int = 0
    refuted: int = 0
    served: int = 0
    age: float = 0.0


class Action(StrEnum):
    """What becomes of a question."""

    SERVE = "serve"
    """The entry's answer is good enough."""
    SAMPLE = "sample"
    """It would have been served, and is asked anyway, to measure how often that is wrong."""
    MISS = "miss"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a namespace says of a question and its neighbours.

    ``entry`` is the neighbour whose answer it is about, ``None`` where there is none. ``probability`` is that of its
    answer being right, ``reason`` a word why (``veto:number``, ``below_threshold``, ``too_few_labels``). ``features``
    go back into ``learn`` with the outcome. ``weight`` is how many would-be hits a sample stands for.
    """

    action: Action
    entry: Neighbour | None = None
    probability: float = 0.0
    reason: str = ""
    features: tuple[float, ...] = ()
    weight: float = 1.0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a namespace stands: what it measured, and what it promises.

    ``requests`` were looked up, ``hits`` served, ``would_hit`` includes those that were sampled or only measured.
    ``wrong`` is the measured share of requests that got (or would have got) a wrong answer, ``bound`` its one-sided
    upper confidence bound; ``None`` until there are labels. ``threshold`` is the least probability that is served,
    ``None``: nothing is. ``closed`` says why the namespace serves nothing, empty while it does.
    """

    requests: int = 0
    hits: int = 0
    would_hit: int = 0
    samples: int = 0
    labels: int = 0
    wrong: float | None = None
    bound: float | None = None
    target: float = 0.01
    threshold: float | None = None
    closed: str = ""
    vetoes: Mapping[str, int] = {}


class Namespace(Protocol):
    """One namespace's decisions and what it learned. Pure: no clock, no I/O, randomness passed in at its making."""

    def consider(
        self,
        text: str,
        neighbours: Sequence[Neighbour],
        now: float,
        *,
        room: bytes = b"",
        vector: "Small | None" = None,
    ) -> Verdict:
        """What becomes of a question. ``neighbours`` come nearest first, all of its own ``room``.

        ``vector`` is the question's, in int8 (``embed.small``); without it there is less to go by.
        """
        ...

    def enter(self, room: bytes, key: bytes, group: int, vector: "Small") -> None:
        """An entry was put into a room. ``group`` 0: one of its own, whose number its neighbours will tell."""
        ...

    def leave(self, key: bytes = b"") -> None:
        """An entry is to leave no trace; without ``key``, any might be meant."""
        ...

    def learn(self, verdict: Verdict, agrees: bool | None, now: float) -> None:  # noqa: FBT001 - it has three values
        """The question was answered afresh: whether that answer agrees with the entry's (``None``: cannot be told)."""
        ...

    def feedback(self, text: str, entry: Neighbour, *, wrong: bool, now: float) -> None:
        """Somebody says that a hit was wrong, or right."""
        ...

    def standing(self) -> Standing: ...

    def dump(self) -> bytes:
        """All it learned, to go on from after a restart."""
        ...
