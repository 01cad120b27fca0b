r"""Downloads in the layout of the Hugging Face Hub: understood, checked, and removed a revision at a time.

::

    models--org--name/blobs/ETAG            contents; large ones (LFS) are named by their SHA-256, others by git's SHA-1
    models--org--name/refs/main             the commit that a branch or tag stands for
    models--org--name/snapshots/COMMIT/     names that link to blobs
    blobs/ab/XET_HASH                       contents shared by several repositories, to which their blobs link
    .locks/                                 locks of whoever downloads, and what this module needs

The layout is described in the guide "Manage huggingface_hub cache-system" of that library (1.33, 2026-11); git names a
blob by the SHA-1 of ``blob SIZE\0`` and its content. Whoever downloads into the folder need not know of Farthing.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from farthing.cache.files import locks
from farthing.cache.files.depot import digest_of
from farthing.cache.files.entry import identity
from farthing.core.errors import InputError, NotFoundError

Kind = Literal["model", "dataset", "space"]

_REPO = re.compile(r"(?P<kind>model|dataset|space)s--(?P<id>.+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ID = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)
_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One commit of a repository, as far as it is here.

    ``files`` maps names to the blobs they lead to. ``size`` is the sum of its contents' lengths, ``used`` when
    somebody last read, wrote or asked for it, in seconds since 1970: as well as the file system tells, which on
    mounts with ``noatime`` is not when other programs read.
    """

    kind: Kind
    repo: str
    commit: str
    refs: tuple[str, ...]
    folder: Path
    files: Mapping[str, Path]
    size: int
    used: float

    @property
    def name(self) -> str:
        """Its name for people and commands."""
        return f"{self.kind}:{self.repo}@{self.commit}"


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the folder that is not what its name says: a damaged blob, or a link that leads nowhere."""

    path: Path
    problem: str
    revisions: tuple[str, ...]


class Hub:
    """One such folder, whoever fills it. Nothing is made in it before something is added or held."""

    def __init__(self, folder: Path, *, clock: Callable[[], float]) -> None:
        self.folder = folder
        self._clock = clock

    @property
    def home(self) -> Path:
        """What ``HF_HOME`` has to be, if the folder is called ``hub``; otherwise say ``HF_HUB_CACHE=folder``."""
        return self.folder.parent

    def revisions(self) -> list[Revision]:
        """All commits that are here, those last used first."""
        found = [revision for repo in self._repos() for revision in _revisions(repo)]
        return sorted(found, key=lambda one: (-one.used, one.name))

    def bytes(self) -> int:
        """What all contents take on disk, each counted once; unfinished downloads included."""
        if not self.folder.is_dir():
            return 0
        files, block = dict[tuple[int, int], int](), os.statvfs(self.folder).f_frsize
        for pattern in ("*--*/blobs/*", "*--*/snapshots/*/**/*", "blobs/??/*"):
            for path in self.folder.glob(pattern):
                with suppress(FileNotFoundError):
                    facts = path.lstat()
                    if path.is_file() and not path.is_symlink():
                        files[facts.st_dev, facts.st_ino] = -(-facts.st_size // block) * block
        return sum(files.values())

    def find(self, repo: str, revision: str = "main", *, kind: Kind = "model") -> Revision:
        """A revision by its commit, branch or tag. Raises ``NotFoundError`` if it is not here."""
        here = [one for one in self.revisions() if (one.kind, one.repo) == (kind, repo)]
        for one in here:
            if revision == one.commit or revision in one.refs:
                return one
        known = [f"{one.repo}@{ref}" for one in self.revisions() for ref in (*one.refs, one.commit)]
        raise NotFoundError("revision", f"{repo}@{revision}", known=known, remedy="Download it into this folder first")

    def path(self, repo: str, file: str, revision: str = "main", *, kind: Kind = "model") -> Path:
        """The path of one file: a use of its revision. Raises ``NotFoundError`` if it is not here."""
        found = self.find(repo, revision, kind=kind)
        if file not in found.files:
            raise NotFoundError("file", file, known=found.files, remedy="Download it into this folder first")
        self._use(found)
        return found.folder / file

    @contextmanager
    def pinned(self, repo: str, revision: str = "main", *, kind: Kind = "model") -> Generator[Path]:
        """The folder of a revision that does not leave while this lasts; a process that dies holds nothing."""
        with self._gate():
            found = self.find(repo, revision, kind=kind)
            pin = self._pin(found)
            held = locks.acquire(pin, shared=True)
        try:
            self._use(found)
            yield found.folder
        finally:
            if held is not None:
                locks.release(held, pin, keep=False)

    def is_pinned(self, revision: Revision) -> bool:
        """Whether some living process holds the revision in place."""
        pin = self._pin(revision)
        if not pin.exists():
            return False
        with locks.locked(pin, wait=False, keep=False) as free:
            return not free

    def add(
        self, repo: str, commit: str, files: Mapping[str, Path], *, ref: str = "main", kind: Kind = "model",
        lfs: Callable[[str], bool] = lambda name: name.endswith((".safetensors", ".bin", ".gguf", ".onnx", ".pt")),
    ) -> Revision:  # fmt: skip
        """Put files of your own into the folder as a revision that Hub libraries read offline; they are copied.

        ``lfs`` says which of them are named by their SHA-256. Raises ``InputError`` for names that would leave the
        folder.
        """
        _check(repo, commit, ref, files)
        home = self.folder / f"{kind}s--{repo.replace('/', '--')}"
        with self._gate():
            for name, source in files.items():
                blob = self._blob(home / "blobs", source, lfs=lfs(name))
                link = home / "snapshots" / commit / name
                link.parent.mkdir(parents=True, exist_ok=True)
                self._swap(link, lambda path, link=link, blob=blob: path.symlink_to(os.path.relpath(blob, link.parent)))
            at = home / "refs" / ref
            at.parent.mkdir(parents=True, exist_ok=True)
            self._swap(at, lambda path: path.write_text(commit))
        found = self.find(repo, commit, kind=kind)
        self._use(found)
        return found

    def remove(self, revision: Revision, *, even_pinned: bool = False) -> bool:
        """Remove a revision and the contents that no other one has; false if it is held, or being downloaded.

        References leave first, then the snapshot as a whole, then blobs: whoever looks meanwhile finds all of it, or
        none.
        """
        home = revision.folder.parent.parent
        with self._gate():
            if (self.is_pinned(revision) and not even_pinned) or self._downloading(home):
                return False
            for ref in _files(home / "refs"):
                if ref.read_text().strip() == revision.commit:
                    ref.unlink()
            for part in (revision.folder, home / ".no_exist" / revision.commit):
                self._discard(part)
            (home / "trees" / f"{revision.commit}.json").unlink(missing_ok=True)
            self._sweep(home)
        return True

    def drop_incomplete(self, before: float) -> None:
        """Remove what downloads left that stopped, and that nobody has written to since ``before``."""
        for repo in {part.parent.parent for part in self.folder.glob("*--*/blobs/*.incomplete")}:
            with self._gate():
                if not self._downloading(repo):
                    for part in (repo / "blobs").glob("*.incomplete"):
                        if part.stat().st_mtime <= before:
                            part.unlink()

    def verify(self, *, repair: bool = False) -> list[Bad]:
        """Read every content and compare it with its name; ``repair`` removes damaged ones with the names that lead
        to them.

        Contents whose name is neither SHA-256 nor git's SHA-1 cannot be checked, nor those in the shared store, whose
        hash is of another kind, except through the SHA-256 of a blob that leads there.
        """
        bad: list[Bad] = []
        for repo in self._repos():
            leading = _leading(repo)
            for blob in sorted({*_files(repo / "blobs"), *leading}):
                problem = _problem(blob)
                if problem:
                    commits = {link.relative_to(repo / "snapshots").parts[0] for link in leading.get(blob, ())}
                    bad.append(Bad(path=blob, problem=problem, revisions=tuple(sorted(commits))))
                    if repair:
                        self._repair(blob, leading.get(blob, []))
        return bad

    def _repair(self, blob: Path, links: list[Path]) -> None:
        with self._gate():
            for link in links:
                link.unlink(missing_ok=True)
            target = blob.resolve() if blob.is_symlink() else None
            blob.unlink(missing_ok=True)
            if target is not None and self.folder.resolve() / "blobs" in target.parents:
                target.unlink(missing_ok=True)

    def _repos(self) -> Iterator[Path]:
        if self.folder.is_dir():
            for path in sorted(self.folder.iterdir()):
                if _REPO.fullmatch(path.name) and (path / "snapshots").is_dir():
                    yield path

    def _use(self, revision: Revision) -> None:
        """Note a use where scans look: in the time of the snapshot's folder."""
        now = self._clock()
        with suppress(FileNotFoundError, PermissionError):
            os.utime(revision.folder, (now, now))

    def _own(self) -> Path:
        own = self.folder / ".locks" / ".farthing"
        own.mkdir(parents=True, exist_ok=True)
        return own

    def _gate(self) -> AbstractContextManager[bool]:
        """Only one at a time adds, removes or starts to hold."""
        return locks.locked(self._own() / "gate")

    def _pin(self, revision: Revision) -> Path:
        return self.folder / ".locks" / ".farthing" / f"pin-{identity(revision.name).hex()}"

    def _blob(self, folder: Path, source: Path, *, lfs: bool) -> Path:
        """A copy of a file under the name that the Hub would give it."""
        folder.mkdir(parents=True, exist_ok=True)
        between = folder / f".{secrets.token_hex(8)}.incomplete"
        try:
            shutil.copyfile(source, between)
            with between.open("rb") as file:
                os.fsync(file.fileno())
            blob = folder / _name(between, lfs=lfs)
            between.replace(blob)
        finally:
            between.unlink(missing_ok=True)
        return blob

    def _swap(self, path: Path, make: Callable[[Path], object]) -> None:
        """Make a file or link elsewhere, then put it in place in one step."""
        between = self._own() / secrets.token_hex(8)
        make(between)
        between.replace(path)

    def _discard(self, folder: Path) -> None:
        """Take a folder out of sight in one step, then remove it; and what an earlier attempt left that died."""
        trash = self._own() / "trash"
        trash.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            folder.rename(trash / secrets.token_hex(8))
        for left in trash.iterdir():
            shutil.rmtree(left, ignore_errors=True)

    def _downloading(self, home: Path) -> bool:
        """Whether somebody downloads into a repository: the locks of ``huggingface_hub`` are of the same kind as
        ours.
        """
        for lock in (self.folder / ".locks" / home.name).glob("*.lock"):
            with lock.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    return True
        return False

    def _sweep(self, home: Path) -> None:
        """Remove what no snapshot leads to and nobody downloads; a repository without snapshots goes as a whole."""
        own = self.folder / ".locks" / home.name
        own.mkdir(parents=True, exist_ok=True)
        blobs, shared = _files(home / "blobs"), list[Path | None]()
        with ExitStack() as held:
            ours = [held.enter_context(locks.locked(own / f"{blob.name}.lock", wait=False)) for blob in blobs]
            needed = _leading(home)
            for blob, free in zip(blobs, ours, strict=True):
                if free and blob not in needed and not blob.name.endswith(".incomplete"):
                    shared.append(_shared(blob, self.folder))
                    blob.unlink(missing_ok=True)
        if not any((home / "snapshots").iterdir()):
            self._discard(home)
        for target in filter(None, shared):
            self._sweep_shared(target)

    def _sweep_shared(self, target: Path) -> None:
        """Remove a shared content to which no repository's blob leads any more, under the lock its writers take."""
        with locks.locked(target.with_name(f"{target.name}.lock")):
            if not any(_shared(blob, self.folder) == target for blob in self.folder.glob("*--*/blobs/*")):
                target.unlink(missing_ok=True)
                target.with_name(f"{target.name}.refs").unlink(missing_ok=True)


