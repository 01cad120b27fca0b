"""What is kept of files and batches at providers: whose they are, and what a batch may cost until it is known.

A batch is charged at the most that it can cost when it is ordered, and at what it did cost when it is done.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from farthing.core.nouns import Scope

Kind = Literal["file", "batch", "message_batch", "order"]
"""A ``batch`` is OpenAI's, of the lines in a file; a ``message_batch`` is Anthropic's, of messages. An ``order`` is
either of them that was asked for and that no provider has confirmed yet; its id is the request's."""

BATCHES: tuple[Kind, ...] = ("batch", "message_batch")

MESSAGES = "/v1/messages"
"""What every request of a batch of messages asks for."""

DONE = frozenset(("completed", "failed", "expired", "cancelled", "ended"))
"""States of a batch that it does not leave: OpenAI's (platform.openai.com/docs/guides/batch), and Anthropic's one
(docs.anthropic.com/en/api/retrieving-message-batches, both November 2026)."""


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """All requests for one model in a batch, and the most that they can come to.

    ``input_tokens`` bounds what they read; ``referring`` counts those that also read what is not in them, such as a
    picture at an address. ``output_limit`` bounds what those with a cap may write together; ``uncapped`` counts the
    others. ``unbounded`` counts those whose provider may use tools of its own.
    """

    model: str
    requests: int = 0
    input_tokens: int = 0
    output_limit: int = 0
    uncapped: int = 0
    referring: int = 0
    unbounded: int = 0


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A file or a batch at a provider.

    ``owner`` is a digest of the scope that may see it. ``seen`` is the provider's own description of it, as it was
    last seen. Of a file: ``lots`` and ``endpoint`` are what a batch of it asks for. Of a batch: ``input`` is its input
    file, or the ``digest`` of a batch of messages; ``scope``, ``key_id``, ``labels`` and ``request_id`` are those of
    the request that ordered it; ``charges`` are what it was charged, as whoever charged it wants them back.
    """

    id: str
    kind: Kind
    provider: str
    owner: str
    created: datetime
    settled: datetime | None = None
    seen: Mapping[str, Any] = {}
    lots: tuple[Lot, ...] = ()
    endpoint: str = ""
    input: str = ""
    scope: Scope = Scope()
    key_id: str = ""
    labels: Mapping[str, str] = {}
    request_id: str = ""
    charges: tuple[Any, ...] = ()

    @property
    def status(self) -> str:
        """What the provider says of its state."""
        return str(self.seen.get("status") or self.seen.get("processing_status") or "")

    @property
    def done(self) -> bool:
        """Whether it will not change any more."""
        return self.status in DONE

    @property
    def asks(self) -> Kind:
        """Which kind of batch this is, or is an order of."""
        return "message_batch" if self.endpoint == MESSAGES else "batch"

    @property
    def place(self) -> str:
        """Where a batch is, below its provider's address."""
        return f"{ROOTS[self.asks]}/{self.id}"

    @property
    def results(self) -> tuple[str, ...]:
        """Files that a batch has written: answers first, then errors."""
        named = (self.seen.get("output_file_id"), self.seen.get("error_file_id"))
        return tuple(str(name) for name in named if name)


ROOTS: Mapping[Kind, str] = {"batch": "/batches", "message_batch": "/messages/batches"}
"""Where providers have batches, below their addresses."""


def digest(custom_ids: Iterable[str]) -> str:
    """What tells a batch of messages from others: its requests' ids in any order, since it has no name of its own."""
    return hashlib.sha256("\n".join(sorted(custom_ids)).encode()).hexdigest()


class Actual(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch came to. ``cost`` is USD, ``None`` when some of it has no known price."""

    requests: int = 0
    tokens: int = 0
    cost: Decimal | None = Decimal(0)


__all__ = ["BATCHES", "DONE", "MESSAGES", "ROOTS", "Actual", "Holding", "Kind", "Lot", "digest"]
