"""Which SDKs run unchanged: what their test scripts do, at the versions of the lock files."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from docs.writers.markdown import code, table

COLUMNS = ("chat", "stream", "tools", "embeddings", "responses")
"""Columns of the table, which are also the words with which a script reports what it did."""

SDKS: tuple[tuple[str, str, str], ...] = (
    ("openai", "sdk/openai_sdk.py", "Python"),
    ("anthropic", "sdk/anthropic_sdk.py", "Python"),
    ("langchain-openai", "sdk/langchain_openai_sdk.py", "Python"),
    ("llama-index-llms-openai", "sdk/llama_index_sdk.py", "Python"),
    ("llm", "sdk/llm_command.py", "Python"),
    ("litellm", "sdk/litellm_sdk.py", "Python"),
    ("openai", "node/openai.mjs", "Node"),
    ("@anthropic-ai/sdk", "node/anthropic.mjs", "Node"),
    ("ai", "node/ai.mjs", "Node"),
)
"""Package, the script that runs it, and its language."""

_DID = re.compile(r"""(?:"what":\s*|note\(\s*f?|\bfor what in \()\(?"([^"]+)"|\("([a-z]+)", \[""")


def page(root: Path) -> str:
    """The table of SDKs, packages and versions."""
    node = root / "tests/e2e/node/package-lock.json"
    versions = {"Python": _locked(root / "uv.lock"), "Node": _locked_node(node)}
    rows = [
        (code(package), language, versions[language][package], *(_mark(root, script, word) for word in COLUMNS),
         f"[{Path(script).name}](../../tests/e2e/{script})")
        for package, script, language in SDKS
    ]  # fmt: skip
    return (
        "# SDKs that run unchanged\n\n"
        "Each script uses the SDK as its documentation says and sets only the address and the key. The test "
        "[test_sdk_conformance.py](../../tests/e2e/test_sdk_conformance.py) runs them against a real gateway over "
        "simulated providers, and compares the usage that the SDK reports with what the ledger holds, request by "
        "request. Versions are those of the lock files.\n\n"
        + table(("package", "language", "version", *COLUMNS, "script"), rows)
        + "\nA dash: the script does not do this, usually because the SDK or the API it speaks has no such thing. "
        "Scripts also cover cached prompts, tool results, token counts, legacy completions, lists of models, one API's "
        "SDK on another's models, and refusals.\n"
    )


def done(root: Path, script: str) -> set[str]:
    """The words with which a script reports what it did."""
    text = (root / "tests/e2e" / script).read_text(encoding="utf-8")
    return {first or second for first, second in _DID.findall(text)}


def _mark(root: Path, script: str, word: str) -> str:
    return "yes" if word in done(root, script) else "–"


def _locked(path: Path) -> dict[str, str]:
    packages = tomllib.loads(path.read_text(encoding="utf-8"))["package"]
    return {p["name"]: p["version"] for p in packages if "version" in p}


def _locked_node(path: Path) -> dict[str, str]:
    return dict(_node(json.loads(path.read_text(encoding="utf-8"))))


def _node(lock: dict[str, dict[str, dict[str, str]]]) -> Iterator[tuple[str, str]]:
    for place, package in lock["packages"].items():
        if place.startswith("node_modules/") and place.count("node_modules/") == 1:
            yield place.removeprefix("node_modules/"), package["version"]
