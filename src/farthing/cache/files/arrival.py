"""How a model file comes in: from a path, an open file, or a callable that downloads it."""

import errno
import fcntl
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast, runtime_checkable

from farthing.core.errors import InputError

_READ = 1 << 20
_FICLONE = 0x40049409
"""Linux ``ioctl_ficlone(2)``: let two files share their blocks until one of them is written to."""
_UNCLONABLE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.EPERM, errno.EBADF})


@runtime_checkable
class Readable(Protocol):
    """An open file or a response body."""

    def read(self, size: int, /) -> bytes: ...


Source = str | Path | Readable | Callable[..., Any]
"""Where a file comes from. A callable is given as many of these as it takes: ``offset``, how many bytes are there
already, and ``file``, open for writing behind them. If it takes no file it returns an iterable of bytes, or something
to ``read``. One that takes no offset is never asked to go on where it stopped."""


def resumable(source: Source) -> bool:
    """Whether a source can go on in the middle."""
    return callable(source) and _arity(source) > 0


def receive(source: Source, file: BinaryIO, *, offset: int = 0) -> None:
    """Write a source's bytes from ``offset`` on to ``file``, which stands there."""
    if isinstance(source, (str, Path)):
        _copy(Path(source), file)
    elif isinstance(source, Readable):
        _drain(source, file)
    else:
        given = (offset, file)[: _arity(source)]
        found = source(*given)
        if file in given:
            pass
        elif isinstance(found, Readable):
            _drain(found, file)
        else:
            file.writelines(cast("Iterable[bytes]", found))
    file.flush()


def origin(source: Source) -> str:
    """Where a file came from, for people."""
    if isinstance(source, (str, Path)):
        return str(Path(source).absolute())
    name = getattr(source, "__qualname__", None) or getattr(source, "name", None) or type(source).__qualname__
    return str(name)


def _arity(source: Callable[..., Any]) -> int:
    """How many of offset and file a callable takes."""
    try:
        parameters = inspect.signature(source).parameters.values()
    except ValueError:
        return 0
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in places and p.default is inspect.Parameter.empty]
    if len(needed) > len(("offset", "file")):
        names = ", ".join(p.name for p in needed)
        raise InputError(
            "a source takes at most an offset and a file", field="source", value=names,
            remedy="Bind the other arguments with functools.partial",
        )  # fmt: skip
    return len(needed)


def _copy(path: Path, file: BinaryIO) -> None:
    """A copy that shares its blocks with the original where the file system can do that."""
    try:
        with path.open("rb") as source:
            if not _clone(source, file):
                _drain(source, file)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as problem:
        raise InputError(
            f"the file cannot be read: {problem.strerror}", field="source", value=str(path), remedy="Name a file"
        ) from problem


def _clone(source: BinaryIO, file: BinaryIO) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        fcntl.ioctl(file.fileno(), _FICLONE, source.fileno())
    except OSError as problem:
        if problem.errno in _UNCLONABLE:
            return False
        raise
    return True


def _drain(source: Readable, file: BinaryIO) -> None:
    while part := source.read(_READ):
        file.write(part)
