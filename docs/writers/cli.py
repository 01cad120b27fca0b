"""The command line, from the parser itself."""

from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args

from cyclopts import App

from docs.writers.markdown import code, prose, table
from farthing.cli import NOUNS, overview, root
from farthing.cli._output import OK, THRESHOLD, UNREACHABLE, UNRECONCILED, USAGE

_HELP = ("--help", "-h", "--version", "-V")

EXIT_CODES = {
    OK: "It worked.",
    THRESHOLD: "A check failed or a limit was crossed. The answer is on stdout, and it is bad news.",
    USAGE: "The command line or a setting cannot be used, or a name does not exist. Nothing was changed.",
    UNREACHABLE: "Something that is needed does not answer: a provider, a store, a folder.",
    UNRECONCILED: "Two sums that must be equal are not.",
    130: "Ctrl-C.",
}


def page() -> str:
    """Every noun, verb and option."""
    app = root()
    head = (
        "# Command line\n\n```text\n" + overview().strip() + "\n```\n\n"
        "Every command takes `-o`, `--output`: `table` for people, `md` for pages, `json`, `jsonl` and `csv` for "
        "programs. Data goes to stdout and talk to stderr. Amounts are fixed-point strings, never floats. `json` "
        "holds rows, total and what they are about; `jsonl` and `csv` hold the rows alone.\n\n"
        "## Exit codes\n\n" + table(("code", "meaning"), EXIT_CODES.items()) + "\n"
    )
    return head + "\n".join(section for noun in NOUNS for section in _commands(app[noun], ("farthing", noun)))


def _commands(app: App, path: tuple[str, ...]) -> Iterator[str]:
    """An app's own command, if it has one, then its verbs."""
    level = "#" * len(path)
    yield f"{level} {' '.join(path)}\n\n{_command(app, path) if app.default_command else prose(app.help) + chr(10)}"
    for verb in app:
        if verb not in _HELP:
            yield from _commands(app[verb], (*path, verb))


def _command(app: App, path: tuple[str, ...]) -> str:
    arguments = [a for a in app.assemble_argument_collection(parse_docstring=True) if a.show]
    positional = [a for a in arguments if a.index is not None]
    options = [a for a in arguments if a.index is None]
    usage = " ".join((*path, *map(_placeholder, positional), *(["[OPTIONS]"] if options else [])))
    purpose = prose(app.default_command).split("\n\nArgs:")[0]
    rows = [_row(a) for a in (*positional, *options)]
    described = "\n" + table(("argument", "value", "default", "meaning"), rows) if rows else ""
    return f"```text\n{usage}\n```\n\n{purpose}\n{described}"


def _placeholder(argument: Any) -> str:
    name = _bare(argument)
    if argument.field_info.kind is argument.field_info.VAR_POSITIONAL:
        return f"[{name} …]"
    return name if argument.required else f"[{name}]"


def _bare(argument: Any) -> str:
    return argument.names[0].lstrip("-").upper()


def _row(argument: Any) -> tuple[str, str, str, str]:
    if argument.index is None:
        name = ", ".join(code(n) for n in argument.names if not n.startswith(_unused(argument)))
    else:
        name = code(_bare(argument))
    return name, _value(argument), _default(argument), prose(argument.parameter.help or "")


def _unused(argument: Any) -> tuple[str, ...]:
    """Prefixes of names that the parser takes and nobody needs: the negation of what is off anyway."""
    return ("--empty-",) if argument.field_info.default is True else ("--empty-", "--no-")


def _value(argument: Any) -> str:
    choices = argument.get_choices()
    if choices:
        return ", ".join(code(c) for c in choices)
    return _type(argument.hint)


def _type(hint: Any) -> str:
    inner = [a for a in get_args(hint) if a not in (NoneType, ...)]
    if getattr(hint, "__origin__", None) in (list, tuple):
        return f"{_type(inner[0])}, repeatable"
    if inner:
        return _type(inner[0])
    return {bool: "flag", str: "text", int: "integer", float: "number"}.get(hint, hint.__name__.lower())


def _default(argument: Any) -> str:
    if argument.required:
        return "required"
    default = argument.field_info.default
    if default in (None, "", False, argument.field_info.empty):
        return ""
    return code("on" if default is True else default)
