"""Strict decoding at the edges: unknown fields are refused, and the message names the field."""

import re
from typing import Any, TypeVar

import msgspec

from farthing.core.errors import InputError

T = TypeVar("T")

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]+)`")


def convert(value: Any, to: type[T], *, what: str = "value", strict: bool = True) -> T:
    """A plain value (dicts, lists, text) as a typed one. Raises ``InputError`` naming the field.

    Not ``strict``: a text that reads like a number or a truth value is one, as in forms.
    """
    try:
        return msgspec.convert(value, to, strict=strict)
    except msgspec.ValidationError as problem:
        raise _explained(problem, what) from None


def decode_json(text: bytes | str, to: type[T], *, what: str = "body") -> T:
    """JSON as a typed value. Raises ``InputError`` naming the field, or saying where the JSON breaks."""
    try:
        return msgspec.json.decode(text, type=to)
    except msgspec.ValidationError as problem:
        raise _explained(problem, what) from None
    except msgspec.DecodeError as problem:
        raise InputError(f"invalid JSON: {problem}", field=what, value=_head(text)) from None
    except RecursionError:
        raise InputError("nested too deeply", field=what, value=what, remedy="Nest less than 1,000 deep") from None
    except UnicodeDecodeError as problem:
        raise InputError("not UTF-8", field=what, value=f"byte {problem.start}", remedy="Encode as UTF-8") from None


def _explained(problem: msgspec.ValidationError, what: str) -> InputError:
    text = str(problem)
    where = _PATH.search(text)
    path = where["path"] if where else ""
    unknown = _UNKNOWN.search(text)
    if unknown:
        path = f"{path}.{unknown['name']}".lstrip(".")
        return InputError("unknown field", field=path, value=unknown["name"], remedy=f"Remove it from the {what}")
    return InputError(_PATH.sub("", text), field=path or what, value=what, remedy="Correct the value")


def _head(text: bytes | str) -> str:
    return (text if isinstance(text, str) else text.decode(errors="replace"))[:80]
