"""Pacing and profiles for any numbers: what must hold whatever was spent."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.core.limits import Limit, Measure, Span
from farthing.governance.pacing import Use, history, pace, percent_of, present
from farthing.governance.profiles import PROFILES, limits_of, split

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
AMOUNTS = st.decimals(min_value=0, max_value=10_000, places=4)
NOWS = st.datetimes(datetime(2026, 1, 10), datetime(2027, 12, 20), timezones=st.just(UTC))


@st.composite
def situations(draw):
    """A limit, the moment, and daily or hourly uses back as far as is looked, some of them missing."""
    per = draw(st.sampled_from([Span.DAY, Span.WEEK, Span.MONTH, Span.QUARTER, Span.YEAR]))
    limit = Limit(
        id="lim_1", name="x", measure=Measure.COST, amount=draw(AMOUNTS), per=per, zone=draw(st.sampled_from(ZONES)),
        rolling=draw(st.booleans()),
    )  # fmt: skip
    now = draw(NOWS)
    window = present(limit, now)
    slot = timedelta(hours=1) if per is Span.DAY else timedelta(days=1)
    start, uses = history(limit, window, now).start, []
    few = draw(st.integers(0, 60))
    at = max(start, now - few * slot)
    at = start + (at - start) // slot * slot
    rng = random.Random(draw(st.integers(0, 999)))
    while at <= now:
        if rng.random() < 0.8:
            uses.append(Use(at, Decimal(rng.randrange(0, 500_000)) / 1000))
        at += slot
    return limit, window, now, uses


@settings(max_examples=150, deadline=None)
@given(situations(), AMOUNTS)
def test_no_forecast_is_below_what_is_used_nor_runs_back(situation, used):
    limit, window, now, uses = situation
    found = pace(limit, window=window, now=now, used=used, uses=uses)
    assert found.percent >= 0
    assert (found.status == "over") == (used >= limit.amount)
    for before, after in zip(found.points, found.points[1:], strict=False):
        assert before.at <= after.at
    if found.points:
        assert found.points[-1].used == used
    forecast = found.forecast
    if forecast is None:
        assert found.note
        return
    assert used <= forecast.low <= forecast.mid <= forecast.high
    assert forecast.path[-1].at == window.end
    for before, after in zip(forecast.path, forecast.path[1:], strict=False):
        assert before.at < after.at
        assert before.low <= after.low
        assert before.mid <= after.mid
    assert (found.status == "at risk") <= (forecast.mid > limit.amount)
    if used < limit.amount and found.exhausted is not None:
        assert now <= found.exhausted <= window.end


@given(AMOUNTS, AMOUNTS)
def test_a_percentage_reaches_100_only_when_all_is_used(part, whole):
    percent = percent_of(part, whole)
    assert (percent >= 100) == (part >= whole)


@given(
    st.decimals(min_value=0, max_value=10**9, places=4),
    st.lists(st.integers(0, 100), min_size=1, max_size=6).map(lambda cuts: sorted({0, 100, *cuts})),
)
def test_a_split_sums_to_the_total_exactly(total, cuts):
    shares = {f"c{i}": after - before for i, (before, after) in enumerate(pairwise(cuts))}
    parts = split(total, shares)
    assert sum(parts.values()) == total
    for name, part in parts.items():
        assert abs(part - total * shares[name] / 100) < Decimal("0.01")
        assert part >= 0


@given(st.sampled_from(list(PROFILES)), st.decimals(min_value=1, max_value=10**6, places=2))
def test_the_categories_of_a_profile_sum_to_its_budget(name, budget):
    limits = {limit.name: limit for limit in limits_of(PROFILES[name], budget, zone="UTC")}
    assert limits["total"].amount == budget
    parts = [limit.amount for limit in limits.values() if "category" in limit.scope]
    assert (len(parts), sum(parts)) == (4, budget)
    assert all(limit.amount <= budget for limit in limits.values() if limit.measure is Measure.COST)


def test_the_range_holds_about_as_often_as_it_says():
    """Months of random days with a weekly pattern: the real end lies in the 80 % range in about 80 % of them."""
    rng, inside, rounds = random.Random(7), 0, 300
    limit = Limit(id="l", name="x", measure=Measure.COST, amount=Decimal(10**6), per=Span.MONTH)
    for _ in range(rounds):
        now = datetime(2026, 6, 16, tzinfo=UTC)
        start = datetime(2026, 5, 18, tzinfo=UTC)
        days = [start + timedelta(days=n) for n in range(44)]
        spent = {day: Decimal(str(round(max(rng.gauss(40 if day.weekday() > 4 else 100, 20), 0), 2))) for day in days}
        window = present(limit, now)
        used = sum((spent[day] for day in days if window.start <= day < now), Decimal(0))
        uses = [Use(day, spent[day]) for day in days if day < now]
        forecast = pace(limit, window=window, now=now, used=used, uses=uses).forecast
        assert forecast.method == "weekday means"
        end = used + sum((spent[day] for day in days if now <= day < window.end), Decimal(0))
        inside += forecast.low <= end <= forecast.high
    assert 0.72 <= inside / rounds <= 0.88
