"""The unit lattice and usage: disjoint leaves, additive pricing, impossible counts."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from farthing.catalog.price import price
from farthing.core.errors import InputError, UsageError
from farthing.core.money import Money, Rate
from farthing.core.nouns import Kind, Offer, Price
from farthing.core.units import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    DIRECTIONS,
    INPUT,
    KINDS,
    MEASURES,
    MODALITIES,
    OUTPUT,
    REASONING,
    TTLS,
    Unit,
    Usage,
)  # fmt: skip

NOW = datetime(2026, 11, 21, tzinfo=UTC)

units = st.builds(
    Unit,
    measure=st.sampled_from(MEASURES),
    direction=st.sampled_from(("", *DIRECTIONS)),
    modality=st.sampled_from(("", *MODALITIES)),
    kind=st.sampled_from(("", *KINDS)),
    ttl=st.sampled_from(("", *TTLS)),
)
counts = st.integers(0, 10**9)
AUDIO_IN = Unit(direction="input", modality="audio")
AUDIO_READ = Unit(direction="input", modality="audio", kind="cache_read")


@st.composite
def usages(draw):
    """Nested counts as a provider may report them, built from disjoint parts so that they cannot contradict."""
    fresh, read, write5, write1h, audio, audio_read, text, thought = draw(st.tuples(*[counts] * 8))
    full = {
        INPUT: fresh + read + write5 + write1h + audio + audio_read,
        CACHE_READ: read + audio_read,
        CACHE_WRITE: write5 + write1h,
        CACHE_WRITE_5M: write5,
        CACHE_WRITE_1H: write1h,
        AUDIO_IN: audio + audio_read,
        AUDIO_READ: audio_read,
        OUTPUT: text + thought,
        REASONING: thought,
    }
    return Usage(full)


any_usage = st.dictionaries(units, counts, max_size=6).map(Usage)


# units


@given(units)
def test_a_name_parses_back_to_its_unit(unit):
    assert Unit.parse(unit.name) == unit


@given(units, units)
def test_containment_is_a_partial_order(a, b):
    assert a.contains(a)
    if a.contains(b) and b.contains(a):
        assert a == b
    if a.contains(b) and a != b:
        assert a.depth < b.depth


@given(units, units, units)
def test_containment_is_transitive(a, b, c):
    if a.contains(b) and b.contains(c):
        assert a.contains(c)


@given(units)
def test_a_measure_contains_all_its_units(unit):
    assert Unit(measure=unit.measure).contains(unit)


@pytest.mark.parametrize(
    "name", ["", "coin", "token.up", "token.input.output", "token..input", "token.input.", "input", "Token"]
)
def test_what_is_no_unit_is_refused(name):
    with pytest.raises(InputError):
        Unit.parse(name)


@pytest.mark.parametrize("field", ["measure", "direction", "modality", "kind", "ttl"])
def test_words_outside_the_vocabulary_are_refused_with_the_vocabulary(field):
    with pytest.raises(InputError) as problem:
        Unit(**{field: "nonsense"})
    assert problem.value.field == field
    assert "Use one of" in problem.value.remedy


def test_every_word_belongs_to_one_dimension():
    words = [*DIRECTIONS, *MODALITIES, *KINDS, *TTLS]
    assert len(words) == len(set(words))


# leaves


@given(usages())
def test_leaves_under_a_unit_add_up_to_its_count(usage):
    leaves = usage.leaves()
    for unit, count in usage.counts.items():
        assert sum(n for leaf, n in leaves.items() if unit.contains(leaf)) == count


@given(usages())
def test_leaves_are_positive_and_reported(usage):
    leaves = usage.leaves()
    assert all(n > 0 for n in leaves.values())
    assert set(leaves) <= set(usage.counts)


@given(usages(), usages())
def test_leaves_of_a_sum_are_the_sum_of_leaves(u, v):
    both = (u + v).leaves()
    ours, theirs = u.leaves(), v.leaves()
    assert both == {k: ours.get(k, 0) + theirs.get(k, 0) for k in {**ours, **theirs}}


@given(usages())
def test_leaves_are_a_fixed_point(usage):
    leaves = usage.leaves()
    flat = Usage({unit: sum(n for leaf, n in leaves.items() if unit.contains(leaf)) for unit in leaves})
    assert flat.leaves() == leaves


@given(usages(), st.randoms(use_true_random=False))
def test_the_order_of_reporting_does_not_matter(usage, shuffled):
    items = list(usage.counts.items())
    shuffled.shuffle(items)
    assert Usage(dict(items)).leaves() == usage.leaves()


@given(any_usage)
def test_any_report_is_either_split_or_refused(usage):
    try:
        leaves = usage.leaves()
    except UsageError:
        return
    assert all(n > 0 for n in leaves.values())


@given(counts, counts)
def test_a_part_larger_than_its_whole_is_refused_with_both_numbers(whole, excess):
    part = whole + excess + 1
    with pytest.raises(UsageError) as problem:
        Usage.tokens(whole, 0, cache_read=part).leaves()
    assert str(part) in problem.value.message
    assert str(whole) in problem.value.message
    assert problem.value.field == "token.input.cache_read"


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.data())
def test_parts_that_overlap_more_than_the_whole_are_refused_with_all_numbers(read, audio, data):
    whole = data.draw(st.integers(max(read, audio), read + audio - 1))
    with pytest.raises(UsageError) as problem:
        Usage({INPUT: whole, CACHE_READ: read, AUDIO_IN: audio}).leaves()
    for number in (read, audio, read + audio, whole):
        assert str(number) in problem.value.message


@pytest.mark.parametrize("count", [-1, 1.5, "3", None, True, Decimal(-1)])
def test_a_count_is_a_number_of_zero_or_more(count):
    with pytest.raises(UsageError) as problem:
        Usage({INPUT: count})
    assert problem.value.field == "token.input"


@given(usages(), usages(), usages())
def test_usages_form_a_commutative_monoid(u, v, w):
    nothing = Usage({})
    assert (u + nothing).counts == u.counts
    assert (u + v).counts == (v + u).counts
    assert ((u + v) + w).counts == (u + (v + w)).counts


def test_the_short_form_counts_inside_the_whole():
    usage = Usage.tokens(100, 50, cache_read=30, cache_write=20, reasoning=40)
    assert usage.leaves() == {CACHE_READ: 30, CACHE_WRITE: 20, INPUT: 50, REASONING: 40, OUTPUT: 10}
    assert usage[INPUT] == 100
    assert usage[AUDIO_IN] == 0


# pricing over leaves


@st.composite
def offers(draw):
    """Rates for plain input and output, and for some of the more specific units."""
    rate = st.builds(Rate, st.decimals(min_value=0, max_value=100, places=4), per=st.just(1_000_000))
    fine = draw(st.lists(st.sampled_from([CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H, REASONING]), unique=True))
    prices = tuple(Price(unit=unit, rate=draw(rate)) for unit in (INPUT, OUTPUT, *fine))
    return Offer(id="a/b", kind=Kind.TOKENS, provider="a", product="b", prices=prices)


def paid(usage, offer):
    found = price(usage, offer, NOW).total
    assume(isinstance(found, Money))
    return found


@given(usages(), usages(), offers())
def test_pricing_is_additive(u, v, offer):
    assert paid(u + v, offer) == paid(u, offer) + paid(v, offer)


@given(usages(), offers())
def test_a_usage_costs_what_its_leaves_cost(usage, offer):
    apart = [paid(Usage({unit: n}), offer) for unit, n in usage.leaves().items()]
    assert paid(usage, offer) == sum(apart, Money.zero())


@given(usages(), offers())
def test_quotes_total_their_lines(usage, offer):
    quote = price(usage, offer, NOW)
    assume(isinstance(quote.total, Money))
    assert sum((line.amount for line in quote.lines), Money.zero()) == quote.total
    assert {line.unit: line.quantity for line in quote.lines} == usage.leaves()
