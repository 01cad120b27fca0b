"""Bedrock's Converse for clients of another dialect: the request written, the answer read."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from farthing.core.facts import ErrorKind
from farthing.gateway.ports import Meter
from farthing.gateway.providers import _fault
from farthing.gateway.providers._anthropic_messages import BUDGETS
from farthing.gateway.providers._eventstream import BROKEN
from farthing.gateway.providers._passthrough import bad_body
from farthing.gateway.wire.neutral import (
    Begin,
    End,
    Event,
    Finish,
    Image,
    MoreArguments,
    MoreText,
    MoreThought,
    Part,
    Said,
    Talk,
    Text,
    Thought,
    Tool,
    ToolBegin,
    ToolResult,
    ToolUse,
    object_of,
    uncarried,
)

FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def body(talk: Talk) -> bytes:
    """The request in Converse's shape. Raises ``InputError`` for what it cannot carry."""
    _refuse_uncarried(talk)
    config = {
        "maxTokens": talk.max_tokens,
        "temperature": talk.temperature,
        "topP": talk.top_p,
        "stopSequences": list(talk.stop) or None,
    }
    budget = talk.thinking or BUDGETS.get(talk.effort, 0)
    own = {"top_k": talk.top_k, "thinking": {"type": "enabled", "budget_tokens": budget} if budget else None}
    shape: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": list(_blocks(turn.parts))} for turn in talk.turns],
        "inferenceConfig": {name: value for name, value in config.items() if value is not None},
        "additionalModelRequestFields": {name: value for name, value in own.items() if value is not None},
        "toolConfig": _tools(talk),
        "system": [{"text": talk.system}] if talk.system else None,
    }
    return msgspec.json.encode({name: value for name, value in shape.items() if value})


def _refuse_uncarried(talk: Talk) -> None:
    """``seed`` is left out without complaint: everywhere it is a best effort."""
    for field in ("frequency_penalty", "presence_penalty"):
        if getattr(talk, field):
            raise uncarried(field, getattr(talk, field), "bedrock")
    if talk.schema is not None:
        raise uncarried("response_format", talk.schema.name, "bedrock")
    if talk.parallel_tools is False and talk.tools:
        raise uncarried("parallel_tool_calls", value=False, dialect="bedrock")
    if talk.tool_choice == "none" and talk.tools:
        raise uncarried("tool_choice", "none", "bedrock")


def _tools(talk: Talk) -> dict[str, Any] | None:
    if not talk.tools:
        return None
    shape: dict[str, Any] = {"tools": [_tool(tool) for tool in talk.tools]}
    if talk.tool_choice.startswith("="):
        shape["toolChoice"] = {"tool": {"name": talk.tool_choice[1:]}}
    elif talk.tool_choice:
        shape["toolChoice"] = {"any" if talk.tool_choice == "required" else "auto": {}}
    return shape


def _tool(tool: Tool) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.parameters}}
    return {"toolSpec": {**spec, "description": tool.description} if tool.description else spec}


def _blocks(parts: Sequence[Part]) -> Iterable[dict[str, Any]]:
    """Unsigned reasoning is left out: it would be refused."""
    for part in parts:
        match part:
            case Text() | Image():
                yield _plain(part)
            case Thought() if part.signature:
                told = {"text": part.text, "signature": part.signature}
                yield {"reasoningContent": {"reasoningText": told}}
            case Thought():
                pass
            case ToolUse():
                use = {"toolUseId": part.id, "name": part.name, "input": object_of(part.arguments)}
                yield {"toolUse": use}
            case ToolResult():
                content = [_plain(piece) for piece in part.parts]
                status = "error" if part.failed else "success"
                yield {"toolResult": {"toolUseId": part.id, "content": content, "status": status}}


def _plain(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"text": part.text}
    if part.url:
        raise uncarried("image_url", part.url[:80], "bedrock")
    encoding = part.media_type.removeprefix("image/").replace("jpg", "jpeg")
    return {"image": {"format": encoding, "source": {"bytes": part.data}}}


class _Camel(msgspec.Struct, gc=False, rename="camel"):
    """Bedrock writes its names in camel case."""


class _ToolUse(_Camel):
    tool_use_id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _ReasoningText(_Camel):
    text: str = ""
    signature: str = ""


class _Reasoning(_Camel):
    reasoning_text: _ReasoningText | None = None
    text: str = ""
    signature: str = ""


class _Block(_Camel):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None


