"""What is worth asking ahead: a pure decision over instants."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from farthing.cache.warming import (
    THRESHOLD,
    Bounds,
    Pattern,
    asked_within,
    days_of,
    habit,
    lead,
    proposal,
    proposals,
    thinned,
)

HOUR, DAY = 3600.0, 86400.0
MONDAY = datetime(2026, 11, 16, 9, 0, tzinfo=UTC).timestamp()
PLENTY = Bounds(calls=100, cost=Decimal(100))


def pattern(uses, *, made=0.0, ttl=HOUR, tried=0.0, cost="0.01", since=None, key=b"k") -> Pattern:
    ordered = tuple(sorted(uses))
    return Pattern(
        key=key, ttl=ttl, since=ordered[0] if since is None else since, uses=ordered, made=made, expires=made + ttl,
        tried=tried, cost=None if cost is None else Decimal(cost),
    )  # fmt: skip


def daily(count: int, *, last: float = MONDAY, step: int = 1) -> list[float]:
    return [last - DAY * step * back for back in range(count)]


def decided(one: Pattern, now: float):
    return proposal(one, now=now, zone=UTC)


def test_a_question_that_is_asked_every_morning_is_ready_before_it():
    known = pattern(daily(5), made=MONDAY)
    morning = MONDAY + DAY
    assert decided(known, morning - HOUR / 2) is None, "too early: it would expire the sooner"
    found = decided(known, morning - 200)
    assert found is not None
    assert found.probability >= THRESHOLD
    assert found.reason == "asked at this time on other days"
    assert decided(known, morning + 2 * HOUR) is None, "it is over for today"


def test_three_mornings_are_not_a_habit_yet():
    known = pattern(daily(3), made=MONDAY)
    assert decided(known, MONDAY + DAY - 200) is None


def test_a_question_of_mondays_is_ready_on_mondays_only():
    known = pattern(daily(4, step=7), made=MONDAY)
    assert decided(known, MONDAY + DAY - 200) is None
    assert decided(known, MONDAY + 7 * DAY - 200) is not None


def test_a_question_of_working_days_is_not_ready_on_weekends():
    days = [MONDAY - DAY * back for back in range(21)]
    known = pattern([day for day in days if datetime.fromtimestamp(day, UTC).weekday() < 5], made=MONDAY)
    saturday = MONDAY + 5 * DAY
    assert decided(known, MONDAY + DAY - 200) is not None
    assert decided(known, saturday - 200) is None


def test_habits_follow_the_clock_of_the_zone_when_it_is_put_back():
    berlin = ZoneInfo("Europe/Berlin")
    local = [datetime(2026, 10, day, 9, 0, tzinfo=berlin) for day in range(19, 25)]
    known = pattern([at.timestamp() for at in local], made=local[-1].timestamp())
    after = datetime(2026, 10, 25, 9, 0, tzinfo=berlin)  # clocks went back at 3:00
    soon = after.timestamp() - 200
    assert after.astimezone(UTC).hour != local[0].astimezone(UTC).hour
    assert proposal(known, now=soon, zone=berlin) is not None
    assert proposal(known, now=soon - HOUR, zone=berlin) is None


@pytest.mark.parametrize("age", [10.0, HOUR - 100, 2 * HOUR, DAY, 7 * DAY - 200])
def test_what_was_asked_once_is_not_asked_ahead(age):
    assert decided(pattern([MONDAY], made=MONDAY), MONDAY + age) is None


def steady(seconds_between: float, made: float, until: float) -> list[float]:
    count = int((until - made) / seconds_between)
    return [made + 1 + seconds_between * i for i in range(count)]


def test_what_is_asked_steadily_is_renewed_just_before_it_expires():
    uses = steady(300, MONDAY, MONDAY + HOUR - 100)
    known = pattern(uses, made=MONDAY)
    assert decided(known, MONDAY + HOUR / 2) is None
    found = decided(known, MONDAY + HOUR - 100)
    assert found is not None
    assert found.reason == "asked steadily"


def test_a_burst_counts_as_one_use():
    burst = [MONDAY + 1 + i for i in range(60)]
    assert decided(pattern(burst, made=MONDAY), MONDAY + HOUR - 100) is None


def test_what_nobody_used_since_it_was_made_is_not_renewed():
    uses = steady(300, MONDAY, MONDAY + HOUR)
    known = pattern(uses, made=MONDAY + HOUR)
    assert decided(known, MONDAY + 2 * HOUR - 100) is None


def test_what_failed_rests_for_a_lifetime():
    uses = steady(300, MONDAY, MONDAY + HOUR - 100)
    now = MONDAY + HOUR - 100
    assert decided(pattern(uses, made=MONDAY, tried=now - 150), now) is None
    assert decided(pattern(uses, made=MONDAY, tried=MONDAY - 1), now) is not None, "that was for the answer before"


def test_what_has_no_price_or_never_expires_is_left_alone():
    uses = steady(300, MONDAY, MONDAY + HOUR - 100)
    assert decided(pattern(uses, made=MONDAY, cost=None), MONDAY + HOUR - 100) is None
    assert decided(pattern(uses, made=MONDAY, ttl=0.0), MONDAY + HOUR - 100) is None


def test_the_rate_is_the_predictive_distribution_of_a_poisson_process():
    known = pattern([MONDAY - HOUR * 3 / 24 * i - 1 for i in range(6)])
    assert asked_within(known, HOUR, MONDAY) == pytest.approx(1 - (3 / 4) ** 6)
    assert asked_within(known, 0.0, MONDAY) == 0


def test_a_habit_has_one_imagined_day_on_which_it_was_not_asked():
    known = pattern(daily(4))
    assert habit(known, MONDAY + DAY - 60, MONDAY + DAY + 60, UTC) == pytest.approx(4 / 5)
    assert habit(known, MONDAY + DAY + HOUR, MONDAY + DAY + 2 * HOUR, UTC) == 0


def test_bounds_hold_and_the_most_probable_goes_first():
    now = MONDAY + HOUR - 100
    sure = pattern(steady(100, MONDAY, now), made=MONDAY, key=b"sure", since=MONDAY)
    fair = pattern(steady(400, MONDAY, now), made=MONDAY, key=b"fair", since=MONDAY)
    dear = pattern(steady(100, MONDAY, now), made=MONDAY, key=b"dear", cost="5")

    def chosen(**bounds):
        return [one.key for one in proposals([fair, dear, sure], bounds=Bounds(**bounds), now=now, zone=UTC)]

    assert set(chosen(calls=9, cost=Decimal(9))) == {b"dear", b"sure", b"fair"}
    assert chosen(calls=9, cost=Decimal("0.02")) == [b"sure", b"fair"]
    assert chosen(calls=1, cost=Decimal("0.02")) == [b"sure"]
    assert chosen(calls=0, cost=Decimal(9)) == []
    assert chosen(calls=9, cost=Decimal(-1)) == []


def test_the_past_is_thinned_to_what_estimates_need():
    uses = [MONDAY - i * 60 for i in range(60 * 24 * 40)]
    kept = thinned(uses, MONDAY)
    assert len(kept) < 28 * 24 + 64 + 2
    assert list(kept) == sorted(kept)
    assert kept[-64:] == tuple(sorted(uses)[-64:])
    assert MONDAY - kept[0] < timedelta(days=29).total_seconds()
    assert thinned(kept, MONDAY) == kept
    assert days_of(kept) >= 28


def test_lifetimes_are_not_given_away():
    assert [lead(ttl) for ttl in (4, 60, 3600, DAY)] == [2, 6, 300, 300]
