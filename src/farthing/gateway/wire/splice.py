"""Changing a few top-level fields of a JSON object without re-encoding it.

Field order, white space, unknown fields, number formats and everything nested stay as the client wrote
them, byte for byte.
"""

import re
from collections.abc import Mapping

import msgspec

Fields = dict[str, msgspec.Raw]
"""Top-level fields in order, each value as its own bytes."""

_OPENING = re.compile(rb"\s*\{")
_KEY = re.compile(rb'[\s,]*("(?:[^"\\]|\\.)*")\s*:\s*')
_CLOSING = re.compile(rb"\s*\}\s*")


def fields_of(body: bytes) -> Fields:
    """The top-level fields of a body that was read before."""
    return msgspec.json.decode(body, type=Fields)


def renamed(body: bytes, model: str) -> bytes:
    """The body with another ``model``."""
    return edited(body, fields_of(body), {"model": msgspec.json.encode(model)})


def usage_asked(fields: Fields) -> bytes:
    """``stream_options`` that ask for the chunk with the token counts, the client's other options kept."""
    if "stream_options" not in fields:
        return b'{"include_usage":true}'
    options = msgspec.json.decode(fields["stream_options"], type=Fields | None)
    return msgspec.json.encode({**(options or {}), "include_usage": True})


def edited(body: bytes, fields: Fields, changes: Mapping[str, bytes], *, strip: frozenset[str] = frozenset()) -> bytes:
    """The body with some top-level fields set, added in front, or stripped.

    Where fields are stripped, a key was written twice (the last one counts) or there is none, white space
    between top-level fields is lost.
    """
    spans = None if not fields or strip & fields.keys() else _spans(body, fields)
    if spans is None:
        kept = {name: value for name, value in fields.items() if name not in strip}
        return msgspec.json.encode({**kept, **{name: msgspec.Raw(value) for name, value in changes.items()}})
    opening = body.index(b"{") + 1
    added = b"".join(b'"%b":%b,' % (name.encode(), value) for name, value in changes.items() if name not in spans)
    whole = memoryview(body)
    pieces: list[bytes | memoryview] = [whole[:opening], added]
    at = opening
    for start, end, value in sorted((*spans[name], value) for name, value in changes.items() if name in spans):
        pieces += (whole[at:start], value)
        at = end
    return b"".join((*pieces, whole[at:]))


def _spans(body: bytes, fields: Fields) -> dict[str, tuple[int, int]] | None:
    """Where each value begins and ends; ``None`` unless the fields are exactly those written, each once.

    The values' lengths are known, so that long ones are compared and not scanned; of a large body one
    copy is made and no more.
    """
    opening = _OPENING.match(body)
    if opening is None:
        return None
    spans: dict[str, tuple[int, int]] = {}
    at = opening.end()
    for name, value in fields.items():
        key = _KEY.match(body, at)
        if key is None or _name(key[1]) != name:
            return None
        start, at = key.end(), key.end() + len(value)
        if not body.startswith(value, start):
            return None
        spans[name] = (start, at)
    return spans if _CLOSING.fullmatch(body, at) else None


def _name(key: bytes) -> str:
    return msgspec.json.decode(key, type=str) if b"\\" in key else key[1:-1].decode()
