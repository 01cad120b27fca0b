"""What can be plugged in: price feeds, importers, dialects, each by its own docstring."""

import inspect
import sys
from collections.abc import Iterable

from docs.writers.markdown import code, prose
from farthing.catalog.sources import FEEDS
from farthing.core.plugin import Registry
from farthing.gateway.ports import Dialect
from farthing.ingest.importer import importers


def page() -> str:
    """Every plugin that comes with Farthing."""
    dialects: Registry[Dialect] = Registry("dialect", "farthing.gateway.providers", "farthing.dialects")
    return (
        "# Sources\n\nEach of these is one file, found by its folder; other packages add theirs by an entry point. "
        "See [add a plugin](../how-to/add-a-plugin.md).\n\n"
        + _kind("Price feeds", FEEDS, "`farthing prices refresh NAME` fetches one; `farthing prices compare` lists "
                "where they disagree.")
        + _kind("Importers", importers(), "`farthing ingest FILE` asks each whether it knows the file.")
        + _kind("Dialects", dialects, "What a provider may speak. [Vendors](vendors.md) are rows of data.").rstrip()
        + "\n"
    )  # fmt: skip


def _kind(title: str, registry: Registry[object], use: str) -> str:
    sections = "".join(f"### {name}\n\n{_about(plugin)}\n\n" for name, plugin in own(registry))
    return f"## {title}\n\n{use} Entry-point group: {code(registry.group)}.\n\n{sections}"


def own(registry: Registry[object]) -> Iterable[tuple[str, object]]:
    """The plugins of Farthing's own folders, not those that happen to be installed beside it."""
    return [(n, p) for n, p in sorted(registry.load().items()) if type(p).__module__.startswith("farthing.")]


def _about(plugin: object) -> str:
    module = sys.modules[type(plugin).__module__]
    where = getattr(plugin, "location", "")
    return prose(inspect.getdoc(module) or "") + (f"\n\nFetched from {code(where)}." if where else "")
