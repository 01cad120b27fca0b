"""One append-only Delta table, written exactly once per source and version.

delta-rs accepts the same application transaction twice when the replays come one after the other. So
the protocol is: open the table, look up the source's last version, write through the *same* handle
with the next one. A writer that raced ahead makes the commit fail; then the table is opened again
and looked up again. Deletion vectors are never switched on: a plain list of files must be the truth.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from farthing.core.errors import ConflictError, InputError, UnavailableError
from farthing.core.time import Window
from farthing.ledger.arrow import arrow
from farthing.ledger.schema import TableSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

ATTEMPTS = 20
"""How often a commit that lost a race is tried again."""

ANY = -1
"""No expectation about a source's last version."""

ROWS_PER_GROUP = 131_072
_CUT = timedelta(milliseconds=1)
_FULL = ("no space left", "disk quota", "enospc", "storage full")


class File(msgspec.Struct, frozen=True, gc=False):
    """One data file of a table version: path inside the table, rows, bytes, and the span of its time column."""

    path: str
    rows: int
    size: int
    partition: str
    first: datetime | None
    last: datetime | None

    def touches(self, window: Window) -> bool:
        """Whether rows of the window may be in it. Stats are cut to milliseconds, hence the later end."""
        if self.first is None or self.last is None:
            return True
        last = self.last + _CUT
        return (window.end is None or self.first < window.end) and (window.start is None or last > window.start)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one version of a table, and the last versions of the sources that were asked for."""

    version: int
    files: tuple[File, ...]
    sources: dict[str, int | None] = {}

    def within(self, window: Window) -> list[File]:
        """Files that may hold rows of a window."""
        return [f for f in self.files if f.touches(window)]

    @property
    def first(self) -> datetime | None:
        """The earliest instant in the table."""
        return min((f.first for f in self.files if f.first), default=None)

    @property
    def last(self) -> datetime | None:
        """The latest instant in the table."""
        return max((f.last for f in self.files if f.last), default=None)


class _Add(msgspec.Struct, frozen=True):
    """The part of a Delta ``add`` action that is read here; names are the protocol's."""

    path: str
    size: int
    partitionValues: dict[str, str | None]  # noqa: N815 - the protocol's name
    dataChange: bool  # noqa: N815 - as above
    stats: str = ""


class _Stats(msgspec.Struct, frozen=True):
    numRecords: int = 0  # noqa: N815 - as above
    minValues: dict[str, datetime] = {}  # noqa: N815 - as above
    maxValues: dict[str, datetime] = {}  # noqa: N815 - as above


class _Action(msgspec.Struct, frozen=True):
    add: _Add | None = None


