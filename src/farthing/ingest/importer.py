"""What an importer is: it recognizes a file and streams its rows as charges.

It knows nothing of the ledger. Being idempotent, restarting after a kill and taking back what a newer
bill no longer says is ``run``'s business, the same for every importer.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from farthing.core.plugin import Registry

if TYPE_CHECKING:
    import pyarrow as pa


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """A row that cannot be a fact. ``line`` is where it stands in the source, from 1; nothing of it was kept."""

    line: int
    field: str
    value: str
    reason: str


class Batch(msgspec.Struct, kw_only=True):
    """Some rows of a source, in order.

    ``charges`` has the columns of ``ledger.focus`` that the source speaks of, typed, and ``x_SourceRow``.
    ``identities`` are texts that are equal exactly when two rows of this source say the same, one per charge.
    """

    charges: "pa.Table"
    identities: list[str]
    rejects: list[Reject] = []
    warnings: dict[str, int] = {}


class Importer(Protocol):
    """One format of the outside world."""

    name: str

    def detects(self, path: Path) -> bool:
        """Whether the file looks like this format, from its name and first bytes. Never raises for strange files."""
        ...

    def batches(self, path: Path) -> Iterator[Batch]:
        """The file's rows. Raises ``InputError`` when the file as a whole cannot be read, truncated ones included."""
        ...


def importers() -> Registry[Importer]:
    """All importers: this folder's, and entry points of the group ``farthing.importers``."""
    return Registry("importer", "farthing.ingest.importers", "farthing.importers")
