"""What is kept of a question that was answered, and the store of them: files of one host, or Postgres."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from farthing.cache.semantic.ports import Neighbour
from farthing.cache.semantic.wire import Hit, What
from farthing.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Small = NDArray[np.int8]

NEAREST = 10
"""Neighbours that a question is compared with."""

HITS_KEPT = 5_000
"""The latest hits that people can look at."""


class Question(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A question and its answer. ``key`` names the answer in the shared store, and there is one question for each.

    ``vector`` is int8, see ``embed.small``. ``group`` 0: it begins one of its own. ``cost`` is decimal text. ``made``
    and ``expires`` are seconds since the epoch, 0 for never.
    """

    key: bytes
    namespace: str
    room: bytes
    tenant: str
    user: str
    key_id: str
    epoch: str
    text: str
    answer: str
    vector: bytes
    group: int = 0
    cost: str = "0"
    made: float = 0.0
    expires: float = 0.0


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """What a namespace keeps, and the sum that its hits saved, as decimal text."""

    entries: int = 0
    saved: str = "0"


class Observation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What another host learned: encoded, as its service wrote it. ``number`` grows."""

    number: int
    namespace: str
    body: bytes


class Questions(Protocol):
    """Where questions are kept and found. Every method raises ``UnavailableError`` where the store cannot be used."""

    async def nearest(self, room: bytes, vector: "Small", now: float) -> list[Neighbour]:
        """The questions of a room nearest to a vector, nearest first, without those that expired."""
        ...

    async def answers(self, keys: Sequence[bytes]) -> Mapping[bytes, str]:
        """The answers of entries, as far as they are here."""
        ...

    async def add(self, question: Question) -> None:
        """Keep a question; one of the same key is replaced. Where there are too many, the longest unused go."""
        ...

    async def tally(self, key: bytes, now: float, *, confirmed: int = 0, refuted: int = 0, served: int = 0) -> None:
        """Add to an entry's counts."""
        ...

    async def regroup(self, key: bytes, group: int) -> None:
        """Its answer agrees with those of a group after all."""
        ...

    async def forget(self, key: bytes) -> None:
        """Let an entry go that is of no use any more."""
        ...

    async def remove(self, what: What, value: str, *, epoch: str = "") -> int:
        """Remove entries, and hits that tell of them, from memory and disk; how many entries there were.

        ``epoch`` is what a namespace has now. Raises ``InputError`` for a value that names nothing.
        """
        ...

    async def hit(self, hit: Hit) -> None:
        """Remember a hit, and what it saved."""
        ...

    async def judged(self, key: bytes, text: str, *, wrong: bool, tenant: str) -> Hit | None:
        """Somebody says that serving ``key`` to ``text`` was wrong, or right; the latest such hit, if there was one."""
        ...

    async def hits(self, tenant: str, namespace: str, limit: int) -> Sequence[Hit]:
        """The latest hits, newest first. An empty ``tenant`` or ``namespace`` means all."""
        ...

    async def totals(self) -> Mapping[str, Total]:
        """What there is, by namespace."""
        ...

    async def learned(self, namespace: str) -> bytes:
        """What ``keep`` kept; empty for nothing."""
        ...

    async def keep(self, namespace: str, dump: bytes) -> None:
        """Keep what a namespace learned."""
        ...

    async def share(self, namespace: str, body: bytes) -> None:
        """Tell other hosts of an observation; of no effect where there are none."""
        ...

    async def shared(self) -> Sequence[Observation]:
        """What other hosts observed since this was asked last."""
        ...

    async def upkeep(self, now: float) -> None:
        """What is to be done now and then: expire, index, save."""
        ...

    def rooms(self) -> int:
        """How many rooms there are in memory."""
        ...

    def disk(self) -> int:
        """Bytes of its files."""
        ...

    def stop(self) -> None:
        """Begin nothing that takes long any more."""
        ...

    async def aclose(self) -> None:
        """Save, and close."""
        ...


def condition(what: What, value: str, *, epoch: str) -> tuple[str, tuple[str | bytes, ...]]:
    """A purge as SQL on ``namespace, tenant, user_id, key, epoch``, with ``?`` for values.

    A tenant is named whole, as ``Lookup`` has it, or by one of its fields: ``org=acme``. Raises ``InputError``.
    """
    if what != "all" and not value:
        raise InputError("nothing is named", field=what, value=value, remedy=f"Say which {what}")
    if what == "all":
        return "1 = 1", ()
    if what == "entry":
        return "key = ?", (_key(value),)
    if what == "epoch":
        return "namespace = ? and epoch <> ?", (value, epoch)
    if what == "tenant":
        return of_tenant(value)
    return {"user": "user_id = ?", "namespace": "namespace = ?"}[what], (value,)


def of_hits(
    what: What, value: str, *, where: str, values: tuple[str | bytes, ...]
) -> tuple[str, tuple[str | bytes, ...]]:
    """The same purge as SQL on hits, which show a question of whoever asked and one of the ``owner`` of the entry."""
    if what == "epoch":
        return "1 = 0", ()
    if what == "user":
        return "(user_id = ? or owner = ?)", (value, value)
    return where, values


def of_tenant(value: str) -> tuple[str, tuple[str, ...]]:
    """Whatever belongs to a tenant, as SQL."""
    name, equals, field = value.partition("=")
    if equals and name.isidentifier():
        return "instr(tenant, ?) > 0", (msgspec.json.encode((name, field)).decode(),)
    return "tenant = ?", (value,)


def parts(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """A long row in pieces."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _key(value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise InputError("no hexadecimal key", field="entry", value=value, remedy="Copy it from the hit") from None
