"""What the ledger says of a limit's scope: the same requests that the limit counts, summed from facts."""

import time
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from farthing.core.limits import EACH, Limit, Measure
from farthing.core.money import EXACT
from farthing.core.time import Window
from farthing.governance.pacing import Slot, Use
from farthing.ledger.questions import Grain, SpendAnswer, SpendQuestion, SpendRow

FRESH_SECONDS = 5.0
"""How long an answer is used again: several pages ask for the same within a moment."""

LIMIT_TAG = "tag:farthing.limit"
"""The dimension of a refused request that names the limit which refused it."""

_DIMENSIONS = {"model": "requested_model", "category": "tag:category"}
_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_MOST_KEPT = 256

Subject = tuple[str, ...]
"""The values of a scope's ``*`` fields, in their order."""


class Facts(Protocol):
    """The ledger, for summing."""

    def spend(self, question: SpendQuestion) -> SpendAnswer: ...

    def through(self) -> datetime | None: ...


class Sum(msgspec.Struct, frozen=True):
    """``amount`` in the limit's measure; requests without a known cost are not in it and counted by ``unpriced``."""

    amount: Decimal = Decimal(0)
    requests: int = 0
    unpriced: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(EXACT.add(self.amount, other.amount), self.requests + other.requests, self.unpriced + other.unpriced)


class Course(msgspec.Struct, frozen=True):
    """The sums of one subject by slot, in order of time."""

    slots: tuple[tuple[datetime, Sum], ...] = ()

    def uses(self) -> tuple[Use, ...]:
        """The amounts alone."""
        return tuple(Use(at, found.amount) for at, found in self.slots)

    def within(self, window: Window) -> Sum:
        """The sum of the slots that begin in a window."""
        return sum((found for at, found in self.slots if at in window), Sum())


class Reckoning:
    """Asks the ledger about limits. Safe to use from several threads; answers may be a few seconds old."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._kept: dict[bytes, tuple[float, SpendAnswer]] = {}

    def through(self) -> datetime | None:
        """Facts up to then are in the ledger."""
        return self._facts.through()

    def courses(self, limit: Limit, window: Window, slot: Slot) -> Mapping[Subject, Course]:
        """How each subject's use went, hour by hour or day by day in the limit's zone."""
        found: dict[Subject, dict[datetime, Sum]] = {}
        for row in self._rows(limit, window, grain=slot):
            if row.at is not None:
                slots = found.setdefault(subject_of(limit, row), {})
                slots[row.at] = slots.get(row.at, Sum()) + _sum(limit, row)
        return {subject: Course(tuple(sorted(slots.items()))) for subject, slots in found.items()}

    def sums(self, limit: Limit, window: Window, *, fresh: bool = False) -> Mapping[Subject, Sum]:
        """What each subject used in a window."""
        found: dict[Subject, Sum] = {}
        for row in self._rows(limit, window, fresh=fresh):
            subject = subject_of(limit, row)
            found[subject] = found.get(subject, Sum()) + _sum(limit, row)
        return found

    def refused(self, limit: Limit, window: Window) -> Mapping[Subject, int]:
        """How many requests the limit refused of each subject."""
        by = tuple(dimension(name) for name in each(limit))
        where = {LIMIT_TAG: (limit.id,), "status": ("error",), "origin": ("gateway",)}
        answer = self._ask(SpendQuestion(window=window, by=by, where=where))
        return {subject_of(limit, row): row.requests for row in answer.rows if row.requests}

    def split(self, limit: Limit, window: Window, by: str) -> Mapping[str, Sum]:
        """What was used in a window by each value of a field of ``WHO``."""
        found: dict[str, Sum] = {}
        for row in self._rows(limit, window, also=(dimension(by),)):
            key = row.keys[dimension(by)]
            found[key] = found.get(key, Sum()) + _sum(limit, row)
        return found

    def _rows(
        self, limit: Limit, window: Window, *, grain: Grain = "none", also: tuple[str, ...] = (), fresh: bool = False
    ) -> list[SpendRow]:
        """Rows of requests that reached a provider and that the limit is about."""
        fields = each(limit)
        by = tuple(dict.fromkeys((*(dimension(name) for name in fields), *also, "provider")))
        where = {dimension(name): (value,) for name, value in limit.scope.items() if value != EACH}
        question = SpendQuestion(
            window=window, by=by, where={**where, "origin": ("gateway",)}, grain=grain, zone=limit.zone
        )
        rows = self._ask(question, fresh=fresh).rows
        return [row for row in rows if row.keys["provider"] and all(row.keys[dimension(name)] for name in fields)]

    def _ask(self, question: SpendQuestion, *, fresh: bool = False) -> SpendAnswer:
        """The answer, or one to the same question of a moment ago; ends of windows are not told apart meanwhile. A
        ``fresh`` answer is for nobody else: its window may end anywhere.
        """
        if fresh:
            return self._facts.spend(question)
        window = Window(start=question.window.start)
        key = msgspec.json.encode(msgspec.structs.replace(question, window=window))
        kept = self._kept.get(key)
        if kept is not None and time.perf_counter() - kept[0] < FRESH_SECONDS:
            return kept[1]
        answer = self._facts.spend(question)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = (time.perf_counter(), answer)
        return answer


def each(limit: Limit) -> tuple[str, ...]:
    """The fields of a limit's scope that have a pot for each value."""
    return tuple(name for name, value in limit.scope.items() if value == EACH)


def dimension(name: str) -> str:
    """What the ledger calls a field of a scope."""
    return _DIMENSIONS.get(name, name)


def subject_of(limit: Limit, row: SpendRow) -> Subject:
    """Whose pot a row belongs to."""
    return tuple(row.keys[dimension(name)] for name in each(limit))


def _sum(limit: Limit, row: SpendRow) -> Sum:
    match limit.measure:
        case Measure.COST:
            amount = row.cost
        case Measure.TOKENS:
            amount = Decimal(sum(getattr(row, name) for name in _TOKENS))
        case _:
            amount = Decimal(row.requests)
    return Sum(amount, row.requests, row.unpriced_requests)


__all__ = [
    "FRESH_SECONDS", "LIMIT_TAG", "Course", "Facts", "Reckoning", "Subject", "Sum", "dimension", "each", "subject_of",
]  # fmt: skip
