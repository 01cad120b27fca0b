"""What the client was told, read from the bytes that it got: the text, and whether the model chose to end there."""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from farthing.core.facts import Operation
from farthing.gateway.wire.sse import Splitter, data_of

LONGEST_TEXT = 64 * 1024
"""Characters of an answer's text that are looked at."""

_ENDS = frozenset({"stop", "tool_calls", "function_call", "end_turn", "stop_sequence", "tool_use", "completed"})
"""Ends that the model chose. Others cut an answer off, or say that it was filtered."""


class Said(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An answer's ``text``. ``whole``: it ended because the model was done. ``tools``: it calls tools."""

    text: str = ""
    whole: bool = False
    refused: bool = False
    tools: bool = False


class Reader(Protocol):
    """Reads an answer's JSON documents: one, or a stream's events."""

    def __call__(self, parts: Iterable[bytes], *, stream: bool) -> Said: ...


class _Message(msgspec.Struct, frozen=True, gc=False):
    content: Any = None
    refusal: str | None = None
    tool_calls: list[msgspec.Raw] | None = None


class _Choice(msgspec.Struct, frozen=True, gc=False):
    index: int = 0
    message: _Message = _Message()
    delta: _Message = _Message()
    text: str = ""
    finish_reason: str | None = None


class _Chat(msgspec.Struct, frozen=True, gc=False):
    choices: list[_Choice] = []


class _Block(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    text: str = ""


class _Delta(msgspec.Struct, frozen=True, gc=False):
    text: str = ""
    stop_reason: str | None = None


class _Claude(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    content: list[_Block] = []
    content_block: _Block = _Block()
    delta: _Delta = _Delta()
    stop_reason: str | None = None


class _Item(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    content: list[_Block] | None = None


class _Response(msgspec.Struct, frozen=True, gc=False):
    status: str | None = None
    output: list[_Item] = []


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    response: _Response = _Response()


def said(operation: Operation, body: bytes, *, stream: bool) -> Said:
    """What an answer says. One that cannot be read is not whole."""
    read = _READERS.get(operation)
    if read is None:
        return Said()
    try:
        return read(_events(body) if stream else (body,), stream=stream)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Said()


def _events(body: bytes) -> Iterable[bytes]:
    splitter = Splitter()
    blocks = [*splitter.feed(body), splitter.rest()]
    return (data for block in blocks if (data := data_of(block)) and data != b"[DONE]")


def _chat(parts: Iterable[bytes], *, stream: bool) -> Said:
    """Chat completions and completions: every choice has to end well."""
    texts: list[str] = []
    ends: dict[int, str] = {}
    refused = tools = False
    for part in parts:
        for choice in msgspec.json.decode(part, type=_Chat).choices:
            message = choice.delta if stream else choice.message
            ends.setdefault(choice.index, "")
            texts.append(choice.text)
            if isinstance(message.content, str):
                texts.append(message.content)
            refused = refused or bool(message.refusal)
            tools = tools or bool(message.tool_calls)
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    whole = bool(ends) and all(end in _ENDS for end in ends.values())
    return Said(text=_joined(texts), whole=whole, refused=refused, tools=tools)


def _claude(parts: Iterable[bytes], *, stream: bool) -> Said:
    """Anthropic's messages, whole or as events."""
    texts: list[str] = []
    end, tools, stopped = "", False, not stream
    for part in parts:
        piece = msgspec.json.decode(part, type=_Claude)
        blocks = [*piece.content, piece.content_block]
        texts += [block.text for block in blocks]
        texts.append(piece.delta.text)
        tools = tools or any(block.type.endswith("tool_use") for block in blocks)
        end = piece.stop_reason or piece.delta.stop_reason or end
        stopped = stopped or piece.type == "message_stop"
    return Said(text=_joined(texts), whole=stopped and end in _ENDS, refused=end == "refusal", tools=tools)


def _response(parts: Iterable[bytes], *, stream: bool) -> Said:
    """OpenAI's responses: a stream ends with an event that holds the whole answer."""
    answer = _Response()
    for part in parts:
        if not stream:
            answer = msgspec.json.decode(part, type=_Response)
        elif b"response.completed" in part[:200]:
            answer = msgspec.json.decode(part, type=_Event).response
    blocks = [block for item in answer.output for block in item.content or ()]
    return Said(
        text=_joined([block.text for block in blocks]),
        whole=answer.status in _ENDS,
        refused=any(block.type == "refusal" for block in blocks),
        tools=any(item.type.endswith("_call") for item in answer.output),
    )


def _joined(texts: list[str]) -> str:
    return "".join(texts)[:LONGEST_TEXT]


_READERS: dict[Operation, Reader] = {
    Operation.CHAT: _chat,
    Operation.COMPLETION: _chat,
    Operation.MESSAGE: _claude,
    Operation.RESPONSE: _response,
}
