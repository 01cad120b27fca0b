"""Gemini's ``generateContent`` for clients of another dialect: the request written, the answer read."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from farthing.gateway.ports import Meter
from farthing.gateway.providers import _fault
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
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
}
BUDGETS = {"none": 0, "minimal": 512, "low": 1_024, "medium": 8_192, "high": 24_576}
"""Thinking tokens for OpenAI's efforts (ai.google.dev/gemini-api/docs/openai, "Thinking")."""

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


UNSIGNED = "skip_thought_signature_validator"
"""Gemini 3 wants its own signature on each function call of the past, which other dialects cannot carry; this word is
documented for such histories (ai.google.dev/gemini-api/docs/thought-signatures)."""


def body(talk: Talk, model: str) -> bytes:
    """The request in Gemini's shape. Raises ``InputError`` for what it cannot carry."""
    if talk.parallel_tools is False:
        raise uncarried("parallel_tool_calls", value=False, dialect="gemini")
    signed = model.startswith("gemini-3")
    shape: dict[str, Any] = {
        "contents": [
            {"role": "model" if turn.role == "assistant" else "user", "parts": list(_parts(turn.parts, signed=signed))}
            for turn in talk.turns
        ]
    }
    if talk.system:
        shape["systemInstruction"] = {"parts": [{"text": talk.system}]}
    if talk.tools:
        shape["tools"] = [{"functionDeclarations": [_tool(tool) for tool in talk.tools]}]
        if talk.tool_choice:
            shape["toolConfig"] = {"functionCallingConfig": _choice(talk.tool_choice)}
    config = {name: value for name, value in _config(talk).items() if value is not None}
    if config:
        shape["generationConfig"] = config
    return msgspec.json.encode(shape)


def _config(talk: Talk) -> dict[str, Any]:
    schema = talk.schema
    budget = talk.thinking or BUDGETS.get(talk.effort)
    return {
        "maxOutputTokens": talk.max_tokens,
        "temperature": talk.temperature,
        "topP": talk.top_p,
        "topK": talk.top_k,
        "stopSequences": list(talk.stop) or None,
        "seed": talk.seed,
        "frequencyPenalty": talk.frequency_penalty,
        "presencePenalty": talk.presence_penalty,
        "responseMimeType": None if schema is None else "application/json",
        "responseJsonSchema": schema.schema if schema is not None and len(schema.schema) else None,
        "thinkingConfig": None if budget is None else {"thinkingBudget": budget},
    }


def _parts(parts: Sequence[Part], *, signed: bool) -> Iterable[dict[str, Any]]:
    """Reasoning of earlier turns is left out; Gemini does not read it back as text."""
    for part in parts:
        match part:
            case Text() | Image():
                yield _plain(part)
            case ToolUse():
                call = {"functionCall": {"name": part.name, "args": object_of(part.arguments)}}
                yield {**call, "thoughtSignature": UNSIGNED} if signed else call
            case ToolResult():
                yield from _result(part)
            case Thought():
                pass


def _result(result: ToolResult) -> Iterable[dict[str, Any]]:
    """Gemini knows a result by the function's name, and wants an object."""
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    key = "error" if result.failed else "result"
    yield {"functionResponse": {"name": result.name or result.id, "response": {key: text}}}
    yield from (_plain(part) for part in result.parts if isinstance(part, Image))


def _plain(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"text": part.text}
    if part.url:
        return {"fileData": {"fileUri": part.url}}
    return {"inlineData": {"mimeType": part.media_type, "data": part.data}}


def _tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}


def _choice(choice: str) -> dict[str, Any]:
    if choice.startswith("="):
        return {"mode": "ANY", "allowedFunctionNames": [choice[1:]]}
    return {"mode": _MODES[choice]}


class _FunctionCall(msgspec.Struct, gc=False):
    name: str = ""
    args: msgspec.Raw = msgspec.Raw(b"{}")
    id: str = ""


class _Part(msgspec.Struct, gc=False, rename="camel"):
    text: str = ""
    thought: bool = False
    function_call: _FunctionCall | None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str = ""


class _Answer(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: msgspec.Raw = msgspec.Raw()
    model_version: str = ""
    response_id: str = ""
    error: Any = None


class ContentDecoder:
    """Reads Gemini's answers into neutral ones. Each event of a stream is a whole answer with only what is new."""

    flavor = "gemini"

    def __init__(self) -> None:
        self.usage = b""
        self._begun = False
        self._calls = 0

    def whole(self, data: bytes, meter: Meter) -> Said | None:
        answer = _decoded(data)
        if answer is None or answer.error or not (answer.candidates or answer.prompt_feedback):
            return None
        self._note(answer, meter)
        parts = tuple(self._said(answer))
        return Said(
            parts=parts,
            finish=self._finish(answer, meter) or "stop",
            id=answer.response_id,
            model=answer.model_version,
        )

    def event(self, data: bytes, meter: Meter) -> Sequence[Event]:
        answer = _decoded(data)
        if answer is None:
            bad_body(meter, "an event of the stream is not one of Gemini's")
            return ()
        if answer.error:
            meter.error_kind, meter.error = _fault.failure(200, data)
            return ()
        self._note(answer, meter)
        return list(self._events(answer, meter))

    def _events(self, answer: _Answer, meter: Meter) -> Iterable[Event]:
        if not self._begun:
            self._begun = True
            yield Begin(answer.response_id, answer.model_version)
        for part in self._said(answer):
            match part:
                case Text():
                    yield MoreText(part.text)
                case Thought():
                    yield MoreThought(part.text)
                case ToolUse():
                    yield ToolBegin(self._calls, part.id, part.name)
                    yield MoreArguments(self._calls, part.arguments)
        finish = self._finish(answer, meter)
        if finish is not None:
            meter.complete = True
            yield End(finish)

    def _said(self, answer: _Answer) -> Iterable[Text | Thought | ToolUse]:
        content = answer.candidates[0].content if answer.candidates else None
        for part in (content.parts if content is not None else None) or ():
            if part.function_call is not None:
                self._calls += 1
                call = part.function_call
                yield ToolUse(call.id or f"call_{self._calls}", call.name, bytes(call.args).decode())
            elif part.text:
                yield Thought(part.text) if part.thought else Text(part.text)

    def _finish(self, answer: _Answer, meter: Meter) -> Finish | None:
        if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
            meter.finish_reason = answer.prompt_feedback.block_reason
            return "content_filter"
        reason = answer.candidates[0].finish_reason if answer.candidates else None
        if not reason:
            return None
        meter.finish_reason = reason
        finish = FINISHES.get(reason, "stop")
        return "tool_calls" if finish == "stop" and self._calls else finish

    def _note(self, answer: _Answer, meter: Meter) -> None:
        meter.upstream_id = answer.response_id or meter.upstream_id
        meter.served_model = answer.model_version or meter.served_model
        if len(answer.usage_metadata):
            self.usage = bytes(answer.usage_metadata)


def _decoded(data: bytes) -> _Answer | None:
    try:
        return msgspec.json.decode(data, type=_Answer)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
