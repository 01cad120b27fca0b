from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest

from farthing.core.errors import NotFoundError
from farthing.core.facts import Source, Status
from farthing.core.nouns import Scope
from farthing.core.time import Window
from farthing.ledger import focus
from farthing.ledger.questions import RequestsQuestion, SpendQuestion
from farthing.ledger.schema import reversal
from farthing.ledger.store import Ledger
from support.facts import NOON, cost_of, fact, facts

NOVEMBER = Window(start=datetime(2026, 11, 1, tzinfo=UTC), end=datetime(2026, 12, 1, tzinfo=UTC))


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger.open(str(tmp_path / "ledger"), threads=1)
    yield opened
    opened.close()


def ask(ledger, **question):
    return ledger.spend(SpendQuestion(**{"window": NOVEMBER, **question}))


def both_ways(ledger, **question):
    """The answer from facts alone and the one from hourly sums, which must not differ."""
    raw = ask(ledger, **question)
    ledger.refresh_rollups()
    assert ask(ledger, **question) == raw
    return raw


def by(answer, name):
    return {row.keys[name]: row.cost for row in answer.rows}


def charge(cost="1", *, currency="USD", at=NOON, **columns):
    amount = Decimal(cost)
    return {
        **dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), amount),
        "BillingCurrency": currency,
        "ChargeCategory": "Usage",
        "ChargePeriodStart": at,
        "ChargePeriodEnd": at + timedelta(hours=1),
        "ProviderName": "AWS",
        "ServiceName": "EC2",
        **columns,
    }


def bill(ledger, *rows, version=1):
    return ledger.append_charges(
        pa.Table.from_pylist(rows, schema=focus.arrow_schema()), source="bill", version=version
    )


def test_an_empty_ledger_is_told_from_a_true_zero(ledger):
    assert ask(ledger).empty
    ledger.append_requests([fact(cost="0")], source="s", version=0)
    answer = ask(ledger)
    assert not answer.empty
    assert answer.total.cost == 0
    assert answer.total.requests == 1
    assert ask(ledger, window=Window(end=datetime(2026, 10, 1, tzinfo=UTC))).empty


def test_the_twelfth_decimal_counts(ledger):
    some = [fact(i, cost="0.000000000001") for i in range(7)] + [fact(8, cost="12345678901234567890.123456789012")]
    ledger.append_requests(some, source="s", version=0)
    assert both_ways(ledger).total.cost == Decimal("12345678901234567890.123456789019")


def test_unpriced_is_counted_and_not_zero(ledger):
    ledger.append_requests([fact(1), fact(2, cost=None)], source="s", version=0)
    total = both_ways(ledger).total
    assert (total.requests, total.unpriced_requests, total.cost) == (2, 1, Decimal("0.000001234567"))


def test_attempts_of_one_request_are_one_request(ledger):
    failed = fact(1, status=Status.ERROR, cost="0", provider="azure")
    ledger.append_requests([failed, fact(1, attempt=2)], source="s", version=0)
    total = both_ways(ledger, by=("provider",)).total
    assert (total.requests, total.errors) == (1, 1)


def test_savings_count_where_both_costs_are_known(ledger):
    some = [
        fact(1, cost="1", baseline_cost=Decimal(3)),
        fact(2, cost=None, baseline_cost=Decimal(5)),
        fact(3, cost="1"),
    ]
    ledger.append_requests(some, source="s", version=0)
    total = both_ways(ledger).total
    assert (total.cost, total.baseline_cost, total.saved) == (2, 8, 2)


def test_a_reversal_takes_back_everything(ledger):
    wrong = fact(1, cost="5", baseline_cost=Decimal(9), status=Status.ERROR)
    ledger.append_requests([wrong, fact(2, cost="1")], source="s", version=0)
    ledger.refresh_rollups()
    ledger.append_requests([reversal(wrong), msgspec.structs.replace(wrong, cost=Decimal(4))], source="s", version=1)
    total = both_ways(ledger).total
    assert (total.cost, total.requests, total.errors, total.input_tokens) == (5, 2, 1, 20)


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", [f"2026-10-{d}T00:00" for d in (24, 25, 26)]),
        ("Europe/Berlin", ["2026-10-23T22:00", "2026-10-24T22:00", "2026-10-25T23:00"]),
        ("Asia/Kolkata", ["2026-10-23T18:30", "2026-10-24T18:30", "2026-10-25T18:30"]),
    ],
)
def test_days_begin_in_the_zone_also_when_the_clock_changes(ledger, zone, days):
    starts = [datetime.fromisoformat(d).replace(tzinfo=UTC) for d in days]
    instants = [at + shift for at in starts for shift in (timedelta(), timedelta(hours=22, minutes=59))]
    ledger.append_requests([fact(i, at=at, cost="1") for i, at in enumerate(instants)], source="s", version=0)
    window = Window(start=starts[0] - timedelta(days=2), end=starts[-1] + timedelta(days=2))
    answer = both_ways(ledger, window=window, grain="day", zone=zone)
    assert [(row.at, row.cost) for row in answer.rows] == [(at, Decimal(2)) for at in starts]


