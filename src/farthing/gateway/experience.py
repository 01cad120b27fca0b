"""What the gateway has learned about its targets: how fast, how well, how long their answers are.

It belongs to the worker, not to a snapshot: a new snapshot keeps what was learned under the old one.
"""

from typing import TypeVar

from farthing.core.facts import ErrorKind, RequestFact, Status
from farthing.gateway.latency import Latency

Key = tuple[str, str, str]
"""A target's identity: provider, model, offer id."""

TOKENS_PER_BYTE = 0.25
"""Input tokens per estimated one before anything was observed; English text has about four bytes a token
(platform.openai.com/tokenizer)."""

OUTPUT_TOKENS = 250
"""Expected output tokens before anything was observed."""

FAILURES_ALLOWED = 3
"""Consecutive failures after which a target rests."""

LONGEST_REST_S = 60.0

LONGEST_WISH_S = 3600.0
"""A provider that asks for more rest than this is asked again after it."""

_MEAN_OF = 20
_MOST_ENTRIES = 4096
_MOST_PENDING = 8192

_TARGETS_FAULT = frozenset(
    {
        ErrorKind.CONNECT, ErrorKind.TIMEOUT, ErrorKind.RESET, ErrorKind.PROTOCOL, ErrorKind.BAD_BODY,
        ErrorKind.OVERLOADED, ErrorKind.AUTH, ErrorKind.NOT_FOUND, ErrorKind.SERVER,
    }
)  # fmt: skip
"""Failures that the next request would meet too; a bad request is its sender's."""


class Health:
    """Whether a target deserves traffic: it rests after repeated failures or when told to slow down.

    The rest doubles with each further failure, from one second up to ``LONGEST_REST_S``. Replace this class
    to replace the policy: routing asks for ``rests_until`` and ``why`` only.
    """

    __slots__ = ("failures", "rests_until", "why")

    def __init__(self) -> None:
        self.failures = 0
        self.rests_until = 0.0
        self.why = ""

    def succeeded(self) -> None:
        self.failures = 0
        self.rests_until = 0.0

    def failed(self, kind: ErrorKind, at: float, retry_after: float) -> None:
        """Count a failure that ended at ``at``; ``retry_after`` is the provider's own word in seconds, 0 for none."""
        self.failures += 1
        allowed = 1 if kind is ErrorKind.RATE_LIMIT or retry_after else FAILURES_ALLOWED
        if self.failures < allowed:
            return
        rest = min(retry_after, LONGEST_WISH_S) or min(2.0 ** min(self.failures - allowed, 10), LONGEST_REST_S)
        self.rests_until = max(self.rests_until, at + rest)
        self.why = f"{self.failures} failures in a row, last {kind}, rests {rest:g} s"


class Mean:
    """A mean that follows change: the plain mean of the first twenty values, exponential after that."""

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.count = 0
        self.value = 0.0

    def add(self, value: float) -> None:
        count = self.count
        if count < _MEAN_OF:
            count = self.count = count + 1
        self.value += (value - self.value) / count


class Track:
    """The record of one target."""

    __slots__ = ("health", "total", "ttft")

    def __init__(self) -> None:
        self.health = Health()
        self.total = Latency()
        self.ttft = Latency()


class Expectation:
    """Tokens to expect of one name, at one target or at any: input per estimated token, and output."""

    __slots__ = ("input", "output")

    def __init__(self) -> None:
        self.input = Mean()
        self.output = Mean()


Pending = tuple[str, int]
"""What was promised about a request whose outcome is still to come: the name asked for and the input's estimate."""

V = TypeVar("V")


class Experience:
    """Everything learned, in bounded memory: the oldest entries make room for new ones.

    ``changes`` counts what alters decisions: a target that fails or recovers, a quantile that moves.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._tracks: dict[Key, Track] = {}
        self._expected: dict[tuple[str, Key | None], Expectation] = {}
        self._pending: dict[str, Pending] = {}

    def track(self, key: Key) -> Track:
        """The record of a target, blank when it is new."""
        return self._tracks.get(key) or _added(self._tracks, key, Track())

    def expectation(self, asked: str, key: Key | None = None) -> Expectation:
        """What to expect of a name at a target, or of the name anywhere."""
        place = (asked, key)
        return self._expected.get(place) or _added(self._expected, place, Expectation())

    def promise(self, request_id: str, asked: str, input_estimate: int) -> None:
        """Remember a request's estimate until its outcome is observed."""
        if len(self._pending) >= _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        self._pending[request_id] = (asked, input_estimate)

    def observe(self, fact: RequestFact, retry_after: float = 0.0) -> None:
        """Learn from an attempt. What a client broke off teaches nothing."""
        if not fact.provider:
            return
        key = (fact.provider, fact.model, fact.offer)
        track = self.track(key)
        ended = fact.at.timestamp() + (fact.total_ms or 0.0) / 1000
        if fact.status is Status.OK:
            if track.health.failures:
                track.health.succeeded()
                self.changes += 1
            self._learn_tokens(fact, key)
        elif fact.error_kind in _TARGETS_FAULT or fact.error_kind is ErrorKind.RATE_LIMIT:
            track.health.failed(fact.error_kind, ended, retry_after)
            self.changes += 1
        if fact.status is Status.OK or fact.error_kind is ErrorKind.TIMEOUT:
            self.changes += _learn_latency(track, fact, ended)

    def _learn_tokens(self, fact: RequestFact, key: Key) -> None:
        promised = self._pending.pop(fact.request_id, None)
        if promised is None or not fact.usage:
            return
        asked, estimate = promised
        fresh = fact.input_tokens + fact.cache_read_tokens + fact.cache_write_tokens
        output = fact.output_tokens + fact.reasoning_tokens
        for expected in (self.expectation(asked, key), self.expectation(asked)):
            if estimate:
                expected.input.add(fresh / estimate)
            expected.output.add(output)


def _learn_latency(track: Track, fact: RequestFact, ended: float) -> bool:
    """The upstream's own time: what passed before this attempt began is not its doing. Whether a quantile moved."""
    if fact.upstream_ms is None:
        return False
    moved = track.total.add(fact.upstream_ms, ended)
    if fact.ttft_ms is not None and fact.total_ms is not None:
        waited = max(0.0, fact.total_ms - fact.upstream_ms)
        moved |= track.ttft.add(max(0.0, fact.ttft_ms - waited), ended)
    return moved


K = TypeVar("K")


def _added(entries: dict[K, V], key: K, new: V) -> V:
    """A new entry, for which the oldest goes when there are too many."""
    if len(entries) >= _MOST_ENTRIES:
        del entries[next(iter(entries))]
    entries[key] = new
    return new
