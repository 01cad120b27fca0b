"""What the meter learns from answers that reach the client untouched, quirks of vendors included."""

import json

import pytest

from farthing.core.facts import ErrorKind, Operation, Source
from farthing.core.money import Money
from farthing.core.units import CACHE_READ, CACHE_WRITE_1H, INPUT, OUTPUT, REASONING
from support.cassettes import CASSETTES, TEXT, chunk
from support.wire import EVENTS, JSON, call_of, dialect_of, relayed, sse, target_of, unsse

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
MESSAGE = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def read(vendor, operation, body, answer, *, status=200, headers=None):
    target = target_of(vendor)
    call = call_of(operation, body)
    headers = headers or (EVENTS if call.stream else JSON)
    reading = dialect_of(target.provider.dialect).reading(call, target, status, headers)
    return relayed(reading, answer, [7, 20, 21]), reading


@pytest.mark.parametrize(
    ("vendor", "operation", "body", "kind"),
    [("openai", Operation.CHAT, CHAT, "text"), ("anthropic", Operation.MESSAGE, MESSAGE, "text")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_same_dialect_relays_byte_for_byte(vendor, operation, body, kind, stream):
    options = {"stream_options": {"include_usage": True}} if vendor == "openai" else {}
    body = {**body, "stream": True, **options} if stream else body
    tape = CASSETTES[vendor][f"{kind} stream" if stream else kind]
    out, reading = read(vendor, operation, body, tape)
    assert out == tape
    meter = reading.meter
    assert meter.complete
    assert (meter.served_model, meter.upstream_id[-2:]) == ("the-model-2026", "_9" if vendor == "anthropic" else "-9")
    assert (meter.usage[INPUT], meter.usage[CACHE_READ], meter.usage[OUTPUT]) == (20, 5, 7)


@pytest.mark.parametrize(
    ("vendor", "operation", "body"), [("openai", Operation.CHAT, CHAT), ("anthropic", Operation.MESSAGE, MESSAGE)]
)
def test_errors_of_the_same_dialect_pass_untouched_with_their_status(vendor, operation, body):
    out, reading = read(vendor, operation, body, CASSETTES[vendor]["error"], status=429)
    assert (out, reading.status, reading.meter.error_kind) == (CASSETTES[vendor]["error"], 429, ErrorKind.RATE_LIMIT)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"error":{"message":"x","code":"content_filter"}}', ErrorKind.CONTENT_FILTER),
        (400, b'{"error":{"message":"x","type":"invalid_request_error"}}', ErrorKind.BAD_REQUEST),
        (401, b"{}", ErrorKind.AUTH),
        (404, b'{"detail":"no such model"}', ErrorKind.NOT_FOUND),
        (413, b"", ErrorKind.BAD_REQUEST),
        (500, b"oops", ErrorKind.SERVER),
        (503, b"<html>", ErrorKind.OVERLOADED),
        (504, b"", ErrorKind.TIMEOUT),
        (529, b"", ErrorKind.OVERLOADED),
    ],
)
def test_failures_are_classified(status, body, kind):
    _, reading = read("openai", Operation.CHAT, CHAT, body, status=status)
    assert reading.meter.error_kind is kind
    assert reading.meter.error
    assert reading.meter.usage is None


def test_an_error_page_is_retold_in_the_clients_shape():
    out, reading = read("openai", Operation.CHAT, CHAT, b"<html>Bad Gateway</html>", status=502)
    told = json.loads(out)["error"]
    assert (reading.status, told["type"]) == (502, "upstream_error")
    assert told["message"] == "up: <html>Bad Gateway</html>"


def test_a_specific_error_under_200_keeps_its_kind():
    body = b'{"error":{"message":"slow down","type":"rate_limit_error"}}'
    out, reading = read("openai", Operation.CHAT, CHAT, body)
    assert (reading.status, reading.meter.error_kind) == (429, ErrorKind.RATE_LIMIT)
    assert "slow down" in json.loads(out)["error"]["message"]


