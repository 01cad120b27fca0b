"""Model files under their own names: hard links to the content, so that suffixes and paths are what programs expect."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from farthing.core.errors import InputError

if TYPE_CHECKING:
    from farthing.cache.files.depot import Depot


class Links:
    """The folder of names. Where the file system has no hard links they are symbolic."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, depot: "Depot", name: str) -> Path | None:
        """A file's path, made if it is missing or leads to another content; ``None`` if the file is gone.

        Raises ``InputError`` for a name that needs a folder where another name has a file, or the other way round.
        """
        entry = depot.find(name)
        if entry is None:
            return None
        path, blob = self._folder / name, Path(depot.layout.blob(entry.blob))
        with suppress(FileNotFoundError, NotADirectoryError):
            if path.samefile(blob):
                return path
        try:
            return path if depot.books.change(lambda _: self._link(blob, path, depot.layout.staging)) else None
        except InputError:
            depot.discard([name])
            raise

    def gone(self, key: str) -> None:
        """Remove a name, and the folders that were made for it and are empty now."""
        path = self._folder / key
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
        for folder in path.parents:
            if folder == self._folder or self._folder not in folder.parents:
                return
            try:
                folder.rmdir()
            except OSError:
                return

    def only(self, keys: set[str]) -> None:
        """Remove all other names."""
        for path in [path for path in self._folder.rglob("*") if path.is_symlink() or path.is_file()]:
            name = path.relative_to(self._folder).as_posix()
            if name not in keys:
                self.gone(name)

    def _link(self, blob: Path, path: Path, staging: Path) -> bool:
        """Put the name in place, in one step. False if the content is gone."""
        if not blob.exists():
            return False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as problem:
            raise _in_the_way(path) from problem
        if path.is_dir():
            raise _in_the_way(path)
        between = staging / secrets.token_hex(16)
        try:
            os.link(blob, between)
        except OSError:
            between.symlink_to(os.path.relpath(blob, path.parent))
        between.replace(path)
        between.unlink(missing_ok=True)
        return True


def _in_the_way(path: Path) -> InputError:
    return InputError(
        "another file's name stands in the way", field="name", value=path.name, remedy="Choose another name"
    )
