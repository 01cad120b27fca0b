"""What the meter reads of answers with pictures: their token counts, or how many there are.

The gpt-image models count tokens; dall-e models are charged by the picture, its size and its quality, and report
nothing (platform.openai.com/docs/api-reference/images, November 2026).
"""

from typing import Any, cast

import msgspec

from farthing.core.facts import ErrorKind
from farthing.gateway.ports import Meter
from farthing.gateway.providers import _fault
from farthing.gateway.providers._passthrough import bad_body

_DONE = b"[DONE]"
_NULLISH = (b"", b"null")
_ENDS = ("image_generation.completed", "image_edit.completed")


class ImageBody(msgspec.Struct, gc=False):
    """An answer of ``images/generations`` and ``images/edits``, or an event of its stream."""

    type: str = ""
    data: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(ImageBody).decode


class ImageGauge:
    """Pictures, whole or streamed. ``wanted``: how many were asked for; each ends with an event that has its counts."""

    flavor = "openai_image"

    def __init__(self, wanted: int) -> None:
        self.output_bytes = 0
        self._wanted = wanted
        self._pictures = 0
        self._counts: dict[str, Any] = {}

    @property
    def usage(self) -> bytes:
        """The counts of all pictures together; their number where the provider counts nothing else."""
        if self._counts or self._pictures:
            return msgspec.json.encode({**self._counts, "pictures": self._pictures})
        return b""

    def body(self, data: bytes, meter: Meter) -> bool:
        del meter
        try:
            answer = _decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return False
        if answer.data is None or bytes(answer.error) not in _NULLISH:
            return False
        self._pictures = len(answer.data)
        self._add(answer)
        return True

    def event(self, data: bytes, meter: Meter) -> bool:
        if data == _DONE:
            return True
        try:
            answer = _decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            bad_body(meter, "an event of the stream is not JSON")
            return True
        if answer.type == "error" or bytes(answer.error) not in _NULLISH:
            meter.error_kind, meter.error = _fault.failure(200, data)
        elif answer.type in _ENDS:
            self._pictures += 1
            self._add(answer)
            meter.complete = self._pictures >= self._wanted and meter.error_kind is ErrorKind.NONE
        return True

    def _add(self, answer: ImageBody) -> None:
        if bytes(answer.usage) in _NULLISH:
            return
        reported: Any = msgspec.json.decode(answer.usage)
        if isinstance(reported, dict):
            self._counts = _summed(self._counts, cast("dict[str, Any]", reported))


def _summed(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Counts added name by name, at every depth; what is no count is the later one's."""
    both: dict[str, Any] = {**one, **other}
    for name in one.keys() & other.keys():
        a, b = one[name], other[name]
        if type(a) is type(b) is dict:
            both[name] = _summed(cast("dict[str, Any]", a), cast("dict[str, Any]", b))
        elif type(a) is type(b) is int:
            both[name] = a + b
    return both
