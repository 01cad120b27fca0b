"""Looking at everything a cache folder holds: whether values are what they were, and the index what the files say."""

import msgspec

from farthing.cache.files.depot import Depot, digest_of
from farthing.cache.files.entry import identity
from farthing.cache.files.index import Index, Row


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. ``checked`` values with ``bytes`` in sum were read.

    ``damaged`` are keys whose value is not what was written, ``missing`` keys in the index without record or value,
    ``unknown`` counts records and values in the folder that the index did not know of.
    """

    checked: int
    bytes: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: int

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damaged or self.missing or self.unknown)


def inspect_depot(depot: Depot, *, repair: bool) -> Findings:
    """Check a folder; ``repair`` removes damaged values and makes the index again if it does not fit the files."""
    rows, missing, unknown = depot.books.change(lambda index: _compare(depot, index))
    damaged: list[str] = []
    checked = size = 0
    good: dict[bytes, bool] = {}
    for row in rows:
        if row.blob not in good:
            good[row.blob] = digest_of(depot.layout.blob(row.blob)) == row.blob
            checked, size = checked + 1, size + row.size
        if not good[row.blob] and depot.find(row.key) is not None:
            damaged.append(row.key)
    if repair:
        depot.discard(damaged)
        if missing or unknown:
            depot.books.rebuild()
    return Findings(checked=checked, bytes=size, damaged=tuple(damaged), missing=missing, unknown=unknown)


def _compare(depot: Depot, index: Index) -> tuple[list[Row], tuple[str, ...], int]:
    """Rows with their files, keys without, and the number of files without row."""
    entries, blobs = set(depot.layout.entry_ids()), set(depot.layout.blob_ids())
    rows = index.rows()
    present = [row for row in rows if row.id in entries and row.blob in blobs]
    missing = tuple(row.key for row in rows if row.id not in entries or row.blob not in blobs)
    unknown = len(entries - {identity(row.key) for row in rows}) + len(blobs - {row.blob for row in rows})
    return present, missing, unknown
