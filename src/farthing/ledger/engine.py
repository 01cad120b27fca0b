"""DuckDB over the ledger's current files.

One connection per ledger, one cursor per question, so that questions may come from several threads. Instants are
read as wall time in UTC: arithmetic on DuckDB's zoned type costs six times as much.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from farthing.core.errors import UnavailableError
from farthing.core.time import Window
from farthing.ledger.shape import Piece
from farthing.ledger.table import Scan

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


Sources = Mapping[Piece, Sequence[Scan]]
"""What each table name in a query stands for: the rows of all its scans."""


class Engine:
    """Runs compiled expressions. ``threads`` of 0 takes one per core."""

    def __init__(self, *, threads: int = 0, memory: str = "") -> None:
        import duckdb

        config: dict[str, Any] = {"preserve_insertion_order": False, "autoinstall_known_extensions": False}
        if threads:
            config["threads"] = threads
        if memory:
            config["memory_limit"] = memory
        self._connection = duckdb.connect(":memory:", config=config)
        self._connection.execute("SET GLOBAL parquet_metadata_cache = true")

    def run(self, query: str, sources: Sources) -> "pa.Table":
        """The rows of a compiled query. Raises ``UnavailableError`` when a file cannot be read."""
        import duckdb

        cursor = self._connection.cursor()
        parameters: dict[str, Any] = {}
        tables = [f'"{name}" AS ({self._union(cursor, name, scans, parameters)})' for name, scans in sources.items()]
        ctes = f"WITH {', '.join(tables)}"
        text = f"{ctes}, {query[4:].lstrip()}" if query.startswith("WITH") else f"{ctes} {query}"
        try:
            return cursor.sql(text, params=parameters).to_arrow_table()
        except (duckdb.IOException, duckdb.HTTPException) as problem:
            raise UnavailableError(
                f"a file of the ledger cannot be read: {problem}", remedy="Ask again; if it stays, restore the file"
            ) from problem
        finally:
            cursor.close()

    def _union(
        self, cursor: "duckdb.DuckDBPyConnection", name: str, scans: Sequence[Scan], parameters: dict[str, Any]
    ) -> str:
        return " UNION ALL ".join(
            self._select(cursor, f"{name}_{number}", scan, parameters) for number, scan in enumerate(scans)
        )

    def _select(self, cursor: "duckdb.DuckDBPyConnection", name: str, scan: Scan, parameters: dict[str, Any]) -> str:
        spec = scan.table.spec
        schema: Any = spec.schema()
        if scan.table.is_remote:
            cursor.register(name, scan.dataset())
            origin = f'"{name}"'
        else:
            parameters[name] = [f"{scan.table.url}/{file.path}" for file in scan.files]
            origin = f"read_parquet(${name}, hive_partitioning = false)"
        columns = ", ".join(_column(field.name, str(field.type)) for field in schema if field.name != spec.partition)
        return f"SELECT {columns} FROM {origin} WHERE {_within(spec.time, scan.windows)}"  # noqa: S608 - names of our own

    def close(self) -> None:
        """Ends the connection; later questions fail."""
        self._connection.close()


def _column(name: str, type: str) -> str:
    return f'make_timestamp(epoch_us("{name}")) AS "{name}"' if type.startswith("timestamp") else f'"{name}"'


def _within(column: str, windows: Sequence[Window]) -> str:
    return " OR ".join(f"({_between(column, window)})" for window in windows) or "false"


def _between(column: str, window: Window) -> str:
    bounds = [
        f"\"{column}\" {sign} TIMESTAMPTZ '{_literal(at)}'"
        for sign, at in ((">=", window.start), ("<", window.end))
        if at is not None
    ]
    return " AND ".join(bounds) or "true"


def _literal(at: datetime) -> str:
    return at.isoformat(sep=" ")
