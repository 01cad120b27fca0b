"""``python -m docs.generate`` writes ``docs/reference`` from the code; ``--check`` only says which pages are stale.

The same code makes the same bytes: nothing here looks at the clock, the network or the settings of this machine.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from docs.writers import api, cli, errors, headers, ledger, metrics, sdks, settings, sources, vendors

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": api.page,
    "cli.md": cli.page,
    "errors.md": errors.page,
    "headers.md": headers.page,
    "ledger.md": ledger.page,
    "metrics.md": metrics.page,
    "sdks.md": lambda: sdks.page(ROOT),
    "settings.md": settings.page,
    "sources.md": sources.page,
    "vendors.md": vendors.page,
}
_HEAD = "<!-- Written by python -m docs.generate. Change the code that it comes from, not this page. -->\n\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or check them. Exit code 1 when a checked page is stale."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a page is stale")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pages are")
    given = parser.parse_args(arguments)
    stale = outdated(given.folder)
    for name in stale:
        sys.stdout.write(f"{'stale' if given.check else 'written'}: {name}\n")
    if given.check:
        return 1 if stale else 0
    write(given.folder, stale)
    return 0


def outdated(folder: Path) -> dict[str, str]:
    """Pages that are not what the code says, by name; empty text for a page that should not be there."""
    wanted = {name: _HEAD + make() for name, make in PAGES.items()}
    strangers = {path.name: "" for path in folder.glob("*.md") if path.name not in wanted}
    return {name: text for name, text in wanted.items() if _read(folder / name) != text} | strangers


def write(folder: Path, pages: Mapping[str, str]) -> None:
    """Bring pages up to date; those without text are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        if text:
            (folder / name).write_text(text, encoding="utf-8")
        else:
            (folder / name).unlink()


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
