"""Which group of its room a question belongs to: a linear classifier over the vectors of the entries.

Neighbours tell of the ten nearest entries; this tells of all, and of which directions in the space of vectors make a
difference here. It is a multinomial logistic regression per room, fitted anew now and then by L-BFGS (Nocedal, Math.
Comp. 35, 1980) from where the last fit ended. Groups of few entries are one class of their own, "something else". A
room where hardly two answers agree has no classifier, and nothing is said of its questions.
"""

from collections import Counter
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Small = NDArray[np.int8]

CAPACITY = 8_192
"""Entries that are learned from, over all rooms; beyond, the oldest goes."""

LEAST = 3
"""Entries from which a group is a class of its own."""

CLASSES = 200
"""Groups of a room that are, the largest."""

STEPS = 40
"""Of the fit: some tenths of a second for thousands of entries."""

PENALTY = 1 / 30
"""Of the squared weights, beside the sum of the entries' log losses. Vectors are of length one."""

INTERCEPT = 0.3
"""In place of a 1: the penalty then counts for intercepts about as for other weights."""

OTHERS = -1
"""The class of all groups that are none of their own."""

NAMES = ("class_known", "class_margin", "class_log_odds", "class_first", "class_size")
"""What is said of a question and a group: whether the classifier knows it, how far it is before the next class, the
log odds of it against all others together, whether it is the likeliest, and how many entries tell (log)."""

SILENT = (0.0,) * len(NAMES)

_CERTAIN = 12.0


class Pupils(msgspec.Struct, frozen=True, kw_only=True):
    """The entries that are learned from, as bytes, oldest first: ``vectors`` int8; ``keys``, ``rooms`` (hashes) and
    ``groups`` int64.
    """

    dimensions: int = 0
    vectors: bytes = b""
    keys: bytes = b""
    rooms: bytes = b""
    groups: bytes = b""


class Classes(msgspec.Struct, frozen=True, kw_only=True):
    """A room's fitted classifier: ``weights`` float32, shape (classes, dimensions + 1); ``groups`` and ``sizes`` of
    the classes int64.
    """

    room: int
    groups: bytes
    sizes: bytes
    weights: bytes


class _Linear:
    """A room's classifier, ready to be asked."""

    def __init__(self, classes: Classes) -> None:
        """Raises ``ValueError`` when it is damaged."""
        import numpy as np

        self.classes = classes
        groups: list[int] = np.frombuffer(classes.groups, np.int64).tolist()
        self.sizes = np.log1p(np.frombuffer(classes.sizes, np.int64)).tolist()
        self.weights = np.frombuffer(classes.weights, np.float32).reshape(len(groups), -1)
        if len(groups) != len(self.sizes) or len(groups) < 2:  # noqa: PLR2004 - one of two, at the least
            raise ValueError("the classes of a room and their sizes differ in number")
        self.at = {group: at for at, group in enumerate(groups)}


class Opinion:
    """What a room's classifier says of one question."""

    def __init__(self, linear: _Linear, vector: "Small") -> None:
        import numpy as np

        row = vector.astype(np.float32)
        weights = linear.weights
        scores = weights[:, :-1] @ (row / np.sqrt(row @ row)) + INTERCEPT * weights[:, -1]
        self._linear, self._scores = linear, scores
        self._best = int(scores.argmax())
        self._odds = np.exp(scores - scores[self._best])
        self._sum = float(self._odds.sum())
        self._log = np.log

    def chance(self, group: int) -> float:
        """That the question belongs to a group, 0 where nothing is known of it."""
        at = self._linear.at.get(group)
        return 0.0 if at is None else float(self._odds[at]) / self._sum

    def features(self, group: int) -> tuple[float, ...]:
        """The numbers named by ``NAMES``."""
        at = self._linear.at.get(group)
        if at is None:
            return (-1.0, 0.0, 0.0, 0.0, 0.0)
        mine = float(self._odds[at])
        rest = self._sum - mine
        first = at == self._best
        odds = float(self._log(max(mine, 1e-9) / max(rest, 1e-9)))
        if first:
            self._odds[at] = 0.0
            margin = -float(self._log(max(float(self._odds.max()), 1e-9)))
            self._odds[at] = mine
        else:
            margin = float(self._scores[at] - self._scores[self._best])
        return (1.0, max(-_CERTAIN, min(_CERTAIN, margin)), max(-_CERTAIN, min(_CERTAIN, odds)), float(first),
                self._linear.sizes[at])  # fmt: skip


