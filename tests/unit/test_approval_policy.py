"""Who has to agree to what: the table, as data."""

from decimal import Decimal

import pytest

from farthing.core.errors import DeniedError
from farthing.core.limits import Limit, Measure, Span
from farthing.core.nouns import Scope
from farthing.governance.approvals import (
    ApprovalSettings,
    Rule,
    commitment,
    digest,
    flaws,
    holds,
    key_act,
    key_commitment,
    may_vote,
    monthly,
    needed,
)
from farthing.governance.gate import Act
from farthing.governance.roles import Role
from support.governed import person

ENGINEER = person("eve")
DEFAULT = ApprovalSettings()


def act(amount: str | None, category: str = "", name: str = "spend") -> Act:
    return Act(
        name=name, subject="s", summary="s", payload={}, category=category,
        amount=None if amount is None else Decimal(amount),
    )  # fmt: skip


def limit(amount: str, per: Span = Span.MONTH, **more) -> Limit:
    return Limit(**{"id": "lim_1", "name": "l", "measure": Measure.COST, "amount": Decimal(amount), "per": per, **more})


@pytest.mark.parametrize(
    ("category", "amount", "duties"),
    [
        ("training", "999.99", None),
        ("training", "1000", ("engineering-manager", "cto")),
        ("training", "99999", ("engineering-manager", "cto")),
        ("training", "100000", ("cto",)),
        ("inference", "1000", ("infrastructure-lead", "cto")),
        ("inference", "100000.01", ("cto",)),
        ("hardware", "999", None),
        ("hardware", "1000", ("cto",)),
        ("research", "1000", ("finance", "cto")),
        ("", "10000", ("finance", "cto")),
        ("", "100000", ("cto",)),
        ("", "0", None),
    ],
)
def test_the_rule_of_thumb(category, amount, duties):
    need = needed(act(amount, category), ENGINEER, DEFAULT)
    assert (need.duties if need else None) == duties
    if need:
        assert need.votes == 1


def test_whoever_holds_the_duty_or_a_higher_one_need_not_ask():
    for who in (
        person("em", Role.ENGINEER, "engineering-manager"),
        person("cto", Role.VIEWER, "cto"),
        person("ad", Role.ADMIN),
    ):
        assert needed(act("5000", "training"), who, DEFAULT) is None
    lead = person("lead", Role.ENGINEER, "infrastructure-lead")
    assert needed(act("5000", "training"), lead, DEFAULT).duty == "engineering-manager"
    assert needed(act("500000", "inference"), lead, DEFAULT).duties == ("cto",)


def test_the_role_finance_holds_the_duty_of_that_name():
    money = person("fin", Role.FINANCE)
    assert needed(act("5000"), money, DEFAULT) is None
    assert needed(act("5000", "training"), money, DEFAULT).duty == "engineering-manager"
    assert not holds(person("svc", Role.SERVICE), ["finance"])


def test_four_eyes_asks_everybody_and_two_people_from_the_middle_band_on():
    strict = ApprovalSettings(four_eyes=True)
    admin = person("ad", Role.ADMIN)
    assert needed(act("999"), admin, strict) is None
    assert needed(act("1000"), admin, strict).votes == 1
    assert needed(act("10000"), admin, strict).votes == 2
    assert needed(act("1000"), admin, ApprovalSettings(four_eyes=True, four_eyes_from=Decimal(0))).votes == 2


def test_own_rules_replace_the_table():
    own = ApprovalSettings(
        rules=(Rule(least=Decimal(50), duty="boss"), Rule(category="training", least=Decimal(0), duty="lab"))
    )
    assert needed(act("49.99"), ENGINEER, own) is None
    assert needed(act("50"), ENGINEER, own).duties == ("boss",)
    assert needed(act("0", "training"), ENGINEER, own).duties == ("lab",)
    assert needed(act("1000000"), ENGINEER, ApprovalSettings(rules=())) is None
    assert needed(act("1000000", name="limit.raise"), ENGINEER, ApprovalSettings(acts=("spend",))) is None


def test_only_settings_ask_for_keys_that_no_budget_covers():
    unlimited = act(None, "inference", "key.create")
    assert needed(unlimited, ENGINEER, DEFAULT) is None
    need = needed(unlimited, ENGINEER, ApprovalSettings(ask_for_unlimited_keys=True))
    assert need.duty == "infrastructure-lead"
    assert "no hard budget" in need.reason
    assert needed(act(None, name="limit.change"), ENGINEER, ApprovalSettings(ask_for_unlimited_keys=True)) is None


