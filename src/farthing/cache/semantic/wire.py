"""What workers and the semantic cache's process say to each other: MessagePack in frames on a Unix stream socket.

A frame is the payload's length, four bytes big-endian, and the payload: one message, tagged with its kind. Messages
that want an answer carry an ``id`` that the answer repeats; answers may come in any order. Both ends are of one
release.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from farthing.cache.semantic.ports import Action, Standing

FRAME_BYTES = 8 * 1024 * 1024
"""No message is longer. Who sends a longer one is cut off."""

QUESTION_CHARS = 8_000
"""A longer question is not looked up: an embedding that is a mean of so many words says little."""

ANSWER_CHARS = 16_000
"""As much of an answer is compared and kept. The answer that is served comes whole from the shared store."""

What = Literal["entry", "user", "tenant", "namespace", "epoch", "all"]
"""What a purge names. ``entry``: the hexadecimal key of an answer. ``epoch``: what older epochs left of a namespace."""

_LENGTH = struct.Struct(">I")


class Lookup(msgspec.Struct, frozen=True, array_like=True, tag="lookup", gc=False):
    """Is there an answer to this question? ``room`` is a digest of all that must be equal, 32 bytes.

    ``tenant`` is a path such as ``acme/search``. ``user`` and ``key_id`` say whose entry it will be.
    """

    id: int
    namespace: str
    room: bytes
    tenant: str
    user: str
    key_id: str
    text: str


class Found(msgspec.Struct, frozen=True, array_like=True, tag="found", gc=False):
    """The answer to a ``Lookup``. ``key`` names the answer in the shared store, ``matched`` is its question.

    ``ticket`` is quoted in what follows: ``Served`` for ``serve``; ``Learn`` or ``Drop`` otherwise.
    """

    id: int
    action: Action
    ticket: int = 0
    key: bytes = b""
    matched: str = ""
    probability: float = 0.0
    similarity: float = 0.0
    reason: str = ""


class Learn(msgspec.Struct, frozen=True, array_like=True, tag="learn", gc=False):
    """A question was answered afresh, completely, and the answer stands in the shared store as ``key``.

    ``cost`` is decimal text, empty for unpriced; ``expires`` seconds since the epoch, 0 for never. With a ``ticket``
    the process knows the question. Without one, as in warming, the rest is given.
    """

    ticket: int
    key: bytes
    answer: str
    cost: str = "0"
    expires: float = 0.0
    namespace: str = ""
    room: bytes = b""
    tenant: str = ""
    user: str = ""
    key_id: str = ""
    text: str = ""


class Served(msgspec.Struct, frozen=True, array_like=True, tag="served", gc=False):
    """The entry was really served. ``saved`` is decimal text, what the answer would have cost; empty: unpriced."""

    ticket: int
    saved: str = "0"


class Drop(msgspec.Struct, frozen=True, array_like=True, tag="drop", gc=False):
    """Nothing comes of a ticket: the answer failed, was not complete, or may not be kept."""

    ticket: int


class Purge(msgspec.Struct, frozen=True, array_like=True, tag="purge", gc=False):
    """Remove entries from memory, index and disk. A ``tenant`` contains those below it."""

    id: int
    what: What
    value: str = ""


class Purged(msgspec.Struct, frozen=True, array_like=True, tag="purged", gc=False):
    """The answer to a ``Purge`` or a ``Feedback``: how many entries were removed."""

    id: int
    entries: int


class Feedback(msgspec.Struct, frozen=True, array_like=True, tag="feedback", gc=False):
    """Somebody says that serving the entry ``key`` to the question ``text`` was wrong, or right.

    A wrong one is removed. ``tenant`` confines who says so to what is theirs; empty: to nothing.
    """

    id: int
    key: bytes
    text: str
    wrong: bool
    tenant: str = ""


class Status(msgspec.Struct, frozen=True, array_like=True, tag="status", gc=False):
    """How do things stand? Without ``namespace``: of all."""

    id: int
    namespace: str = ""


class Recent(msgspec.Struct, frozen=True, array_like=True, tag="recent", gc=False):
    """The latest hits. An empty ``tenant`` or ``namespace`` means all of them."""

    id: int
    tenant: str = ""
    namespace: str = ""
    limit: int = 100


class Hit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A hit beside the question it matched. ``at`` is in seconds since the epoch, ``saved`` decimal text.

    ``wrong`` is what somebody said of it, ``None`` while nobody did.
    """

    at: float
    namespace: str
    tenant: str
    user: str
    question: str
    matched: str
    key: bytes
    probability: float
    similarity: float
    saved: str = "0"
    wrong: bool | None = None


class Hits(msgspec.Struct, frozen=True, array_like=True, tag="hits", gc=False):
    """The answer to ``Recent``, newest first."""

    id: int
    hits: tuple[Hit, ...]


class NamespaceState(msgspec.Struct, frozen=True, kw_only=True):
    """How one namespace stands. ``saved`` is decimal text, the sum of its hits since the start."""

    standing: Standing
    entries: int = 0
    saved: str = "0"


class State(msgspec.Struct, frozen=True, array_like=True, tag="state"):
    """The answer to ``Status``. ``memory`` and ``disk`` are bytes, ``judging`` pairs that wait for the judge."""

    id: int
    namespaces: Mapping[str, NamespaceState]
    entries: int = 0
    rooms: int = 0
    memory: int = 0
    disk: int = 0
    started: float = 0.0
    embedding: str = ""
    judging: int = 0


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed", gc=False):
    """The process could not do what message ``id`` asked for."""

    id: int
    problem: str


Request = Lookup | Learn | Served | Drop | Purge | Feedback | Status | Recent
Reply = Found | Purged | State | Hits | Failed

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def framed(message: Request | Reply) -> bytes:
    """A message as it goes over the socket."""
    payload = _encoder.encode(message)
    return _LENGTH.pack(len(payload)) + payload


def request(payload: bytes | bytearray | memoryview) -> Request:
    """What a worker said. Raises ``msgspec.DecodeError``."""
    return _requests.decode(payload)


def reply(payload: bytes | bytearray | memoryview) -> Reply:
    """What the process answered. Raises ``msgspec.DecodeError``."""
    return _replies.decode(payload)


class Frames:
    """Cuts a stream into payloads."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def take(self, data: bytes) -> Iterator[bytes]:
        """The payloads that are complete now. Raises ``ValueError`` for one that is longer than may be."""
        self._rest += data
        at = 0
        try:
            while len(self._rest) - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._rest, at)
                if length > FRAME_BYTES:
                    raise ValueError(f"a frame of {length} bytes")
                start, end = at + _LENGTH.size, at + _LENGTH.size + length
                if len(self._rest) < end:
                    break
                at = end
                yield bytes(self._rest[start:end])
        finally:
            del self._rest[:at]
