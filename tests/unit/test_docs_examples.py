"""Links lead somewhere, and examples work."""

import re
import shlex
import subprocess
import sys
import tomllib
from decimal import Decimal

import pytest
from tests.support.documentation import BILL, PAGES, ROOT, blocks, name

from farthing import config
from farthing.cli import NOUNS, main, root
from farthing.core.time import Window
from farthing.ingest.run import ingest
from farthing.ledger.questions import SpendQuestion
from farthing.ledger.store import Ledger

CONSOLES = [block for block in blocks("console") if block.page != "docs/tutorial.md"]
STAY = ("up", "demo", "show", "test")
"""Words of commands that stay, need a network, or a request that happened; the tutorial's test runs them."""


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found.read_text(encoding="utf-8")), target


def test_every_page_is_in_the_index():
    index = (ROOT / "docs/README.md").read_text()
    pages = [p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")]
    assert [p for p in pages if p != "README.md" and f"({p})" not in index] == []


@pytest.mark.parametrize("block", [b for b in blocks("toml") if "entry-points" not in b.text], ids=str)
def test_settings_load(block, tmp_path, monkeypatch):
    file = tmp_path / "farthing.toml"
    file.write_text(block.text)
    names = re.findall(r'"env:(\w+)"', block.text)
    monkeypatch.chdir(tmp_path)
    problems = config.check(file, dict.fromkeys(names, "sqlite:///x.db"))
    assert [p for p in problems if "No secret behind 'file:" not in str(p)] == []


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_commands_can_be_parsed(block):
    for command, _ in block.commands():
        words = shlex.split(command)
        if words[0] == "farthing":
            assert words[1] in NOUNS
            told = [w for w, before in zip(words[1:], words, strict=False) if "-o" not in (w, before)]
            root().parse_args(told, exit_on_error=False, print_error=False)
        elif words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", sorted({block.page for block in CONSOLES}))
def test_commands_work(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    env = {"FARTHING_HOME": str(tmp_path / "home"), "USER": "ann", "GROQ_API_KEY": "secret"}
    monkeypatch.setattr(config, "environment", lambda: env)
    (tmp_path / "bill.csv").write_text(BILL)
    ran = 0
    for block in CONSOLES:
        for command, _ in block.commands() if block.page == page else ():
            words = shlex.split(command)
            if words[0] == "farthing" and not set(words) & set(STAY):
                assert main(words[1:]) == 0, (command, capsys.readouterr())
                ran += 1
    assert ran or page in ("docs/how-to/route-by-price-and-latency.md",)


@pytest.mark.parametrize("block", [b for b in blocks("python") if b.page == "docs/how-to/connect-an-sdk.md"], ids=str)
def test_python_runs(block):
    done = subprocess.run([sys.executable, "-c", block.text], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_example_of_an_importer_imports(tmp_path, monkeypatch):
    """As a package of its own, found by its entry point."""
    guide = ROOT / "docs/how-to/add-a-plugin.md"
    (block,) = blocks("python", guide)
    (entry,) = [tomllib.loads(b.text)["project"]["entry-points"] for b in blocks("toml", guide)]
    package, described = tmp_path / "acme_farthing", tmp_path / "acme_farthing-1.dist-info"
    package.mkdir()
    described.mkdir()
    (package / "__init__.py").touch()
    (package / "importer.py").write_text(block.text)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-farthing\nVersion: 1\n")
    lines = [f"[{group}]\n{name} = {target}\n" for group, them in entry.items() for name, target in them.items()]
    (described / "entry_points.txt").write_text("".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    bill = tmp_path / "august.acme"
    bill.write_text(
        '{"day": "2026-08-01T00:00:00Z", "machine": "m1", "team": "search", "cents": "1234.5"}\n'
        '{"day": "2026-08-02T00:00:00Z", "machine": "m2", "team": "search", "cents": "0.5"}\n'
    )
    ledger = Ledger.open(str(tmp_path / "ledger"))
    assert [ingest(bill, ledger).added for _ in range(2)] == [2, 0]
    answer = ledger.spend(SpendQuestion(window=Window(), by=("team",)))
    assert [(row.keys["team"], row.cost) for row in answer.rows] == [("search", Decimal("12.35"))]
    ledger.close()
