"""Anthropic's messages for clients of another dialect: the request written, the answer read."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from farthing.core.errors import InputError
from farthing.core.facts import ErrorKind
from farthing.gateway.ports import Call, Meter, Target
from farthing.gateway.providers import _fault
from farthing.gateway.providers._anthropic_gauge import Tally, tier_of
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
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
DEFAULT_OUTPUT = 4_096
"""Anthropic wants a cap on every request; this one holds where neither client nor catalogue knows better."""

BUDGETS = {"low": 1_024, "medium": 4_096, "high": 16_384, "xhigh": 32_768, "max": 32_768}
"""Reasoning tokens for OpenAI's efforts; 1,024 is the least that Anthropic allows."""

_LEAST_BUDGET = 1_024


def body(talk: Talk, call: Call, target: Target) -> bytes:
    """The request as messages. Raises ``InputError`` for what they cannot carry."""
    _refuse_uncarried(talk)
    cap = output_cap(talk, target)
    shape: dict[str, Any] = {
        "model": target.model,
        "max_tokens": cap,
        "messages": [{"role": turn.role, "content": list(_blocks(turn.parts))} for turn in talk.turns],
    }
    budget = _budget(talk, cap)
    optional = {
        "system": talk.system or None,
        "temperature": talk.temperature,
        "top_p": talk.top_p,
        "top_k": talk.top_k,
        "stop_sequences": list(talk.stop) or None,
        "tools": [_tool(tool) for tool in talk.tools] or None,
        "tool_choice": _choice(talk) if talk.tools else None,
        "thinking": {"type": "enabled", "budget_tokens": budget} if budget else None,
        "output_config": {"format": {"type": "json_schema", "schema": talk.schema.schema}} if talk.schema else None,
        "stream": True if call.stream else None,
    }
    shape.update((name, value) for name, value in optional.items() if value is not None)
    return msgspec.json.encode(shape)


def output_cap(talk: Talk, target: Target) -> int:
    """The cap on output tokens: the client's, else the model's own, else a default."""
    known = max((offer.capability.output_tokens for offer in target.offers), default=0)
    return talk.max_tokens or known or DEFAULT_OUTPUT


def _refuse_uncarried(talk: Talk) -> None:
    """``seed`` is left out without complaint: everywhere it is a best effort."""
    for field in ("frequency_penalty", "presence_penalty"):
        if getattr(talk, field):
            raise uncarried(field, getattr(talk, field), "anthropic")
    if talk.schema is not None and not len(talk.schema.schema):
        raise uncarried("response_format", "json_object", "anthropic")


def _budget(talk: Talk, cap: int) -> int:
    """Reasoning tokens, which must stay below the cap on all output."""
    budget = talk.thinking or BUDGETS.get(talk.effort, 0)
    if not budget:
        return 0
    if cap <= _LEAST_BUDGET:
        raise InputError(
            "too small a cap to reason within",
            field="max_tokens",
            value=cap,
            remedy=f"Allow more than {_LEAST_BUDGET} tokens, or leave out the reasoning effort",
        )
    return min(budget, cap - 1)


def _blocks(parts: Sequence[Part]) -> Iterable[dict[str, Any]]:
    """Results of tools first, as Anthropic demands. Unsigned reasoning is left out: it would be refused."""
    for part in sorted(parts, key=lambda part: not isinstance(part, ToolResult)):
        match part:
            case Text() | Image():
                yield _plain(part)
            case Thought() if part.signature:
                yield {"type": "thinking", "thinking": part.text, "signature": part.signature}
            case Thought():
                pass
            case ToolUse():
                yield {"type": "tool_use", "id": part.id, "name": part.name, "input": object_of(part.arguments)}
            case ToolResult():
                block = {"type": "tool_result", "tool_use_id": part.id, "content": [_plain(p) for p in part.parts]}
                yield {**block, "is_error": True} if part.failed else block


