from datetime import timedelta
from decimal import Decimal

import pytest

from farthing.core.errors import InputError, NotFoundError
from farthing.core.facts import ErrorKind, Source, Status
from farthing.core.nouns import Scope
from farthing.core.time import Window
from farthing.ledger.questions import RequestsQuestion, SpendQuestion
from farthing.ledger.schema import reversal
from farthing.ledger.store import Ledger
from support.facts import NOON, cost_of, fact, facts, ids


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger.open(str(tmp_path / "ledger"), threads=1)
    yield opened
    opened.close()


def pages(ledger, **question):
    found, after = [], ""
    while True:
        answer = ledger.requests(RequestsQuestion(**question, after=after))
        found += answer.rows
        after = answer.next
        if not after:
            return found


@pytest.mark.parametrize("order", ["newest", "cost", "latency"])
def test_pages_are_complete_and_without_duplicates(ledger, order):
    some = [fact(i, at=NOON - timedelta(hours=i // 3), cost=str(i % 5), total_ms=float(i % 7)) for i in range(50)]
    ledger.append_requests(some, source="s", version=0)
    found = pages(ledger, order=order, limit=7)
    assert sorted(ids(found)) == sorted(ids(some))
    value = {"newest": lambda r: r.at, "cost": lambda r: r.cost, "latency": lambda r: r.total_ms}[order]
    assert [value(r) for r in found] == sorted((value(r) for r in found), reverse=True)


def test_facts_that_come_while_paging_disturb_nothing(ledger):
    some = facts(20)
    ledger.append_requests(some, source="s", version=0)
    first = ledger.requests(RequestsQuestion(limit=8))
    later = [fact(100 + i, at=NOON + timedelta(hours=1 + i)) for i in range(5)]
    ledger.append_requests(later, source="s", version=1)
    rest = ledger.requests(RequestsQuestion(limit=100, after=first.next))
    assert ids(first.rows) + ids(rest.rows) == [f.request_id for f in reversed(some)]


def test_totals_cover_all_that_match_and_equal_spend(ledger):
    some = facts(30)
    ledger.append_requests(some, source="s", version=0)
    where = {"model": ("model-1",)}
    answer = ledger.requests(RequestsQuestion(where=where, limit=3))
    asked = ledger.spend(SpendQuestion(window=Window(), where=where)).total
    assert answer.total == asked
    assert (answer.matching, len(answer.rows), answer.total.cost) == (10, 3, cost_of(some[1::3]))


def test_attempts_fold_into_their_request(ledger):
    scope = Scope(team="a")
    failed = fact(1, status=Status.ERROR, error_kind=ErrorKind.TIMEOUT, cost="0.5", provider="azure", scope=scope)
    served = fact(1, attempt=2, at=NOON + timedelta(seconds=2), cost="1", total_ms=2500.0, scope=scope)
    ledger.append_requests([served, failed], source="s", version=0)
    (row,) = ledger.requests(RequestsQuestion()).rows
    assert (row.attempts, row.status, row.provider, row.cost) == (2, Status.OK, "openai", Decimal("1.5"))
    assert (row.at, row.total_ms, row.input_tokens) == (NOON, 2500.0, 20)


def test_an_unpriced_request_has_no_cost_but_a_reason(ledger):
    ledger.append_requests([fact(1, cost=None)], source="s", version=0)
    (row,) = ledger.requests(RequestsQuestion()).rows
    assert (row.cost, row.unpriced) == (None, "no price")


@pytest.mark.parametrize("word", ["REQ-000003", "odd-model", "Boom", "checkout", "fast-3"])
def test_search_matches_id_models_feature_and_error(ledger, word):
    odd = fact(3, model="odd-model", error="boom!", scope=Scope(feature="checkout"), requested_model="fast-3")
    ledger.append_requests([fact(1), fact(2), odd], source="s", version=0)
    assert ids(ledger.requests(RequestsQuestion(search=word)).rows) == ["req-000003"]


@pytest.mark.parametrize("word", ["%", "_", "'; DROP TABLE requests; --", "\\"])
def test_search_has_no_wildcards_and_no_syntax(ledger, word):
    ledger.append_requests([fact(1), fact(2, error=f"odd {word} text")], source="s", version=0)
    assert ids(ledger.requests(RequestsQuestion(search=word)).rows) == ["req-000002"]


def test_a_request_comes_back_as_it_was_written(ledger):
    whole = fact(
        7,
        cost="0.123456789012",
        baseline_cost=Decimal("1.000000000001"),
        usage_source=Source.PROVIDER,
        lines=(("token.input", "10", "1.25", 1_000_000, "0.0000125"),),
        tags={"ticket": "A-1"},
        decision='{"chosen":"openai/gpt-5-mini"}',
        total_ms=12.5,
        stream=True,
    )
    ledger.append_requests([whole, fact(8)], source="s", version=0)
    assert ledger.request("req-000007") == [whole]


def test_a_reversal_is_shown_with_the_request_and_leaves_it_at_nothing(ledger):
    ledger.append_requests([fact(1, cost="3"), reversal(fact(1, cost="3"))], source="s", version=0)
    assert len(ledger.request("req-000001")) == 2
    (row,) = ledger.requests(RequestsQuestion()).rows
    assert (row.cost, row.attempts, row.status) == (0, 1, Status.OK)


def test_an_unknown_request_is_not_found(ledger):
    with pytest.raises(NotFoundError, match="nope"):
        ledger.request("nope")


@pytest.mark.parametrize("after", ["garbage", "%%%", "bm90IGpzb24", "WyJuZXdlc3QiLCJ4IiwieSJd"])
def test_a_made_up_page_is_refused(ledger, after):
    ledger.append_requests([fact(1)], source="s", version=0)
    with pytest.raises(InputError, match="after"):
        ledger.requests(RequestsQuestion(after=after))


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_a_page_has_a_sensible_size(ledger, limit):
    with pytest.raises(InputError, match="limit"):
        ledger.requests(RequestsQuestion(limit=limit))


def test_no_facts_no_rows(ledger):
    answer = ledger.requests(RequestsQuestion())
    assert (answer.rows, answer.matching, answer.next, answer.total.cost) == ((), 0, "", 0)
