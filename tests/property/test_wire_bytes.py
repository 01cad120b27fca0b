"""Reading and splicing: nothing a client wrote is lost, and nothing it can write raises but InputError."""

import itertools
import json

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from farthing.core.errors import InputError
from farthing.core.facts import Operation
from farthing.gateway.wire import splice
from farthing.gateway.wire.clients import client_of
from farthing.gateway.wire.sse import Splitter, data_of
from support.cassettes import OPENAI_USAGE_CHUNK, chunk
from support.wire import EVENTS, call_of, dialect_of, relayed, sse, target_of

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
OPERATIONS = sorted(set(Operation) - {Operation.FILE, Operation.BATCH, Operation.PASSTHROUGH})
FIELDS = [
    "model", "messages", "input", "stream", "max_tokens", "n", "tools", "stream_options", "response_format", "prompt",
    "system", "temperature", "tool_choice", "stop", "text", "reasoning", "thinking", "unknown",
]  # fmt: skip


@st.composite
def bodies(draw):
    """A valid chat request with foreign fields in any place and any spacing."""
    fields = draw(st.dictionaries(text.filter(lambda k: k not in FIELDS), values, max_size=5))
    fields["model"] = draw(text.filter(bool))
    fields["messages"] = [{"role": "user", "content": draw(text)}]
    items = draw(st.permutations(list(fields.items())))
    escape = draw(st.booleans())
    gap = draw(st.sampled_from(["", " ", "\n  "]))
    pairs = [f"{json.dumps(k, ensure_ascii=escape)}{gap}:{gap}{json.dumps(v, ensure_ascii=escape)}" for k, v in items]
    return f"{gap}{{{gap}{f'{gap},{gap}'.join(pairs)}{gap}}}{gap}".encode()


@given(bodies(), text.filter(bool))
@settings(deadline=None, max_examples=100)
def test_renaming_changes_the_models_bytes_and_no_others(body, name):
    fields = splice.fields_of(body)
    changed = splice.renamed(body, name)
    old, new = bytes(fields["model"]), msgspec.json.encode(name)
    assert json.loads(changed) == {**json.loads(body), "model": name}
    places = [at for at in range(len(changed)) if changed.startswith(new, at)]
    assert body in [changed[:at] + old + changed[at + len(new) :] for at in places]


@given(bodies())
@settings(deadline=None, max_examples=100)
def test_the_same_dialect_passes_the_body_through_untouched(body):
    call = call_of(Operation.CHAT, body)
    assert dialect_of("openai").ask(call, target_of("openai", call.model)).body == body


@given(bodies())
@settings(deadline=None, max_examples=100)
def test_asking_for_usage_only_adds(body):
    streaming = body.rstrip()[:-1] + b',"stream":true}'
    call = call_of(Operation.CHAT, streaming)
    sent = dialect_of("openai").ask(call, target_of("openai", call.model)).body
    added = b'"stream_options":{"include_usage":true},'
    assert sent.replace(added, b"", 1) == streaming
    assert json.loads(sent)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","messages":[],"model":"b"}',
        b'{"model":"b","messages":[],"model":"b"}',
        b'{"mod\\u0065l":"b","messages":[],"metadata":{"model":"b"}}',
        b'{"metadata":{"model":"b"},"tools":[{"model":"b"}],"messages":[],"model":"b"}',
        b'{"messages":[{"role":"user","content":"{\\"model\\":\\"b\\"}"}],"model" : "b"}',
    ],
)
def test_no_other_model_is_renamed_and_none_is_left(body):
    assert call_of(Operation.CHAT, body).model == "b"
    changed = splice.renamed(body, "new")
    before = json.loads(body)
    assert json.loads(changed) == {**before, "model": "new"}
    assert json.loads(changed, object_pairs_hook=list).count(["model", "new"]) <= 1
    assert [v for k, v in json.loads(changed, object_pairs_hook=list) if k == "model"] == ["new"]


def test_numbers_keep_their_spelling_and_other_stream_options_stay():
    body = b'{"model":"a","messages":[],"stream":true,"seed":1.50e+2,"stream_options":{"x":1.0},"big":12345678901234567890123}'
    call = call_of(Operation.CHAT, body)
    sent = dialect_of("openai").ask(call, target_of("openai", "b")).body
    assert b'"seed":1.50e+2' in sent
    assert b'"big":12345678901234567890123' in sent
    assert json.loads(sent)["stream_options"] == {"x": 1.0, "include_usage": True}