def _plain(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.url:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": part.data}}


def _tool(tool: Tool) -> dict[str, Any]:
    shape: dict[str, Any] = {"name": tool.name, "input_schema": tool.parameters}
    if tool.description:
        shape["description"] = tool.description
    if tool.strict:
        shape["strict"] = True
    return shape


def _choice(talk: Talk) -> dict[str, Any] | None:
    choice: dict[str, Any] | None = None
    if talk.tool_choice.startswith("="):
        choice = {"type": "tool", "name": talk.tool_choice[1:]}
    elif talk.tool_choice:
        choice = {"type": "any" if talk.tool_choice == "required" else talk.tool_choice}
    if talk.parallel_tools is False and talk.tool_choice != "none":
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Message(msgspec.Struct, gc=False):
    id: str = ""
    model: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: dict[str, msgspec.Raw] | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: dict[str, msgspec.Raw] | None = None


class MessageDecoder:
    """Reads messages, whole and in events, into neutral answers."""

    flavor = "anthropic"

    def __init__(self) -> None:
        self._tally = Tally()
        self._tools: set[int] = set()

    @property
    def usage(self) -> bytes:
        """The counts so far, as one usage object."""
        return self._tally.usage

    def whole(self, data: bytes, meter: Meter) -> Said | None:
        try:
            answer = msgspec.json.decode(data, type=_Message)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        if answer.content is None:
            return None
        self._note(answer, meter)
        meter.finish_reason = answer.stop_reason or ""
        parts = tuple(part for block in answer.content for part in _part(block))
        return Said(
            parts=parts, finish=FINISHES.get(answer.stop_reason or "", "stop"), id=answer.id, model=answer.model
        )

    def event(self, data: bytes, meter: Meter) -> Sequence[Event]:
        try:
            event = msgspec.json.decode(data, type=_Event)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            bad_body(meter, "an event of the stream is not one of Anthropic's")
            return ()
        match event.type:
            case "message_start" if event.message is not None:
                self._note(event.message, meter)
                return (Begin(event.message.id, event.message.model),)
            case "content_block_start" if event.content_block is not None:
                return self._opened(event.index, event.content_block)
            case "content_block_delta" if event.delta is not None:
                return self._added(event.index, event.delta)
            case "message_delta":
                return self._finished(event, meter)
            case "message_stop":
                meter.complete = meter.error_kind is ErrorKind.NONE
            case "error":
                meter.error_kind, meter.error = _fault.failure(200, data)
            case _:
                pass
        return ()

    def _opened(self, index: int, block: _Block) -> Sequence[Event]:
        if block.type == "tool_use":
            self._tools.add(index)
            return (ToolBegin(index, block.id, block.name),)
        return (MoreText(block.text),) if block.text else ()

    def _added(self, index: int, delta: _Delta) -> Sequence[Event]:
        match delta.type:
            case "text_delta":
                return (MoreText(delta.text),)
            case "thinking_delta":
                return (MoreThought(delta.thinking),)
            case "signature_delta":
                return (MoreThought(signature=delta.signature),)
            case "input_json_delta" if delta.partial_json and index in self._tools:
                return (MoreArguments(index, delta.partial_json),)
            case _:
                return ()

    def _finished(self, event: _Event, meter: Meter) -> Sequence[Event]:
        self._tally.add(event.usage)
        if event.delta is None or not event.delta.stop_reason:
            return ()
        meter.finish_reason = event.delta.stop_reason
        return (End(FINISHES.get(event.delta.stop_reason, "stop")),)

    def _note(self, answer: _Message, meter: Meter) -> None:
        meter.upstream_id, meter.served_model = answer.id, answer.model
        meter.service_tier = tier_of(answer.usage)
        self._tally.add(answer.usage)


def _part(block: _Block) -> Iterable[Text | Thought | ToolUse]:
    """Blocks of Anthropic's own server tools have no counterpart; the text around them says what they found."""
    match block.type:
        case "text":
            yield Text(block.text)
        case "thinking":
            yield Thought(block.thinking, block.signature)
        case "tool_use":
            yield ToolUse(block.id, block.name, bytes(block.input).decode())
        case _:
            pass
