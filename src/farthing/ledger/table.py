"""One append-only Delta table, written exactly once per source and version.

delta-rs accepts the same application transaction twice when the replays come one after the other. So
the protocol is: open the table, look up the source's last version, write through the *same* handle
with the next one. A writer that raced ahead makes the commit fail; then the table is opened again
and looked up again. Deletion vectors are never switched on: a plain list of files must be the truth.
"""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from farthing.core.errors import ConflictError, InputError, UnavailableError
from farthing.core.time import Window
from farthing.ledger.arrow import arrow, parquet
from farthing.ledger.schema import TableSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import AddAction

ATTEMPTS = 20
"""How often a commit that lost a race is tried again."""

ANY = -1
"""No expectation about a source's last version."""

LARGE = 64 * 1024 * 1024
"""Bytes from which a file is left alone by merging."""

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


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of some files of a table whose time lies in one of the windows."""

    table: "FactTable"
    files: tuple[File, ...]
    windows: tuple[Window, ...] = (Window(),)

    def dataset(self) -> Any:
        """The files as a pyarrow dataset, read through the table's own storage client; windows are not applied."""
        from pyarrow import dataset

        paths = [file.path for file in self.files]
        return dataset.dataset(paths, filesystem=self.table.filesystem, format="parquet")


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

    @property
    def seen(self) -> Snapshot:
        """The snapshot that was read last, without another look at the log."""
        return self._snapshot or Snapshot(version=-1, files=())

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

    def merge(self, merged: "Callable[[Scan], pa.Table]", *, at_least: int) -> int:
        """Replaces the small files of every partition that has ``at_least`` of them by one with what ``merged`` says.

        Safe beside everybody else: what is appended meanwhile stays, of two that merge the same files one gives
        up, and the sources' last versions stay. Returns how many files were replaced.
        """
        return sum(self._merge(merged, p, at_least) for p in _crowded(self.snapshot().files, at_least))

    def _merge(self, merged: "Callable[[Scan], pa.Table]", partition: str, at_least: int) -> int:
        small: list[File] = []

        def crowded(handle: "DeltaTable") -> bool:
            small[:] = [f for f in self._files(handle) if f.partition == partition and f.size < LARGE]
            return len(small) >= at_least

        def replace(handle: "DeltaTable") -> None:
            self._replace(handle, small, merged(Scan(table=self, files=tuple(small))))

        return len(small) if self.commit(replace, when=crowded) else 0

    def _replace(self, handle: "DeltaTable", old: list[File], rows: "pa.Table") -> None:
        """One commit that takes files away and brings one with the same facts, marked as no change of data.

        Not ``optimize.compact``: of delta-rs' own, two that run side by side each add their copy of the rows.
        """
        from deltalake.transaction import RemoveAction

        added = self._put(self.spec.completed(rows), old[0].partition)
        values: dict[str, str | None] = {self.spec.partition: old[0].partition}
        removed = [RemoveAction(f.path, False, added.modification_time, f.size, values) for f in old]
        handle.create_write_transaction(
            [*removed, added],
            mode="append",
            schema=handle.schema(),
            partition_by=[self.spec.partition],
            commit_properties=_rearranging(handle),
        )

    def _put(self, rows: Any, partition: str) -> "AddAction":
        """Writes a data file that no version has yet."""
        from deltalake.transaction import AddAction

        path = f"{self.spec.partition}={partition}/part-{uuid.uuid4()}.zstd.parquet"
        rows = rows.drop_columns([self.spec.partition]).sort_by(self.spec.time)
        repeating = [name for name in rows.column_names if name not in self.spec.unique]
        with self.filesystem.open_output_stream(path) as out:
            parquet().write_table(
                rows,
                out,
                compression="zstd",
                compression_level=1,
                row_group_size=ROWS_PER_GROUP,
                use_dictionary=repeating,
            )
        info = self.filesystem.get_file_info(path)
        stats = _stats(rows.column(self.spec.time), self.spec.time)
        return AddAction(path, info.size, {self.spec.partition: partition}, info.mtime_ns // 1_000_000, False, stats)

    def drop_before(self, partition: str) -> int:
        """Drops whole partitions that sort before ``partition``; returns the number of rows."""
        old: list[File] = []

        def any_old(handle: "DeltaTable") -> bool:
            old[:] = [f for f in self._files(handle) if f.partition < partition]
            return bool(old)

        def drop(handle: "DeltaTable") -> None:
            handle.delete(f"{self.spec.partition} < '{partition}'", commit_properties=_rearranging(handle))

        return sum(f.rows for f in old) if self.snapshot().files and self.commit(drop, when=any_old) else 0

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
                "delta.logRetentionDuration": "interval 2 days",
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


def _rearranging(handle: "DeltaTable") -> "CommitProperties":
    """Marks a commit that replaces or drops files, so that two of them never go through side by side.

    Two commits that name the same application conflict; without that, one could bring back what the other dropped.
    """
    from deltalake import CommitProperties, Transaction

    return CommitProperties(app_transactions=[Transaction("rearrange", handle.version() + 1)])


def _crowded(files: Iterable[File], at_least: int) -> list[str]:
    counts = Counter(file.partition for file in files if file.size < LARGE)
    return sorted(p for p, n in counts.items() if n >= at_least)


def _stats(times: Any, name: str) -> str:
    """The statistics of a data file, as the Delta log has them."""
    first, last = times[0].as_py(), times[-1].as_py()
    shown = {"minValues": {name: first}, "maxValues": {name: last}, "nullCount": {name: times.null_count}}
    return msgspec.json.encode({"numRecords": len(times), **shown}).decode()


def _unavailable(table: str, url: str, problem: str) -> UnavailableError:
    text = problem.lower()
    if any(word in text for word in _FULL):
        return UnavailableError(f"no space left for {table} in {url}", remedy="Free disk space; nothing was written")
    if "permission denied" in text or "read-only" in text:
        return UnavailableError(
            f"{table} in {url} cannot be written", remedy="Make the folder writable for this user; nothing was written"
        )
    return UnavailableError(f"{table} in {url} cannot be used: {problem}", remedy="Run farthing doctor")
