"""Anthropic's messages, as a client speaks them to a provider of another dialect."""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from farthing.core.errors import InputError
from farthing.gateway.ports import Call, Meter
from farthing.gateway.wire.chat import Strict, carried
from farthing.gateway.wire.counts import message_usage
from farthing.gateway.wire.neutral import (
    Begin,
    End,
    Event,
    Image,
    MoreArguments,
    MoreText,
    MoreThought,
    Part,
    Said,
    Schema,
    Talk,
    Text,
    Thought,
    Tool,
    ToolBegin,
    ToolResult,
    ToolUse,
    Turn,
    object_of,
)
from farthing.gateway.wire.sse import event

STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
"""Neutral finish reasons as Anthropic's ``stop_reason``."""


class ImageSource(Strict):
    """Where a picture is."""

    type: Literal["base64", "url"]
    media_type: str = ""
    data: str = ""
    url: str = ""


class TextBlock(Strict, tag="text"):
    """Text. Citations and cache marks have no counterpart and change no words."""

    text: str
    cache_control: Any = None
    citations: Any = None


class ImageBlock(Strict, tag="image"):
    """A picture."""

    source: ImageSource
    cache_control: Any = None


class ThinkingBlock(Strict, tag="thinking"):
    """Reasoning of an earlier answer."""

    thinking: str
    signature: str = ""


class RedactedBlock(Strict, tag="redacted_thinking"):
    """Encrypted reasoning, readable by Anthropic only: dropped."""

    data: str = ""


class UseBlock(Strict, tag="tool_use"):
    """The model asked for a tool."""

    id: str
    name: str
    input: msgspec.Raw
    cache_control: Any = None
    caller: Any = None


class ResultBlock(Strict, tag="tool_result"):
    """What a tool returned."""

    tool_use_id: str
    content: str | list[TextBlock | ImageBlock] | None = None
    is_error: bool | None = None
    cache_control: Any = None


Block: TypeAlias = TextBlock | ImageBlock | ThinkingBlock | RedactedBlock | UseBlock | ResultBlock


class Message(Strict):
    """One message."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ToolDefinition(Strict):
    """A tool of the client. Anthropic's own server tools cannot be carried."""

    name: str
    input_schema: msgspec.Raw
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: Any = None
    eager_input_streaming: Any = None
    input_examples: Any = None
    defer_loading: Any = None


class ToolChoice(Strict):
    """Which tool to call."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class Thinking(Strict):
    """How much to reason."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int = 0
    display: Any = None


class OutputFormat(Strict):
    """The schema an answer must fit."""

    type: Literal["json_schema"]
    schema: msgspec.Raw


class OutputConfig(Strict):
    """Effort and format of the answer."""

    effort: str | None = None
    format: OutputFormat | None = None


class MessageRequest(Strict, kw_only=True):
    """All that can be translated. The last group changes no answer, or only for Anthropic itself: it is dropped."""

    model: str
    messages: list[Message]
    max_tokens: int
    system: str | list[TextBlock] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[ToolDefinition] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None

    metadata: Any = None
    service_tier: Any = None
    context_management: Any = None
    cache_control: Any = None


class MessageClient:
    """Messages as a ``Client``."""

    def talk(self, body: bytes) -> Talk:
        asked = carried(body, MessageRequest)
        choice = asked.tool_choice
        system, turns = _turns(asked)
        return Talk(
            system=system,
            turns=turns,
            tools=tuple(_tool(tool) for tool in asked.tools or ()),
            tool_choice=_choice(choice),
            parallel_tools=False if choice is not None and choice.disable_parallel_tool_use else None,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_k=asked.top_k,
            stop=tuple(asked.stop_sequences or ()),
            schema=_schema(asked),
            effort=(asked.output_config.effort if asked.output_config else "") or "",
            thinking=asked.thinking.budget_tokens if asked.thinking else 0,
        )

    def answer(self, call: Call, said: Said, meter: Meter) -> bytes:
        shape = _message(call, said.id, said.model)
        shape["content"] = [_written(part) for part in said.parts]
        shape["stop_reason"] = STOPS[said.finish]
        return msgspec.json.encode({**shape, "usage": message_usage(meter.usage)})

    def writer(self, call: Call) -> "MessageWriter":
        return MessageWriter(call)


