"""Whatever is known, what is asked ahead keeps its bounds, and more evidence never speaks against asking."""

from datetime import UTC
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from farthing.cache.warming import (
    DAY,
    THRESHOLD,
    Bounds,
    Pattern,
    asked_within,
    habit,
    proposals,
    thinned,
)

NOW = 1_795_000_000.0
ages = st.floats(min_value=0, max_value=30 * DAY)
instants = st.builds(lambda age: NOW - age, ages)
ttls = st.floats(min_value=1, max_value=2 * DAY)


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    uses = tuple(sorted(draw(st.lists(instants, min_size=1, max_size=80))))
    made, ttl = draw(instants), draw(ttls)
    cost = draw(st.one_of(st.none(), st.decimals(min_value=0, max_value=2, places=6)))
    return Pattern(
        key=draw(st.binary(min_size=4, max_size=4)), ttl=ttl, since=uses[0], uses=uses, made=made, expires=made + ttl,
        cost=cost,
    )  # fmt: skip


@given(
    st.lists(patterns(), max_size=12),
    st.integers(min_value=0, max_value=6),
    st.decimals(min_value=-1, max_value=5, places=4),
)
def test_no_more_is_proposed_than_may_be(known: list[Pattern], calls: int, cost: Decimal):
    found = proposals(known, bounds=Bounds(calls=calls, cost=cost), now=NOW, zone=UTC)
    assert len(found) <= calls
    assert not found or sum(one.cost for one in found) <= cost
    assert all(THRESHOLD <= one.probability <= 1 for one in found)
    assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)


@given(patterns(), instants, st.floats(min_value=1, max_value=DAY))
def test_another_use_never_lowers_what_is_thought(known: Pattern, use: float, seconds: float):
    since = min(known.since, use)  # the same stretch of time is looked at in both
    before = _with(known, known.uses, since)
    after = _with(known, tuple(sorted((*known.uses, use))), since)
    assert asked_within(after, seconds, NOW) >= asked_within(before, seconds, NOW)
    assert habit(after, NOW, NOW + seconds, UTC) >= habit(before, NOW, NOW + seconds, UTC)


@given(patterns(), st.floats(min_value=1, max_value=DAY))
def test_thinning_never_raises_what_is_thought(known: Pattern, seconds: float):
    thin = _with(known, thinned(known.uses, NOW), known.since)
    assert asked_within(thin, seconds, NOW) <= asked_within(known, seconds, NOW)
    assert habit(thin, NOW, NOW + seconds, UTC) <= habit(known, NOW, NOW + seconds, UTC)


def _with(known: Pattern, uses: tuple[float, ...], since: float) -> Pattern:
    return Pattern(key=known.key, ttl=known.ttl, since=since, uses=uses, made=known.made, expires=known.expires)
