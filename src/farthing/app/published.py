"""Has a change reached the workers? Commands that promise so wait for it here."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from farthing.gateway.snapshot import WATCH_SECONDS, Snapshot

PATIENCE = 5.0
"""Seconds after which a command no longer waits; the change takes effect all the same."""

_PAUSE = 0.05


def reached_workers(lock: Path, snapshot: Path, holds: Callable[[Snapshot], bool]) -> bool:
    """Wait until the workers act on a snapshot of which ``holds`` is true; true at once when nothing runs here.

    False when the snapshot did not change in time, for example because the control process is being restarted.
    """
    if not _is_held(lock):
        return True
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if _holds(snapshot, holds):
            time.sleep(WATCH_SECONDS + _PAUSE)
            return True
        time.sleep(_PAUSE)
    return False


def _is_held(lock: Path) -> bool:
    """Whether a running Farthing works in the folder."""
    try:
        file = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _holds(path: Path, holds: Callable[[Snapshot], bool]) -> bool:
    try:
        return holds(msgspec.msgpack.decode(path.read_bytes(), type=Snapshot))
    except (OSError, msgspec.DecodeError):
        return False
