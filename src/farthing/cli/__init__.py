"""The command line, one file per noun."""

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from cyclopts import App

    from farthing.cli._output import Output

NOUNS = {
    "up": "Run Farthing here: gateway, dashboard and ledger.",
    "demo": "See the whole product with simulated providers, without any account.",
    "key": "Create, list, rotate and revoke the keys that clients use.",
    "person": "Let people and services use the dashboard and the control API.",
    "secret": "Keep secrets sealed, for settings such as api_key.",
    "provider": "Add, list, test and remove upstream accounts.",
    "prices": "Look up what models and machines cost, and since when.",
    "spend": "Sum what was spent, by anything.",
    "requests": "List requests, and show one with its cost line by line.",
    "ingest": "Import bills and logs from elsewhere.",
    "budget": "Limit money, requests and tokens, and see how the limits stand.",
    "cache": "See what the caches save and how often they are wrong; forget what they hold.",
    "alerts": "See who was told what, and try the targets.",
    "approval": "Ask for a yes, give one, and see what waits for one.",
    "audit": "See who changed what, and prove that nobody changed the record.",
    "init": "Set limits and approvals up after a profile.",
    "doctor": "Check this installation and say how to repair it.",
    "config": "Check and show the settings.",
    "completion": "Print or install shell completion.",
}
"""Each noun is the ``app`` of the module with its name, imported when it is used."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: 0 ok, 1 threshold, 2 usage, 3 unreachable, 4 unreconciled."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        if tokens not in ([], ["--help"], ["-h"]):
            return _run(tokens)
        sys.stdout.write(overview())
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _silence_stdout()
    return 0


def overview() -> str:
    """What ``farthing --help`` says. Written by hand, because loading the parser takes longer than reading this."""
    width = max(map(len, NOUNS)) + 2
    nouns = "".join(f"  {noun:<{width}}{purpose}\n" for noun, purpose in NOUNS.items())
    return f"{_PURPOSE}\n\nUsage: farthing NOUN [VERB] [OPTIONS]\n\n{nouns}{_GLOBAL}"


def _run(tokens: list[str]) -> int:
    from cyclopts import CycloptsError

    from farthing.cli._output import OK, USAGE, Output
    from farthing.core.errors import FarthingError

    try:
        result = root().meta(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as problem:
        Output().error(FarthingError(str(problem)))
        return USAGE
    except FarthingError as problem:
        return Output().error(problem)
    return result if isinstance(result, int) else OK


def _silence_stdout() -> None:
    """The reader of our output has left: send what is still buffered nowhere, so that exiting is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def root() -> "App":
    """The command tree. Nouns are known by name only until one of them is used."""
    from cyclopts import App, Parameter

    from farthing.cli._output import Format, Output
    from farthing.core.errors import NotFoundError

    app = App(name="farthing", help=_PURPOSE, version=_version, version_flags=["--version", "-V"])
    for noun, purpose in NOUNS.items():
        app.command(f"{__name__}.{noun}:app", name=noun, help=purpose)

    @app.meta.default
    def launch(  # pyright: ignore[reportUnusedFunction] - registered by the decorator
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        output: Annotated[Format, Parameter(name=("--output", "-o"), help="How to write the answer.")] = "table",
    ) -> object:
        if tokens and not tokens[0].startswith("-") and tokens[0] not in NOUNS:
            raise NotFoundError("command", tokens[0], known=NOUNS, remedy="farthing --help lists them all")
        command, bound, wanted = app.parse_args(tokens, exit_on_error=False, print_error=False)
        return _call(command, bound, wanted, Output(output))

    return app


_PURPOSE = "Farthing makes AI infrastructure cost the least it can, and proves it."
_GLOBAL = """
  -o, --output FORMAT  table (default), json, jsonl, csv or md
  -V, --version        The version
  -h, --help           This page; after a noun or a verb, its options

Exit codes: 0 ok, 1 threshold crossed, 2 usage, 3 unreachable, 4 unreconciled.
Start with: farthing demo
"""


def _call(command: Callable[..., Any], bound: inspect.BoundArguments, wanted: dict[str, Any], out: "Output") -> object:
    """Run a command, handing the output to the parameters annotated with ``Out``."""
    result = command(*bound.args, **bound.kwargs, **dict.fromkeys(wanted, out))
    if not inspect.iscoroutine(result):
        return result
    import asyncio

    return asyncio.run(result)


def _version() -> str:
    from importlib.metadata import version

    return version("farthing")
