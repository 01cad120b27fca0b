"""OpenAI's chat completions, as a client speaks them to a provider of another dialect."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from farthing.core.decode import decode_json
from farthing.core.errors import InputError
from farthing.gateway.ports import Call, Meter
from farthing.gateway.wire.counts import chat_usage
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
)
from farthing.gateway.wire.sse import event


class Strict(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A field that is not declared cannot be translated, and is refused by name."""


class ImageUrl(Strict):
    """Where a picture is: an address, or a ``data:`` URL. ``detail`` only tunes quality and is dropped."""

    url: str
    detail: Any = None


class ContentPart(Strict):
    """Text or a picture. ``cache_control`` is dropped: other providers cache by themselves."""

    type: Literal["text", "image_url", "refusal"]
    text: str = ""
    refusal: str = ""
    image_url: ImageUrl | None = None
    cache_control: Any = None


class FunctionCall(Strict):
    """The function in a tool call; ``arguments`` is JSON as text."""

    name: str
    arguments: str = "{}"


class ToolCall(Strict):
    """The model asked for a function."""

    function: FunctionCall
    id: str = ""
    type: Literal["function"] = "function"
    index: Any = None


class Message(Strict):
    """One message. What SDKs echo of earlier answers and carries no content is dropped."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str = ""
    reasoning_content: str | None = None
    refusal: str | None = None
    name: Any = None
    annotations: Any = None
    audio: None = None
    function_call: None = None


class Function(Strict):
    """A function the model may call."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class FunctionTool(Strict):
    """A tool; only functions exist in every dialect."""

    function: Function
    type: Literal["function"] = "function"
    cache_control: Any = None


class FunctionName(Strict):
    """Which function to call."""

    name: str


class FunctionChoice(Strict):
    """The tool that must be called."""

    function: FunctionName
    type: Literal["function"] = "function"


class JsonSchema(Strict):
    """The schema of ``response_format``."""

    name: str = "answer"
    schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(Strict):
    """How the answer is to look."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(Strict, kw_only=True):
    """All that can be translated. The last group changes no answer, or only for OpenAI itself: it is dropped."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: Literal[1] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    logprobs: Literal[False] | None = None
    modalities: list[Literal["text"]] | None = None

    stream_options: Any = None
    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    prediction: Any = None


class ChatClient:
    """Chat completions as a ``Client``."""

    def talk(self, body: bytes) -> Talk:
        asked = carried(body, ChatRequest)
        system, turns = _turns(asked.messages)
        stop = asked.stop or ()
        return Talk(
            system=system,
            turns=turns,
            tools=tuple(_tool(tool.function) for tool in asked.tools or ()),
            tool_choice=_choice(asked.tool_choice),
            parallel_tools=asked.parallel_tool_calls,
            max_tokens=asked.max_completion_tokens or asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_k=asked.top_k,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            seed=asked.seed,
            frequency_penalty=asked.frequency_penalty,
            presence_penalty=asked.presence_penalty,
            schema=_schema(asked.response_format),
            effort=asked.reasoning_effort or "",
        )

    def answer(self, call: Call, said: Said, meter: Meter) -> bytes:
        calls = [part for part in said.parts if isinstance(part, ToolUse)]
        text = "".join(part.text for part in said.parts if isinstance(part, Text))
        thoughts = "".join(part.text for part in said.parts if isinstance(part, Thought))
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None}
        if thoughts:
            message["reasoning_content"] = thoughts
        if calls:
            message["tool_calls"] = [_call(part.id, part.name, part.arguments) for part in calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish}
        shape = _envelope(call, said.id, said.model, "chat.completion", [choice])
        return msgspec.json.encode({**shape, "usage": chat_usage(meter.usage)})

    def writer(self, call: Call) -> "ChatWriter":
        return ChatWriter(call)


