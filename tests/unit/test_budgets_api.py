"""Budgets over the control API: roles, tenants, approvals, shapes and refusals."""

import csv
import io
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from litestar.testing import TestClient

from farthing.app.alerts import Teller
from farthing.app.budgets import doers
from farthing.core.limits import Span
from farthing.core.nouns import Scope
from farthing.governance.alerts import TargetSettings, Tidings
from farthing.governance.roles import Role
from farthing.state.approvals import Verdict
from farthing.web.api import build
from support.facts import fact
from support.governed import SITE, START, TOKEN, Clock, Room
from support.purse import Purse

DRAFT = {"name": "search", "amount": "500", "scope": {"team": "search"}}
TARGET = TargetSettings(url="env:SLACK_URL", events=("budget",))


class Office:
    def __init__(self, folder) -> None:
        self.folder, self.clock = folder, Clock()
        self.purse = Purse(folder, self.clock)
        self.room = Room(self.purse.store, clock=self.clock)
        for name, doer in doers(self.purse.store).items():
            self.room.gate.register(name, doer)

    def services(self):
        desk = self.purse.desk(self.room.gate, zone=lambda: "Europe/Berlin", targets=lambda: (TARGET,))
        return self.room.services(self.folder, budgets=desk)

    @contextmanager
    def client(self, who=None):
        services = self.services()
        with TestClient(build(services), base_url=SITE, raise_server_exceptions=False) as client:
            headers = {"Authorization": f"Bearer {TOKEN}"} if who is None else self.room.cookie(who, services)
            client.headers.update(headers)
            yield client

    def call(self, method: str, path: str, body=None, *, who=None):
        with self.client(who) as client:
            return client.request(method, f"/api/v1{path}", json=body)


@pytest.fixture
def office(tmp_path):
    office = Office(tmp_path)
    yield office
    office.purse.close()


def test_a_limit_is_made_seen_changed_and_removed(office):
    made = office.call("POST", "/budgets", DRAFT)
    assert made.status_code == 201
    limit = made.json()
    assert (limit["amount"], limit["measure"], limit["per"], limit["hard"]) == ("500", "cost", "month", True)
    assert (limit["zone"], limit["warn_at"], limit["scope"]) == ("Europe/Berlin", [50, 80, 90, 100], {"team": "search"})
    [row] = office.call("GET", "/budgets").json()["rows"]
    assert (row["limit"], row["unit"], row["status"], row["pots_matching"]) == (limit, "USD", "ok", 1)
    changed = office.call("PATCH", f"/budgets/{limit['id']}", {"amount": "750.5", "warn_at": [70]})
    assert (changed.status_code, changed.json()["amount"], changed.json()["warn_at"]) == (200, "750.5", [70])
    assert office.call("GET", "/budgets/search").json()["budget"]["limit"]["amount"] == "750.5"
    assert office.call("DELETE", "/budgets/search").status_code == 204
    assert office.call("GET", "/budgets").json()["rows"] == []
    missing = office.call("GET", f"/budgets/{limit['id']}")
    assert (missing.status_code, missing.json()["type"]) == (404, "not_found")


