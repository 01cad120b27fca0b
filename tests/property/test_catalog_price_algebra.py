"""Algebra of the price function, and its agreement with the genai-prices package on that package's data."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

import msgspec
from genai_prices.data import providers
from genai_prices.types import Usage as TheirUsage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.catalog.price import price, price_at
from farthing.catalog.sources.genai_prices import plugin
from farthing.core.money import Money, Rate, Unpriced, total
from farthing.core.nouns import Kind, Offer, Price, Terms
from farthing.core.units import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    INPUT,
    OUTPUT,
    REASONING,
    Unit,
    Usage,
)

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
AUDIO_IN = Unit(direction="input", modality="audio")
AUDIO_OUT = Unit(direction="output", modality="audio")
AUDIO_READ = Unit(direction="input", modality="audio", kind="cache_read")
THEIR_NAMES = {
    "input_tokens": INPUT,
    "output_tokens": OUTPUT,
    "cache_read_tokens": CACHE_READ,
    "cache_write_tokens": CACHE_WRITE,
    "cache_write_5m_tokens": CACHE_WRITE_5M,
    "cache_write_1h_tokens": CACHE_WRITE_1H,
    "input_audio_tokens": AUDIO_IN,
    "cache_audio_read_tokens": AUDIO_READ,
    "output_audio_tokens": AUDIO_OUT,
    "output_reasoning_tokens": REASONING,
}

counts = st.integers(min_value=0, max_value=3_000_000)
amounts = st.decimals(min_value=0, max_value=1000, places=6, allow_nan=False)


@st.composite
def usages(draw) -> Usage:
    """Nested counts of a possible answer, summed up from its disjoint parts."""
    fresh, read, write5m, write1h, audio, audio_read, text, thought, speech = draw(st.tuples(*[counts] * 9))
    return Usage(
        {
            INPUT: fresh + read + write5m + write1h + audio + audio_read,
            CACHE_READ: read + audio_read,
            CACHE_WRITE: write5m + write1h,
            CACHE_WRITE_5M: write5m,
            CACHE_WRITE_1H: write1h,
            AUDIO_IN: audio + audio_read,
            AUDIO_READ: audio_read,
            OUTPUT: text + thought + speech,
            REASONING: thought,
            AUDIO_OUT: speech,
        }
    )


@st.composite
def offers(draw) -> Offer:
    """Every unit has one rate at most; input and output always have one."""
    optional = draw(st.sets(st.sampled_from([CACHE_WRITE, CACHE_WRITE_1H, AUDIO_OUT, REASONING])))
    chain = draw(st.sampled_from([(), (CACHE_READ,), (AUDIO_IN,), (CACHE_READ, AUDIO_IN, AUDIO_READ)]))
    prices = [Price(unit=u, rate=Rate(draw(amounts), per=1_000_000)) for u in (INPUT, OUTPUT, *chain, *optional)]
    return Offer(id="acme/m", kind=Kind.TOKENS, provider="acme", product="m", prices=tuple(prices))


@given(usages(), offers())
def test_the_total_is_the_sum_of_its_lines(usage, offer):
    quote = price(usage, offer, NOON)
    assert quote.total == total(line.amount for line in quote.lines)
    assert sum(line.quantity for line in quote.lines) == usage[INPUT] + usage[OUTPUT]


@given(usages(), offers(), st.integers(min_value=0, max_value=3_000_000))
def test_the_lines_are_the_leaves_at_their_rates(usage, offer, context):
    banded = msgspec.structs.replace(
        offer, prices=(*offer.prices, Price(unit=INPUT, rate=Rate(Decimal(7), per=1_000), above=context))
    )
    quote = price(usage, banded, NOON)
    assert {line.unit: line.quantity for line in quote.lines} == usage.leaves()
    assert all(line.amount == line.rate.times(line.quantity) for line in quote.lines)
    plain = {line.rate for line in quote.lines if line.unit == INPUT}
    assert not plain or (plain == {Rate(Decimal(7), per=1_000)}) == (usage[INPUT] > context or not context)


@given(usages(), offers())
def test_the_price_is_additive_over_leaves(usage, offer):
    alone = [price(Usage({unit: count}), offer, NOON).total for unit, count in usage.leaves().items()]
    assert price(usage, offer, NOON).total == total(alone)


@given(usages(), usages(), offers())
def test_two_usages_cost_what_they_cost_apart(one, other, offer):
    together = price(one + other, offer, NOON).total
    assert together == total([price(one, offer, NOON).total, price(other, offer, NOON).total])


@given(usages(), offers(), st.randoms(use_true_random=False))
def test_the_order_of_counts_and_rates_does_not_matter(usage, offer, dice):
    items, prices = list(usage.counts.items()), list(offer.prices)
    dice.shuffle(items)
    dice.shuffle(prices)
    shuffled = Offer(id="acme/m", kind=Kind.TOKENS, provider="acme", product="m", prices=tuple(prices))
    assert price(Usage(dict(items)), shuffled, NOON).total == price(usage, offer, NOON).total


@given(usages(), offers(), st.integers(min_value=0, max_value=10**9))
def test_more_never_costs_less(usage, offer, more):
    dearer = Usage({**usage.counts, OUTPUT: usage[OUTPUT] + more})
    before, after = price(usage, offer, NOON).total, price(dearer, offer, NOON).total
    assert isinstance(before, Money)
    assert isinstance(after, Money)
    assert after >= before


@cache
def catalog():
    """Every model of the package with our variants of it, under each of its request contexts."""
    variants: dict[str, list[Offer]] = {}
    for offer in plugin.shipped(NOON.date()).offers:
        variants.setdefault(offer.id, []).append(offer)
    models = {f"{p.id}/{m.id}": (p, m) for p in providers for m in p.models}
    found = []
    for offer_id, offered in sorted(variants.items()):
        base = f"{offered[0].provider}/{offered[0].product}"
        suffix = offer_id.removeprefix(base).lstrip(":")
        provider, model = models[base]
        contexts = [v.when for v in model.price_variants or () if suffix in "+".join(v.when.values())]
        if not suffix or (offered[0].terms is not Terms.ON_DEMAND and contexts):
            found.append((offer_id, tuple(offered), provider, model, contexts[0] if suffix else None))
    return found


instants = st.datetimes(datetime(2024, 1, 1), datetime(2027, 3, 1), timezones=st.just(UTC))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(usages(), instants, st.integers(min_value=0, max_value=12))
def test_prices_agree_with_the_package_they_come_from(usage, at, offset):
    """A thirteenth of all models per example; a model that is unpriced here says which leaf has no rate."""
    for offer_id, variants, provider, model, context in catalog()[offset::13]:
        theirs = TheirUsage(**{name: usage[unit] for name, unit in THEIR_NAMES.items()})
        ours = price_at(usage, variants, at).total
        if isinstance(ours, Unpriced):
            assert offer_id in ours.reason or "contradicts" in ours.reason
            continue
        if model.id.endswith(":free"):
            assert ours == Money.zero()
            continue
        expected = model.calc_price(theirs, provider, genai_request_timestamp=at, price_context=context)
        assert ours.amount == expected.total_price, offer_id


def test_hundreds_of_models_are_compared():
    usage = Usage.tokens(1234, 567, cache_read=89)
    priced = [v for _, v, *_ in catalog() if isinstance(price_at(usage, v, NOON).total, Money)]
    assert len(priced) > 1500


@settings(max_examples=40, deadline=None)
@given(instants)
def test_on_demand_prices_hold_at_every_instant_without_a_gap(at):
    for offer_id, variants, _, _, context in catalog():
        if context is None:
            assert price_at(Usage.tokens(1, 0), variants, at).offer == offer_id


def test_change_dates_are_half_open():
    july = datetime(2026, 8, 17, tzinfo=UTC)
    variants = next(v for i, v, *_ in catalog() if i == "deepseek/deepseek-v4-pro")
    at = july.replace(hour=0)
    before = price_at(Usage.tokens(1_000_000, 0), variants, at - timedelta(microseconds=1)).total
    after = price_at(Usage.tokens(1_000_000, 0), variants, at).total
    assert (before, after) == (Money(Decimal("0.435")), Money(Decimal("0.66")))
