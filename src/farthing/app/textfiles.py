"""Texts in files: a field of JSON lines, a column of CSV, or lines. What cannot be read is said with file and line."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from farthing.core.errors import InputError

_JSON = (".jsonl", ".ndjson")


def texts_of(file: Path, *, field: str) -> Iterator[str]:
    """The texts of a file, in order; its name's ending says what it is. Empty ones are left out.

    A line of JSON is an object with the field, or a text. Raises ``InputError`` when the file cannot be read.
    """
    read = _of_json if file.suffix in _JSON else _of_csv if file.suffix == ".csv" else _of_lines
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield from (text for text in read(file, lines, field) if text.strip())
    except OSError as problem:
        raise InputError(
            "cannot be read", field="file", value=str(file), remedy=f"{problem.strerror}: check the path"
        ) from None
    except UnicodeDecodeError as problem:
        remedy = "Convert the file, for example with iconv"
        raise InputError("not UTF-8", field=str(file), value=f"byte {problem.start:,}", remedy=remedy) from None


def _of_json(file: Path, lines: Iterator[str], field: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _json_text(line, f"{file}:{number}", field)


def _json_text(line: str, where: str, field: str) -> str:
    try:
        found: Any = msgspec.json.decode(line)
    except msgspec.DecodeError as problem:
        raise InputError(f"no JSON ({problem})", field=where, value=line[:80], remedy="Correct the line") from None
    if isinstance(found, dict):
        found = found.get(field)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - any JSON
    if not isinstance(found, str):
        remedy = "Name the field that holds the text with --field"
        raise InputError(f"no text in the field {field!r}", field=where, value=line[:80], remedy=remedy)
    return found


def _of_csv(file: Path, lines: Iterator[str], field: str) -> Iterator[str]:
    rows = csv.DictReader(lines)
    try:
        names = list(rows.fieldnames or ())
        if field not in names:
            remedy = f"Name the column with --field: {', '.join(names[:20]) or 'the file is empty'}"
            raise InputError(f"no column {field!r}", field=f"{file}:1", value=",".join(names)[:80], remedy=remedy)
        for row in rows:
            text = row[field]
            if text is None:
                raise InputError(
                    "a row with too few columns", field=f"{file}:{rows.line_num}", value="", remedy="Correct the line"
                )
            yield text
    except csv.Error as problem:
        raise InputError(
            f"no CSV ({problem})", field=f"{file}:{rows.line_num}", value="", remedy="Correct the line"
        ) from None


def _of_lines(file: Path, lines: Iterator[str], field: str) -> Iterator[str]:
    del file, field
    return (line.rstrip("\r\n") for line in lines)
