"""What is kept of files and batches at providers: whose they are, and what a batch may cost until it is known.

A batch is charged at the most that it can cost when it is ordered, and at what it did cost when it is done.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from farthing.core.nouns import Scope

Kind = Literal["file", "batch", "order"]
"""An ``order`` is a batch that was asked for and that no provider has confirmed yet; its id is the request's."""

DONE = frozenset(("completed", "failed", "expired", "cancelled"))
"""States of a batch that it does not leave (platform.openai.com/docs/guides/batch, November 2026)."""


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """All requests for one model in a batch's input file, and the most that they can come to.

    ``input_tokens`` bounds what they read, ``output_limit`` what those with a cap may write together; ``uncapped``
    counts the others.
    """

    model: str
    requests: int = 0
    input_tokens: int = 0
    output_limit: int = 0
    uncapped: int = 0


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A file or a batch at a provider.

    ``owner`` is a digest of the scope that may see it. ``seen`` is the provider's own description of it, as it was
    last seen. Of a file: ``lots`` and ``endpoint`` are what a batch of it asks for. Of a batch: ``input`` is its input
    file; ``scope``, ``key_id``, ``labels`` and ``request_id`` are those of the request that ordered it; ``charges``
    are what it was charged, as whoever charged it wants them back.
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
        return str(self.seen.get("status", ""))

    @property
    def done(self) -> bool:
        """Whether it will not change any more."""
        return self.status in DONE

    @property
    def results(self) -> tuple[str, ...]:
        """Files that a batch has written: answers first, then errors."""
        named = (self.seen.get("output_file_id"), self.seen.get("error_file_id"))
        return tuple(str(name) for name in named if name)


class Actual(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch came to. ``cost`` is USD, ``None`` when some of it has no known price."""

    requests: int = 0
    tokens: int = 0
    cost: Decimal | None = Decimal(0)


__all__ = ["DONE", "Actual", "Holding", "Kind", "Lot"]
