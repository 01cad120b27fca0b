"""Batches of messages with Anthropic's own SDK, through a whole running installation."""

import os
import signal
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import anthropic
import pytest
from tests.support.product import Product, simulated_settings

from farthing.core.time import Window
from farthing.ledger.questions import RequestsQuestion

HAIKU, SONNET = "claude-haiku-4-5", "claude-sonnet-4-5"
IN, OUT = Decimal("0.5") / 10**6, Decimal("2.5") / 10**6
"""USD for a token of Haiku in a batch: half of 1 and 5 USD per million."""


@pytest.fixture(scope="module")
def running(providers, tmp_path_factory):
    home = tmp_path_factory.mktemp("message-batches")
    with Product(home, simulated_settings(providers), workers=2) as product:
        yield product


@pytest.fixture(scope="module")
def acme(running):
    return client(running, running.key("--org", "acme"))


@pytest.fixture(scope="module")
def globex(running):
    return client(running, running.key("--org", "globex"))


def client(product: Product, key: str, root: str = "") -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=product.url + root, api_key=key, max_retries=0)


def ask(custom_id: str, model: str = HAIKU, **more: object) -> dict:
    params = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": f"Say {custom_id}"}], **more}
    return {"custom_id": custom_id, "params": params}


def finished(sdk: anthropic.Anthropic, batch_id: str):
    for _ in range(20):
        batch = sdk.messages.batches.retrieve(batch_id)
        if batch.processing_status == "ended":
            return batch
        time.sleep(0.1)
    raise AssertionError(batch)


def of_batch(product: Product, batch_id: str, *, at_least: int) -> list:
    """The ledger's facts of a batch's requests."""
    rows: list = []
    until = time.monotonic() + 30
    while time.monotonic() < until:
        rows = [r for r in product.requests(at_least=1, provider="anthropic") if r.request_id.startswith(batch_id)]
        if len(rows) >= at_least:
            return rows
        time.sleep(0.3)
    raise AssertionError(f"{len(rows)} of {at_least}: {product.log.read_text()[-3000:]}")


@pytest.mark.parametrize("root", ["", "/anthropic"])
def test_a_batch_is_settled_at_half_price_request_by_request(running, root):
    sdk = client(running, running.key("--org", "acme"), root)
    batch = sdk.messages.batches.create(requests=[ask("one"), ask("two", SONNET), ask("three")])
    assert (batch.processing_status, batch.request_counts.processing) == ("in_progress", 3)
    assert batch.expires_at - batch.created_at == timedelta(days=1)
    with pytest.raises(anthropic.AnthropicError, match="results_url"):
        sdk.messages.batches.results(batch.id)
    done = finished(sdk, batch.id)
    assert done.request_counts.succeeded == 3
    said = {line.custom_id: line.result.message.usage for line in sdk.messages.batches.results(batch.id)}
    assert set(said) == {"one", "two", "three"}
    rows = of_batch(running, batch.id, at_least=3)
    assert sorted(row.offer for row in rows) == [f"anthropic/{HAIKU}:batch"] * 2 + [f"anthropic/{SONNET}:batch"]
    expected = sum(IN * said[name].input_tokens + OUT * said[name].output_tokens for name in ("one", "three"))
    haiku = [row for row in rows if HAIKU in row.offer]
    assert sum(row.cost for row in haiku) == expected
    assert sum(row.baseline_cost for row in haiku) == 2 * expected
    assert {(row.scope.org, row.operation, row.status) for row in rows} == {("acme", "messages", "ok")}
    time.sleep(6)
    assert len(of_batch(running, batch.id, at_least=3)) == 3


def test_the_beta_client_works_the_same(acme):
    batch = acme.beta.messages.batches.create(requests=[ask("one")], betas=["output-300k-2026-03-24"])
    finished(acme, batch.id)
    assert [line.custom_id for line in acme.beta.messages.batches.results(batch.id)] == ["one"]
    assert batch.id in [b.id for b in acme.beta.messages.batches.list(limit=1)]


def test_requests_that_fail_cost_nothing(running, acme):
    batch = acme.messages.batches.create(requests=[ask("good"), ask("bad", "claude-nobody-has")])
    done = finished(acme, batch.id)
    assert (done.request_counts.succeeded, done.request_counts.errored) == (1, 1)
    rows = of_batch(running, batch.id, at_least=2)
    assert {(row.status, bool(row.cost)) for row in rows} == {("ok", True), ("error", False)}


