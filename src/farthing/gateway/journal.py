"""The journal of a worker: what was begun and how it ended, in files that outlive the process.

A record is copied into a memory-mapped file. From then on it is the kernel's, so that it survives a worker
killed at any moment; a power cut may take the last seconds of it. An intent reserves room for its
outcome in the same, preallocated file, so that a full disk refuses new requests and never loses the
outcome of one that has begun. Mapping costs a fifth of a system call per record.

Layout: ``journal/<worker>/<number>.seg``, each a row of frames and then zeros. A worker's folder
carries a lock, ``flock``-ed while it lives. A segment without open intents that will get no more is
closed by an end frame and cut to its length.

Frame: ``magic, kind, length, intent, crc32`` and the payload, a ``RequestFact`` in MessagePack. An
outcome names its intent by the offset at which that began; the checksum covers head and payload.
"""

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

import msgspec

from farthing.core.errors import UnavailableError
from farthing.core.facts import RequestFact, Status

SUFFIX = ".seg"
LOCK = "lock"
MAGIC = b"\xfa\x17"
OUTCOME_ROOM = 8 * 1024
"""Bytes kept free for an outcome beyond the size of its intent: usage, cost lines, a short error."""
USUAL_INTENT = 4 * 1024
"""Bytes that few intents exceed."""

_HEAD = struct.Struct("<2sBxIQ")
_CRC = struct.Struct("<I")
_FRAME = _HEAD.size + _CRC.size
_LIMIT = 1024 * 1024
_WINDOW = 2 * _LIMIT
_SHORT = 200
_TEXTS = ("error", "unpriced", "served_model", "upstream_id", "finish_reason")


class Kind(IntEnum):
    """What a frame says."""

    INTENT = 1
    OUTCOME = 2
    NOTE = 3
    END = 4


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One record: where it begins and ends, the offset of the intent it settles, and the fact."""

    kind: Kind
    offset: int
    end: int
    intent: int
    payload: bytes

    def fact(self) -> RequestFact:
        return _decode(self.payload)


class Intent(msgspec.Struct, frozen=True, gc=False):
    """The handle of an attempt that has begun."""

    segment: "Segment"
    offset: int
    room: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RequestFact).decode


class Segment:
    """One file being written. Offsets only grow; ``reserved`` bytes belong to open intents."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.tail = 0
        self.reserved = 0
        self.intents = 0
        self._size = size - _FRAME
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _allocate(self._file, size)
            self._map = mmap.mmap(self._file, size)
        except OSError:
            os.close(self._file)
            path.unlink()
            raise

    @property
    def room(self) -> int:
        """Bytes that nobody has claimed."""
        return self._size - self.tail - self.reserved

    def write(self, kind: Kind, payload: bytes, intent: int = 0) -> int:
        """Append a frame and return its offset."""
        head = _HEAD.pack(MAGIC, kind, len(payload), intent)
        frame = b"".join((head, _CRC.pack(zlib.crc32(payload, zlib.crc32(head))), payload))
        offset = self.tail
        self.tail = end = offset + len(frame)
        self._map[offset:end] = frame
        return offset

    def close(self) -> None:
        """No more frames. A segment with open intents gets no end frame: its reader accounts for them."""
        if not self.intents:
            self.write(Kind.END, b"")
        self._map.close()
        if not self.intents:
            os.ftruncate(self._file, self.tail)
        os.close(self._file)


