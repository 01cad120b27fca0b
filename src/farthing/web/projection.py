"""How much a calendar month costs if its days go on as they went."""

import statistics
from collections.abc import Sequence
from decimal import Decimal

from farthing.core.money import LEDGER_PLACES
from farthing.web.views import Projection

LEAST_DAYS = 3
TEN_PERCENT_TAIL = Decimal("1.282")
"""The normal distribution's 90th percentile, in standard deviations."""


def project(
    cost: Decimal, whole_days: Sequence[Decimal], *, days_left: Decimal, days_in_month: int
) -> Projection | None:
    """The month's cost so far plus ``days_left`` days at the mean of the whole days.

    The range is 80 % under the assumption that days are independent and that their mean is known only from these
    days: its half-width is 1.282 × s × √(left + left² / n). ``None`` before three whole days with data, and the
    range never falls under what is spent already.
    """
    count = len(whole_days)
    if count < LEAST_DAYS or not any(whole_days):
        return None
    mean = statistics.mean(whole_days)
    width = TEN_PERCENT_TAIL * statistics.stdev(whole_days) * (days_left + days_left * days_left / count).sqrt()
    mid = cost + mean * days_left
    return Projection(
        method="run rate",
        low=max(cost, mid - width).quantize(LEDGER_PLACES),
        mid=mid.quantize(LEDGER_PLACES),
        high=(mid + width).quantize(LEDGER_PLACES),
        days_observed=count,
        days_in_month=days_in_month,
        note=f"Mean of {count} whole days, range from their variation; no trend, no weekday pattern",
    )
