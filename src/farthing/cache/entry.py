"""What is kept of an answer, and the store that all workers share."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import ceil
from typing import Protocol

import msgspec

from farthing.core.nouns import Scope

KEY_BYTES = 32
ROOM = 0.05
"""Share of a limit that is freed at once when it is reached, so that not every write has to."""


class Kind(StrEnum):
    """What an entry holds."""

    ANSWER = "answer"
    """The client's bytes of a complete, successful answer."""
    VECTOR = "vector"
    """The embedding of one text."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One kept answer. ``key`` is a digest of everything that it depends on, of ``KEY_BYTES``.

    ``body`` is what the client got, a stream's events one after another. ``usage`` maps unit names to the counts that
    the provider reported, ``cost`` is what it took then as decimal text (empty: unpriced); a hit is priced anew.
    ``served`` is the model's version by the provider's word. Instants are seconds since 1970; ``expires`` 0 is never.
    ``tenant`` names those it may be given to, ``scope`` says who asked first.
    """

    key: bytes
    namespace: str
    tenant: str
    made: float
    expires: float = 0.0
    kind: Kind = Kind.ANSWER
    body: bytes = b""
    stream: bool = False
    content_type: bytes = b"application/json"
    usage: Mapping[str, int] = {}
    cost: str = ""
    finish_reason: str = ""
    provider: str = ""
    model: str = ""
    served: str = ""
    scope: Scope = Scope()
    epoch: str = ""

    def holds(self, now: float) -> bool:
        """Whether it has not expired."""
        return not self.expires or now < self.expires

    @property
    def size(self) -> int:
        """Bytes that it takes, its fields included."""
        return len(self.body) + FIELDS_BYTES


FIELDS_BYTES = 512
"""About what an entry takes besides its body."""


class Purge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be forgotten: entries for which all that is said holds. Nothing said is everything.

    ``entry`` is a key as hex; ``scope`` are fields of who asked first, such as ``user`` or ``customer``; ``before`` is
    seconds since 1970.
    """

    entry: str = ""
    namespace: str = ""
    epoch: str = ""
    scope: Mapping[str, str] = {}
    before: float = 0.0


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """How much a store keeps."""

    entries: int = 0
    bytes: int = 0

    def beyond(self, limit: int) -> int:
        """About how many entries have to go so that there is some room below a limit; 0 while it is kept."""
        if self.bytes <= limit:
            return 0
        return max(1, ceil(self.entries * (self.bytes - limit * (1 - ROOM)) / self.bytes))


class Shared(Protocol):
    """Entries that several workers see. Nothing raises into a request: what cannot be read is not there.

    ``generation`` changes whenever something was purged: what was copied before may be gone.
    """

    async def get(self, key: bytes, now: float) -> Entry | None: ...

    async def get_many(self, keys: Iterable[bytes], now: float) -> dict[bytes, Entry]: ...

    async def put(self, entries: Iterable[Entry], *, since: int) -> bool:
        """Keep them, unless something was purged since that generation; whether that was done."""
        ...

    def generation(self) -> int: ...

    async def aclose(self) -> None: ...
