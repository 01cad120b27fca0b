"""The OpenAI dialect: chat completions, completions, embeddings, responses and images.

Spoken by OpenAI, Azure, vLLM, Ollama, llama.cpp, Groq, OpenRouter and most others; what sets them apart
is a row of ``vendors.toml``. A client that speaks it too gets bytes through unchanged, except for the
model's name and the usage chunk. Source: platform.openai.com/docs/api-reference.
"""

from collections.abc import Mapping

import msgspec

from farthing.core.facts import Operation
from farthing.core.nouns import Terms
from farthing.gateway.ports import Ask, Call, Provider, Reading, Target
from farthing.gateway.providers import _openai_chat, _passthrough
from farthing.gateway.providers._openai_gauge import ChatGauge, ResponseGauge
from farthing.gateway.providers._openai_images import ImageGauge
from farthing.gateway.providers._translate import translated
from farthing.gateway.providers._upstream import cannot, content_type_of, picked, post
from farthing.gateway.vendors import Vendor, vendor
from farthing.gateway.wire import splice
from farthing.gateway.wire.clients import client_of
from farthing.gateway.wire.images import pictures_of, renamed_form

_PATHS = {
    Operation.CHAT: "/chat/completions",
    Operation.COMPLETION: "/completions",
    Operation.EMBEDDING: "/embeddings",
    Operation.RESPONSE: "/responses",
    Operation.IMAGE: "/images/generations",
    Operation.IMAGE_EDIT: "/images/edits",
}
_IMAGES = (Operation.IMAGE, Operation.IMAGE_EDIT)
_FORWARDED = frozenset((b"openai-beta", b"x-client-request-id"))
_AZURE_VERSION = "2024-10-21"
_NOTHING: frozenset[str] = frozenset()
_TIERS = {Terms.FLEX: b'"flex"', Terms.PRIORITY: b'"priority"'}
"""Terms that a target buys under, as ``service_tier`` (platform.openai.com/docs/guides/flex-processing)."""

_TIERED = (Operation.CHAT, Operation.RESPONSE)
_CAPS = ("max_tokens", "max_completion_tokens")


class OpenAI:
    """``plugin`` of this module."""

    name = "openai"

    def ask(self, call: Call, target: Target) -> Ask:
        row = vendor(target.provider.vendor)
        if _native(call, row):
            path, body = _PATHS[call.operation], _body(call, target, row)
        elif client_of(call.operation) is not None:
            path, body = _PATHS[Operation.CHAT], _openai_chat.body(call, target, row)
        else:
            raise cannot(call, self.name)
        place = _azure(target, path) if row.paths == "azure" else path
        content_type = content_type_of(call) if call.operation in _IMAGES else _passthrough.JSON
        return post(target.provider, place, body, forward=picked(call, _FORWARDED), content_type=content_type)

    def reading(self, call: Call, target: Target, status: int, headers: Mapping[bytes, bytes]) -> Reading:
        row = vendor(target.provider.vendor)
        native = _native(call, row)
        content_type = headers.get(b"content-type", _passthrough.JSON)
        if status not in _passthrough.OK:
            ours = call.dialect == self.name
            return _passthrough.Refused(call, target, status, native=ours, content_type=content_type)
        if not native:
            return translated(call, target, _openai_chat.ChatDecoder(row.usage), headers)
        strip = not call.wants_usage
        if call.operation is Operation.RESPONSE:
            gauge = ResponseGauge()
        elif call.operation in _IMAGES:
            gauge = ImageGauge(pictures_of(call.body, content_type_of(call)))
        else:
            gauge = ChatGauge(call.operation, strip=strip, flavor=row.usage)
        if _passthrough.is_stream(call, headers):
            return _passthrough.Streamed(call, target, gauge, filtering=strip)
        return _passthrough.Whole(call, target, gauge)


def _native(call: Call, row: Vendor) -> bool:
    return call.operation in _PATHS and (call.operation is not Operation.RESPONSE or row.responses)


def _body(call: Call, target: Target, row: Vendor) -> bytes:
    """The client's body with as few bytes changed as the upstream needs; mostly none."""
    renames = target.model != call.model
    asks = call.stream and not call.wants_usage and row.include_usage
    adapts = call.operation is Operation.CHAT and (row.max_tokens or row.strip)
    tier = _TIERS.get(target.terms) if call.operation in _TIERED else None
    if not (renames or asks or adapts or tier):
        return call.body
    if call.operation in _IMAGES and content_type_of(call) != _passthrough.JSON:
        return renamed_form(call.body, content_type_of(call), target.model)
    fields = splice.fields_of(call.body)
    changes: dict[str, bytes] = {"model": msgspec.json.encode(target.model)} if renames else {}
    if tier:
        changes["service_tier"] = tier
    if asks:
        changes["stream_options"] = splice.usage_asked(fields)
    strip = _adapt(fields, changes, row) if adapts else _NOTHING
    return splice.edited(call.body, fields, changes, strip=strip) if changes or strip else call.body


def _adapt(fields: splice.Fields, changes: dict[str, bytes], row: Vendor) -> frozenset[str]:
    """Give the output cap this vendor's name for it; returns the fields that it refuses."""
    unwanted = row.strip & fields.keys()
    for other in _CAPS:
        if row.max_tokens and other != row.max_tokens and other in fields:
            unwanted |= {other}
            if row.max_tokens not in fields:
                changes[row.max_tokens] = bytes(fields[other])
    return unwanted


def _azure(target: Target, path: str) -> str:
    """Azure's newer addresses end in ``/openai/v1`` and read the model from the body; older ones name a deployment
    and an API version (learn.microsoft.com/azure/ai-services/openai/reference).
    """
    if _is_v1(target.provider):
        return path
    return f"/openai/deployments/{target.model}{path}?api-version={_AZURE_VERSION}"


def _is_v1(provider: Provider) -> bool:
    return provider.base_url.endswith("/openai/v1")


plugin = OpenAI()
