"""Amazon's binary event stream: frames of headers and payload, each with two checksums.

Source: docs.aws.amazon.com/transcribe/latest/dg/event-stream.html (the same encoding for every service).
"""

import struct
from zlib import crc32

import msgspec

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_SMALLEST = _PRELUDE.size + _CHECKSUM.size
_LARGEST = 24 * 1024 * 1024
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Value sizes by header type; types 6 (bytes) and 7 (text) say their own."""
_VARIABLE = (6, 7)

BROKEN = "streamBroken"
"""The type of the event that stands for frames that cannot be read."""


class Frames:
    """Cuts the stream into JSON objects ``{TYPE: PAYLOAD}``; TYPE names the event or the exception.

    After a frame with a wrong checksum nothing can be trusted: one ``streamBroken`` event, then silence.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken = False

    def feed(self, data: bytes) -> list[bytes]:
        """The events that these bytes complete."""
        self._buffer += data
        events: list[bytes] = []
        while not self._broken and len(self._buffer) >= _PRELUDE.size:
            length, headers, checksum = _PRELUDE.unpack_from(self._buffer)
            if crc32(self._buffer[:8]) != checksum or not _SMALLEST + headers <= length <= _LARGEST:
                events.append(self._break("a frame's head has a wrong checksum"))
            elif len(self._buffer) < length:
                break
            else:
                frame = bytes(self._buffer[:length])
                del self._buffer[:length]
                events.append(self._event(frame, headers))
        return events

    def rest(self) -> bytes:
        """An unfinished frame is no event."""
        return b""

    def _event(self, frame: bytes, headers: int) -> bytes:
        if crc32(frame[:-4]) != _CHECKSUM.unpack(frame[-4:])[0]:
            return self._break("a frame has a wrong checksum")
        start = _PRELUDE.size + headers
        try:
            said = _headers(frame[_PRELUDE.size : start])
        except (IndexError, struct.error, UnicodeDecodeError, KeyError):
            return self._break("a frame's headers cannot be read")
        kind = said.get(":exception-type") or said.get(":event-type") or said.get(":error-code") or ""
        return b"{%b:%b}" % (msgspec.json.encode(kind), frame[start:-4] or b"{}")

    def _break(self, message: str) -> bytes:
        self._broken = True
        return msgspec.json.encode({BROKEN: {"message": message}})


def _headers(data: bytes) -> dict[str, str]:
    """Text headers by name; others are skipped."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name, kind = data[at + 1 : name_end].decode(), data[name_end]
        at = name_end + 1
        if kind in _VARIABLE:
            (size,) = struct.unpack_from(">H", data, at)
            at += 2
            if kind == _VARIABLE[1]:
                found[name] = data[at : at + size].decode()
        else:
            size = _SIZES[kind]
        at += size
    return found