class Classifier:
    """The entries of a namespace's rooms, and the classifiers fitted to them. ``fit`` may run in another thread."""

    def __init__(self, kept: Pupils | None = None, classes: tuple[Classes, ...] = ()) -> None:
        """``kept`` and ``classes`` are what ``keep`` and ``classes`` gave. Raises ``ValueError`` for damaged ones."""
        self._lock = Lock()
        self.clear()
        if kept is not None and kept.dimensions:
            self._restore(kept)
        self._rooms = {one.room: _Linear(one) for one in classes}

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._dimensions = 0
            self._vectors: Any = None
            self._start = self._end = 0
            self._places: dict[int, int] = {}
            self._rooms: dict[int, _Linear] = {}

    def __len__(self) -> int:
        return self._end - self._start

    def enter(self, room: bytes, key: bytes, group: int, vector: "Small") -> None:
        """An entry, and its group; 0 when that is not known yet. Vectors of another length begin anew."""
        if len(vector) != self._dimensions:
            self.clear()
            self._make(len(vector))
        with self._lock:
            number = _number(key)
            self._drop(number)
            place = self._end % CAPACITY
            if self._end - self._start == CAPACITY:
                self._places.pop(int(self._keys[place]), None)
                self._start += 1
            elif place == len(self._keys):
                self._grow()
            self._vectors[place], self._keys[place] = vector, number
            self._room_of[place], self._groups[place] = _number(room), group
            self._places[number] = place
            self._end += 1

    def regroup(self, key: bytes, group: int) -> None:
        """An entry's group became known."""
        place = self._places.get(_number(key)) if self._places else None
        if place is not None:
            self._groups[place] = group

    def drop(self, key: bytes) -> None:
        """An entry is to leave no trace."""
        with self._lock:
            self._drop(_number(key))

    def opinion(self, room: bytes, vector: "Small | None") -> Opinion | None:
        """What is known of a question; ``None`` for nothing."""
        linear = self._rooms.get(_number(room)) if self._rooms and vector is not None else None
        if linear is None or vector is None or len(vector) + 1 != linear.weights.shape[1]:
            return None
        return Opinion(linear, vector)

    def fit(self) -> None:
        """Fits every room anew."""
        import numpy as np
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn, for fits only

        with self._lock:
            if not self._dimensions:
                return
            order = np.arange(self._start, self._end) % CAPACITY
            vectors, rooms, groups = self._vectors[order], self._room_of[order], self._groups[order]
            before = self._rooms
        fitted: dict[int, _Linear] = {}
        with threadpool_limits(limits=1):
            for room in np.unique(rooms[groups != 0]).tolist():
                here = (rooms == room) & (groups != 0)
                linear = _fitted(room, vectors[here], groups[here], before.get(room))
                if linear is not None:
                    fitted[room] = linear
        with self._lock:
            if self._rooms is before:  # nothing was forgotten in the meantime
                self._rooms = fitted

    def keep(self) -> Pupils:
        """All entries, as they are written down."""
        import numpy as np

        with self._lock:
            if not self._dimensions:
                return Pupils()
            order = np.arange(self._start, self._end) % CAPACITY
            return Pupils(
                dimensions=self._dimensions,
                vectors=self._vectors[order].tobytes(),
                keys=self._keys[order].tobytes(),
                rooms=self._room_of[order].tobytes(),
                groups=self._groups[order].tobytes(),
            )

    @property
    def classes(self) -> tuple[Classes, ...]:
        """What was fitted."""
        return tuple(linear.classes for linear in self._rooms.values())

    def _restore(self, kept: Pupils) -> None:
        import numpy as np

        vectors = np.frombuffer(kept.vectors, np.int8).reshape(-1, kept.dimensions)
        keys, rooms, groups = (np.frombuffer(part, np.int64) for part in (kept.keys, kept.rooms, kept.groups))
        if not len(vectors) == len(keys) == len(rooms) == len(groups) <= CAPACITY:
            raise ValueError("the columns of the entries differ in length")
        self._dimensions = kept.dimensions
        self._vectors = vectors.copy()
        self._keys, self._room_of, self._groups = (one.copy() for one in (keys, rooms, groups))
        self._end = len(keys)
        self._places = {number: place for place, number in enumerate(keys.tolist()) if number}

    def _make(self, dimensions: int) -> None:
        import numpy as np

        self._dimensions = dimensions
        self._vectors = np.zeros((256, dimensions), np.int8)
        self._keys, self._room_of, self._groups = (np.zeros(256, np.int64) for _ in range(3))

    def _grow(self) -> None:
        import numpy as np

        size = min(CAPACITY, 2 * max(128, self._end))
        self._vectors = np.resize(self._vectors, (size, self._dimensions))
        self._keys, self._room_of, self._groups = (
            np.resize(one, size) for one in (self._keys, self._room_of, self._groups)
        )

    def _drop(self, number: int) -> None:
        place = self._places.pop(number, None)
        if place is not None:
            self._vectors[place] = 0
            self._keys[place] = self._groups[place] = 0


