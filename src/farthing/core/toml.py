"""TOML text as typed values, with the line of every problem, and all problems at once."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, cast, get_args, get_origin

import msgspec

from farthing.core.errors import ConfigError

At = tuple[str | int, ...]
"""Where a value stands: names of tables and keys, and indices in arrays."""


class Source(msgspec.Struct, frozen=True):
    """A parsed text: what it says, and the line on which each key and table begins."""

    name: str
    tree: dict[str, Any] = {}
    lines: dict[At, int] = {}

    @classmethod
    def parse(cls, name: str, text: str) -> "Source":
        """Raises ``ConfigError`` with the line where the text stops being TOML."""
        try:
            return cls(name, tomllib.loads(text), _lines(text))
        except tomllib.TOMLDecodeError as problem:
            place = re.search(r"line (\d+)", str(problem))
            line = int(place[1]) if place else len(text.splitlines())
            raise ConfigError(
                f"not TOML: {re.sub(r' [(]at .*[)]', '', str(problem))}",
                file=name,
                line=line,
                field="syntax",
                value=_line(text, line),
                remedy="Text needs quotes, tables are [like.this]; see https://toml.io",
            ) from None

    def line(self, at: At) -> int:
        """The line of a value, or of the nearest thing around it; 0 when the text does not have it."""
        return next((self.lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in self.lines), 0)

    def problem(self, message: str, at: At, value: object, remedy: str) -> ConfigError:
        """An error that says where in this text the value stands."""
        field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in at).lstrip(".")
        return ConfigError(message, file=self.name, line=self.line(at), field=field, value=value, remedy=remedy)


class Reader:
    """Turns decoded TOML into Structs strictly, gathering problems instead of stopping at the first."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[ConfigError] = []

    def read(self, value: Any, to: Any, at: At = ()) -> Any:
        """The value as its type; ``None`` after a problem, which is then in ``problems``."""
        origin, args = get_origin(to), get_args(to)
        if isinstance(to, type) and issubclass(to, msgspec.Struct):
            return self._struct(value, to, at)
        if origin is dict and isinstance(value, dict):
            table = cast("dict[str, Any]", value)
            return {name: self.read(part, args[1], (*at, name)) for name, part in table.items()}
        if origin is tuple and isinstance(value, list) and args[-1] is Ellipsis:
            items = cast("list[Any]", value)
            return tuple(self.read(part, args[0], (*at, i)) for i, part in enumerate(items))
        return self._leaf(value, to, at)

    def _struct(self, value: Any, to: type[msgspec.Struct], at: At) -> Any:
        if not isinstance(value, dict):
            self._refuse("a table is needed", at, value, "Write its fields below a [table] header")
            return None
        table = cast("dict[str, Any]", value)
        fields = {f.name: f for f in msgspec.structs.fields(to)}
        before = len(self.problems)
        known = {name: self.read(table[name], fields[name].type, (*at, name)) for name in table if name in fields}
        for name in table.keys() - fields.keys():
            self._refuse("unknown field", (*at, name), table[name], nearest(name, fields))
        for name, field in fields.items():
            if field.required and name not in table:
                self._refuse("a field is missing", (*at, name), None, f"Add {name} = …")
        return to(**known) if len(self.problems) == before else None

    def _leaf(self, value: Any, to: Any, at: At) -> Any:
        try:
            return msgspec.convert(value, to, strict=True, dec_hook=_construct)
        except msgspec.ValidationError as problem:
            self._refuse(str(problem).split(" - at ")[0], at, value, wanted(to))
            return None

    def _refuse(self, message: str, at: At, value: object, remedy: str) -> None:
        self.problems.append(self.source.problem(message, at, value, remedy))


def nearest(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown name: the one that looks most like it, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(names)}"


def wanted(to: Any) -> str:
    """A remedy for a value of the wrong type: what to write."""
    if get_origin(to) is Annotated:
        return wanted(get_args(to)[0])
    words: Mapping[Any, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text in quotes",
        Path: "a path in quotes",
    }
    choices = [f'"{c}"' for c in get_args(to) if isinstance(c, str)]
    if choices:
        return f"Write one of {', '.join(choices)}"
    return "Write " + words.get(to, 'a list such as ["a", "b"]')


def _construct(to: type, value: Any) -> Any:
    """Values that TOML has no type for. A ``TypeError`` becomes a problem of the field."""
    if to is not Path or not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return Path(value)


def _line(text: str, number: int) -> str:
    return next((line.strip() for i, line in enumerate(text.splitlines(), 1) if i == number), "")


def _lines(text: str) -> dict[At, int]:
    """Where each key and table of a valid TOML text begins.

    A statement ends where the lines gathered so far are TOML by themselves, so the parser of the
    standard library settles all questions of quoting and of values that run over several lines.
    """
    found: dict[At, int] = {}
    table: At = ()
    counts: dict[At, int] = {}
    gathered, began = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        began = began if gathered else number
        gathered += line + "\n"
        statement = _statement(gathered)
        if statement is None:
            continue
        head, gathered = gathered.lstrip(), ""
        if head.startswith("["):
            table = _header(statement, counts)
            found[table] = began
        else:
            found.update({table + key: began for key in _keys(statement)})
    return found


def _statement(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _header(statement: dict[str, Any], counts: dict[At, int]) -> At:
    """The path of ``[table]`` or ``[[table]]``, with the index of each array element on the way."""
    at: list[str | int] = []
    inner: Any = statement
    while inner:
        if isinstance(inner, list):
            here = tuple(at)
            counts[here] = counts.get(here, -1) + 1
            return (*here, counts[here])
        table = cast("dict[str, Any]", inner)
        name = next(iter(table))
        inner = table[name]
        at.append(name)
        if tuple(at) in counts and not isinstance(inner, list):
            at.append(counts[tuple(at)])
    return tuple(at)


def _keys(value: Any, at: At = ()) -> Iterable[At]:
    """The paths of everything that one statement sets, inline tables included."""
    if at:
        yield at
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        for name, part in table.items():
            yield from _keys(part, (*at, name))