@pytest.mark.parametrize(
    ("per", "amount", "dollars"),
    [
        (Span.MONTH, "12", "12.00"), (Span.YEAR, "12000", "1000.00"), (Span.QUARTER, "100", "33.34"),
        (Span.DAY, "100", "3000.00"), (Span.WEEK, "700", "3000.00"), (Span.HOUR, "1", "720.00"),
        (Span.MINUTE, "0.10", "4320.00"), (Span.ONCE, "70", "70.00"),
    ],
)  # fmt: skip
def test_amounts_count_by_the_month(per, amount, dollars):
    assert str(monthly(limit(amount, per))) == dollars


def test_only_loosening_a_hard_money_limit_commits_anything():
    old = limit("900")
    assert commitment(old, limit("800")) is None
    assert commitment(old, limit("900", name="renamed")) is None
    assert commitment(old, limit("1100")) == Decimal(1100)
    assert commitment(old, limit("100", hard=False)) == Decimal(900)
    assert commitment(old, None) == Decimal(900)
    assert commitment(None, old) == Decimal(900)
    assert commitment(limit("5", measure=Measure.TOKENS), limit("500000", measure=Measure.TOKENS)) is None
    assert commitment(limit("5", hard=False), None) is None


def test_a_raise_in_small_steps_asks_as_one_step_would():
    asked = [
        needed(act(str(commitment(limit(str(a)), limit(str(a + 50)))), name="limit.raise"), ENGINEER, DEFAULT)
        for a in range(800, 1200, 50)
    ]
    assert [bool(need) for need in asked] == [a + 50 >= 1000 for a in range(800, 1200, 50)]


def test_a_key_may_spend_the_least_that_a_covering_hard_budget_allows():
    team = Scope(team="search")
    covering = limit("5000", scope={"team": "search"})
    smaller = limit("100", Span.DAY, scope={"team": "*"})
    assert key_commitment(team, "", []) is None
    assert key_commitment(team, "", [covering, smaller]) == Decimal(3000)
    for misses in (
        limit("1", scope={"team": "support"}), limit("1", scope={"customer": "*"}), limit("1", hard=False),
        limit("1", scope={"model": "gpt-5"}), limit("1", measure=Measure.REQUESTS), limit("1", scope={"category": "training"}),
    ):  # fmt: skip
        assert key_commitment(team, "", [covering, misses]) == Decimal(5000)
    assert key_commitment(team, "training", [limit("1", scope={"category": "training"})]) == Decimal(1)
    assert key_act("k", team, [covering], payload={}).amount == Decimal(5000)


def test_nobody_agrees_to_what_they_asked_for_and_only_holders_of_the_duty_vote():
    boss = person("boss", Role.ENGINEER, "cto")
    may_vote(boss, asker="per_eve", duties=["cto"], scope=Scope(), in_person=True)
    for who, reason in (
        (person("eve", Role.ADMIN), "own_approval"),
        (person("bob", Role.ENGINEER, "engineering-manager"), "duty"),
        (person("svc", Role.SERVICE, "cto"), "role"),
        (person("viv", Role.VIEWER, "cto"), "role"),
        (person("far", Role.ENGINEER, "cto", scope=Scope(team="support")), "tenant"),
    ):
        with pytest.raises(DeniedError) as refused:
            may_vote(who, asker="per_eve", duties=["cto"], scope=Scope(team="search"), in_person=False)
        assert refused.value.reason == reason


def test_with_four_eyes_the_admin_token_is_nobody():
    from farthing.web.who import ADMIN_TOKEN

    may_vote(ADMIN_TOKEN, asker="per_eve", duties=["cto"], scope=Scope(), in_person=False)
    with pytest.raises(DeniedError, match="own name"):
        may_vote(ADMIN_TOKEN, asker="per_eve", duties=["cto"], scope=Scope(), in_person=True)


def test_a_digest_is_of_everything_that_is_asked():
    same = Act(name="spend", subject="s", summary="s", payload={"a": 1, "b": {"c": 2}}, amount=Decimal(5))
    other = Act(name="spend", subject="s", summary="s", payload={"b": {"c": 2}, "a": 1}, amount=Decimal(5))
    assert digest(same) == digest(other)
    from msgspec.structs import replace

    changed = [
        replace(same, amount=Decimal("5.01")), replace(same, subject="t"), replace(same, payload={"a": 1}),
        replace(same, scope=Scope(team="x")), replace(same, category="training"), replace(same, name="plan"),
    ]  # fmt: skip
    assert len({digest(each) for each in [same, *changed]}) == 7


def test_flawed_settings_are_named():
    bad = ApprovalSettings(
        rules=(Rule(least=Decimal(-1), duty="a b"), Rule(least=Decimal("NaN"), duty="cto")),
        acts=("buy",),
        expire_hours=0,
    )
    assert [at for at, *_ in flaws(bad)] == [
        ("rules", 0, "least"), ("rules", 0, "duty"), ("rules", 1, "least"), ("expire_hours",), ("acts", 0),
    ]  # fmt: skip
    assert not list(flaws(DEFAULT))
