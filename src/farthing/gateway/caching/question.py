"""What a request asks: the digest of all that its answer depends on, and the question that may be asked otherwise.

The *key* covers the whole canonical request: object keys sorted, fields without influence on the answer left out. The
*room* covers the same without the last user message, so that two requests in one room differ in nothing but their
last question: earlier turns, system prompt, tools, sampling, response format, model and tenant are all equal.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, cast

import msgspec

from farthing.cache.entry import KEY_BYTES
from farthing.cache.settings import NamespaceSettings
from farthing.core.facts import Operation
from farthing.core.nouns import Scope
from farthing.gateway.ports import Call, Route

VERSION = "1"
"""Moves on when keys are made differently: entries of an older release are then not found."""

ALWAYS_ISOLATED = frozenset({"org", "customer"})
OPERATIONS = frozenset({Operation.CHAT, Operation.COMPLETION, Operation.RESPONSE, Operation.MESSAGE})
"""Whose answers are kept whole; embeddings are kept text by text."""

_WITHOUT_INFLUENCE = frozenset(
    {
        "model",
        "user",
        "safety_identifier",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "stream_options",
        "service_tier",
    }
)
"""Fields that do not change what is answered. The model is in the key as what its name stands for."""

_BEHAVIOR = (b"anthropic-version", b"anthropic-beta", b"openai-beta")
"""Headers that do."""

_TOOL_ROLES = ("tool", "function")
_TOOL_ITEMS = ("tool_result", "function_call_output", "computer_call_output", "mcp_call")
_TEXT_PARTS = ("text", "input_text")


class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request as the caches see it. ``question`` is empty where none can be compared with others.

    ``tenant`` names those that share what is kept, ``tools``: results of tools are in play, ``temperature`` is what
    the request says, ``None`` for nothing.
    """

    key: bytes
    room: bytes
    tenant: str
    question: str = ""
    tools: bool = False
    temperature: float | None = None
    stored: bool = False
    """The provider is to remember the answer, which only it can do."""


def asked(call: Call, route: Route, namespace: str, rules: NamespaceSettings) -> Asked | None:
    """The request's digest and question; ``None`` for a body that is no object."""
    try:
        body: Any = msgspec.json.decode(call.body)
    except msgspec.DecodeError:
        return None
    if not isinstance(body, dict):
        return None
    document = cast("dict[str, Any]", body)
    plain = {name: _plain(value) for name, value in document.items() if _matters(name, value)}
    tenant = tenant_of(call.caller.scope, rules)
    turns, question = _split(call.operation, plain)
    plain["farthing"] = [
        VERSION, call.dialect, call.operation, namespace, rules.epoch, tenant, route.models, sorted(call.tags),
        sorted(call.regions), call.wants_usage, [_header(call, name) for name in _BEHAVIOR],
    ]  # fmt: skip
    base = blake2b(_SORTED.encode(plain), digest_size=KEY_BYTES)
    room = base.copy()
    room.update(b"\0room\0" + _header(call, b"accept-language").encode())
    base.update(b"\0question\0" + question.encode())
    return Asked(
        key=base.digest(),
        room=room.digest(),
        tenant=tenant,
        question=question,
        tools=_has_tools(turns),
        temperature=_number(document.get("temperature")),
        stored=document.get("store") is True or document.get("background") is True,
    )


def glimpse(call: Call, route: Route, namespace: str, rules: NamespaceSettings) -> bytes:
    """A digest of the bytes as they came: two requests with the same one are identical. Cheap, for measuring only."""
    head = (namespace, rules.epoch, tenant_of(call.caller.scope, rules), route.models, call.operation)
    return blake2b(call.body, digest_size=16, key=blake2b(repr(head).encode(), digest_size=32).digest()).digest()


def tenant_of(scope: Scope, rules: NamespaceSettings) -> str:
    """Those that share what is kept, as JSON text of scope fields and their values."""
    names = sorted(ALWAYS_ISOLATED | rules.isolate)
    return msgspec.json.encode([(name, getattr(scope, name)) for name in names]).decode()


def _matters(name: str, value: object) -> bool:
    return value is not None and name not in _WITHOUT_INFLUENCE and not (name == "stream" and value is False)


def _plain(value: Any) -> Any:
    """1.0 and 1 are the same temperature."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _split(operation: Operation, plain: dict[str, Any]) -> tuple[list[Any], str]:
    """The turns of a conversation, and its last question, which is taken out of ``plain``."""
    field = "input" if operation is Operation.RESPONSE else "messages"
    given = plain.get(field)
    if operation is Operation.RESPONSE and isinstance(given, str):
        plain[field] = None
        return [], given
    if not isinstance(given, list) or not given:
        return [], ""
    turns = cast("list[Any]", given)
    last = turns[-1]
    if not isinstance(last, dict):
        return turns, ""
    message = cast("dict[str, Any]", last)
    text = _text(message.get("content")) if message.get("role") == "user" else ""
    if text:
        plain[field] = [*turns[:-1], {**message, "content": None}]
    return turns, text


def _text(content: Any) -> str:
    """The text of a message that is nothing but text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = cast("list[Any]", content)
    texts = [cast("dict[str, Any]", part).get("text") for part in parts if _is_text(part)]
    if len(texts) < len(parts) or not all(isinstance(text, str) for text in texts):
        return ""
    return "\n".join(cast("list[str]", texts))


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and cast("dict[str, Any]", part).get("type") in _TEXT_PARTS


def _has_tools(turns: list[Any]) -> bool:
    return any(_is_tool(cast("dict[str, Any]", turn)) for turn in turns if isinstance(turn, dict))


def _is_tool(turn: Mapping[str, Any]) -> bool:
    """Whether a turn brings what a tool said."""
    if turn.get("role") in _TOOL_ROLES or turn.get("type") in _TOOL_ITEMS:
        return True
    content = turn.get("content")
    if not isinstance(content, list):
        return False
    parts = cast("list[Any]", content)
    return any(cast("dict[str, Any]", part).get("type") in _TOOL_ITEMS for part in parts if isinstance(part, dict))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _header(call: Call, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in call.headers if name == wanted), "")


_SORTED = msgspec.json.Encoder(order="sorted")
