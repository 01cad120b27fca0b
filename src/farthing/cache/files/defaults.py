"""What a pipeline gets that says nothing: where its caches lie, and the clock."""

import time
from collections.abc import Callable
from pathlib import Path

GIB = 1024**3
DAY = 86400.0

Clock = Callable[[], float]
"""Seconds since 1970."""


def folder(name: str) -> Path:
    """The folder of a cache whose user names none: one per user of the machine."""
    return Path.home() / ".cache" / "farthing" / name


def wall_clock() -> float:
    """The clock of a pipeline that brings none: nobody above a library that is called could pass it in."""
    return time.time()  # noqa: TID251 - the edge of a user's process
