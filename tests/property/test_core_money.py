"""Money's algebra: sums are exact, splits lose nothing, currencies never meet, floats never enter."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from farthing.core.errors import CurrencyError, InputError
from farthing.core.money import EXACT, Money, Rate, Unpriced, decimal_of, total

decimals = st.decimals(min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False, places=None)
amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=12)
fine = st.builds(
    lambda sign, digits, point: Decimal(f"{sign}{digits}").scaleb(-point, context=EXACT),
    st.sampled_from(["", "-"]),
    st.text("0123456789", min_size=29, max_size=45),
    st.integers(0, 30),
)
monies = st.one_of(amounts, fine).map(Money.of)
weights = st.lists(
    st.one_of(st.integers(0, 10**9), st.decimals(min_value=0, max_value=10**6, places=6)), min_size=1, max_size=20
).filter(any)
not_exact = st.one_of(
    st.floats(), st.none(), st.booleans(), st.just([]), st.sampled_from([Decimal("NaN"), Decimal("Infinity")])
)


def fraction(money):
    return Fraction(money.amount)


@given(monies, monies, monies)
def test_addition_is_exact_whatever_the_order(a, b, c):
    assert fraction((a + b) + c) == fraction(a) + fraction(b) + fraction(c)
    assert (a + b) + c == a + (b + c) == (c + b) + a


@given(monies, monies)
def test_subtraction_undoes_addition(a, b):
    assert (a + b) - b == a
    assert a - a == Money.zero()
    assert fraction(-a) == -fraction(a)
    assert a + -a == Money.zero()


@given(monies, st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_multiplication_is_exact_and_distributes(a, n, m):
    assert fraction(a * n) == fraction(a) * n
    assert a * n + a * m == a * (n + m)
    assert n * a == a * n


@given(amounts, weights)
def test_splits_sum_exactly(amount, shares):
    money = Money(amount)
    parts = money.split(shares)
    assert sum(map(fraction, parts)) == fraction(money)
    assert len(parts) == len(shares)


@given(amounts, weights)
def test_each_part_of_a_split_is_within_one_grain_of_its_share(amount, shares):
    money = Money(amount)
    grain = Fraction(1, 10**12)
    whole = sum(Fraction(s) for s in shares)
    for part, share in zip(money.split(shares), shares, strict=True):
        assert abs(fraction(part) - fraction(money) * Fraction(share) / whole) < grain
        assert share or not part


@given(decimals, weights)
def test_amounts_finer_than_the_ledger_split_exactly_too(amount, shares):
    assume(amount.as_tuple().exponent > -40)
    parts = Money(amount).split(shares)
    assert sum(map(fraction, parts)) == Fraction(amount)


@given(amounts, weights, st.integers(1, 1000))
def test_scaling_the_weights_does_not_change_the_split(amount, shares, factor):
    assert Money(amount).split([s * factor for s in shares]) == Money(amount).split(shares)


@pytest.mark.parametrize("shares", [[], [0], [0, 0], [1, -1], [Decimal("-0.1"), 5]])
def test_weights_that_mean_nothing_are_refused(shares):
    with pytest.raises(InputError) as problem:
        Money.of(1).split(shares)
    assert problem.value.field == "weights"
    assert "positive weight" in problem.value.remedy


@given(monies, amounts)
def test_currencies_never_mix(dollars, amount):
    euros = Money(amount, "EUR")
    for act in (
        lambda: dollars + euros,
        lambda: euros - dollars,
        lambda: dollars < euros,
        lambda: dollars <= euros,
        lambda: euros > dollars,
        lambda: euros >= dollars,
        lambda: total([dollars, euros]),
        lambda: total([euros]),
    ):
        with pytest.raises(CurrencyError, match="exchange rate"):
            act()
    assert dollars != euros


@given(not_exact)
def test_nothing_inexact_becomes_money(value):
    for make in (
        Money,
        Money.of,
        lambda v: Money.of(1) * v,
        lambda v: v * Money.of(1),
        lambda v: Rate(Decimal(1)).times(v),
    ):
        with pytest.raises((InputError, TypeError)):
            make(value)


@pytest.mark.parametrize("text", ["", "twelve", "1,5", "0x10", "nan", "-inf"])
def test_text_that_is_no_amount_is_named(text):
    with pytest.raises(InputError) as problem:
        Money.of(text)
    assert (problem.value.field, problem.value.value) == ("amount", text)


@pytest.mark.parametrize("code", ["usd", "US", "DOLLAR", "", "U$D", "USD "])
def test_a_currency_is_a_code(code):
    with pytest.raises(InputError, match="ISO 4217"):
        Money(Decimal(1), code)


@given(monies)
def test_text_and_back(money):
    amount, currency = str(money).split(" ")
    assert "E" not in amount
    assert Money.of(amount, currency) == money


@given(st.decimals(min_value=-1000, max_value=1000, places=20))
def test_the_ledger_rounds_once_half_to_even(amount):
    rounded = Money(amount).rounded()
    assert rounded.rounded() == rounded
    assert abs(fraction(rounded) - Fraction(amount)) <= Fraction(1, 2 * 10**12)
    assert Fraction(amount) != fraction(rounded) or rounded.amount == amount


@pytest.mark.parametrize(
    ("amount", "kept"),
    [("0.0000000000005", "0"), ("0.0000000000015", "0.000000000002"), ("0.0000000000025", "0.000000000002")],
)
def test_ties_go_to_the_even_digit(amount, kept):
    assert Money.of(amount).rounded() == Money.of(kept)


@given(st.lists(monies, max_size=20))
def test_a_total_is_the_exact_sum(parts):
    found = total(parts)
    assert isinstance(found, Money)
    assert fraction(found) == sum(map(fraction, parts))


@given(st.lists(monies, max_size=5), st.lists(monies, max_size=5))
def test_one_unknown_price_spoils_a_total(before, after):
    unknown = Unpriced("no price for audio")
    assert total([*before, unknown, *after, Unpriced("later")]) == unknown


@given(monies, monies)
def test_order_is_that_of_the_amounts(a, b):
    assert (a < b, a <= b, a > b, a >= b) == (
        a.amount < b.amount, a.amount <= b.amount, a.amount > b.amount, a.amount >= b.amount,
    )  # fmt: skip
    assert bool(a) == (a.amount != 0)


rates = st.builds(Rate, st.decimals(min_value=0, max_value=10**4, places=6), per=st.sampled_from([1, 1000, 10**6]))


@given(rates, st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_rate_is_linear_and_exact(rate, n, m):
    assert rate.times(n) + rate.times(m) == rate.times(n + m)
    assert fraction(rate.times(n)) == Fraction(rate.amount) * n / rate.per


@pytest.mark.parametrize("amount", [Decimal(-1), Decimal("NaN"), 1, 0.5, "1"])
def test_a_rate_is_an_exact_number_of_zero_or_more(amount):
    with pytest.raises(InputError):
        Rate(amount)


@pytest.mark.parametrize("per", [0, -1])
def test_a_rate_is_per_something(per):
    with pytest.raises(InputError):
        Rate(Decimal(1), per=per)


@given(st.one_of(st.integers(), decimals))
def test_exact_numbers_pass_unchanged(value):
    assert decimal_of(value, field="x") == value
    assert decimal_of(str(value), field="x") == value
