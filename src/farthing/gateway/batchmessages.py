"""The requests of a batch of messages, as a client sends them: what they ask of which models, and the most that can
come to.

Source: docs.anthropic.com/en/api/creating-message-batches (November 2026). The sums are of the same kind as those of
single requests (``wire.read``).
"""

from typing import Annotated

import msgspec

from farthing.core.batches import Lot, digest
from farthing.core.decode import decode_json
from farthing.core.errors import InputError
from farthing.gateway.batchfile import Count, Name, added
from farthing.gateway.wire.refers import refers
from farthing.gateway.wire.tools import own_tools

MOST_REQUESTS = 100_000
MOST_BYTES = 256_000_000


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One request of a batch."""

    custom_id: Name
    params: msgspec.Raw


class Asks(msgspec.Struct, frozen=True, gc=False):
    """What Farthing reads of an order."""

    requests: Annotated[list[Ask], msgspec.Meta(min_length=1)]


class Params(msgspec.Struct, frozen=True, gc=False):
    """What bounds the cost of one request, and what a batch cannot do."""

    model: Name
    max_tokens: Count | None = None
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None


class Batch(msgspec.Struct, frozen=True):
    """What an order comes to. ``digest`` tells it from other orders; ``places`` is where each model is first asked."""

    lots: tuple[Lot, ...]
    digest: str
    places: tuple[int, ...]


def read_messages(body: bytes) -> Batch:
    """What is ordered. Raises ``InputError`` naming the request, by its place from 0 as Anthropic's errors do."""
    requests = decode_json(body, Asks).requests
    if len(requests) > MOST_REQUESTS:
        remedy = f"Order batches of {MOST_REQUESTS:,} requests"
        raise InputError("too many requests", field="requests", value=f"{len(requests):,}", remedy=remedy)
    lots: dict[str, Lot] = {}
    seen: dict[str, int] = {}
    places: dict[str, int] = {}
    for place, ask in enumerate(requests):
        first = seen.setdefault(ask.custom_id, place)
        if first != place:
            raise InputError(
                f"requests.{first} has it too",
                field=f"requests.{place}.custom_id",
                value=ask.custom_id,
                remedy="Give each request of the batch an id of its own",
            )
        model = _add(lots, bytes(ask.params), place)
        places.setdefault(model, place)
    return Batch(lots=tuple(lots.values()), digest=digest(seen), places=tuple(places.values()))


def _add(lots: dict[str, Lot], params: bytes, place: int) -> str:
    """Count one request; its model."""
    field = f"requests.{place}.params"
    try:
        asked = decode_json(params, Params)
        unbounded = own_tools(asked.tools or ()) is not None
    except InputError as problem:
        raise InputError(
            problem.message, field=f"{field}.{problem.field}", value=problem.value, remedy=problem.remedy
        ) from None
    if asked.stream:
        remedy = "Leave it out; a batch's answers are downloaded when it has ended"
        raise InputError("nothing streams in a batch", field=f"{field}.stream", value=True, remedy=remedy)
    old = lots.get(asked.model) or Lot(model=asked.model)
    cap = asked.max_tokens or None
    lots[asked.model] = added(old, len(params), cap=cap, refers=refers(params), unbounded=unbounded)
    return asked.model


__all__ = ["MOST_BYTES", "MOST_REQUESTS", "Batch", "read_messages"]
