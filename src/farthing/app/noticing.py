"""What happens outside the state store and belongs into the audit log all the same: other settings, other prices."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from farthing import config
from farthing.app.local import Local
from farthing.core.errors import FarthingError

if TYPE_CHECKING:
    from farthing.catalog.refresh import Refreshed
    from farthing.state.store import Store


def notice_settings(local: Local, store: "Store") -> bool:
    """Write down what changed in the settings since they were last read, redacted; false when nothing did."""
    flat = dict(_flat(config.redacted(local.settings)))
    return store.audit.noticed(local.by("settings file"), "settings.change", "settings", flat)


def notice_prices(local: Local, done: "Refreshed") -> str:
    """Write down that prices were refreshed. They are in force in any case: why it could not be, empty when it was."""
    after = {
        "offers": done.after, "changed": done.changed, "location": done.location, "added": done.added,
        "removed": done.removed, "repriced": done.repriced,
    }  # fmt: skip
    try:
        with local.store() as store:
            store.audit.note(local.by(), "prices.refresh", done.feed, before={"offers": done.before}, after=after)
    except FarthingError as problem:
        return str(problem)
    return ""


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf by its dotted name."""
    if isinstance(value, Mapping) and value:
        for key, part in cast("Mapping[str, Any]", value).items():
            yield from _flat(part, f"{name}.{key}".lstrip("."))
    else:
        yield name, value
