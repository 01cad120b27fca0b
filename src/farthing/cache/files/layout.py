"""Where things lie in a cache's folder, and how they get there without ever being half there.

::

    entries/ab/cdef…    one record per key, named by the key's digest
    blobs/ab/cdef…      values, named by their SHA-256: equal values are stored once
    staging/            what is being written; whatever has no living writer is swept
    locks/              one file per key that is being computed or fetched
    pins/               one file per key that is held in place
    gate                who changes entries, blobs or the index holds its lock
    index.db            bookkeeping, derived from the rest
"""

import os
import re
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from farthing.cache.files import locks

_READ = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Layout:
    """The paths of one cache folder, which is made when it is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.staging = folder / "staging"
        self.gate = folder / "gate"
        self.index = folder / "index.db"
        self._entries, self._blobs = f"{folder}/entries/", f"{folder}/blobs/"
        for part in ("entries", "blobs", "staging", "locks", "pins"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self.block = max(os.statvfs(folder).f_frsize, 512)
        self.sweep()

    def entry(self, id: bytes) -> str:
        """Where the record of a key lies."""
        name = id.hex()
        return f"{self._entries}{name[:2]}/{name[2:]}"

    def blob(self, id: bytes) -> str:
        """Where a value lies."""
        name = id.hex()
        return f"{self._blobs}{name[:2]}/{name[2:]}"

    def lock(self, id: bytes) -> Path:
        """The lock of whoever computes or fetches a key's value."""
        return self.folder / "locks" / id.hex()

    def pin(self, id: bytes) -> Path:
        """The lock that is shared by all who want a key to stay."""
        return self.folder / "pins" / id.hex()

    def occupied(self, size: int) -> int:
        """What a file of ``size`` bytes takes on disk: whole blocks of the file system."""
        return -(-size // self.block) * self.block

    def entry_ids(self) -> Iterator[bytes]:
        """The digests of all keys that have a record."""
        return self._ids(self._entries)

    def blob_ids(self) -> Iterator[bytes]:
        """The digests of all values that are there."""
        return self._ids(self._blobs)

    @contextmanager
    def stage(self) -> Generator[tuple[BinaryIO, Path]]:
        """A new file in ``staging``, locked while it is written, gone at the end unless it was moved away."""
        path = self.staging / secrets.token_hex(16)
        descriptor = locks.acquire(path)
        if descriptor is None:  # pragma: no cover - nobody else knows the name
            raise FileExistsError(path)
        try:
            with os.fdopen(descriptor, "r+b") as file:
                yield file, path
        finally:
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what writers left that died."""
        for path in self.staging.iterdir():
            with locks.locked(path, wait=False) as free:
                if free:
                    path.unlink(missing_ok=True)

    @staticmethod
    def _ids(root: str) -> Iterator[bytes]:
        for shelf in os.scandir(root):
            for file in os.scandir(shelf.path):
                name = shelf.name + file.name
                if _DIGEST.fullmatch(name):
                    yield bytes.fromhex(name)


def move(path: Path, to: str) -> None:
    """Move a finished file to its place, visible in one step. Done once already is done."""
    try:
        path.replace(to)
    except FileNotFoundError:
        if path.exists():
            Path(to).parent.mkdir(exist_ok=True)
            path.replace(to)
        elif not Path(to).exists():
            raise


def read(path: str) -> bytes | None:
    """A file's bytes, or ``None`` if there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        parts = [os.read(descriptor, _READ)]
        while parts[-1] and (len(parts[-1]) == _READ or len(parts) > 1):
            parts.append(os.read(descriptor, _READ))
    finally:
        os.close(descriptor)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    Path(path).unlink(missing_ok=True)
