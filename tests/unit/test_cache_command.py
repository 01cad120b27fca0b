"""``farthing cache`` as people type it."""

import csv
import io
import json
from datetime import timedelta

import pytest

from farthing.app.local import Local
from farthing.cache.semantic.ports import Standing
from farthing.cache.semantic.wire import NamespaceState
from farthing.cli import main
from farthing.state.audit import AuditQuestion
from support.cached import Installation, considered, hit, key_of
from support.governed import START
from support.semanticproc import answering

ENTRY = key_of("a").hex()
DAYS = ("--from", "2026-11-01", "--to", "2026-11-21")


@pytest.fixture
def here(tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("k")
    made = Installation(home)
    made.close()
    monkeypatch.chdir(home)
    monkeypatch.setenv("FARTHING_HOME", str(home))
    monkeypatch.setenv("FARTHING_CONFIG", str(home / "farthing.toml"))
    return made


@pytest.fixture
def run(capsys, here):
    def run(*argv: str) -> tuple[int, str, str]:
        code = main(["cache", *argv])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def process(here):
    with answering(here.settings.cache_socket) as made:
        yield made


def land(*facts) -> None:
    ledger = Local.open().ledger()
    ledger.append_requests(facts, source="test", version=1)
    ledger.close()


def test_show_has_a_row_for_each_namespace_and_the_total(run):
    land(considered(0, "exact", "default"), considered(1, "miss", "default"), considered(2, "would_exact", "support"))
    code, out, err = run("show", *DAYS)
    lines = out.splitlines()
    assert code == 0
    assert any(line.split()[:2] == ["default", "exact"] and "0.5" in line for line in lines)
    assert lines[-1].split()[:3] == ["Total", "3", "1"]
    assert "Answers kept: 0 entries" in err
    assert "does not answer" in err


def test_show_loses_nothing_for_programs(run, here):
    land(considered(0, "exact", "default", cost="0.000000000001"), considered(1, "sampled", "default", cost=None))
    code, out, _ = run("show", *DAYS, "-o", "json")
    answer = json.loads(out)
    assert code == 0
    total = answer["total"]
    assert (total["saved"], total["unpriced"], total["net"]) == ("0.000000000001", 1, "0.000000000001")
    row = next(row for row in answer["rows"] if row["namespace"] == "default")
    assert (row["hits"], row["exact_mode"], row["hit_rate"], row["wrong"]) == (1, "on", 0.5, None)
    assert answer["semantic"]["state"] == "away"
    rows = list(csv.DictReader(io.StringIO(run("show", *DAYS, "-o", "csv")[1])))
    assert [row["namespace"] for row in rows] == ["default", "support"]


def test_show_fails_where_more_answers_may_be_wrong_than_was_promised(run, here):
    with answering(here.settings.cache_socket) as process:
        over = Standing(wrong=0.02, bound=0.03, target=0.01, threshold=0.9, labels=100)
        process.namespaces = {"default": NamespaceState(standing=over)}
        code, out, err = run("show", *DAYS, "--fail-wrong")
        assert (code, "2.00%, at most 3.00% of 1.00%" in out, "default" in err) == (1, True, True)
        assert run("show", *DAYS)[0] == 0
        closed = Standing(wrong=0.02, bound=0.03, target=0.01, closed="drift", labels=100)
        process.namespaces = {"default": NamespaceState(standing=closed)}
        code, out, _ = run("show", *DAYS, "--fail-wrong")
        assert (code, "closed: drift" in out) == (0, True)
        process.namespaces = {"default": NamespaceState(standing=Standing())}
        assert "not measured yet" in run("show", *DAYS)[1]


def test_hits_are_listed_side_by_side(run, here):
    with answering(here.settings.cache_socket) as process:
        process.hits = [hit(1, question="word " * 30), hit(2, wrong=True)]
        _, out, err = run("hits")
        assert ("…" in out, "What search question 2?" in out, "wrong" in out.splitlines()[-1]) == (True, True, True)
        assert "farthing cache wrong" in err
        rows = json.loads(run("hits", "--limit", "1", "-o", "json")[1])["rows"]
    assert [(row["question"], row["wrong"], row["saved"]) for row in rows] == [("word " * 30, None, "0.0125")]


def test_a_wrong_hit_is_forgotten_and_a_right_one_stays(run, here, process):
    here.keep(("a", "default", "", {}))
    assert run("right", ENTRY, "--question", "Which?")[0] == 0
    assert here.has("a")
    code, out, err = run("wrong", ENTRY, "-o", "json")
    assert (code, json.loads(out)["entries"], "forgotten" in err, here.has("a")) == (0, 1, True, False)
    assert run("wrong", ENTRY)[0] == 2
    code, _, err = run("wrong", "12")
    assert (code, "64 digits" in err) == (2, True)


def test_a_purge_counts_until_yes_is_said(run, here, process):
    here.keep(("a", "default", "1", {"user": "ana", "key": "app"}), ("b", "default", "1", {"user": "bo"}))
    code, out, err = run("purge", "--user", "ana", "--key", "app", "-o", "json")
    assert (code, json.loads(out)) == (0, {"entries": 1, "dry_run": True})
    assert ("--yes" in err, here.amount().entries) == (True, 2)
    assert json.loads(run("purge", "--user", "ana", "--yes", "-o", "json")[1]) == {"entries": 1, "dry_run": False}
    assert (here.has("a"), here.has("b")) == (False, True)
    assert run("purge", "--yes")[0] == 2
    assert here.has("b")
    assert run("purge", "--everything", "--yes")[0] == 0
    assert here.amount().entries == 0
    with Local.open().store() as store:
        actions = [entry.action for entry in store.audit.list(AuditQuestion())]
    assert actions.count("cache.purge") == 2


def test_the_window_is_checked(run):
    assert run("show", "--last", "soon")[0] == 2
    assert run("show", "--to", (START + timedelta(days=1)).isoformat())[0] == 0
    assert run("show", "--zone", "Nowhere")[0] == 2


@pytest.mark.parametrize("noun", ["features", "models"])
def test_the_files_have_their_own_commands(run, noun):
    code, out, _ = run(noun, "--help")
    assert (code, f"farthing cache {noun}" in out) == (0, True)
