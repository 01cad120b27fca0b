"""The control API through its front door, over a small ledger in memory."""

import csv
import io
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient
from tests.support.nobody import Nobody

from farthing.core.errors import NotFoundError
from farthing.core.facts import ErrorKind, Operation, RequestFact, Source, Status
from farthing.core.money import Money, Unpriced
from farthing.core.nouns import Decision, Rejection, Scope
from farthing.ledger.questions import (
    RequestRow,
    RequestsAnswer,
    RequestsQuestion,
    SpendAnswer,
    SpendQuestion,
    SpendRow,
)
from farthing.web.api import build
from farthing.web.live import Landings
from farthing.web.services import Services
from farthing.web.settings import WebSettings
from farthing.web.views import Check, HealthView, KeyDraft, KeyView, PricesAnswer

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOKEN = "an-admin-token"
HOST = "http://127.0.0.1:4181"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def fact(number: int, *, at: datetime, team: str = "", cost: str | None = "0.000000150000", **more) -> RequestFact:
    baseline = None if cost is None else Decimal(cost) * 2
    return RequestFact(
        request_id=f"r{number:04}", attempt=more.pop("attempt", 1), at=at, operation=Operation.CHAT, dialect="openai",
        scope=Scope(team=team), requested_model="gpt-5", status=more.pop("status", Status.OK), worker="w1",
        cost=None if cost is None else Decimal(cost), baseline_cost=baseline, unpriced="" if cost else "no price",
        provider="openai", model="gpt-5-mini", total_ms=12.5, upstream_ms=10.0, **more,
    )  # fmt: skip


class MemoryLedger:
    """Answers from a list of facts and, with team ``hardware``, a list of (instant, cost) bills."""

    def __init__(self, facts: list[RequestFact], bills: list[tuple[datetime, Decimal]] | None = None) -> None:
        self.facts, self.bills, self.asked = facts, bills or [], []

    def spend(self, question: SpendQuestion) -> SpendAnswer:
        self.asked.append(question)
        groups: dict[tuple, list[SpendRow]] = {}
        for at, row in self._atoms(question):
            start = at.replace(minute=0) if question.grain == "hour" else at.replace(hour=0, minute=0)
            start = None if question.grain == "none" else start
            keys = tuple(row.keys.get(name, "") for name in question.by)
            groups.setdefault((start, keys), []).append(row)
        rows = tuple(folded(rows, dict(zip(question.by, keys, strict=True)), at) for (at, keys), rows in groups.items())
        return SpendAnswer(
            question=question, rows=rows, total=folded(rows, {}, None), through=self.through(), empty=not rows
        )

    def _atoms(self, question: SpendQuestion):
        origins = question.where.get("origin", ("gateway", "bill"))
        for f in self.facts:
            if f.at in question.window and "gateway" in origins:
                both = f.cost is not None and f.baseline_cost is not None
                yield f.at, SpendRow(
                    keys={"team": f.scope.team, "model": f.model}, cost=f.cost or Decimal(0), requests=1,
                    baseline_cost=f.baseline_cost or Decimal(0), errors=f.status == "error",
                    saved=f.baseline_cost - f.cost if both else Decimal(0), unpriced_requests=f.cost is None,
                )  # fmt: skip
        for at, cost in self.bills:
            if at in question.window and "bill" in origins:
                yield at, SpendRow(keys={"team": "hardware", "model": ""}, cost=cost, charges=1)

    def requests(self, question: RequestsQuestion) -> RequestsAnswer:
        self.asked.append(question)
        wanted = question.where.get("status", tuple(Status))
        found = [f for f in self.facts if f.at in question.window and f.status in wanted]
        start = int(question.after or 0)
        page = found[start : start + question.limit]
        more = start + question.limit < len(found)
        names = {n: getattr for n in RequestRow.__struct_fields__ if n in RequestFact.__struct_fields__}
        rows = tuple(RequestRow(attempts=1, **{n: getattr(f, n) for n in names}) for f in page)
        total = SpendRow(keys={}, requests=len(found))
        return RequestsAnswer(
            rows=rows, total=total, matching=len(found), next=str(start + question.limit) if more else ""
        )

    def request(self, request_id: str) -> list[RequestFact]:
        return [f for f in self.facts if f.request_id == request_id]

    def values(self, dimension: str, window) -> list[str]:
        return sorted({getattr(f.scope, dimension, "") for f in self.facts})

    def through(self) -> datetime | None:
        return max((f.at for f in self.facts), default=None)


def folded(rows, keys, at) -> SpendRow:
    names = ("cost", "baseline_cost", "saved", "requests", "errors", "unpriced_requests", "charges")
    return SpendRow(
        keys=keys,
        at=at,
        **{n: sum((getattr(r, n) for r in rows), type(getattr(SpendRow(keys={}), n))(0)) for n in names},
    )


