"""The price function: which rate a leaf takes, and what makes a total unpriced."""

from datetime import UTC, datetime, time
from decimal import Decimal

import pytest

from farthing.catalog.price import price, price_at, variant_at
from farthing.core.money import Money, Rate, Unpriced
from farthing.core.nouns import Kind, Offer, Price
from farthing.core.time import DailyHours, Window
from farthing.core.units import CACHE_READ, CACHE_WRITE_1H, HOUR, INPUT, OUTPUT, REASONING, REQUEST, Unit, Usage

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
AUDIO = Unit(direction="input", modality="audio")
AUDIO_READ = Unit(direction="input", modality="audio", kind="cache_read")


def offer(*prices: tuple[Unit, str] | tuple[Unit, str, int], per: int = 1_000_000, **fields) -> Offer:
    rates = tuple(Price(unit=p[0], rate=Rate(Decimal(p[1]), per=per), above=p[2] if len(p) > 2 else 0) for p in prices)
    return Offer(**{"id": "acme/m", "kind": Kind.TOKENS, "provider": "acme", "product": "m", "prices": rates, **fields})


def test_each_leaf_takes_the_most_specific_rate():
    quote = price(
        Usage.tokens(1000, 200, cache_read=300, reasoning=50),
        offer((INPUT, "2"), (CACHE_READ, "0.5"), (OUTPUT, "10")),
        NOON,
    )
    assert {line.unit: (line.quantity, line.amount.amount) for line in quote.lines} == {
        INPUT: (700, Decimal("0.0014")),
        CACHE_READ: (300, Decimal("0.00015")),
        OUTPUT: (150, Decimal("0.0015")),
        REASONING: (50, Decimal("0.0005")),
    }
    assert quote.total == Money.of("0.00355")
    assert quote.offer == "acme/m"
    assert quote.at == NOON


def test_a_band_is_a_cliff_on_the_total_input():
    tiered = offer((INPUT, "1"), (INPUT, "2", 200_000), (OUTPUT, "10"), (OUTPUT, "15", 200_000))
    at_the_edge = price(Usage.tokens(200_000, 1000), tiered, NOON)
    over_it = price(Usage.tokens(200_001, 1000), tiered, NOON)
    assert at_the_edge.total == Money.of("0.21")
    assert over_it.total == Money.of("0.415002")


def test_cached_tokens_count_towards_the_band():
    tiered = offer((INPUT, "1"), (INPUT, "2", 100), (CACHE_READ, "0.1"), (CACHE_READ, "0.2", 100), (OUTPUT, "0"))
    quote = price(Usage.tokens(101, 0, cache_read=100), tiered, NOON)
    assert quote.total == Money.of("0.000022")


def test_a_rate_that_starts_at_a_band_does_not_apply_below_it():
    quote = price(Usage.tokens(50, 0), offer((INPUT, "2", 100), (OUTPUT, "1")), NOON)
    assert quote.total == Unpriced("acme/m has no price for token.input")


def test_a_missing_rate_is_unpriced_and_the_rest_is_still_itemised():
    quote = price(Usage.tokens(10, 5), offer((INPUT, "1")), NOON)
    assert quote.total == Unpriced("acme/m has no price for token.output")
    assert [line.unit for line in quote.lines] == [INPUT]


def test_zero_counts_need_no_rate():
    assert price(Usage.tokens(10, 0), offer((INPUT, "1")), NOON).total == Money.of("0.00001")


def test_two_rates_that_fit_equally_are_refused():
    usage = Usage({INPUT: 10, AUDIO: 5, CACHE_READ: 5, AUDIO_READ: 2, OUTPUT: 0})
    quote = price(usage, offer((INPUT, "1"), (AUDIO, "4"), (CACHE_READ, "0.1")), NOON)
    assert isinstance(quote.total, Unpriced)
    assert "token.input.audio and token.input.cache_read" in quote.total.reason
    assert "token.input.audio.cache_read" in quote.total.reason


def test_a_ttl_falls_back_to_the_plain_write_rate():
    write = Unit(direction="input", kind="cache_write")
    usage = Usage({INPUT: 100, write: 60, CACHE_WRITE_1H: 60, OUTPUT: 0})
    assert price(usage, offer((INPUT, "1"), (write, "2")), NOON).total == Money.of("0.00016")


