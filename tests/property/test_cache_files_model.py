"""The feature cache against a model of it: whatever is written, read, forgotten, damaged, or interrupted anywhere."""

import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from farthing.cache import FeatureCache
from farthing.cache.files import depot
from farthing.cache.files.books import Books
from farthing.cache.files.entry import identity

TTL = 1000.0
KEYS = st.sampled_from([f"key{number}" for number in range(8)])
VALUES = st.tuples(st.sampled_from("abcdef"), st.sampled_from([0, 1, 4000, 4096, 9000, 30_000])).map(
    lambda drawn: (drawn[0] * drawn[1]).encode()
)
STEPS = ("marked", "value moved", "record moved", "settled")
"""How far a writer got that died."""


class DeathError(BaseException):
    """Stands for a process that ends here: nothing of it runs on but what the kernel does."""


def dying(after: str):
    """Let whoever writes die after a step."""
    moves = iter(STEPS[1:3])
    move, settle, mark = depot.move, Books.settle, depot.Depot._mark

    def dying_mark(self, index, touched):
        mark(self, index, touched)
        if after == "marked":
            raise DeathError

    def dying_move(path, to):
        move(path, to)
        if next(moves, "") == after:
            raise DeathError

    def dying_settle(self, index):
        pending = index.pending()
        settle(self, index)
        if pending and after == "settled":
            raise DeathError

    return (
        mock.patch.object(depot.Depot, "_mark", dying_mark),
        mock.patch.object(depot, "move", dying_move),
        mock.patch.object(Books, "settle", dying_settle),
    )


class FeatureCacheMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now = 1_800_000_000.0
        self.held: dict[str, list] = {}
        """Per key: value, when it was written, how often it was used, when last."""

    @initialize(blocks=st.integers(6, 40))
    def open(self, blocks):
        self.block = os.statvfs(self.folder).f_frsize
        self.limit = blocks * self.block
        self.cache = self.fresh()

    def fresh(self):
        return FeatureCache(self.folder / "cache", ttl=TTL, max_bytes=self.limit, clock=lambda: self.now)

    def teardown(self):
        shutil.rmtree(self.folder)

    # what the model says -------------------------------------------------------------------------------------------

    def blocks(self, size):
        return -(-size // self.block) * self.block

    def total(self):
        values = {value for value, *_ in self.held.values()}
        return len(self.held) * self.block + sum(self.blocks(len(value)) for value in values)

    def expire(self, keep=None):
        for key in [key for key, (_, written, *_) in self.held.items() if self.now - written >= TTL and key != keep]:
            del self.held[key]

    def make_room(self, keep=None):
        self.expire(keep)
        while self.total() > self.limit:
            leaving = min(
                (key for key in self.held if key != keep),
                key=lambda key: (*self.held[key][2:], identity(key)),
                default=None,
            )
            if leaving is None:
                return
            del self.held[leaving]

    def written(self, key, value):
        uses, used = self.held[key][2:] if key in self.held else (0, 0.0)
        self.held[key] = [value, self.now, uses, max(used, self.now)]

    # what happens ---------------------------------------------------------------------------------------------------

    @rule(key=KEYS, value=VALUES)
    def put(self, key, value):
        kept = self.cache.put(key, value)
        assert kept == (self.block + self.blocks(len(value)) <= self.limit)
        if kept:
            self.written(key, value)
            self.make_room(keep=key)
        else:
            self.held.pop(key, None)

    @rule(key=KEYS)
    def get(self, key):
        entry = self.held.get(key)
        fresh = entry is not None and self.now - entry[1] < TTL
        assert self.cache.get(key) == (entry[0] if fresh else None)
        if fresh:
            entry[2], entry[3] = entry[2] + 1, self.now

    @rule(key=KEYS, value=VALUES)
    def get_or_compute(self, key, value):
        entry = self.held.get(key)
        if entry is not None and self.now - entry[1] < TTL:
            assert self.cache.get_or_compute(key, lambda: value) == entry[0]
            entry[2], entry[3] = entry[2] + 1, self.now
        else:
            assert self.cache.get_or_compute(key, lambda: value) == value
            if self.block + self.blocks(len(value)) <= self.limit:
                self.written(key, value)
                self.make_room(keep=key)
            else:
                self.held.pop(key, None)

    @rule(seconds=st.sampled_from([0.5, 1.0, 400.0, 1000.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(key=KEYS)
    def remove(self, key):
        before = self.total()
        self.held.pop(key, None)
        assert self.cache.remove(key) == before - self.total()

    @rule()
    def trim(self):
        self.cache.trim()
        self.make_room()

    @rule()
    def reopen(self):
        self.cache.close()
        self.cache = self.fresh()

    @rule(key=KEYS, value=VALUES, after=st.sampled_from(STEPS))
    def die_while_writing(self, key, value, after):
        if self.block + self.blocks(len(value)) > self.limit:
            return
        self.cache.trim()  # a death loses no counts of uses here: what is at stake is order
        self.make_room()
        known = any(value == held for held, *_ in self.held.values())
        marks, moves, settles = dying(after)
        with marks, moves, settles:
            try:
                self.cache.put(key, value)
            except DeathError:
                pass
        self.cache = self.fresh()
        if after in ("record moved", "settled") or (after == "value moved" and known):
            self.written(key, value)
        assert self.cache.get(key) == (self.held[key][0] if key in self.held else None)
        if key in self.held:
            self.held[key][2:] = [self.held[key][2] + 1, self.now]
        self.cache.trim()
        self.make_room()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def damage(self, data):
        key = data.draw(st.sampled_from(sorted(self.held)))
        value, written, *_ = self.held[key]
        name = self.cache.show(key).blob.hex()
        (self.folder / "cache" / "blobs" / name[:2] / name[2:]).write_bytes(value[1:] + b"!")
        if self.now - written < TTL:
            assert self.cache.get(key) is None
        else:
            self.cache.verify(repair=True)
        for other in [other for other, (held, *_) in self.held.items() if held == value]:
            del self.held[other]

    @rule()
    def lose_the_index(self):
        self.cache.close()
        for path in (self.folder / "cache").glob("index.db*"):
            path.unlink()
        self.cache = self.fresh()
        for entry in self.held.values():
            entry[2:] = [0, entry[1]]

    # what always holds ---------------------------------------------------------------------------------------------

    @invariant()
    def sizes_are_exact(self):
        if not hasattr(self, "cache"):
            return
        stats = self.cache.stats()
        files = [path for part in ("entries", "blobs") for path in (self.folder / "cache" / part).rglob("*/*")]
        assert stats.bytes == sum(self.blocks(path.stat().st_size) for path in files) == self.total()
        assert stats.bytes <= self.limit
        assert {row.key for row in self.cache.list()} == set(self.held)
        assert list((self.folder / "cache" / "staging").iterdir()) == []

    @invariant()
    def everything_is_sound(self):
        if hasattr(self, "cache"):
            assert self.cache.verify().sound


TestFeatureCache = FeatureCacheMachine.TestCase
TestFeatureCache.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
