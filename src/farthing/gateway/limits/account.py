"""A worker's slices of pots, and the record of them that outlives the worker.

The record is a memory-mapped file of whole numbers, written with every change: what the kernel has survives a killed
process. It is locked while its worker lives, so that whoever can lock it knows that its worker is dead.
"""

import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from farthing.core.errors import UnavailableError
from farthing.core.leases import Granted, PotName, Remains, Slice
from farthing.core.limits import LENGTHS, Limit, Measure

SUFFIX = ".tally"
UNBOUNDED = 2**62
"""What is free of a limit that only counts."""

AHEAD_SECONDS = 4.0
AHEAD_REQUESTS = 8
"""A slice should last for so long, and cover so many of the largest requests."""

IDLE_SECONDS = 10.0
"""A slice that nobody used for so long goes back."""

FORGOTTEN_SECONDS = 120.0
"""An account that nobody used for so long is closed."""

SILENT_SECONDS = 4.0
"""What was spent is reported at least so often."""

_PLACES = {Measure.COST: 0, Measure.TOKENS: 1}
_CELLS = 5
"""Cells of a slice: its turn, what was spent, how much of that is in doubt, what was granted, what of that is free."""
_TURN, _SPENT, _DOUBT, _GRANTED, _FREE = range(_CELLS)
_CELL = 8
_FIRST_SLICES = 512


