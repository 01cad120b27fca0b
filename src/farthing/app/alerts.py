"""Watches limits, writes down what is to be told, and carries it to whoever is to be told.

The watch and the carrier meet in the state store only (``state.notices``): what was written down is carried after a
restart as well, and several control processes do not tell the same thing twice.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from farthing.app.courier import Courier, deliver
from farthing.app.governing import dashboard_url
from farthing.app.local import Local
from farthing.app.reckoning import Course, Reckoning, each
from farthing.app.standing import Count, Said, by_limit
from farthing.core.limits import Limit
from farthing.governance import pacing
from farthing.governance.alerts import Standing, TargetSettings, Tidings, backoff, tidings
from farthing.web.views import Check

if TYPE_CHECKING:
    from farthing.state.notices import Claimed, Notices
    from farthing.state.pots import Pot
    from farthing.state.store import Store

WATCH_SECONDS = 5.0
CARRY_SECONDS = 2.0
COURSE_SECONDS = 30.0
"""How often the ledger is asked about the course of limits: days' shares, forecasts and refusals."""

MOST_POTS = 200
"""Pots of one limit whose course is followed, the fullest first. Shares of the amount are watched in all pots."""

MOST_AT_ONCE = 20
_TROUBLE = timedelta(days=7)
_MOST_REMEMBERED = 100_000

_log = logging.getLogger(__name__)


class Teller:
    """Writes down what is to be told, and to whom."""

    def __init__(
        self, notices: "Notices", targets: Callable[[], Sequence[TargetSettings]], clock: Callable[[], datetime]
    ) -> None:
        self._notices = notices
        self._targets = targets
        self._clock = clock
        self._said: set[str] = set()

    def say(self, news: Tidings) -> bool:
        """Tell it once, whoever says it; false when it was told before."""
        if news.same in self._said:
            return False
        wanting = [target.label for target in self._targets() if target.wants(news.kind, news.severity)]
        fresh = self._notices.tell(
            self._clock(),
            kind=news.kind,
            severity=news.severity,
            title=news.title[:300],
            body=news.body,
            same=news.same,
            targets=wanting,
        )
        if len(self._said) >= _MOST_REMEMBERED:
            self._said.clear()
        self._said.add(news.same)
        return fresh


class Watch:
    """Looks at all limits and says what there is to say."""

    def __init__(self, store: "Store", reckoning: Reckoning, teller: Teller, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._reckoning = reckoning
        self._teller = teller
        self._clock = clock
        self._looked = 0.0

    def work(self) -> str:
        """Look once. The course of time is looked at less often than what is used."""
        now = self._clock()
        limits = self._store.limits.list()
        if not limits:
            return "no limits"
        thorough = time.perf_counter() - self._looked >= COURSE_SECONDS or not self._looked
        pots = by_limit(self._store.pots.list(now, [limit.id for limit in limits]))
        told = sum(
            self._teller.say(news)
            for limit in limits
            for news in self._news(limit, pots.get(limit.id, ()), now, thorough=thorough)
        )
        if thorough:
            self._looked = time.perf_counter()
        return f"{told:,} told" if told else "nothing to tell"

    def _news(self, limit: Limit, pots: Iterable["Pot"], now: datetime, *, thorough: bool) -> Iterable[Tidings]:
        window = pacing.present(limit, now)
        counts = [count for count in (Count.of(limit, pot, now) for pot in pots) if count is not None]
        counts.sort(key=lambda count: -count.used)
        said = Said.asked(self._reckoning, limit, window, now) if thorough and counts else None
        for number, count in enumerate(counts):
            standing = Standing(
                limit=limit,
                subject=dict(zip(each(limit), count.subject, strict=True)),
                window=window,
                used=count.used,
                doubt=count.doubt,
            )
            if said is not None and number < MOST_POTS:
                uses = said.courses.get(count.subject, Course()).uses()
                pace = pacing.pace(limit, window=window, now=now, used=count.used, uses=uses)
                refused = said.refused.get(count.subject, 0)
                standing = msgspec.structs.replace(standing, pace=pace, refused=refused)
            yield from tidings(standing, pacing.percent_of(count.used, limit.amount), now)


class Carrier:
    """Delivers what was written down, and tries again what did not arrive."""

    def __init__(
        self,
        notices: "Notices",
        courier: Courier,
        *,
        targets: Callable[[], Sequence[TargetSettings]],
        dashboard: Callable[[], str],
        secret: Callable[[str], str],
        clock: Callable[[], datetime],
    ) -> None:
        self._notices = notices
        self._courier = courier
        self._targets = targets
        self._dashboard = dashboard
        self._secret = secret
        self._clock = clock

    def work(self) -> str:
        """Deliver what is due. Each delivery is claimed by itself, so that no claim lapses while others are sent."""
        arrived = failed = 0
        for _ in range(MOST_AT_ONCE):
            claimed = self._notices.claim(self._clock(), most=1)
            if not claimed:
                break
            if self._carry(claimed[0]):
                arrived += 1
            else:
                failed += 1
        return f"{arrived:,} delivered, {failed:,} to be tried again" if arrived or failed else "nothing to deliver"

    def check(self) -> Check:
        """Whether what is to be told arrives."""
        waiting, lost = self._notices.troubled(self._clock() - _TROUBLE)
        return Check(
            name="notices",
            state="failed" if lost else "warning" if waiting else "ok",
            detail=f"{waiting:,} are tried again, {lost:,} were given up in the last {_TROUBLE.days} days",
            remedy="farthing alerts list shows why, farthing alerts test tries the targets" if waiting or lost else "",
        )

    def _carry(self, claimed: "Claimed") -> bool:
        target = next((t for t in self._targets() if t.label == claimed.target), None)
        if target is None:
            self._notices.failed(claimed, "No such target is configured any more", again=None)
            return False
        problem = deliver(self._courier, self._secret, target, claimed.notice, self._dashboard())
        if not problem:
            self._notices.delivered(self._clock(), claimed)
            return True
        pause = backoff(f"{claimed.notice.same}{claimed.target}", claimed.attempts)
        if pause is None:
            _log.error("notice %d was given up for %s: %s", claimed.notice.id, claimed.target, problem)
        self._notices.failed(claimed, problem, again=None if pause is None else self._clock() + pause)
        return False


def tried(courier: Courier, local: Local, target: TargetSettings) -> str:
    """Send a test message to a target at once; why it did not arrive, or empty."""
    news = Tidings(
        kind="test",
        severity="info",
        title="Farthing can reach you",
        text="This is a test of farthing alerts test; nothing happened.",
        same=f"test/{local.now().isoformat()}",
    )
    return deliver(courier, local.secret, target, news, dashboard_url(local))


__all__ = ["CARRY_SECONDS", "WATCH_SECONDS", "Carrier", "Teller", "Watch", "tried"]