def _fitted(room: int, vectors: "Small", groups: "NDArray[np.int64]", before: _Linear | None) -> _Linear | None:
    """A room's classifier; ``None`` where fewer than two groups have entries enough."""
    import numpy as np

    members: list[int] = groups.tolist()
    sizes = Counter(members)
    large = [group for group, size in sizes.most_common(CLASSES) if size >= LEAST]
    rest = len(groups) - sum(sizes[group] for group in large)
    names = [*large, OTHERS] if rest else large
    if len(large) < 1 or len(names) < 2:  # noqa: PLR2004 - one of two, at the least
        return None
    at = {group: number for number, group in enumerate(names)}
    labels = np.array([at.get(group, len(names) - 1) for group in members], np.intp)
    rows = vectors.astype(np.float32)
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    rows = np.hstack([rows, np.full((len(rows), 1), INTERCEPT, np.float32)])
    start = np.zeros((len(names), rows.shape[1]))
    if before is not None:
        for group, number in at.items():
            known = before.at.get(group)
            if known is not None:
                start[number] = before.weights[known]
    weights = _minimized(rows, labels, start)
    counts = np.array([sizes.get(group, rest) for group in names], np.int64)
    return _Linear(
        Classes(
            room=room,
            groups=np.array(names, np.int64).tobytes(),
            sizes=counts.tobytes(),
            weights=weights.astype(np.float32).tobytes(),
        )
    )


def _minimized(
    rows: "NDArray[np.float32]", labels: "NDArray[np.intp]", start: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """Weights, shape (classes, columns), of least penalized log loss."""
    import numpy as np
    from scipy import optimize  # noqa: PLC0415 - comes with scikit-learn, for fits only

    each = np.arange(len(rows))

    def loss(flat: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
        scores = rows @ flat.reshape(start.shape).astype(np.float32).T
        scores -= scores.max(axis=1, keepdims=True)
        chances = np.exp(scores)
        sums = chances.sum(axis=1, keepdims=True)
        value = float((np.log(sums[:, 0]) - scores[each, labels]).sum()) + PENALTY / 2 * float(flat @ flat)
        chances /= sums
        chances[each, labels] -= 1
        return value, (chances.T @ rows).ravel().astype(np.float64) + PENALTY * flat

    library: Any = optimize
    found = library.minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    weights: NDArray[np.float64] = found.x
    return weights.reshape(start.shape)


def _number(name: bytes) -> int:
    """A hash, never 0."""
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True) or 1
