"""Reading an answer that reaches the client as it is: measured, not re-encoded."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from farthing.core.facts import ErrorKind
from farthing.gateway.ports import Call, Meter, Target
from farthing.gateway.providers import _count, _fault
from farthing.gateway.wire import errors
from farthing.gateway.wire.sse import Splitter, data_of

JSON = b"application/json"
HTML = b"text/html"
EVENT_STREAM = b"text/event-stream"
OK = range(200, 300)


class Gauge(Protocol):
    """Reads one dialect's answers for what the meter wants."""

    @property
    def flavor(self) -> str:
        """How its usage object is to be read."""
        ...

    @property
    def usage(self) -> bytes:
        """The usage object as JSON; empty when none came."""
        ...

    @property
    def output_bytes(self) -> int:
        """Bytes of text, reasoning and tool arguments generated so far."""
        ...

    def body(self, data: bytes, meter: Meter) -> bool:
        """Read a whole answer. False when it is not what the dialect promises."""
        ...

    def event(self, data: bytes, meter: Meter) -> bool:
        """Read an event's data. False when the client must not see the event."""
        ...


def is_stream(call: Call, headers: Mapping[bytes, bytes]) -> bool:
    """Whether the answer comes in events: asked for, and not answered by one document instead."""
    content_type = headers.get(b"content-type", b"")
    return call.stream and JSON not in content_type and HTML not in content_type


class Whole:
    """An answer that is read to its end before the client sees it, so that an error under 200 can be told."""

    def __init__(self, call: Call, target: Target, gauge: Gauge, content_type: bytes = JSON) -> None:
        self.meter = Meter()
        self.status = 200
        self.content_type = content_type
        self._call, self._target, self._gauge = call, target, gauge
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        self._pieces.append(data)
        return b""

    def close(self) -> bytes:
        body = b"".join(self._pieces)
        gauge = self._gauge
        if gauge.body(body, self.meter):
            self.meter.complete = True
            _count.settle(
                self.meter,
                self._call,
                flavor=gauge.flavor,
                usage=gauge.usage,
                output_bytes=gauge.output_bytes,
            )
            return body
        told = _fault.failure(self.status, body)
        self.meter.error_kind, self.meter.error = told
        self.status, answer = refusal(told, self._call, self._target)
        return answer


class Streamed:
    """An answer in events. The client gets each byte as it came, except for events that it did not ask for.

    A stream that begins with an error is told as an error, with its status, since none is out yet.
    """

    def __init__(self, call: Call, target: Target, gauge: Gauge, *, filtering: bool) -> None:
        self.meter = Meter()
        self.status = 200
        self.content_type = EVENT_STREAM
        self._call, self._target, self._gauge = call, target, gauge
        self._splitter = Splitter()
        self._filtering = filtering
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        blocks = self._splitter.feed(data)
        kept = [block for block in blocks if self._keeps(block)]
        out = b"".join(kept) if self._filtering else data
        if not self._begun:
            if self.meter.error_kind is not ErrorKind.NONE:
                return b""
            self._begun = bool(out)
        return out

    def close(self) -> bytes:
        rest = self._splitter.rest()
        kept = not rest or self._keeps(rest)
        gauge = self._gauge
        if not (self._begun or rest or self.meter.complete):
            bad_body(self.meter, "the stream was empty")
        _count.settle(
            self.meter,
            self._call,
            flavor=gauge.flavor,
            usage=gauge.usage,
            output_bytes=gauge.output_bytes,
        )
        if not self._begun and self.meter.error_kind is not ErrorKind.NONE:
            told = _fault.Failure(self.meter.error_kind, self.meter.error)
            self.content_type = JSON
            self.status, answer = refusal(told, self._call, self._target)
            return answer
        return rest if self._filtering and kept else b""

    def _keeps(self, block: bytes) -> bool:
        data = data_of(block)
        return not data or self._gauge.event(data, self.meter)


class Refused:
    """A provider's error. One in the client's own shape is passed on untouched, others are told anew."""

    def __init__(self, call: Call, target: Target, status: int, *, native: bool, content_type: bytes = JSON) -> None:
        self.meter = Meter()
        self.status = status
        self.content_type = content_type
        self._call, self._target, self._native = call, target, native
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        self._pieces.append(data)
        return b""

    def close(self) -> bytes:
        body = b"".join(self._pieces)
        told = _fault.failure(self.status, body)
        self.meter.error_kind, self.meter.error = told
        self.meter.complete = True
        status, answer = refusal(told, self._call, self._target)
        if self._native and _is_error_of(self._call.dialect, body):
            return body
        self.status, self.content_type = status, JSON
        return answer


def refusal(told: _fault.Failure, call: Call, target: Target) -> tuple[int, bytes]:
    """A provider's failure in the client's dialect: status and body."""
    fault = errors.upstream_fault(told.kind)
    message = f"{target.provider.name}: {told.message}" if told.message else f"{target.provider.name} failed"
    return errors.tell(call.dialect, fault, message, call.request_id)


class _Error(msgspec.Struct):
    message: str
    type: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error
    type: str = ""


def _is_error_of(dialect: str, body: bytes) -> bool:
    """Whether an error's body has the shape that the dialect's SDKs read."""
    try:
        shape = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return dialect != "anthropic" or (shape.type == "error" and bool(shape.error.type))


def bad_body(meter: Meter, message: str) -> None:
    """Note that the answer is not what its dialect promises."""
    if meter.error_kind is ErrorKind.NONE:
        meter.error_kind, meter.error = ErrorKind.BAD_BODY, message