def test_how_a_limit_stands_is_exact_text(office):
    office.clock.now = START - timedelta(days=30)
    limit = office.purse.limit("search", "100", scope={"team": "search"})
    office.clock.now = START
    office.purse.use(limit, "0.000000123", held="1")
    days = [fact(n, at=START - timedelta(days=n), cost="2.5") for n in range(1, 9)]
    office.purse.land([*days, fact(90, at=START - timedelta(minutes=1), cost="0.0000001225")])
    pot = office.call("GET", f"/budgets/{limit.id}").json()["budget"]["pots"][0]
    assert (pot["used"], pot["held"], pot["left"]) == ("0.000000123", "1.000000000", "98.999999877")
    assert pot["ledger"]["amount"] == "20.000000122500"
    assert pot["window"] == {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"}
    assert set(pot["forecast"]) == {"method", "observed", "low", "mid", "high", "path"}
    assert set(pot["points"][0]) == {"at", "used", "even"}
    assert Decimal(pot["forecast"]["low"]) >= Decimal(pot["used"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**DRAFT, "amount": 500}, "amount"),
        ({**DRAFT, "amount": "-1"}, "amount"),
        ({**DRAFT, "amount": "1e99"}, "amount"),
        ({**DRAFT, "amount": "0.0000000001"}, "amount"),
        ({**DRAFT, "scope": {"galaxy": "x"}}, "scope"),
        ({**DRAFT, "zone": "Mars/Base"}, "zone"),
        ({**DRAFT, "per": "fortnight"}, "per"),
        ({**DRAFT, "measure": "parallel"}, "per"),
        ({**DRAFT, "warn_at": [0]}, "warn_at"),
        ({**DRAFT, "name": ""}, "name"),
        ({**DRAFT, "name": "a\nb"}, "name"),
        ({**DRAFT, "scope": {"team": "a\x00b"}}, "scope.team"),
        ({**DRAFT, "surprise": 1}, "surprise"),
    ],
)
def test_what_no_limit_can_say_is_refused_by_name(office, body, field):
    answer = office.call("POST", "/budgets", body)
    assert (answer.status_code, answer.json()["type"]) == (400, "input")
    said = answer.json()
    assert field in said["field"] or field in said["detail"] or said["field"] == "body"
    assert office.purse.store.limits.list() == []


def test_an_empty_change_and_unknown_parameters_are_refused(office):
    office.purse.limit("search", "10")
    assert office.call("PATCH", "/budgets/search", {}).json()["field"] == "body"
    assert office.call("GET", "/budgets?teem=x").status_code == 400
    assert office.call("PATCH", "/budgets/search", {"per": "day"}).status_code == 400


def test_a_name_that_is_taken_is_a_conflict(office):
    office.purse.limit("search", "10")
    assert office.call("POST", "/budgets", DRAFT).status_code == 409


def test_roles_decide_who_sees_and_who_sets(office):
    viewer, engineer = office.room.enroll("vic", Role.VIEWER), office.room.enroll("eng", Role.ENGINEER)
    office.purse.limit("total", "10")
    assert office.call("GET", "/budgets", who=viewer).status_code == 200
    for method, path, body in (("POST", "/budgets", DRAFT), ("PATCH", "/budgets/total", {"amount": "11"}),
                               ("DELETE", "/budgets/total", None)):  # fmt: skip
        assert office.call(method, path, body, who=viewer).status_code == 403
    assert office.call("POST", "/budgets", DRAFT, who=engineer).status_code == 201
    with TestClient(build(office.services()), base_url=SITE) as stranger:
        for path in ("/budgets", "/budgets.csv", "/budgets/total", "/notices"):
            assert stranger.get(f"/api/v1{path}").status_code == 401
    assert office.purse.store.limits.get("total").amount == 10


def test_a_tenant_sees_and_changes_only_their_own(office):
    ann = office.room.enroll("ann", Role.ENGINEER, scope=Scope(team="search"))
    own = office.purse.limit("own", "10", scope={"team": "search", "user": "*"})
    others = [
        office.purse.limit("theirs", "10", scope={"team": "support"}),
        office.purse.limit("all", "10"),
        office.purse.limit("each", "10", scope={"team": "*"}),
    ]
    assert [row["limit"]["id"] for row in office.call("GET", "/budgets", who=ann).json()["rows"]] == [own.id]
    assert "theirs" not in office.call("GET", "/budgets.csv", who=ann).text
    for limit in others:
        for method, body in (("GET", None), ("PATCH", {"amount": "99"}), ("DELETE", None)):
            answer = office.call(method, f"/budgets/{limit.id}", body, who=ann)
            assert answer.status_code == 404
            assert "theirs" not in answer.json()["nearest"]
    for scope in ({"team": "support"}, {}, {"team": "*"}, {"project": "x"}):
        assert office.call("POST", "/budgets", {**DRAFT, "scope": scope}, who=ann).status_code == 403
    assert (
        office.call("POST", "/budgets", {**DRAFT, "scope": {"team": "search", "model": "gpt-5"}}, who=ann).status_code
        == 201
    )
    assert {limit.amount for limit in office.purse.store.limits.list() if limit.name != "search"} == {10}


