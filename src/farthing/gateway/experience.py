"""What the gateway has learned about its targets: how fast, how well, how long their answers are.

It belongs to the worker, not to a snapshot: a new snapshot keeps what was learned under the old one.
"""

from collections.abc import Mapping
from time import perf_counter
from typing import TypeVar

import msgspec

from farthing.core.facts import ErrorKind, RequestFact, Status
from farthing.gateway.breaker import Breaker, State, Tolerance
from farthing.gateway.failure import ELSEWHERE, is_certain, is_of_account
from farthing.gateway.hedge import Purse
from farthing.gateway.latency import Latency
from farthing.gateway.pace import Pace
from farthing.gateway.retry import Budget

Key = tuple[str, str, str]
"""A target's identity: provider, model, offer id."""

TOKENS_PER_BYTE = 0.25
"""Input tokens per estimated one before anything was observed; English text has about four bytes a token
(platform.openai.com/tokenizer)."""

OUTPUT_TOKENS = 250
"""Expected output tokens before anything was observed."""

SLOW_TIMES = 3.0
"""A first byte that takes so many times its target's p95 is late."""

SLOW_LEAST_S = 1.0
"""No first byte is late before this: what takes a few milliseconds may take many times that."""

_TYPICAL = 20
"""Samples from which on a quantile says what is usual."""

_MEAN_OF = 20
_MOST_ENTRIES = 4096
_MOST_PENDING = 8192


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


class Conduct(msgspec.Struct, frozen=True, kw_only=True):
    """How targets are judged: when a breaker opens, and which share of a target's requests may be sent again."""

    tolerance: Tolerance = Tolerance()
    retry_share: float = 0.1