def test_a_stream_that_is_answered_by_json_with_an_error_is_a_bad_gateway():
    _, reading = read("openai", Operation.CHAT, {**CHAT, "stream": True}, b'{"error":"no"}', headers=JSON)
    assert (reading.status, reading.content_type) == (502, b"application/json")


def test_a_stream_that_begins_with_an_error_is_told_with_a_status():
    error = {"error": {"message": "busy", "type": "overloaded_error"}}
    out, reading = read("openai", Operation.CHAT, {**CHAT, "stream": True}, sse(error))
    assert (reading.status, reading.content_type) == (503, b"application/json")
    assert "busy" in json.loads(out)["error"]["message"]


def test_openrouters_own_charge_is_taken_to_the_last_digit():
    usage = '{"prompt_tokens":20,"completion_tokens":7,"total_tokens":27,"cost":0.00001234567891}'
    body = CASSETTES["openai"]["text"].replace(
        json.dumps(json.loads(CASSETTES["openai"]["text"])["usage"]).encode(), usage.encode()
    )
    _, reading = read("openrouter", Operation.CHAT, CHAT, body)
    assert reading.meter.reported_cost == Money.of("0.00001234567891")


def test_groqs_counts_of_a_stream_are_found():
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    tape = sse(chunk({"content": "x"}), chunk({}, "stop", x_groq={"id": "r", "usage": usage}), "[DONE]")
    out, reading = read("groq", Operation.CHAT, {**CHAT, "stream": True}, tape)
    assert out == tape
    assert (reading.meter.usage[INPUT], reading.meter.usage[OUTPUT]) == (4, 2)
    assert reading.meter.usage_source is Source.PROVIDER