def test_a_raise_above_a_threshold_waits_for_a_yes_and_happens_with_it(office):
    ann, ceo = office.room.enroll("ann", Role.ENGINEER), office.room.enroll("fin", Role.FINANCE)
    limit = office.purse.limit("search", "500")
    assert office.call("PATCH", "/budgets/search", {"amount": "900"}, who=ann).status_code == 200
    asked = office.call("PATCH", "/budgets/search", {"amount": "2000"}, who=ann)
    assert asked.status_code == 403
    assert "approval" in asked.text
    assert office.purse.store.limits.get(limit.id).amount == 900
    [waiting] = office.room.gate.list(ceo)
    assert waiting.summary.startswith("Raise search from $900 to $2,000 per month, ")
    office.room.gate.vote(ceo, waiting.id, Verdict.APPROVE)
    assert office.purse.store.limits.get(limit.id).amount == 2000
    assert office.call("DELETE", "/budgets/search", who=ann).status_code == 403
    assert office.call("PATCH", "/budgets/search", {"hard": False}, who=ann).status_code == 403
    assert office.call("PATCH", "/budgets/search", {"amount": "100"}, who=ann).status_code == 200
    assert office.purse.store.limits.get(limit.id).hard


def test_notices_are_listed_and_a_tenant_sees_those_of_their_limits(office):
    ann = office.room.enroll("ann", Role.ENGINEER, scope=Scope(team="search"))
    teller = Teller(office.purse.store.notices, lambda: (TARGET,), office.clock)
    for team in ("search", "support"):
        facts = {"limit": f"lim_{team}", "scope": {"team": team}}
        teller.say(Tidings(kind="budget.warning", severity="warning", title=team, text="80 %", same=team, facts=facts))
    answer = office.call("GET", "/notices").json()
    assert [(row["title"], row["limit"]) for row in answer["rows"]] == [
        ("support", "lim_support"),
        ("search", "lim_search"),
    ]
    assert answer["rows"][0]["deliveries"][0]["state"] == "waiting"
    assert answer["targets"] == [
        {"name": "env:SLACK_URL", "url": "env:SLACK_URL", "events": ["budget"], "min_severity": "info"}
    ]
    own = office.call("GET", "/notices", who=ann).json()
    assert ([row["title"] for row in own["rows"]], own["targets"]) == (["search"], [])


def test_the_csv_has_a_row_for_each_pot_and_no_formulas(office):
    limit = office.purse.limit("=cmd", "10", scope={"user": "*"}, per=Span.DAY)
    for user in ("ann", "bob"):
        office.purse.use(limit, "1.5", subject=user)
    text = office.call("GET", "/budgets.csv")
    assert text.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(text.text)))
    assert [(row["name"], row["subject"], row["used"], row["left"]) for row in rows] == [
        ("'=cmd", f"user={user}", "1.500000000", "8.500000000") for user in ("ann", "bob")
    ]


def test_a_limit_that_exists_once_has_its_bounds(office):
    body = {**DRAFT, "per": "once", "window": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00+01:00"}}
    assert office.call("POST", "/budgets", body).json()["window"] == {
        "start": "2026-11-01T00:00:00Z", "end": "2026-11-30T23:00:00Z",
    }  # fmt: skip
    naive = {**body, "name": "naive", "window": {"start": "2026-11-01T00:00:00"}}
    assert office.call("POST", "/budgets", naive).status_code == 400