class Track:
    """The record of one target. ``account`` is the breaker that all targets of its provider share."""

    __slots__ = ("account", "budget", "health", "pace", "total", "ttft")

    def __init__(self, account: Breaker, conduct: Conduct) -> None:
        self.account = account
        self.health = Breaker(conduct.tolerance)
        self.pace = Pace()
        self.budget = Budget(conduct.retry_share)
        self.total = Latency()
        self.ttft = Latency()

    def against(self, now: float, tokens: int = 1) -> str:
        """What speaks against sending a call of so many tokens here now, as a sentence; empty if nothing does."""
        account, health, pace = self.account, self.health, self.pace
        if account.rests_until and account.refuses(now):
            return f"its account: {account.why}"
        if health.rests_until and health.refuses(now):
            return health.why
        if pace.limited or tokens > pace.tokens_left:
            free_at = pace.free_at(now, tokens)
            if free_at > now:
                return f"its rate limit is used up for another {free_at - now:.3g} s"
        return ""

    @property
    def probing(self) -> Breaker | None:
        """The breaker that is not closed, if one is: whoever sends now probes."""
        if self.account.rests_until:
            return self.account
        return self.health if self.health.rests_until else None


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

    def __init__(self, conduct: Conduct | None = None) -> None:
        self.changes = 0
        self._conduct = conduct or Conduct()
        self._tracks: dict[Key, Track] = {}
        self._accounts: dict[str, Breaker] = {}
        self._purses: dict[str, Purse] = {}
        self._expected: dict[tuple[str, Key | None], Expectation] = {}
        self._pending: dict[str, Pending] = {}

    def track(self, key: Key) -> Track:
        """The record of a target, blank when it is new."""
        return self._tracks.get(key) or _added(self._tracks, key, Track(self._account(key[0]), self._conduct))

    def purse(self, alias: str) -> Purse:
        """What an alias spends, and has spent on hedges."""
        return self._purses.get(alias) or _added(self._purses, alias, Purse())

    def breakers(self, now: float) -> Mapping[tuple[str, str], State]:
        """The state of every breaker by provider and model; an account's own has no model."""
        states = {(key[0], key[1]): track.health.state(now) for key, track in self._tracks.items()}
        return states | {(name, ""): account.state(now) for name, account in self._accounts.items()}

    def expectation(self, asked: str, key: Key | None = None) -> Expectation:
        """What to expect of a name at a target, or of the name anywhere."""
        place = (asked, key)
        return self._expected.get(place) or _added(self._expected, place, Expectation())

    def promise(self, request_id: str, asked: str, input_estimate: int) -> None:
        """Remember a request's estimate until its outcome is observed."""
        if len(self._pending) >= _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        self._pending[request_id] = (asked, input_estimate)

    def clear(self, key: Key, now: float) -> Track | None:
        """The record of a target that is well and not limited; a first attempt is counted. ``None`` otherwise."""
        track = self.track(key)
        health = track.health
        if (
            health.rests_until
            or track.account.rests_until
            or track.pace.limited
            or not track.pace.tokens_left
            or (health.waiting and health.overdue(now, _waited))
        ):
            return None
        track.budget.sent(now)
        return track

    def sending(self, track: Track, now: float) -> bool:
        """A call is about to be sent to a target; whether it is a probe of one that was unwell.

        A target found to hang rests from now on.
        """
        health = track.health
        if health.waiting and health.overdue(now, _waited):
            self.changes += 1
            return False
        probed = track.probing
        if probed is None or probed.refuses(now):
            return False
        probed.probe(now)
        self.changes += 1
        return True

    def observe(self, fact: RequestFact, retry_after: float = 0.0) -> None:
        """Learn from an attempt. What a client broke off teaches nothing."""
        if not fact.provider:
            return
        key = (fact.provider, fact.model, fact.offer)
        track = self.track(key)
        total, upstream = fact.total_ms or 0.0, fact.upstream_ms or 0.0
        ended = fact.at.timestamp() + total / 1000
        began = ended - upstream / 1000
        if fact.status is Status.OK:
            first = 0.0 if fact.ttft_ms is None else max(0.0, fact.ttft_ms - max(0.0, total - upstream))
            if track.health.answered(began, began + first / 1000, ended):
                track.pace.release()
                self.changes += 1
            if track.account.rests_until and track.account.answered(began, began, ended):
                self.changes += 1
            self._learn_tokens(fact, key)
            self._learn_latency(track, fact, first, ended)
        elif fact.error_kind in ELSEWHERE:
            self._failed(track, fact, began, ended, retry_after)

    def outpaced(self, fact: RequestFact) -> None:
        """An attempt lost to a hedge that was sent later: its target was late, however long it would have taken."""
        track = self.track((fact.provider, fact.model, fact.offer))
        ended = fact.at.timestamp() + (fact.total_ms or 0.0) / 1000
        self.changes += track.health.outpaced(ended - (fact.upstream_ms or 0.0) / 1000, ended)

    def _account(self, provider: str) -> Breaker:
        return self._accounts.get(provider) or _added(self._accounts, provider, Breaker(self._conduct.tolerance))

    def _failed(self, track: Track, fact: RequestFact, began: float, ended: float, retry_after: float) -> None:
        guilty = track.account if is_of_account(fact) else track.health
        if retry_after:
            track.pace.hold(ended + retry_after)
        if guilty.failed(fact.error_kind, began, ended, certain=is_certain(fact), wish=retry_after):
            self.changes += 1
        if fact.error_kind is ErrorKind.TIMEOUT and fact.upstream_ms is not None:
            self.changes += track.total.add(fact.upstream_ms, ended)

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

    def _learn_latency(self, track: Track, fact: RequestFact, first: float, ended: float) -> None:
        """The upstream's own time: what passed before this attempt began is not its doing."""
        if fact.upstream_ms is None:
            return
        moved = track.total.add(fact.upstream_ms, ended)
        if fact.ttft_ms is not None and track.ttft.add(first, ended):
            moved = True
            if track.ttft.seen >= _TYPICAL and not track.health.rests_until:
                track.health.slow_after = max(SLOW_TIMES * track.ttft.p95 / 1000, SLOW_LEAST_S)
        self.changes += moved


def _waited(since: float) -> float:
    return perf_counter() - since


K = TypeVar("K")


def _added(entries: dict[K, V], key: K, new: V) -> V:
    """A new entry, for which the oldest goes when there are too many."""
    if len(entries) >= _MOST_ENTRIES:
        del entries[next(iter(entries))]
    entries[key] = new
    return new
