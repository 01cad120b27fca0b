"""The truth about limits, from the logs of those who spent: whether one was overspent, or somebody refused wrongly."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from farthing.core.limits import LENGTHS, Limit, Measure
from farthing.state.leases import FOREVER, ROLL_SLOTS
from support.hammer import Event, PotName, Seen

Key = tuple[str, int]

REPORT_SECONDS = 6.0
"""No later than this the store knows what was used of a slice that lasts."""


class Recent:
    """The sum of what happened within the last ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.past: deque[tuple[float, int]] = deque()
        self.sum = 0

    def add(self, at: float, amount: int) -> None:
        self.past.append((at, amount))
        self.sum += amount

    def by(self, at: float) -> int:
        while self.past and self.past[0][0] <= at - self.seconds:
            self.sum -= self.past.popleft()[1]
        return self.sum


@dataclass
class Truth:
    """One pot as the logs tell it, in counted pieces.

    ``settled`` is what answers came to. ``lost`` is the worst case of what was under way when somebody was killed:
    a provider may have billed all of it. ``under_way`` has the worst cases of what is, ``held`` their sum. ``most``
    is the most that all of these ever were together; ``at_refusal`` what was settled or lost when somebody was
    refused for the first time. ``unwritten`` is what the store charged for the killed beyond that: what they held and
    had not written down. ``room`` is the most that was left beyond the least that somebody refused needed. ``billed``
    lies within a rolling span, ``charged`` also what the store may let fall out of it late.
    """

    limit: Limit
    billed: Recent
    charged: Recent
    settled: int = 0
    lost: int = 0
    held: int = 0
    most: int = 0
    at_refusal: int | None = None
    unwritten: int = 0
    refused: int = 0
    room: int = -(2**62)
    under_way: dict[Key, int] = field(default_factory=dict)

    def send(self, key: Key, event: Event) -> None:
        """A request left, and may be billed at its worst from now on."""
        if self.limit.measure is Measure.REQUESTS:
            self._bill(event["at"], 1)
            self.settled += 1
        else:
            worst = _size(event, self.limit, "")
            self.under_way[key] = worst
            self.held += worst

    def settle(self, key: Key, event: Event) -> None:
        """It came to this."""
        self.held -= self.under_way.pop(key, 0)
        if self.limit.measure in (Measure.COST, Measure.TOKENS):
            amount = _size(event, self.limit, "")
            self._bill(event["at"], amount)
            self.settled += amount

    def lose(self, key: Key, event: Event) -> None:
        """Whoever sent it was killed, and nobody knows what it came to."""
        worst = self.under_way.pop(key, 0)
        self.held -= worst
        if self.limit.measure in (Measure.COST, Measure.TOKENS):
            self._bill(event["at"], worst)
            self.lost += worst

    def refuse(self, event: Event) -> None:
        """Somebody was told that not even the least of it fits."""
        self.refused += 1
        if self.at_refusal is None:
            self.at_refusal = self.settled + self.lost
        left = self.limit.pieces - self.charged.by(event["at"]) - self.held
        self.room = max(self.room, left - _size(event, self.limit, "least_"))

    def check(self, event: Event) -> None:
        """Nothing is overspent, even if the provider bills the worst of all that is open."""
        bound = self.billed.by(event["at"]) + self.held
        self.most = max(self.most, bound)
        assert bound <= self.limit.pieces or not self.limit.hard, (self.limit.name, bound, event)

    def _bill(self, at: float, amount: int) -> None:
        self.billed.add(at, amount)
        self.charged.add(at, amount)


class Audit:
    """Replays what was seen. Fails when a limit was overspent, the store does not add up, or a refusal was false.

    A refusal is false if what is left, less the worst cases of requests in flight, covers the least that the refused
    one would have needed. ``speed``: how fast the spenders' clock ran.
    """

    def __init__(self, seen: Seen, limits: Sequence[Limit], *, speed: float = 1) -> None:
        self.limits = {limit.id: limit for limit in limits}
        self.speed = speed
        self.pots: dict[PotName, Truth] = {}
        self._replay(seen.events)
        self._compare(seen)
        for truth in self.pots.values():
            assert truth.limit.hard or not truth.refused, truth.limit.name
            assert truth.room < truth.unwritten, (
                f"{truth.limit.name}: {truth.room:,} to spare when somebody was refused"
            )

    def pot(self, name: PotName) -> Truth:
        """What is known of a pot."""
        if name not in self.pots:
            limit = self.limits[name[0]]
            span = LENGTHS[limit.per].total_seconds() / self.speed if limit.rolling else math.inf
            late = span * (1 + 2 / ROLL_SLOTS) + REPORT_SECONDS
            self.pots[name] = Truth(limit, billed=Recent(span), charged=Recent(late))
        return self.pots[name]

    def only(self, limit: Limit) -> Truth:
        """The one pot of a limit."""
        (truth,) = (truth for name, truth in self.pots.items() if name[0] == limit.id)
        return truth

    def _replay(self, events: Sequence[Event]) -> None:
        sent: dict[Key, Event] = {}
        for event in events:
            key = event["who"], event.get("number", -1)
            match event["kind"]:
                case "sent":
                    sent[key] = event
                    self._tell(Truth.send, event, key, event)
                case "spent":
                    self._tell(Truth.settle, sent.pop(key), key, event)
                case "killed":
                    for other in [other for other in sent if other[0] == event["who"]]:
                        self._tell(Truth.lose, sent.pop(other), other, event)
                case "refused":
                    self.pot(self._refused(event)).refuse(event)
        assert not sent

    def _tell(self, what: Callable[[Truth, Key, Event], None], begun: Event, key: Key, event: Event) -> None:
        for pot in begun["pots"]:
            truth = self.pot(tuple(pot))
            what(truth, key, event)
            truth.check(event)

    def _refused(self, event: Event) -> PotName:
        """Which pot it was that had not enough."""
        limit = self.limits[event["limit"]]
        subject = limit.subject({**event["scope"], "user": event["user"], "category": "inference"})
        starts = FOREVER
        if event["ends"] is not None:
            starts = limit.opened(datetime.fromtimestamp(event["ends"], UTC) - LENGTHS[limit.per] / 2).start
        return limit.id, subject, starts.isoformat()

    def _compare(self, seen: Seen) -> None:
        """What the store charged is what was spent, and what the killed held."""
        for name, row in seen.pots.items():
            truth = self.pot(name)
            truth.unwritten = row.spent - truth.settled - truth.lost
            assert truth.unwritten >= 0, (truth.limit.name, row, truth.settled, truth.lost)
            assert seen.killed or not truth.unwritten, (truth.limit.name, row, truth.settled, truth.lost)
            assert truth.limit.rolling or row.used == row.spent, (truth.limit.name, row)
            assert row.leased == 0, (truth.limit.name, row)
        for name, row in (named for sample in seen.samples for named in sample.items()):
            limit = self.limits[name[0]]
            assert row.used + row.leased <= limit.pieces or not limit.hard, (limit.name, row)


def _size(event: Event, limit: Limit, least: str) -> int:
    """What a request takes of a limit: its worst case, what it came to, or the ``least_`` that it needs."""
    return event[f"{least}{limit.measure}"] if limit.measure in (Measure.COST, Measure.TOKENS) else 1
