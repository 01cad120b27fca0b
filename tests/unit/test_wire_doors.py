"""Paths, reading, errors and models: the client's side of the wire."""

import json

import pytest

from farthing.core.errors import (
    ConflictError,
    DeniedError,
    FarthingError,
    InputError,
    NotFoundError,
    UnavailableError,
    UpstreamError,
)
from farthing.core.facts import ErrorKind, Operation
from farthing.core.nouns import Scope
from farthing.gateway.ports import Caller
from farthing.gateway.wire import errors
from farthing.gateway.wire.models import model_body, models_body
from farthing.gateway.wire.paths import dialect_of, models_of, operation_of
from farthing.gateway.wire.read import read_call
from support.wire import AT, call_of

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ANTHROPIC = {b"anthropic-version": b"2023-06-01"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", (Operation.CHAT, "openai")),
        ("/openai/v1/chat/completions", (Operation.CHAT, "openai")),
        ("/v1/completions", (Operation.COMPLETION, "openai")),
        ("/v1/embeddings", (Operation.EMBEDDING, "openai")),
        ("/v1/responses", (Operation.RESPONSE, "openai")),
        ("/v1/messages", (Operation.MESSAGE, "anthropic")),
        ("/anthropic/v1/messages/count_tokens", (Operation.COUNT_TOKENS, "anthropic")),
        ("/anthropic/v1/chat/completions", None),
        ("/v1/chat/completions/", None),
        ("/", None),
    ],
)
def test_paths(path, expected):
    assert operation_of(path) == expected


def test_models_paths_follow_the_dialect_that_is_spoken():
    assert models_of("/v1/models", {}) == ("openai", "")
    assert models_of("/v1/models/a/b", ANTHROPIC) == ("anthropic", "a/b")
    assert models_of("/openai/v1/models/x", ANTHROPIC) == ("openai", "x")
    assert models_of("/v1/modelsx", {}) is None
    assert dialect_of("/anthropic/x", {}) == dialect_of("/x", ANTHROPIC) == "anthropic"
    assert dialect_of("/v1/nothing", {}) == "openai"


@pytest.mark.parametrize(
    ("operation", "body", "limit", "needs", "wants_usage"),
    [
        (Operation.CHAT, CHAT, 0, set(), True),
        (Operation.CHAT, {**CHAT, "max_tokens": 5, "max_completion_tokens": 7, "n": 2}, 14, set(), True),
        (Operation.CHAT, {**CHAT, "stream": True}, 0, set(), False),
        (Operation.CHAT, {**CHAT, "stream": True, "stream_options": None}, 0, set(), False),
        (Operation.CHAT, {**CHAT, "stream": True, "stream_options": {"include_usage": True}}, 0, set(), True),
        (Operation.CHAT, {**CHAT, "tools": [{}], "modalities": ["text", "audio"]}, 0, {"tools", "audio"}, True),
        (Operation.CHAT, {**CHAT, "tools": []}, 0, set(), True),
        (Operation.CHAT, {**CHAT, "response_format": {"type": "json_schema", "json_schema": {}}}, 0, {"json_schema"}, True),
        (Operation.CHAT, {"model": "m", "messages": [{"content": [{"type": "text"}, {"type": "image_url"}]}]}, 0, {"image"}, True),
        (Operation.CHAT, {"model": "m", "messages": [{"content": '{"type": "image_url"}'}]}, 0, set(), True),
        (Operation.RESPONSE, {"model": "m", "input": [{"content": [{"type": "input_image"}]}], "max_output_tokens": 3}, 3, {"image"}, True),
        (Operation.RESPONSE, {"model": "m", "text": {"format": {"type": "json_schema"}}}, 0, {"json_schema"}, True),
        (Operation.MESSAGE, {"model": "m", "max_tokens": 9, "messages": [{"content": [{"type": "tool_result", "content": [{"type": "image"}]}]}]}, 9, {"image"}, True),
        (Operation.EMBEDDING, {"model": "m", "input": [[1, 2]]}, 0, set(), True),
        (Operation.COMPLETION, {"model": "m", "prompt": "x", "max_tokens": 4, "n": 3}, 12, set(), True),
    ],
)  # fmt: skip
def test_what_routing_needs_is_read(operation, body, limit, needs, wants_usage):
    call = call_of(operation, body)
    assert (call.model, call.output_limit, call.needs, call.wants_usage) == ("m", limit, needs, wants_usage)
    assert call.stream is bool(body.get("stream"))
    assert call.body == json.dumps(body).encode()


