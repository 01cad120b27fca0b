"""Farthing itself under measurement: the whole product as ``farthing up`` runs it, everything switched on."""

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import msgspec

from bench._process import Process, free_port


class Farthing(msgspec.Struct, kw_only=True):
    """A running product: where the gateway listens, a key, and which processes are its workers."""

    url: str
    headers: dict[str, str]
    process: Process
    home: Path

    def workers(self) -> list[int]:
        """Process ids of the gateway workers."""
        return [pid for pid in self.process.tree() if "farthing.app.worker" in _command(pid)]

    def others(self) -> list[int]:
        """Supervisor and control process: draining, ledger, dashboard."""
        workers = set(self.workers())
        return [pid for pid in self.process.tree() if pid not in workers]


def start(upstream: int, home: Path, *, workers: int = 1, settings: str = "") -> Farthing:
    """Start it on an upstream that speaks OpenAI's dialect, or with other settings, and wait until it is ready."""
    home.mkdir()
    config = home / "farthing.toml"
    config.write_text(
        settings
        or f"""
[providers.bench]
vendor = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "env:BENCH_KEY"

[providers.second]
vendor = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "env:BENCH_KEY"
models = ["gpt-4.1-mini"]
"""
    )
    port, web = free_port(), free_port()
    env = {"BENCH_KEY": "upstream", "FARTHING_HOME": str(home), "FARTHING_CONFIG": str(config)}
    key = _run(["key", "create", "--name", "bench", "--team", "bench"], env).strip()
    command = [
        sys.executable,
        "-m",
        "farthing",
        "up",
        "--workers",
        str(workers),
        "--port",
        str(port),
        "--web-port",
        str(web),
    ]
    process = Process(command, log=home / "farthing.log", env=env)
    process.wait_for(port)
    _ready(port)
    return Farthing(
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}", "x-farthing-feature": "bench"},
        process=process,
        home=home,
    )


def _run(arguments: list[str], env: dict[str, str]) -> str:
    command = [sys.executable, "-m", "farthing", *arguments]
    return subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, text=True).stdout


def _ready(port: int) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the gateway did not become ready")


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
