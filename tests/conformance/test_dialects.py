"""What every dialect must do for every client: relay, meter, translate errors, whatever the chunks."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.core.facts import ErrorKind, Operation, Source
from farthing.core.units import CACHE_READ, INPUT, OUTPUT
from support.cassettes import ARGUMENTS, CASSETTES, CHAT_ONLY, TEXT, stream_headers
from support.wire import JSON, call_of, dialect_of, relayed, target_of, unsse

DIALECTS = sorted(CASSETTES)
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
REQUESTS = {
    Operation.CHAT: {
        "model": "alias",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}],
    },
    Operation.MESSAGE: {
        "model": "alias",
        "max_tokens": 99,
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"name": "weather", "input_schema": TOOL}],
    },
    Operation.RESPONSE: {
        "model": "alias",
        "input": "Hi",
        "tools": [{"type": "function", "name": "weather", "parameters": TOOL, "strict": None}],
    },
}
CLIENTS = sorted(REQUESTS)
pairs = pytest.mark.parametrize(("operation", "dialect"), [(o, d) for o in CLIENTS for d in DIALECTS])


def begin(operation, dialect, status=200, *, stream=False, usage=True):
    """The call, the upstream request, and how its answer is read."""
    body = {**REQUESTS[operation], "stream": stream}
    if operation is Operation.CHAT and stream and usage:
        body["stream_options"] = {"include_usage": True}
    call, target = call_of(operation, body), target_of(CHAT_ONLY[dialect])
    plugin = dialect_of(dialect)
    ask = plugin.ask(call, target)
    headers = stream_headers(dialect) if stream and status == 200 else JSON
    return ask, plugin.reading(call, target, status, headers)


def counted(meter):
    assert meter.usage_source is Source.PROVIDER
    return meter.usage[INPUT], meter.usage[CACHE_READ], meter.usage[OUTPUT]


def whole(operation, body):
    """Text, tool calls (id, name, arguments) and counts of a whole answer, as the client's SDK finds them."""
    shape = json.loads(body)
    if operation is Operation.CHAT:
        message, usage = shape["choices"][0]["message"], shape["usage"]
        calls = [
            (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]))
            for c in message.get("tool_calls") or []
        ]
        return message["content"] or "", calls, (usage["prompt_tokens"], usage["completion_tokens"])
    if operation is Operation.MESSAGE:
        usage = shape["usage"]
        text = "".join(b["text"] for b in shape["content"] if b["type"] == "text")
        calls = [(b["id"], b["name"], b["input"]) for b in shape["content"] if b["type"] == "tool_use"]
        read = usage["input_tokens"] + usage["cache_read_input_tokens"]
        return text, calls, (read, usage["output_tokens"])
    usage, output = shape["usage"], shape["output"]
    text = "".join(p["text"] for item in output if item["type"] == "message" for p in item["content"])
    calls = [(i["call_id"], i["name"], json.loads(i["arguments"])) for i in output if i["type"] == "function_call"]
    return text, calls, (usage["input_tokens"], usage["output_tokens"])


