"""Online quantiles against exact ones."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.gateway.latency import LEAST_MS, MOST_MS, RELATIVE_ERROR, STALE_S, Latency

QUANTILES = (0.01, 0.5, 0.9, 0.95, 0.99, 1.0)


def exact(values: list[float], q: float) -> float:
    """The smallest value with at least the share ``q`` of all values at or below it."""
    ordered = sorted(values)
    return next(v for i, v in enumerate(ordered, 1) if i >= q * len(ordered))


def close(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= RELATIVE_ERROR * wanted * 1.000001


@given(st.lists(st.floats(LEAST_MS, MOST_MS), min_size=1, max_size=200))
def test_every_quantile_is_within_the_stated_error(values):
    seen = Latency()
    for value in values:
        seen.add(value, at=0.0)
    for q in QUANTILES:
        assert close(seen.quantile(q), exact(values, q))


@pytest.mark.parametrize("draw", [lambda r: r.lognormvariate(5, 1.2), lambda r: r.expovariate(1 / 300) + 1])
def test_heavy_tails_are_within_the_stated_error(draw):
    source = random.Random(7)
    values = [draw(source) for _ in range(20_000)]
    seen = Latency()
    for value in values:
        seen.add(value, at=0.0)
    for q in QUANTILES:
        assert close(seen.quantile(q), exact(values, q))


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_durations_out_of_range_count_as_the_nearest_in_range(values):
    seen = Latency()
    for value in values:
        seen.add(value, at=0.0)
    assert seen.quantile(0.0001) >= LEAST_MS
    assert seen.quantile(1.0) <= MOST_MS * (1 + 2 * RELATIVE_ERROR)


def test_the_past_fades():
    seen = Latency(half_life_s=60)
    for _ in range(1000):
        seen.add(1000, at=0.0)
    for second in range(600):
        seen.add(10, at=float(second))
    assert close(seen.quantile(0.95), 10)


def test_a_half_life_halves_the_weight_of_a_sample():
    seen = Latency(half_life_s=60)
    for _ in range(300):
        seen.add(1000, at=0.0)
    for _ in range(100):
        seen.add(10, at=60.0)
    assert seen.samples(60.0) == pytest.approx(250)
    assert close(seen.quantile(0.39), 10)
    assert close(seen.quantile(0.41), 1000)


def test_years_of_samples_neither_overflow_nor_lose_precision():
    seen = Latency(half_life_s=60)
    day = 86_400.0
    for i in range(2000):
        seen.add(100 if i % 2 else 200, at=i * day)
    last = 1999 * day
    assert seen.samples(last) == pytest.approx(1.0)
    assert close(seen.quantile(0.5), 100)


def test_a_clock_that_jumps_back_does_no_harm():
    seen = Latency(half_life_s=60)
    seen.add(100, at=1e9)
    seen.add(200, at=0.0)
    assert seen.samples(1e9) == pytest.approx(2.0)
    assert seen.samples(0.0) == pytest.approx(2.0)


def test_stale_quantiles_count_no_samples():
    seen = Latency()
    for _ in range(100):
        seen.add(100, at=0.0)
    assert seen.samples(STALE_S) > 50
    assert seen.samples(STALE_S + 1) == 0


def test_nothing_seen_says_nothing():
    assert Latency().quantile(0.99) == 0
    assert Latency().samples(0.0) == 0


def test_kept_quantiles_follow_the_samples():
    seen = Latency()
    for i in range(1, 1601):
        seen.add(float(i), at=0.0)
    assert (seen.p50, seen.p95, seen.p99) == seen.quantiles((0.5, 0.95, 0.99))


def test_memory_is_constant():
    seen = Latency()
    seen.add(1, at=0.0)
    size = len(seen._weights)
    for i in range(5000):
        seen.add(float(i), at=float(i))
    assert len(seen._weights) == size < 500
