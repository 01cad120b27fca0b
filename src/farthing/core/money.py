"""Exact money. No floats come in, none go out, and two currencies never meet in one sum."""

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Self

import msgspec

from farthing.core.errors import CurrencyError, InputError

USD = "USD"
LEDGER_PLACES = Decimal("1e-12")
"""The ledger stores money as DECIMAL(38,12); a value is rounded once, when it is written."""

EXACT = Context(prec=96)
"""Wide enough for the product of any two ledger values; sums and products in it are exact."""

_CURRENCY = re.compile("[A-Z]{3}")
_ROUND = Context(prec=96, rounding=ROUND_HALF_EVEN)


def decimal_of(value: object, *, field: str) -> Decimal:
    """The exact decimal of a whole number or a decimal string.

    Raises ``InputError`` for floats, NaN, infinities and text that is no number.
    """
    if isinstance(value, (bool, float)) or not isinstance(value, (Decimal, int, str)):
        raise InputError(
            "an exact number is needed", field=field, value=value, remedy="Pass a Decimal, an int or a decimal string"
        )
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise InputError("not a decimal number", field=field, value=value, remedy='Write it like "12.50"') from None
    if not number.is_finite():
        raise InputError("money must be finite", field=field, value=value)
    return number


class Money(msgspec.Struct, frozen=True, order=False, gc=False):
    """An exact amount in one currency.

    ``amount`` is in whole units of ``currency`` (ISO 4217), of any sign. Arithmetic is exact;
    multiplying by a float does not type-check and raises at run time.
    """

    amount: Decimal
    currency: str = USD

    def __post_init__(self) -> None:
        if type(self.amount) is not Decimal or not self.amount.is_finite():
            decimal_of(self.amount, field="amount")
            raise InputError("use Money.of for text and whole numbers", field="amount", value=self.amount)
        if self.currency is not USD and not _CURRENCY.fullmatch(self.currency):
            raise InputError(
                "a currency is three capital letters", field="currency", value=self.currency, remedy="Use ISO 4217"
            )

    @classmethod
    def of(cls, amount: Decimal | int | str, currency: str = USD) -> Self:
        """Money from a decimal string or whole number; never from a float."""
        return cls(decimal_of(amount, field="amount"), currency)

    @classmethod
    def zero(cls, currency: str = USD) -> Self:
        """Nothing, in a currency."""
        return cls(Decimal(0), currency)

    def __add__(self, other: "Money") -> "Money":
        return Money(EXACT.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(EXACT.subtract(self.amount, self._same(other)), self.currency)

    def __neg__(self) -> "Money":
        return Money(EXACT.minus(self.amount), self.currency)

    def __mul__(self, factor: Decimal | int) -> "Money":
        return Money(EXACT.multiply(self.amount, decimal_of(factor, field="factor")), self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.amount >= self._same(other)

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def rounded(self) -> "Money":
        """The value as the ledger stores it: twelve decimals, half to even."""
        return Money(ledger_amount(self.amount), self.currency)

    def split(self, weights: Sequence[Decimal | int]) -> list["Money"]:
        """Parts in proportion to ``weights`` whose sum is this amount exactly.

        The parts lie on the grid of this amount's own last digit or the ledger's, whichever is
        finer; what rounding leaves over goes to the largest remainders, first come first served.
        Raises ``InputError`` for no weights, negative weights or weights that are all zero.
        """
        shares = [decimal_of(w, field="weights") for w in weights]
        total = sum(shares, Decimal(0))
        if any(s < 0 for s in shares) or total <= 0:
            raise InputError(
                "weights must be zero or more, and not all zero",
                field="weights",
                value=list(weights),
                remedy="Pass at least one positive weight",
            )
        exponent = self.amount.as_tuple().exponent
        places = min(int(exponent), -12)
        whole = int(self.amount.scaleb(-places, context=EXACT))
        top, numerators = _as_integers(shares)
        floors = [whole * n // top for n in numerators]
        by_remainder = sorted(range(len(shares)), key=lambda i: (-(whole * numerators[i] % top), i))
        for i in by_remainder[: whole - sum(floors)]:
            floors[i] += 1
        return [Money(Decimal(f).scaleb(places, context=EXACT), self.currency) for f in floors]

    def _same(self, other: "Money") -> Decimal:
        if self.currency != other.currency:
            raise CurrencyError(
                f"cannot combine {self.currency} with {other.currency}",
                field="currency",
                value=other.currency,
                remedy="Convert one of them with a dated exchange rate first",
            )
        return other.amount


class Unpriced(msgspec.Struct, frozen=True, gc=False):
    """The cost is not known, and why. It is never zero and it spoils every sum it enters."""

    reason: str

    def __str__(self) -> str:
        return f"unpriced: {self.reason}"


class Rate(msgspec.Struct, frozen=True, gc=False):
    """A price per quantity: ``amount`` of ``currency`` for every ``per`` units.

    ``Rate(Decimal("3"), per=1_000_000)`` is three dollars per million. ``per`` is a power of ten
    for tokens, so that products are exact.
    """

    amount: Decimal
    currency: str = USD
    per: int = 1

    def __post_init__(self) -> None:
        if type(self.amount) is not Decimal or not self.amount.is_finite() or self.amount < 0:
            raise InputError("a rate is a Decimal of zero or more", field="amount", value=self.amount)
        if self.per < 1:
            raise InputError("a rate is per one unit or more", field="per", value=self.per)

    def times(self, quantity: Decimal | int) -> Money:
        """The price of ``quantity`` units. Exact whenever ``per`` divides the product in decimal."""
        product = EXACT.multiply(self.amount, decimal_of(quantity, field="quantity"))
        return Money(EXACT.divide(product, Decimal(self.per)) if self.per != 1 else product, self.currency)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}" + (f" / {self.per:,}" if self.per != 1 else "")


def total(parts: Iterable[Money | Unpriced], *, currency: str = USD) -> Money | Unpriced:
    """The exact sum, or the first reason why there is none."""
    running = Money.zero(currency)
    for part in parts:
        if isinstance(part, Unpriced):
            return part
        running = running + part
    return running


def ledger_amount(amount: Decimal) -> Decimal:
    """An amount as the ledger stores it: twelve decimals, half to even."""
    return amount.quantize(LEDGER_PLACES, context=_ROUND)


def _as_integers(shares: Sequence[Decimal]) -> tuple[int, list[int]]:
    """Weights as integers on one common power of ten, and their sum."""
    places = min(min(int(s.as_tuple().exponent), 0) for s in shares)
    integers = [int(s.scaleb(-places, context=EXACT)) for s in shares]
    return sum(integers), integers


__all__ = ["EXACT", "LEDGER_PLACES", "USD", "Money", "Rate", "Unpriced", "decimal_of", "ledger_amount", "total"]