class MemoryKeys:
    def __init__(self) -> None:
        self.rows: list[KeyView] = []

    def list(self):
        return self.rows

    def create(self, who, draft: KeyDraft):
        view = KeyView(
            id=f"key{len(self.rows)}", name=draft.name, scope=Scope(team=draft.scope.team), models=tuple(draft.models),
            created=NOW, state="active", expires=draft.expires,
        )  # fmt: skip
        self.rows.append(view)
        return view, "fk-secret"

    def rotate(self, who, id: str):
        return self._one(id), "fk-new-secret"

    def revoke(self, who, id: str) -> None:
        self.rows.remove(self._one(id))

    def _one(self, id: str) -> KeyView:
        for row in self.rows:
            if row.id == id:
                return row
        raise NotFoundError("key", id, known=[row.id for row in self.rows])


class Quiet:
    """No prices, no providers, all healthy."""

    def search(self, text: str, *, limit: int) -> PricesAnswer:
        return PricesAnswer(rows=(), matching=0)

    def providers(self):
        return ()

    def health(self) -> HealthView:
        return HealthView(state="ok", checks=(Check(name="ledger", state="ok", detail="reachable"),))

    def hints(self):
        return ()


def services_over(ledger: MemoryLedger, pages: Path, **settings) -> Services:
    return Services(
        facts=ledger, keys=MemoryKeys(), prices=Quiet(), desk=Quiet(), landings=Landings(heartbeat=0.05),
        clock=lambda: NOW, admin_token=TOKEN, settings=WebSettings(**settings), version="0.1.0",
        gateway_url="http://127.0.0.1:4180", people=Nobody(), logins=Nobody(),
        approvals=Nobody(), links=Nobody(), audit=Nobody(), budgets=Quiet(), caches=Quiet(),
        pages=pages,
    )  # fmt: skip


@contextmanager
def admin(services: Services):
    """A client that has the admin token."""
    with TestClient(build(services), base_url=HOST, raise_server_exceptions=False) as client:
        client.headers.update(BEARER)
        yield client


@pytest.fixture
def ledger() -> MemoryLedger:
    facts = [
        fact(
            n,
            at=NOW - timedelta(hours=n * 5),
            team=("search", "support", "")[n % 3],
            cost="0.0000001500" if n % 7 else None,
        )
        for n in range(60)
    ]
    return MemoryLedger(facts, bills=[(NOW - timedelta(days=3), Decimal("12.50"))])


@pytest.fixture
def services(ledger, tmp_path) -> Services:
    return services_over(ledger, tmp_path / "static")


@pytest.fixture
def client(services):
    with admin(services) as client:
        yield client


def test_overview_totals_groups_and_buckets_are_the_same_sum(client):
    answer = client.get("/api/v1/overview?start=2026-11-01&end=2026-11-20T12:00:00Z").json()
    cost = Decimal(answer["total"]["cost"])
    assert cost > Decimal("12.5")
    assert sum(Decimal(g["total"]["cost"]) for g in answer["groups"]) == cost
    assert sum(Decimal(b["total"]["cost"]) for b in answer["buckets"]) == cost
    assert sum(Decimal(c) for b in answer["buckets"] for c in b["costs"]) == cost
    assert sum(b["total"]["requests"] for b in answer["buckets"]) == answer["total"]["requests"]
    assert {g["kind"] for g in answer["groups"]} == {"value", "unallocated"}


def test_overview_unit_cost_leaves_bills_and_unpriced_requests_out(client):
    total = client.get("/api/v1/overview").json()["total"]
    priced = total["requests"] - total["unpriced_requests"]
    assert total["unpriced_requests"] > 0
    assert Decimal(total["unit_cost"]) == Decimal("0.00000015") * 1000
    assert Decimal(total["baseline_unit_cost"]) == 2 * Decimal(total["unit_cost"])
    assert Decimal(total["request_cost"]) == priced * Decimal("0.00000015")
    assert Decimal(total["saved"]) == Decimal(total["request_cost"])


def test_overview_shows_gaps_as_buckets_in_the_reporting_zone(client):
    answer = client.get("/api/v1/overview?start=2026-10-20&end=2026-10-30&zone=Europe/Berlin").json()
    starts = [b["at"] for b in answer["buckets"]]
    assert starts[0] == "2026-10-19T22:00:00Z"
    assert starts[-1] == "2026-10-28T23:00:00Z"
    assert len(starts) == 10


