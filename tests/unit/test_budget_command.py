"""``farthing budget``, ``farthing alerts`` and ``farthing init`` as people type them."""

import csv
import io
import json
import tomllib
from datetime import timedelta
from decimal import Decimal

import pytest

from farthing.app.local import Local
from farthing.cli import main
from farthing.cli._budget import amount, bar
from farthing.core.errors import InputError
from farthing.core.limits import Measure, Span
from farthing.core.nouns import Scope
from farthing.ledger.store import Ledger
from support.facts import fact
from support.receivers import Webhook, running


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FARTHING_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FARTHING_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def run(capsys, here):
    def run(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def limits() -> dict:
    with Local.open().store() as store:
        return {limit.name: limit for limit in store.limits.list()}


def test_set_makes_a_limit_of_every_part(run):
    code, out, err = run("budget", "set", "search", "--team", "search", "--user", "each", "--amount", "$1,500.50", "--soft",
                         "--warn", "60,95", "--warn-day", "120", "--zone", "Europe/Berlin", "--no-cap-output", "-o", "json")  # fmt: skip
    assert (code, "in force" in err) == (0, True)
    assert json.loads(out)["amount"] == "1500.50"
    limit = limits()["search"]
    assert (limit.amount, limit.scope, limit.hard) == (Decimal("1500.50"), {"team": "search", "user": "*"}, False)
    assert (limit.warn_at, limit.warn_day_at, limit.zone, limit.cap_output) == ((60, 95), 120, "Europe/Berlin", False)
    assert (limit.measure, limit.per) == (Measure.COST, Span.MONTH)


def test_set_changes_what_is_given_and_nothing_else(run):
    run(
        "budget", "set", "x", "--key", "each", "--measure", "tokens", "--per", "minute", "--rolling", "--amount", "100k"
    )
    before = limits()["x"]
    assert run("budget", "set", "x", "--amount", "2m")[0] == 0
    after = limits()["x"]
    assert (after.amount, after.id, after.rolling, after.measure) == (2_000_000, before.id, True, Measure.TOKENS)
    assert run("budget", "set", "x", "--soft")[0] == 0
    assert run("budget", "set", "x", "--hard")[0] == 0
    assert limits()["x"].hard


def test_another_span_is_another_limit(run):
    run("budget", "set", "x", "--amount", "5")
    code, _, err = run("budget", "set", "x", "--per", "day")
    assert (code, "another per" in err, "farthing budget remove x" in err) == (3, True, True)
    assert limits()["x"].per is Span.MONTH


def test_a_limit_needs_an_amount_that_is_one(run):
    assert run("budget", "set", "x")[0] == 2
    code, _, err = run("budget", "set", "x", "--amount", "lots")
    assert (code, "--amount" in err, limits()) == (2, True, {})


def test_parallel_and_one_off_limits_exist_once(run):
    run("budget", "set", "many", "--measure", "parallel", "--amount", "8")
    run("budget", "set", "launch", "--amount", "900", "--from", "2026-11-01", "--to", "2026-12-01")
    assert (limits()["many"].per, limits()["launch"].per) == (Span.ONCE, Span.ONCE)
    assert limits()["launch"].window.duration == timedelta(days=30)


def test_list_and_show_say_the_same_as_the_ledger(run, here):
    now = Local.open().now()
    ledger = Ledger.open(str(here / "home" / "ledger"))
    ledger.append_requests([fact(1, at=now - timedelta(seconds=5), cost="6", scope=Scope(team="search", user="ann"))],
                           source="t", version=1)  # fmt: skip
    ledger.close()
    run("budget", "set", "search", "--team", "search", "--amount", "5", "--soft")
    with Local.open().store() as store:
        limit = limits()["search"]
        span = limit.opened(now)
        store.pots.seed(limit.id, "", span.start, 6_000_000_000, ends=span.end)
    code, out, err = run("budget", "list", "-o", "csv")
    [row] = csv.DictReader(io.StringIO(out))
    assert (code, row["used"], row["percent"], row["status"], row["left"]) == (0, "6.000000000", "120.00", "over", "0")
    assert "used up: search" in err
    assert run("budget", "list", "--fail-over")[0] == 1
    assert run("budget", "show", "search", "--fail-over")[0] == 1
    code, out, _ = run("budget", "show", "search", "-o", "json")
    shown = json.loads(out)
    assert {part["by"]: part["rows"][0]["key"] for part in shown["breakdowns"]}["user"] == "ann"
    people = run("budget", "list")[1]
    assert "▕███" in people
    assert "120.00" in people
    assert "ann" in run("budget", "show", "search")[1]


def test_remove_ends_it(run):
    run("budget", "set", "x", "--amount", "5")
    assert run("budget", "remove", "x")[0] == 0
    assert limits() == {}
    code, _, err = run("budget", "remove", "x")
    assert (code, "No limit named" in err) == (2, True)


def test_split_sums_exactly_and_acts_only_when_told(run):
    code, out, err = run("budget", "split", "--monthly", "9999.99", "-o", "json")
    answer = json.loads(out)
    assert (code, limits()) == (0, {})
    assert [row["amount"] for row in answer["rows"]] == ["3000.00", "4499.99", "1500.00", "1000.00"]
    assert (answer["total"]["amount"], "--apply" in err) == ("9999.99", True)
    run("budget", "set", "research", "--category", "research", "--amount", "7")
    assert run("budget", "split", "--monthly", "10k", "--apply")[0] == 0
    assert {name: limit.amount for name, limit in limits().items()} == {
        "training": 3000, "inference": 4500, "research": 7, "maintenance": 1000,
    }  # fmt: skip
    assert run("budget", "split", "--monthly", "10k", "--training", "31")[0] == 2


@pytest.mark.parametrize("profile", ["startup", "mid-size", "enterprise"])
def test_a_profile_is_shown_then_applied_then_changes_nothing(run, here, profile):
    code, out, err = run("init", "--profile", profile, "-o", "json")
    assert (code, {row["state"] for row in json.loads(out)["rows"]}) == (0, {"add"})
    assert not (here / "farthing.toml").exists()
    assert not (here / "home").exists()
    assert run("init", "--profile", profile, "--apply")[0] == 0
    text = (here / "farthing.toml").read_text()
    assert tomllib.loads(text)["approvals"]
    assert run("config", "check")[0] == 0
    made = limits()
    assert made["total"].amount == sum(limit.amount for limit in made.values() if "category" in limit.scope)
    _, out, err = run("init", "--profile", profile, "--apply", "-o", "json")
    assert {row["state"] for row in json.loads(out)["rows"]} == {"same"}
    assert "Nothing is to be done" in err
    assert (here / "farthing.toml").read_text() == text
    assert limits() == made


def test_a_profile_never_changes_what_somebody_set(run, here):
    own = "# mine\n[approvals]\nfour_eyes = true  # I want that\n\n[gateway]\nport = 4999\n"
    (here / "farthing.toml").write_text(own)
    run("budget", "set", "total", "--amount", "123")
    code, out, _ = run("init", "--profile", "startup", "--budget", "8k", "--apply", "-o", "json")
    states = {row["name"]: row["state"] for row in json.loads(out)["rows"]}
    assert (code, states["approvals.four_eyes"], states["total"], states["training"]) == (0, "kept", "kept", "added")
    settings = tomllib.loads((here / "farthing.toml").read_text())
    assert settings["approvals"]["four_eyes"] is True
    assert settings["approvals"]["rules"][0]["duty"] == "finance"
    assert settings["gateway"]["port"] == 4999
    for line in own.splitlines():
        assert line in (here / "farthing.toml").read_text()
    assert (limits()["total"].amount, limits()["training"].amount) == (123, 2400)


def test_a_file_that_cannot_be_extended_is_left_alone(run, here):
    own = "approvals = { four_eyes = true }\n"
    (here / "farthing.toml").write_text(own)
    code, _, err = run("init", "--profile", "startup", "--apply")
    assert (code, "Add by hand: rules = " in err) == (3, True)
    assert ((here / "farthing.toml").read_text(), limits()) == (own, {})


def test_alerts_test_tries_every_target(run, here, monkeypatch):
    (here / "farthing.toml").write_text(
        '[[alerts.targets]]\nurl = "env:GOOD"\n[[alerts.targets]]\nurl = "env:BAD"\nname = "broken"\n'
    )
    with running(Webhook()) as good, running(Webhook()) as bad:
        bad.answers = [500]
        monkeypatch.setenv("GOOD", good.url)
        monkeypatch.setenv("BAD", bad.url)
        code, out, _ = run("alerts", "test", "-o", "json")
        rows = {row["target"]: row for row in json.loads(out)["rows"]}
        assert (code, rows["env:GOOD"]["arrived"], rows["broken"]["arrived"]) == (1, True, False)
        assert "s3cret" not in out
        assert good.took() == ["Farthing can reach you"]
        assert run("alerts", "test", "env:GOOD")[0] == 0
    assert run("alerts", "test", "nobody")[0] == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('url = "https://hooks.example/SECRET"', "may not stand"),
        ('url = "env:X"\nevents = ["budgte"]', "no such event"),
        ('url = "env:X"\n[[alerts.targets]]\nurl = "env:X"', "two targets"),
        ('url = "env:NOT_SET_ANYWHERE"', "NOT_SET_ANYWHERE"),
    ],
)
def test_targets_that_cannot_be_used_are_found(run, here, line, problem):
    (here / "farthing.toml").write_text(f"[[alerts.targets]]\n{line}\n")
    code, out, _ = run("config", "check", "-o", "json")
    assert (code, problem in out, "SECRET" in out) == (2, True, False)


@pytest.mark.parametrize(
    ("text", "value"), [("500", 500), ("$1,200.50", "1200.5"), ("10k", 10_000), ("2.5M", 2_500_000)]
)
def test_amounts_are_exact(text, value):
    assert amount(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "-5", "1e9", "5 dollars", "$", "k", "NaN", "inf"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(InputError):
        amount(text)


@pytest.mark.parametrize(("percent", "elapsed", "drawn"), [
    ("0", None, "▕                    ▏"), ("50", None, "▕██████████          ▏"), ("250", None, "▕████████████████████▏"),
    ("12.5", "50", "▕██▌       │         ▏"), ("100", "100", "▕███████████████████│▏"),
])  # fmt: skip
def test_the_bar_shows_use_and_pace(percent, elapsed, drawn):
    class Pot:
        pass

    pot = Pot()
    pot.percent, pot.elapsed = Decimal(percent), None if elapsed is None else Decimal(elapsed)
    assert bar(pot) == drawn
