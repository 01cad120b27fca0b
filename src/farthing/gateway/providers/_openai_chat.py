"""Chat completions of a provider, for clients of another dialect or operation."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from farthing.core.facts import ErrorKind
from farthing.gateway.ports import Call, Meter, Target
from farthing.gateway.providers import _fault
from farthing.gateway.providers._passthrough import bad_body
from farthing.gateway.vendors import Vendor
from farthing.gateway.wire.clients import client_of
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
    Schema,
    Talk,
    Text,
    Thought,
    Tool,
    ToolBegin,
    ToolResult,
    ToolUse,
    Turn,
    uncarried,
)

_FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_NOTHING = msgspec.Raw()


def body(call: Call, target: Target, row: Vendor) -> bytes:
    """The request in chat's shape. Raises ``InputError`` for what chat cannot carry."""
    client = client_of(call.operation)
    assert client is not None  # noqa: S101 - the caller looked
    talk = client.talk(call.body)
    if talk.top_k is not None and target.provider.vendor == "openai":
        raise uncarried("top_k", talk.top_k, "openai")
    shape: dict[str, Any] = {"model": target.model, "messages": list(_messages(talk))}
    cap = row.max_tokens or ("max_completion_tokens" if row.responses else "max_tokens")
    optional = {
        cap: talk.max_tokens,
        "temperature": talk.temperature,
        "top_p": talk.top_p,
        "top_k": talk.top_k,
        "stop": list(talk.stop) or None,
        "seed": talk.seed,
        "frequency_penalty": talk.frequency_penalty,
        "presence_penalty": talk.presence_penalty,
        "tools": [_tool(tool) for tool in talk.tools] or None,
        "tool_choice": _choice(talk.tool_choice) if talk.tools else None,
        "parallel_tool_calls": talk.parallel_tools if talk.tools else None,
        "response_format": _format(talk.schema),
        "reasoning_effort": talk.effort or _effort(talk.thinking),
        "stream": True if call.stream else None,
        "stream_options": {"include_usage": True} if call.stream and row.include_usage else None,
    }
    shape.update((name, value) for name, value in optional.items() if value is not None)
    return msgspec.json.encode(shape)


def _messages(talk: Talk) -> Iterable[dict[str, Any]]:
    if talk.system:
        yield {"role": "system", "content": talk.system}
    for turn in talk.turns:
        yield from _assistant(turn.parts) if turn.role == "assistant" else _user(turn)


