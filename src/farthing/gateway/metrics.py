"""What a worker counts, in Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats).

Labels come from the settings and from closed lists, never from clients, and the number of series is
bounded, so that nobody can make a worker grow by asking for odd things. Cost here is for alerts;
what is owed stands in the ledger.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from farthing.core.facts import RequestFact
from farthing.gateway.meter import ROLE

BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds in seconds."""

MAX_SERIES = 4096
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

Key = tuple[str, str, str, str, str]
Extra = tuple[str, str]
"""Role and provider."""

Place = tuple[str, str]
"""Provider and model."""


class Histogram(msgspec.Struct, gc=False):
    """Observed seconds by bucket; the last bucket has no upper bound."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def merge(self, other: "Histogram") -> None:
        """Count what another one observed."""
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Series(msgspec.Struct):
    """Everything counted under one set of labels."""

    facts: int = 0
    unpriced: int = 0
    cost: Decimal = Decimal(0)
    tokens: list[int] = msgspec.field(default_factory=lambda: [0] * len(_CLASSES))
    duration: Histogram = msgspec.field(default_factory=Histogram)
    first: Histogram = msgspec.field(default_factory=Histogram)

    def add(self, other: "Series") -> None:
        """Count what another one counted."""
        self.facts += other.facts
        self.unpriced += other.unpriced
        self.cost += other.cost
        self.tokens = [mine + more for mine, more in zip(self.tokens, other.tokens, strict=True)]
        self.duration.merge(other.duration)
        self.first.merge(other.first)


class Further(msgspec.Struct, gc=False):
    """Attempts beyond the first of their requests, and what they cost as far as it is known."""

    attempts: int = 0
    cost: Decimal = Decimal(0)

    def add(self, attempts: int, cost: Decimal) -> None:
        """Count more of them."""
        self.attempts += attempts
        self.cost += cost


class Tally(msgspec.Struct):
    """What one worker has counted and holds, for itself or for those beside it to show.

    ``name`` is the process, ``worker`` its number, which outlives it. ``gauges`` are by metric name, without the
    ``farthing_`` prefix. ``further`` counts attempts beyond a request's first, ``breakers`` are the states of targets:
    0 closed, 1 half open, 2 open; an account's own breaker has no model.
    """

    name: str
    worker: str
    series: dict[Key, Series]
    refused: dict[int, int]
    gauges: dict[str, float]
    further: dict[Extra, Further] = {}
    breakers: dict[Place, int] = {}


_CLASSES = ("input", "cache_read", "cache_write", "output", "reasoning")
_LABELS = ("operation", "provider", "offer", "status", "error")
_OTHER: Key = ("other", "other", "other", "other", "other")


class Metrics:
    """The counters of one worker. ``name`` is its process."""

    def __init__(self, worker: str, name: str = "") -> None:
        self.worker = worker
        self.name = name
        self._series: dict[Key, Series] = {}
        self.refused: dict[int, int] = {}
        self.in_flight = 0
        self.further: dict[Extra, Further] = {}
        self.breakers: Callable[[], Mapping[Place, int]] = dict

    def observe(self, fact: RequestFact) -> None:
        """Count an attempt, or a request that reached no provider."""
        key = (fact.operation, fact.provider, fact.offer, fact.status, fact.error_kind)
        series = self._series.get(key)
        if series is None:
            series = self._new(key)
        series.facts += 1
        tokens = series.tokens
        tokens[0] += fact.input_tokens
        tokens[1] += fact.cache_read_tokens
        tokens[2] += fact.cache_write_tokens
        tokens[3] += fact.output_tokens
        tokens[4] += fact.reasoning_tokens
        if fact.cost is None:
            series.unpriced += 1
        else:
            series.cost += fact.cost
        if fact.total_ms is not None:
            series.duration.add(fact.total_ms / 1000)
        if fact.ttft_ms is not None:
            series.first.add(fact.ttft_ms / 1000)
        if fact.attempt > 1:
            further = self.further.setdefault((fact.tags.get(ROLE, "other"), fact.provider), Further())
            further.add(1, fact.cost or Decimal(0))

    def refuse(self, status: int) -> None:
        """Count a request that was refused before it was read: wrong key, no such path, a body that makes no sense."""
        self.refused[status] = self.refused.get(status, 0) + 1

    def render(self, gauges: Mapping[str, float]) -> bytes:
        """The exposition. ``gauges`` are further values by metric name, without the ``farthing_`` prefix."""
        return exposition([self.tally(gauges)])

    def tally(self, gauges: Mapping[str, float]) -> Tally:
        """Everything counted so far; it goes on counting."""
        held = {"in_flight": float(self.in_flight), **gauges}
        return Tally(
            name=self.name,
            worker=self.worker,
            series=self._series,
            refused=self.refused,
            gauges=held,
            further=self.further,
            breakers=dict(self.breakers()),
        )

    def resume(self, before: Tally) -> None:
        """Go on from what an earlier process of this worker had counted, so that no counter starts again."""
        for key, series in before.series.items():
            own = self._series.get(key) or self._new(key)
            own.add(series)
        for extra, further in before.further.items():
            self.further.setdefault(extra, Further()).add(further.attempts, further.cost)
        for status, count in before.refused.items():
            self.refused[status] = self.refused.get(status, 0) + count

    def _new(self, key: Key) -> Series:
        if len(self._series) >= MAX_SERIES:
            key = _OTHER
        return self._series.setdefault(key, Series())


def exposition(tallies: Sequence[Tally]) -> bytes:
    """What some workers counted and hold, each metric's samples together, as the format asks for."""
    rows = [(_labelled(f'worker="{t.worker}"', key), series) for t in tallies for key, series in t.series.items()]
    refused = ((f'{{worker="{t.worker}",code="{c}"}}', n) for t in tallies for c, n in t.refused.items())
    lines = [
        *_family("attempts_total", "counter", ((f"{{{at}}}", s.facts) for at, s in rows)),
        *_family("unpriced_total", "counter", ((f"{{{at}}}", s.unpriced) for at, s in rows)),
        *_family("cost_usd_total", "counter", ((f"{{{at}}}", s.cost) for at, s in rows)),
        *_family("tokens_total", "counter", _tokens(rows)),
        *_histogram("duration_seconds", ((at, s.duration) for at, s in rows)),
        *_histogram("first_byte_seconds", ((at, s.first) for at, s in rows)),
        *_family("refused_total", "counter", refused),
        *_redundancy(tallies),
    ]
    for name in dict.fromkeys(name for t in tallies for name in t.gauges):
        held = ((f'{{worker="{t.worker}"}}', t.gauges[name]) for t in tallies if name in t.gauges)
        lines += _family(name, "gauge", held)
    return ("\n".join(lines) + "\n").encode()


