"""Control profiles: a sensible set of limits and approvals for a company of some size, as one value.

Bands of monthly spend, the split by category and the thresholds of approvals are published rules of thumb of early
2026; what an account, a person or a key gets for itself is this project's choice. All of it is meant to be changed.
"""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Literal

import msgspec

from farthing.core.errors import InputError
from farthing.core.limits import EACH, Limit, Measure, Span

ProfileName = Literal["startup", "mid-size", "enterprise"]

SPLIT: Mapping[str, int] = {"training": 30, "inference": 45, "research": 15, "maintenance": 10}
"""Percent of an AI budget by category."""

_CENT = Decimal("0.01")
_WHOLE = 100


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a company of some size begins with. Amounts are dollars.

    ``least`` and ``most`` bound what such companies spend a month (``None``: open), ``budget`` is the total a month
    where none is given. ``hard_split``: categories are refused when they are used up, instead of only warned about.
    ``user_day`` is what each person may spend a day, ``key_requests`` and ``key_tokens`` what each key may use a
    minute. ``approvals`` are settings of ``[approvals]`` as TOML, each with why.
    """

    name: ProfileName
    least: Decimal
    most: Decimal | None
    budget: Decimal
    hard_split: bool
    user_day: Decimal
    key_requests: int
    key_tokens: int
    approvals: Mapping[str, tuple[str, str]]
    warn_at: tuple[int, ...] = (50, 80, 90, 100)
    warn_day_at: int = 80


PROFILES: Mapping[ProfileName, Profile] = {
    "startup": Profile(
        name="startup",
        least=Decimal(5_000),
        most=Decimal(15_000),
        budget=Decimal(10_000),
        hard_split=False,
        user_day=Decimal(25),
        key_requests=120,
        key_tokens=200_000,
        approvals={
            "rules": (
                '[{ least = "1000", duty = "finance" }, { least = "10000", duty = "cto" }]',
                "from so many dollars a month on, who has to agree; a small company has two who decide",
            ),
            "four_eyes": ("false", "whoever holds the duty need not ask anybody else"),
        },
    ),
    "mid-size": Profile(
        name="mid-size",
        least=Decimal(15_000),
        most=Decimal(80_000),
        budget=Decimal(40_000),
        hard_split=False,
        user_day=Decimal(50),
        key_requests=600,
        key_tokens=1_000_000,
        approvals={
            "four_eyes": ("false", "whoever holds the duty need not ask; the bands are $1k, $10k and $100k a month"),
        },
    ),
    "enterprise": Profile(
        name="enterprise",
        least=Decimal(80_000),
        most=None,
        budget=Decimal(200_000),
        hard_split=True,
        user_day=Decimal(100),
        key_requests=3_000,
        key_tokens=5_000_000,
        approvals={
            "four_eyes": ("true", "somebody else always has to agree; the bands are $1k, $10k and $100k a month"),
            "four_eyes_from": ('"10000"', "from here on two different people"),
        },
    ),
}


def split(total: Decimal, shares: Mapping[str, int] = SPLIT) -> dict[str, Decimal]:
    """A total by category, to the cent or the total's own last digit. The parts sum to it exactly: what rounding
    leaves over goes to the largest remainders.

    Raises ``InputError`` for shares that do not sum to 100, and for negative ones.
    """
    if sum(shares.values()) != _WHOLE or any(share < 0 for share in shares.values()):
        given = ", ".join(f"{name} {share}" for name, share in shares.items())
        raise InputError("shares sum to 100 percent", field="shares", value=given, remedy="Adjust one of them")
    grid = min(_CENT, Decimal((0, (1,), int(total.as_tuple().exponent))))
    exact = {name: total * share / _WHOLE for name, share in shares.items()}
    parts = {name: part.quantize(grid, ROUND_FLOOR) for name, part in exact.items()}
    left = int((total - sum(parts.values())) / grid)
    for name in sorted(parts, key=lambda name: parts[name] - exact[name])[:left]:
        parts[name] += grid
    return parts


def split_limits(total: Decimal, shares: Mapping[str, int] = SPLIT, *, hard: bool, zone: str) -> tuple[Limit, ...]:
    """A monthly limit for each category."""
    return tuple(
        _money(name, part, {"category": name}, hard=hard, zone=zone) for name, part in split(total, shares).items()
    )


def limits_of(profile: Profile, budget: Decimal, *, zone: str) -> tuple[Limit, ...]:
    """The limits of a profile with a total a month. Their ids are empty."""
    found = (
        _money("total", budget, {}, hard=True, zone=zone),
        *split_limits(budget, hard=profile.hard_split, zone=zone),
        _money("each-user-a-day", min(profile.user_day, budget), {"user": EACH}, hard=True, zone=zone, per=Span.DAY),
        _quota("each-key-requests", Measure.REQUESTS, profile.key_requests),
        _quota("each-key-tokens", Measure.TOKENS, profile.key_tokens),
    )
    warned = {"warn_at": profile.warn_at, "warn_day_at": profile.warn_day_at}
    return tuple(msgspec.structs.replace(limit, **warned) for limit in found)


def _money(
    name: str, amount: Decimal, scope: Mapping[str, str], *, hard: bool, zone: str, per: Span = Span.MONTH
) -> Limit:
    return Limit(id="", name=name, measure=Measure.COST, amount=amount, per=per, scope=scope, hard=hard, zone=zone)


def _quota(name: str, measure: Measure, amount: int) -> Limit:
    """So many a minute for each key. Minutes roll, so that nobody gets two of them around a full minute."""
    return Limit(
        id="", name=name, measure=measure, amount=Decimal(amount), per=Span.MINUTE, scope={"key": EACH}, rolling=True
    )


__all__ = ["PROFILES", "SPLIT", "Profile", "ProfileName", "limits_of", "split", "split_limits"]
