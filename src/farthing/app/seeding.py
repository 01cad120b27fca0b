"""Fills in what was used before a limit began to count: the same span, from the ledger.

A limit of 500 dollars a month that is made on the 20th covers the whole month. What was spent until then stands in
the ledger, and what the ledger does not have yet, because it is on its way in a journal, comes a little later:
until that is certain to have arrived the sum is taken again and again.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from farthing.app.reckoning import Reckoning, Sum, each
from farthing.core.limits import Limit, Measure, Span, counted
from farthing.core.time import Window
from farthing.governance import pacing

if TYPE_CHECKING:
    from farthing.state.store import Store

SEED_SECONDS = 0.5
"""How often it is looked whether a request waits for the past of its pot."""

SETTLED = timedelta(minutes=10)
"""After that long, what was under way when a limit was made has ended and reached the ledger."""

_AGAIN = timedelta(seconds=10)


class Seeder:
    """Seeds the pots of limits that were made within a span."""

    def __init__(self, store: "Store", reckoning: Reckoning, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._reckoning = reckoning
        self._clock = clock
        self._last: dict[str, datetime] = {}

    def work(self) -> str:
        """Seed what nobody has seeded, and sum up again for limits that are new."""
        now = self._clock()
        limits = [limit for limit in self._store.limits.list() if past(limit, now) is not None]
        if not limits:
            return "up to date"
        waiting = {name[0] for name in self._store.pots.unseeded(now)}
        due = [limit for limit in limits if limit.id in waiting or self._is_due(limit, now)]
        for limit in due:
            self._seed(limit, now)
        return f"{len(due):,} limits brought up to date" if due else "up to date"

    def _is_due(self, limit: Limit, now: datetime) -> bool:
        """Once after everything has settled, and every few seconds before."""
        last, since = self._last.get(limit.id), limit.since
        if last is None:
            return True
        return since is not None and last < since + SETTLED and now - last >= _AGAIN

    def _seed(self, limit: Limit, now: datetime) -> None:
        window = past(limit, now)
        if window is None or window.start is None:
            return
        found = dict(self._reckoning.sums(limit, window, fresh=True))
        span = limit.opened(now)
        known = {
            pot.subject: pot.seeded for pot in self._store.pots.list(now, [limit.id]) if pot.starts == window.start
        }
        subjects: Iterable[str] = {*map("\x1f".join, found), *known, *(() if each(limit) else [""])}
        for subject in sorted(subjects):
            total = found.get(tuple(subject.split("\x1f")) if subject else (), Sum())
            amount = counted(total.amount) if limit.measure is Measure.COST else int(total.amount)
            if known.get(subject) != amount:
                self._store.pots.seed(limit.id, subject, window.start, amount, ends=span.end)
        self._last[limit.id] = now


def past(limit: Limit, now: datetime) -> Window | None:
    """The part of the present span before the limit began to count; ``None`` when there is none."""
    start = pacing.present(limit, now).start
    unbounded = limit.rolling or limit.per is Span.ONCE or limit.measure is Measure.PARALLEL
    if limit.since is None or unbounded or start is None or limit.since <= start:
        return None
    return Window(start=start, end=limit.since)


__all__ = ["SEED_SECONDS", "SETTLED", "Seeder", "past"]
