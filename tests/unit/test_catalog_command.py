"""``farthing prices`` through its command line."""

import json
from pathlib import Path

import pytest

from farthing.cli import main

LITELLM = {
    "gpt-4o": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1.2e-05,
    }
}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def run(capsys, *argv: str) -> tuple[int, str, str]:
    code = main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


def test_models_are_listed_with_prices_per_million(capsys, home):
    code, out, _ = run(
        capsys, "prices", "openai/gpt-4o-mini", "--terms", "on_demand", "--home", str(home), "-o", "json"
    )
    rows = {row["offer"]: row for row in json.loads(out)["rows"]}
    assert code == 0
    assert rows["openai/gpt-4o-mini"]["input_usd"] == "0.15"
    assert rows["openai/gpt-4o-mini"]["output_usd"] == "0.6"


def test_machines_are_listed_cheapest_gpu_first(capsys, home):
    code, out, err = run(
        capsys,
        "prices",
        "--kind",
        "machine",
        "--gpu",
        "H100",
        "--terms",
        "on_demand",
        "--home",
        str(home),
        "-o",
        "jsonl",
    )
    rows = [json.loads(line) for line in out.splitlines()]
    each = [float(row["gpu_hour_usd"]) for row in rows]
    assert code == 0
    assert each == sorted(each)
    assert len(rows) > 50
    assert "were not confirmed within 30 days" in err


def test_a_region_and_a_limit_narrow_the_list(capsys, home):
    _, out, _ = run(capsys, "prices", "--region", "eastus", "--max-price", "1", "--home", str(home), "-o", "csv")
    lines = out.splitlines()
    assert len(lines) > 5
    assert all(",eastus," in line for line in lines[1:])


def test_one_offer_is_shown_by_a_messy_name(capsys, home):
    code, out, err = run(
        capsys, "prices", "show", "us.anthropic.claude-sonnet-4-20250514-v1:0", "--home", str(home), "-o", "json"
    )
    shown = json.loads(out)
    assert code == 0
    assert shown["offer"] == "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0"
    assert {row["unit"]: row["price"] for row in shown["rows"]}["token.input.cache_write"] == "3.75"
    assert "aws.amazon.com" in err


def test_an_unknown_offer_is_a_usage_error_with_suggestions(capsys, home):
    code, out, err = run(capsys, "prices", "show", "gpt-4oo", "--home", str(home))
    assert (code, out) == (2, "")
    assert "openai/gpt-4o" in err


def test_refresh_then_compare(capsys, home, tmp_path):
    file = tmp_path / "litellm.json"
    file.write_text(json.dumps(LITELLM))
    code, out, _ = run(capsys, "prices", "refresh", "litellm", "--from", str(file), "--home", str(home), "-o", "json")
    assert code == 0
    assert json.loads(out)["rows"][0]["offers"] == 1
    code, out, err = run(capsys, "prices", "compare", "--home", str(home), "-o", "json")
    (row,) = json.loads(out)["rows"]
    assert code == 0
    assert (row["offer"], row["unit"], row["ours"], row["theirs"]) == ("openai/gpt-4o", "token.output", "10", "12")
    assert "1 differ" in err


def test_compare_without_anything_to_compare_says_what_to_do(capsys, home):
    code, _, err = run(capsys, "prices", "compare", "--home", str(home))
    assert code == 3
    assert "farthing prices refresh" in err


def test_a_bad_limit_names_the_option(capsys, home):
    code, _, err = run(capsys, "prices", "--max-price", "cheap", "--home", str(home))
    assert code == 2
    assert "--max-price" in err
