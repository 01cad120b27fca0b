"""A worker's shelf of files and batches: the state store, opened by the first request for one."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from farthing.core.batches import Holding, Kind

if TYPE_CHECKING:
    from farthing.state.batches import Batches
    from farthing.state.store import Store


class StoreShelf:
    """The gateway's ``Shelf`` in a state store. Safe to share between threads."""

    def __init__(self, open_store: "Callable[[], Store]") -> None:
        self._open = open_store
        self._store: Store | None = None
        self._lock = threading.Lock()

    def add(self, by: str, at: datetime, holding: Holding, *, instead_of: str = "") -> None:
        """Keep something new; ``instead_of`` is the order that it confirms."""
        from farthing.state.audit import Change

        self._batches().add(Change(actor=by, at=at), holding, instead_of=instead_of)

    def find(self, kind: Kind, id: str, owner: str) -> Holding | None:
        """An owner's file or batch, ``None`` when they have none of that id."""
        return self._batches().find(kind, id, owner)

    def list(self, kind: Kind, owner: str, *, after: str, limit: int, oldest_first: bool = False) -> Sequence[Holding]:
        """An owner's files or batches, newest first unless asked otherwise."""
        return self._batches().list(kind, owner, after=after, limit=limit, oldest_first=oldest_first)

    def saw(self, id: str, seen: Mapping[str, Any], *, found: tuple[Holding, ...] = ()) -> None:
        """Note what the provider says of something now."""
        self._batches().saw(id, seen, found=found)

    def charged(self, id: str, charges: tuple[Any, ...]) -> None:
        """Note what an order was charged."""
        self._batches().charged(id, charges)

    def remove(self, by: str, at: datetime, id: str) -> None:
        """Forget something that the provider has no more."""
        from farthing.state.audit import Change

        self._batches().remove(Change(actor=by, at=at), id)

    def unsettled(self, *, file: str) -> Sequence[Holding]:
        """Batches that read or wrote a file and are not settled."""
        return self._batches().unsettled(file=file)

    def close(self) -> None:
        """Let the store go."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _batches(self) -> "Batches":
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store.batches


__all__ = ["StoreShelf"]