class ChatWriter:
    """Chunks of a chat completion."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._id = ""
        self._model = ""
        self._begun = False
        self._calls: dict[int, int] = {}

    def write(self, events: Iterable[Event]) -> bytes:
        return b"".join(self._one(event) for event in events)

    def end(self, meter: Meter) -> bytes:
        out = b""
        if self._call.wants_usage:
            shape = _envelope(self._call, self._id, self._model, "chat.completion.chunk", [])
            out = event(msgspec.json.encode({**shape, "usage": chat_usage(meter.usage)}))
        return out + event(b"[DONE]")

    def _one(self, said: Event) -> bytes:
        match said:
            case Begin():
                return self._begin(said)
            case MoreText():
                return self._delta({"content": said.text})
            case MoreThought():
                return self._delta({"reasoning_content": said.text}) if said.text else b""
            case ToolBegin():
                index = self._calls[said.index] = len(self._calls)
                return self._delta({"tool_calls": [{"index": index, **_call(said.id, said.name, "")}]})
            case MoreArguments():
                index = self._calls[said.index]
                return self._delta({"tool_calls": [{"index": index, "function": {"arguments": said.text}}]})
            case End():
                return self._delta({}, said.finish)

    def _begin(self, said: Begin) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        self._id, self._model = said.id, said.model
        return self._delta({"role": "assistant", "content": ""})

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(
            msgspec.json.encode(_envelope(self._call, self._id, self._model, "chat.completion.chunk", [choice]))
        )


def carried(body: bytes, to: type[Any]) -> Any:
    """A request whose every field can be translated. Raises ``InputError`` naming the first that cannot."""
    try:
        return decode_json(body, to)
    except InputError as problem:
        if problem.message != "unknown field":
            raise
        raise InputError(
            "cannot be translated for this model's provider",
            field=problem.field,
            value=problem.value,
            remedy="Remove it, or route this model to a provider that speaks your client's dialect",
        ) from None


def _turns(messages: list[Message]) -> tuple[str, tuple[Turn, ...]]:
    """System text, and the rest as turns in which the sides alternate."""
    system: list[str] = []
    turns: list[tuple[Literal["user", "assistant"], list[Part]]] = []
    names: dict[str, str] = {}
    for number, message in enumerate(messages):
        if message.role in ("system", "developer"):
            system.append("".join(_text(part) for part in _parts(message, number)))
            continue
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        names.update({call.id: call.function.name for call in message.tool_calls or ()})
        parts = _message_parts(message, number, names)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((role, list(parts)))
    return "\n\n".join(system), tuple(Turn(role, tuple(parts)) for role, parts in turns)


def _message_parts(message: Message, number: int, names: dict[str, str]) -> Iterable[Part]:
    content = _parts(message, number)
    if message.role == "tool":
        asked = message.tool_call_id
        return [ToolResult(asked, tuple(content), names.get(asked, ""))]
    thoughts = [Thought(message.reasoning_content)] if message.reasoning_content else []
    uses = [ToolUse(call.id, call.function.name, call.function.arguments or "{}") for call in message.tool_calls or ()]
    return [*thoughts, *content, *uses]


def _parts(message: Message, number: int) -> list[Text | Image]:
    if isinstance(message.content, str):
        return [Text(message.content)] if message.content else []
    return [_part(part, f"messages[{number}].content") for part in message.content or ()]


def _part(part: ContentPart, field: str) -> Text | Image:
    if part.type != "image_url":
        return Text(part.text or part.refusal)
    if part.image_url is None:
        raise InputError("a picture without its address", field=field, value=part.type, remedy="Set image_url.url")
    return image_of(part.image_url.url, field)


def image_of(url: str, field: str) -> Image:
    """A picture from an address or a ``data:`` URL. Raises ``InputError`` for a data URL that is not base64."""
    if not url.startswith("data:"):
        return Image(url=url)
    head, comma, data = url.partition(",")
    media_type, semicolon, encoding = head.removeprefix("data:").partition(";")
    if not comma or not semicolon or not encoding.endswith("base64"):
        raise InputError("not a base64 data URL", field=field, value=head[:60], remedy="Write data:image/png;base64,…")
    return Image(media_type=media_type, data=data)


def _text(part: Text | Image) -> str:
    if isinstance(part, Image):
        raise InputError("a picture in a system message", field="messages", value="image_url", remedy="Send it as user")
    return part.text


def _tool(function: Function) -> Tool:
    shape = Tool(name=function.name, description=function.description or "", strict=function.strict)
    if len(function.parameters) and bytes(function.parameters) != b"null":
        shape = msgspec.structs.replace(shape, parameters=function.parameters)
    return shape


def _choice(choice: str | FunctionChoice | None) -> str:
    return f"={choice.function.name}" if isinstance(choice, FunctionChoice) else choice or ""


def _schema(wanted: ResponseFormat | None) -> Schema | None:
    if wanted is None or wanted.type == "text":
        return None
    given = wanted.json_schema
    if wanted.type == "json_object" or given is None:
        return Schema()
    return Schema(given.name, given.schema, given.strict, given.description or "")


def _call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _envelope(call: Call, id: str, model: str, object: str, choices: list[Any]) -> dict[str, Any]:
    return {
        "id": id or f"chatcmpl-{call.request_id}",
        "object": object,
        "created": int(call.at.timestamp()),
        "model": model or call.model,
        "choices": choices,
    }


client = ChatClient()
