"""pyarrow and Ibis, imported when used and taken as untyped.

Both make their functions at run time, and what they say about types resolves to unknown ones; the ledger names
their types in signatures only.
"""

from importlib import import_module
from typing import Any


def arrow() -> Any:
    """The module ``pyarrow``."""
    return import_module("pyarrow")


def compute() -> Any:
    """The module ``pyarrow.compute``."""
    return import_module("pyarrow.compute")


def parquet() -> Any:
    """The module ``pyarrow.parquet``."""
    return import_module("pyarrow.parquet")


def ibis() -> Any:
    """The module ``ibis``."""
    return import_module("ibis")


def sql(expression: Any) -> str:
    """An Ibis expression in DuckDB's SQL; values in it are quoted."""
    return str(ibis().to_sql(expression, dialect="duckdb"))