def test_the_hour_that_occurs_twice_stays_two_hours(ledger):
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    again = first + timedelta(hours=1)
    ledger.append_requests([fact(1, at=first, cost="1"), fact(2, at=again, cost="2")], source="s", version=0)
    rows = both_ways(ledger, window=Window(), grain="hour", zone="Europe/Berlin").rows
    assert [(row.at, row.cost) for row in rows] == [(first.replace(minute=0), 1), (again.replace(minute=0), 2)]


@pytest.mark.parametrize(
    ("grain", "start"),
    [("week", datetime(2026, 11, 1, 23, tzinfo=UTC)), ("month", datetime(2026, 10, 31, 23, tzinfo=UTC))],
)
def test_weeks_begin_on_monday_and_months_on_the_first(ledger, grain, start):
    ledger.append_requests([fact(1, at=NOON)], source="s", version=0)
    (row,) = both_ways(ledger, window=Window(), grain=grain, zone="Europe/Berlin").rows
    assert row.at == start


def test_a_window_that_cuts_through_hours_is_exact(ledger):
    some = facts(600)
    ledger.append_requests(some[:400], source="s", version=0)
    ledger.refresh_rollups()
    ledger.append_requests(some[400:], source="s", version=1)
    for minutes in ((17, 431), (0, 599), (59, 61), (5, 9), (60, 120)):
        start, end = (NOON + timedelta(minutes=m, seconds=30) for m in minutes)
        answer = ask(ledger, window=Window(start=start, end=end), by=("model",))
        assert answer.total.cost == cost_of(f for f in some if start <= f.at < end)


def test_the_end_of_a_window_is_excluded_to_the_microsecond(ledger):
    edge = NOON + timedelta(hours=1)
    some = [fact(1, at=edge - timedelta(microseconds=1), cost="1"), fact(2, at=edge, cost="10")]
    ledger.append_requests(some, source="s", version=0)
    assert both_ways(ledger, window=Window(start=NOON, end=edge)).total.cost == 1
    assert both_ways(ledger, window=Window(start=edge, end=edge + timedelta(hours=1))).total.cost == 10


def test_currencies_never_meet_in_one_sum(ledger):
    bill(ledger, charge("10"), charge("7", currency="EUR"), charge("1", currency="EUR"))
    answer = both_ways(ledger, by=("service",))
    assert (answer.currency, answer.total.cost, answer.other_currencies) == ("USD", 10, {"EUR": Decimal(8)})
    euros = ask(ledger, where={"currency": ("EUR",)})
    assert (euros.currency, euros.total.cost) == ("EUR", 8)


def test_bills_and_requests_stand_side_by_side(ledger):
    bill(ledger, charge("10", x_Accelerator="H100-80GB", Tags=[("team", "ml")]), charge("3"))
    ledger.append_requests([fact(1, cost="2", tags={"team": "web"})], source="s", version=0)
    assert both_ways(ledger).total.cost == 15
    assert by(both_ways(ledger, by=("origin",)), "origin") == {"bill": 13, "gateway": 2}
    assert by(both_ways(ledger, by=("accelerator",)), "accelerator") == {"H100-80GB": 10, "": 5}
    assert by(ask(ledger, by=("tag:team",)), "tag:team") == {"ml": 10, "": 3, "web": 2}
    assert both_ways(ledger, where={"accelerator": ("H100-80GB",)}).total.charges == 1


