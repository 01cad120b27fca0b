"""Reading a client's request: strict about the fields Farthing acts on, blind to all others.

Only what routing, admission and metering need is decoded; the body itself travels on untouched.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated

import msgspec

from farthing.core.decode import decode_json
from farthing.core.errors import InputError
from farthing.core.facts import Operation
from farthing.gateway.ports import Call, Caller, Headers, OwnTools
from farthing.gateway.wire.images import ImageHead, read_images
from farthing.gateway.wire.refers import refers
from farthing.gateway.wire.tools import own_tools

Count = Annotated[int, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class StreamOptions(msgspec.Struct, frozen=True, gc=False):
    """``include_usage``: the client itself wants the chunk with the token counts."""

    include_usage: bool | None = None


class Format(msgspec.Struct, frozen=True, gc=False):
    """The ``type`` of a ``response_format`` or of a Responses ``text.format``."""

    type: str = "text"


class TextOptions(msgspec.Struct, frozen=True, gc=False):
    """The ``text`` object of a Responses request."""

    format: Format | None = None


class Turn(msgspec.Struct, frozen=True, gc=False):
    """A message, or an item of a Responses ``input``: text, or a list of parts."""

    content: msgspec.Raw = msgspec.Raw()


class Part(msgspec.Struct, frozen=True, gc=False):
    """The ``type`` of a content part; a tool's result holds parts of its own."""

    type: str = ""
    content: msgspec.Raw = msgspec.Raw()


class ChatHead(msgspec.Struct, frozen=True, gc=False):
    """What Farthing reads of an OpenAI ``chat/completions`` request."""

    model: Name
    messages: list[Turn]
    stream: bool | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Count | None = None
    stream_options: StreamOptions | None = None
    tools: list[msgspec.Raw] | None = None
    modalities: list[str] | None = None
    response_format: Format | None = None


class CompletionHead(msgspec.Struct, frozen=True, gc=False):
    """What Farthing reads of an OpenAI ``completions`` request."""

    model: Name
    prompt: msgspec.Raw = msgspec.Raw()
    stream: bool | None = None
    max_tokens: Count | None = None
    n: Count | None = None
    stream_options: StreamOptions | None = None


class EmbeddingHead(msgspec.Struct, frozen=True, gc=False):
    """What Farthing reads of an OpenAI ``embeddings`` request. ``input`` may be token ids."""

    model: Name
    input: msgspec.Raw


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """What Farthing reads of an OpenAI ``responses`` request."""

    model: Name
    input: msgspec.Raw = msgspec.Raw()
    stream: bool | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: Count | None = None
    tools: list[msgspec.Raw] | None = None
    text: TextOptions | None = None


class MessageHead(msgspec.Struct, frozen=True, gc=False):
    """What Farthing reads of an Anthropic ``messages`` request."""

    model: Name
    messages: list[Turn]
    max_tokens: Count
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None


class CountHead(msgspec.Struct, frozen=True, gc=False):
    """What Farthing reads of an Anthropic ``count_tokens`` request."""

    model: Name
    messages: list[Turn]
    tools: list[msgspec.Raw] | None = None


Head = ChatHead | CompletionHead | EmbeddingHead | ResponseHead | MessageHead | CountHead | ImageHead

_IMAGES = (Operation.IMAGE, Operation.IMAGE_EDIT)
_HEADS: dict[Operation, type[Head]] = {
    Operation.CHAT: ChatHead,
    Operation.COMPLETION: CompletionHead,
    Operation.EMBEDDING: EmbeddingHead,
    Operation.RESPONSE: ResponseHead,
    Operation.MESSAGE: MessageHead,
    Operation.COUNT_TOKENS: CountHead,
}

_NOTHING: frozenset[str] = frozenset()
_MODALITIES = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
}
_BRACKET = ord("[")
_OWN = b"x-farthing-"
_SCOPE = ("org", "team", "project", "environment", "feature", "customer", "user")
_IGNORED = ("key", "request-id")
"""Own headers that other parts of the gateway read."""
_RESERVED = "label-farthing."
"""Labels that mean something to the ledger, and are not a client's to set."""


def read_call(
    operation: Operation,
    dialect: str,
    path: str,
    body: bytes,
    headers: Headers,
    *,
    request_id: str,
    at: datetime,
    caller: Caller,
) -> Call:
    """The call in a request. Raises ``InputError`` naming the field, the value and the remedy.

    ``x-farthing-team`` and its siblings (org, project, environment, feature, customer, user) say who
    pays, where the key leaves it open; ``x-farthing-tags`` and ``x-farthing-regions`` (separated by
    commas) narrow the route; ``x-farthing-label-NAME`` is kept with the request.
    """
    if operation in _IMAGES:
        head: Head = read_images(body, dict(headers).get(b"content-type", b""))
    else:
        head = decode_json(body, _HEADS[operation])
    call = Call(
        request_id=request_id,
        at=at,
        operation=operation,
        dialect=dialect,
        path=path,
        model=head.model,
        body=body,
        stream=bool(getattr(head, "stream", None)),
        wants_usage=_wants_usage(head),
        output_limit=_limit(head),
        choices=getattr(head, "n", None) or 1,
        most=head.most if isinstance(head, ImageHead) else None,
        input_estimate=head.input_estimate if isinstance(head, ImageHead) else len(body),
        needs=_needs(head),
        refers=_has_parts(head) and refers(body),
        own_tools=_own_tools(head),
        caller=caller,
        headers=headers,
    )
    apply_headers(call)
    return call