def test_overview_folds_many_groups_into_other_and_keeps_the_unallocated(tmp_path):
    facts = [fact(n, at=NOW - timedelta(hours=1), team=f"t{n}", cost=f"{n}.5") for n in range(1, 21)]
    facts.append(fact(99, at=NOW - timedelta(hours=1), cost="0.000001"))
    with admin(services_over(MemoryLedger(facts), tmp_path)) as client:
        answer = client.get("/api/v1/overview").json()
    kinds = [g["kind"] for g in answer["groups"]]
    assert kinds == ["value"] * 8 + ["unallocated", "other"]
    assert sum(Decimal(g["total"]["cost"]) for g in answer["groups"]) == Decimal(answer["total"]["cost"])
    assert all(len(b["costs"]) == len(kinds) for b in answer["buckets"])


def test_projection_needs_three_days_and_holds_its_mid(client, tmp_path):
    month = client.get("/api/v1/overview").json()["month"]
    projection = month["projection"]
    assert projection["method"] == "run rate"
    low, mid, high = (Decimal(projection[k]) for k in ("low", "mid", "high"))
    assert Decimal(month["cost"]) <= low <= mid <= high
    young = services_over(MemoryLedger([fact(1, at=NOW - timedelta(days=1), cost="5")]), tmp_path)
    with admin(young) as client:
        assert client.get("/api/v1/overview").json()["month"]["projection"] is None


def test_an_empty_ledger_says_so_and_divides_by_nothing(tmp_path):
    with admin(services_over(MemoryLedger([]), tmp_path)) as client:
        answer = client.get("/api/v1/overview").json()
    assert answer["empty"] is True
    assert answer["previous"] is None
    assert answer["total"]["unit_cost"] is None
    assert answer["groups"] == []


def test_money_is_never_in_exponent_form(client):
    text = client.get("/api/v1/overview").text + client.get("/api/v1/spend?by=team").text
    assert "E-" not in text
    assert "0.0000001500" in client.get("/api/v1/requests").text


def test_spend_reads_every_parameter(client, ledger):
    query = "start=2026-11-01&end=2026-11-02&by=team&by=model&grain=hour&where=team:search&where=team:a:b&basis=list&zone=Asia/Tokyo&compare=true&limit=3"
    assert client.get(f"/api/v1/spend?{query}").status_code == 200
    asked = ledger.asked[-1]
    assert asked.by == ("team", "model")
    assert asked.where == {"team": ("search", "a:b")}
    assert (asked.grain, asked.basis, asked.zone, asked.compare, asked.limit) == ("hour", "list", "Asia/Tokyo", True, 3)
    assert asked.window.start == datetime(2026, 10, 31, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "field", "remedy"),
    [
        ("spend?tema=search", "tema", "Use"),
        ("spend?sart=2026-11-01", "sart", "start"),
        ("spend?by=tema", "by", "team"),
        ("spend?where=team", "where", "team:search"),
        ("spend?where=tema:x", "where", "team"),
        ("spend?grain=minute", "grain", "none, hour, day, week, month"),
        ("spend?basis=gross", "basis", "effective"),
        ("spend?start=yesterday", "start", "2026-01-31"),
        ("spend?start=0001-01-01", "start", "2000"),
        ("spend?start=0001-01-01T00:00:00%2B14:00", "start", "2000"),
        ("spend?start=2026-11-02T10:00:00", "start", "Append"),
        ("spend?start=2026-11-02&end=2026-11-01", "end", "Swap"),
        ("spend?zone=Mars/Olympus", "zone", "IANA"),
        ("spend?zone=../../etc/passwd", "zone", "IANA"),
        ("spend?limit=-1", "limit", "Correct"),
        ("spend?compare=perhaps", "compare", "Correct"),
        ("requests?limit=0", "limit", "Correct"),
        ("requests?search=a%00b", "search", "Remove"),
        ("requests?order=oldest", "order", "newest"),
        ("overview?by=zzz", "by", "Use"),
        ("spend?by=team&by=team", "by", "once"),
    ],
)
def test_bad_parameters_name_field_value_and_remedy(client, query, field, remedy):
    response = client.get(f"/api/v1/{query}")
    problem = response.json()
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert (problem["field"], problem["type"]) == (field, "input")
    assert problem["value"]
    assert remedy in problem["remedy"]


