"""What the meter reads of Anthropic's messages, whole and streamed."""

import msgspec

from farthing.core.facts import ErrorKind, Operation
from farthing.gateway.ports import Meter
from farthing.gateway.providers import _fault
from farthing.gateway.providers._openai_gauge import text_bytes
from farthing.gateway.providers._passthrough import bad_body

NOTHING = msgspec.Raw()


class MessageDelta(msgspec.Struct, gc=False):
    """What an event adds; only lengths count, and why it stopped."""

    text: msgspec.Raw = NOTHING
    thinking: msgspec.Raw = NOTHING
    partial_json: msgspec.Raw = NOTHING
    stop_reason: str | None = None


class MessageBody(msgspec.Struct, gc=False):
    """A message, or the beginning of one."""

    id: str | None = None
    model: str | None = None
    content: msgspec.Raw = NOTHING
    stop_reason: str | None = None
    usage: dict[str, msgspec.Raw] | None = None
    input_tokens: int | None = None


class MessageEvent(msgspec.Struct, gc=False):
    """An event of a stream."""

    type: str = ""
    message: MessageBody | None = None
    delta: MessageDelta | None = None
    usage: dict[str, msgspec.Raw] | None = None


_decode_body = msgspec.json.Decoder(MessageBody).decode
_decode_event = msgspec.json.Decoder(MessageEvent).decode


class Tally:
    """Counts that arrive in parts: those at the start of a stream, then cumulative ones that replace them."""

    def __init__(self) -> None:
        self._counts: dict[str, msgspec.Raw] = {}

    def add(self, usage: dict[str, msgspec.Raw] | None) -> None:
        """Later counts replace earlier ones; a null says nothing."""
        for name, value in (usage or {}).items():
            if bytes(value) != b"null":
                self._counts[name] = value

    @property
    def usage(self) -> bytes:
        """The usage object as JSON; empty when none came."""
        return msgspec.json.encode(self._counts) if self._counts else b""


class MessageGauge:
    """Messages and ``count_tokens``, for clients that get them untouched."""

    flavor = "anthropic"

    def __init__(self, operation: Operation) -> None:
        self.output_bytes = 0
        self._counting = operation is Operation.COUNT_TOKENS
        self._tally = Tally()

    @property
    def usage(self) -> bytes:
        return self._tally.usage

    def body(self, data: bytes, meter: Meter) -> bool:
        try:
            answer = _decode_body(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return False
        if self._counting:
            return answer.input_tokens is not None
        if not len(answer.content):
            return False
        self.output_bytes += len(answer.content)
        self._note(answer, meter)
        return True

    def event(self, data: bytes, meter: Meter) -> bool:
        try:
            event = _decode_event(data)
        except msgspec.ValidationError:
            return True
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            bad_body(meter, "an event of the stream is not JSON")
            return True
        self._see(event, data, meter)
        return True

    def _see(self, event: MessageEvent, data: bytes, meter: Meter) -> None:
        match event.type:
            case "content_block_delta" if event.delta is not None:
                delta = event.delta
                self.output_bytes += (
                    text_bytes(delta.text) + text_bytes(delta.thinking) + text_bytes(delta.partial_json)
                )
            case "message_start" if event.message is not None:
                self._note(event.message, meter)
            case "message_delta":
                self._tally.add(event.usage)
                meter.finish_reason = (event.delta and event.delta.stop_reason) or meter.finish_reason
            case "message_stop":
                meter.complete = meter.error_kind is ErrorKind.NONE
            case "error":
                meter.error_kind, meter.error = _fault.failure(200, data)
            case _:
                pass

    def _note(self, answer: MessageBody, meter: Meter) -> None:
        meter.upstream_id = answer.id or ""
        meter.served_model = answer.model or ""
        meter.finish_reason = answer.stop_reason or ""
        self._tally.add(answer.usage)
        meter.service_tier = tier_of(answer.usage)


def tier_of(usage: dict[str, msgspec.Raw] | None) -> str:
    """The service tier, which Anthropic reports among the counts."""
    raw = bytes((usage or {}).get("service_tier", b""))
    return raw[1:-1].decode() if raw.startswith(b'"') else ""