class SegmentJournal:
    """The ``Journal`` of one worker.

    ``worker`` must be new for every process: segments are known to the ledger by worker and number.
    A segment is left for a new one when it is full or ``seconds`` old, whichever comes first.
    """

    def __init__(
        self,
        folder: Path,
        worker: str,
        *,
        segment_bytes: int,
        clock: Callable[[], float],
        seconds: float = 300,
    ) -> None:
        self.folder = folder / worker
        self._bytes = segment_bytes
        self._clock = clock
        self._seconds = seconds
        self._number = 0
        self._lock = _locked_folder(self.folder)
        self._sealed: set[Segment] = set()
        self._expires = 0.0
        self._current = self._next()

    def intend(self, fact: RequestFact) -> Intent:
        """Record that an attempt is about to begin. Raises ``UnavailableError`` when there is no room."""
        payload = _packed(fact, _LIMIT // 2)
        room = len(payload) + _FRAME + OUTCOME_ROOM
        segment = self._segment(len(payload) + _FRAME + room)
        offset = segment.write(Kind.INTENT, payload)
        segment.reserved += room
        segment.intents += 1
        return Intent(segment, offset, room)

    def settle(self, intent: object, fact: RequestFact) -> None:
        """Record how it ended; once per intent."""
        assert isinstance(intent, Intent)  # noqa: S101 - the pipeline hands back what ``intend`` gave
        segment = intent.segment
        payload = _packed(fact, min(intent.room + segment.room - _FRAME, _LIMIT))
        segment.write(Kind.OUTCOME, payload, intent.offset)
        segment.reserved -= intent.room
        segment.intents -= 1
        if segment in self._sealed and not segment.intents:
            self._sealed.discard(segment)
            segment.close()

    def note(self, fact: RequestFact) -> None:
        """Record a fact that had no upstream call. Raises ``UnavailableError`` when there is no room."""
        payload = _packed(fact, _LIMIT)
        self._segment(len(payload) + _FRAME).write(Kind.NOTE, payload)

    def check(self) -> None:
        """Raise ``UnavailableError`` unless another attempt could be recorded."""
        self._segment(2 * USUAL_INTENT + OUTCOME_ROOM)

    def close(self) -> None:
        """Close every segment and let go of the lock."""
        for segment in (*self._sealed, self._current):
            segment.close()
        self._sealed.clear()
        os.close(self._lock)

    def _segment(self, room: int) -> Segment:
        """A segment with that much room, a new one if need be."""
        current = self._current
        if current.room >= room and (self._clock() < self._expires or not current.tail):
            return current
        try:
            following = self._next()
        except UnavailableError:
            if current.room >= room:
                return current
            raise
        if current.intents:
            self._sealed.add(current)
        else:
            current.close()
        self._current = following
        return following

    def _next(self) -> Segment:
        try:
            segment = Segment(self.folder / f"{self._number + 1:08d}{SUFFIX}", self._bytes)
        except OSError as problem:
            raise _unwritable(self.folder, problem) from problem
        self._number += 1
        self._expires = self._clock() + self._seconds
        return segment


class Scan:
    """Reads a segment's frames from the start, as far as they go.

    ``offset`` is where the next frame will begin. ``lost`` counts bytes that held no valid frame and
    were passed over to reach one that did. ``ended`` says that the end frame was read. A frame that
    is torn at the very end is never a loss: its writer died before anybody relied on it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset: int = 0
        self.lost = 0
        self.ended = False

    def frames(self, *, final: bool = False) -> Iterator[Frame]:
        """The frames there are now. Call again for those written since.

        ``final``: the writer is gone, so what cannot be read never will be, and is passed over. While
        it lives, an unreadable frame may be one half written, and reading waits before it.
        """
        with self.path.open("rb") as file:
            while not self.ended:
                start = self.offset
                file.seek(start)
                yield from self._parse(file.read(_WINDOW))
                if self.offset == start and not (final and self._pass_over(file)):
                    return

    def _parse(self, data: bytes) -> Iterator[Frame]:
        base = self.offset
        while not self.ended and (frame := _frame_at(data, self.offset - base, base)) is not None:
            self.offset = frame.end
            self.ended = frame.kind is Kind.END
            yield frame

    def _pass_over(self, file: BinaryIO) -> bool:
        """Move to the next valid frame behind a damaged stretch, if there is one."""
        file.seek(self.offset)
        rest = file.read()
        found = rest.find(MAGIC, 1)
        while found >= 0 and _frame_at(rest, found, self.offset) is None:
            found = rest.find(MAGIC, found + 1)
        self.lost += max(found, 0)
        self.offset += max(found, 0)
        return found >= 0


def is_alive(folder: Path) -> bool:
    """Whether the worker that owns this journal folder still runs."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def abandoned(intent: Frame) -> RequestFact:
    """The fact of an attempt whose worker died: what the provider billed is not known."""
    return msgspec.structs.replace(
        intent.fact(),
        status=Status.ABANDONED,
        cost=None,
        unpriced="the worker stopped before the answer ended; what the provider billed is not known",
    )


def _frame_at(data: bytes, at: int, base: int) -> Frame | None:
    if len(data) - at < _FRAME or data[at : at + len(MAGIC)] != MAGIC:
        return None
    _, kind, length, intent = _HEAD.unpack_from(data, at)
    start = at + _FRAME
    payload = data[start : start + length]
    (crc,) = _CRC.unpack_from(data, at + _HEAD.size)
    if length > _LIMIT or len(payload) < length or zlib.crc32(payload, zlib.crc32(data[at : at + _HEAD.size])) != crc:
        return None
    return Frame(Kind(kind), base + at, base + start + length, intent, payload)


def _packed(fact: RequestFact, room: int) -> bytes:
    """The fact in at most ``room`` bytes: without what may be long, if need be. Identity, usage and money stay."""
    payload = _encode(fact)
    if len(payload) <= room:
        return payload
    short = {name: getattr(fact, name)[:_SHORT] for name in _TEXTS}
    return _encode(msgspec.structs.replace(fact, lines=(), decision="", tags={}, **short))


def _locked_folder(folder: Path) -> int:
    """Make a worker's folder with its lock held, so that it is never seen without."""
    making = folder.with_name(f".{folder.name}.new")
    try:
        making.mkdir(parents=True, mode=0o700)
        lock = os.open(making / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        making.rename(folder)
    except OSError as problem:
        raise _unwritable(folder, problem) from problem
    return lock


def _allocate(file: int, size: int) -> None:
    """Claim the bytes on the device now, where the system can; write zeros where it cannot."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    block = b"\0" * (1024 * 1024)
    for start in range(0, size, len(block)):
        os.pwrite(file, block[: size - start], start)


def _unwritable(folder: Path, problem: OSError) -> UnavailableError:
    return UnavailableError(
        f"the journal in {folder} cannot be written ({problem.strerror or problem})",
        remedy="Free disk space or correct the folder's permissions; requests are refused until then",
    )
