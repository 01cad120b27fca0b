"""OpenAI's Responses API, as a client speaks it to a provider that only has chat.

Stateless use only: a ``previous_response_id`` would need the conversation that only OpenAI keeps.
"""

from typing import Any, Literal

import msgspec

from farthing.core.errors import InputError
from farthing.gateway.ports import Call, Meter
from farthing.gateway.wire.chat import Strict, carried, image_of
from farthing.gateway.wire.neutral import (
    Image,
    Part,
    Said,
    Schema,
    Talk,
    Text,
    Thought,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from farthing.gateway.wire.response_writer import ResponseWriter, item_of, response_of


class ContentPart(Strict):
    """Text or a picture."""

    type: Literal["input_text", "output_text", "input_image", "refusal", "text", "summary_text", "reasoning_text"]
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    detail: Any = None
    annotations: Any = None
    logprobs: Any = None


class Item(Strict):
    """An item of ``input``: a message, a function call, its output, or reasoning (of which only text travels)."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["system", "developer", "user", "assistant"] = "user"
    content: str | list[ContentPart] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = "{}"
    output: str | list[ContentPart] = ""
    summary: list[ContentPart] | None = None
    encrypted_content: Any = None
    id: Any = None
    status: Any = None
    phase: Any = None


class FunctionTool(Strict):
    """A function the model may call. OpenAI's own server tools cannot be carried."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class FunctionChoice(Strict):
    """The function that must be called."""

    type: Literal["function"]
    name: str


class Format(Strict):
    """How the answer is to look."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = "answer"
    schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    description: str | None = None


class TextOptions(Strict):
    """The ``text`` object."""

    format: Format | None = None
    verbosity: Any = None


class Reasoning(Strict):
    """How much to reason."""

    effort: str | None = None
    summary: Any = None
    generate_summary: Any = None


class ResponseRequest(Strict, kw_only=True):
    """All that can be translated. The last group changes no answer, or only for OpenAI itself: it is dropped."""

    model: str
    input: str | list[Item]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: Reasoning | None = None
    background: Literal[False] | None = None
    truncation: Literal["disabled"] | None = None
    previous_response_id: None = None
    top_logprobs: Literal[0] | None = None

    include: Any = None
    metadata: Any = None
    store: Any = None
    stream_options: Any = None
    user: Any = None
    service_tier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None


class ResponseClient:
    """Responses as a ``Client``."""

    def talk(self, body: bytes) -> Talk:
        asked = carried(body, ResponseRequest)
        system, turns = _turns(asked)
        return Talk(
            system=system,
            turns=turns,
            tools=tuple(_tool(tool) for tool in asked.tools or ()),
            tool_choice=_choice(asked.tool_choice),
            parallel_tools=asked.parallel_tool_calls,
            max_tokens=asked.max_output_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            schema=_schema(asked.text),
            effort=(asked.reasoning.effort if asked.reasoning else "") or "",
        )

    def answer(self, call: Call, said: Said, meter: Meter) -> bytes:
        output = [item_of(part, number, call) for number, part in enumerate(said.parts)]
        return msgspec.json.encode(response_of(call, said.model, output, said.finish, meter.usage))

    def writer(self, call: Call) -> ResponseWriter:
        return ResponseWriter(call)


def _turns(asked: ResponseRequest) -> tuple[str, tuple[Turn, ...]]:
    system = [asked.instructions] if asked.instructions else []
    items = [Item(content=asked.input)] if isinstance(asked.input, str) else asked.input
    names = {item.call_id: item.name for item in items if item.type == "function_call"}
    turns: list[tuple[Literal["user", "assistant"], list[Part]]] = []
    for number, item in enumerate(items):
        if item.type == "message" and item.role in ("system", "developer"):
            system.append("".join(part.text for part in _parts(item.content, number) if isinstance(part, Text)))
            continue
        role: Literal["user", "assistant"] = "assistant" if _is_answer(item) else "user"
        parts = _item_parts(item, number, names)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((role, parts))
    return "\n\n".join(system), tuple(Turn(role, tuple(parts)) for role, parts in turns)


def _is_answer(item: Item) -> bool:
    return item.type in ("function_call", "reasoning") or (item.type == "message" and item.role == "assistant")


def _item_parts(item: Item, number: int, names: dict[str, str]) -> list[Part]:
    match item.type:
        case "function_call":
            return [ToolUse(item.call_id, item.name, item.arguments or "{}")]
        case "function_call_output":
            parts = tuple(_parts(item.output, number))
            return [ToolResult(item.call_id, parts, names.get(item.call_id, ""))]
        case "reasoning":
            told = [*_parts(item.content, number), *_parts(item.summary, number)]
            text = "".join(part.text for part in told if isinstance(part, Text))
            return [Thought(text)] if text else []
        case "message":
            return list(_parts(item.content, number))


def _parts(content: str | list[ContentPart] | None, number: int) -> list[Text | Image]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    return [_part(part, f"input[{number}].content") for part in content or ()]


def _part(part: ContentPart, field: str) -> Text | Image:
    if part.type != "input_image":
        return Text(part.text or part.refusal)
    if not part.image_url:
        raise InputError("a picture without its address", field=field, value=part.type, remedy="Set image_url")
    return image_of(part.image_url, field)


def _tool(tool: FunctionTool) -> Tool:
    shape = Tool(name=tool.name, description=tool.description or "", strict=tool.strict)
    if len(tool.parameters) and bytes(tool.parameters) != b"null":
        shape = msgspec.structs.replace(shape, parameters=tool.parameters)
    return shape


def _choice(choice: str | FunctionChoice | None) -> str:
    return f"={choice.name}" if isinstance(choice, FunctionChoice) else choice or ""


def _schema(options: TextOptions | None) -> Schema | None:
    wanted = options.format if options is not None else None
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return Schema()
    return Schema(wanted.name, wanted.schema, wanted.strict, wanted.description or "")


client = ResponseClient()
