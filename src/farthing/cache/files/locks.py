"""Locks between threads and processes, held by the kernel (``flock``).

The kernel lets go of them when their holder dies, whatever killed it, so nobody waits for a dead process and no
process id has to be trusted. A lock belongs to an open file, so threads of one process exclude each other, too. Lock
files may be removed by whoever holds them exclusively: a newcomer looks after locking whether its file is still the
one at the path.
"""

import errno
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_HELD = frozenset({errno.EACCES, errno.EAGAIN})


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True, keep: bool = True) -> Generator[bool]:
    """Hold the lock at ``path``; yields whether it is held, which without ``wait`` may be false.

    ``keep=False`` removes the file at the end if nobody else holds or shares it.
    """
    descriptor = acquire(path, shared=shared, wait=wait)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            release(descriptor, path, keep=keep)


def acquire(path: Path, *, shared: bool = False, wait: bool = True) -> int | None:
    """The descriptor that holds the lock, to be released; ``None`` if others hold it and ``wait`` is false."""
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, operation)
            if _same(descriptor, path):
                return descriptor
        except OSError as problem:
            os.close(descriptor)
            if problem.errno in _HELD:
                return None
            raise
        os.close(descriptor)


def release(descriptor: int, path: Path, *, keep: bool = True) -> None:
    """Let go of a lock; without ``keep`` its file goes too, if nobody else holds or shares it."""
    try:
        if not keep and _alone(descriptor) and _same(descriptor, path):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        if problem.errno in _HELD:
            return False
        raise
    return True


def _same(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at the path, and not one that was removed meanwhile."""
    try:
        there = os.stat(path)  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (there.st_ino, there.st_dev) == (held.st_ino, held.st_dev)
