"""What providers answer on the wire, typed from their API references (November 2026).

Every dialect says the same: "Hello there!" for 20 input tokens, of which 5 were read from a cache, and
7 output tokens; or it asks for ``weather({"city": "Paris"})``.
"""

import json
import struct
from typing import Any
from zlib import crc32

from support.wire import EVENTS, JSON, sse

TEXT = "Hello there!"
ARGUMENTS = {"city": "Paris"}


def _dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


def frame(kind: str, payload: Any, *, exception: bool = False) -> bytes:
    """One frame of Amazon's event stream."""
    names = {":message-type": "exception" if exception else "event", ":content-type": "application/json"}
    names[":exception-type" if exception else ":event-type"] = kind
    headers = b"".join(
        bytes([len(k)]) + k.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode() for k, v in names.items()
    )
    body = _dumps(payload)
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    head = prelude + struct.pack(">I", crc32(prelude)) + headers + body
    return head + struct.pack(">I", crc32(head))


_OPENAI_USAGE = {
    "prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}  # fmt: skip


def _completion(message: dict[str, Any], finish: str) -> bytes:
    return _dumps(
        {
            "id": "chatcmpl-9", "object": "chat.completion", "created": 1763640000, "model": "the-model-2026",
            "choices": [{"index": 0, "message": {"role": "assistant", "refusal": None, **message}, "logprobs": None, "finish_reason": finish}],
            "usage": _OPENAI_USAGE, "service_tier": "default", "system_fingerprint": "fp_1",
        }
    )  # fmt: skip


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **extra: Any) -> dict[str, Any]:
    """A chunk of a chat completion; without a delta it has no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {
        "id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1763640000, "model": "the-model-2026",
        "choices": choices, "usage": None, **extra,
    }  # fmt: skip


OPENAI_USAGE_CHUNK = chunk(None, usage=_OPENAI_USAGE)
_OPENAI_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
_OPENAI = {
    "text": _completion({"content": TEXT}, "stop"),
    "tool": _completion(
        {
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)}}
            ],
        },
        "tool_calls",
    ),
    "text stream": sse(
        chunk({"role": "assistant", "content": ""}), chunk({"content": "Hello"}), chunk({"content": " there!"}),
        chunk({}, "stop"), OPENAI_USAGE_CHUNK, "[DONE]",
    ),
    "tool stream": sse(
        chunk({"role": "assistant", "content": None, "tool_calls": [_OPENAI_CALL]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ' "Paris"}'}}]}),
        chunk({}, "tool_calls"), OPENAI_USAGE_CHUNK, "[DONE]",
    ),
    "broken stream": sse(chunk({"role": "assistant", "content": "Hel"}), {"error": {"message": "overheated", "type": "server_error", "code": None, "param": None}}),
    "error": _dumps({"error": {"message": "Rate limit reached", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}),
}  # fmt: skip

_ANTHROPIC_START = {
    "input_tokens": 15, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}, "output_tokens": 1, "service_tier": "standard",
}  # fmt: skip


def _message(content: list[Any], stop: str | None, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_9", "type": "message", "role": "assistant", "model": "the-model-2026", "content": content,
        "stop_reason": stop, "stop_sequence": None, "usage": usage,
    }  # fmt: skip


def _anthropic_stream(*blocks: dict[str, Any], stop: str) -> bytes:
    return sse(
        {"type": "message_start", "message": _message([], None, _ANTHROPIC_START)},
        {"type": "ping"},
        *blocks,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
        names=True,
    )


def _block_delta(**delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


_ANTHROPIC_TOOL = {"type": "tool_use", "id": "call_1", "name": "weather"}
_ANTHROPIC = {
    "text": _dumps(_message([{"type": "text", "text": TEXT}], "end_turn", {**_ANTHROPIC_START, "output_tokens": 7})),
    "tool": _dumps(_message([{**_ANTHROPIC_TOOL, "input": ARGUMENTS}], "tool_use", {**_ANTHROPIC_START, "output_tokens": 7})),
    "text stream": _anthropic_stream(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        _block_delta(type="text_delta", text="Hello"), _block_delta(type="text_delta", text=" there!"), stop="end_turn",
    ),
    "tool stream": _anthropic_stream(
        {"type": "content_block_start", "index": 0, "content_block": {**_ANTHROPIC_TOOL, "input": {}}},
        _block_delta(type="input_json_delta", partial_json=""), _block_delta(type="input_json_delta", partial_json='{"city":'),
        _block_delta(type="input_json_delta", partial_json=' "Paris"}'), stop="tool_use",
    ),
    "broken stream": sse(
        {"type": "message_start", "message": _message([], None, _ANTHROPIC_START)},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, names=True,
    ),
    "error": _dumps({"type": "error", "error": {"type": "rate_limit_error", "message": "Rate limit reached"}, "request_id": "req_up"}),
}  # fmt: skip

_GEMINI_USAGE = {"promptTokenCount": 20, "candidatesTokenCount": 7, "totalTokenCount": 27, "cachedContentTokenCount": 5}


def _content(parts: list[Any], finish: str | None = None) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": _GEMINI_USAGE,
        "modelVersion": "the-model-2026",
        "responseId": "g9",
    }


_GEMINI_CALL = {"functionCall": {"name": "weather", "args": ARGUMENTS}}
_GEMINI = {
    "text": _dumps(_content([{"text": TEXT}], "STOP")),
    "tool": _dumps(_content([_GEMINI_CALL], "STOP")),
    "text stream": sse(_content([{"text": "Hello"}]), _content([{"text": " there!"}], "STOP")).replace(b"\n", b"\r\n"),
    "tool stream": sse(_content([_GEMINI_CALL], "STOP")).replace(b"\n", b"\r\n"),
    "broken stream": sse(_content([{"text": "Hel"}]), {"error": {"code": 503, "message": "The model is overloaded", "status": "UNAVAILABLE"}}),
    "error": _dumps({"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}),
}  # fmt: skip

_BEDROCK_USAGE = {
    "inputTokens": 15,
    "outputTokens": 7,
    "totalTokens": 27,
    "cacheReadInputTokens": 5,
    "cacheWriteInputTokens": 0,
}


def _converse(block: dict[str, Any], stop: str) -> bytes:
    message = {"role": "assistant", "content": [block]}
    return _dumps(
        {"output": {"message": message}, "stopReason": stop, "usage": _BEDROCK_USAGE, "metrics": {"latencyMs": 9}}
    )


_BEDROCK_TAIL = frame("contentBlockStop", {"contentBlockIndex": 0})
_BEDROCK_METADATA = frame("metadata", {"usage": _BEDROCK_USAGE, "metrics": {"latencyMs": 9}})
_BEDROCK_TOOL = {"toolUseId": "call_1", "name": "weather"}
_BEDROCK = {
    "text": _converse({"text": TEXT}, "end_turn"),
    "tool": _converse({"toolUse": {**_BEDROCK_TOOL, "input": ARGUMENTS}}, "tool_use"),
    "text stream": frame("messageStart", {"role": "assistant"})
    + frame("contentBlockDelta", {"delta": {"text": "Hello"}, "contentBlockIndex": 0})
    + frame("contentBlockDelta", {"delta": {"text": " there!"}, "contentBlockIndex": 0, "p": "abcd"})
    + _BEDROCK_TAIL + frame("messageStop", {"stopReason": "end_turn"}) + _BEDROCK_METADATA,
    "tool stream": frame("messageStart", {"role": "assistant"})
    + frame("contentBlockStart", {"start": {"toolUse": _BEDROCK_TOOL}, "contentBlockIndex": 0})
    + frame("contentBlockDelta", {"delta": {"toolUse": {"input": '{"city":'}}, "contentBlockIndex": 0})
    + frame("contentBlockDelta", {"delta": {"toolUse": {"input": ' "Paris"}'}}, "contentBlockIndex": 0})
    + _BEDROCK_TAIL + frame("messageStop", {"stopReason": "tool_use"}) + _BEDROCK_METADATA,
    "broken stream": frame("messageStart", {"role": "assistant"})
    + frame("throttlingException", {"message": "Too many tokens"}, exception=True),
    "error": _dumps({"message": "Too many requests, please wait before trying again."}),
}  # fmt: skip

CASSETTES: dict[str, dict[str, bytes]] = {
    "openai": _OPENAI, "anthropic": _ANTHROPIC, "gemini": _GEMINI, "bedrock": _BEDROCK,
}  # fmt: skip
CHAT_ONLY = {"openai": "together", "anthropic": "anthropic", "gemini": "gemini", "bedrock": "bedrock"}


def stream_headers(dialect: str) -> dict[bytes, bytes]:
    """The head of a stream."""
    return {b"content-type": b"application/vnd.amazon.eventstream"} if dialect == "bedrock" else EVENTS


__all__ = [
    "ARGUMENTS",
    "CASSETTES",
    "CHAT_ONLY",
    "JSON",
    "OPENAI_USAGE_CHUNK",
    "TEXT",
    "chunk",
    "frame",
    "stream_headers",
]
