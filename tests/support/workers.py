"""A gateway worker as a process of its own, on a free loopback port, in a data folder of its own."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from farthing.app.compile import write_snapshot
from farthing.app.drain import Drainer
from support.gateway import snapshot
from support.journals import MemoryLedger


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Process:
    """A worker process and where it keeps its things."""

    def __init__(self, home: Path, port: int, *arguments: str, **settings: object) -> None:
        self.home, self.port = home, port
        lines = [f'home = "{home}"', "[gateway]", f"port = {port}", *(f"{k} = {v}" for k, v in settings.items())]
        (home / "farthing.toml").write_text("\n".join(lines))
        command = [sys.executable, "-m", "farthing.app.worker", "--config", str(home / "farthing.toml"), *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError(self.process.stderr.read().decode() if self.process.poll() is not None else "not ready")

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(20)
        self.process.stderr.close()
        return code

    def drained(self) -> MemoryLedger:
        ledger = MemoryLedger()
        Drainer(self.home / "journal", ledger).drain()
        return ledger


@contextmanager
def worker(home: Path, urls: Mapping[str, str], **settings: object) -> Iterator[Process]:
    write_snapshot(snapshot(urls), home / "snapshot.msgpack")
    made = Process(home, free_port(), **settings)
    try:
        made.wait_ready()
        yield made
    finally:
        made.stop(signal.SIGKILL)
