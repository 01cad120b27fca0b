"""A batch's input file, read line by line: what it asks of which models, and the most that can come to.

One line is decoded at a time, and of its request only what bounds its cost. The sums are of the same kind as those of
single requests (``wire.read``): bytes bound input tokens, a request's own cap bounds its output.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec

from farthing.core.batches import Lot
from farthing.core.decode import decode_json
from farthing.core.errors import InputError
from farthing.core.facts import Operation
from farthing.gateway.wire.images import read_images
from farthing.gateway.wire.refers import refers
from farthing.gateway.wire.tools import own_tools

MOST_REQUESTS = 50_000
"""In one batch (platform.openai.com/docs/guides/batch, November 2026)."""

ENDPOINTS: Mapping[str, tuple[Operation, str]] = {
    "/v1/chat/completions": (Operation.CHAT, "openai_chat"),
    "/v1/completions": (Operation.COMPLETION, "openai_completion"),
    "/v1/embeddings": (Operation.EMBEDDING, "openai_embedding"),
    "/v1/responses": (Operation.RESPONSE, "openai_responses"),
    "/v1/images/generations": (Operation.IMAGE, "openai_image"),
}
"""What a batch may ask for: the operation, and how its answers report usage."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class Line(msgspec.Struct, frozen=True, gc=False):
    """One request of a batch."""

    custom_id: Name
    method: str
    url: str
    body: msgspec.Raw


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What bounds the cost of one request."""

    model: Name
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    max_output_tokens: Count | None = None
    n: Count | None = None
    prompt: msgspec.Raw = msgspec.Raw()
    tools: list[msgspec.Raw] | None = None

    def cap(self, operation: Operation) -> int | None:
        """Output tokens at most, ``None`` without a cap of its own."""
        cap = self.max_output_tokens if operation is Operation.RESPONSE else self.max_completion_tokens
        cap = cap or (None if operation is Operation.RESPONSE else self.max_tokens)
        return None if not cap else cap * (self.n or 1) * self.prompts

    @property
    def prompts(self) -> int:
        """How many prompts a completion has: a list of texts is as many."""
        if not self.prompt or memoryview(self.prompt)[0] != ord("["):
            return 1
        listed = decode_json(self.prompt, list[msgspec.Raw], what="prompt")
        return len(listed) if listed and memoryview(listed[0])[0] in b'"[' else 1


def read_batch(body: bytes, start: int, end: int) -> tuple[str, tuple[Lot, ...]]:
    """The endpoint of all requests between two offsets of a body, and their sums by model.

    Raises ``InputError`` naming the line, for a line that is no request and for one that asks for something else.
    """
    lots: dict[str, Lot] = {}
    endpoint = ""
    number = 0
    for number, text in _lines(body, start, end):
        line = _read(text, number)
        endpoint = endpoint or line.url
        if line.method != "POST" or line.url != endpoint or endpoint not in ENDPOINTS:
            remedy = f"Use POST and one of {', '.join(ENDPOINTS)}, the same in all lines"
            raise InputError("not a request of this batch", field=f"line {number}", value=line.url, remedy=remedy)
        _add(lots, line, ENDPOINTS[endpoint][0], number)
    if not number:
        raise InputError("no request in it", field="file", value="", remedy="Write one JSON object on each line")
    return endpoint, tuple(lots.values())


def _lines(body: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Lines that hold something, numbered from 1 by their place among those."""
    number = 0
    while start < end:
        stop = body.find(b"\n", start, end)
        stop = end if stop < 0 else stop
        text = body[start:stop].strip()
        start = stop + 1
        if text:
            number += 1
            if number > MOST_REQUESTS:
                remedy = f"Split it into files of {MOST_REQUESTS:,} requests"
                raise InputError("too many requests", field="file", value=f"line {number}", remedy=remedy)
            yield number, text


def _read(text: bytes, number: int) -> Line:
    try:
        return decode_json(text, Line)
    except InputError as problem:
        raise _at(number, problem) from None


def _add(lots: dict[str, Lot], line: Line, operation: Operation, number: int) -> None:
    try:
        asked = decode_json(line.body, Asked)
        if operation is Operation.IMAGE:
            head = read_images(bytes(line.body), b"application/json")
            cap, size = head.output_limit, head.input_estimate
        else:
            cap, size = asked.cap(operation), len(line.body)
        unbounded = own_tools(asked.tools or ()) is not None
    except InputError as problem:
        raise _at(number, problem) from None
    old = lots.get(asked.model) or Lot(model=asked.model)
    silent = operation is Operation.EMBEDDING
    cap = cap or 0 if silent else cap
    lots[asked.model] = added(old, size, cap=cap, refers=refers(bytes(line.body)), unbounded=unbounded)


def added(lot: Lot, size: int, *, cap: int | None, refers: bool, unbounded: bool) -> Lot:
    """A lot with one more request: its bytes, its cap on output (``None`` for none), whether it refers to more, and
    whether its provider may use tools of its own.
    """
    return Lot(
        model=lot.model,
        requests=lot.requests + 1,
        input_tokens=lot.input_tokens + size,
        output_limit=lot.output_limit + (cap or 0),
        uncapped=lot.uncapped + (cap is None),
        referring=lot.referring + refers,
        unbounded=lot.unbounded + unbounded,
    )


def _at(number: int, problem: InputError) -> InputError:
    return InputError(
        problem.message, field=f"line {number}: {problem.field}", value=problem.value, remedy=problem.remedy
    )


__all__ = ["ENDPOINTS", "MOST_REQUESTS", "Count", "Name", "added", "read_batch"]
