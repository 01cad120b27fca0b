"""How commands write their answers: nothing is lost, data and talk are apart."""

import csv
import io
import json
import os
import pty
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec
import pytest

from farthing.cli._output import Column, Output
from farthing.core.errors import (
    ConfigError,
    ConflictError,
    DeniedError,
    InputError,
    NotFoundError,
    UnavailableError,
    UpstreamError,
)
from farthing.core.money import Money, Unpriced

TINY = Decimal("1.5E-7")
ROWS = [{"model": "a|b", "cost": TINY, "requests": 12345}, {"model": "c", "cost": Decimal("1E+3"), "requests": 1}]
TOTAL = {"model": "total", "cost": Decimal("1000.00000015"), "requests": 12346}
COLUMNS = [Column("model"), Column("cost", "cost in USD"), Column("requests")]


def render(format, columns=COLUMNS, rows=ROWS, **more):
    out, err = io.StringIO(), io.StringIO()
    Output(format, stdout=out, stderr=err).table(columns, rows, **more)
    return out.getvalue(), err.getvalue()


def test_json_holds_rows_total_and_what_they_are_about():
    text, talk = render("json", total=TOTAL, about={"currency": "USD"})
    decoded = json.loads(text)
    assert decoded["currency"] == "USD"
    assert decoded["rows"][0] == {"model": "a|b", "cost": "0.00000015", "requests": 12345}
    assert decoded["rows"][1]["cost"] == "1000"
    assert decoded["total"]["cost"] == "1000.00000015"
    assert talk == ""


def test_jsonl_and_csv_hold_rows_alone():
    lines = [json.loads(line) for line in render("jsonl", total=TOTAL)[0].splitlines()]
    assert [line["cost"] for line in lines] == ["0.00000015", "1000"]
    table = list(csv.DictReader(io.StringIO(render("csv", total=TOTAL)[0])))
    assert [row["cost"] for row in table] == ["0.00000015", "1000"]
    assert list(table[0]) == ["model", "cost", "requests"]
    assert sum(int(row["requests"]) for row in table) == 12346


def test_markdown_escapes_cells_and_ends_with_the_total():
    lines = render("md", total=TOTAL)[0].splitlines()
    assert lines[0] == "| model | cost in USD | requests |"
    assert lines[1] == "| --- | ---: | ---: |"
    assert lines[2] == r"| a\|b | 0.00000015 | 12,345 |"
    assert lines[-1] == "| **total** | **1,000.00000015** | **12,346** |"


def test_the_table_ends_with_the_total_and_has_no_colors_in_a_pipe():
    text = render("table", total=TOTAL)[0]
    assert "0.00000015" in text
    assert text.rstrip().splitlines()[-1].split() == ["total", "1,000.00000015", "12,346"]
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_wide_table_is_not_cut_in_a_pipe():
    text = render("table", ["a"], [{"a": "x" * 500}])[0]
    assert "x" * 500 in text


def test_one_thing_in_every_format():
    def record(format):
        out = io.StringIO()
        Output(format, stdout=out, stderr=io.StringIO()).record({"name": "bot", "cost": TINY, "tags": ["a", "b"]})
        return out.getvalue()

    assert record("table") == "name  bot\ncost  0.00000015\ntags  a, b\n"
    assert (
        json.loads(record("json"))
        == json.loads(record("jsonl"))
        == {"name": "bot", "cost": "0.00000015", "tags": ["a", "b"]}
    )
    assert record("csv") == 'name,cost,tags\nbot,0.00000015,"[""a"",""b""]"\n'
    assert record("md").splitlines()[2:] == ["| name | bot |", "| cost | 0.00000015 |", "| tags | a, b |"]


