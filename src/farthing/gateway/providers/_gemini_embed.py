"""Embeddings of Gemini for OpenAI's clients. Gemini reports no token counts for them, so they are estimated."""

import base64
import struct
from typing import Any, Literal

import msgspec

from farthing.core.errors import InputError
from farthing.gateway.ports import Call, Meter, Target
from farthing.gateway.providers import _count, _fault
from farthing.gateway.providers._passthrough import JSON, refusal
from farthing.gateway.wire.chat import Strict, carried
from farthing.gateway.wire.counts import chat_usage


class EmbeddingRequest(Strict, kw_only=True):
    """All that can be translated; token ids cannot, since they belong to another tokenizer."""

    model: str
    input: str | list[str]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: Any = None


class _Values(msgspec.Struct, gc=False):
    values: list[float]


class _Answer(msgspec.Struct, gc=False):
    embeddings: list[_Values]


def body(call: Call, target: Target) -> bytes:
    """The request in Gemini's shape. Raises ``InputError`` for token ids."""
    asked = _asked(call)
    model = f"models/{target.model.removeprefix('models/')}"
    size = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    return msgspec.json.encode(
        {"requests": [{"model": model, "content": {"parts": [{"text": text}]}, **size} for text in texts]}
    )


def _asked(call: Call) -> EmbeddingRequest:
    try:
        return carried(call.body, EmbeddingRequest)
    except InputError as problem:
        if problem.field.startswith("input"):
            raise InputError(
                "only text can be embedded here, no token ids",
                field="input",
                value="token ids",
                remedy="Send text; with langchain set check_embedding_ctx_length=False",
            ) from None
        raise


class EmbeddingReading:
    """A whole answer, written as OpenAI's list of embeddings."""

    def __init__(self, call: Call, target: Target) -> None:
        self.meter = Meter()
        self.status = 200
        self.content_type = JSON
        self._call, self._target = call, target
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        self._pieces.append(data)
        return b""

    def close(self) -> bytes:
        body = b"".join(self._pieces)
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            told = _fault.failure(self.status, body)
            self.meter.error_kind, self.meter.error = told
            self.status, refused = refusal(told, self._call, self._target)
            return refused
        self.meter.complete = True
        self.meter.served_model = self._target.model
        _count.settle(self.meter, self._call, flavor="gemini", usage=b"", output_bytes=0)
        return self._written(answer)

    def _written(self, answer: _Answer) -> bytes:
        packed = _asked(self._call).encoding_format == "base64"
        counts = chat_usage(self.meter.usage)
        return msgspec.json.encode(
            {
                "object": "list",
                "model": self._target.model,
                "data": [
                    {"object": "embedding", "index": index, "embedding": _pack(v.values) if packed else v.values}
                    for index, v in enumerate(answer.embeddings)
                ],
                "usage": {"prompt_tokens": counts["prompt_tokens"], "total_tokens": counts["prompt_tokens"]},
            }
        )


def _pack(values: list[float]) -> str:
    """Little-endian 32-bit floats in base64, which is what OpenAI's SDKs ask for by default."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