class MessageWriter:
    """The events of a message: one content block at a time, opened and closed by its kind."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._begun = False
        self._block = -1
        self._kind: str = ""
        self._finish: str | None = None

    def write(self, events: Iterable[Event]) -> bytes:
        return b"".join(self._one(said) for said in events)

    def end(self, meter: Meter) -> bytes:
        delta = {"stop_reason": self._finish or "end_turn", "stop_sequence": None}
        return b"".join(
            (
                self._close(),
                _event("message_delta", delta=delta, usage=message_usage(meter.usage)),
                _event("message_stop"),
            )
        )

    def _one(self, said: Event) -> bytes:
        match said:
            case Begin():
                return self._begin(said)
            case MoreText():
                return self._more("text", {"type": "text", "text": ""}, {"type": "text_delta", "text": said.text})
            case MoreThought():
                return self._think(said)
            case ToolBegin():
                block: dict[str, Any] = {"type": "tool_use", "id": said.id, "name": said.name, "input": {}}
                return self._close() + self._open(f"tool {said.index}", block)
            case MoreArguments():
                return self._arguments(said)
            case End():
                self._finish = STOPS[said.finish]
                return self._close()

    def _begin(self, said: Begin) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        shape = _message(self._call, said.id, said.model)
        return _event("message_start", message={**shape, "usage": message_usage(None)})

    def _think(self, said: MoreThought) -> bytes:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        out = self._more("thinking", block, {"type": "thinking_delta", "thinking": said.text}) if said.text else b""
        if said.signature:
            out += self._more("thinking", block, {"type": "signature_delta", "signature": said.signature})
        return out

    def _arguments(self, said: MoreArguments) -> bytes:
        if self._kind != f"tool {said.index}" or not said.text:
            return b""
        return self._delta({"type": "input_json_delta", "partial_json": said.text})

    def _more(self, kind: str, block: dict[str, Any], delta: dict[str, Any]) -> bytes:
        opened = b"" if self._kind == kind else self._close() + self._open(kind, block)
        return opened + self._delta(delta)

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        self._block += 1
        self._kind = kind
        return _event("content_block_start", index=self._block, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._block, delta=delta)

    def _close(self) -> bytes:
        if not self._kind:
            return b""
        self._kind = ""
        return _event("content_block_stop", index=self._block)


def _turns(asked: MessageRequest) -> tuple[str, tuple[Turn, ...]]:
    system = asked.system or ""
    texts = [system if isinstance(system, str) else "\n\n".join(block.text for block in system)]
    turns: list[Turn] = []
    names: dict[str, str] = {}
    for message in asked.messages:
        parts = tuple(_parts(message, names))
        if message.role == "system":
            texts.append("".join(part.text for part in parts if isinstance(part, Text)))
        else:
            turns.append(Turn(message.role, parts))
    return "\n\n".join(text for text in texts if text), tuple(turns)


def _parts(message: Message, names: dict[str, str]) -> Iterable[Part]:
    if isinstance(message.content, str):
        yield Text(message.content)
        return
    for block in message.content:
        match block:
            case TextBlock() | ImageBlock():
                yield _plain(block)
            case ThinkingBlock():
                yield Thought(block.thinking, block.signature)
            case UseBlock():
                names[block.id] = block.name
                yield ToolUse(block.id, block.name, bytes(block.input).decode())
            case ResultBlock():
                yield _result(block, names)
            case RedactedBlock():
                pass


def _plain(block: TextBlock | ImageBlock) -> Text | Image:
    if isinstance(block, TextBlock):
        return Text(block.text)
    source = block.source
    return Image(source.media_type, source.data, source.url)


def _result(block: ResultBlock, names: dict[str, str]) -> ToolResult:
    content = block.content or ""
    parts = (Text(content),) if isinstance(content, str) else tuple(_plain(part) for part in content)
    return ToolResult(block.tool_use_id, parts, names.get(block.tool_use_id, ""), bool(block.is_error))


def _tool(tool: ToolDefinition) -> Tool:
    return Tool(tool.name, tool.description or "", tool.input_schema, tool.strict)


def _choice(choice: ToolChoice | None) -> str:
    if choice is None:
        return ""
    if choice.type == "tool":
        if not choice.name:
            raise InputError("a tool must be named", field="tool_choice.name", value="", remedy="Name one of the tools")
        return f"={choice.name}"
    return "required" if choice.type == "any" else choice.type


def _schema(asked: MessageRequest) -> Schema | None:
    wanted = asked.output_config.format if asked.output_config else None
    wanted = wanted or asked.output_format
    return None if wanted is None else Schema(schema=wanted.schema, strict=True)


def _written(part: Text | Thought | ToolUse) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Thought():
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case ToolUse():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": object_of(part.arguments)}


def _message(call: Call, id: str, model: str) -> dict[str, Any]:
    return {
        "id": id or f"msg_{call.request_id}",
        "type": "message",
        "role": "assistant",
        "model": model or call.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _event(type: str, **fields: Any) -> bytes:
    return event(msgspec.json.encode({"type": type, **fields}), type)


client = MessageClient()