class Tally:
    """The record of one worker: five 64-bit numbers for each slice, at the place that ``take`` returned."""

    def __init__(self, folder: Path, worker: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{worker}{SUFFIX}"
        making = folder / f".{worker}.new"
        self._file = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._slices = 0
        self._free: list[int] = []
        self._cells: memoryview
        self._grow(_FIRST_SLICES)
        making.rename(self.path)

    def take(self) -> int:
        """Room for a slice; its turn is zero, which says that its numbers do not count."""
        if not self._free:
            self._grow(self._slices * 2)
        return self._free.pop()

    def at(self, room: int) -> memoryview:
        """The numbers of a slice. They stay the same in every larger map of the file."""
        return self._cells[room : room + _CELLS]

    def leave(self, room: int) -> None:
        """A slice is closed and the store knows all of it."""
        self._cells[room] = 0
        self._free.append(room)

    def close(self) -> None:
        """Everything was told to the store: no record is needed."""
        self.path.unlink(missing_ok=True)
        os.close(self._file)

    def abandon(self) -> None:
        """Let go of a record that somebody else has to settle. Its map would keep the lock."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    def _grow(self, slices: int) -> None:
        """A larger map of the same file; numbers stay where they are."""
        os.ftruncate(self._file, slices * _CELLS * _CELL)
        self._cells = memoryview(mmap.mmap(self._file, slices * _CELLS * _CELL)).cast("q")
        self._free.extend(range((slices - 1) * _CELLS, self._slices * _CELLS - 1, -_CELLS))
        self._slices = slices


class DeadTally:
    """The record of a worker that is gone; the lock on it is held until ``done``."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        self.holder = path.name.removesuffix(SUFFIX)

    def remains(self) -> list[Remains]:
        """What it says of each slice."""
        size = os.fstat(self._file).st_size // (_CELLS * _CELL) * (_CELLS * _CELL)
        cells = memoryview(os.pread(self._file, size, 0)).cast("q")
        slices = (cells[at : at + _CELLS].tolist() for at in range(0, len(cells), _CELLS))
        return [
            Remains(turn=turn, spent=spent, doubt=doubt, held=max(0, granted - free - spent))
            for turn, spent, doubt, granted, free in slices
            if turn
        ]

    def done(self, *, settled: bool) -> None:
        """Let go of it; it is removed once the store has what it says."""
        if settled:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def dead_tallies(folder: Path) -> Iterator[DeadTally]:
    """Records whose worker is dead, one at a time, each to be finished with ``done``."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as problem:
            raise UnavailableError(
                f"cannot read {path} ({problem.strerror})", remedy="Give Farthing's user its files back"
            ) from problem
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        if path.exists():
            yield DeadTally(path, file)
        else:
            os.close(file)


class Account:
    """A slice as its worker keeps it, in counted pieces.

    ``free`` is what may still be held: ``granted − spent − held``; limits that only count are granted more than
    anybody could use. ``low``: below that, more is fetched. ``taken``: what requests set aside since the last word,
    as far as somebody looked. ``left`` and ``most`` are what the store said last: what nobody has taken, and what
    there would be if every slice came back. ``waiting`` requests would use it, ``short``: one of them lacks it.
    ``place``: where what a request needs of it stands in (cost, tokens, 1).

    The order of writes matters to the record of a worker that is killed between two of them: what is not free any
    more counts as used, at worst as something that nobody knows.
    """

    __slots__ = (
        "cap", "cells", "doubt", "ends", "free", "granted", "hard", "largest", "left", "limit", "low", "most", "open",
        "over", "place", "pot", "reported", "room", "short", "spent", "spoken", "taken", "tight", "touched", "turn",
        "used", "waiting",
    )  # fmt: skip

    def __init__(
        self, limit: Limit, pot: PotName, ends: datetime | None, turn: int, tally: Tally, *, now: float
    ) -> None:
        self.limit = limit
        self.pot = pot
        self.ends = ends
        self.turn = turn
        self.hard = limit.hard
        self.place = _PLACES.get(limit.measure, 2)
        self.room = tally.take()
        self.cells = tally.at(self.room)
        self.granted = self.free = 0 if limit.hard else UNBOUNDED
        self.spent = self.doubt = 0
        self.cells[_SPENT] = self.cells[_DOUBT] = 0
        self.cells[_GRANTED] = self.cells[_FREE] = self.free
        self.cells[_TURN] = turn
        self.left = self.most = self.cap = limit.pieces
        self.used = 0
        self.low = self.largest = self.taken = 0
        self.waiting = 0
        self.reported = -1
        self.tight = self.over = self.short = False
        self.open = True
        self.touched = self.spoken = now

    @property
    def measure(self) -> Measure:
        """What is counted."""
        return self.limit.measure

    @property
    def held(self) -> int:
        """What is set aside for requests under way."""
        return self.granted - self.spent - self.free

    def follow(self, limit: Limit) -> None:
        """The limit was changed. By how much the store knows: what is free goes back, to be asked for anew."""
        if limit.hard != self.hard:
            self._grant((0 if limit.hard else UNBOUNDED) - self.free)
            self.hard = limit.hard
        self.limit = limit
        self.tight = True

    def ended(self, at: datetime) -> bool:
        """Whether its span is over, or nobody has used it for long."""
        return self.over or (self.ends is not None and self.ends <= at)

    def word(self, now: float, at: datetime, elapsed: float) -> Slice | None:
        """What there is to say to the store ``elapsed`` seconds after the last word; ``None`` for nothing.

        ``now`` is monotonic, ``at`` the time of day. What is not kept is given back here and now.
        """
        if self.taken or self.held or self.spent != self.reported:
            self.touched = now
        rate, self.taken = self.taken / elapsed, 0
        idle = now - self.touched > IDLE_SECONDS
        self.over = not (self.held or self.waiting) and now - self.touched > FORGOTTEN_SECONDS
        resting = idle or self.tight or self.ended(at)
        level = 0 if resting or not self.hard else self._level(rate)
        self.low = level // 2
        want = max(0, level - self.free)
        silent = now - self.spoken < SILENT_SECONDS
        keep = 0 if resting or self.short else max(0, self.free)
        gives = self.hard and self.free > keep
        news = self.reported != self.spent or (self.hard and self.granted != self.spent)
        if not (want or gives or self.waiting or self.reported < 0 or self.ended(at) or (news and not silent)):
            return None
        self.spoken = now
        return self._slice(keep, want)

    def hear(self, word: Granted, spent: int) -> None:
        """The store's answer to a word that said so much was spent."""
        self.reported = spent
        self.left, self.most, self.cap, self.used = word.left, word.most, word.cap, word.used
        self.tight, self.open = word.tight, word.open
        if self.hard:
            self._grant(word.granted - self.granted)
            self.low = min(self.low, self.free // 2)

    def unheard(self) -> None:
        """Nobody knows whether the store heard the last word: it is said again with the next message."""
        self.reported = -1

    def close(self) -> None:
        """The store knows all of it, and its room in the record is somebody else's from now on."""
        self.over = True
        self.cells = memoryview(bytearray(_CELLS * _CELL)).cast("q")

    def _grant(self, more: int) -> None:
        """So much more may be used, or less."""
        cells = self.cells
        if more < 0:
            cells[_FREE] = self.free + more
        cells[_GRANTED] = self.granted = self.granted + more
        cells[_FREE] = self.free = self.free + more

    def _level(self, rate: float) -> int:
        """How much should be at hand: what the next seconds will take, and a few of the largest requests."""
        self.largest -= self.largest >> 5
        if self.limit.measure is Measure.PARALLEL:
            return max(1, self.held // 4)
        return max(AHEAD_REQUESTS * self.largest, int(rate * AHEAD_SECONDS))

    def _slice(self, keep: int, want: int) -> Slice:
        limit = self.limit
        if self.hard:
            self._grant(min(self.free, keep) - self.free)
        return Slice(
            turn=self.turn,
            pot=self.pot,
            spent=self.spent,
            doubt=self.doubt,
            keep=max(0, self.granted - self.spent) if self.hard else 0,
            want=want,
            ends=self.ends,
            roll=int(LENGTHS[limit.per].total_seconds()) if limit.rolling else 0,
            unseeded=limit.since is not None and self.pot[2] < limit.since,
        )


def hold(accounts: Iterable[Account], amount: int) -> None:
    """Set the worst case of something aside. A loop without calls: every request pays for it."""
    for account in accounts:
        account.cells[_FREE] = account.free = account.free - amount


def use(accounts: Iterable[Account], amount: int) -> None:
    """Use something at once."""
    for account in accounts:
        account.cells[_FREE] = account.free = account.free - amount
        account.cells[_SPENT] = account.spent = account.spent + amount


def settle(accounts: Iterable[Account], held: int, spent: int, doubt: int = 0) -> None:
    """What was set aside came to this, as far as it is not in doubt."""
    for account in accounts:
        cells = account.cells
        cells[_SPENT] = account.spent = account.spent + spent
        if doubt:
            cells[_DOUBT] = account.doubt = account.doubt + doubt
        cells[_FREE] = account.free = account.free + held - spent