class FactTable:
    """A Delta table at ``url`` (a folder, or ``s3://…`` with ``options``)."""

    def __init__(self, spec: TableSpec, url: str, options: dict[str, str]) -> None:
        self.spec = spec
        self.url = url
        self.options = options
        self._lock = threading.RLock()
        self._handle: DeltaTable | None = None
        self._snapshot: Snapshot | None = None
        self._added: dict[int, list[File]] = {}

    def append(self, batch: "pa.Table", *, source: str, version: int, after: int | None = ANY) -> int:
        """Rows written: all of the batch, or none when ``source`` has written ``version`` or a later one before.

        With ``after``, also none when the source's last version is any other than this one.

        Raises ``ConflictError`` when other writers won every race, ``UnavailableError`` when the folder
        cannot be written; in both cases nothing of the batch is visible.
        """
        if not source or version < 0:
            raise InputError(
                "a batch needs a source and a version of zero or more", field="source", value=(source, version)
            )
        rows = self.spec.completed(batch)

        def unwritten(handle: "DeltaTable") -> bool:
            done = handle.transaction_version(source)
            return (done is None or done < version) and after in (ANY, done)

        return rows.num_rows * self.commit(lambda h: self._write(h, rows, source, version), when=unwritten)

    def commit(self, write: "Callable[[DeltaTable], None]", *, when: "Callable[[DeltaTable], bool]") -> bool:
        """Runs ``write`` on a fresh handle if ``when`` says so of it, again after every lost race. True: committed."""
        from deltalake.exceptions import CommitFailedError

        with self._lock, self._explained():
            for attempt in range(ATTEMPTS):
                handle = self._open(create=True)
                if not when(handle):
                    return False
                try:
                    write(handle)
                except CommitFailedError:
                    self._handle = None
                    time.sleep(random.uniform(0, 0.005 * 2 ** min(attempt, 6)))  # noqa: S311 - spreads writers, no secret
                else:
                    return True
        raise ConflictError(f"{ATTEMPTS} commits to {self.spec.name} lost against other writers", remedy="Try again")

    def _write(self, handle: "DeltaTable", rows: "pa.Table", source: str, version: int) -> None:
        from deltalake import CommitProperties, Transaction, write_deltalake

        write_deltalake(
            handle,
            rows,
            mode="append",
            writer_properties=self._writer,
            commit_properties=CommitProperties(app_transactions=[Transaction(source, version)]),
        )

    @cached_property
    def _writer(self) -> Any:
        """Zstandard at its fastest, in row groups that DuckDB reads in parallel."""
        from deltalake import ColumnProperties, WriterProperties

        return WriterProperties(
            compression="ZSTD",
            compression_level=1,
            max_row_group_size=ROWS_PER_GROUP,
            column_properties={name: ColumnProperties(dictionary_enabled=False) for name in self.spec.unique},
        )

    def last_version(self, source: str) -> int | None:
        """The version that ``source`` wrote last."""
        with self._lock, self._explained():
            handle = self._open(create=False)
            return handle.transaction_version(source) if handle else None

    def snapshot(self, *sources: str) -> Snapshot:
        """The current files. Reading the log is incremental; the list is kept per version."""
        with self._lock, self._explained():
            handle = self._open(create=False)
            if handle is None:
                return Snapshot(version=-1, files=())
            if self._snapshot is None or self._snapshot.version != handle.version():
                self._snapshot = Snapshot(version=handle.version(), files=tuple(self._files(handle)))
            if not sources:
                return self._snapshot
            seen = {source: handle.transaction_version(source) for source in sources}
            return msgspec.structs.replace(self._snapshot, sources=seen)

    def _files(self, handle: "DeltaTable") -> Iterator[File]:
        table: Any = arrow().table(handle.get_add_actions(flatten=True))
        rows = table.num_rows
        time, absent = self.spec.time, [None] * rows
        column = {name: table.column(name).to_pylist() for name in table.column_names}
        yield from map(
            File,
            column["path"],
            column["num_records"],
            column["size_bytes"],
            column.get(f"partition.{self.spec.partition}", absent),
            column.get(f"min.{time}", absent),
            column.get(f"max.{time}", absent),
        )

    def added_since(self, version: int, *, until: int) -> Iterator[tuple[int, list[File]]]:
        """Commits after ``version`` up to ``until`` that brought new rows, each with its files.

        Commits that only rearranged rows (compaction) or dropped them bring none. Raises
        ``UnavailableError`` when the log no longer reaches back that far.
        """
        for number in range(version + 1, until + 1):
            if number not in self._added:
                self._added[number] = self._added_by(number)
            if self._added[number]:
                yield number, self._added[number]

    def _added_by(self, number: int) -> list[File]:
        try:
            lines = self.read(f"_delta_log/{number:020}.json").splitlines()
        except FileNotFoundError:
            raise UnavailableError(
                f"commit {number} of {self.spec.name} is no longer in the log",
                remedy="Restore the log from a backup, or rebuild the rollups into a new ledger",
            ) from None
        actions = [msgspec.json.decode(line, type=_Action) for line in lines if line.strip()]
        return [self._file(a.add) for a in actions if a.add and a.add.dataChange]

    def _file(self, add: "_Add") -> File:
        stats = msgspec.json.decode(add.stats, type=_Stats) if add.stats else _Stats()
        return File(
            path=unquote(add.path),
            rows=stats.numRecords,
            size=add.size,
            partition=add.partitionValues.get(self.spec.partition) or "",
            first=stats.minValues.get(self.spec.time),
            last=stats.maxValues.get(self.spec.time),
        )

    def read(self, path: str) -> bytes:
        """The bytes of a file inside the table."""
        with self.filesystem.open_input_file(path) as file:
            return file.read()

    @cached_property
    def filesystem(self) -> Any:
        """The table's own folder as a pyarrow file system."""
        from pyarrow import fs

        if not self.is_remote:
            return fs.SubTreeFileSystem(self.url, fs.LocalFileSystem())
        from deltalake.fs import DeltaStorageHandler

        handler: Any = DeltaStorageHandler(self.url, self.options)
        return fs.PyFileSystem(handler)

    @property
    def is_remote(self) -> bool:
        """Whether the table is on an object store."""
        return "://" in self.url

    def compact(self, *, at_least: int) -> int:
        """Merges small files of every partition that has ``at_least`` files; returns how many were replaced.

        Safe beside writers: appends do not conflict with it, and the sources' last versions stay.
        """
        from deltalake.exceptions import CommitFailedError

        replaced = 0
        for partition in _crowded(self.snapshot(), at_least):
            with self._lock, self._explained():
                handle = self._open(create=True)
                try:
                    done = handle.optimize.compact(
                        partition_filters=[(self.spec.partition, "=", partition)], writer_properties=self._writer
                    )
                except CommitFailedError:
                    self._handle = None
                    continue
                replaced += int(done["numFilesRemoved"])
        return replaced

    def rewrite(self, merged: "Callable[[tuple[File, ...]], pa.Table]", *, at_least: int) -> int:
        """Replaces the rows of every partition that has ``at_least`` files by what ``merged`` makes of them.

        Both happen in one commit, and not at all when rows came meanwhile. Returns how many files went.
        """
        return sum(self._rewrite(merged, p, at_least) for p in _crowded(self.snapshot(), at_least))

    def _rewrite(self, merged: "Callable[[tuple[File, ...]], pa.Table]", partition: str, at_least: int) -> int:
        from deltalake import write_deltalake

        replaced: list[File] = []

        def crowded(handle: "DeltaTable") -> bool:
            replaced[:] = [f for f in self._files(handle) if f.partition == partition]
            return len(replaced) >= at_least

        def write(handle: "DeltaTable") -> None:
            rows = self.spec.completed(merged(tuple(replaced)))
            predicate = f"{self.spec.partition} = '{partition}'"
            write_deltalake(handle, rows, mode="overwrite", predicate=predicate, writer_properties=self._writer)

        return len(replaced) if self.commit(write, when=crowded) else 0

    def drop_before(self, partition: str) -> int:
        """Drops whole partitions that sort before ``partition``; returns the number of rows."""
        with self._lock, self._explained():
            old = [f for f in self.snapshot().files if f.partition < partition]
            handle = self._open(create=False)
            if handle and old:
                handle.delete(f"{self.spec.partition} < '{partition}'")
            return sum(f.rows for f in old)

    def vacuum(self, *, keep_hours: int) -> int:
        """Removes files that no version younger than ``keep_hours`` needs; returns how many."""
        with self._lock, self._explained():
            handle = self._open(create=False)
            if handle is None:
                return 0
            return len(handle.vacuum(keep_hours, dry_run=False, enforce_retention_duration=False, full=True))

    def _open(self, *, create: bool) -> Any:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if self._handle is not None:
            self._handle.update_incremental()
            return self._handle
        try:
            self._handle = DeltaTable(self.url, storage_options=self.options or None)
        except TableNotFoundError:
            if create:
                self._handle = self._create()
        return self._handle

    def _create(self) -> "DeltaTable":
        from deltalake import DeltaTable

        return DeltaTable.create(
            self.url,
            self.spec.schema(),
            mode="ignore",
            partition_by=[self.spec.partition],
            storage_options=self.options or None,
            configuration={
                "delta.dataSkippingStatsColumns": self.spec.time,
                "delta.checkpointInterval": "100",
                "delta.logRetentionDuration": "interval 30 days",
            },
        )

    @contextmanager
    def _explained(self) -> Generator[None, None, None]:
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (OSError, DeltaError) as problem:
            self._handle = None
            raise _unavailable(self.spec.name, self.url, str(problem)) from problem


def _crowded(snapshot: Snapshot, at_least: int) -> list[str]:
    counts: dict[str, int] = {}
    for file in snapshot.files:
        counts[file.partition] = counts.get(file.partition, 0) + 1
    return sorted(p for p, n in counts.items() if n >= at_least)


def _unavailable(table: str, url: str, problem: str) -> UnavailableError:
    text = problem.lower()
    if any(word in text for word in _FULL):
        return UnavailableError(f"no space left for {table} in {url}", remedy="Free disk space; nothing was written")
    if "permission denied" in text or "read-only" in text:
        return UnavailableError(
            f"{table} in {url} cannot be written", remedy="Make the folder writable for this user; nothing was written"
        )
    return UnavailableError(f"{table} in {url} cannot be used: {problem}", remedy="Run farthing doctor")
