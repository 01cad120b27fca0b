"""Load by wrk: bounded in connections and time, loopback only."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What wrk saw: requests done, per second, median latency in ms, and answers that were no success."""

    requests: int
    per_second: float
    p50_ms: float
    failed: int


def post(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, connections: int, folder: Path) -> Load:
    """POST ``body`` as fast as ``connections`` allow for ``seconds``."""
    payload = folder / "body.json"
    payload.write_bytes(body)
    script = folder / "post.lua"
    lines = [
        'wrk.method = "POST"',
        f'local file = io.open("{payload}", "rb")',
        'wrk.body = file:read("*a")',
        *(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in headers.items()),
    ]
    script.write_text("\n".join(lines))
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--latency",
        "--timeout",
        "30s",
        "-s",
        str(script),
        url,
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    return _read(out)


def _read(out: str) -> Load:
    done = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)", out)
    if not (done and rate and p50):
        raise RuntimeError(f"wrk said:\n{out}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    failed = int(bad[1]) if bad else 0
    failed += sum(map(int, sockets.groups())) if sockets else 0
    return Load(requests=int(done[1]), per_second=float(rate[1]), p50_ms=float(p50[1]) * UNITS[p50[2]], failed=failed)
