"""Embeddings text by text: those that are kept are not asked for again, whoever asked first.

A request's input is taken apart, the texts that are known are answered from the cache, the others (each once, however
often it stands in the request) go to the provider, and the client gets one answer in the order of its input. Vectors
are kept as 32-bit floats, which is what providers compute and send in base64.
"""

import base64
import binascii
import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, cast

import msgspec

from farthing.cache.entry import KEY_BYTES, Entry, Kind
from farthing.cache.settings import NamespaceSettings
from farthing.core.units import INPUT, Usage
from farthing.gateway.caching.question import VERSION, tenant_of
from farthing.gateway.client import Reply
from farthing.gateway.ports import Call, Route
from farthing.gateway.wire import splice

MOST_TEXTS = 4096
_FORMATS = (None, "float", "base64")
_OK = 200


class _Input(msgspec.Struct, frozen=True, gc=False):
    input: str | list[Any]
    encoding_format: str | None = None
    dimensions: int | None = None


class _Vector(msgspec.Struct, gc=False):
    index: int
    embedding: str | list[float]


class _Answer(msgspec.Struct, gc=False):
    data: list[_Vector]
    model: str = ""
    usage: dict[str, Any] | None = None


class Wanted(msgspec.Struct, kw_only=True):
    """The texts of a request: the key of each in order, and ``items``, the first of each key as JSON.

    ``known`` are the entries that there are, their bodies vectors of little-endian 32-bit floats.
    """

    keys: list[bytes]
    items: dict[bytes, bytes]
    packed: bool
    tenant: str
    known: dict[bytes, Entry] = {}

    @property
    def missing(self) -> list[bytes]:
        """Keys of what has to be asked, each once, in order."""
        return [key for key in self.items if key not in self.known]

    @property
    def spared(self) -> int:
        """Tokens of what is known, as often as it was asked for."""
        return sum(_tokens(self.known[key]) for key in self.keys if key in self.known)


def wanted(call: Call, route: Route, namespace: str, rules: NamespaceSettings) -> Wanted | None:
    """The texts that a request wants vectors of; ``None`` when they cannot be told apart."""
    try:
        asked = msgspec.json.decode(call.body, type=_Input)
    except msgspec.DecodeError:
        return None
    items = _items(asked.input)
    if asked.encoding_format not in _FORMATS or not items or len(items) > MOST_TEXTS:
        return None
    tenant = tenant_of(call.caller.scope, rules)
    about = [
        VERSION, namespace, rules.epoch, tenant, route.models, asked.dimensions, sorted(call.tags), sorted(call.regions)
    ]  # fmt: skip
    base = blake2b(msgspec.json.encode(about), digest_size=KEY_BYTES)
    keys: list[bytes] = []
    first: dict[bytes, bytes] = {}
    for item in items:
        written = msgspec.json.encode(item)
        digest = base.copy()
        digest.update(written)
        keys.append(digest.digest())
        first.setdefault(keys[-1], written)
    return Wanted(keys=keys, items=first, packed=asked.encoding_format == "base64", tenant=tenant)


def rest_of(call: Call, texts: Wanted) -> bytes:
    """The request for what is not known."""
    body = b"[" + b",".join(texts.items[key] for key in texts.missing) + b"]"
    return splice.edited(call.body, splice.fields_of(call.body), {"input": body})


def whole_answer(texts: Wanted, model: str) -> bytes:
    """An answer of nothing but what is known; nothing was billed for it."""
    return _written(texts, {key: entry.body for key, entry in texts.known.items()}, model, {})


def fresh(texts: Wanted, reply: Reply) -> dict[bytes, bytes] | None:
    """The vectors that a provider's answer brings, by key; ``None`` for an error, or one that does not fit."""
    if reply.status != _OK:
        return None
    try:
        answer = msgspec.json.decode(reply.body, type=_Answer)
        vectors = {item.index: _bytes(item.embedding) for item in answer.data}
    except (msgspec.DecodeError, binascii.Error, struct.error, OverflowError):
        return None
    missing = texts.missing
    if sorted(vectors) != list(range(len(missing))):
        return None
    return {key: vectors[at] for at, key in enumerate(missing)}


def merged(texts: Wanted, reply: Reply, vectors: dict[bytes, bytes]) -> Reply:
    """The client's answer: what was known and what is fresh, in the order of its input; billed is the fresh."""
    answer = msgspec.json.decode(reply.body, type=_Answer)
    every = {key: entry.body for key, entry in texts.known.items()} | vectors
    body = _written(texts, every, answer.model, answer.usage or {})
    return msgspec.structs.replace(reply, body=body)


def shares(texts: Wanted, vectors: dict[bytes, bytes], tokens: int) -> dict[bytes, int]:
    """The tokens of an answer by text. A provider says only the sum; it is split by length, and adds up to it."""
    sizes = {key: len(texts.items[key]) for key in vectors}
    whole, given, passed = sum(sizes.values()), 0, 0
    found: dict[bytes, int] = {}
    for key, size in sizes.items():
        passed += size
        upto = tokens * passed // whole
        found[key], given = upto - given, upto
    return found


def spared_usage(tokens: int) -> Usage | None:
    """Input tokens that were not paid for."""
    return Usage({INPUT: tokens}) if tokens else None


def vector_entry(key: bytes, body: bytes, like: Entry, tokens: int) -> Entry:
    """A vector as it is kept; ``like`` says all that a request's vectors have in common."""
    return msgspec.structs.replace(like, key=key, kind=Kind.VECTOR, body=body, usage={INPUT.name: tokens})


def _items(given: str | list[Any]) -> Sequence[Any]:
    """The texts, or lists of token ids, one by one."""
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        return (given,)
    whole = all(isinstance(item, str) or _is_ids(item) for item in given)
    return given if whole else ()


def _is_ids(item: Any) -> bool:
    return isinstance(item, list) and all(isinstance(one, int) for one in cast("list[Any]", item))


def _tokens(entry: Entry) -> int:
    return entry.usage.get(INPUT.name, 0)


def _bytes(vector: str | list[float]) -> bytes:
    if isinstance(vector, str):
        return base64.b64decode(vector, validate=True)
    return struct.pack(f"<{len(vector)}f", *vector)


def _written(texts: Wanted, vectors: dict[bytes, bytes], model: str, usage: dict[str, Any]) -> bytes:
    said = {key: _as_asked(vectors[key], packed=texts.packed) for key in texts.items}
    data = [{"object": "embedding", "index": at, "embedding": said[key]} for at, key in enumerate(texts.keys)]
    counts = usage or {"prompt_tokens": 0, "total_tokens": 0}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": counts})


def _as_asked(vector: bytes, *, packed: bool) -> str | tuple[float, ...]:
    if packed:
        return base64.b64encode(vector).decode()
    return struct.unpack(f"<{len(vector) // 4}f", vector)
