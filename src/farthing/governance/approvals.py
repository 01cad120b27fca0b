"""Which acts need somebody's yes, and whose.

Bands of money a month and the duties that go with them are data. The table below is a published rule of thumb (early
2026): training is the engineering manager's, inference the infrastructure lead's, new hardware the CTO's, in bands of
$1k, $10k and $100k. What the rule of thumb leaves open is chosen here: everything else is finance's, and from $100k on
everything is the CTO's.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any

import msgspec

from farthing.core.errors import DeniedError
from farthing.core.limits import LENGTHS, Limit, Measure, Span
from farthing.core.money import EXACT
from farthing.core.nouns import Scope
from farthing.governance.gate import Act
from farthing.governance.roles import Role, Who

ANY = "*"
"""The category of a rule for categories that have none of their own."""

LEAVES = ("spend", "plan")
"""Acts that do nothing by themselves: a yes is leave to begin something."""

ASKED = (*LEAVES, "key.create", "limit.change", "limit.raise", "limit.remove")
"""Acts that need a yes by default."""

ACTS = (*ASKED, "limit.create")
"""Acts that can need one. A new limit only ever tightens what holds already, so that it is not asked about unless
budgets are handed out like money.
"""

KEY_CREATE = "key.create"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From ``least`` dollars a month on, ``duty`` has to agree to what is of a ``category`` (``*``: any other)."""

    least: Decimal
    duty: str
    category: str = ANY


RULE_OF_THUMB: tuple[Rule, ...] = (
    Rule(category="training", least=Decimal(1_000), duty="engineering-manager"),
    Rule(category="training", least=Decimal(100_000), duty="cto"),
    Rule(category="inference", least=Decimal(1_000), duty="infrastructure-lead"),
    Rule(category="inference", least=Decimal(100_000), duty="cto"),
    Rule(category="hardware", least=Decimal(1_000), duty="cto"),
    Rule(least=Decimal(1_000), duty="finance"),
    Rule(least=Decimal(100_000), duty="cto"),
)
"""The default table. Below its first band nobody is asked."""

FOUR_EYES_FROM = Decimal(10_000)
"""The middle band: from here on the rule of thumb wants a second look, which ``four_eyes`` gives."""


class ApprovalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who has to agree to what: ``[approvals]``.

    ``rules`` replaces the table of bands and duties; an empty list asks nobody. ``acts``: what is asked about at all.
    ``four_eyes``: somebody else always has to agree, in their own name, and from ``four_eyes_from`` dollars a month on
    two different people. Without it, whoever holds the duty just does it, and that is written down.
    ``expire_hours``: how long a question waits for an answer. ``valid_days``: how long a yes to a spend or a plan can
    be used, and how long a new key waits to be fetched. ``ask_for_unlimited_keys``: also ask for keys that no hard
    budget covers. ``cli``: ask for what ``farthing key create`` makes on this machine, too. ``link_hours``: how long
    a signed link to vote works; 0 makes none.
    """

    rules: tuple[Rule, ...] = RULE_OF_THUMB
    acts: tuple[str, ...] = ASKED
    four_eyes: bool = False
    four_eyes_from: Decimal = FOUR_EYES_FROM
    expire_hours: int = 72
    valid_days: int = 30
    ask_for_unlimited_keys: bool = False
    cli: bool = False
    link_hours: int = 24

    @property
    def patience(self) -> timedelta:
        """How long a question waits."""
        return timedelta(hours=self.expire_hours)

    @property
    def validity(self) -> timedelta:
        """How long a yes can be used."""
        return timedelta(days=self.valid_days)


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Whose yes an act needs: that of ``votes`` people who hold ``duty`` or one of ``instead``, which are the duties
    of higher bands. ``reason`` says why, for people.
    """

    duty: str
    votes: int
    reason: str
    instead: tuple[str, ...] = ()

    @property
    def duties(self) -> tuple[str, ...]:
        """All duties that may agree."""
        return (self.duty, *self.instead)


def needed(act: Act, who: Who, settings: ApprovalSettings) -> Need | None:
    """Whose yes this act needs before this person may have it; ``None`` when it may happen at once.

    Never one's own, except that without four eyes the holder of the duty need not ask anybody.
    """
    need = wanted(act, settings)
    return None if need is None or (not settings.four_eyes and holds(who, need.duties)) else need


def wanted(act: Act, settings: ApprovalSettings) -> Need | None:
    """Whose yes this act needs, whoever asks."""
    if act.name not in settings.acts or not settings.rules:
        return None
    if act.amount is None:
        if act.name != KEY_CREATE or not settings.ask_for_unlimited_keys:
            return None
        return _need(_of(act.category, settings.rules), act, settings, "no hard budget covers this key")
    bands = _of(act.category, settings.rules)
    reached = [rule for rule in bands if rule.least <= act.amount]
    if not reached:
        return None
    above = bands[len(reached) :]
    said = f"${act.amount:,f} a month is at or above ${reached[-1].least:,f} for {act.category or 'any category'}"
    return _need((reached[-1], *above), act, settings, said)


def may_vote(who: Who, *, asker: str, duties: Iterable[str], scope: Scope, in_person: bool) -> None:
    """Raises ``DeniedError`` unless this person may agree to, or refuse, what the ``asker`` wants.

    ``in_person``: the admin token does not count, because it may be anybody.
    """
    who.must("approval.give")
    who.must_own(scope, "This approval")
    if identity(who) == asker:
        raise DeniedError(
            "Nobody agrees to what they asked for",
            reason="own_approval",
            remedy="Somebody else has to; you may withdraw it",
        )
    if in_person and not who.person:
        raise DeniedError(
            "With four eyes, people vote in their own name",
            reason="nobody_in_person",
            remedy="Log in as yourself; the admin token may be anybody",
        )
    if not holds(who, duties):
        raise DeniedError(
            f"This needs the yes of {' or '.join(duties)}", reason="duty", remedy="An admin can give you the duty"
        )


