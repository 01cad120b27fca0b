"""A conversation in no vendor's dialect, so that any client can speak to any provider.

A client's dialect is read into a ``Talk`` and written from ``Said`` or from ``Event``s; a provider's
dialect is written from a ``Talk`` and read into the same two. N clients and M providers need N + M
translations. JSON that only travels (schemas, tool arguments) stays the text it was.
"""

from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias

import msgspec

from farthing.core.errors import InputError
from farthing.gateway.ports import Call, Meter

Finish: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class Text(msgspec.Struct, frozen=True, gc=False):
    """Plain text."""

    text: str


class Image(msgspec.Struct, frozen=True, gc=False):
    """A picture: ``data`` in base64 with its ``media_type``, or the ``url`` of one."""

    media_type: str = ""
    data: str = ""
    url: str = ""


class Thought(msgspec.Struct, frozen=True, gc=False):
    """The model's reasoning, where a provider shows it. ``signature`` proves its origin to that provider."""

    text: str
    signature: str = ""


class ToolUse(msgspec.Struct, frozen=True, gc=False):
    """The model asks for a tool; ``arguments`` is a JSON object as text."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, gc=False):
    """What a tool returned. ``name`` is the tool's, which some providers want instead of the id."""

    id: str
    parts: tuple[Text | Image, ...]
    name: str = ""
    failed: bool = False


Part: TypeAlias = Text | Image | Thought | ToolUse | ToolResult


class Turn(msgspec.Struct, frozen=True):
    """One side's contribution."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


class Tool(msgspec.Struct, frozen=True):
    """A function the model may ask for; ``parameters`` is its JSON Schema."""

    name: str
    description: str = ""
    parameters: msgspec.Raw = msgspec.Raw(b'{"type":"object","properties":{}}')
    strict: bool | None = None


class Schema(msgspec.Struct, frozen=True):
    """The JSON Schema an answer must fit; an empty ``schema`` asks for any JSON object."""

    name: str = "answer"
    schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    description: str = ""


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the next turn. ``tool_choice`` is auto, none, required, or ``=NAME`` for one tool.

    ``effort`` is how much to reason (none, minimal, low, medium, high, …), ``thinking`` the same as a budget in tokens.
    """

    turns: tuple[Turn, ...]
    system: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = ""
    parallel_tools: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    schema: Schema | None = None
    effort: str = ""
    thinking: int = 0


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    parts: tuple[Text | Thought | ToolUse, ...]
    finish: Finish
    id: str = ""
    model: str = ""


class Begin(msgspec.Struct, frozen=True, gc=False):
    """The answer begins."""

    id: str = ""
    model: str = ""


class MoreText(msgspec.Struct, frozen=True, gc=False):
    """Some more text."""

    text: str


class MoreThought(msgspec.Struct, frozen=True, gc=False):
    """Some more reasoning, or its signature."""

    text: str = ""
    signature: str = ""


class ToolBegin(msgspec.Struct, frozen=True, gc=False):
    """The model starts to ask for a tool. ``index`` tells parallel ones apart."""

    index: int
    id: str
    name: str


class MoreArguments(msgspec.Struct, frozen=True, gc=False):
    """Some more of a tool's arguments, as JSON text."""

    index: int
    text: str


class End(msgspec.Struct, frozen=True, gc=False):
    """The model is done, and why."""

    finish: Finish


Event: TypeAlias = Begin | MoreText | MoreThought | ToolBegin | MoreArguments | End


class Writer(Protocol):
    """Writes an answer's events in the client's dialect. One per answer."""

    def write(self, events: Iterable[Event]) -> bytes:
        """The client's bytes for these events."""
        ...

    def end(self, meter: Meter) -> bytes:
        """The bytes that end a complete answer, counts included."""
        ...


class Client(Protocol):
    """A client's dialect for one operation: how to read its request and write its answers."""

    def talk(self, body: bytes) -> Talk:
        """The conversation in a request. Raises ``InputError`` naming a field that cannot be carried."""
        ...

    def answer(self, call: Call, said: Said, meter: Meter) -> bytes:
        """A whole answer."""
        ...

    def writer(self, call: Call) -> Writer:
        """For an answer in events."""
        ...


def uncarried(field: str, value: object, dialect: str) -> InputError:
    """The refusal of something that has no counterpart in the provider's dialect."""
    return InputError(
        f"cannot be carried to a provider that speaks {dialect}",
        field=field,
        value=value,
        remedy="Remove it, or route this model to a provider that supports it",
    )


def said_bytes(said: Said) -> int:
    """How much the model generated, for the estimate of counts."""
    return sum(
        len(part.arguments) + len(part.name) if isinstance(part, ToolUse) else len(part.text.encode())
        for part in said.parts
    )


def object_of(arguments: str) -> msgspec.Raw:
    """A tool's arguments as JSON to embed. What a model wrote that is no object is kept as one with one field."""
    text = arguments.strip().encode()
    try:
        msgspec.json.decode(text or b"{}", type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return msgspec.Raw(msgspec.json.encode({"arguments": arguments}))
    return msgspec.Raw(text or b"{}")