SEARCH = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize(
    ("operation", "fields", "uses", "units"),
    [
        (Operation.MESSAGE, {"tools": [{"name": "mine", "input_schema": {}}]}, 0, None),
        (Operation.MESSAGE, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, 0, None),
        (Operation.MESSAGE, {"tools": [SEARCH]}, None, {"search.web"}),
        (Operation.MESSAGE, {"tools": [{**SEARCH, "max_uses": 3}]}, 3, {"search.web"}),
        (Operation.MESSAGE, {"tools": [{**SEARCH, "max_uses": 3}, {"type": "web_fetch_20250910", "max_uses": 2}]}, 5, {"search.web"}),
        (Operation.MESSAGE, {"tools": [{**SEARCH, "max_uses": 3}, {"type": "code_execution_20250825"}]}, None, {"search.web"}),
        (Operation.RESPONSE, {"tools": [{"type": "function", "name": "mine"}]}, 0, None),
        (Operation.RESPONSE, {"tools": [{"type": "web_search"}]}, None, {"search.web"}),
        (Operation.RESPONSE, {"tools": [{"type": "web_search"}, {"type": "file_search"}], "max_tool_calls": 4}, 4, {"search.web", "search.storage"}),
        (Operation.RESPONSE, {"tools": [{"type": "image_generation"}], "max_tool_calls": 1}, None, set()),
        (Operation.CHAT, {"tools": [{"type": "function", "function": {"name": "web_search"}}]}, 0, None),
    ],
)  # fmt: skip
def test_tools_that_the_provider_runs_are_known(operation, fields, uses, units):
    body = {"model": "m", "input": "Hi"} if operation is Operation.RESPONSE else saying("Hi")
    own = call_of(operation, {**body, **fields}).own_tools
    if units is None:
        assert own is None
    else:
        assert (own.uses, {unit.name for unit in own.units}) == (uses, units)


def saying(content):
    return {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("operation", "body", "refers"),
    [
        (Operation.CHAT, saying("the file_id"), False),
        (Operation.CHAT, saying('{"type": "url", "file_id": "f"}'), False),
        (Operation.CHAT, saying([{"type": "text", "text": '{"file_id": "f"}'}]), False),
        (Operation.CHAT, saying([{"type": "file", "file": {"file_id": "f"}}]), True),
        (Operation.CHAT, saying([{"type": "image_url", "image_url": {"url": "https://x"}}]), True),
        (Operation.MESSAGE, saying([{"type": "document", "source": {"type": "url", "url": "https://x"}}]), True),
        (Operation.MESSAGE, saying([{"type": "image", "source": {"type": "base64", "data": "aa"}}]), False),
        (Operation.RESPONSE, {"model": "m", "input": "Hi"}, False),
        (Operation.RESPONSE, {"model": "m", "input": "Hi", "previous_response_id": "r"}, True),
        (Operation.RESPONSE, {"model": "m", "input": "Hi", "conversation": "c"}, True),
    ],
)
def test_what_the_model_reads_beside_the_request_is_known(operation, body, refers):
    assert call_of(operation, body).refers is refers


@pytest.mark.parametrize(
    ("operation", "body", "field"),
    [
        (Operation.CHAT, {"messages": []}, "model"),
        (Operation.CHAT, {"model": "", "messages": []}, "model"),
        (Operation.CHAT, {"model": 5, "messages": []}, "model"),
        (Operation.CHAT, {"model": "m"}, "messages"),
        (Operation.CHAT, {"model": "m", "messages": "Hi"}, "messages"),
        (Operation.CHAT, {**CHAT, "stream": "yes"}, "stream"),
        (Operation.CHAT, {**CHAT, "max_tokens": -1}, "max_tokens"),
        (Operation.CHAT, {**CHAT, "max_tokens": 1.5}, "max_tokens"),
        (Operation.CHAT, {**CHAT, "stream_options": {"include_usage": "x"}}, "stream_options.include_usage"),
        (Operation.MESSAGE, {"model": "m", "messages": []}, "max_tokens"),
        (Operation.EMBEDDING, {"model": "m"}, "input"),
    ],
)
def test_wrong_fields_are_named(operation, body, field):
    with pytest.raises(InputError) as caught:
        call_of(operation, body)
    assert field in str(caught.value)


