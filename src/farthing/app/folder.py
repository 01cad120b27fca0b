"""What a running Farthing leaves in its data folder: the lock that keeps it alone, and the admin token."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Self

from farthing.core.errors import ConflictError, UnavailableError

TOKEN_BYTES = 32


class FolderLock:
    """Keeps one Farthing at a time in a data folder.

    The lock is the kernel's (``flock``), so it ends with the processes that hold its descriptor, whatever killed
    them. A child that inherits ``descriptor`` holds it too: a folder is free only when nobody writes to it.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.descriptor = descriptor
        self.path = path

    @classmethod
    def take(cls, path: Path) -> Self:
        """Take the lock. Raises ``ConflictError`` naming the process that has it, ``UnavailableError`` when the
        folder cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise UnavailableError(
                f"Cannot write to {path.parent} ({problem.strerror})",
                remedy="Make the folder writable, or choose another one with --home",
            ) from problem
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise ConflictError(
                f"Another Farthing (process {holder}) works in {path.parent.parent}",
                remedy=f"Stop it with: kill {holder}, or choose another folder with --home",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return cls(descriptor, path)

    def close(self) -> None:
        """Give it back, unless a child still holds it."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def admin_token(path: Path) -> tuple[str, bool]:
    """The control plane's token, and whether it was made just now. Only the owner can read its file (0600).

    Raises ``UnavailableError`` when the file cannot be read or made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            path.chmod(0o600)
            token = path.read_text(encoding="ascii", errors="replace").strip()
            return (token, False) if token else (_written(os.open(path, os.O_WRONLY)), True)
        return _written(file), True
    except OSError as problem:
        raise UnavailableError(
            f"Cannot use {path} ({problem.strerror})", remedy="Make the data folder writable for this user"
        ) from problem


def _written(descriptor: int) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
    return token
