"""The price of redundancy in the figures: by role, beside what is not known, and in the story of one request."""

from datetime import timedelta
from decimal import Decimal

import pytest

from farthing.core.facts import ErrorKind, Status
from farthing.core.time import Window
from farthing.ledger.questions import RequestsQuestion, SpendQuestion
from farthing.ledger.store import Ledger
from farthing.web.detail import explain
from farthing.web.overview import overview
from farthing.web.questions import Span
from support.facts import NOON, fact

SPAN = Span(window=Window(start=NOON - timedelta(days=1), end=NOON + timedelta(days=1)), zone="UTC", now=NOON)


def second(number, role, **more):
    return fact(number, attempt=2, tags={"farthing.role": role}, **more)


FAILED = {"status": Status.ERROR, "error_kind": ErrorKind.SERVER, "cost": "0"}
RACED = [
    fact(3, cost="0.5", total_ms=900.0),
    second(3, "hedge", cost=None, status=Status.CANCELLED, total_ms=901.0, provider="azure"),
]
FACTS = [
    fact(0, cost="1"),
    fact(1, **FAILED), second(1, "failover", cost="0.25"),
    fact(2, **FAILED), second(2, "failover", cost="0.75"),
    *RACED,
]  # fmt: skip


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger.open(str(tmp_path / "ledger"), threads=1)
    yield opened
    opened.close()


def shown(ledger, **where):
    return overview(ledger, SPAN, by="team", basis="effective", where=where).redundancy


def test_the_overview_shows_what_redundancy_cost_by_role(ledger):
    ledger.append_requests(FACTS, source="s", version=0)
    found = shown(ledger)
    assert (found.requests, found.cost, found.unpriced) == (3, Decimal(1), 1)
    assert [(part.role, part.requests, part.cost, part.unpriced) for part in found.roles] == [
        ("failover", 2, Decimal(1), 0),
        ("hedge", 1, Decimal(0), 1),
    ]
    assert shown(ledger, provider=("azure",)).requests == 1
    assert shown(ledger, origin=("bill",)).requests == 0


def test_without_further_attempts_there_is_nothing_to_show(ledger):
    ledger.append_requests([fact(0)], source="s", version=0)
    assert (shown(ledger).requests, shown(ledger).roles) == (0, ())


def test_roles_are_a_dimension_of_spend(ledger):
    ledger.append_requests(FACTS, source="s", version=0)
    rows = ledger.spend(SpendQuestion(window=SPAN.window, by=("tag:farthing.role",))).rows
    assert {row.keys["tag:farthing.role"]: row.cost for row in rows} == {
        "": Decimal("1.5"), "failover": Decimal(1), "hedge": Decimal(0),
    }  # fmt: skip


def test_a_request_ended_as_the_attempt_that_answered_it(ledger):
    detail = explain(RACED)
    assert (detail.status, detail.provider, detail.timing.total_ms) == ("ok", "openai", 900.0)
    assert (detail.roles, detail.tags, detail.cost) == (("", "hedge"), {}, Decimal("0.5"))
    ledger.append_requests(FACTS, source="s", version=0)
    rows = {row.request_id: row for row in ledger.requests(RequestsQuestion()).rows}
    assert (rows["req-000003"].status, rows["req-000003"].attempts) == ("ok", 2)
    assert rows["req-000001"].status == "ok"
