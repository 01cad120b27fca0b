"""What became of an order whose answer did not come: the batches at its provider that it may have made.

A batch of a file is told by its file, which no two owners share. A batch of messages has nothing of that kind. Those
come into question that nobody here has, that are as old and as large as the order; and only the results, when they are
there, say whether a batch asked what was ordered.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from farthing.app.batchreading import Account, results_of
from farthing.core.batches import ROOTS, Holding, digest

FIRST_DOUBT = timedelta(minutes=2)
"""After which an order without an answer is looked for at the provider."""

LAST_DOUBT = timedelta(minutes=15)
"""After which an order that the provider does not know was never placed."""

_PAGES = 20

Owned = Callable[[Holding], bool]
"""Whether a batch is on somebody's shelf."""


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of an order. ``running``: a batch may be it, and its results will tell."""

    found: tuple[Holding, ...] = ()
    running: bool = False


class _Page(msgspec.Struct):
    """A provider's list of batches, newest first."""

    data: list[dict[str, Any]] = []
    has_more: bool = False


class _Row(msgspec.Struct):
    """What Anthropic's list says of a batch."""

    id: str
    created_at: datetime
    request_counts: Mapping[str, int]


class _Line(msgspec.Struct):
    """A line of results."""

    custom_id: str


async def traces(account: Account, order: Holding, owned: Owned) -> Traces:
    """The batches that this order made, of which there should be one at most. Raises ``UpstreamError``."""
    if order.asks == "message_batch":
        return await _by_results(account, order, owned)
    return await _by_file(account, order, owned)


async def _by_file(account: Account, order: Holding, owned: Owned) -> Traces:
    page = _page(await account.get(f"{ROOTS['batch']}?limit=100"))
    since = order.created - FIRST_DOUBT
    for seen in page.data:
        about = datetime.fromtimestamp(int(seen.get("created_at") or 0), UTC)
        batch = _made(order, str(seen.get("id")), seen)
        if seen.get("input_file_id") == order.input and about > since and not owned(batch):
            return Traces(found=(batch,))
    return Traces()


async def _by_results(account: Account, order: Holding, owned: Owned) -> Traces:
    likely = [batch for batch in await _alike(account, order) if not owned(batch)]
    if not all(batch.done for batch in likely):
        return Traces(running=True)
    return Traces(found=tuple([batch for batch in likely if await _asked(account, batch) == order.input]))


async def _alike(account: Account, order: Holding) -> list[Holding]:
    """Batches of messages that are about as old as an order and have as many requests."""
    size = sum(lot.requests for lot in order.lots)
    first, last = order.created - FIRST_DOUBT, order.created + LAST_DOUBT
    likely: list[Holding] = []
    after = ""
    for _ in range(_PAGES):
        page = _page(await account.get(f"{ROOTS['message_batch']}?limit=1000{after}"))
        rows = [(row, seen) for seen in page.data if (row := _row(seen)) is not None]
        for row, seen in rows:
            if first < row.created_at < last and sum(row.request_counts.values()) == size:
                likely.append(_made(order, row.id, seen))
        if not (page.has_more and rows) or rows[-1][0].created_at < first:
            break
        after = f"&after_id={rows[-1][0].id}"
    return likely


async def _asked(account: Account, batch: Holding) -> str:
    """The digest of what a batch asked, empty when its results are gone."""
    names: list[str] = []
    for place in results_of(batch):
        async for lines in account.pieces(place):
            if lines is None:
                return ""
            names += [name for line in lines if (name := _name(line))]
    return digest(names)


def _made(order: Holding, id: str, seen: Mapping[str, Any]) -> Holding:
    return msgspec.structs.replace(order, id=id, kind=order.asks, seen=seen)


def _page(body: bytes | None) -> _Page:
    try:
        return msgspec.json.decode(body or b"{}", type=_Page)
    except msgspec.DecodeError:
        return _Page()


def _row(seen: Mapping[str, Any]) -> _Row | None:
    try:
        return msgspec.convert(seen, _Row)
    except msgspec.ValidationError:
        return None


def _name(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Line).custom_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


__all__ = ["FIRST_DOUBT", "LAST_DOUBT", "Traces", "traces"]
