"""Settling Anthropic's batches: every result once, every charge put right once, and only for whom it is."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.support.batchlab import NOW, Lab, Provider, jsonl
from tests.support.faulty import facts_in

from farthing.app import batches as app_batches
from farthing.app.batchreading import PIECE
from farthing.core.batches import MESSAGES, Holding, Lot, digest

USAGE = {
    "input_tokens": 1000,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 500,
    "service_tier": "batch",
}
EACH = Decimal("0.000225")
"""1,000 input tokens at 0.075 and 500 output tokens at 0.30 USD per million: half of what they cost on demand."""

BATCH = "/v1/messages/batches/msgbatch_1"


@pytest.fixture
def provider():
    running = Provider()
    yield running
    running.close()


@pytest.fixture
def lab(tmp_path, provider):
    made = Lab(tmp_path, provider)
    yield made
    made.close()


@pytest.fixture
def corrected(monkeypatch):
    made: list = []
    monkeypatch.setattr(app_batches, "put_right", lambda _, charges, actual: made.append((charges, actual)))
    return made


def ordered(lab: Lab, **more: object) -> Holding:
    fields = {"id": "msgbatch_1", "kind": "message_batch", "provider": "c", "endpoint": MESSAGES, "input": "", **more}
    return lab.order(**fields)


def ended(id: str = "msgbatch_1", requests: int = 3, **more: object) -> dict:
    return {
        "id": id,
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": {"processing": 0, "succeeded": requests, "errored": 0, "canceled": 0, "expired": 0},
        "created_at": (NOW - timedelta(minutes=5)).isoformat(),
        "results_url": f"https://elsewhere.example/{id}",
        **more,
    }


def succeeded(custom_id: str) -> dict:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "tiny-2026", "content": []}
    return {"custom_id": custom_id, "result": {"type": "succeeded", "message": {**message, "usage": USAGE}}}


def unanswered(custom_id: str, kind: str) -> dict:
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: too large"}}
    return {"custom_id": custom_id, "result": {"type": kind} | ({"error": error} if kind == "errored" else {})}


def has(provider: Provider, seen: dict, *lines: dict) -> None:
    root = f"/v1/messages/batches/{seen['id']}"
    provider.answers[root] = json.dumps(seen).encode()
    if lines:
        provider.answers[f"{root}/results"] = jsonl(list(lines))


def test_each_request_is_a_fact_at_the_price_of_batches_and_the_charge_is_put_right_once(
    lab, provider, corrected, tmp_path
):
    ordered(lab, charges=({"limit": "l"},))
    others = [unanswered(kind, kind) for kind in ("errored", "canceled", "expired")]
    has(provider, ended(), succeeded("a"), *others, succeeded("b"))
    for _ in range(3):
        lab.settling().work()
    rows = {row.request_id: row for row in lab.facts()}
    assert sorted((row.status, row.cost) for row in rows.values()) == [*[("error", 0)] * 3, ("ok", EACH), ("ok", EACH)]
    assert {(row.operation, row.scope.org, row.offer) for row in rows.values()} == {
        ("messages", "acme", "openai/tiny:batch")
    }
    assert sum(row.baseline_cost or 0 for row in rows.values()) == 4 * EACH
    assert {(fact.dialect, fact.tags["farthing.batch"]) for fact in facts_in(tmp_path)} == {("anthropic", "msgbatch_1")}
    [(charges, actual)] = corrected
    assert charges == ({"limit": "l"},)
    assert (actual.requests, actual.tokens, actual.cost) == (5, 3000, 2 * EACH)
    assert provider.versions == {"2023-06-01"}
    assert provider.asked == [BATCH, f"{BATCH}/results"]


def test_a_batch_that_is_canceled_before_it_ran_costs_nothing(lab, provider, corrected):
    ordered(lab)
    has(provider, ended(), *(unanswered(name, "canceled") for name in "abc"))
    lab.settling().work()
    assert [row.cost for row in lab.facts()] == [0, 0, 0]
    assert [actual.cost for _, actual in corrected] == [0]


@pytest.mark.parametrize("dies_at", [2, 3])
def test_one_that_is_killed_half_way_adds_nothing_when_it_comes_back(lab, provider, corrected, monkeypatch, dies_at):
    """At the second piece of results, or between the last and the store."""
    ordered(lab)
    has(provider, ended(), *(succeeded(str(number)) for number in range(2 * PIECE)))
    settling = lab.settling()
    real, calls = settling.append, []

    def append(facts, batch, version):
        calls.append(version)
        if len(calls) == dies_at:
            raise RuntimeError("killed")
        real(facts, batch, version)

    def close(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(settling, "append", append)
    monkeypatch.setattr(settling, "close", close)
    with pytest.raises(RuntimeError):
        settling.work()
    assert not corrected
    for _ in range(2):
        lab.settling().work()
    assert len(lab.facts()) == 2 * PIECE
    assert [actual.cost for _, actual in corrected] == [2 * PIECE * EACH]
    assert lab.store.batches.unsettled() == []


def test_results_that_are_gone_leave_the_charge_and_say_so(lab, provider, corrected):
    ordered(lab)
    has(provider, ended())
    lab.settling().work()
    [row] = lab.facts()
    assert row.cost is None
    assert corrected[0][1].cost is None


@pytest.mark.parametrize("line", [b"no json", b'{"custom_id": "a", "result": {"type": "paused"}}'])
def test_a_line_that_is_no_result_leaves_the_charge(lab, provider, corrected, line):
    ordered(lab)
    has(provider, ended(), succeeded("a"))
    provider.answers[f"{BATCH}/results"] += b"\n" + line
    lab.settling().work()
    assert [row.cost for row in lab.facts()] == [EACH]
    assert corrected[0][1].cost is None


def placed(lab: Lab, *names: str, minutes: int = 5, **more: object) -> None:
    """An order whose answer was lost."""
    when = NOW - timedelta(minutes=minutes)
    fields = {"id": "req_1", "created": when, "lots": (Lot(model="tiny", requests=len(names)),), **more}
    ordered(lab, kind="order", input=digest(names), **fields)


def lists(provider: Provider, *rows: dict, after: str = "", more: bool = False) -> None:
    body = json.dumps({"data": rows, "has_more": more}).encode()
    provider.answers[f"/v1/messages/batches?limit=1000{after}"] = body


def test_an_order_whose_answer_was_lost_is_told_by_what_its_results_answer(lab, provider, corrected):
    placed(lab, "a", "b")
    mine, another = ended("msgbatch_9", 2), ended("msgbatch_8", 2)
    lists(provider, another, mine)
    has(provider, mine, succeeded("b"), succeeded("a"))
    has(provider, another, succeeded("a"), succeeded("x"))
    lab.settling().work()
    [batch] = lab.store.batches.unsettled()
    assert (batch.id, batch.kind, batch.scope.org) == ("msgbatch_9", "message_batch", "acme")
    lab.settling().work()
    assert [actual.cost for _, actual in corrected] == [2 * EACH]


def test_what_may_be_the_order_is_waited_for_on_every_page_of_the_list(lab, provider, corrected):
    placed(lab, "a", "b", minutes=60)
    about = (NOW - timedelta(minutes=59)).isoformat()
    lists(provider, ended("msgbatch_9", 7), more=True)
    lists(
        provider,
        ended("msgbatch_8", 2, processing_status="in_progress", created_at=about),
        after="&after_id=msgbatch_9",
    )
    lab.settling().work()
    assert [order.id for order in lab.store.batches.unsettled("order")] == ["req_1"]
    assert not corrected


def test_an_order_that_was_never_placed_is_given_up_in_time(lab, provider, corrected):
    placed(lab, "a", "b", minutes=20)
    about = (NOW - timedelta(minutes=19)).isoformat()
    larger = ended("msgbatch_9", 3, processing_status="in_progress", created_at=about)
    lists(provider, larger, ended("msgbatch_8", 2, created_at=about))
    has(provider, ended("msgbatch_8", 2), succeeded("x"), succeeded("y"))
    lab.settling().work()
    assert [actual.cost for _, actual in corrected] == [0]
    assert lab.store.batches.unsettled("order") == []


def test_an_order_is_not_the_batch_that_a_second_try_of_it_made(lab, provider, corrected):
    placed(lab, "a", "b", minutes=20, charges=("first",))
    ordered(lab, charges=("second",))
    seen = ended(requests=2, created_at=(NOW - timedelta(minutes=19)).isoformat())
    lists(provider, seen)
    has(provider, seen, succeeded("a"), succeeded("b"))
    lab.settling().work()
    assert [(charges, actual.cost) for charges, actual in corrected] == [(("second",), 2 * EACH), (("first",), 0)]


def test_an_order_that_somebody_else_may_have_made_is_nobody_s(lab, provider, corrected):
    placed(lab, "a", "b")
    placed(lab, "a", "b", id="req_2", owner="another")
    lists(provider, ended("msgbatch_9", 2))
    has(provider, ended("msgbatch_9", 2), succeeded("a"), succeeded("b"))
    lab.settling().work()
    assert lab.store.batches.find("message_batch", "msgbatch_9") is None
    assert {row.request_id: row.cost for row in lab.facts()} == {"req_1-lost": None, "req_2-lost": None}
    assert [actual.cost for _, actual in corrected] == [None, None]
