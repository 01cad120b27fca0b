"""Reading an answer in one dialect and writing it in the client's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from farthing.core.facts import ErrorKind
from farthing.gateway.ports import Call, Meter, Reading, Target
from farthing.gateway.providers import _count, _fault
from farthing.gateway.providers._passthrough import EVENT_STREAM, JSON, is_stream, refusal
from farthing.gateway.wire import errors
from farthing.gateway.wire.clients import client_of
from farthing.gateway.wire.neutral import (
    Client,
    Event,
    MoreArguments,
    MoreText,
    MoreThought,
    Said,
    ToolBegin,
    Writer,
    said_bytes,
)
from farthing.gateway.wire.sse import Splitter, data_of


class Decoder(Protocol):
    """Reads one dialect's answers into neutral ones. One per answer."""

    @property
    def flavor(self) -> str:
        """How its usage object is to be read."""
        ...

    @property
    def usage(self) -> bytes:
        """The usage object as JSON; empty when none came."""
        ...

    def whole(self, data: bytes, meter: Meter) -> Said | None:
        """A whole answer; ``None`` when it is not what the dialect promises."""
        ...

    def event(self, data: bytes, meter: Meter) -> Sequence[Event]:
        """What an event of the stream adds. An error is noted in the meter."""
        ...


class Cutter(Protocol):
    """Cuts a byte stream into what ``Decoder.event`` reads."""

    def feed(self, data: bytes) -> list[bytes]: ...
    def rest(self) -> bytes: ...


def translated(
    call: Call,
    target: Target,
    decoder: Decoder,
    headers: Mapping[bytes, bytes],
    *,
    cutter: Cutter | None = None,
    unwrap: Callable[[bytes], bytes] = data_of,
) -> Reading:
    """The reading of a successful answer. ``cutter`` and ``unwrap`` are for streams other than server-sent events."""
    client = client_of(call.operation)
    assert client is not None  # noqa: S101 - ask() refused other operations
    if is_stream(call, headers):
        return TranslatedStream(call, target, decoder, client.writer(call), cutter=cutter or Splitter(), unwrap=unwrap)
    return TranslatedWhole(call, target, decoder, client)


class TranslatedWhole:
    """An answer that is read to its end and written anew."""

    def __init__(self, call: Call, target: Target, decoder: Decoder, client: Client) -> None:
        self.meter = Meter()
        self.status = 200
        self.content_type = JSON
        self._call, self._target, self._decoder, self._client = call, target, decoder, client
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        self._pieces.append(data)
        return b""

    def close(self) -> bytes:
        body = b"".join(self._pieces)
        said = self._decoder.whole(body, self.meter)
        if said is None:
            told = _fault.failure(self.status, body)
            self.meter.error_kind, self.meter.error = told
            self.status, answer = refusal(told, self._call, self._target)
            return answer
        self.meter.complete = True
        self.meter.finish_reason = self.meter.finish_reason or said.finish
        decoder = self._decoder
        _count.settle(self.meter, self._call, flavor=decoder.flavor, usage=decoder.usage, output_bytes=said_bytes(said))
        return self._client.answer(self._call, said, self.meter)


class TranslatedStream:
    """An answer in events, written anew event by event.

    A stream that begins with an error is told as an error, with its status, since none is out yet.
    """

    def __init__(
        self,
        call: Call,
        target: Target,
        decoder: Decoder,
        writer: Writer,
        *,
        cutter: Cutter,
        unwrap: Callable[[bytes], bytes],
    ) -> None:
        self.meter = Meter()
        self.status = 200
        self.content_type = EVENT_STREAM
        self._call, self._target, self._decoder = call, target, decoder
        self._writer = writer
        self._cutter, self._unwrap = cutter, unwrap
        self._output_bytes = 0
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        if self.meter.error_kind is not ErrorKind.NONE:
            return b""
        return self._written(self._cutter.feed(data))

    def close(self) -> bytes:
        rest = self._cutter.rest()
        last = self._written([rest]) if rest else b""
        decoder = self._decoder
        _count.settle(
            self.meter, self._call, flavor=decoder.flavor, usage=decoder.usage, output_bytes=self._output_bytes
        )
        if self.meter.complete:
            return last + self._writer.end(self.meter)
        return last + self._failed()

    def _written(self, blocks: list[bytes]) -> bytes:
        out: list[bytes] = []
        for block in blocks:
            data = self._unwrap(block)
            events = self._decoder.event(data, self.meter) if data else ()
            if self.meter.error_kind is not ErrorKind.NONE:
                break
            self._output_bytes += sum(map(_size, events))
            if events:
                out.append(self._writer.write(events))
        self._begun = self._begun or bool(out)
        return b"".join(out)

    def _failed(self) -> bytes:
        """The failure in the client's dialect: an event of the stream, or the whole answer when none is out."""
        early = _fault.Failure(ErrorKind.PROTOCOL, "the answer ended before it was complete")
        known = self.meter.error_kind is not ErrorKind.NONE
        told = _fault.Failure(self.meter.error_kind, self.meter.error) if known else early
        status, body = refusal(told, self._call, self._target)
        if self._begun:
            return errors.event_of(self._call.dialect, body)
        self.status, self.content_type = status, JSON
        return body


def _size(event: Event) -> int:
    match event:
        case MoreText() | MoreThought() | MoreArguments():
            return len(event.text)
        case ToolBegin():
            return len(event.name)
        case _:
            return 0