def _revisions(home: Path) -> Iterator[Revision]:
    named = _REPO.fullmatch(home.name)
    refs = {path.relative_to(home / "refs").as_posix(): path.read_text().strip() for path in _files(home / "refs")}
    for folder in sorted((home / "snapshots").iterdir()):
        if named is None or not folder.is_dir():
            continue
        files = {path.relative_to(folder).as_posix(): _first_hop(path) for path in _files(folder)}
        facts = [facts for blob in set(files.values()) if (facts := _stat(blob)) is not None]
        times = [time for one in facts for time in (one.st_atime, one.st_mtime)]
        kind: Kind = "model" if named["kind"] == "model" else "dataset" if named["kind"] == "dataset" else "space"
        yield Revision(
            kind=kind, repo=named["id"].replace("--", "/"), commit=folder.name, folder=folder, files=files,
            refs=tuple(sorted(ref for ref, commit in refs.items() if commit == folder.name)),
            size=sum(one.st_size for one in facts), used=max([*times, folder.stat().st_mtime]),
        )  # fmt: skip


def _leading(home: Path) -> dict[Path, list[Path]]:
    """Which names in snapshots lead to which blob."""
    found: dict[Path, list[Path]] = {}
    for link in _files(home / "snapshots"):
        if link.is_symlink():
            found.setdefault(_first_hop(link), []).append(link)
    return found