def _assistant(parts: Sequence[Part]) -> Iterable[dict[str, Any]]:
    """Reasoning of earlier turns is left out: chat providers refuse or ignore it."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    calls = [
        {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
        for part in parts
        if isinstance(part, ToolUse)
    ]
    if text or calls:
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        yield {**message, "tool_calls": calls} if calls else message


def _user(turn: Turn) -> Iterable[dict[str, Any]]:
    """Results of tools are messages of their own, and come before what the user adds."""
    plain: list[Text | Image] = []
    for part in turn.parts:
        match part:
            case ToolResult():
                yield {"role": "tool", "tool_call_id": part.id, "content": _result(part)}
                plain.extend(piece for piece in part.parts if isinstance(piece, Image))
            case Text() | Image():
                plain.append(part)
            case Thought() | ToolUse():
                raise uncarried("messages", "tool_use or thinking of the user", "openai")
    if plain:
        yield {"role": "user", "content": _content(plain)}


def _result(result: ToolResult) -> str:
    """Chat's tool messages hold text; pictures follow as the user's, and a failure is told in words."""
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    return f"Error: {text}" if result.failed else text


def _content(parts: Sequence[Text | Image]) -> str | list[dict[str, Any]]:
    if all(isinstance(part, Text) for part in parts):
        texts = [part.text for part in parts if isinstance(part, Text)]
        return texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
    return [_part(part) for part in parts]


def _part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    url = part.url or f"data:{part.media_type};base64,{part.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: str) -> str | dict[str, Any] | None:
    if choice.startswith("="):
        return {"type": "function", "function": {"name": choice[1:]}}
    return choice or None


def _format(schema: Schema | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    if not len(schema.schema):
        return {"type": "json_object"}
    shape: dict[str, Any] = {"name": schema.name, "schema": schema.schema}
    if schema.strict is not None:
        shape["strict"] = schema.strict
    if schema.description:
        shape["description"] = schema.description
    return {"type": "json_schema", "json_schema": shape}


def _effort(thinking: int) -> str | None:
    """A budget of reasoning tokens as an effort, at the budgets that litellm and OpenRouter also take."""
    if not thinking:
        return None
    return "low" if thinking <= _LOW else "medium" if thinking <= _MEDIUM else "high"


_LOW, _MEDIUM = 2_048, 8_192


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Content(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: str | None = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Content | None = None
    message: _Content | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    usage: msgspec.Raw = _NOTHING
    error: Any = None
    service_tier: str | None = None


class ChatDecoder:
    """Reads chat completions, whole and in chunks, into neutral answers. ``flavor`` is the vendor's usage."""

    def __init__(self, flavor: str = "") -> None:
        self.flavor = flavor or "openai_chat"
        self.usage = b""
        self._begun = False
        self._seen: list[int] = []

    def whole(self, data: bytes, meter: Meter) -> Said | None:
        try:
            answer = msgspec.json.decode(data, type=_Answer)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        if answer.error or not answer.choices or answer.choices[0].message is None:
            return None
        self._note(answer, meter)
        choice, message = answer.choices[0], answer.choices[0].message
        thought = message.reasoning_content or (message.reasoning if isinstance(message.reasoning, str) else "")
        parts: list[Text | Thought | ToolUse] = [Thought(thought)] if thought else []
        parts += [Text(text) for text in [_words(message)] if text]
        for number, call in enumerate(message.tool_calls or ()):
            function = call.function or _Function()
            parts.append(ToolUse(call.id or f"call_{number}", function.name or "", function.arguments or "{}"))
        finish = _FINISHES.get(choice.finish_reason or "", "stop")
        return Said(parts=tuple(parts), finish=finish, id=answer.id or "", model=answer.model or "")

    def event(self, data: bytes, meter: Meter) -> Sequence[Event]:
        if data == b"[DONE]":
            meter.complete = meter.error_kind is ErrorKind.NONE
            return ()
        try:
            chunk = msgspec.json.decode(data, type=_Answer)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            bad_body(meter, "an event of the stream is not a chat completion chunk")
            return ()
        if chunk.error:
            meter.error_kind, meter.error = _fault.failure(200, data)
            return ()
        self._note(chunk, meter)
        return list(self._events(chunk, meter))

    def _events(self, chunk: _Answer, meter: Meter) -> Iterable[Event]:
        if not self._begun:
            self._begun = True
            yield Begin(chunk.id or "", chunk.model or "")
        for choice in (chunk.choices or ())[:1]:
            if choice.delta is not None:
                yield from self._delta(choice.delta, meter)
            if choice.finish_reason:
                meter.finish_reason = choice.finish_reason
                yield End(_FINISHES.get(choice.finish_reason, "stop"))

    def _delta(self, delta: _Content, meter: Meter) -> Iterable[Event]:
        thought = delta.reasoning_content or (delta.reasoning if isinstance(delta.reasoning, str) else "")
        if thought:
            yield MoreThought(thought)
        text = _words(delta)
        if text:
            yield MoreText(text)
        for call in delta.tool_calls or ():
            function = call.function or _Function()
            last = self._seen[-1] if self._seen else -1
            index = call.index if call.index is not None else last + bool(call.id)
            if index not in self._seen:
                self._seen.append(index)
                yield ToolBegin(index, call.id or f"call_{index}", function.name or "")
            elif index != last:
                bad_body(meter, "the arguments of parallel tool calls are interleaved")
            if function.arguments:
                yield MoreArguments(index, function.arguments)

    def _note(self, answer: _Answer, meter: Meter) -> None:
        meter.upstream_id = meter.upstream_id or answer.id or ""
        meter.served_model = meter.served_model or answer.model or ""
        meter.service_tier = answer.service_tier or meter.service_tier
        if len(answer.usage) and bytes(answer.usage) != b"null":
            self.usage = bytes(answer.usage)
        if answer.choices and answer.choices[0].finish_reason:
            meter.finish_reason = answer.choices[0].finish_reason


def _words(content: _Content) -> str:
    """The text of a message; some vendors send a list of parts, refusals come in a field of their own."""
    given: Any = content.content
    if isinstance(given, str):
        return given
    if isinstance(given, list):
        parts = [cast("dict[str, Any]", part) for part in cast("list[Any]", given) if isinstance(part, dict)]
        return "".join(str(part.get("text", "")) for part in parts)
    return content.refusal or ""