def test_each_basis_has_its_own_column(ledger):
    costs = {"BilledCost": 1, "EffectiveCost": 2, "ListCost": 3, "ContractedCost": 4}
    bill(ledger, charge(**{name: Decimal(n) for name, n in costs.items()}))
    ledger.append_requests([fact(cost="10")], source="s", version=0)
    found = {
        basis: both_ways(ledger, basis=basis).total.cost for basis in ("billed", "effective", "list", "contracted")
    }
    assert found == {"billed": 11, "effective": 12, "list": 13, "contracted": 14}


def test_the_previous_window_stands_beside(ledger):
    some = [fact(1, at=NOON - timedelta(days=30), cost="4", model="old"), fact(2, at=NOON, cost="6", model="new")]
    ledger.append_requests(some, source="s", version=0)
    answer = both_ways(ledger, by=("model",), compare=True)
    assert {r.keys["model"]: (r.cost, r.previous_cost) for r in answer.rows} == {"new": (6, 0), "old": (0, 4)}
    assert (answer.total.cost, answer.total.previous_cost, answer.total.previous_requests) == (6, 4, 1)


def test_previous_days_stand_beside_the_days_in_order(ledger):
    some = [fact(1, at=NOON - timedelta(days=30), cost="4"), fact(2, at=NOON, cost="6")]
    ledger.append_requests(some, source="s", version=0)
    (row,) = both_ways(ledger, grain="day", compare=True).rows
    assert (row.at.day, row.cost, row.previous_cost) == (2, 6, 4)


def test_small_groups_fold_into_other_and_the_total_stays(ledger):
    some = [fact(i, cost=str(i), model=f"m{i}") for i in range(1, 6)]
    ledger.append_requests(some, source="s", version=0)
    answer = both_ways(ledger, by=("model",), limit=2)
    assert by(answer, "model") == {"m5": 5, "m4": 4, "other": 6}
    assert answer.total.cost == 15
    assert [r.keys["model"] for r in ask(ledger, by=("model",)).rows] == ["m5", "m4", "m3", "m2", "m1"]


@pytest.mark.parametrize("hostile", ["x' OR '1'='1", '"; DROP TABLE requests; --', "%", "\\", "new\nline", "é✓"])
def test_values_are_values_and_never_text_of_the_query(ledger, hostile):
    ledger.append_requests([fact(1, cost="1"), fact(2, cost="2", scope=Scope(team=hostile))], source="s", version=0)
    assert both_ways(ledger, where={"team": (hostile,)}).total.cost == 2
    assert by(ask(ledger, by=("team", f"tag:{hostile}")), "team") == {"search": 1, hostile: 2}


def test_unallocated_can_be_asked_for(ledger):
    ledger.append_requests([fact(1, cost="1"), fact(2, cost="2", scope=Scope())], source="s", version=0)
    assert both_ways(ledger, where={"team": ("",)}).total.cost == 2
    assert ledger.values("team") == ["", "search"]


def test_an_unknown_dimension_names_the_nearest(ledger):
    with pytest.raises(NotFoundError, match="provider"):
        ask(ledger, by=("providr",))


def test_an_unknown_zone_names_the_nearest(ledger):
    with pytest.raises(NotFoundError, match="Europe/Berlin"):
        ask(ledger, zone="Europe/Berlinn")


def test_through_is_the_latest_fact(ledger):
    assert ledger.through() is None
    ledger.append_requests(facts(5), source="s", version=0)
    assert ledger.through() == NOON + timedelta(minutes=4)


def test_what_is_unpriced_can_be_asked_for(ledger):
    priced = [fact(1, cost="2", cost_source=Source.CATALOG), fact(2, cost="3", cost_source=Source.PROVIDER)]
    ledger.append_requests([*priced, fact(3, cost=None), fact(4, cost=None)], source="s", version=0)
    bill(ledger, charge("7"))
    assert by(both_ways(ledger, by=("cost_source",)), "cost_source") == {"catalog": 2, "provider": 3, "none": 0, "": 7}
    unpriced = both_ways(ledger, where={"cost_source": ("none",)})
    assert (unpriced.total.requests, unpriced.total.unpriced_requests, unpriced.total.charges) == (2, 2, 0)
    listed = ledger.requests(RequestsQuestion(where={"cost_source": ("none",)}))
    assert (listed.matching, listed.total) == (2, unpriced.total)
    assert ledger.values("cost_source", NOVEMBER) == ["", "catalog", "none", "provider"]
