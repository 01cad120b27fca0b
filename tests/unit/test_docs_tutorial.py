"""The tutorial, followed to the letter on a machine without accounts."""

import os
import re
import shlex
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise

import pytest
from tests.support.documentation import BILL, ROOT, blocks
from tests.support.product import Product, simulator

from farthing import config
from farthing.cli import main

PAGE = ROOT / "docs" / "tutorial.md"
KEYS = {"OPENAI_KEY": "simulated", "GROQ_KEY": "simulated", "TOGETHER_KEY": "simulated"}
ELSEWHERE = ("farthing demo", "farthing up", "make", "export", "python")
"""What other tests run, or what the test's own product is started with."""


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    (settings,) = blocks("toml", PAGE)
    home = tmp_path_factory.mktemp("tutorial")
    (home / "bill.csv").write_text(BILL)
    with simulator() as address:
        running = Product(home, settings.text.replace("http://127.0.0.1:4190", address))
        running.env |= KEYS
        with running:
            yield running


def columns(output: str) -> list[str]:
    """The heads of the tables in an output, and the labels of a record."""
    lines = output.splitlines()
    heads = [head for head, rule in pairwise(lines) if rule.startswith("───")]
    return [word for head in heads for word in re.split(r"\s{2,}", head.strip())]


def ask(product: Product, token: str) -> str:
    """Run the page's program; what it printed."""
    (program,) = blocks("python", PAGE)
    env = {**os.environ, "OPENAI_BASE_URL": f"{product.url}/v1", "OPENAI_API_KEY": token}
    done = subprocess.run([sys.executable, "-c", program.text], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_tutorial_says_happens(product, monkeypatch, capsys):
    monkeypatch.setattr(config, "environment", lambda: product.env)
    commands = [pair for block in blocks("console", PAGE) for pair in block.commands()]
    ran, request_id = [], ""
    for command, documented in commands:
        if command.startswith(ELSEWHERE):
            continue
        words = shlex.split(re.sub(r"req_\w+", request_id, command))[1:]
        words = [str(product.home / word) if word.endswith(".csv") else word for word in words]
        if words[0] == "spend" and "--last" in words:
            product.requests(at_least=1)
        assert main(words) == 0, (command, capsys.readouterr())
        ran.append(command)
        said = capsys.readouterr()
        assert columns(said.out) == columns(documented) or not columns(documented), command
        if words[:2] == ["key", "create"]:
            printed = ask(product, said.out.strip())
            request_id = re.search(r"x-farthing-request-id (\S+)", printed)[1]
            assert re.search(r"^x-farthing-offer groq/llama-3.3-70b-versatile$", printed, re.MULTILINE)
            assert re.search(r"^x-farthing-cost 0\.\d{12}$", printed, re.MULTILINE)
        if words[:2] == ["requests", "show"]:
            assert "the cheapest of 2 eligible targets" in said.err
            assert "not together/" in said.err
    assert len(ran) >= 8


def test_the_arithmetic_on_the_page_is_right():
    text = PAGE.read_text()
    lines = re.findall(r"^token\.\w+\s+(\d+)\s+([\d.]+)\s+1,000,000\s+([\d.]+)$", text, re.MULTILINE)
    assert len(lines) == 2
    for quantity, rate, amount in lines:
        assert Decimal(quantity) * Decimal(rate) / 1_000_000 == Decimal(amount)
    total = sum(Decimal(amount) for *_, amount in lines)
    assert f"x-farthing-cost {total:.12f}\n" in text
    assert f"= {total.normalize():f}." in text
