"""What the gateway does not believe: absurd counts and amounts, endless rests, labels that are not a client's to set."""

import json
from decimal import Decimal

import pytest
from tests.support.wire import JSON, call_of, dialect_of, target_of

from farthing.catalog.usage import read_usage, reported_cost
from farthing.core.errors import InputError
from farthing.core.facts import ErrorKind, Operation
from farthing.core.units import INPUT
from farthing.gateway.breaker import LONGEST_WISH_S, Breaker, Tolerance

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
MESSAGE = {**CHAT, "max_tokens": 5}


@pytest.mark.parametrize(
    ("flavor", "usage"),
    [
        ("openai_chat", {"prompt_tokens": 10**30, "completion_tokens": 1}),
        ("openai_responses", {"input_tokens": 1, "output_tokens": 2**63}),
        ("anthropic", {"input_tokens": 10**18, "output_tokens": 1}),
        ("gemini", {"promptTokenCount": 10**19, "candidatesTokenCount": 1}),
        ("bedrock_converse", {"inputTokens": 10**13, "outputTokens": 1}),
    ],
)
def test_counts_that_no_answer_can_have_are_not_read(flavor, usage):
    assert read_usage(flavor, json.dumps(usage).encode()) is None


def test_the_largest_count_that_is_believed():
    usage = read_usage("openai_chat", json.dumps({"prompt_tokens": 10**12, "completion_tokens": 0}).encode())
    assert usage[INPUT] == 10**12


@pytest.mark.parametrize("cost", ["-0.01", "1e13", "1e30", '"NaN"', '"Infinity"', '"-Infinity"', '{"total_cost": -1}'])
def test_amounts_that_no_answer_can_cost_are_not_read(cost):
    assert reported_cost("openai_chat", b'{"prompt_tokens":1,"completion_tokens":1,"cost":%b}' % cost.encode()) is None


def test_a_sound_amount_is_read():
    assert reported_cost("openai_chat", b'{"prompt_tokens":1,"completion_tokens":1,"cost":0.0125}').amount == Decimal(
        "0.0125"
    )


@pytest.mark.parametrize("wish", [float("9" * 400), 10**9])
def test_no_provider_can_make_itself_rest_for_ever(wish):
    breaker = Breaker(Tolerance())
    breaker.failed(ErrorKind.RATE_LIMIT, 999.0, 1000.0, wish=wish)
    assert breaker.rests_until == 1000.0 + LONGEST_WISH_S


@pytest.mark.parametrize("name", [b"x-farthing-label-farthing.reversal", b"x-farthing-label-farthing.x"])
def test_labels_of_the_ledger_are_not_a_clients_to_set(name):
    with pytest.raises(InputError, match=name.decode()):
        call_of(Operation.CHAT, CHAT, [(name, b"true")])
    assert call_of(Operation.CHAT, CHAT, [(b"x-farthing-label-reversal", b"true")]).labels == {
        "reversal": "true",
        "category": "inference",
    }


def refused(vendor: str, operation: Operation, body: bytes, status: int = 500) -> tuple[int, bytes]:
    call = call_of(operation, MESSAGE if operation is Operation.MESSAGE else CHAT)
    reading = dialect_of(vendor).reading(call, target_of(vendor), status, JSON)
    reading.feed(body)
    return reading.status, reading.close()


NATIVE = {
    ("openai", Operation.CHAT): b'{"error":{"message":"no","type":"server_error","param":null,"code":null}}',
    ("anthropic", Operation.MESSAGE): b'{"type":"error","error":{"type":"api_error","message":"no"}}',
}


@pytest.mark.parametrize(("vendor", "operation"), NATIVE)
def test_an_error_in_the_clients_own_shape_is_passed_on_untouched(vendor, operation):
    assert refused(vendor, operation, NATIVE[vendor, operation]) == (500, NATIVE[vendor, operation])


@pytest.mark.parametrize(("vendor", "operation"), NATIVE)
@pytest.mark.parametrize("body", [b'{"error":"no"}', b'{"error":{"code":5}}', b'{"error":null}', b"<html>", b"", b"[]"])
def test_any_other_error_is_told_in_the_dialects_shape(vendor, operation, body):
    shape = json.loads(refused(vendor, operation, body)[1])
    assert shape["error"]["message"]
    assert shape["error"]["type"]
    assert (shape.get("type") == "error") is (vendor == "anthropic")


def test_an_error_without_anthropics_type_is_not_anthropics():
    shape = json.loads(refused("anthropic", Operation.MESSAGE, b'{"error":{"type":"api_error","message":"no"}}')[1])
    assert shape["type"] == "error"
    assert "no" in shape["error"]["message"]


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_a_stream_without_a_single_byte_is_an_error(vendor):
    operation = Operation.MESSAGE if vendor == "anthropic" else Operation.CHAT
    call = call_of(operation, {**MESSAGE, "stream": True})
    reading = dialect_of(vendor).reading(call, target_of(vendor), 200, {b"content-type": b"text/event-stream"})
    shape = json.loads(reading.close())
    assert (reading.status, reading.meter.error_kind) == (502, ErrorKind.BAD_BODY)
    assert "empty" in shape["error"]["message"]
