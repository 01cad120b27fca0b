"""What the meter reads of OpenAI's answers: chat, completions, embeddings and responses, whole and streamed."""

from typing import Any

import msgspec

from farthing.core.facts import ErrorKind, Operation
from farthing.gateway.ports import Meter
from farthing.gateway.providers import _fault
from farthing.gateway.providers._passthrough import bad_body

DONE = b"[DONE]"
NOTHING = msgspec.Raw()
_QUOTE = ord('"')
_NULLISH = (b"", b"null")


class Delta(msgspec.Struct, gc=False):
    """What a chunk adds. Raw, because only its length counts."""

    content: msgspec.Raw = NOTHING
    reasoning_content: msgspec.Raw = NOTHING
    reasoning: msgspec.Raw = NOTHING
    tool_calls: msgspec.Raw = NOTHING


class Choice(msgspec.Struct, gc=False):
    """One choice of a chunk or of an answer."""

    delta: Delta | None = None
    message: Delta | None = None
    text: msgspec.Raw = NOTHING
    finish_reason: str | None = None


class GroqTail(msgspec.Struct, gc=False):
    """Groq's place for the counts of a stream."""

    usage: msgspec.Raw = NOTHING


class Chunk(msgspec.Struct, gc=False):
    """A chunk or an answer of chat, completions and embeddings."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    data: msgspec.Raw = NOTHING
    usage: msgspec.Raw = NOTHING
    x_groq: GroqTail | None = None
    error: msgspec.Raw = NOTHING
    service_tier: str | None = None


_decode_chunk = msgspec.json.Decoder(Chunk).decode


class ChatGauge:
    """Chat and completions, and whole embeddings. ``strip``: the client did not ask for the usage chunk.
    ``flavor`` is the vendor's own way to report usage, if it has one.
    """

    def __init__(self, operation: Operation, *, strip: bool, flavor: str = "") -> None:
        self.flavor = flavor or _FLAVORS[operation]
        self.usage = b""
        self.output_bytes = 0
        self._embeds = operation is Operation.EMBEDDING
        self._strip = strip

    def body(self, data: bytes, meter: Meter) -> bool:
        try:
            answer = _decode_chunk(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return False
        if (not answer.data if self._embeds else answer.choices is None) or _said(answer.error):
            return False
        self._note(answer, meter)
        return True

    def event(self, data: bytes, meter: Meter) -> bool:
        if data == DONE:
            meter.complete = meter.error_kind is ErrorKind.NONE
            return True
        try:
            chunk = _decode_chunk(data)
        except msgspec.ValidationError:
            return True
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            bad_body(meter, "an event of the stream is not JSON")
            return True
        if chunk.error and _said(chunk.error):
            meter.error_kind, meter.error = _fault.failure(200, data)
            return True
        self._note(chunk, meter)
        return not (self._strip and chunk.choices == [] and _said(chunk.usage))

    def _note(self, chunk: Chunk, meter: Meter) -> None:
        if not meter.upstream_id:
            meter.upstream_id = chunk.id or ""
        if not meter.served_model:
            meter.served_model = chunk.model or ""
        for choice in chunk.choices or ():
            self._measure(choice)
            if choice.finish_reason:
                meter.finish_reason = choice.finish_reason
        if chunk.usage and _said(chunk.usage):
            self.usage = bytes(chunk.usage)
        elif chunk.x_groq is not None and _said(chunk.x_groq.usage):
            self.usage = bytes(chunk.x_groq.usage)
        if chunk.service_tier:
            meter.service_tier = chunk.service_tier

    def _measure(self, choice: Choice) -> None:
        said = choice.delta or choice.message
        if said is None:
            self.output_bytes += text_bytes(choice.text)
            return
        self.output_bytes += text_bytes(said.content)
        if said.reasoning_content or said.reasoning:
            self.output_bytes += text_bytes(said.reasoning_content) or text_bytes(said.reasoning)
        if said.tool_calls and _said(said.tool_calls):
            self.output_bytes += len(said.tool_calls)


_FLAVORS = {
    Operation.CHAT: "openai_chat",
    Operation.COMPLETION: "openai_completion",
    Operation.EMBEDDING: "openai_embedding",
}


class ResponseBody(msgspec.Struct, gc=False):
    """An object of the Responses API."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: msgspec.Raw = NOTHING
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING
    incomplete_details: dict[str, Any] | None = None
    service_tier: str | None = None


class ResponseEvent(msgspec.Struct, gc=False):
    """A typed event of a Responses stream."""

    type: str = ""
    delta: msgspec.Raw = NOTHING
    response: msgspec.Raw = NOTHING


_decode_event = msgspec.json.Decoder(ResponseEvent).decode
_decode_response = msgspec.json.Decoder(ResponseBody).decode
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


class ResponseGauge:
    """The Responses API. Its last event holds the whole response with its counts."""

    flavor = "openai_responses"

    def __init__(self) -> None:
        self.usage = b""
        self.output_bytes = 0

    def body(self, data: bytes, meter: Meter) -> bool:
        try:
            answer = _decode_response(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return False
        if not answer.output:
            return False
        self.output_bytes += len(answer.output)
        self._note(answer, meter)
        return True

    def event(self, data: bytes, meter: Meter) -> bool:
        if data == DONE:
            return True
        try:
            event = _decode_event(data)
            if event.delta:
                self.output_bytes += text_bytes(event.delta)
            elif event.type in _ENDS or event.type == "response.created":
                self._note(_decode_response(event.response), meter)
                meter.complete = event.type in _ENDS
        except msgspec.ValidationError:
            return True
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            bad_body(meter, "an event of the stream is not JSON")
            return True
        if event.type == "error":
            meter.error_kind, meter.error = _fault.failure(200, data)
        return True

    def _note(self, answer: ResponseBody, meter: Meter) -> None:
        meter.upstream_id = answer.id or meter.upstream_id
        meter.served_model = answer.model or meter.served_model
        if answer.status in ("completed", "incomplete", "failed", "cancelled"):
            reason = (answer.incomplete_details or {}).get("reason")
            meter.finish_reason = str(reason or answer.status)
        if answer.usage and _said(answer.usage):
            self.usage = bytes(answer.usage)
        if answer.error and _said(answer.error):
            told = _fault.failure(200, b'{"error":' + bytes(answer.error) + b"}")
            meter.error_kind = told.kind if told.kind is not ErrorKind.BAD_BODY else ErrorKind.SERVER
            meter.error = told.message
        meter.service_tier = answer.service_tier or meter.service_tier


def text_bytes(raw: msgspec.Raw) -> int:
    """The length of a JSON string without its quotes; 0 for null and absence."""
    size = len(raw)
    if size < 2 or memoryview(raw)[0] != _QUOTE:  # noqa: PLR2004 - two quotes
        return 0
    return size - 2


def _said(raw: msgspec.Raw) -> bool:
    """Whether a field is there and not null."""
    return len(raw) > 0 and bytes(raw) not in _NULLISH