def holds(who: Who, duties: Iterable[str]) -> bool:
    """Whether somebody holds one of the duties. Admins hold all of them, the role finance the duty of that name."""
    if who.role is Role.ADMIN:
        return True
    return any(duty in who.duties or (duty == "finance" and who.role is Role.FINANCE) for duty in duties)


def identity(who: Who) -> str:
    """What tells one voter from another: the person, or the name of who is none."""
    return who.person or who.actor


def digest(act: Act) -> str:
    """What was asked, as a SHA-256 in hex: a yes is to exactly this."""
    plain: Any = msgspec.to_builtins(act, order="deterministic")
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def monthly(limit: Limit) -> Decimal:
    """Dollars a month that a money limit allows; for one that exists once, all of it."""
    months = {Span.MONTH: 1, Span.ONCE: 1, Span.QUARTER: 3, Span.YEAR: 12}.get(limit.per)
    if months is not None:
        return EXACT.divide(limit.amount, months).quantize(_CENT, ROUND_CEILING)
    second = timedelta(seconds=1)
    month, span = LENGTHS[Span.MONTH] // second, LENGTHS[limit.per] // second
    return EXACT.divide(EXACT.multiply(limit.amount, month), span).quantize(_CENT, ROUND_CEILING)


def commitment(old: Limit | None, new: Limit | None) -> Decimal | None:
    """What making, changing or removing a limit lets be spent a month, for the act's ``amount``.

    Only loosening costs: a higher amount, no longer hard, removed. It counts by the larger of the two amounts and not
    by their difference, so that a raise in small steps asks as one step would. ``None`` when nothing is loosened, and
    for limits on anything but money.
    """
    if new is not None and old is None:
        return monthly(new) if _binds(new) else None
    if old is None or not _binds(old):
        return None
    if new is None or not _binds(new):
        return monthly(old)
    return monthly(new) if monthly(new) > monthly(old) or _wider(old, new) else None


def key_commitment(scope: Scope, category: str, limits: Iterable[Limit]) -> Decimal | None:
    """What a key with this scope could spend in a month: the least that a hard budget covering all of it allows.

    ``None`` when no hard budget does.
    """
    who = {name: value for name, value in msgspec.structs.asdict(scope).items() if value}
    who["key"] = who.get("key") or "new"
    who["category"] = category or "inference"
    covering = [monthly(limit) for limit in limits if _binds(limit) and limit.subject(who) is not None]
    return min(covering, default=None)


def key_act(name: str, scope: Scope, limits: Iterable[Limit], *, payload: Mapping[str, Any], category: str = "") -> Act:
    """Making a key, as an act: it may cost what the key could spend in a month."""
    owner = " ".join(f"{field}={value}" for field, value in msgspec.structs.asdict(scope).items() if value)
    return Act(
        name=KEY_CREATE,
        subject=name or owner or "key",
        summary=f"Make the key {name!r} for {owner or 'nobody in particular'}",
        payload=payload,
        scope=scope,
        category=category or "inference",
        amount=key_commitment(scope, category, limits),
    )


def _binds(limit: Limit) -> bool:
    return limit.hard and limit.measure is Measure.COST


def _wider(old: Limit, new: Limit) -> bool:
    """Whether more pots, or other people's, come out of a changed scope: that lets more be spent as well."""
    return old.scope != new.scope or old.unpriced < new.unpriced


def _of(category: str, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The bands of a category, lowest first."""
    own = [rule for rule in rules if rule.category == category]
    others = [rule for rule in rules if rule.category == ANY]
    return tuple(sorted(own or others, key=lambda rule: rule.least))


def _need(bands: tuple[Rule, ...], act: Act, settings: ApprovalSettings, reason: str) -> Need | None:
    if not bands:
        return None
    duties = tuple(dict.fromkeys(rule.duty for rule in bands))
    large = act.amount is None or act.amount >= settings.four_eyes_from
    return Need(duty=duties[0], instead=duties[1:], votes=2 if settings.four_eyes and large else 1, reason=reason)


_CENT = Decimal("0.01")


def flaws(settings: ApprovalSettings) -> Iterator[tuple[tuple[str | int, ...], object, str, str]]:
    """What types cannot say about the settings: where, the value, what is wrong with it, and a remedy."""
    for i, rule in enumerate(settings.rules):
        if not rule.least.is_finite() or rule.least < 0:
            yield ("rules", i, "least"), str(rule.least), "a band begins at zero or more", "Write it like 1000"
        if not _DUTY.fullmatch(rule.duty):
            yield ("rules", i, "duty"), rule.duty, "not a duty", "Write one word of letters and dashes, like cto"
    for field, least in _LEAST.items():
        if not getattr(settings, field) >= least:
            value = str(getattr(settings, field))
            yield (field,), value, f"must be {least} or more", "Leave it out for the default"
    for i, name in enumerate(settings.acts):
        if name not in ACTS:
            yield ("acts", i), name, "not an act", f"Use {', '.join(ACTS)}"


_DUTY = re.compile("[a-z][a-z0-9-]{0,31}")
_LEAST: Mapping[str, int] = {"expire_hours": 1, "valid_days": 1, "link_hours": 0, "four_eyes_from": 0}

__all__ = [
    "ACTS", "ANY", "ASKED", "KEY_CREATE", "LEAVES", "RULE_OF_THUMB", "ApprovalSettings", "Need", "Rule", "commitment",
    "digest", "flaws", "holds", "identity", "key_act", "key_commitment", "may_vote", "monthly", "needed", "wanted",
]  # fmt: skip
