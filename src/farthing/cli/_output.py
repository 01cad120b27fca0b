"""How commands talk: data on stdout, everything else on stderr.

A command asks for ``out: Out`` (the parameter is filled in, it is no option) and calls
``out.table`` for rows, ``out.record`` for one thing, ``out.note`` and ``out.next`` for talk. The
format is the global ``-o/--output``. Numbers lose nothing on the way out: decimals are fixed-point
strings in every format, never floats and never with an exponent.
"""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import singledispatch
from types import NoneType
from typing import Annotated, Any, Literal, TextIO

import msgspec
from cyclopts import Parameter

from farthing.core.errors import ConflictError, FarthingError, UnavailableError, UpstreamError
from farthing.core.money import Money, Unpriced

Format = Literal["table", "json", "jsonl", "csv", "md"]
"""``table`` is for people, ``md`` for pages, the others for programs."""

OK = 0
THRESHOLD = 1
"""A check failed or a limit was crossed: the answer is on stdout, and it is bad news."""
USAGE = 2
UNREACHABLE = 3
UNRECONCILED = 4

Row = Mapping[str, Any]


class Column(msgspec.Struct, frozen=True):
    """A column: ``name`` is the key in rows and in machine formats, ``title`` heads it for people.

    Numbers are aligned right by themselves; ``style`` is a rich style for terminals.
    """

    name: str
    title: str = ""
    style: str = ""

    @property
    def heading(self) -> str:
        """What people read above the column."""
        return self.title or self.name.replace("_", " ")


class Output:
    """Where a command's answer goes, in the format that was asked for."""

    def __init__(self, format: Format = "table", *, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.format: Format = format
        self._out = stdout or sys.stdout
        self._err = stderr or sys.stderr

    def table(
        self,
        columns: Sequence[Column | str],
        rows: Sequence[Row],
        *,
        total: Row | None = None,
        about: Row | None = None,
        empty: str = "Nothing to show.",
    ) -> None:
        """Rows, and the row that sums them.

        ``table`` and ``md`` end with the total. ``json`` is ``{"rows": […], "total": {…}}`` with the
        entries of ``about`` (currency, reconciled through, …) beside them. ``jsonl`` and ``csv`` hold
        the rows alone, so that summing a column is right. ``empty`` is told to people on stderr.
        """
        named = [c if isinstance(c, Column) else Column(c) for c in columns]
        if not rows:
            self.note(empty)
        match self.format:
            case "json":
                self._json({**(about or {}), "rows": rows, **({"total": total} if total is not None else {})})
            case "jsonl":
                self._write("".join(_encode(row) + "\n" for row in rows))
            case "csv":
                self._write(_csv(named, rows))
            case "md":
                self._write(_markdown(named, rows, total))
            case "table":
                if rows:
                    self._rich_table(named, rows, total)

    def record(self, value: Row | msgspec.Struct) -> None:
        """One thing with named parts: an object in ``json``, a line for each part for people."""
        row: Row = value if isinstance(value, Mapping) else msgspec.structs.asdict(value)
        match self.format:
            case "json":
                self._json(row)
            case "jsonl":
                self._write(_encode(row) + "\n")
            case "csv":
                self._write(_csv([Column(name) for name in row], [row]))
            case "md":
                parts = [{"field": name, "value": part} for name, part in row.items()]
                self._write(_markdown([Column("field"), Column("value")], parts, None))
            case "table":
                width = max((len(name) for name in row), default=0)
                self._write("".join(f"{n.replace('_', ' '):<{width}}  {human(v)}\n" for n, v in row.items()))

    def text(self, text: str) -> None:
        """A bare line of data on stdout in every format, such as a token or a script."""
        self._write(text if text.endswith("\n") else text + "\n")

    def note(self, text: str) -> None:
        """Talk for people, on stderr."""
        self._say(text)

    def warn(self, text: str) -> None:
        """Something that people should look at, on stderr."""
        self._say(text, label="warning", color="33")

    def next(self, command: str, why: str = "") -> None:
        """What to do next, on stderr, as a command to copy."""
        self._say(f"{command}  # {why}" if why else command, label="next", color="36")

    def error(self, problem: FarthingError) -> int:
        """Say what went wrong and what to do about it; returns the exit code that fits."""
        remedy = problem.remedy
        self._say(str(problem).replace(f". {remedy}", "", 1) if remedy else str(problem), label="error", color="31")
        if remedy:
            self._say(remedy, label="remedy", color="36")
        unreachable = isinstance(problem, (UnavailableError, UpstreamError, ConflictError))
        return UNREACHABLE if unreachable else USAGE

    @property
    def interactive(self) -> bool:
        """Whether a person reads stderr at a terminal: progress is shown only then."""
        return self._err.isatty()

    def _say(self, text: str, *, label: str = "", color: str = "") -> None:
        head = f"{label}: " if label else ""
        if head and color and self._err.isatty():
            head = f"\x1b[{color}m{head}\x1b[0m"
        self._err.write(head + printable(text, keep="\n") + "\n")
        self._err.flush()

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def _json(self, value: Any) -> None:
        self._write(msgspec.json.format(_encode(value), indent=2) + "\n")

    def _rich_table(self, columns: Sequence[Column], rows: Sequence[Row], total: Row | None) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        tty = self._out.isatty()
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=total is not None)
        for column in columns:
            footer = Text(human(total.get(column.name)) if total is not None else "")
            right = _is_numeric(column, rows)
            table.add_column(
                Text(column.heading),
                footer,
                justify="right" if right else "left",
                style=column.style or None,
                no_wrap=not tty,
            )
        for row in rows:
            table.add_row(*(Text(human(row.get(c.name))) for c in columns))
        drawn = io.StringIO()
        if tty:
            console = Console(file=self._out)
        else:
            console = Console(file=drawn, width=100_000, no_color=True, force_terminal=False)
        console.print(table)
        self._write("".join(line.rstrip() + "\n" for line in drawn.getvalue().splitlines()))


