"""The last questions with a candidate, as rows of features: labeled, or served and perhaps never to be known."""

from threading import Lock
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CAPACITY = 20_000
"""Rows that are kept; beyond, the oldest goes."""

UNKNOWN = -1
"""In place of a label."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Rows as bytes, oldest first: ``rows`` float32, ``wrong`` int8, ``requests`` int64."""

    rows: bytes
    wrong: bytes
    requests: bytes


class Examples:
    """A ring of rows. A row is named by its place, which counts on and is never used again."""

    def __init__(self, width: int, kept: Kept | None = None) -> None:
        """``width`` is the number of features. Raises ``ValueError`` when ``kept`` does not fit it."""
        import numpy as np

        self._width = width
        self._lock = Lock()  # a fit copies the table in a thread of its own
        self._rows = np.zeros((256, width), np.float32)
        self._wrong = np.zeros(256, np.int8)
        self._requests = np.zeros(256, np.int64)
        self._start = self._end = 0
        if kept:
            rows = np.frombuffer(kept.rows, np.float32).reshape(-1, width)
            wrong, requests = np.frombuffer(kept.wrong, np.int8), np.frombuffer(kept.requests, np.int64)
            if not len(rows) == len(wrong) == len(requests) <= CAPACITY:
                raise ValueError("the columns of the examples differ in length")
            self._rows, self._wrong, self._requests = rows.copy(), wrong.copy(), requests.copy()
            self._end = len(rows)

    def __len__(self) -> int:
        return self._end - self._start

    def add(self, request: int, features: tuple[float, ...], wrong: int = UNKNOWN) -> int:
        """A row's place. ``request`` numbers the request; ``wrong`` is 1, 0 or ``UNKNOWN``."""
        with self._lock:
            if self._end == len(self._wrong) < CAPACITY:
                self._grow()
            place = self._end
            at = place % CAPACITY
            self._rows[at], self._wrong[at], self._requests[at] = features, wrong, request
            self._end += 1
            self._start = max(self._start, self._end - CAPACITY)
            return place

    def label(self, place: int, *, wrong: bool) -> bool:
        """What became known of a row later; false when the row is gone."""
        if not self._start <= place < self._end:
            return False
        self._wrong[place % CAPACITY] = wrong
        return True

    def forget(self, before: int) -> None:
        """Drops the rows of requests before this one."""
        with self._lock:
            while self._start < self._end and self._requests[self._start % CAPACITY] < before:
                self._start += 1

    def table(self) -> "tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.int64]]":
        """Copies of the rows, what is known of them, and their request numbers; oldest first."""
        import numpy as np

        with self._lock:
            order = np.arange(self._start, self._end) % CAPACITY
            return self._rows[order].astype(np.float64), self._wrong[order], self._requests[order]

    def keep(self) -> Kept:
        rows, wrong, requests = self.table()
        return Kept(rows=rows.astype("float32").tobytes(), wrong=wrong.tobytes(), requests=requests.tobytes())

    def _grow(self) -> None:
        import numpy as np

        size = min(CAPACITY, 2 * max(128, self._end))
        self._rows = np.resize(self._rows, (size, self._width))
        self._wrong, self._requests = np.resize(self._wrong, size), np.resize(self._requests, size)
