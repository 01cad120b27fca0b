"""Token counts of an answer: the provider's when it says them, an estimate when it does not."""

import re

from farthing.catalog.usage import usage_and_cost
from farthing.core.errors import InputError
from farthing.core.facts import Operation, Source
from farthing.core.money import Money
from farthing.core.units import Usage
from farthing.gateway.ports import Call, Meter

BYTES_PER_TOKEN = 4
"""English text has about four bytes a token (help.openai.com, "What are tokens and how to count them")."""

_PICTURES = (Operation.IMAGE, Operation.IMAGE_EDIT)
"""Their tokens cannot be told from their bytes."""

_INLINE_DATA = re.compile(rb'(?:base64,|"data"\s*:\s*")[A-Za-z0-9+/=]{256,}')


def settle(meter: Meter, call: Call, *, flavor: str, usage: bytes, output_bytes: int) -> None:
    """Complete the counts of a meter. ``usage`` is the provider's usage object as JSON, empty when it sent none;
    ``output_bytes`` the length of the text, reasoning and tool arguments that it generated.
    """
    counted, cost = _reported(flavor, usage) if usage else (None, None)
    if counted is not None:
        meter.usage, meter.usage_source, meter.reported_cost = counted, Source.PROVIDER, cost
    elif call.operation is Operation.COUNT_TOKENS:
        meter.usage, meter.usage_source = Usage.tokens(), Source.PROVIDER
    elif call.operation not in _PICTURES:
        meter.usage, meter.usage_source = estimated(call, output_bytes), Source.ESTIMATED


def estimated(call: Call, output_bytes: int) -> Usage:
    """A token for every four bytes: of the request without inlined media, and of the generated text."""
    inline = sum(len(found) for found in _INLINE_DATA.findall(call.body)) if call.needs else 0
    read = max(len(call.body) - inline, 0)
    return Usage.tokens(-(-read // BYTES_PER_TOKEN), -(-output_bytes // BYTES_PER_TOKEN))


def _reported(flavor: str, usage: bytes) -> tuple[Usage | None, Money | None]:
    try:
        return usage_and_cost(flavor, usage)
    except InputError:
        return None, None
