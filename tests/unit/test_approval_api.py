"""Approvals and the audit log through the real API, on SQLite and PostgreSQL."""

import csv
import io
from decimal import Decimal

import pytest
from litestar.testing import TestClient

from farthing.app.desk import KeyDesk
from farthing.core.limits import Limit, Measure, Span
from farthing.core.nouns import Scope
from farthing.governance.roles import Role
from farthing.state.store import Store
from farthing.web.api import build
from support.governed import SITE, TOKEN, Room
from support.postgres import serve

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
SPEND = {"subject": "run-7", "summary": "Train the ranker", "amount": "5000", "category": "training"}


@pytest.fixture(scope="module")
def postgres():
    with serve() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def room(request, tmp_path):
    sqlite = f"sqlite:///{tmp_path / 'state.db'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres").database()
    with Store.open(url) as store:
        room = Room(store)
        room.eve = room.enroll("eve")
        room.manager = room.enroll("mia", Role.ENGINEER, "engineering-manager")
        room.lead = room.enroll("lee", Role.ENGINEER, "infrastructure-lead")
        room.other = room.enroll("sam", Role.ENGINEER, "engineering-manager", scope=Scope(team="support"))
        yield room


class Browser:
    def __init__(self, client, headers) -> None:
        self.client, self.headers = client, headers

    def get(self, path, **query):
        return self.client.get(f"/api/v1{path}", params=query, headers=self.headers)

    def post(self, path, body=None):
        return self.client.post(f"/api/v1{path}", json=body or {}, headers=self.headers)


@pytest.fixture
def site(room, tmp_path):
    keys = KeyDesk(room.store, room.by, room.gate)
    services = room.services(tmp_path, keys=keys)
    with TestClient(build(services), base_url=SITE, raise_server_exceptions=False) as client:
        yield lambda who: Browser(client, ADMIN if who is None else room.cookie(who, services))


def test_asking_agreeing_and_what_each_may_do(room, site):
    eve, manager = site(room.eve), site(room.manager)
    asked = eve.post("/approvals", SPEND).json()
    assert (asked["state"], asked["duties"], asked["mine"]) == ("pending", ["engineering-manager", "cto"], True)
    assert (asked["can"], asked["amount"], asked["wanted"]) == (["withdraw"], "5000", 1)
    assert "$1,000" in asked["reason"]
    assert eve.get("/approvals", for_me=True).json()["rows"] == []
    waiting = manager.get("/approvals", for_me=True, status="pending").json()
    assert ([row["id"] for row in waiting["rows"]], waiting["waiting"]) == ([asked["id"]], 1)
    assert waiting["rows"][0]["can"] == ["vote"]
    path = f"/approvals/{asked['id']}"
    assert eve.post(f"{path}/vote", {"verdict": "approve"}).status_code == 403
    assert site(room.lead).post(f"{path}/vote", {"verdict": "approve"}).status_code == 403
    agreed = manager.post(f"{path}/vote", {"verdict": "approve", "comment": "go\nahead"}).json()
    assert (agreed["state"], agreed["yes"], agreed["votes"][0]["name"]) == ("approved", 1, "mia@example.com")
    assert manager.post(f"{path}/vote", {"verdict": "approve"}).status_code == 409
    assert eve.get(path).json()["can"] == ["withdraw"]
    assert eve.get("/approvals", mine=True).json()["matching"] == 1
    assert manager.get("/approvals", mine=True).json()["matching"] == 0


def test_other_tenants_see_nothing_of_it(room, site):
    asked = site(room.eve).post("/approvals", {**SPEND, "scope": {"team": "search"}}).json()
    other = site(room.other)
    assert other.get("/approvals").json() == {"rows": [], "matching": 0, "waiting": 0}
    for answer in (
        other.get(f"/approvals/{asked['id']}"),
        other.post(f"/approvals/{asked['id']}/vote", {"verdict": "approve"}),
        other.post(f"/approvals/{asked['id']}/withdraw"),
    ):
        assert answer.status_code == 404
    assert other.post("/approvals", {**SPEND, "scope": {"team": "search"}}).status_code == 403
    assert other.post("/approvals", SPEND).json()["scope"]["team"] == "support"
    assert site(room.manager).get(f"/approvals/{asked['id']}").json()["state"] == "pending"


@pytest.mark.parametrize(
    "body",
    [
        {**SPEND, "amount": "-1"}, {**SPEND, "amount": "1e9"}, {**SPEND, "amount": 5}, {**SPEND, "action": "key.create"},
        {**SPEND, "summary": ""}, {**SPEND, "subject": "a\u0000b"}, {**SPEND, "asker": "per_1"}, {},
    ],
)  # fmt: skip
def test_bad_questions_are_refused(site, body):
    assert site(None).post("/approvals", body).status_code == 400