@pytest.mark.parametrize("format", ["table", "json", "jsonl", "csv", "md"])
def test_no_format_ever_writes_an_exponent_or_a_float(format):
    values = [Decimal("1E-12"), Decimal("123456789012345678901234.123456789012"), Decimal("-0E-9"), Decimal("5E+20")]
    text = render(format, ["v"], [{"v": v} for v in values])[0].replace(",", "")
    assert "0.000000000001" in text
    assert "123456789012345678901234.123456789012" in text
    assert "500000000000000000000" in text
    assert "E" not in text.upper().replace("ROWS", "").replace("VALUE", "")


def test_empty_is_told_to_people_and_is_an_empty_list_for_programs():
    for format, expected in (("table", ""), ("jsonl", ""), ("csv", "model,cost,requests\n")):
        assert render(format, rows=[], empty="No spend.") == (expected, "No spend.\n")
    assert json.loads(render("json", rows=[])[0]) == {"rows": []}


def test_values_of_all_kinds():
    class Color(StrEnum):
        RED = "red"

    class Inner(msgspec.Struct):
        cost: Decimal

    at = datetime(2026, 11, 21, 8, 0, 0, 5, tzinfo=UTC)
    row = {"at": at, "none": None, "on": True, "color": Color.RED, "tags": frozenset({"b", "a"}), "inner": Inner(TINY),
           "money": Money.of("1.10"), "span": timedelta(minutes=1), "unpriced": Unpriced("no rate"), "ratio": 0.125}  # fmt: skip
    out = io.StringIO()
    Output("json", stdout=out, stderr=io.StringIO()).record(row)
    assert json.loads(out.getvalue()) == {
        "at": "2026-11-21T08:00:00.000005Z",
        "none": None,
        "on": True,
        "color": "red",
        "tags": ["a", "b"],
        "inner": {"cost": "0.00000015"},
        "money": {"amount": "1.10", "currency": "USD"},
        "span": 60.0,
        "unpriced": {"reason": "no rate"},
        "ratio": 0.125,
    }
    out = io.StringIO()
    Output("table", stdout=out, stderr=io.StringIO()).record(row)
    shown = dict(line.split(None, 1) for line in out.getvalue().splitlines() if len(line.split()) > 1)
    assert shown["at"] == "2026-11-21 08:00:00Z"
    assert (shown["on"], shown["tags"], shown["inner"]) == ("yes", "a, b", "cost=0.00000015")
    assert (shown["money"], shown["unpriced"]) == ("1.10 USD", "unpriced: no rate")


def test_a_label_cannot_drive_the_terminal():
    for format in ("table", "md"):
        text, _ = render(format, ["feature"], [{"feature": "\x1b[2J\rfree\nlunch[bold]"}])
        assert "\x1b" not in text
        assert "\r" not in text
        assert "free�lunch[bold]" in text


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (InputError("not a port", field="--port", value="x", remedy="Write a number"), 2),
        (ConfigError("not a port", file="f.toml", line=3, field="port", value="x", remedy="Write a number"), 2),
        (NotFoundError("key", "x", remedy="Write a number"), 2),
        (DeniedError("no", reason="invalid_key", remedy="Write a number"), 2),
        (UnavailableError("full", remedy="Write a number"), 3),
        (ConflictError("held", remedy="Write a number"), 3),
        (UpstreamError("gone", provider="p", kind="connect", remedy="Write a number"), 3),
    ],
)
def test_errors_say_what_and_what_to_do(problem, code):
    out, err = io.StringIO(), io.StringIO()
    assert Output("json", stdout=out, stderr=err).error(problem) == code
    assert out.getvalue() == ""
    first, second = err.getvalue().splitlines()
    assert first.startswith("error: ")
    assert problem.message in first
    assert second == "remedy: Write a number"
    assert err.getvalue().count("Write a number") == 1


def test_talk_is_colored_at_a_terminal_only():
    parent, child = pty.openpty()
    with os.fdopen(child, "w") as terminal:
        output = Output(stdout=io.StringIO(), stderr=terminal)
        assert output.interactive
        output.next("farthing up", "start it")
    assert b"\x1b[36mnext: \x1b[0mfarthing up  # start it" in os.read(parent, 200)
    os.close(parent)