class _Message(_Camel):
    content: list[_Block]


class _Output(_Camel):
    message: _Message


class _Answer(_Camel):
    output: _Output
    stop_reason: str = ""
    usage: msgspec.Raw = msgspec.Raw()


class _ToolDelta(_Camel):
    input: str = ""


class _Delta(_Camel):
    text: str | None = None
    tool_use: _ToolDelta | None = None
    reasoning_content: _Reasoning | None = None


class _BlockStart(_Camel):
    start: _Block
    content_block_index: int = 0


class _BlockDelta(_Camel):
    delta: _Delta
    content_block_index: int = 0


class _Stop(_Camel):
    stop_reason: str = ""


class _Metadata(_Camel):
    usage: msgspec.Raw = msgspec.Raw()


class _Event(_Camel):
    message_start: msgspec.Raw = msgspec.Raw()
    content_block_start: _BlockStart | None = None
    content_block_delta: _BlockDelta | None = None
    content_block_stop: msgspec.Raw = msgspec.Raw()
    message_stop: _Stop | None = None
    metadata: _Metadata | None = None


class ConverseDecoder:
    """Reads Converse's answers into neutral ones. Counts come last, so that only they complete a stream."""

    flavor = "bedrock_converse"

    def __init__(self, model: str, request_id: str) -> None:
        self.usage = b""
        self._model, self._id = model, request_id

    def whole(self, data: bytes, meter: Meter) -> Said | None:
        try:
            answer = msgspec.json.decode(data, type=_Answer)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        self._note(answer.usage, meter)
        meter.finish_reason = answer.stop_reason
        parts = tuple(part for block in answer.output.message.content for part in _part(block))
        return Said(parts=parts, finish=FINISHES.get(answer.stop_reason, "stop"), id=self._id, model=self._model)

    def event(self, data: bytes, meter: Meter) -> Sequence[Event]:
        try:
            event = msgspec.json.decode(data, type=_Event)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            bad_body(meter, "an event of the stream is not one of Converse's")
            return ()
        if event.content_block_delta is not None:
            return _added(event.content_block_delta)
        if event.content_block_start is not None:
            return _opened(event.content_block_start)
        if len(event.message_start):
            return (Begin(self._id, self._model),)
        if event.message_stop is not None:
            meter.finish_reason = event.message_stop.stop_reason
            return (End(FINISHES.get(event.message_stop.stop_reason, "stop")),)
        if event.metadata is not None:
            self._note(event.metadata.usage, meter)
            meter.complete = meter.error_kind is ErrorKind.NONE
        elif not len(event.content_block_stop):
            _refuse(data, meter)
        return ()

    def _note(self, usage: msgspec.Raw, meter: Meter) -> None:
        meter.upstream_id, meter.served_model = self._id, self._model
        self.usage = bytes(usage)


def _refuse(data: bytes, meter: Meter) -> None:
    """An event that is an exception, or one of a type that did not exist when this was written, which is skipped."""
    ((kind, told),) = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).items()
    if kind == BROKEN:
        meter.error_kind, meter.error = ErrorKind.PROTOCOL, _fault.failure(200, bytes(told)).message
    elif kind.endswith("Exception"):
        message = _fault.failure(200, bytes(told)).message
        body = msgspec.json.encode({"error": {"code": kind, "message": message}})
        meter.error_kind, meter.error = _fault.failure(200, body)


def _part(block: _Block) -> Iterable[Text | Thought | ToolUse]:
    if block.text is not None:
        yield Text(block.text)
    elif block.tool_use is not None:
        use = block.tool_use
        yield ToolUse(use.tool_use_id, use.name, bytes(use.input).decode())
    elif block.reasoning_content is not None and block.reasoning_content.reasoning_text is not None:
        told = block.reasoning_content.reasoning_text
        yield Thought(told.text, told.signature)


def _opened(event: _BlockStart) -> Sequence[Event]:
    use = event.start.tool_use
    return () if use is None else (ToolBegin(event.content_block_index, use.tool_use_id, use.name),)


def _added(event: _BlockDelta) -> Sequence[Event]:
    delta = event.delta
    if delta.text is not None:
        return (MoreText(delta.text),)
    if delta.tool_use is not None and delta.tool_use.input:
        return (MoreArguments(event.content_block_index, delta.tool_use.input),)
    if delta.reasoning_content is not None:
        return (MoreThought(delta.reasoning_content.text, delta.reasoning_content.signature),)
    return ()
