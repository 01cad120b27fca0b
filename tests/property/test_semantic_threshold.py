"""The bound on wrong answers per request covers what is really wrong, although only the unsure are labeled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.cache.semantic.threshold import CONFIDENCE, Sampler, lowest, upper

TARGET = 0.01


def _world(seed, requests, hard, worse=1.0, sampled=0.1):
    """Candidates with probabilities, what is true of them, and labels: of the sure ones only a sample."""
    draw = np.random.default_rng(seed)
    right = draw.beta(6, hard, requests)
    wrong = (draw.random(requests) < np.minimum(1, worse * (1 - right))).astype(np.int8)
    served = (right > 0.95) & (draw.random(requests) > sampled)
    return right, wrong, np.where(served, -1, wrong).astype(np.int8)


def _spent(right, wrong, threshold):
    return 0.0 if threshold is None else float(((right >= threshold.probability) & (wrong == 1)).mean())


@settings(max_examples=12, deadline=None)
@given(hard=st.floats(0.1, 1.5), requests=st.sampled_from([1000, 3000, 8000]), base=st.integers(0, 10_000))
def test_the_target_is_kept_by_what_is_expected_of_any_threshold(hard, requests, base):
    over = 0
    for seed in range(20):
        right, _, labels = _world(20 * base + seed, requests, hard)
        found = lowest(right, labels, np.ones(requests, bool), requests=requests, target=TARGET)
        if found is None:
            continue
        assert found.wrong <= found.bound <= TARGET
        expected = float((1 - right)[right >= found.probability].sum() / requests)
        over += expected > TARGET
    assert over <= 20 * (1 - CONFIDENCE) + 4


@settings(max_examples=10, deadline=None)
@given(base=st.integers(0, 10_000), worse=st.floats(2, 4))
def test_labels_overrule_probabilities_that_flatter(base, worse):
    """The odds are worse than said: with enough labels, the threshold is stricter, and much less is spent."""
    spent = []
    for seed in range(8):
        right, wrong, labels = _world(8 * base + seed, 8000, 0.5, worse=worse, sampled=0.3)
        found = lowest(right, labels, np.ones(8000, bool), requests=8000, target=TARGET)
        naive = np.sort(1 - right)
        flattered = np.cumsum(naive) / 8000
        limit = 1 - naive[np.searchsorted(flattered, TARGET) - 1]
        assert found is None or found.probability > limit
        spent.append(_spent(right, wrong, found))
    assert np.mean(spent) < 0.75 * worse * TARGET


@given(
    requests=st.integers(50, 400),
    seed=st.integers(0, 10_000),
    looser=st.floats(1.0, 5.0),
)
def test_a_looser_target_never_serves_less(requests, seed, looser):
    right, _, labels = _world(seed, requests, 0.5)
    recent = np.ones(requests, bool)
    strict = lowest(right, labels, recent, requests=requests, target=TARGET)
    loose = lowest(right, labels, recent, requests=requests, target=looser * TARGET)
    assert strict is None or (loose is not None and loose.probability <= strict.probability)


@pytest.mark.parametrize("seen", [0, 1, 3, 10, 50])
def test_the_limit_of_a_count_is_the_poisson_one(seen):
    """Exact: the mean with which so few or fewer are seen with 10 % probability."""
    mean = float(upper(np.array([seen + 1.0]))[0])
    fewer = np.cumsum(
        [np.exp(-mean)]
        + [np.exp(-mean + k * np.log(mean) - np.log(np.arange(1, k + 1)).sum()) for k in range(1, seen + 1)]
    )[-1]
    assert fewer == pytest.approx(1 - CONFIDENCE, rel=0.03)


@given(st.integers(1, 60))
def test_a_handful_of_labels_proves_nothing(labels):
    right, known = np.full(labels, 0.995), np.zeros(labels, np.int8)
    found = lowest(right, known, np.ones(labels, bool), requests=labels, target=0.002)
    assert found is None


def test_without_labels_or_requests_nothing_is_served():
    right, unknown = np.array([0.99, 0.98]), np.array([-1, -1], np.int8)
    assert lowest(right, unknown, np.ones(2, bool), requests=100, target=0.5) is None
    assert lowest(right, unknown + 1, np.ones(2, bool), requests=0, target=0.5) is None


@given(probability=st.floats(0, 1), suspicion=st.floats(0, 1), share=st.floats(0.001, 0.5), count=st.integers(0, 10**6))
def test_every_would_be_hit_may_be_sampled(probability, suspicion, share, count):
    chance = Sampler(share, count).chance(probability, suspicion)
    assert 0 < chance <= max(Sampler.MOST, share)


def test_the_unsure_are_sampled_more_and_later_less():
    young, old = Sampler(0.1), Sampler(0.1, 100_000)
    assert young.chance(0.9, 0.0) > young.chance(0.999, 0.0) > old.chance(0.999, 0.0)
    assert old.chance(0.999, 1.0) == Sampler.MOST


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.1, 0.3), seed=st.integers(0, 1000))
def test_the_share_is_kept_and_weights_add_up(share, seed):
    draw = np.random.default_rng(seed)
    sampler = Sampler(share)
    chances = np.array([sampler.chance(p, 0.0) for p in draw.beta(30, 1, 3000).tolist()])
    sampled = draw.random(3000) < chances
    assert chances.mean() <= share
    assert (1 / chances[sampled]).sum() == pytest.approx(3000, rel=0.5)
