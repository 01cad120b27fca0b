"""What the semantic cache's service needs of others: somebody who decides and learns, and who compares answers."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from farthing.cache.semantic.ports import Namespace, Verdict
from farthing.cache.settings import NamespaceSettings

Agrees = Callable[[str, str], bool | None]
"""Whether two answers say the same; ``None`` when it cannot be told."""


class Learner(Namespace, Protocol):
    """A namespace whose decisions are fitted anew when there is enough to learn from."""

    @property
    def due(self) -> bool:
        """Whether there is."""
        ...

    def refit(self) -> None:
        """Learn from all labels. Runs in a thread while decisions go on."""
        ...


class Make(Protocol):
    """Makes a namespace's learner, from what it had learned before."""

    def __call__(self, settings: NamespaceSettings, learned: bytes) -> Learner: ...


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two questions of which nobody knows whether their answers agree. ``key`` is the first one's entry."""

    namespace: str
    key: bytes
    verdict: Verdict
    text: str
    answer: str
    candidate: str
    candidate_answer: str


class Judge(Protocol):
    """Somebody who is asked, later, whether two answers agree."""

    def take(self, pair: Pair) -> bool:
        """Put a pair into the queue; false when it is full."""
        ...

    def clear(self) -> None:
        """Forget the queue."""
        ...

    def __len__(self) -> int: ...
