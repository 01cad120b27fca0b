"""Settling batches: every line once, every charge put right once, whatever dies in between."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.support.batchlab import BY, NOW, Lab, Provider

from farthing.app import batches as app_batches
from farthing.app.batches import LOOK_TURNS
from farthing.core.errors import ConflictError, FarthingError

USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}


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


def answered(custom_id: str) -> dict:
    body = {"id": "chatcmpl-1", "model": "tiny-2026", "choices": [], "usage": USAGE, "service_tier": "default"}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "x", "custom_id": custom_id, "response": response, "error": None}


def failed(custom_id: str) -> dict:
    response = {"status_code": 400, "request_id": "r", "body": {"error": {"message": "no", "type": "invalid"}}}
    return {"id": "x", "custom_id": custom_id, "response": response, "error": None}


def expired(custom_id: str) -> dict:
    error = {"code": "batch_expired", "message": "This request could not be executed before the window expired."}
    return {"id": "x", "custom_id": custom_id, "response": None, "error": error}


def done(**more: object) -> dict:
    return {"id": "batch_1", "status": "completed", "output_file_id": "file-out", "error_file_id": None, **more}


EACH = Decimal("0.000225")
"""1,000 input tokens at 0.075 and 500 output tokens at 0.30 USD per million."""


def corrections(monkeypatch: pytest.MonkeyPatch) -> list:
    made: list = []
    monkeypatch.setattr(app_batches, "put_right", lambda _, charges, actual: made.append((charges, actual)))
    return made


def test_every_line_is_priced_as_a_batch_and_the_charge_put_right_once(lab, provider, monkeypatch):
    made = corrections(monkeypatch)
    lab.order(charges=({"limit": "l"},))
    provider.has(
        done(error_file_id="file-err"),
        **{"file-out": [answered("a"), answered("b")], "file-err": [failed("c"), expired("d")]},
    )
    for _ in range(3):
        lab.settling().work()
    rows = lab.facts()
    assert sorted((row.status, row.cost) for row in rows) == [("error", 0), ("error", 0), ("ok", EACH), ("ok", EACH)]
    assert {(row.scope.org, row.operation) for row in rows} == {("acme", "chat")}
    assert {row.offer for row in rows} == {"openai/tiny:batch"}
    assert sum(row.baseline_cost or 0 for row in rows) == 4 * EACH
    [(charges, actual)] = made
    assert charges == ({"limit": "l"},)
    assert (actual.requests, actual.tokens, actual.cost) == (4, 3000, 2 * EACH)


def test_one_that_dies_between_the_ledger_and_the_store_adds_nothing_when_it_comes_back(lab, provider, monkeypatch):
    lab.order()
    provider.has(done(), **{"file-out": [answered(str(number)) for number in range(2500)]})

    def dies(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(app_batches, "put_right", dies)
    with pytest.raises(RuntimeError):
        lab.settling().work()
    assert len(lab.facts()) == 2500
    made = corrections(monkeypatch)
    lab.settling().work()
    assert len(lab.facts()) == 2500
    assert [actual.cost for _, actual in made] == [2500 * EACH]
    assert lab.store.batches.unsettled() == []


def test_a_batch_under_way_is_looked_at_once_a_minute_and_its_owner_s_look_is_enough(lab, provider):
    batch = lab.order()
    provider.has(done(status="in_progress", output_file_id=None))
    settling = lab.settling()
    for _ in range(LOOK_TURNS):
        settling.work()
    assert provider.asked == ["/v1/batches/batch_1"]
    assert lab.facts() == []
    provider.has(done(), **{"file-out": [answered("a")]})
    settling.work()
    lab.store.batches.saw(batch.id, done())
    settling.work()
    assert len(lab.facts()) == 1


def test_results_that_are_gone_leave_the_charge_and_say_so(lab, provider, monkeypatch):
    made = corrections(monkeypatch)
    lab.order()
    provider.has(done())
    lab.settling().work()
    [row] = lab.facts()
    assert row.cost is None
    assert made[0][1].cost is None


def test_a_provider_that_does_not_answer_is_asked_again(lab, provider):
    lab.order()
    provider.answers["/v1/batches/batch_1"] = 500
    settling = lab.settling()
    with pytest.raises(FarthingError, match="500"):
        settling.work()
    assert len(lab.store.batches.unsettled()) == 1


def placed(lab: Lab, age: timedelta) -> None:
    lab.order(id="req_1", kind="order", created=NOW - age)


def listing(provider: Provider, *rows: dict) -> None:
    provider.answers["/v1/batches?limit=100"] = json.dumps({"data": rows}).encode()


def test_an_order_whose_answer_was_lost_is_found_at_the_provider(lab, provider):
    placed(lab, timedelta(minutes=5))
    when = int((NOW - timedelta(minutes=5)).timestamp())
    listing(provider, {"id": "batch_9", "input_file_id": "file-in", "created_at": when, "status": "in_progress"})
    lab.settling().work()
    [batch] = lab.store.batches.unsettled()
    assert (batch.id, batch.scope.org) == ("batch_9", "acme")
    assert lab.store.batches.unsettled("order") == []


@pytest.mark.parametrize(("age", "settled"), [(1, False), (5, False), (20, True)])
def test_an_order_that_was_never_placed_is_given_up_in_time(lab, provider, monkeypatch, age, settled):
    made = corrections(monkeypatch)
    placed(lab, timedelta(minutes=age))
    listing(provider, {"id": "batch_9", "input_file_id": "file-other", "created_at": 2**31 - 1})
    lab.settling().work()
    assert bool(made) is settled
    assert [actual.cost for _, actual in made] == [0] * settled


def test_an_id_that_somebody_else_has_is_not_taken_over(lab):
    lab.order()
    with pytest.raises(ConflictError):
        lab.order(owner="another")


def test_what_happens_is_in_the_audit_log(lab, provider):
    lab.order()
    provider.has(done(), **{"file-out": [answered("a")]})
    lab.settling().work()
    actions = [entry.action for entry in lab.store.audit.list(subject="batch_1")]
    assert actions == ["batch.settle", "batch.create"]


def test_settling_twice_at_once_corrects_once(lab):
    lab.order()
    calls: list[str] = []
    note: Callable = lambda _, holding: calls.append(holding.id)  # noqa: E731 - shorter than a function here
    assert lab.store.batches.settle(BY, "batch_1", note)
    assert not lab.store.batches.settle(BY, "batch_1", note)
    assert calls == ["batch_1"]