@given(
    st.sampled_from(OPERATIONS),
    st.binary(max_size=60) | st.dictionaries(st.sampled_from(FIELDS), values).map(lambda d: json.dumps(d).encode()),
)
@example(Operation.CHAT, b"[" * 100_000)
@example(Operation.CHAT, b'{"model":"a","messages":' + b"[" * 100_000)
@example(Operation.CHAT, b'{"a":' * 100_000)
@example(Operation.CHAT, b'{"model":"\\ud800","messages":[]}')
@example(Operation.MESSAGE, b"\xff\xfe{}")
@settings(deadline=None, max_examples=300)
def test_no_body_raises_anything_but_input_error(operation, body):
    call = outcome(lambda: call_of(operation, body))
    if isinstance(call, InputError):
        assert call.field
        return
    for vendor in ("openai", "together", "mistral", "anthropic", "gemini", "bedrock"):
        target = target_of(vendor)
        asked = outcome(lambda target=target: dialect_of(target.provider.dialect).ask(call, target))
        assert asked.field if isinstance(asked, InputError) else json.loads(asked.body)


def outcome(act):
    """What an act returns, or the ``InputError`` that it raises."""
    try:
        return act()
    except InputError as problem:
        return problem


MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "developer"])},
    optional={
        "content": text | st.none() | st.lists(st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"])}, optional={"text": text, "image_url": st.fixed_dictionaries({"url": text})}), max_size=2),
        "tool_calls": st.lists(st.fixed_dictionaries({"id": text, "function": st.fixed_dictionaries({"name": text, "arguments": text})}), max_size=2),
        "tool_call_id": text,
    },
)  # fmt: skip


@given(st.lists(MESSAGE, max_size=5), st.sampled_from(["anthropic", "gemini", "bedrock"]), st.booleans())
@settings(deadline=None, max_examples=100)
def test_every_well_typed_conversation_is_translated_or_refused_by_field(messages, vendor, stream):
    call = call_of(Operation.CHAT, {"model": "a", "messages": messages, "stream": stream})
    target = target_of(vendor)
    asked = outcome(lambda: dialect_of(target.provider.dialect).ask(call, target))
    if isinstance(asked, InputError):
        assert asked.field.startswith("messages") or asked.field == "image_url"
        return
    sent = json.loads(asked.body)
    roles = [turn["role"] for turn in sent.get("messages") or sent.get("contents") or []]
    assert all(a != b for a, b in itertools.pairwise(roles))


def test_a_field_that_cannot_be_translated_is_named():
    call = call_of(Operation.CHAT, {"model": "a", "messages": [], "logit_bias": {"1": 2}})
    with pytest.raises(InputError, match="logit_bias"):
        client_of(Operation.CHAT).talk(call.body)


ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
payloads = st.binary(max_size=12).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b""))


@given(
    ends,
    st.lists(st.tuples(st.sampled_from([b"data: ", b"data:", b": ", b"event: "]), payloads), max_size=6),
    st.lists(st.integers(0, 120), max_size=8),
)
@settings(deadline=None, max_examples=100)
def test_blocks_join_to_the_stream_and_do_not_depend_on_chunks(end, lines, cuts):
    stream = b"".join(head + payload + end + end for head, payload in lines)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    splitter = Splitter()
    blocks = [block for a, b in itertools.pairwise(edges) for block in splitter.feed(stream[a:b])]
    rest = splitter.rest()
    assert b"".join(blocks) + rest == stream
    wanted = [payload for head, payload in lines if head.startswith(b"data")]
    found = [data_of(block) for block in [*blocks, rest] if block.startswith(b"data")]
    assert [f.strip() for f in found] == [w.strip() for w in wanted]


TAPE = (
    b": keep-alive\n\n"
    + sse(
        chunk({"role": "assistant", "content": ""}), chunk({"content": '"usage":{"x":1} [DONE] "finish_reason":"stop"'})
    )
    + sse(chunk({"content": "data: [DONE]\n\n"}), chunk({}, "stop"))
)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("asked", [True, False])
@given(cuts=st.lists(st.integers(0, 1500), max_size=10))
@settings(deadline=None, max_examples=100)
def test_a_stream_passes_byte_for_byte_but_for_the_usage_chunk(end, asked, cuts):
    head, usage, tail = (part.replace(b"\n", end) for part in (TAPE, sse(OPENAI_USAGE_CHUNK), sse("[DONE]")))
    options = {"stream_options": {"include_usage": True}} if asked else {}
    call = call_of(Operation.CHAT, {"model": "a", "messages": [], "stream": True, **options})
    reading = dialect_of("openai").reading(call, target_of("openai"), 200, EVENTS)
    stream = head + usage + tail
    out = relayed(reading, stream, [cut for cut in cuts if cut < len(stream)])
    assert out == (stream if asked else head + tail)
    assert reading.meter.complete
    assert reading.meter.finish_reason == "stop"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_usage_chunk_is_stripped_wherever_the_stream_is_cut(end):
    head, usage, tail = (part.replace(b"\n", end) for part in (TAPE, sse(OPENAI_USAGE_CHUNK), sse("[DONE]")))
    call = call_of(Operation.CHAT, {"model": "a", "messages": [], "stream": True})
    stream = head + usage + tail
    for cut in range(len(head), len(stream)):
        reading = dialect_of("openai").reading(call, target_of("openai"), 200, EVENTS)
        assert relayed(reading, stream, [cut]) == head + tail
