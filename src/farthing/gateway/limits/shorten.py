"""Shortening an answer to what a limit still covers."""

import msgspec

from farthing.core.facts import Operation
from farthing.gateway.ports import Call
from farthing.gateway.wire.splice import edited, fields_of

_CAPS: dict[Operation, tuple[str, ...]] = {
    Operation.CHAT: ("max_completion_tokens", "max_tokens"),
    Operation.COMPLETION: ("max_tokens",),
    Operation.RESPONSE: ("max_output_tokens",),
    Operation.MESSAGE: ("max_tokens",),
}
"""How a request says how long its answer may be, the usual name first."""


def can_shorten(call: Call) -> bool:
    """Whether the client's request has a way to say so, and does not forbid it."""
    plain = call.most is None and not call.parts and call.own_tools is None
    return plain and call.operation in _CAPS and not call.whole


def shortened(call: Call, output: int) -> Call:
    """The call with at most ``output`` tokens over all its choices; ``x-farthing-output-capped`` tells the client."""
    each = max(1, output // call.choices)
    fields = fields_of(call.body)
    names = _CAPS[call.operation]
    present = [name for name in names if name in fields and fields[name] != b"null"] or [names[0]]
    body = edited(call.body, fields, dict.fromkeys(present, b"%d" % each))
    told = [*call.told, (b"x-farthing-output-capped", b"%d" % each)]
    return msgspec.structs.replace(call, body=body, output_limit=each * call.choices, told=told)
