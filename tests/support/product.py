"""The whole product for tests: simulated providers and ``farthing up``, real processes on free loopback ports."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from farthing.core.time import Window
from farthing.ledger.questions import RequestRow, RequestsQuestion
from farthing.ledger.store import Ledger

SIMULATED = {
    "openai": "/openai/v1",
    "anthropic": "/anthropic/v1",
    "gemini": "/gemini/v1beta",
    "groq": "/groq/openai/v1",
    "together": "/together/v1",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def simulator(*options: str) -> Iterator[str]:
    """Simulated providers, calm unless told otherwise; yields their address."""
    command = [sys.executable, "-m", "farthing.demo.simulator", "--leash", *(options or ("--calm",))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process.stdout.readline().decode().strip()
    finally:
        process.terminate()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()


class Product:
    """``farthing up`` in a folder of its own. ``providers`` are the lines of its settings file below ``[providers]``."""

    def __init__(self, home: Path, settings: str, *, workers: int = 1) -> None:
        self.home = home
        self.port, self.web_port = free_port(), free_port()
        self.config = home / "farthing.toml"
        head = f"[gateway]\nport = {self.port}\nworkers = {workers}\n\n[web]\nport = {self.web_port}\n\n"
        self.config.write_text(head + settings)
        self.env = {
            **os.environ,
            "FARTHING_CONFIG": str(self.config),
            "FARTHING_HOME": str(home),
            "SIM_KEY": "simulated",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.log = home / "up.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def admin_token(self) -> str:
        return (self.home / "admin.token").read_text().strip()

    def start(self) -> "Product":
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "farthing", "up"], env=self.env, stdout=out, stderr=out, start_new_session=True
            )
        self.wait_ready()
        return self

    def wait_ready(self, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process is not None and self.process.poll() is not None:
                break
            if self.answers(f"{self.url}/readyz") and self.answers(f"{self.web_url}/healthz"):
                return
            time.sleep(0.1)
        raise AssertionError(f"not ready:\n{self.log.read_text()[-4000:]}")

    @staticmethod
    def answers(url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """SIGTERM and wait: in-flight answers end, the journal is drained."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise
        self.process = None

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "farthing", *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done

    def key(self, *options: str) -> str:
        return self.cli("key", "create", "--name", "test", *options).stdout.strip()

    def ledger(self) -> Ledger:
        return Ledger.open(str(self.home / "ledger"))

    def spend(self, *arguments: str) -> dict:
        return json.loads(self.cli("spend", *arguments, "-o", "json").stdout)

    def requests(self, *, at_least: int, seconds: float = 20, **where: str) -> list[RequestRow]:
        """Requests in the ledger, newest first, once there are ``at_least`` so many that match."""
        question = RequestsQuestion(window=Window(), where={k: (v,) for k, v in where.items()}, limit=1000)
        until = time.monotonic() + seconds
        rows: tuple[RequestRow, ...] = ()
        while time.monotonic() < until:
            rows = self.ledger().requests(question).rows
            if len(rows) >= at_least:
                return list(rows)
            time.sleep(0.2)
        raise AssertionError(f"{len(rows)} requests of {at_least} in the ledger:\n{self.log.read_text()[-3000:]}")

    def __enter__(self) -> "Product":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def simulated_settings(address: str, *, more: str = "") -> str:
    """Every simulated provider, and an alias that two of them serve."""
    parts = [
        f'[providers.{vendor}]\nvendor = "{vendor}"\nbase_url = "{address}{path}"\napi_key = "env:SIM_KEY"\n'
        for vendor, path in SIMULATED.items()
    ]
    alias = """
[models.small]
targets = [{ provider = "openai", model = "gpt-4o-mini" }, { provider = "gemini", model = "gemini-2.5-flash-lite" }]

[models.claude-anywhere]
targets = [{ provider = "anthropic", model = "claude-haiku-4-5" }]

[models.gemini-anywhere]
targets = [{ provider = "gemini", model = "gemini-2.5-flash" }]
"""
    return "\n".join(parts) + alias + more


def post(url: str, body: object, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
    """POST JSON (or bytes as they are) and read the whole answer, whatever its status."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, dict(refusal.headers), refusal.read()
