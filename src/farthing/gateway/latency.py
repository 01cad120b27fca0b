"""How long offers take, as quantiles kept online in constant memory.

A histogram with logarithmic buckets bounds the *relative* error of every quantile (DDSketch: Masson,
Rim and Lee, VLDB 2019). Samples lose weight with age by forward decay (Cormode et al., ICDE 2009):
new samples get exponentially larger weights, so that nothing has to be scaled down until they grow
too large for a float.
"""

from array import array
from bisect import bisect_left
from itertools import accumulate
from math import ceil, exp, log

RELATIVE_ERROR = 0.02
"""No quantile is off by more than this share of itself, within ``LEAST_MS`` … ``MOST_MS``."""

LEAST_MS = 0.1
MOST_MS = 3_600_000.0
HALF_LIFE_S = 600.0
STALE_S = 300.0
"""Quantiles without a sample for this long are no longer held against an offer, so that it gets tried again."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = log(_GAMMA)
_BUCKETS = ceil(log(MOST_MS / LEAST_MS) / _LOG_GAMMA) + 1
_LARGEST_EXPONENT = 230.0
_REFRESH = 16
_FRESH = 128
"""Samples up to which every refresh counts: a rule that asks for so many may begin to hold with it."""


class Latency:
    """Decayed quantiles of one duration in milliseconds.

    ``at`` is seconds on any clock that moves forward; a sample from the past counts as one of now.
    ``p50``, ``p95`` and ``p99`` are refreshed with every sample while there are few, then with every
    sixteenth; ``quantile`` is always exact to ``RELATIVE_ERROR``.
    """

    __slots__ = ("_decay", "_newest", "_seen", "_start", "_total", "_weights", "p50", "p95", "p99")

    def __init__(self, *, half_life_s: float = HALF_LIFE_S) -> None:
        self._decay = log(2) / half_life_s
        self._weights = array("d", bytes(8 * _BUCKETS))
        self._total = 0.0
        self._start = 0.0
        self._newest = 0.0
        self._seen = 0
        self.p50 = self.p95 = self.p99 = 0.0

    def add(self, ms: float, at: float) -> bool:
        """Take a sample. Durations outside ``LEAST_MS`` … ``MOST_MS`` count as the nearest of them.

        Returns whether the refreshed quantiles may count differently: moved by a tenth, or fresh.
        """
        if not self._seen:
            self._start = self._newest = at
        self._newest = max(self._newest, at)
        age = self._decay * (self._newest - self._start)
        if age > _LARGEST_EXPONENT:
            self._rebase(age)
            age = 0.0
        weight = exp(age)
        bucket = ceil(log(ms / LEAST_MS) / _LOG_GAMMA) if ms > LEAST_MS else 0
        self._weights[bucket if bucket < _BUCKETS else _BUCKETS - 1] += weight
        self._total += weight
        self._seen += 1
        return (self._seen < _REFRESH or self._seen % _REFRESH == 0) and self._refreshed()

    @property
    def seen(self) -> int:
        """How many samples were ever taken."""
        return self._seen

    def samples(self, at: float) -> float:
        """How many samples the histogram is worth at ``at``: old ones count in part, and none once stale."""
        if not self._seen or at - self._newest > STALE_S:
            return 0.0
        return self._total * exp(-self._decay * (max(at, self._newest) - self._start))

    def quantile(self, q: float) -> float:
        """The ``q`` quantile in milliseconds, 0 without samples."""
        return self.quantiles((q,))[0]

    def quantiles(self, qs: tuple[float, ...]) -> tuple[float, ...]:
        """Several quantiles in one pass."""
        if not self._seen:
            return (0.0,) * len(qs)
        below = list(accumulate(self._weights))
        return tuple(_middle(bisect_left(below, q * below[-1])) for q in qs)

    def _refreshed(self) -> bool:
        before = (self.p50, self.p95, self.p99)
        now = self.p50, self.p95, self.p99 = self.quantiles((0.5, 0.95, 0.99))
        return self._seen <= _FRESH or any(abs(b - a) > a / 10 for a, b in zip(before, now, strict=True))

    def _rebase(self, age: float) -> None:
        """Scale the past down by its age, so that a sample of now weighs 1."""
        scale = exp(-age)
        self._weights = array("d", [w * scale for w in self._weights])
        self._total *= scale
        self._start = self._newest


def _middle(bucket: int) -> float:
    """The value within ``RELATIVE_ERROR`` of everything in a bucket."""
    return LEAST_MS * 2 * _GAMMA**bucket / (_GAMMA + 1) if bucket else LEAST_MS


__all__ = ["HALF_LIFE_S", "LEAST_MS", "MOST_MS", "RELATIVE_ERROR", "STALE_S", "Latency"]