Out = Annotated[Output, Parameter(parse=False)]
"""Annotate a command's keyword-only parameter with this to receive the ``Output``."""


def _is_numeric(column: Column, rows: Sequence[Row]) -> bool:
    """Whether people expect the column aligned right."""
    values = [row.get(column.name) for row in rows]
    known = [v for v in values if v is not None and not isinstance(v, Unpriced)]
    return bool(known) and all(isinstance(v, (int, float, Decimal, Money)) and not isinstance(v, bool) for v in known)


@singledispatch
def plain(value: object) -> Any:
    """A value as JSON has it; decimals become fixed-point strings, instants end in Z."""
    return str(value)


@plain.register(NoneType | int | float)
def _(value: float | None) -> Any:
    return value


@plain.register
def _(value: Enum) -> Any:
    return plain(value.value)


@plain.register
def _(value: Decimal) -> Any:
    return f"{value:f}"


@plain.register
def _(value: Money) -> Any:
    return {"amount": f"{value.amount:f}", "currency": value.currency}


@plain.register
def _(value: datetime) -> Any:
    return instant(value)


@plain.register
def _(value: timedelta) -> Any:
    return value.total_seconds()


@plain.register
def _(value: msgspec.Struct) -> Any:
    return plain(msgspec.structs.asdict(value))


@plain.register(Mapping)
def _(value: Mapping[object, object]) -> Any:
    return {str(k): plain(v) for k, v in value.items()}


@plain.register(list | tuple)
def _(value: Sequence[object]) -> Any:
    return [plain(v) for v in value]


@plain.register(set | frozenset)
def _(value: frozenset[object]) -> Any:
    return sorted(plain(v) for v in value)


@singledispatch
def human(value: object) -> str:
    """A value as people read it in one cell: thousands are separated, nothing is rounded but floats."""
    return "" if value is None else printable(str(plain(value)))


@human.register
def _(value: bool) -> str:  # noqa: FBT001 - the dispatch passes it
    return "yes" if value else "no"


@human.register
def _(value: int) -> str:
    return f"{value:,d}"


@human.register
def _(value: Decimal) -> str:
    return f"{value:,f}"


@human.register
def _(value: float) -> str:
    return f"{value:,.2f}"


@human.register
def _(value: Money) -> str:
    return f"{value.amount:,f} {value.currency}"


@human.register
def _(value: Unpriced) -> str:
    return f"unpriced: {printable(value.reason)}"


@human.register
def _(value: datetime) -> str:
    return instant(value.replace(microsecond=0)).replace("T", " ")


@human.register
def _(value: msgspec.Struct) -> str:
    return human(msgspec.structs.asdict(value))


@human.register(Mapping)
def _(value: Mapping[object, object]) -> str:
    return " ".join(f"{printable(str(k))}={human(v)}" for k, v in value.items() if v not in ("", None))


@human.register(list | tuple | set | frozenset)
def _(value: Sequence[object]) -> str:
    return ", ".join(human(v) for v in plain(value))


def instant(at: datetime) -> str:
    """ISO 8601 in UTC with a Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def printable(text: str, *, keep: str = "") -> str:
    """Text without control characters, so that a label from a request cannot drive a terminal."""
    return "".join(c if c.isprintable() or c in keep else "�" for c in text)


def _encode(value: Any) -> str:
    return msgspec.json.encode(plain(value)).decode()


def _csv(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([c.name for c in columns])
    for row in rows:
        writer.writerow([_flat(row.get(c.name)) for c in columns])
    return text.getvalue()


def _flat(value: Any) -> str:
    simple = plain(value)
    if simple is None:
        return ""
    if isinstance(simple, bool):
        return "true" if simple else "false"
    return msgspec.json.encode(simple).decode() if isinstance(simple, (dict, list)) else str(simple)


def _markdown(columns: Sequence[Column], rows: Sequence[Row], total: Row | None) -> str:
    right = [_is_numeric(c, rows) for c in columns]
    lines = [[c.heading for c in columns], ["---:" if r else "---" for r in right]]
    lines += [[_cell(row.get(c.name)) for c in columns] for row in rows]
    if total is not None:
        lines.append([f"**{_cell(total.get(c.name))}**" if total.get(c.name) is not None else "" for c in columns])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: Any) -> str:
    return human(value).replace("\\", "\\\\").replace("|", "\\|")
