"""JSON as the API sends it: money in fixed point, never ``1.5E-7``."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec

_ENCODER = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """JSON with every ``Decimal`` as a fixed-point string and every other value as msgspec has it."""
    return _ENCODER.encode(plain(value))


def plain(value: object) -> Any:
    """The value as dicts, lists and text, decimals in fixed point."""
    return _fixed(msgspec.to_builtins(value, builtin_types=(Decimal,)))


def fixed(amount: Decimal) -> str:
    """A decimal in fixed point, with the places it has."""
    return f"{amount:f}"


def _fixed(value: Any) -> Any:
    if type(value) is Decimal:
        return fixed(value)
    if type(value) is dict:
        return {key: _fixed(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_fixed(item) for item in cast("list[Any]", value)]
    return value
