"""Reuse of answers, embeddings, features and files, so that nothing is paid for twice.

For pipelines of your own: ``FeatureCache`` keeps what functions compute, ``ModelCache`` files that were downloaded.
Both are loaded when they are first named: the gateway's workers, which use other parts of this package, carry nothing
of them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farthing.cache.files.features import FeatureCache as FeatureCache
    from farthing.cache.files.models import ModelCache as ModelCache

__all__ = ["FeatureCache", "ModelCache"]

_HOMES = {"FeatureCache": "farthing.cache.files.features", "ModelCache": "farthing.cache.files.models"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - only who names a cache loads it

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