def assembled(operation, data):
    """The same, put together from events as SDKs do."""
    events = unsse(data)
    if operation is Operation.RESPONSE:
        assert [e["sequence_number"] for e in events] == list(range(len(events)))
        assert [e["type"] for e in events[:2]] == ["response.created", "response.in_progress"]
        assert events[-1]["type"] == "response.completed"
        text, calls, counts = whole(operation, json.dumps(events[-1]["response"]))
        deltas = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
        assert deltas == text
        return text, calls, counts
    if operation is Operation.CHAT:
        assert events[-1] == "[DONE]"
        deltas = [c["choices"][0]["delta"] for c in events[:-1] if c["choices"]]
        pieces = [call for delta in deltas for call in delta.get("tool_calls") or []]
        heads = [piece for piece in pieces if piece.get("id")]
        arguments = "".join(piece["function"].get("arguments", "") for piece in pieces)
        calls = [(head["id"], head["function"]["name"], json.loads(arguments)) for head in heads]
        usage = events[-2]["usage"]
        text = "".join(delta.get("content") or "" for delta in deltas)
        return text, calls, (usage["prompt_tokens"], usage["completion_tokens"])
    kinds = [e["type"] for e in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop")
    starts = [e["content_block"] for e in events if e["type"] == "content_block_start"]
    deltas = [e["delta"] for e in events if e["type"] == "content_block_delta"]
    text = "".join(d.get("text", "") for d in deltas)
    arguments = "".join(d.get("partial_json", "") for d in deltas)
    calls = [(b["id"], b["name"], json.loads(arguments)) for b in starts if b["type"] == "tool_use"]
    usage = {**events[0]["message"]["usage"], **events[-2]["usage"]}
    return text, calls, (usage["input_tokens"] + usage["cache_read_input_tokens"], usage["output_tokens"])


@pairs
def test_whole_text_reaches_the_client_and_is_counted(operation, dialect):
    _, reading = begin(operation, dialect)
    text, calls, counts = whole(operation, relayed(reading, CASSETTES[dialect]["text"]))
    assert (text, calls, counts) == (TEXT, [], (20, 7))
    assert counted(reading.meter) == (20, 5, 7)
    assert reading.status == 200
    assert reading.meter.complete
    assert reading.meter.finish_reason
    assert reading.meter.error_kind is ErrorKind.NONE


@pairs
def test_whole_tool_calls_keep_name_and_arguments(operation, dialect):
    _, reading = begin(operation, dialect)
    _, calls, _ = whole(operation, relayed(reading, CASSETTES[dialect]["tool"]))
    assert [(name, arguments) for _, name, arguments in calls] == [("weather", ARGUMENTS)]
    assert all(id for id, _, _ in calls)


@pairs
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_streamed_text_is_the_same_whatever_the_chunks(operation, dialect, data):
    tape = CASSETTES[dialect]["text stream"]
    cuts = data.draw(st.lists(st.integers(0, len(tape)), max_size=12))
    _, reading = begin(operation, dialect, stream=True)
    out = relayed(reading, tape, cuts)
    _, reference = begin(operation, dialect, stream=True)
    assert out == relayed(reference, tape)
    assert assembled(operation, out) == (TEXT, [], (20, 7))
    assert counted(reading.meter) == (20, 5, 7)
    assert reading.meter.complete
    assert reading.meter == reference.meter


@pairs
def test_streamed_tool_calls_keep_name_and_arguments(operation, dialect):
    _, reading = begin(operation, dialect, stream=True)
    out = relayed(reading, CASSETTES[dialect]["tool stream"], list(range(0, 2000, 17)))
    _, calls, _ = assembled(operation, out)
    assert [(name, arguments) for _, name, arguments in calls] == [("weather", ARGUMENTS)]


@pairs
def test_a_refusal_is_told_in_the_clients_shape(operation, dialect):
    _, reading = begin(operation, dialect, 429)
    told = json.loads(relayed(reading, CASSETTES[dialect]["error"]))
    assert reading.meter.error_kind is ErrorKind.RATE_LIMIT
    assert reading.status == 429
    if operation is Operation.MESSAGE:
        assert told["type"] == "error"
        assert told["error"]["type"] == "rate_limit_error"
    else:
        assert told["error"].keys() == {"message", "type", "param", "code"}
    assert told["error"]["message"]
    assert reading.meter.usage is None


@pairs
def test_an_error_under_200_becomes_a_bad_gateway(operation, dialect):
    _, reading = begin(operation, dialect)
    told = json.loads(relayed(reading, b'{"error": {"message": "GPU on fire"}}'))
    assert reading.status == 502
    assert "GPU on fire" in told["error"]["message"]
    assert reading.meter.error_kind is ErrorKind.BAD_BODY
    assert not reading.meter.complete


@pairs
@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"[]", b"null", b'{"half":', b"\xff\xfe", b"[" * 5000])
def test_a_body_that_is_no_answer_becomes_a_bad_gateway(operation, dialect, body):
    _, reading = begin(operation, dialect)
    assert b"error" in relayed(reading, body)
    assert reading.status == 502
    assert reading.meter.error_kind is ErrorKind.BAD_BODY


@pairs
def test_an_error_in_a_stream_is_told_and_ends_it(operation, dialect):
    _, reading = begin(operation, dialect, stream=True)
    out = relayed(reading, CASSETTES[dialect]["broken stream"])
    assert b"error" in out
    assert b"[DONE]" not in out
    assert b"message_stop" not in out
    assert b"response.completed" not in out
    assert not reading.meter.complete
    assert reading.meter.error_kind in (ErrorKind.SERVER, ErrorKind.OVERLOADED, ErrorKind.RATE_LIMIT)
    assert reading.meter.usage is not None


@pairs
def test_a_stream_that_stops_early_is_not_complete_and_is_estimated_or_counted(operation, dialect):
    tape = CASSETTES[dialect]["text stream"]
    _, reading = begin(operation, dialect, stream=True)
    relayed(reading, tape[: len(tape) // 2])
    assert not reading.meter.complete
    assert reading.meter.usage is not None
    assert reading.meter.usage_source in (Source.ESTIMATED, Source.PROVIDER)


@pairs
def test_the_key_travels_as_the_vendor_wants_it_and_nowhere_else(operation, dialect):
    ask, _ = begin(operation, dialect)
    headers = dict(ask.headers)
    assert {
        "openai": headers.get(b"authorization") == b"Bearer sk-secret",
        "anthropic": headers.get(b"x-api-key") == b"sk-secret" and b"anthropic-version" in headers,
        "gemini": headers.get(b"x-goog-api-key") == b"sk-secret",
        "bedrock": headers.get(b"authorization", b"").startswith(
            b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/us-east-1/bedrock/"
        ),
    }[dialect]
    assert b"sk-secret" not in ask.body
    assert "sk-secret" not in ask.url
    assert b"alias" not in ask.body


@pairs
@given(junk=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=4))
@settings(deadline=None, max_examples=40)
def test_no_bytes_of_a_provider_raise(operation, dialect, junk, cuts):
    for stream in (False, True):
        _, reading = begin(operation, dialect, stream=stream)
        relayed(reading, junk, cuts)
        _, failed = begin(operation, dialect, 500, stream=stream)
        relayed(failed, junk, cuts)
        assert failed.meter.error_kind is not ErrorKind.NONE