def test_a_request_is_explained_to_the_last_digit(tmp_path):
    lines = (
        ("token.input", "1000", "0.15", 1_000_000, "0.00015"),
        ("token.output", "7", "0.6", 1_000_000, "0.0000042"),
    )
    decision = Decision(
        asked="gpt-5",
        chosen="openai/gpt-5-mini",
        reason="cheapest",
        rejected=(Rejection("a/b", "region", "not in eu"),),
        expected_cost=Money.of("1.5E-7"),
        baseline_cost=Unpriced("no price"),
    )
    failed = fact(1, at=NOW, attempt=1, cost=None, status=Status.ERROR, error_kind=ErrorKind.TIMEOUT)
    answered = fact(
        1, at=NOW, attempt=2, cost="0.000154200000", lines=lines, cost_source=Source.CATALOG, baseline_offer="openai/gpt-5",
        decision=msgspec.json.encode(decision).decode(),
    )  # fmt: skip
    with admin(services_over(MemoryLedger([failed, answered]), tmp_path)) as client:
        response = client.get("/api/v1/requests/r0001")
    detail = response.json()
    assert sum(Decimal(line["amount"]) for line in detail["formula"]) == Decimal(detail["cost"])
    assert detail["unpriced"] == ["no price"]
    assert detail["decision"]["expected_cost"] == "0.00000015"
    assert detail["decision"]["baseline_unpriced"] == "no price"
    assert detail["timing"]["overhead_ms"] == 0
    assert [a["status"] for a in detail["attempts"]] == ["error", "ok"]


@pytest.mark.parametrize(
    ("lines", "source", "note"),
    [
        ((), Source.PROVIDER, "as the provider reported it"),
        ((("token.input", "1", "0.15", 10**13, "0.000000000000015"),), Source.CATALOG, "rounding"),
    ],
)
def test_an_adjustment_closes_the_formula(tmp_path, lines, source, note):
    cost = "0.5" if source is Source.PROVIDER else "0.000000000000"
    ledger = MemoryLedger([fact(1, at=NOW, cost=cost, lines=lines, cost_source=source)])
    with admin(services_over(ledger, tmp_path)) as client:
        detail = client.get("/api/v1/requests/r0001").json()
    assert sum(Decimal(line["amount"]) for line in detail["formula"]) == Decimal(cost)
    assert detail["formula"][-1]["kind"] == "adjustment"
    assert note in detail["formula"][-1]["note"]


def test_missing_things_are_404_and_name_the_nearest(client):
    assert client.get("/api/v1/requests/none").status_code == 404
    problem = client.get("/api/v1/dimensions/tema").json()
    assert (problem["status"], problem["nearest"][0]) == (404, "team")
    assert client.get("/api/v1/nothing").json()["type"] == "not_found"
    assert client.put("/api/v1/spend").status_code == 405


def test_keys_live_and_their_token_is_shown_once(client):
    made = client.post("/api/v1/keys", json={"name": "ci", "scope": {"team": "search"}, "models": ["gpt-5*"]})
    assert made.status_code == 201
    assert made.json()["token"] == "fk-secret"
    listed = client.get("/api/v1/keys").text
    assert "fk-secret" not in listed
    id = made.json()["key"]["id"]
    assert client.post(f"/api/v1/keys/{id}/rotate").json()["token"] == "fk-new-secret"
    assert client.delete(f"/api/v1/keys/{id}").status_code == 204
    assert client.delete(f"/api/v1/keys/{id}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "scop": {}}, "scop"),
        ({"name": "x", "scope": {"tema": "a"}}, "tema"),
        ({"name": ""}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "x", "scope": {"team": "a\nb"}}, "scope.team"),
        ({"name": "x", "expires": "2026-11-20T00:00:00"}, "expires"),
        ({}, "name"),
    ],
)
def test_bad_bodies_name_the_field(client, body, field):
    problem = client.post("/api/v1/keys", json=body).json()
    assert problem["status"] == 400
    assert field in problem["field"] + problem["detail"]


def test_csv_holds_every_row_and_disarms_formulas(tmp_path):
    facts = [fact(n, at=NOW - timedelta(minutes=n), team="=HYPERLINK(1)") for n in range(1, 2501)]
    with admin(services_over(MemoryLedger(facts), tmp_path)) as client:
        requests = client.get("/api/v1/requests.csv")
        spend = client.get("/api/v1/spend.csv?by=team")
    rows = list(csv.DictReader(io.StringIO(requests.text)))
    assert len(rows) == 2500
    assert {row["team"] for row in rows} == {"'=HYPERLINK(1)"}
    assert rows[0]["cost"] == "0.000000150000"
    assert "attachment" in requests.headers["content-disposition"]
    (row,) = csv.DictReader(io.StringIO(spend.text))
    assert (row["cost"], row["requests"], row["currency"]) == ("0.000375000000", "2500", "USD")


def test_session_tells_the_header(client):
    session = client.get("/api/v1/session").json()
    assert (session["zone"], session["currency"], session["basis"]) == ("UTC", "USD", "effective")
    assert session["through"] == "2026-11-20T12:00:00Z"


def test_a_defect_is_a_problem_without_its_inside(services, caplog):
    with admin(replace(services, facts=None)) as client:
        response = client.get("/api/v1/spend")
    assert response.status_code == 500
    assert "NoneType" not in response.text
    assert "NoneType" in caplog.text