def apply_headers(call: Call, *, known: tuple[str, ...] = ()) -> None:
    """Fill in what the client's own headers say of a call. Raises ``InputError`` for one that means nothing.

    ``known`` are names of headers that whoever calls reads itself.
    """
    own = [(name[len(_OWN) :].decode("latin-1"), value) for name, value in call.headers if name.startswith(_OWN)]
    if known:
        own = [(name, value) for name, value in own if name not in known]
    category = _apply(call, own) if own else ""
    call.labels = {**call.labels, "category": call.caller.category or category or "inference"}


def _wants_usage(head: Head) -> bool:
    if not isinstance(head, ChatHead | CompletionHead) or not head.stream:
        return True
    return head.stream_options is not None and bool(head.stream_options.include_usage)


def _limit(head: Head) -> int:
    """The cap on output tokens over all choices; 0 for none."""
    match head:
        case ChatHead():
            return (head.max_completion_tokens or head.max_tokens or 0) * (head.n or 1)
        case CompletionHead():
            return (head.max_tokens or 0) * (head.n or 1)
        case ResponseHead():
            return head.max_output_tokens or 0
        case MessageHead():
            return head.max_tokens
        case ImageHead():
            return head.output_limit
        case _:
            return 0


def _needs(head: Head) -> frozenset[str]:
    """Capabilities without which the answer would be wrong."""
    found: set[str] = set()
    for turn in _turns(head):
        if _opens_list(turn.content):
            found.update(_media(turn.content))
    if getattr(head, "tools", None):
        found.add("tools")
    if isinstance(head, ChatHead) and head.modalities and "audio" in head.modalities:
        found.add("audio")
    if _format(head) == "json_schema":
        found.add("json_schema")
    return frozenset(found) if found else _NOTHING


def _own_tools(head: Head) -> OwnTools | None:
    """Those tools that the provider runs by itself."""
    if isinstance(head, ResponseHead | MessageHead) and head.tools:
        return own_tools(head.tools, head.max_tool_calls if isinstance(head, ResponseHead) else None)
    return None


def _has_parts(head: Head) -> bool:
    """Whether there is anything but plain text: only then can it point elsewhere."""
    return isinstance(head, ResponseHead) or any(_opens_list(turn.content) for turn in _turns(head))


def _turns(head: Head) -> Iterable[Turn]:
    if isinstance(head, ChatHead | MessageHead | CountHead):
        return head.messages
    if isinstance(head, ResponseHead) and _opens_list(head.input):
        return decode_json(head.input, list[Turn], what="input")
    return ()


def _opens_list(raw: msgspec.Raw) -> bool:
    return len(raw) > 0 and memoryview(raw)[0] == _BRACKET


def _media(parts: msgspec.Raw) -> Iterable[str]:
    """The modalities besides text in a list of content parts."""
    for part in decode_json(parts, list[Part], what="content"):
        if part.type in _MODALITIES:
            yield _MODALITIES[part.type]
        elif part.type == "tool_result" and _opens_list(part.content):
            yield from _media(part.content)


def _format(head: Head) -> str:
    if isinstance(head, ChatHead) and head.response_format is not None:
        return head.response_format.type
    if isinstance(head, ResponseHead) and head.text is not None and head.text.format is not None:
        return head.text.format.type
    return ""


def _apply(call: Call, own: list[tuple[str, bytes]]) -> str:
    """What the client says of itself; returns the category it names."""
    labels: dict[str, str] = {}
    finer: dict[str, str] = {}
    category = ""
    for name, raw in own:
        value = raw.decode("latin-1").strip()
        if name in _SCOPE:
            finer[name] = value
        elif name == "category":
            category = value
        elif name in _LISTS:
            _LISTS[name](call, frozenset(word.strip() for word in value.split(",") if word.strip()))
        elif name.startswith("label-") and not name.startswith(_RESERVED):
            labels[name.removeprefix("label-")] = value
        elif name not in _IGNORED:
            raise InputError(
                "unknown header",
                field=f"x-farthing-{name}",
                value=value,
                remedy=f"Known are {', '.join((*_SCOPE, 'category', *_LISTS))} and label-NAME",
            )
    call.labels = labels
    if finer:
        scope = call.caller.scope.narrowed(**finer)
        call.caller = msgspec.structs.replace(call.caller, scope=scope)
    return category


def _set_tags(call: Call, words: frozenset[str]) -> None:
    call.tags = words


def _set_regions(call: Call, words: frozenset[str]) -> None:
    call.regions = words


def _set_cap(call: Call, words: frozenset[str]) -> None:
    if not words <= {"off", "on"}:
        raise InputError(
            "on or off", field="x-farthing-cap", value=", ".join(words), remedy="Write off to refuse shorter answers"
        )
    call.whole = "off" in words


def _set_reuse(call: Call, words: frozenset[str]) -> None:
    if not words <= {"off", "on", "refresh"} or len(words) > 1:
        raise InputError(
            "on, off or refresh", field="x-farthing-cache", value=", ".join(sorted(words)),
            remedy="Write off for an answer that is neither taken from a cache nor kept, refresh for a fresh one",
        )  # fmt: skip
    call.reuse = next(iter(words - {"on"}), "")


_LISTS: dict[str, Callable[[Call, frozenset[str]], None]] = {
    "tags": _set_tags,
    "regions": _set_regions,
    "cap": _set_cap,
    "cache": _set_reuse,
}
