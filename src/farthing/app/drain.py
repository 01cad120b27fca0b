"""Carries the workers' journals into the ledger: every outcome once, every attempt accounted for.

The protocol. A segment is a source of the ledger, and the offset behind a batch's last frame is that
batch's version. A drainer reads frames from the last committed version on, so that whatever it had
written before it died is not written again. One drainer works at a time (``flock`` on the journal
folder), because two could cut their batches at different offsets. A segment is deleted when
everything in it is committed: after its end frame, or, when its worker has died, after its open
intents were written as abandoned attempts.
"""

import contextlib
import fcntl
import os
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from farthing.core.facts import RequestFact
from farthing.gateway.journal import LOCK, SUFFIX, Frame, Kind, Scan, abandoned, is_alive

BATCH = 20_000
"""Facts per commit at most, so that a long backlog needs bounded memory."""

_DRAIN_LOCK = "drain.lock"
_TABLE = "requests"


class FactSink(Protocol):
    """What draining asks of the ledger."""

    def append_requests(self, facts: Sequence[RequestFact], *, source: str, version: int) -> int:
        """Write them unless (source, version) was reached already; returns how many were written."""
        ...

    def last_version(self, table: str, source: str) -> int | None:
        """The highest version committed for a source."""
        ...


class Drained(msgspec.Struct, kw_only=True):
    """What one pass did. ``lost_bytes`` were damaged on disk and held no readable frame; ``used`` says when each key
    was last used, as far as these facts tell.
    """

    facts: int = 0
    abandoned: int = 0
    segments: int = 0
    lost_bytes: int = 0
    busy: bool = False
    used: dict[str, datetime] = msgspec.field(default_factory=dict[str, datetime])

    def note(self, facts: Sequence[RequestFact]) -> None:
        """Remember the keys that committed facts came with."""
        for fact in facts:
            if fact.key_id:
                self.used[fact.key_id] = max(fact.at, self.used.get(fact.key_id, fact.at))


class _Cursor:
    """How far one segment was read: its scan, its open intents, and what the ledger has."""

    def __init__(self, path: Path, committed: int) -> None:
        self.scan = Scan(path)
        self.committed = committed
        self.open: dict[int, Frame] = {}
        self.reported = 0

    def facts(self, *, final: bool) -> Iterator[tuple[RequestFact, int]]:
        """Facts the ledger has not seen, each with the offset behind it."""
        for frame in self.scan.frames(final=final):
            match frame.kind:
                case Kind.INTENT:
                    self.open[frame.offset] = frame
                    continue
                case Kind.END:
                    continue
                case Kind.OUTCOME:
                    self.open.pop(frame.intent, None)
                case Kind.NOTE:
                    pass
            if frame.end > self.committed:
                yield frame.fact(), frame.end


class Drainer:
    """Drains a journal folder into a ledger, pass by pass. Holds no state that a restart would miss."""

    def __init__(self, folder: Path, ledger: FactSink) -> None:
        self._folder = folder
        self._ledger = ledger
        self._cursors: dict[str, _Cursor] = {}

    def drain(self) -> Drained:
        """One pass over all segments. ``busy`` when another drainer is at work; nothing was done then."""
        done = Drained()
        with _only_one(self._folder) as mine:
            if not mine:
                self._cursors.clear()
                return Drained(busy=True)
            for worker in sorted(p for p in self._folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
                self._drain_worker(worker, done)
        return done

    def _drain_worker(self, folder: Path, done: Drained) -> None:
        alive = is_alive(folder)
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            self._drain_segment(path, f"journal/{folder.name}/{path.stem}", done, alive=alive)
        if not alive:
            _remove_empty(folder)

    def _drain_segment(self, path: Path, source: str, done: Drained, *, alive: bool) -> None:
        cursor = self._cursors.get(source)
        if cursor is None:
            cursor = self._cursors[source] = _Cursor(path, self._ledger.last_version(_TABLE, source) or 0)
        try:
            self._commit(cursor, source, done, final=not alive)
            if cursor.scan.ended or not alive:
                self._abandon(cursor, source, done)
                path.unlink()
                done.segments += 1
                del self._cursors[source]
        except BaseException:
            self._cursors.pop(source, None)
            raise
        done.lost_bytes += cursor.scan.lost - cursor.reported
        cursor.reported = cursor.scan.lost

    def _commit(self, cursor: _Cursor, source: str, done: Drained, *, final: bool) -> None:
        batch: list[RequestFact] = []
        version = cursor.committed
        for fact, version in cursor.facts(final=final):
            batch.append(fact)
            if len(batch) == BATCH:
                done.facts += self._ledger.append_requests(batch, source=source, version=version)
                cursor.committed = version
                done.note(batch)
                batch.clear()
        if batch:
            done.facts += self._ledger.append_requests(batch, source=source, version=version)
            cursor.committed = version
            done.note(batch)

    def _abandon(self, cursor: _Cursor, source: str, done: Drained) -> None:
        """Write the attempts that will never be settled, as the version behind the last frame's."""
        facts = [abandoned(frame) for frame in cursor.open.values()]
        if facts:
            written = self._ledger.append_requests(facts, source=source, version=cursor.scan.offset + 1)
            done.facts += written
            done.abandoned += written
            done.note(facts)


@contextlib.contextmanager
def _only_one(folder: Path) -> Generator[bool]:
    """Whether this is the only drainer, for as long as the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / _DRAIN_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(file)


def _remove_empty(folder: Path) -> None:
    """Drop the folder of a dead worker once its segments are gone."""
    if not any(folder.glob(f"*{SUFFIX}")):
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
