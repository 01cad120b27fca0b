"""``ModelCache``: model files, downloaded once for all processes of a machine, and checked."""

import os
import re
import secrets
import time
import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import msgspec

from farthing.cache.files import arrival, defaults, locks
from farthing.cache.files.arrival import Source
from farthing.cache.files.depot import Depot, Rules, digest_of
from farthing.cache.files.entry import Entry
from farthing.cache.files.hub import Hub, Revision
from farthing.cache.files.index import Row
from farthing.cache.files.inspection import Findings, inspect_depot
from farthing.cache.files.links import Links
from farthing.cache.files.tally import Stats
from farthing.core.errors import InputError, NotFoundError, UnavailableError

_NAME = re.compile(r"(?!\.{1,2}(/|$))[\w.@+=,-]{1,200}(/(?!\.{1,2}(/|$))[\w.@+=,-]{1,200})*", re.ASCII)
_LONGEST = 1000
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelCache:
    """Files under names, content-addressed, in a folder that any number of threads and processes may use at once.

    ``folder`` is made if it is missing. ``ttl`` is in seconds since a file was last asked for, 0 for ever.
    ``max_bytes`` bounds what all files take on disk, together with the revisions in ``hub`` and downloads that
    stopped half way; beyond it what was not used for the longest time leaves first. What is pinned
    stays. ``hub`` is the folder of downloads in the layout of the Hugging Face Hub, by default ``hub`` in ``folder``,
    so that ``HF_HOME=folder`` makes its libraries use it.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        ttl: float = 7 * defaults.DAY,
        max_bytes: int = 100 * defaults.GIB,
        hub: str | os.PathLike[str] | None = None,
        clock: defaults.Clock = defaults.wall_clock,
    ) -> None:
        where = defaults.folder("models") if folder is None else Path(folder)
        rules = Rules(ttl=ttl, expires="used", max_bytes=max_bytes, policy="lru")
        self._links = Links(where / "files")
        self._depot = Depot(where, rules, clock=clock, shelf=self._links)
        self._partial = where / "partial"
        self._partial.mkdir(exist_ok=True)
        self._hub = Hub(where / "hub" if hub is None else Path(hub), clock=clock)
        self._closing = weakref.finalize(self, Depot.close, self._depot)

    @property
    def folder(self) -> Path:
        """Where everything lies; fit to be ``HF_HOME``."""
        return self._depot.layout.folder

    def hub(self) -> Hub:
        """The downloads in the layout of the Hugging Face Hub."""
        return self._hub

    def fetch(self, name: str, source: Source, *, sha256: str = "", link: bool = False) -> Path:
        """The path of a file, brought from ``source`` if it is not here.

        ``name`` is a relative path, such as ``org/model.gguf``. With ``sha256``, 64 hexadecimal digits, nothing else
        is accepted, content that is here under another name is not brought again, and a download that stopped goes on
        where it was, if the source takes an offset. ``link`` makes a hard link of a source path where possible, which
        leaves the original read-only: otherwise blocks are shared where the file system can do so, and copied where
        not. One process at a time brings a name; the others wait for it. The file is read-only; pin it to keep it
        from leaving while it is used.

        Raises ``InputError`` for content that is not the expected one or larger than the cache, ``UnavailableError``
        for a full disk; what the source raises passes through.
        """
        _check(name)
        wanted = _digest(sha256)
        with self._depot.alone(name):
            path = self._hit(name, wanted)
            if path is not None:
                return path
            self._depot.tally.count("misses")
            self._bring(_Order(name, source, wanted, time.perf_counter()), link=link)
            path = self._links.path(self._depot, name)
        self._balance(keep=name)
        if path is None:  # pragma: no cover - removed by hand within a moment
            raise UnavailableError(f"The file {name} has been removed again", remedy="Fetch it again")
        return path

    def path(self, name: str) -> Path:
        """The path of a file that is here: a use. Raises ``NotFoundError`` if it is not, or has expired."""
        _check(name)
        path = self._hit(name, None)
        if path is None:
            self._depot.tally.count("misses")
            known = [row.key for row in self.list()]
            raise NotFoundError("model file", name, known=known, remedy="Fetch it, or add it")
        return path

    @contextmanager
    def pinned(self, name: str) -> Generator[Path]:
        """The path of a file that does not leave while this lasts, whoever needs room; a process that dies holds
        nothing.
        """
        _check(name)
        with self._depot.pinned(name):
            yield self.path(name)

    def is_pinned(self, name: str) -> bool:
        """Whether some living process holds the file in place."""
        return self._depot.is_pinned(name)

    def list(self, prefix: str = "") -> Sequence[Row]:
        """Files whose name begins with ``prefix``; what was used last comes first."""
        return sorted(self._depot.rows(prefix), key=lambda row: row.used, reverse=True)

    def show(self, name: str) -> Entry | None:
        """What is known about a file; counts as no use."""
        return self._depot.find(name)

    def expired(self) -> Sequence[Row | Revision]:
        """Files and revisions that nobody asked for within the time to live, and nobody holds."""
        now, rules = self._depot.clock(), self._depot.rules
        rows = [one for one in self.list() if not self.is_pinned(one.key)]
        revisions = [one for one in self._hub.revisions() if not self._hub.is_pinned(one)]
        return [one for one in (*rows, *revisions) if rules.stale(one.used, now)]

    def remove(self, *names: str) -> int:
        """Remove files, pinned or not: what is open stays readable. Returns the bytes on disk that are free now."""
        return self._depot.discard(names)

    def trim(self) -> int:
        """Remove what has expired, then what was not used for the longest time, until all fits; returns the bytes
        freed.
        """
        return self._trim(keep="")

    def verify(self, *, repair: bool = False) -> Findings:
        """Read all files and compare them with their checksums; ``repair`` removes what is damaged. See
        ``Hub.verify``, too.
        """
        return inspect_depot(self._depot, repair=repair)

    def stats(self) -> Stats:
        """How the cache stands, and what it has saved. ``bytes`` holds files, hub and half downloads."""
        own = self._depot.tally.stats(self._depot.rules.max_bytes)
        return msgspec.structs.replace(own, bytes=own.bytes + self._others())

    def close(self) -> None:
        """Write down what was counted. Happens by itself at the end of the process."""
        self._depot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hit(self, name: str, wanted: bytes | None) -> Path | None:
        """The path of a file that is here, fresh, whole, and the wanted one; counted as a use."""
        entry = self._depot.find(name)
        if entry is None or (wanted is not None and entry.blob != wanted):
            return None
        if not self._fresh(entry) or not self._intact(entry):
            return None
        now = self._depot.clock()
        path = self._links.path(self._depot, name)
        if path is not None:
            try:
                os.utime(self._depot.layout.entry(entry.id), (now, now))
            except (FileNotFoundError, PermissionError):
                return path
            self._depot.tally.hit(entry.id, size=entry.size, seconds=entry.seconds)
        return path

    def _fresh(self, entry: Entry) -> bool:
        """Whether a file was used within the time to live; what is pinned is in use."""
        try:
            used = Path(self._depot.layout.entry(entry.id)).stat().st_mtime
        except FileNotFoundError:
            return False
        return not self._depot.rules.stale(used, self._depot.clock()) or self.is_pinned(entry.key)

    def _intact(self, entry: Entry) -> bool:
        """Whether a file is what was brought. It is read again only if its size or time of change says that somebody
        wrote.
        """
        blob = Path(self._depot.layout.blob(entry.blob))
        try:
            now = blob.stat()
        except FileNotFoundError:
            self._depot.spoiled(entry, damaged=False)
            return False
        if (now.st_size, now.st_mtime_ns) == (entry.size, entry.mtime):
            return True
        if digest_of(blob) == entry.blob:
            os.utime(blob, ns=(now.st_atime_ns, entry.mtime))
            return True
        self._depot.spoiled(entry, damaged=True)
        return False

    def _bring(self, order: "_Order", *, link: bool) -> None:
        wanted, source = order.wanted, order.source
        if wanted is not None and digest_of(self._depot.layout.blob(wanted)) == wanted:
            self._place(order, None, wanted)
        elif link and isinstance(source, (str, Path)) and self._linked(order, Path(source)):
            return
        elif wanted is not None and arrival.resumable(source):
            self._resume(order, wanted)
        else:
            with self._depot.layout.stage() as (file, path):
                arrival.receive(source, file)
                self._accept(order, file, path)

    def _resume(self, order: "_Order", wanted: bytes) -> None:
        """Download to a file that stays when this stops in the middle, or go on with what an earlier attempt left."""
        path = self._partial / wanted.hex()
        with locks.locked(path), path.open("r+b") as file:
            there = file.seek(0, os.SEEK_END)
            if there == 0 or digest_of(path) != wanted:
                arrival.receive(order.source, file, offset=there)
                if there and digest_of(path) != wanted:
                    file.seek(0)
                    file.truncate()
                    arrival.receive(order.source, file)
            try:
                self._accept(order, file, path)
            except InputError:
                path.unlink(missing_ok=True)
                raise

    def _linked(self, order: "_Order", source: Path) -> bool:
        """Keep a path's own file under a second name; false where the file system cannot do that."""
        staged = self._depot.layout.staging / secrets.token_hex(16)
        try:
            os.link(source.resolve(), staged)
        except OSError:
            return False
        try:
            with staged.open("rb") as file:
                self._accept(order, file, staged)
        finally:
            staged.unlink(missing_ok=True)
        return True

    def _accept(self, order: "_Order", file: BinaryIO, path: Path) -> None:
        """Check what came, and give it its name."""
        file.flush()
        os.fsync(file.fileno())
        came = digest_of(path) or b""
        if order.wanted not in (None, came):
            raise InputError(
                f"{order.name} is not the file that was expected", field="sha256", value=came.hex(),
                remedy="Check the source, or the digest that you expect",
            )  # fmt: skip
        self._place(order, path, came)

    def _place(self, order: "_Order", path: Path | None, blob: bytes) -> None:
        there = Path(self._depot.layout.blob(blob))
        if path is None or digest_of(there) == blob:
            path, facts = None, there.stat()
        else:
            path.chmod(0o444)
            facts = path.stat()
        entry = Entry(
            key=order.name, blob=blob, size=facts.st_size, written=self._depot.clock(), codec="file",
            seconds=time.perf_counter() - order.started, mtime=facts.st_mtime_ns, origin=arrival.origin(order.source),
        )  # fmt: skip
        if not self._depot.fits(entry):
            raise InputError(
                f"{order.name} is larger than the whole cache of {self._depot.rules.max_bytes} bytes",
                field="source", value=entry.size, remedy="Give the cache a larger max_bytes",
            )  # fmt: skip
        self._depot.place(entry, path)

    def _balance(self, *, keep: str) -> None:
        """Make room for what was just brought, if files and hub together are too much."""
        if self._others():
            self._trim(keep=keep)

    def _trim(self, *, keep: str) -> int:
        before = self.stats().bytes
        self._drop_partials()
        self._depot.trim()
        now, rules = self._depot.clock(), self._depot.rules
        for revision in self._hub.revisions():
            if rules.stale(revision.used, now):
                self._leave(revision, keep)
        excess = self.stats().bytes - rules.max_bytes
        for one in sorted([*self.list(), *self._hub.revisions()], key=lambda one: one.used):
            if excess <= 0:
                break
            excess -= self._leave(one, keep)
        return max(0, before - self.stats().bytes)

    def _leave(self, one: Row | Revision, keep: str) -> int:
        """Remove a file or a revision to make room, if nobody holds it; returns the bytes that are free now."""
        if isinstance(one, Row):
            return 0 if one.key == keep else self._depot.evict(one.key)
        before = self._hub.bytes()
        if self._hub.remove(one):
            self._depot.tally.count("evictions")
        return before - self._hub.bytes()

    def _others(self) -> int:
        """Bytes on disk of the hub and of downloads that stopped half way."""
        occupied = self._depot.layout.occupied
        return self._hub.bytes() + sum(occupied(part.stat().st_size) for part in self._partial.iterdir())

    def _drop_partials(self) -> None:
        """Remove what downloads left that stopped, once it is older than files may get."""
        for part in self._partial.iterdir():
            with locks.locked(part, wait=False) as free:
                if free and self._depot.rules.stale(part.stat().st_mtime, self._depot.clock()):
                    part.unlink(missing_ok=True)
        if self._depot.rules.ttl > 0:
            self._hub.drop_incomplete(self._depot.clock() - self._depot.rules.ttl)


class _Order(NamedTuple):
    """A file that has to be brought: under which name, from where, which one, and since when (``perf_counter``)."""

    name: str
    source: Source
    wanted: bytes | None
    started: float


def _check(name: str) -> None:
    if _NAME.fullmatch(name) is None or len(name) > _LONGEST:
        raise InputError(
            "not a name for a file", field="name", value=name, remedy="Write a relative path such as org/model.gguf"
        )


def _digest(text: str) -> bytes | None:
    """The digest that is expected, if one is."""
    if not text:
        return None
    if _SHA256.fullmatch(text.lower()) is None:
        raise InputError("not a SHA-256", field="sha256", value=text, remedy="Write 64 hexadecimal digits")
    return bytes.fromhex(text)