def _files(folder: Path) -> list[Path]:
    """Files and links in a folder, however deep; none if it does not exist."""
    return [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]


def _first_hop(path: Path) -> Path:
    """Where a link leads to, one step: a blob may itself be a link into the shared store."""
    return Path(os.path.abspath(path.parent / path.readlink())) if path.is_symlink() else path  # noqa: PTH100 - one hop


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _shared(blob: Path, hub: Path) -> Path | None:
    """The shared content that a blob leads to, if it does."""
    target = _first_hop(blob)
    store = Path(os.path.abspath(hub)) / "blobs"  # noqa: PTH100 - links of the folder itself stay as they are
    return target if blob.is_symlink() and target.parent.parent == store and _SHA256.fullmatch(target.name) else None


def _problem(blob: Path) -> str:
    """What is wrong with a blob, empty for nothing."""
    facts = _stat(blob)
    if facts is None:
        return "missing"
    if _SHA256.fullmatch(blob.name):
        sound = digest_of(blob) == bytes.fromhex(blob.name)
    elif _SHA1.fullmatch(blob.name):
        sound = digest_of(blob, algorithm="sha1", prefix=_git_head(facts.st_size)) == bytes.fromhex(blob.name)
    else:
        sound = True
    return "" if sound else "its content is not what its name says"


def _name(path: Path, *, lfs: bool) -> str:
    """The Hub's name for a file's content."""
    if lfs:
        return (digest_of(path) or b"").hex()
    return (digest_of(path, algorithm="sha1", prefix=_git_head(path.stat().st_size)) or b"").hex()


def _git_head(size: int) -> bytes:
    return f"blob {size}\0".encode()


def _check(repo: str, commit: str, ref: str, files: Mapping[str, Path]) -> None:
    if _ID.fullmatch(repo) is None or "--" in repo or ".." in repo:
        raise InputError("not a repository", field="repo", value=repo, remedy="Write org/name")
    if _COMMIT.fullmatch(commit) is None:
        raise InputError("not a commit", field="commit", value=commit, remedy="Write its 40 hexadecimal digits")
    for field, name in [("ref", ref), *(("files", name) for name in files)]:
        if not name or name.startswith("/") or not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise InputError("not a name in a repository", field=field, value=name, remedy="Write a relative path")
