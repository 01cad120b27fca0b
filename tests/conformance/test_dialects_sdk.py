"""The official SDKs read what the dialects write, for every provider behind them."""

import importlib

import pytest

from farthing.gateway.ports import Caller
from farthing.gateway.wire.paths import operation_of
from farthing.gateway.wire.read import read_call
from support.cassettes import ARGUMENTS, CASSETTES, CHAT_ONLY, TEXT, stream_headers
from support.wire import AT, JSON, dialect_of, relayed, target_of

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
HTTP = {
    sdk: importlib.import_module(sdk.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])
    for sdk in (openai, anthropic)
}
"""Each SDK's own HTTP library: httpx, or its successor."""

DIALECTS = pytest.mark.parametrize("dialect", sorted(CASSETTES))
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}


def gateway(sdk, dialect, tape, status=200):
    """A transport that does what the gateway does between the sockets."""

    http = HTTP[sdk]

    def answer(request):
        operation, client = operation_of(request.url.path)
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        call = read_call(
            operation, client, request.url.path, request.content, headers, request_id="req1", at=AT, caller=Caller()
        )
        plugin, target = dialect_of(dialect), target_of(CHAT_ONLY[dialect])
        plugin.ask(call, target)
        kind = f"{tape} stream" if call.stream else tape
        head = stream_headers(dialect) if call.stream and status == 200 else JSON
        reading = plugin.reading(call, target, status, head)
        body = relayed(reading, CASSETTES[dialect][kind])
        return http.Response(reading.status, headers={b"content-type": reading.content_type}, content=body)

    return http.Client(transport=http.MockTransport(answer))


@pytest.fixture
def openai_client():
    return lambda dialect, tape, status=200: openai.OpenAI(
        api_key="k", base_url="http://gateway/v1", http_client=gateway(openai, dialect, tape, status), max_retries=0
    )


@pytest.fixture
def anthropic_client():
    return lambda dialect, tape, status=200: anthropic.Anthropic(
        api_key="k", base_url="http://gateway", http_client=gateway(anthropic, dialect, tape, status), max_retries=0
    )


@DIALECTS
def test_openai_chat(openai_client, dialect):
    messages = [{"role": "user", "content": "Hi"}]
    answer = openai_client(dialect, "text").chat.completions.create(model="m", messages=messages)
    assert (answer.choices[0].message.content, answer.usage.total_tokens) == (TEXT, 27)
    assert answer.usage.prompt_tokens_details.cached_tokens == 5
    with openai_client(dialect, "text").chat.completions.stream(model="m", messages=messages) as stream:
        assert stream.get_final_completion().choices[0].message.content == TEXT


@DIALECTS
def test_openai_chat_without_asking_for_usage_sees_no_usage_chunk(openai_client, dialect):
    messages = [{"role": "user", "content": "Hi"}]
    chunks = list(openai_client(dialect, "text").chat.completions.create(model="m", messages=messages, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert all(chunk.choices for chunk in chunks)


@DIALECTS
def test_openai_tools(openai_client, dialect):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS, "strict": True}}]
    messages = [{"role": "user", "content": "Hi"}]
    with openai_client(dialect, "tool").chat.completions.stream(model="m", messages=messages, tools=tools) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert call.function.parsed_arguments == ARGUMENTS


@DIALECTS
def test_openai_responses_stream(openai_client, dialect):
    with openai_client(dialect, "text").responses.stream(model="m", input="Hi") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == TEXT
    assert final.usage.total_tokens == 27
    assert kinds.index("response.content_part.added") < kinds.index("response.output_text.delta")


@DIALECTS
def test_openai_responses_tools(openai_client, dialect):
    tools = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}]
    with openai_client(dialect, "tool").responses.stream(model="m", input="Hi", tools=tools) as stream:
        (item,) = stream.get_final_response().output
    assert (item.type, item.name, item.parsed_arguments) == ("function_call", "weather", ARGUMENTS)


@DIALECTS
def test_anthropic_messages(anthropic_client, dialect):
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    answer = anthropic_client(dialect, "text").messages.create(**asked)
    assert (answer.content[0].text, answer.stop_reason) == (TEXT, "end_turn")
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (15, 5)
    with anthropic_client(dialect, "text").messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert (final.content[0].text, final.usage.output_tokens, final.usage.input_tokens) == (TEXT, 7, 15)


@DIALECTS
def test_anthropic_tools(anthropic_client, dialect):
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    tools = [{"name": "weather", "input_schema": PARAMETERS}]
    with anthropic_client(dialect, "tool").messages.stream(**asked, tools=tools) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.content[0].input) == ("tool_use", ARGUMENTS)


@DIALECTS
def test_errors_raise_the_sdks_own_exceptions(openai_client, anthropic_client, dialect):
    messages = [{"role": "user", "content": "Hi"}]
    with pytest.raises(openai.RateLimitError):
        openai_client(dialect, "error", 429).chat.completions.create(model="m", messages=messages)
    with pytest.raises(anthropic.RateLimitError):
        anthropic_client(dialect, "error", 429).messages.create(model="m", max_tokens=9, messages=messages)


@DIALECTS
def test_an_error_in_a_stream_raises(openai_client, anthropic_client, dialect):
    messages = [{"role": "user", "content": "Hi"}]
    with pytest.raises(openai.APIError):
        list(openai_client(dialect, "broken").chat.completions.create(model="m", messages=messages, stream=True))
    with pytest.raises(anthropic.APIError):
        list(
            anthropic_client(dialect, "broken").messages.create(model="m", max_tokens=9, messages=messages, stream=True)
        )