def _redundancy(tallies: Sequence[Tally]) -> list[str]:
    """What was sent again or beside, and which breakers are not closed any more, or were not."""
    further = [
        (f'{{worker="{t.worker}",role="{role}",provider="{_escaped(provider)}"}}', more)
        for t in tallies
        for (role, provider), more in t.further.items()
    ]
    breakers = (
        (f'{{worker="{t.worker}",provider="{_escaped(provider)}",model="{_escaped(model)}"}}', state)
        for t in tallies
        for (provider, model), state in t.breakers.items()
    )
    return [
        *_family("further_attempts_total", "counter", ((at, more.attempts) for at, more in further)),
        *_family("further_attempts_cost_usd_total", "counter", ((at, more.cost) for at, more in further)),
        *_family("breaker_state", "gauge", breakers),
    ]


def _labelled(worker: str, key: Key) -> str:
    return ",".join((worker, *(f'{name}="{_escaped(str(value))}"' for name, value in zip(_LABELS, key, strict=True))))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _tokens(rows: list[tuple[str, Series]]) -> Iterable[tuple[str, int]]:
    for at, series in rows:
        for name, count in zip(_CLASSES, series.tokens, strict=True):
            if count:
                yield f'{{{at},class="{name}"}}', count


def _family(name: str, kind: str, samples: Iterable[tuple[str, float | Decimal]]) -> list[str]:
    lines = [f"farthing_{name}{labels} {value:f}" for labels, value in samples]
    return [f"# TYPE farthing_{name} {kind}", *lines] if lines else []


def _histogram(name: str, rows: Iterable[tuple[str, Histogram]]) -> list[str]:
    lines: list[str] = []
    for at, histogram in rows:
        below = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), histogram.counts, strict=True):
            below += count
            lines.append(f'farthing_{name}_bucket{{{at},le="{bound}"}} {below}')
        lines.append(f"farthing_{name}_sum{{{at}}} {histogram.total:f}")
        lines.append(f"farthing_{name}_count{{{at}}} {below}")
    return [f"# TYPE farthing_{name} histogram", *lines] if lines else []
