"""Anthropic's messages and token counting.

A client that speaks them too gets bytes through unchanged, except for the model's name. Source:
docs.anthropic.com/en/api/messages and /messages-streaming.
"""

from collections.abc import Mapping

from farthing.core.facts import Operation
from farthing.gateway.ports import Ask, Call, Headers, Reading, Target
from farthing.gateway.providers import _anthropic_messages, _passthrough
from farthing.gateway.providers._anthropic_gauge import MessageGauge
from farthing.gateway.providers._translate import translated
from farthing.gateway.providers._upstream import cannot, picked, post
from farthing.gateway.wire import splice
from farthing.gateway.wire.clients import client_of

_PATHS = {Operation.MESSAGE: "/messages", Operation.COUNT_TOKENS: "/messages/count_tokens"}
_FORWARDED = frozenset((b"anthropic-version", b"anthropic-beta"))
VERSION = (b"anthropic-version", b"2023-06-01")
"""Without this header Anthropic answers nothing."""


class Anthropic:
    """``plugin`` of this module."""

    name = "anthropic"

    def ask(self, call: Call, target: Target) -> Ask:
        if call.operation in _PATHS:
            body = call.body if target.model == call.model else splice.renamed(call.body, target.model)
            return post(target.provider, _PATHS[call.operation], body, forward=headers_of(call))
        client = client_of(call.operation)
        if client is None:
            raise cannot(call, self.name)
        body = _anthropic_messages.body(client.talk(call.body), call, target)
        return post(target.provider, _PATHS[Operation.MESSAGE], body, forward=[VERSION])

    def reading(self, call: Call, target: Target, status: int, headers: Mapping[bytes, bytes]) -> Reading:
        native = call.operation in _PATHS
        if status not in _passthrough.OK:
            content_type = headers.get(b"content-type", _passthrough.JSON)
            return _passthrough.Refused(call, target, status, native=native, content_type=content_type)
        if not native:
            return translated(call, target, _anthropic_messages.MessageDecoder(), headers)
        gauge = MessageGauge(call.operation)
        if _passthrough.is_stream(call, headers):
            return _passthrough.Streamed(call, target, gauge, filtering=False)
        return _passthrough.Whole(call, target, gauge)


def headers_of(call: Call) -> Headers:
    """The client's headers that travel on."""
    headers = picked(call, _FORWARDED)
    if all(name != VERSION[0] for name, _ in headers):
        headers.append(VERSION)
    return headers


plugin = Anthropic()