def test_contradicting_counts_are_unpriced_with_both_numbers():
    quote = price(Usage.tokens(10, 5, cache_read=20), offer((INPUT, "1"), (OUTPUT, "1")), NOON)
    assert isinstance(quote.total, Unpriced)
    assert "20" in quote.total.reason
    assert "10" in quote.total.reason
    assert quote.lines == ()


def test_an_offer_without_prices_is_not_free():
    quote = price(Usage.tokens(0, 0), offer(), NOON)
    assert quote.total == Unpriced("no price of acme/m is known")


def test_nothing_used_costs_nothing():
    assert price(Usage.tokens(0, 0), offer((INPUT, "1")), NOON).total == Money.zero()


def test_a_call_is_one_request_where_requests_are_charged():
    charged = offer((INPUT, "1"), (OUTPUT, "1"))
    charged = Offer(
        id="acme/m",
        kind=Kind.TOKENS,
        provider="acme",
        product="m",
        prices=(*charged.prices, Price(unit=REQUEST, rate=Rate(Decimal(14), per=1000))),
    )
    assert price(Usage.tokens(0, 0), charged, NOON).total == Money.of("0.014")
    assert price(Usage({REQUEST: 3}), charged, NOON).total == Money.of("0.042")


def test_requests_are_free_where_they_are_not_charged():
    assert price(Usage({INPUT: 1_000_000, REQUEST: 5}), offer((INPUT, "1")), NOON).total == Money.of("1")


def test_seconds_are_exact_where_the_price_is_per_hour():
    seconds = Unit(measure="second", direction="input", modality="audio")
    quote = price(Usage({seconds: 90}), offer((seconds, "0.36"), per=3600), NOON)
    assert quote.total == Money.of("0.009")


def test_machines_are_priced_by_the_hour_and_decimal_hours_are_exact():
    box = offer((HOUR, "55.04"), per=1, kind=Kind.MACHINE)
    assert price(Usage({HOUR: Decimal("0.25")}), box, NOON).total == Money.of("13.76")


def test_currency_is_the_offers():
    euros = Offer(
        id="acme/m",
        kind=Kind.TOKENS,
        provider="acme",
        product="m",
        prices=(Price(unit=INPUT, rate=Rate(Decimal(1), "EUR", 1_000_000)),),
    )
    assert price(Usage({INPUT: 1_000_000}), euros, NOON).total == Money.of("1", "EUR")


@pytest.mark.parametrize(
    ("at", "wanted"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), "0.001"),
        (datetime(2026, 6, 30, 23, 59, tzinfo=UTC), "0.001"),
        (datetime(2026, 7, 1, 1, tzinfo=UTC), "0.002"),
        (datetime(2026, 7, 1, 17, tzinfo=UTC), "0.0005"),
        (datetime(2026, 7, 2, 0, 29, tzinfo=UTC), "0.0005"),
        (datetime(2026, 7, 2, 0, 30, tzinfo=UTC), "0.002"),
    ],
)
def test_the_variant_that_holds_at_the_time_is_used(at, wanted):
    july = datetime(2026, 7, 1, tzinfo=UTC)
    variants = (
        offer((INPUT, "1"), effective=Window(end=july)),
        offer((INPUT, "2"), effective=Window(start=july)),
        offer((INPUT, "0.5"), effective=Window(start=july), daily=DailyHours(start=time(16, 30), end=time(0, 30))),
    )
    assert price_at(Usage({INPUT: 1000}), variants, at).total == Money.of(wanted)


def test_outside_every_window_there_is_no_price():
    past = offer((INPUT, "1"), effective=Window(end=datetime(2026, 1, 1, tzinfo=UTC)))
    quote = price_at(Usage({INPUT: 1}), (past,), NOON)
    assert isinstance(quote.total, Unpriced)
    assert "acme/m" in quote.total.reason
    assert variant_at((past,), NOON) is None
    assert isinstance(price_at(Usage({INPUT: 1}), (), NOON).total, Unpriced)


def test_among_overlapping_variants_the_later_start_wins():
    old = offer((INPUT, "1"))
    new = offer((INPUT, "2"), effective=Window(start=datetime(2026, 1, 1, tzinfo=UTC)))
    assert variant_at((new, old), NOON) is new
    assert variant_at((old, new), NOON) is new
