"""The one shape of all benchmarks: a Markdown table, a line that counts the figures met, and JSON beside it.

A benchmark ends with ``_report.main("NAME", measure)``, where ``measure(quick=…)`` returns its figures, and is run as
``python -m bench.NAME [--quick]``. Exit code 0 means that every figure that is asked for was met.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

RESULTS = Path(__file__).parent / "results"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row: what was measured, ours, what was measured beside it in the same run, and what is asked for.

    Without ``at_most`` and ``at_least`` nobody asks for the figure: it is shown and not counted.
    ``beside`` holds peers and limits by name, in the same ``unit``.
    """

    what: str
    ours: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    beside: dict[str, float] = {}
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is what is asked for; ``None`` when nothing is."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.ours <= self.at_most) and (
            self.at_least is None or self.ours >= self.at_least
        )


class Measure(Protocol):
    """Takes all figures of a benchmark; ``quick`` ends within 60 seconds."""

    def __call__(self, *, quick: bool) -> Iterable[Figure]: ...


def main(name: str, measure: Measure) -> None:
    """The command line of a benchmark: measures, reports, exits."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}")
    parser.add_argument("--quick", action="store_true", help="a smaller run that ends within 60 seconds")
    quick: bool = parser.parse_args().quick
    sys.exit(report(name, list(measure(quick=quick)), quick=quick))


def report(name: str, figures: Sequence[Figure], *, quick: bool) -> int:
    """Prints the table and the verdict, keeps both as JSON, and returns the exit code."""
    asked = [f for f in figures if f.met is not None]
    met = sum(bool(f.met) for f in asked)
    print(table(figures))
    print(f"\n{name}: {met} of {len(asked)} figures met")
    result = {
        "benchmark": name,
        "quick": quick,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "load_average": os.getloadavg(),
        "met": met,
        "asked": len(asked),
        "figures": [{**msgspec.structs.asdict(f), "met": f.met} for f in figures],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}{'-quick' if quick else ''}.json").write_text(json.dumps(result, indent=2) + "\n")
    return 0 if met == len(asked) else 1


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table, with a column for everything that stands beside ours."""
    beside = list(dict.fromkeys(name for f in figures for name in f.beside))
    head = ["figure", "ours", *beside, "asked for", "met", "note"]
    rows = [head, *([*_cells(f, beside)] for f in figures)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    rule = " | ".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in [lines[0], rule, *lines[1:]])


def _cells(figure: Figure, beside: Sequence[str]) -> Iterable[str]:
    yield figure.what
    yield _shown(figure.ours, figure.unit)
    yield from (_shown(figure.beside[n], figure.unit) if n in figure.beside else "" for n in beside)
    limits = [("≤", figure.at_most), ("≥", figure.at_least)]
    yield ", ".join(f"{sign} {_shown(limit, figure.unit)}" for sign, limit in limits if limit is not None)
    yield {None: "", True: "yes", False: "NO"}[figure.met]
    yield figure.note


def _shown(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}"
