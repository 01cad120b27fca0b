"""SDKs, unchanged, against the gateway; what each reports as usage is what the ledger holds and prices."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYTHON = sorted(p.stem for p in (HERE / "sdk").glob("*.py"))
NODE = sorted(p.stem for p in (HERE / "node").glob("*.mjs"))


@pytest.fixture(scope="session")
def node_modules():
    """The Node packages of the lock file, installed once."""
    folder = HERE / "node"
    if not (folder / "node_modules/ai").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True, env=_path())
    return folder


def _path() -> dict[str, str]:
    """Debian's Node where there is one, otherwise the one that came by pip."""
    return {**os.environ, "PATH": f"{os.environ['PATH']}:{Path(sys.executable).parent}"}


def run(command: list[str], product, key: str) -> list[dict]:
    env = {**_path(), "GATEWAY": product.url, "KEY": key, "NODE_NO_WARNINGS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def check(product, client: str, seen: list[dict]) -> None:
    answered = [s for s in seen if not s["what"].startswith("error")]
    assert answered
    assert all(s["text"] for s in seen), seen
    rows = [r for r in product.requests(at_least=len(answered), team=client) if r.status == "ok"]
    assert len(rows) >= len(answered)
    assert all(r.cost is not None or r.operation == "count_tokens" for r in rows), rows
    reported = Counter(tuple(s["usage"]) for s in answered if s["usage"])
    kept = Counter(
        (r.input_tokens + r.cache_read_tokens + r.cache_write_tokens, r.output_tokens + r.reasoning_tokens)
        for r in rows
    )
    assert not reported - kept, (reported, kept)


@pytest.mark.parametrize("client", PYTHON)
def test_python_sdk(product, client):
    seen = run([sys.executable, str(HERE / "sdk" / f"{client}.py")], product, product.key("--team", client))
    check(product, client, seen)


@pytest.mark.parametrize("client", NODE)
def test_node_sdk(product, client, node_modules):
    node = shutil.which("node", path=_path()["PATH"])
    seen = run([node, str(node_modules / f"{client}.mjs")], product, product.key("--team", client))
    check(product, client, seen)


def test_errors_come_in_the_client_s_own_shape(product):
    for client, nearest in (("openai_sdk", "gpt-4o-mini"), ("anthropic_sdk", "claude-haiku-4-5")):
        seen = run(
            [sys.executable, str(HERE / "sdk" / f"{client}.py")], product, product.key("--team", f"{client}-errors")
        )
        errors = {s["what"]: s["message"] for s in seen if s["what"].startswith("error")}
        assert set(errors) == {"error 404", "error 401"}
        assert nearest in errors["error 404"]
