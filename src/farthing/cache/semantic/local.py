"""The questions of one host: vectors in memory, everything else in a file."""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from farthing.cache.semantic import rooms
from farthing.cache.semantic.entries import STEP, Entries, checkpoint, discard, is_damage
from farthing.cache.semantic.ports import Neighbour
from farthing.cache.semantic.questions import NEAREST, Observation, Question, Total, condition, of_hits, parts
from farthing.cache.semantic.rooms import Room
from farthing.cache.semantic.wire import Hit, What
from farthing.core.errors import UnavailableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Small = NDArray[np.int8]

FILE = "semantic.db"
FOLDER = "rooms"
EVICTED_SHARE = 0.01
EXPIRED_AT_ONCE = 1_000
CHECKPOINT_SECONDS = 20.0

_log = logging.getLogger(__name__)


class LocalQuestions:
    """``Questions`` in a folder. One process at a time; its loop is the only one that touches it."""

    def __init__(self, folder: Path, *, limit: int, embedding: str, dimensions: int) -> None:
        """``limit`` is in entries. Raises ``UnavailableError`` when the folder cannot be used.

        Damaged files are replaced: they hold nothing but copies.
        """
        self._file = folder / FILE
        self._folder = folder / FOLDER
        self._limit = limit
        self._dimensions = dimensions
        self._rooms: dict[bytes, Room] = {}
        self._checkpointed = time.monotonic()
        self._closing = threading.Event()
        self._entries = Entries.opened(self._file, embedding=embedding)
        try:
            self._load()
        except UnavailableError as problem:
            if not is_damage(problem):
                raise
            _log.warning("a damaged file is replaced by an empty one: %s", problem)
            self._entries.close()
            discard(self._file)
            self._rooms.clear()
            self._entries = Entries.opened(self._file, embedding=embedding)
        self._tidy()

    def _load(self) -> None:
        import numpy as np

        for number, room, vector in self._entries.vectors():
            self._room(room).add(number, np.frombuffer(vector, dtype=np.int8))
        for name, room in self._rooms.items():
            index = rooms.load(name, self._folder, self._dimensions) if room.due else None
            if index is not None:
                room.adopt(index)

    def _tidy(self) -> None:
        """Remove index files of rooms that are gone, and what a killed process left half-written."""
        if self._folder.is_dir():
            known = {name.hex() for name, room in self._rooms.items() if room.indexed}
            for file in self._folder.iterdir():
                if file.stem.partition("-")[0] not in known or file.suffix != rooms.SUFFIX:
                    file.unlink(missing_ok=True)

    async def nearest(self, room: bytes, vector: "Small", now: float) -> list[Neighbour]:
        here = self._rooms.get(room)
        return self._entries.neighbours(here.search(vector, NEAREST), now) if here is not None else []

    async def answers(self, keys: Sequence[bytes]) -> Mapping[bytes, str]:
        return self._entries.answers(keys)

    async def add(self, question: Question) -> None:
        import numpy as np

        if self._limit <= 0:
            return
        if len(self._entries) >= self._limit:
            count = max(1, int(self._limit * EVICTED_SHARE))
            await self._remove(self._entries.oldest(count), purge=False)
        number = self._entries.add(question)
        if number:
            self._room(question.room).add(number, np.frombuffer(question.vector, dtype=np.int8))

    async def tally(self, key: bytes, now: float, *, confirmed: int = 0, refuted: int = 0, served: int = 0) -> None:
        self._entries.tally(key, now, confirmed=confirmed, refuted=refuted, served=served)

    async def regroup(self, key: bytes, group: int) -> None:
        self._entries.regroup(key, group)

    async def forget(self, key: bytes) -> None:
        await self._remove(self._entries.where("key = ?", (key,)), purge=False)

    async def remove(self, what: What, value: str, *, epoch: str = "") -> int:
        where, values = condition(what, value, epoch=epoch)
        gone = self._entries.where(where, values)
        self._entries.delete_hits(*of_hits(what, value, where=where, values=values))
        await self._remove(gone, purge=True)
        self._entries.empty_log()
        return len(gone)

    async def hit(self, hit: Hit) -> None:
        self._entries.hit(hit)

    async def judged(self, key: bytes, text: str, *, wrong: bool, tenant: str) -> Hit | None:
        return self._entries.judged(key, text, wrong=wrong, tenant=tenant)

    async def hits(self, tenant: str, namespace: str, limit: int) -> Sequence[Hit]:
        return self._entries.hits(tenant, namespace, limit)

    async def totals(self) -> Mapping[str, Total]:
        return self._entries.totals()

    async def learned(self, namespace: str) -> bytes:
        return self._entries.learned(namespace)

    async def keep(self, namespace: str, dump: bytes) -> None:
        self._entries.keep(namespace, dump)

    async def share(self, namespace: str, body: bytes) -> None:
        """Nobody else is here."""

    async def shared(self) -> Sequence[Observation]:
        return ()

    async def upkeep(self, now: float) -> None:
        expired = self._entries.where("expires > 0 and expires <= ?", (now,), limit=EXPIRED_AT_ONCE)
        await self._remove(expired, purge=False)
        for name, room in list(self._rooms.items()):
            if room.due:
                await self._index(name, room)
            elif room.worth_saving:
                await self._save(name, room)
            room.catch_up()
        if time.monotonic() - self._checkpointed > CHECKPOINT_SECONDS:
            await asyncio.to_thread(checkpoint, self._file)
            self._checkpointed = time.monotonic()

    def rooms(self) -> int:
        return len(self._rooms)

    def disk(self) -> int:
        saved = self._folder.glob(f"*{rooms.SUFFIX}")
        return self._entries.bytes() + sum(file.stat().st_size for file in saved)

    def stop(self) -> None:
        """Build nothing more: what is being built in a thread is given up."""
        self._closing.set()

    async def aclose(self) -> None:
        self.stop()
        try:
            for name, room in self._rooms.items():
                if room.indexed and room.unsaved and not room.stale:
                    await self._save(name, room)
        finally:
            self._entries.close()

    def _room(self, name: bytes) -> Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(self._dimensions)
        return room

    async def _remove(self, gone: Sequence[tuple[int, bytes]], *, purge: bool) -> None:
        """First so that nobody finds them, then from disk, a few at a time, so that lookups go on."""
        by_room: dict[bytes, list[int]] = defaultdict(list)
        for number, name in gone:
            by_room[name].append(number)
        for name, ids in by_room.items():
            room = self._rooms.get(name)
            if room is not None:
                room.remove(ids, purge=purge)
                if not len(room):
                    del self._rooms[name]
            if purge:
                self._forget_files(name)
        for some in parts([number for number, _ in gone], STEP):
            self._entries.delete(some)
            await asyncio.sleep(0)

    def _forget_files(self, name: bytes) -> None:
        for file in rooms.files_of(name, self._folder):
            file.unlink(missing_ok=True)

    async def _index(self, name: bytes, room: Room) -> None:
        """Build a room's index beside the lookups, and save it."""
        ids, vectors, _ = room.lend(build=True)
        index = await asyncio.to_thread(rooms.built, ids, vectors, self._closing.is_set)
        if index is None:
            room.give_back()
            return
        room.adopt(index)
        await self._save(name, room)

    async def _save(self, name: bytes, room: Room) -> None:
        _, _, index = room.lend(build=False)
        try:
            if index is not None:
                await asyncio.to_thread(rooms.save, index, name, self._folder)
                room.unsaved = 0
        except (OSError, RuntimeError) as problem:
            _log.warning("the index of a room is not saved, the next start builds it: %s", problem)
        finally:
            room.give_back()
            if room.stale:
                self._forget_files(name)
