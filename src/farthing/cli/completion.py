"""``farthing completion``: the shells' completion scripts."""

from pathlib import Path
from typing import Literal

from cyclopts import App

from farthing.cli import root
from farthing.cli._output import Out

app = App(name="completion")

Shell = Literal["bash", "zsh", "fish"]


@app.command(name="print")
def print_script(shell: Shell, *, out: Out) -> None:
    """Print the completion script of a shell, to be sourced.

    Args:
        shell: Which shell.
        out: Where the script goes.
    """
    out.text(root().generate_completion(prog_name="farthing", shell=shell))


@app.command
def install(shell: Shell | None = None, *, path: Path | None = None, startup: bool = False, out: Out) -> None:
    """Write the completion script to the place where the shell looks for it.

    Args:
        shell: Which shell; the running one by default.
        path: Another file to write to.
        startup: Also add a line to the shell's startup file.
        out: Where the answer goes.
    """
    written = root().install_completion(shell=shell, output=path, add_to_startup=startup)
    out.note(f"Completion is in {written}; open a new shell to use it.")
