"""Limits beside the ledger: what was counted, what the ledger says, what came before, what is told."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from farthing.app.alerts import Teller, Watch
from farthing.app.budgets import local_admin
from farthing.app.reckoning import Reckoning
from farthing.app.seeding import SETTLED, Seeder
from farthing.core.errors import NotFoundError
from farthing.core.facts import ErrorKind, Status
from farthing.core.limits import Measure, Span
from farthing.core.nouns import Scope
from support.facts import fact
from support.governed import Clock
from support.purse import Purse

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ADMIN = local_admin("cli:test")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def purse(tmp_path, clock):
    purse = Purse(tmp_path, clock)
    yield purse
    purse.close()


def spent(number: int, cost: str | None, *, hours: float = 1, team: str = "search", user: str = "", **rest):
    at = NOW - timedelta(hours=hours)
    tags = {"category": rest.pop("category", "inference")}
    return fact(number, at=at, cost=cost, scope=Scope(team=team, user=user), tags=tags, **rest)


def refused(number: int, limit, *, user: str = "", hours: float = 1):
    return fact(
        number, at=NOW - timedelta(hours=hours), cost=None, attempt=0, provider="", model="", status=Status.ERROR,
        http_status=429, error_kind=ErrorKind.RATE_LIMIT, scope=Scope(team="search", user=user), input_tokens=0,
        output_tokens=0, tags={"category": "inference", "farthing.limit": limit.id},
    )  # fmt: skip


def pot(purse, name: str, number: int = 0):
    return purse.desk().one(ADMIN, name).budget.pots[number]


def test_what_is_counted_stands_beside_what_the_ledger_says(purse, clock):
    clock.now = NOW - timedelta(days=30)
    limit = purse.limit("search", "100", scope={"team": "search"})
    clock.now = NOW
    purse.land(
        [spent(1, "10.5"), spent(2, "9.5", hours=30), spent(3, "50", team="other"), spent(4, "7", hours=24 * 21)]
    )
    purse.use(limit, "20.25", doubt="0.25", held="4.75")
    found = pot(purse, "search")
    assert (found.used, found.doubt, found.held, found.left) == (Decimal("20.25"), Decimal("0.25"), Decimal("4.75"), 75)
    assert (found.ledger.amount, found.ledger.requests, found.ledger.drift) == (20, 2, 0)
    assert found.ledger.reconciled
    assert found.percent == Decimal("20.25")
    assert found.window.start == datetime(2026, 11, 1, tzinfo=UTC)
    assert found.points[-1].used == Decimal("20.25")


def test_a_drift_is_shown_and_rounding_is_none(purse, clock):
    clock.now = NOW - timedelta(days=30)
    exact, off = purse.limit("exact", "100"), purse.limit("off", "100")
    clock.now = NOW
    purse.land([spent(1, "0.0000000001"), spent(2, "0.0000000001")])
    purse.use(exact, "0.000000002")
    purse.use(off, "0.5")
    assert pot(purse, "exact").ledger.reconciled
    assert pot(purse, "off").ledger.reconciled is False
    assert pot(purse, "off").ledger.drift == Decimal("0.4999999998")


@pytest.mark.parametrize(
    ("measure", "amount"), [(Measure.COST, Decimal("3.5")), (Measure.REQUESTS, 3), (Measure.TOKENS, 3 * 19)]
)
def test_every_measure_counts_what_reached_a_provider(purse, clock, measure, amount):
    limit = purse.limit("x", "1000", measure=measure, per=Span.MONTH)
    more = {"cache_read_tokens": 4, "reasoning_tokens": 2}
    purse.land([*(spent(n, cost, **more) for n, cost in enumerate(("1", "2.5", None))), refused(9, limit)])
    found = pot(purse, "x")
    assert found.ledger.amount == amount
    assert (found.ledger.requests, found.ledger.unpriced_requests, found.refused) == (3, 1, 1)


def test_each_value_has_its_pot_and_nobody_has_none(purse, clock):
    limit = purse.limit("each", "10", scope={"team": "search", "user": "*"})
    purse.land([spent(1, "3", user="ann"), spent(2, "4", user="bob"), spent(3, "5"), refused(4, limit, user="ann")])
    for subject, amount in (("ann", "3"), ("bob", "4")):
        purse.use(limit, amount, subject=subject)
    bob, ann = purse.desk().one(ADMIN, "each").budget.pots
    assert (bob.subject, bob.used, bob.ledger.amount, bob.refused) == ({"user": "bob"}, 4, 4, 0)
    assert (ann.subject, ann.used, ann.ledger.amount, ann.refused) == ({"user": "ann"}, 3, 3, 1)


def test_the_category_and_the_model_are_those_of_the_request(purse, clock):
    purse.limit("research", "10", scope={"category": "research", "model": "fast"})
    purse.land([spent(1, "3", category="research"), spent(2, "4"),
                spent(3, "5", category="research", requested_model="slow")])  # fmt: skip
    assert pot(purse, "research").ledger.amount == 3


def test_what_was_spent_before_comes_from_the_ledger(purse, clock):
    purse.land([spent(1, "3", user="ann", hours=2), spent(2, "4", user="bob", hours=3), spent(3, "8", hours=24 * 25)])
    whole, each = purse.limit("whole", "100"), purse.limit("each", "50", scope={"user": "*"})
    seeder = Seeder(purse.store, Reckoning(purse.ledger), clock)
    seeder.work()
    assert (pot(purse, "whole").used, pot(purse, "whole").seeded) == (7, 7)
    assert {p.subject["user"]: p.seeded for p in purse.desk().one(ADMIN, "each").budget.pots} == {"ann": 3, "bob": 4}
    purse.use(whole, "5")
    purse.use(each, "5", subject="ann")
    purse.land([spent(4, "5", user="ann", hours=0)])
    clock.pass_(seconds=1)
    assert pot(purse, "whole").used == 12
    assert pot(purse, "whole").ledger.reconciled


def test_what_arrives_late_is_seeded_too_and_later_no_more(purse, clock):
    purse.limit("whole", "100")
    seeder = Seeder(purse.store, Reckoning(purse.ledger), clock)
    seeder.work()
    assert pot(purse, "whole").used == 0
    purse.land([spent(1, "3", hours=0.01)])
    clock.pass_(seconds=15)
    seeder.work()
    assert pot(purse, "whole").used == 3
    clock.now = NOW + SETTLED + timedelta(seconds=1)
    assert seeder.work() == "1 limits brought up to date"
    purse.land([spent(2, "3", hours=0.01)])
    clock.pass_(minutes=1)
    assert seeder.work() == "up to date"
    assert pot(purse, "whole").used == 3


def test_a_pot_that_is_opened_later_does_not_wait_for_its_past(purse, clock):
    purse.land([spent(1, "3", user="late", hours=2)])
    limit = purse.limit("each", "50", scope={"user": "*"})
    seeder = Seeder(purse.store, Reckoning(purse.ledger), clock)
    seeder.work()
    clock.now = NOW + SETTLED + timedelta(hours=1)
    seeder.work()
    purse.use(limit, "1", subject="new")
    seeder.work()
    assert purse.store.pots.unseeded(clock()) == []
    assert {p.subject["user"]: p.used for p in purse.desk().one(ADMIN, "each").budget.pots}["late"] == 3


def test_a_limit_made_in_the_next_span_has_no_past(purse, clock):
    purse.land([spent(1, "3", hours=24 * 25)])
    purse.limit("whole", "100")
    assert Seeder(purse.store, Reckoning(purse.ledger), clock).work() == "1 limits brought up to date"
    assert pot(purse, "whole").seeded == 0
    clock.now = datetime(2026, 12, 2, tzinfo=UTC)
    assert Seeder(purse.store, Reckoning(purse.ledger), clock).work() == "up to date"


def test_who_and_what_used_it(purse, clock):
    purse.limit("search", "100", scope={"team": "search"})
    purse.land([spent(1, "3", user="ann"), spent(2, "1", user="bob"), spent(3, "1")])
    detail = purse.desk().one(ADMIN, "search")
    parts = {part.by: part.rows for part in detail.breakdowns}
    assert "team" not in parts
    assert [(row.key, row.amount, row.percent) for row in parts["user"]] == [
        ("ann", 3, 60),
        ("", 1, 20),
        ("bob", 1, 20),
    ]
    assert [row.key for row in parts["model"]] == ["fast"]


def test_the_worst_limit_comes_first_and_an_unused_one_is_whole(purse, clock):
    purse.limit("unused", "100")
    over = purse.limit("over", "5", hard=False)
    purse.use(over, "6")
    rows = purse.desk().all(ADMIN).rows
    assert [(row.limit.name, row.status) for row in rows] == [("over", "over"), ("unused", "ok")]
    assert (rows[0].pots[0].left, rows[1].pots[0].left) == (0, 100)


def test_parallel_and_rolling_limits_stand_without_a_ledger_to_compare(purse, clock):
    purse.limit("at-once", "4", measure=Measure.PARALLEL, per=Span.ONCE)
    rolling = purse.limit("rolling", "10", rolling=True, per=Span.DAY)
    purse.use(rolling, "4")
    purse.land([spent(1, "4")])
    assert pot(purse, "at-once").ledger is None
    found = pot(purse, "rolling")
    assert (found.used, found.ledger.amount, found.ledger.drift, found.note) == (
        4,
        4,
        None,
        "It has no end to forecast",
    )
    assert found.window.start == NOW - timedelta(days=1)


def test_a_name_that_nobody_has_is_answered_with_the_nearest(purse):
    purse.limit("search", "100")
    with pytest.raises(NotFoundError) as missing:
        purse.desk().one(ADMIN, "saerch")
    assert missing.value.nearest == ("search",)


def test_the_watch_tells_each_thing_once(purse, clock):
    clock.now = NOW - timedelta(days=30)
    limit = purse.limit("search", "100", scope={"team": "search"})
    clock.now = NOW
    reckoning, teller = Reckoning(purse.ledger), Teller(purse.store.notices, tuple, clock)
    watch = Watch(purse.store, reckoning, teller, clock)
    assert watch.work() == "nothing to tell"
    purse.use(limit, "55")
    purse.use(limit, "30", doubt="2")
    purse.land([spent(1, "83"), refused(2, limit), refused(3, limit)])
    assert Watch(purse.store, Reckoning(purse.ledger), teller, clock).work() == "4 told"
    assert watch.work() == "nothing to tell"
    kinds = {notice.kind: notice for notice in purse.store.notices.list()}
    assert set(kinds) == {"budget.warning", "budget.doubt", "budget.refused", "budget.day"}
    assert kinds["budget.warning"].title == "search: 80 % used"
    assert kinds["budget.warning"].body["limit"] == limit.id
    assert kinds["budget.refused"].body["text"].startswith("2 so far")
    again = Watch(purse.store, Reckoning(purse.ledger), Teller(purse.store.notices, tuple, clock), clock)
    assert again.work() == "nothing to tell"
    purse.use(limit, "15")
    assert again.work() == "1 told"
    assert purse.store.notices.list()[0].severity == "critical"
