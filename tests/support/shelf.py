"""Who owns what, without a store."""

import msgspec

from farthing.core.batches import Holding
from farthing.core.errors import UnavailableError


class Memory:
    """A shelf without a store. ``fails``: names of what does not work."""

    def __init__(self) -> None:
        self.kept: dict[str, Holding] = {}
        self.fails: set[str] = set()

    @property
    def kinds(self) -> list[str]:
        return [holding.kind for holding in self.kept.values()]

    def add(self, by, at, holding, *, instead_of="") -> None:
        if holding.kind in self.fails:
            raise UnavailableError("the store is away")
        self.kept.pop(instead_of, None)
        self.kept[holding.id] = holding

    def find(self, kind, id, owner):
        found = self.kept.get(id)
        return found if found is not None and (found.kind, found.owner) == (kind, owner) else None

    def remove(self, by, at, id) -> None:
        del self.kept[id]

    def charged(self, id, charges) -> None:
        self.kept[id] = self.kept[id]

    def saw(self, id, seen, *, found=()) -> None:
        self.kept[id] = msgspec.structs.replace(self.kept[id], seen=seen)

    def list(self, kind, owner, *, after, limit, oldest_first=False):
        rows = [h for h in self.kept.values() if (h.kind, h.owner) == (kind, owner)][:: 1 if oldest_first else -1]
        names = [row.id for row in rows]
        return rows[names.index(after) + 1 if after else 0 :][:limit]
