"""``farthing config``: check and show the settings."""

from pathlib import Path
from typing import Any

from cyclopts import App

from farthing import config
from farthing.app.local import Local
from farthing.cli._output import OK, USAGE, Column, Out

app = App(name="config", help="Check and show the settings.")


@app.command
def check(file: Path | None = None, *, out: Out) -> int:
    """List every problem of the settings, each with its place and its remedy. Exit code 2 when there are any.

    Args:
        file: The settings file; by default farthing.toml here, or $FARTHING_CONFIG.
        out: Where the list goes.
    """
    env = config.environment()
    problems = Local.problems(config_file=file, env=env)
    rows = [
        {"file": p.file, "line": p.line or None, "field": p.field, "value": p.value, "problem": p.message,
         "remedy": p.remedy}
        for p in problems
    ]  # fmt: skip
    source = config.settings_file(file, env)
    columns = ["file", "line", "field", "value", "problem", Column("remedy", style="cyan")]
    out.table(columns, rows, empty=f"Nothing is wrong with {source or 'the defaults and the variables'}.")
    if not problems:
        out.next("farthing config show", "what holds")
    return USAGE if problems else OK


@app.command
def show(file: Path | None = None, *, out: Out) -> None:
    """Show the effective settings: file, variables and defaults together. Secrets are left out.

    Args:
        file: The settings file; by default farthing.toml here, or $FARTHING_CONFIG.
        out: Where the settings go.
    """
    env = config.environment()
    settings = config.redacted(config.load(file, env))
    if out.format == "json":
        out.record(settings)
        return
    out.table(["setting", "value"], list(_flat(settings)))
    out.note(f"From {config.settings_file(file, env) or 'defaults'} and variables.")


def _flat(value: Any, name: str = "") -> list[dict[str, Any]]:
    if isinstance(value, dict) and value:
        return [row for k, v in value.items() for row in _flat(v, f"{name}.{k}".lstrip("."))]  # pyright: ignore[reportUnknownVariableType] - builtins of settings
    return [{"setting": name, "value": str(value) if isinstance(value, int) else value}]