def test_own_headers_narrow_and_label():
    caller = Caller(key_id="k", scope=Scope(team="search"))
    headers = [
        (b"x-farthing-team", b"payments"), (b"x-farthing-feature", b"chat"), (b"x-farthing-tags", b"eu, hipaa,"),
        (b"x-farthing-regions", b"eu-west-1"), (b"x-farthing-label-run", b"7"), (b"accept", b"*/*"),
    ]  # fmt: skip
    body = json.dumps(CHAT).encode()
    call = read_call(
        Operation.CHAT, "openai", "/v1/chat/completions", body, headers, request_id="r", at=AT, caller=caller
    )
    assert call.caller.scope == Scope(team="search", feature="chat")
    assert call.caller.key_id == "k"
    assert (call.tags, call.regions, call.labels) == (
        {"eu", "hipaa"},
        {"eu-west-1"},
        {"run": "7", "category": "inference"},
    )


def test_unknown_own_headers_are_refused_naming_the_known_ones():
    with pytest.raises(InputError, match=r"x-farthing-taem.*Known are org, team") as caught:
        call_of(Operation.CHAT, CHAT, [(b"x-farthing-taem", b"x")])
    assert caught.value.field == "x-farthing-taem"


@pytest.mark.parametrize(
    ("error", "openai", "anthropic"),
    [
        (InputError("no", field="stop", value=1), (400, "invalid_request_error"), (400, "invalid_request_error")),
        (DeniedError("no", reason="unknown_key"), (401, "authentication_error"), (401, "authentication_error")),
        (DeniedError("no", reason="model_not_allowed"), (403, "permission_error"), (403, "permission_error")),
        (DeniedError("no", reason="budget"), (429, "insufficient_quota"), (429, "rate_limit_error")),
        (NotFoundError("model", "gpt-6", known=["gpt-5"]), (404, "invalid_request_error"), (404, "not_found_error")),
        (ConflictError("no"), (409, "invalid_request_error"), (409, "invalid_request_error")),
        (UnavailableError("full"), (503, "server_error"), (529, "overloaded_error")),
        (FarthingError("?"), (500, "server_error"), (500, "api_error")),
        *[
            (UpstreamError("no", provider="p", kind=kind), (status, word), (other, anthropic))
            for kind, status, word, other, anthropic in [
                (ErrorKind.CONNECT, 502, "upstream_error", 502, "api_error"),
                (ErrorKind.AUTH, 502, "upstream_error", 502, "api_error"),
                (ErrorKind.BAD_BODY, 502, "upstream_error", 502, "api_error"),
                (ErrorKind.TIMEOUT, 504, "timeout_error", 504, "timeout_error"),
                (ErrorKind.RATE_LIMIT, 429, "rate_limit_error", 429, "rate_limit_error"),
                (ErrorKind.OVERLOADED, 503, "server_error", 529, "overloaded_error"),
            ]
        ],
    ],
)
def test_errors_have_the_dialects_own_status_and_shape(error, openai, anthropic):
    status, body = errors.error_body("openai", error, "req1")
    told = json.loads(body)["error"]
    assert (status, told["type"]) == openai
    assert told["message"] == str(error)
    assert told.keys() == {"message", "type", "param", "code"}
    status, body = errors.error_body("anthropic", error, "req1")
    shape = json.loads(body)
    assert (status, shape["error"]["type"]) == anthropic
    assert (shape["type"], shape["request_id"]) == ("error", "req1")


def test_an_unknown_model_names_the_nearest_and_the_parameter():
    body = errors.error_body("openai", NotFoundError("model", "gpt-6", known=["gpt-5"]), "r")[1]
    told = json.loads(body)["error"]
    assert (told["code"], told["param"]) == ("model_not_found", "model")
    assert "gpt-5" in told["message"]


def test_a_status_can_be_set_and_brings_its_words():
    error = InputError("too large", field="body", value="33 MB")
    assert errors.error_body("anthropic", error, "r", status=413)[0] == 413
    assert json.loads(errors.error_body("anthropic", error, "r", status=413)[1])["error"]["type"] == "request_too_large"


def test_errors_in_streams_are_events():
    error = UpstreamError("gone", provider="p", kind=ErrorKind.RESET)
    assert errors.error_event("openai", error, "r").startswith(b'data: {"error":')
    assert errors.error_event("anthropic", error, "r").startswith(b'event: error\ndata: {"type":"error"')


def test_models_are_listed_in_each_dialect():
    assert json.loads(models_body("openai", ["a", "b"], AT)) == {
        "object": "list",
        "data": [{"id": n, "object": "model", "created": 1795176000, "owned_by": "farthing"} for n in ("a", "b")],
    }
    listed = json.loads(models_body("anthropic", ["a", "b"], AT))
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("a", "b", False)
    assert json.loads(models_body("anthropic", [], AT))["first_id"] is None
    assert json.loads(model_body("anthropic", "a", AT)) == {
        "type": "model", "id": "a", "display_name": "a", "created_at": "2026-11-20T12:00:00Z",
    }  # fmt: skip