def test_a_key_over_the_threshold_is_asked_for_and_collected_once(room, site):
    hard = Limit(
        id="", name="search", measure=Measure.COST, amount=Decimal(5000), per=Span.MONTH, scope={"team": "search"}
    )
    room.store.limits.create(room.by(), hard)
    eve = site(room.eve)
    refused = eve.post("/keys", {"name": "bot", "scope": {"team": "search"}})
    problem = refused.json()
    assert (refused.status_code, problem["url"]) == (403, f"{SITE}/approvals/{problem['approval']}")
    assert problem["url"] in problem["remedy"]
    path = f"/approvals/{problem['approval']}"
    changes = {c["field"]: c["after"] for c in eve.get(path).json()["changes"]}
    assert (changes["name"], changes["scope.team"]) == ("bot", "search")
    site(room.lead).post(f"{path}/vote", {"verdict": "approve"})
    assert eve.get(path).json()["can"] == ["withdraw", "collect"]
    assert site(room.lead).post(f"{path}/collect").status_code == 403
    got = eve.post(f"{path}/collect").json()
    assert got["approval"]["state"] == "done"
    assert room.store.keys.authenticate(got["result"]["token"], room.clock.now).name == "bot"
    assert eve.post(f"{path}/collect").status_code == 409
    assert got["result"]["token"] not in eve.get(path).text + site(None).get("/audit").text


def test_the_rules_are_shown(site):
    rules = site(None).get("/approvals/rules").json()
    assert {"category": "training", "least": "1000", "duty": "engineering-manager"} in rules["rules"]
    assert (rules["four_eyes"], rules["four_eyes_from"]) == (False, "10000")


def test_the_audit_log_is_paged_filtered_and_exported(room, site):
    for n in range(7):
        site(room.eve).post("/approvals", {**SPEND, "subject": f"run-{n}"})
    admin = site(None)
    first = admin.get("/audit", action="approval.", limit=5).json()
    assert [row["action"] for row in first["rows"]] == ["approval.ask"] * 5
    rest = admin.get("/audit", action="approval.", limit=5, below=first["next"]).json()
    assert (len(rest["rows"]), rest["next"]) == (2, None)
    assert {row["actor"] for row in rest["rows"]} == {"eve@example.com"}
    assert admin.get("/audit", action="approval_").json()["rows"] == []
    (one,) = admin.get("/audit", subject=first["rows"][0]["subject"]).json()["rows"]
    assert {"field": "amount", "before": None, "after": "5000"} in one["changes"]
    assert admin.get("/audit", start="2026-11-21").json()["rows"] == []
    lines = list(csv.DictReader(io.StringIO(admin.get("/audit.csv", actor="eve@example.com", action="approval").text)))
    assert len(lines) == 7
    chain = admin.get("/audit/chain").json()
    assert chain["whole"]
    assert admin.get("/audit/chain", expect=chain["head"]).json()["whole"]
    assert not admin.get("/audit/chain", expect="0" * 64).json()["whole"]
    for bad in ({"below": 0}, {"below": 2**31}, {"start": "soon"}, {"start": "0001-01-01"}, {"until": "2026-01-01"}):
        assert admin.get("/audit", **bad).status_code == 400


def test_only_unconfined_finance_and_admins_read_the_log(room, site):
    tenant = room.enroll("tom", Role.ADMIN, scope=Scope(team="support"))
    for who, status in ((room.eve, 403), (tenant, 403), (room.enroll("fin", Role.FINANCE), 200)):
        for path in ("/audit", "/audit.csv", "/audit/chain"):
            assert site(who).get(path).status_code == status


def test_refusals_are_written_down_at_a_bounded_rate(room, site, tmp_path):
    eve = site(room.eve)
    for _ in range(50):
        assert eve.get("/audit").status_code == 403
    noted = site(None).get("/audit", action="access.refuse").json()["rows"]
    assert len(noted) == 20
    assert (noted[0]["actor"], noted[0]["subject"], noted[0]["after"]["reason"]) == (
        "eve@example.com", "/api/v1/audit", "role"
    )  # fmt: skip
    room.clock.pass_(minutes=1)
    eve.client.get("/api/v1/keys", headers={"Authorization": "Bearer guess"})
    eve.client.get("/api/v1/keys")
    latest, *others = site(None).get("/audit", action="access.refuse").json()["rows"]
    assert len(others) == 20
    assert (latest["actor"], latest["after"]["unsaid"]) == ("somebody unknown", 30)
    assert "guess" not in str(latest)
