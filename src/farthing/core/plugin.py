"""The one way to find plugins: a file in a folder, or an entry point of somebody else's package."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from farthing.core.errors import InputError, NotFoundError

P = TypeVar("P")


class Registry(Generic[P]):
    """Plugins of one kind by name.

    ``package`` is the folder's dotted name: each public module in it defines ``plugin``, an object
    of type ``P`` that has a ``name``. ``group`` is the entry-point group for other packages. Both
    are read when first asked, so that importing Farthing imports no plugin.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind = kind
        self.package = package
        self.group = group

    def load(self) -> Mapping[str, P]:
        """All plugins, own ones first, then others by package name. Raises ``InputError`` when two share a name."""
        found: dict[str, P] = {}
        for plugin in self._plugins():
            name: str = plugin.name
            if name in found:
                raise InputError("two plugins share a name", field=self.kind, value=name, remedy="Rename one of them")
            found[name] = plugin
        return found

    def get(self, name: str) -> P:
        """One plugin. Raises ``NotFoundError`` naming the nearest."""
        found = self.load()
        if name not in found:
            raise NotFoundError(self.kind, name, known=found)
        return found[name]

    def _plugins(self) -> Iterator[Any]:
        folder = importlib.import_module(self.package)
        for module in sorted(pkgutil.iter_modules(folder.__path__), key=lambda m: m.name):
            if not module.name.startswith("_"):
                yield importlib.import_module(f"{self.package}.{module.name}").plugin
        for entry in sorted(entry_points(group=self.group), key=lambda e: e.name):
            yield entry.load()