def test_a_stream_without_counts_is_estimated_from_its_text():
    words = ["Hello", " brave", " new", " world"]
    tape = sse(*(chunk({"content": w}) for w in words), chunk({}, "stop"), "[DONE]")
    _, reading = read("ollama", Operation.CHAT, {**CHAT, "stream": True}, tape)
    assert reading.meter.usage_source is Source.ESTIMATED
    assert reading.meter.usage[OUTPUT] == -(-len("".join(words)) // 4)
    assert reading.meter.usage[INPUT] == -(-len(json.dumps({**CHAT, "stream": True})) // 4)


def test_inlined_pictures_are_not_estimated_as_text():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
    body = {"model": "m", "messages": [{"role": "user", "content": [image]}], "stream": True}
    _, reading = read("ollama", Operation.CHAT, body, sse(chunk({"content": "x"})))
    assert reading.meter.usage[INPUT] < 100


def test_a_missing_done_is_not_complete():
    tape = CASSETTES["openai"]["text stream"].replace(b"data: [DONE]\n\n", b"")
    _, reading = read("openai", Operation.CHAT, {**CHAT, "stream": True}, tape)
    assert not reading.meter.complete
    assert reading.meter.usage[OUTPUT] == 7


def test_anthropics_counts_are_cumulative_and_split_by_cache_time():
    start = {"input_tokens": 3, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 2, "output_tokens": 1,
             "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6}}  # fmt: skip
    tape = sse(
        {"type": "message_start", "message": {"id": "m", "model": "x", "content": [], "usage": start}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 30, "input_tokens": None}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 44}},
        {"type": "message_stop"},
        names=True,
    )  # fmt: skip
    _, reading = read("anthropic", Operation.MESSAGE, {**MESSAGE, "stream": True}, tape)
    usage = reading.meter.usage
    assert (usage[INPUT], usage[OUTPUT], usage[CACHE_WRITE_1H], usage[CACHE_READ]) == (15, 44, 6, 2)
    assert reading.meter.finish_reason == "end_turn"


def test_counting_tokens_is_free_and_untouched():
    out, reading = read("anthropic", Operation.COUNT_TOKENS, MESSAGE, b'{"input_tokens": 14}')
    assert out == b'{"input_tokens": 14}'
    assert reading.meter.complete
    assert reading.meter.usage.leaves() == {}


RESPONSE = {
    "id": "resp_1", "object": "response", "status": "completed", "model": "m-1", "error": None, "incomplete_details": None,
    "output": [{"type": "message", "content": [{"type": "output_text", "text": TEXT}]}], "service_tier": "flex",
    "usage": {"input_tokens": 20, "input_tokens_details": {"cached_tokens": 5}, "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 29},
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "details", "finish", "kind"),
    [
        ("completed", None, "completed", ErrorKind.NONE),
        ("incomplete", {"reason": "max_output_tokens"}, "max_output_tokens", ErrorKind.NONE),
        ("failed", None, "failed", ErrorKind.SERVER),
    ],
)
def test_responses_pass_through_whole_and_streamed(status, details, finish, kind):
    error = {"code": "server_error", "message": "x"} if status == "failed" else None
    told = {**RESPONSE, "status": status, "incomplete_details": details, "error": error}
    asked = {"model": "m", "input": "Hi"}
    body = json.dumps(told).encode()
    tape = sse(
        {"type": "response.created", "response": {**told, "status": "in_progress", "usage": None, "error": None}},
        {"type": "response.output_text.delta", "delta": TEXT},
        {"type": f"response.{status}", "response": told},
        names=True,
    )
    for out, reading, tape_ in (
        (*read("openai", Operation.RESPONSE, asked, body), body),
        (*read("openai", Operation.RESPONSE, {**asked, "stream": True}, tape), tape),
    ):
        assert out == tape_
        meter = reading.meter
        assert (meter.usage[INPUT], meter.usage[OUTPUT], meter.usage[REASONING]) == (20, 9, 2)
        assert (meter.finish_reason, meter.error_kind, meter.service_tier) == (finish, kind, "flex")
        assert meter.complete


@pytest.mark.parametrize(
    ("operation", "asked", "answer"),
    [
        (Operation.EMBEDDING, {"model": "m", "input": [[1, 2]]}, {"object": "list", "data": [{"embedding": [0.1]}], "model": "m-1", "usage": {"prompt_tokens": 2, "total_tokens": 2}}),
        (Operation.COMPLETION, {"model": "m", "prompt": "Hi"}, {"id": "c", "choices": [{"text": "x", "finish_reason": "stop"}], "model": "m-1", "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}}),
    ],
)  # fmt: skip
def test_embeddings_and_completions_pass_through(operation, asked, answer):
    body = json.dumps(answer).encode()
    out, reading = read("openai", operation, asked, body)
    assert out == body
    assert (reading.meter.served_model, reading.meter.usage[INPUT]) == ("m-1", 2)
    assert reading.meter.complete


def test_interleaved_tool_calls_are_an_error_and_never_mixed_up():
    def piece(index, **more):
        return chunk({"tool_calls": [{"index": index, "function": {"name": "f", "arguments": "{"}, **more}]})

    tape = sse(piece(0, id="a"), piece(1, id="b"), piece(0), "[DONE]")
    out, reading = read("together", Operation.MESSAGE, {**MESSAGE, "stream": True}, tape)
    assert reading.meter.error_kind is ErrorKind.BAD_BODY
    assert unsse(out)[-1]["type"] == "error"


def test_thinking_reaches_clients_of_both_kinds():
    tape = sse(chunk({"reasoning_content": "hm"}), chunk({"content": "x"}), chunk({}, "stop"), "[DONE]")
    out, _ = read("together", Operation.MESSAGE, {**MESSAGE, "stream": True}, tape)
    kinds = [e["content_block"]["type"] for e in unsse(out) if e["type"] == "content_block_start"]
    assert kinds == ["thinking", "text"]
    body = {"id": "m", "model": "x", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "x"}], "stop_reason": "end_turn"}  # fmt: skip
    out, _ = read("anthropic", Operation.CHAT, CHAT, json.dumps(body).encode())
    assert json.loads(out)["choices"][0]["message"]["reasoning_content"] == "hm"
