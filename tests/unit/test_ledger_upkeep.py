import multiprocessing
import os
import resource
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from farthing.core.errors import InputError, NotFoundError, UnavailableError
from farthing.core.time import Window
from farthing.ledger.questions import SpendQuestion
from farthing.ledger.store import Ledger
from support.facts import NOON, cost_of, fact, facts

ALL = SpendQuestion(window=Window(), by=("model",), grain="hour")
USERS = SpendQuestion(window=Window(), by=("user",))


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "ledger")


@pytest.fixture
def ledger(url):
    opened = Ledger.open(url, threads=1)
    yield opened
    opened.close()


def files(ledger, name):
    return len(ledger._table(name).snapshot().files)


def test_compaction_merges_files_and_keeps_every_total_and_marker(ledger):
    some = facts(200)
    for i in range(10):
        ledger.append_requests(some[20 * i : 20 * (i + 1)], source=f"worker-{i % 2}", version=100 * i)
        ledger.refresh_rollups()
    before = ledger.spend(ALL)
    assert files(ledger, "requests") == 10
    assert ledger.compact() == 20
    assert (files(ledger, "requests"), files(ledger, "rollup")) == (1, 1)
    assert ledger.spend(ALL) == before
    assert ledger.spend(USERS).total.cost == cost_of(some)
    assert ledger.last_version("requests", "worker-0") == 800
    assert ledger.append_requests(some[:20], source="worker-1", version=900) == 0
    assert ledger.refresh_rollups() == 0
    assert ledger.spend(ALL) == before


def test_another_process_sees_compacted_facts_at_once(ledger, url):
    reader = Ledger.open(url, threads=1)
    for i in range(9):
        ledger.append_requests([fact(i, cost="1")], source="s", version=i)
        assert reader.spend(ALL).total.cost == i + 1
    ledger.compact()
    assert reader.spend(ALL).total.cost == 9
    reader.close()


def test_retention_drops_whole_days_of_requests_but_never_their_sums(ledger):
    old, new = facts(10), [fact(100 + i, at=NOON + timedelta(days=40), cost="1") for i in range(5)]
    ledger.append_requests(old, source="s", version=0)
    ledger.append_requests(new, source="s", version=1)
    before = ledger.spend(ALL)
    assert ledger.retain(NOON + timedelta(days=45), days=30) == 10
    assert ledger.spend(ALL).rows == before.rows
    assert ledger.spend(USERS).total.requests == 5
    assert ledger.append_requests(old, source="s", version=0) == 0
    with pytest.raises(NotFoundError):
        ledger.request("req-000000")


def test_retention_keeps_the_days_it_was_asked_to_keep(ledger):
    ledger.append_requests(facts(10), source="s", version=0)
    assert ledger.retain(NOON + timedelta(days=30), days=30) == 0
    with pytest.raises(InputError, match="days"):
        ledger.retain(NOON, days=0)


def test_rollups_are_exact_when_they_lag_and_when_two_make_them(ledger, url):
    other = Ledger.open(url, threads=1)
    some = facts(40)
    for i in range(4):
        ledger.append_requests(some[10 * i : 10 * (i + 1)], source="s", version=i)
        if i % 2:
            assert ledger.refresh_rollups() + other.refresh_rollups() == 20
        assert ledger.spend(ALL).total.cost == other.spend(ALL).total.cost == cost_of(some[: 10 * (i + 1)])
    other.close()


def test_a_folder_that_cannot_be_a_ledger_says_so(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UnavailableError, match="requests"):
        Ledger.open(str(tmp_path / "file")).append_requests([fact()], source="s", version=0)


def test_an_unknown_table_names_the_nearest(ledger):
    with pytest.raises(NotFoundError, match="requests"):
        ledger.last_version("request", "s")


@pytest.mark.parametrize(("source", "version"), [("", 0), ("s", -1)])
def test_a_batch_needs_a_source_and_a_version(ledger, source, version):
    with pytest.raises(InputError, match="source"):
        ledger.append_requests([fact()], source=source, version=version)


def _without_space(url, answers):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ledger = Ledger.open(url, threads=1)
    ledger.last_version("requests", "s")
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
    answers.put(_problem(ledger))


def _as_nobody(url, answers):
    ledger = Ledger.open(url, threads=1)
    ledger.append_requests([fact(1)], source="warm", version=0)
    Path(url + "/requests").chmod(0o555)
    Path(url + "/requests/_delta_log").chmod(0o555)
    Path(url + "/requests/day=2026-11-02").chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)
    answers.put(_problem(ledger))


def _problem(ledger):
    try:
        ledger.append_requests(facts(500), source="s", version=1)
    except UnavailableError as problem:
        return str(problem)
    return "written"


@pytest.mark.parametrize(("work", "said"), [(_without_space, "requests"), (_as_nobody, "writable")])
def test_what_cannot_be_written_is_said_and_leaves_nothing_half_written(ledger, url, work, said):
    ledger.append_requests([fact(0, cost="1")], source="warm", version=-0)
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    child = spawn.Process(target=work, args=(url, answers))
    child.start()
    assert said in answers.get(timeout=60)
    child.join()
    assert ledger.last_version("requests", "s") is None
    assert ledger.spend(ALL).total.cost == 1
    for folder in ("requests", "requests/_delta_log", "requests/day=2026-11-02"):
        Path(f"{url}/{folder}").chmod(0o755)
    assert ledger.append_requests(facts(500), source="s", version=1) == 500


def _before_the_commit(monkeypatch, meanwhile):
    """Runs ``meanwhile`` once, when a merge has its new file and is about to commit on the handle it has."""
    import deltalake

    original, done = deltalake.DeltaTable.create_write_transaction, []

    def interrupted(*args, **options):
        if not done:
            done.append(True)
            meanwhile()
        return original(*args, **options)

    monkeypatch.setattr(deltalake.DeltaTable, "create_write_transaction", interrupted)


def crowd(ledger):
    for version in range(9):
        ledger.append_requests([fact(version, cost="1")], source="s", version=version)
        ledger.refresh_rollups()


def test_two_that_merge_the_same_files_never_double_them(ledger, url, monkeypatch):
    crowd(ledger)
    other = Ledger.open(url, threads=1)
    _before_the_commit(monkeypatch, other.compact)
    ledger.compact()
    assert ledger.spend(ALL).total.cost == ledger.spend(USERS).total.cost == 9
    assert (files(ledger, "requests"), files(ledger, "rollup")) == (1, 1)
    other.close()


def test_facts_that_come_during_a_merge_are_kept(ledger, url, monkeypatch):
    crowd(ledger)
    other = Ledger.open(url, threads=1)

    def meanwhile():
        other.append_requests([fact(100, cost="10")], source="other", version=0)
        other.refresh_rollups()

    _before_the_commit(monkeypatch, meanwhile)
    ledger.compact()
    for _ in range(2):
        assert ledger.spend(ALL).total.cost == ledger.spend(USERS).total.cost == 19
        ledger.refresh_rollups()
    other.close()


def test_a_merge_never_brings_back_what_was_dropped_meanwhile(ledger, url, monkeypatch):
    crowd(ledger)
    other = Ledger.open(url, threads=1)
    _before_the_commit(monkeypatch, lambda: other.retain(NOON + timedelta(days=60), days=30))
    ledger.compact()
    assert ledger.spend(ALL).total.cost == 9
    assert ledger.spend(USERS).empty
    other.close()