def test_a_batch_that_is_canceled_costs_nothing_and_can_be_deleted(running, acme):
    batch = acme.messages.batches.create(requests=[ask("one"), ask("two")])
    with pytest.raises(anthropic.ConflictError, match="not settled"):
        acme.messages.batches.delete(batch.id)
    assert acme.messages.batches.cancel(batch.id).processing_status == "canceling"
    assert finished(acme, batch.id).request_counts.canceled == 2
    assert {line.result.type for line in acme.messages.batches.results(batch.id)} == {"canceled"}
    assert {row.cost for row in of_batch(running, batch.id, at_least=2)} == {Decimal(0)}
    assert deleted(acme, batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        acme.messages.batches.retrieve(batch.id)


def deleted(sdk: anthropic.Anthropic, batch_id: str):
    until = time.monotonic() + 30
    while True:
        try:
            return sdk.messages.batches.delete(batch_id)
        except anthropic.ConflictError:
            assert time.monotonic() < until
            time.sleep(0.3)


def test_a_list_is_walked_from_page_to_page(running):
    sdk = client(running, running.key("--org", "lists"))
    made = [sdk.messages.batches.create(requests=[ask(name)]).id for name in "abcde"]
    assert [batch.id for batch in sdk.messages.batches.list(limit=2)] == made[::-1]
    page = sdk.messages.batches.list(limit=2, before_id=made[0])
    assert [batch.id for batch in page.data] == [made[2], made[1]]
    finished(sdk, made[0])
    last = sdk.messages.batches.list(after_id=made[1]).data
    assert [batch.results_url for batch in last] == [f"/v1/messages/batches/{made[0]}/results"]


def test_nobody_sees_or_uses_what_belongs_to_another_tenant(running, acme, globex):
    batch = acme.messages.batches.create(requests=[ask("secret")])
    finished(acme, batch.id)
    theirs, forged = globex.messages.batches, {"x-farthing-org": "acme"}
    for attack in (
        lambda: theirs.retrieve(batch.id, extra_headers=forged),
        lambda: theirs.cancel(batch.id, extra_headers=forged),
        lambda: theirs.delete(batch.id, extra_headers=forged),
        lambda: theirs.results(batch.id, extra_headers=forged),
        lambda: globex.get(f"/v1/messages/batches/{batch.id}/results", cast_to=str),
    ):
        with pytest.raises(anthropic.NotFoundError):
            attack()
    assert list(theirs.list(extra_headers=forged)) == []
    assert list(theirs.list(after_id=batch.id)) == []
    colleague = client(running, running.key("--org", "acme"))
    assert len(list(colleague.messages.batches.results(batch.id))) == 1


def test_an_order_that_no_one_provider_can_carry_is_refused_with_its_place(acme):
    for asks, told in (
        ([ask("a"), ask("b", "gpt-4o-mini")], "requests.1.params.model.*openai serves it"),
        ([ask("a", "claude-anywhere")], f"Write {HAIKU}"),
        ([ask("a"), ask("a")], "requests.1.custom_id"),
        ([ask("a", stream=True)], "requests.0.params.stream"),
    ):
        with pytest.raises(anthropic.BadRequestError, match=told):
            acme.messages.batches.create(requests=asks)


def test_a_key_for_some_models_orders_no_others(running):
    sdk = client(running, running.key("--model", HAIKU))
    with pytest.raises(anthropic.PermissionDeniedError):
        sdk.messages.batches.create(requests=[ask("a"), ask("b", SONNET)])
    assert sdk.messages.batches.create(requests=[ask("a")]).id


def test_a_hard_budget_holds_the_worst_case_until_the_batch_is_settled(running):
    running.cli("budget", "set", "thrifty", "--amount", "0.05", "--per", "day", "--org", "thrifty")
    sdk = client(running, running.key("--org", "thrifty"))
    many = [ask(f"n{number}", max_tokens=100) for number in range(100)]
    with pytest.raises(anthropic.RateLimitError, match="thrifty"):
        sdk.messages.batches.create(requests=[*many, *(ask(f"m{number}", max_tokens=100) for number in range(200))])
    with pytest.raises(anthropic.RateLimitError, match="thrifty"):
        sdk.messages.batches.create(requests=[ask("new", "claude-nobody-has")])
    first = sdk.messages.batches.create(requests=many)
    with pytest.raises(anthropic.RateLimitError, match="thrifty"):
        sdk.messages.batches.create(requests=many)
    finished(sdk, first.id)
    of_batch(running, first.id, at_least=100)
    until = time.monotonic() + 30
    while True:
        try:
            assert sdk.messages.batches.create(requests=many[:50]).id
            return
        except anthropic.RateLimitError:
            assert time.monotonic() < until, "what the batch did not use was not given back"
            time.sleep(0.5)


def test_a_control_process_that_is_killed_while_it_settles_settles_once(providers, tmp_path):
    """It is killed at each of the first writes of results to the ledger, so that it dies between two of them."""
    many = 6_000
    with Product(tmp_path, simulated_settings(providers)) as product:
        sdk = client(product, product.key("--org", "acme"))
        batch = sdk.messages.batches.create(requests=[ask(f"n{number}") for number in range(many)])
        product.requests(at_least=1, operation="batch")
        finished(sdk, batch.id)
        writes, halves = versions(product), []
        until = time.monotonic() + 90
        while len(halves) < 3:
            assert time.monotonic() < until, f"{halves}: {product.log.read_text()[-3000:]}"
            if versions(product) > writes:
                os.kill(control_of(product), signal.SIGKILL)
                time.sleep(0.5)
                writes = versions(product)
                halves.append(len(booked(product, batch.id)))
        assert 0 < halves[0] < many, "it was killed too late to prove anything"
        deleted(sdk, batch.id)
        rows = booked(product, batch.id)
        assert len(rows) == len({row.request_id for row in rows}) == many


def versions(product: Product) -> int:
    """How often the ledger's facts were written to."""
    return len(list((product.home / "ledger" / "requests" / "_delta_log").glob("*.json")))


def booked(product: Product, batch_id: str) -> list:
    question = RequestsQuestion(window=Window(), where={"provider": ("anthropic",)}, limit=10_000)
    return [row for row in product.ledger().requests(question).rows if row.request_id.startswith(batch_id)]


def control_of(product: Product) -> int:
    up = product.process.pid
    children = Path(f"/proc/{up}/task/{up}/children").read_text().split()
    return next(int(pid) for pid in children if b"farthing.app.control" in Path(f"/proc/{pid}/cmdline").read_bytes())
