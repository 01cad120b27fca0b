"""What is sent to a provider: addresses, signatures, and conversations in its own words."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

import msgspec
import pytest

from farthing.core.errors import InputError, NotFoundError
from farthing.core.facts import ErrorKind, Operation
from farthing.core.nouns import Terms
from farthing.gateway.ports import Ask
from farthing.gateway.providers._sigv4 import signed
from farthing.gateway.settings import ProviderSettings
from farthing.gateway.vendors import provider, table
from support.cassettes import frame
from support.wire import call_of, dialect_of, relayed, target_of, unsse

PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TALK = {
    "model": "alias",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "And kind."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "user", "content": "Thanks"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "description": "Says it", "parameters": SCHEMA}}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "max_completion_tokens": 50,
    "temperature": 0.5,
    "stop": "END",
    "user": "u1",
}


def sent(vendor, body=TALK, operation=Operation.CHAT, model="the-model"):
    target = target_of(vendor, model)
    ask = dialect_of(target.provider.dialect).ask(call_of(operation, body), target)
    return ask, json.loads(ask.body)


def test_chat_to_anthropic():
    ask, body = sent("anthropic")
    assert ask.url == "https://api.anthropic.com/v1/messages"
    assert body == {
        "model": "the-model",
        "max_tokens": 50,
        "system": "Be brief.\n\nAnd kind.",
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "tools": [{"name": "weather", "description": "Says it", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "weather"},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                ],
            },
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "rain"}]},
                    {"type": "text", "text": "Thanks"},
                ],
            },
        ],
    }  # fmt: skip


def test_chat_to_gemini():
    ask, body = sent(
        "gemini", {**TALK, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}
    )
    assert ask.url == "https://generativelanguage.googleapis.com/v1beta/models/the-model:generateContent"
    assert body == {
        "systemInstruction": {"parts": [{"text": "Be brief.\n\nAnd kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Look"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Paris"}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "weather", "response": {"result": "rain"}}}, {"text": "Thanks"}],
            },
        ],
        "tools": [
            {"functionDeclarations": [{"name": "weather", "description": "Says it", "parametersJsonSchema": SCHEMA}]}
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        "generationConfig": {
            "maxOutputTokens": 50, "temperature": 0.5, "stopSequences": ["END"],
            "responseMimeType": "application/json", "responseJsonSchema": SCHEMA,
        },
    }  # fmt: skip


def test_chat_to_bedrock():
    ask, body = sent("bedrock", {**TALK, "stream": True}, model="anthropic.claude-v1:0")
    assert ask.url == "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-v1%3A0/converse-stream"
    assert body == {
        "system": [{"text": "Be brief.\n\nAnd kind."}],
        "messages": [
            {"role": "user", "content": [{"text": "Look"}, {"image": {"format": "png", "source": {"bytes": PNG}}}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Paris"}}}]},
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "c1", "content": [{"text": "rain"}], "status": "success"}},
                    {"text": "Thanks"},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 50, "temperature": 0.5, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "weather", "description": "Says it", "inputSchema": {"json": SCHEMA}}}],
            "toolChoice": {"tool": {"name": "weather"}},
        },
    }  # fmt: skip


MESSAGES = {
    "model": "alias",
    "max_tokens": 40,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "rain"}], "is_error": True},
                {"type": "text", "text": "And?"},
            ],
        },
    ],
    "tools": [{"name": "weather", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "stop_sequences": ["END"],
    "stream": True,
}  # fmt: skip


def test_messages_to_a_chat_provider():
    ask, body = sent("together", MESSAGES, Operation.MESSAGE)
    assert ask.url == "https://api.together.xyz/v1/chat/completions"
    assert body == {
        "model": "the-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "Error: rain"},
            {"role": "user", "content": "And?"},
        ],
        "max_tokens": 40,
        "stop": ["END"],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_responses_to_a_chat_provider():
    asked = {
        "model": "alias",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}, {"type": "input_image", "image_url": "https://x/y.png"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}", "id": "fc_1", "status": "completed"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        ],
        "max_output_tokens": 30,
        "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True}},
        "reasoning": {"effort": "low"},
        "store": False,
    }  # fmt: skip
    _, body = sent("ollama", asked, Operation.RESPONSE)
    assert body == {
        "model": "the-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Weather?"},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
        "max_tokens": 30,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}},
        "reasoning_effort": "low",
    }


@pytest.mark.parametrize(
    ("vendor", "operation", "change", "field"),
    [
        ("anthropic", Operation.CHAT, {"logit_bias": {"5": 1}}, "logit_bias"),
        ("anthropic", Operation.CHAT, {"n": 2}, "n"),
        ("anthropic", Operation.CHAT, {"presence_penalty": 0.5}, "presence_penalty"),
        ("anthropic", Operation.CHAT, {"response_format": {"type": "json_object"}}, "response_format"),
        ("anthropic", Operation.CHAT, {"reasoning_effort": "high"}, "max_tokens"),
        ("gemini", Operation.CHAT, {"parallel_tool_calls": False}, "parallel_tool_calls"),
        ("bedrock", Operation.CHAT, {"tool_choice": "none"}, "tool_choice"),
        ("bedrock", Operation.CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]}, "image_url"),
        ("together", Operation.MESSAGE, {"mcp_servers": []}, "mcp_servers"),
        ("ollama", Operation.RESPONSE, {"previous_response_id": "resp_1"}, "previous_response_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_is_refused_by_name(vendor, operation, change, field):
    base = {Operation.CHAT: TALK, Operation.MESSAGE: MESSAGES, Operation.RESPONSE: {"model": "alias", "input": "Hi"}}
    with pytest.raises(InputError) as caught:
        sent(vendor, {**base[operation], **change}, operation)
    assert field in caught.value.field
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("vendor", "operation"),
    [("anthropic", Operation.EMBEDDING), ("bedrock", Operation.EMBEDDING), ("openai", Operation.COUNT_TOKENS), ("gemini", Operation.COMPLETION)],
)  # fmt: skip
def test_an_operation_that_a_dialect_lacks_is_refused(vendor, operation):
    body = {"model": "alias", "messages": [], "input": "x", "prompt": "x", "max_tokens": 5}
    with pytest.raises(InputError, match="not available"):
        sent(vendor, body, operation)


def test_azure_addresses_of_both_generations():
    old = target_of("azure", "dep", base_url="https://me.openai.azure.com")
    new = target_of("azure", "dep", base_url="https://me.openai.azure.com/openai/v1/")
    plugin, call = dialect_of("openai"), call_of(Operation.CHAT, TALK)
    assert (
        plugin.ask(call, old).url
        == "https://me.openai.azure.com/openai/deployments/dep/chat/completions?api-version=2024-10-21"
    )
    assert plugin.ask(call, new).url == "https://me.openai.azure.com/openai/v1/chat/completions"
    assert (b"api-key", b"sk-secret") in plugin.ask(call, new).headers


def test_vendor_quirks_are_applied_to_the_body():
    _, mistral = sent("mistral", {**TALK, "stream": True})
    assert "stream_options" not in mistral
    assert "user" not in mistral
    assert (mistral["max_tokens"], "max_completion_tokens" in mistral) == (50, False)
    ask, _ = sent("groq", TALK)
    assert ask.body == json.dumps(TALK).replace('"alias"', '"the-model"').encode()


def test_gemini_embeddings_come_back_as_openais():
    target, plugin = target_of("gemini", "gemini-embedding-001"), dialect_of("gemini")
    call = call_of(
        Operation.EMBEDDING, {"model": "e", "input": ["a", "b"], "dimensions": 2, "encoding_format": "base64"}
    )
    ask = plugin.ask(call, target)
    assert ask.url.endswith("/models/gemini-embedding-001:batchEmbedContents")
    assert [r["content"]["parts"][0]["text"] for r in json.loads(ask.body)["requests"]] == ["a", "b"]
    reading = plugin.reading(call, target, 200, {})
    told = json.loads(relayed(reading, b'{"embeddings": [{"values": [1, 2]}, {"values": [0.5, -1]}]}'))
    assert [d["embedding"] for d in told["data"]] == ["AACAPwAAAEA=", "AAAAPwAAgL8="]
    assert reading.meter.complete
    with pytest.raises(InputError, match="token ids"):
        plugin.ask(call_of(Operation.EMBEDDING, {"model": "e", "input": [[1, 2]]}), target)


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_signatures_match_amazons_published_vectors(method, signature):
    """``get-vanilla`` and ``post-vanilla`` of the aws-sig-v4-test-suite."""
    ask = Ask(method=method, url="https://example.amazonaws.com/", headers=[], body=b"")
    secret = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    at = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    headers = dict(signed(ask, secret, region="us-east-1", service="service", at=at).headers)
    assert headers[b"authorization"].decode() == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )


def test_an_encoded_path_is_encoded_once_more_for_the_signature():
    ask = Ask(method="POST", url="https://h/model/a%3A0/converse", headers=[], body=b"{}")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    headers = dict(signed(ask, "A:B", region="r", service="bedrock", at=at).headers)
    canonical = "\n".join(
        (
            "POST",
            "/model/a%253A0/converse",
            "",
            "host:h",
            "x-amz-date:20260101T000000Z",
            "",
            "host;x-amz-date",
            hashlib.sha256(b"{}").hexdigest(),
        )
    )
    text = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            "20260101T000000Z",
            "20260101/r/bedrock/aws4_request",
            hashlib.sha256(canonical.encode()).hexdigest(),
        )
    )
    key = b"AWS4B"
    for word in (b"20260101", b"r", b"bedrock", b"aws4_request"):
        key = hmac.digest(key, word, "sha256")
    assert headers[b"authorization"].decode().endswith(hmac.digest(key, text.encode(), "sha256").hex())


def test_a_session_token_is_sent_and_signed_and_a_bad_key_never_shown():
    ask = Ask(method="POST", url="https://h/model/a%3A0/converse", headers=[], body=b"{}")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    headers = dict(signed(ask, "A:B:token", region="r", service="bedrock", at=at).headers)
    assert headers[b"x-amz-security-token"] == b"token"
    assert b"x-amz-security-token" in headers[b"authorization"]
    with pytest.raises(InputError) as caught:
        signed(ask, "hush", region="r", service="bedrock", at=at)
    assert "hush" not in str(caught.value)


def test_a_bedrock_api_key_travels_as_a_bearer_token():
    up = provider("b", ProviderSettings(vendor="bedrock", region="eu-west-1"), "bedrock-api-key-xyz")
    assert (up.auth, up.base_url) == ("bearer", "https://bedrock-runtime.eu-west-1.amazonaws.com")


@pytest.mark.parametrize("place", [0, 9, 30, -2])
def test_a_damaged_frame_breaks_the_stream_and_is_told(place):
    damaged = bytearray(frame("contentBlockDelta", {"delta": {"text": "x"}, "contentBlockIndex": 0}))
    damaged[place] ^= 1
    call = call_of(Operation.CHAT, {**TALK, "stream": True})
    reading = dialect_of("bedrock").reading(call, target_of("bedrock"), 200, {})
    out = relayed(reading, frame("messageStart", {"role": "assistant"}) + bytes(damaged) + frame("messageStop", {}))
    assert reading.meter.error_kind is ErrorKind.PROTOCOL
    assert "checksum" in unsse(out)[-1]["error"]["message"]


def test_vendors_are_complete_and_unknown_ones_name_the_nearest():
    assert {"openai", "azure", "anthropic", "gemini", "bedrock", "ollama", "groq", "openrouter"} <= table().keys()
    with pytest.raises(NotFoundError, match="anthropic"):
        provider("x", ProviderSettings(vendor="antropic"), "")
    with pytest.raises(InputError, match=r"providers\.x\.base_url"):
        provider("x", ProviderSettings(vendor="azure"), "k")
    with pytest.raises(InputError, match=r"providers\.x\.region"):
        provider("x", ProviderSettings(vendor="bedrock"), "k:s")


@pytest.mark.parametrize("name", sorted(table()))
def test_every_vendor_makes_a_provider_that_keeps_its_secret(name):
    up = provider("p", ProviderSettings(vendor=name, base_url="https://x/", region="r"), "sk-1")
    assert up.base_url == "https://x"
    assert "sk-1" not in repr(up)
    assert provider("p", ProviderSettings(vendor=name, base_url="https://x", region="r"), "").auth == "none"


@pytest.mark.parametrize(("terms", "tier"), [(Terms.FLEX, "flex"), (Terms.PRIORITY, "priority")])
def test_a_target_under_other_terms_asks_for_its_service_tier(terms, tier):
    target = msgspec.structs.replace(target_of("openai"), terms=terms)
    call = call_of(Operation.CHAT, {"model": "the-model", "messages": [], "service_tier": "default"})
    sent = json.loads(dialect_of("openai").ask(call, target).body)
    assert sent == {"model": "the-model", "messages": [], "service_tier": tier}
