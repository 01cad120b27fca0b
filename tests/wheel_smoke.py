"""Run by the Python of an environment that holds nothing but the built wheel: does the package stand on its own?

uv venv .cache/wheel && uv pip install --python .cache/wheel/bin/python dist/*.whl
.cache/wheel/bin/python tests/wheel_smoke.py
"""

import importlib
import json
import os
import pkgutil
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

COMMAND = Path(sys.executable).with_name("farthing")
OPTIONAL = ("farthing.__main__", "farthing.state.migrations.env")
"""Modules that do something when they are imported."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="farthing-smoke-") as folder:
        os.chdir(folder)
        for check in (own_place, command_line, modules, data, demo, dashboard):
            began = time.monotonic()
            check(Path(folder))
            print(f"ok  {check.__name__:<14} {time.monotonic() - began:5.1f} s", flush=True)
    return 0


def own_place(_: Path) -> None:
    """It is the installed package that is looked at, not the working tree."""
    place = Path(importlib.import_module("farthing").__file__ or "")
    expect(Path(sys.prefix) in place.parents, f"farthing comes from {place}, not from {sys.prefix}")


def command_line(_: Path) -> None:
    expect(version("farthing") in farthing("--version"), "the command tells another version than the package")
    expect("farthing demo" in farthing("--help"), "no help")


def modules(_: Path) -> None:
    """Everything can be imported with the dependencies that the wheel names."""
    package = importlib.import_module("farthing")
    found = [m.name for m in pkgutil.walk_packages(package.__path__, "farthing.") if m.name not in OPTIONAL]
    expect(len(found) > 100, f"only {len(found)} modules")
    for name in found:
        importlib.import_module(name)


def data(_: Path) -> None:
    """What is no Python is in the wheel too."""
    root = files("farthing")
    expect(root.joinpath("py.typed").is_file(), "no py.typed")
    expect(root.joinpath("gateway/vendors.toml").is_file(), "no vendors")
    machines = [f for f in root.joinpath("catalog/data").iterdir() if f.name.endswith(".toml")]
    expect(len(machines) > 10, f"only {len(machines)} tables of machines")
    versions = root.joinpath("state/migrations/versions")
    expect(any(f.name.startswith("v0001") for f in versions.iterdir()), "no migrations")
    static = root.joinpath("web/static")
    expect(static.joinpath("index.html").is_file(), "no dashboard")
    for asset in assets(static.joinpath("index.html").read_text(encoding="utf-8")):
        expect(static.joinpath(asset.lstrip("/")).is_file(), f"the page wants {asset}")


def demo(home: Path) -> None:
    """A real run, which reconciles what clients counted with the ledger."""
    summary = json.loads(farthing("demo", "--for", "5s", "--headless", "--home", str(home / "demo"), "-o", "json"))
    expect(summary["reconciled"] is True, f"the demo does not reconcile: {summary}")
    expect(summary["requests"] > 0, "the demo sent nothing")
    expect(re.fullmatch(r"\d+\.\d{12}", summary["cost"]) is not None, f"a strange cost: {summary['cost']}")


def dashboard(home: Path) -> None:
    """The page and all it is made of, served by a gateway without any provider."""
    with running(home) as url:
        page = get(url + "/")
        found = assets(page)
        expect(any(a.endswith(".js") for a in found), f"no script in {page[:200]}")
        for asset in found:
            expect(len(get(url + asset)) > 100, f"{asset} is empty")


@contextmanager
def running(home: Path) -> Iterator[str]:
    """``farthing up`` on free ports; yields the dashboard's address."""
    gateway, web = free_port(), free_port()
    options = ["--home", str(home / "up"), "--port", str(gateway), "--web-port", str(web)]
    process = subprocess.Popen([COMMAND, "up", *options], env=environment(), stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{gateway}/readyz", process)
        wait_for(f"http://127.0.0.1:{web}/healthz", process)
        yield f"http://127.0.0.1:{web}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    expect(process.returncode == 0, f"farthing up ended with {process.returncode}")


def farthing(*arguments: str) -> str:
    """What a command says on stdout."""
    done = subprocess.run(
        [COMMAND, *arguments], env=environment(), capture_output=True, text=True, timeout=180, check=False
    )
    expect(done.returncode == 0, f"farthing {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def environment() -> dict[str, str]:
    """No settings and no providers but those given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FARTHING_", "PYTHON"))}
    return {**kept, "FARTHING_DETECT_PROVIDERS": "0"}


def assets(page: str) -> list[str]:
    """Addresses of scripts, styles and icons in a page."""
    return re.findall(r'(?:src|href)="(/[^"]+)"', page)


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            get(url)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"FAILED  {url} does not answer")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode(errors="replace")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def expect(true: bool, problem: str) -> None:
    if not true:
        raise SystemExit(f"FAILED  {problem}")


if __name__ == "__main__":
    sys.exit(main())
