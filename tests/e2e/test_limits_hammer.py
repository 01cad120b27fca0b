"""Many processes, thousands of requests, kills and restarts: no limit is overspent, and nobody is refused wrongly."""

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from farthing.core.limits import EACH, Limit, Measure, Span
from farthing.state.audit import Change
from farthing.state.store import Store
from support.hammer import Hammer, Seen
from support.postgres import serve
from support.truth import Audit

CENT = 10_000_000
REQUESTS = 20_000
SPEED = 5.0
"""How fast the clock of spenders runs where minutes have to pass: more, and they would count as lost for silence."""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state.db'}"
    else:
        with serve() as server:
            yield server.database()


@pytest.fixture
def file(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


def make(url: str, *limits: Limit) -> list[Limit]:
    """Limits that were made long ago, so that no ledger is asked what was spent before."""
    change = Change(actor="test", at=datetime(2026, 1, 1, tzinfo=UTC))
    with Store.open(url) as store:
        return [store.limits.create(change, limit) for limit in limits]


def limit(name: str, amount: str, measure: Measure = Measure.COST, per: Span = Span.ONCE, **rest) -> Limit:
    return Limit(id="", name=name, measure=measure, amount=Decimal(amount), per=per, **rest)


def struck_before_refusal(seen: Seen) -> int:
    return sum(event["kind"] == "killed" for event in seen.before_refusal)


@pytest.mark.parametrize(("url", "processes", "hosts"), [("sqlite", 8, 1), ("postgres", 16, 2)], indirect=["url"])
def test_ten_dollars_are_spent_to_the_last_cent_and_no_further(url, tmp_path, processes, hosts):
    (budget,) = make(url, limit("ten dollars", "10"))
    hammer = Hammer(url, tmp_path, folders=hosts)
    seen = hammer.run(processes=processes, requests=REQUESTS, kills=4, every=0.2, unknown=0.01, seconds=90)
    truth = Audit(seen, [budget]).only(budget)
    assert struck_before_refusal(seen) >= 2
    assert truth.lost > 0
    assert truth.most <= 1000 * CENT
    assert truth.at_refusal >= 990 * CENT
    assert truth.settled >= 900 * CENT
    assert truth.refused > 1000
    assert seen.count("unsure") == 0


@pytest.mark.parametrize("rolling", [False, True])
def test_requests_and_tokens_a_minute(file, tmp_path, rolling):
    """Through more than a minute, with kills: what it allows is used up before the first refusal, and no more."""
    per = {"per": Span.MINUTE, "rolling": rolling}
    made = make(
        file,
        limit("requests", "300", Measure.REQUESTS, scope={"user": "user-0"}, **per),
        limit("tokens", "90000", Measure.TOKENS, scope={"user": "user-1"}, **per),
    )
    hammer = Hammer(file, tmp_path)
    seen = hammer.run(
        processes=6, requests=2_700, kills=3, every=3, together=20, pause=0.04, users=2, seconds=80,
        speed=SPEED, origin=time.time(),
    )  # fmt: skip
    audit = Audit(seen, made, speed=SPEED)
    assert seen.killed == 3
    for each in made:
        used = [truth for name, truth in sorted(audit.pots.items()) if name[0] == each.id]
        assert len(used) == 1 if rolling else len(used) > 1
        refusing = [truth for truth in used if truth.refused]
        assert all(truth.at_refusal >= each.pieces * 0.99 for truth in refusing)
        assert sum(truth.refused for truth in refusing) > 100
        assert sum(truth.settled for truth in used) > each.pieces * 1.2


def test_a_budget_of_a_user_within_a_team_within_an_organization(file, tmp_path):
    """A request fits into all three, and is refused by the name of one that does not cover it."""
    org = limit("org", "4", scope={"org": "acme"})
    team = limit("team", "2.50", scope={"org": "acme", "team": "search"})
    user = limit("user", "0.50", scope={"user": EACH})
    soft = limit("watched", "0.10", scope={"org": "acme"}, hard=False)
    made = make(file, org, team, user, soft)
    seen = Hammer(file, tmp_path).run(processes=4, requests=6_000, kills=3, every=0.2, users=6, seconds=60)
    audit = Audit(seen, made)
    org, team, user, soft = made
    users = [truth for name, truth in audit.pots.items() if name[0] == user.id]
    assert len(users) == 6
    assert audit.only(org).refused == 0
    assert audit.only(team).at_refusal >= team.pieces * 0.99
    assert audit.only(soft).settled == audit.only(org).settled == sum(truth.settled for truth in users)
    refused = {event["limit"] for event in seen.events if event["kind"] == "refused"}
    assert refused <= {team.id, user.id}


def test_a_few_at_a_time(file, tmp_path):
    """Sixty want to be under way where ten may: they wait, and nobody is refused."""
    (parallel,) = make(file, limit("at a time", "10", Measure.PARALLEL))
    seen = Hammer(file, tmp_path).run(
        processes=6, requests=1_200, kills=3, every=0.4, together=10, seconds=60, patience=60
    )
    truth = Audit(seen, [parallel]).only(parallel)
    assert truth.most == 10
    assert truth.refused == 0
    assert seen.count("spent") >= 1_200 - 3 * 10
