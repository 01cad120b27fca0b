"""Writers that race, crash and repeat themselves: every fact is in the ledger exactly once."""

import multiprocessing
import os
import random
import threading
from pathlib import Path

import pytest

from farthing.core.time import Window
from farthing.ledger import schema
from farthing.ledger.questions import SpendQuestion
from farthing.ledger.store import Ledger
from support.facts import cost_of, facts

BATCHES = 8
ROWS = 5
ALL = SpendQuestion(window=Window(), by=("model",))


def batch(version):
    return facts(ROWS, first=version * ROWS)


def write_all(url, source, seed, *, upkeep=False):
    ledger = Ledger.open(url, threads=1)
    order = random.Random(seed)
    written = 0
    for version in range(BATCHES):
        written += ledger.append_requests(batch(version), source=source, version=version)
        if order.random() < 0.3:
            written += ledger.append_requests(batch(version), source=source, version=version)
        if upkeep and order.random() < 0.4:
            ledger.refresh_rollups()
        if upkeep and order.random() < 0.2:
            ledger.compact()
    ledger.close()
    return written


def _report(queue, *args, **options):
    queue.put(write_all(*args, **options))


def run_processes(url, sources, **options):
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.Queue()
    children = [
        spawn.Process(target=_report, args=(queue, url, s, seed), kwargs=options) for seed, s in enumerate(sources)
    ]
    for child in children:
        child.start()
    written = [queue.get(timeout=100) for _ in children]
    for child in children:
        child.join()
    return sum(written)


def check(url, copies=1):
    ledger = Ledger.open(url, threads=1)
    everything = [f for version in range(BATCHES) for f in batch(version)]
    for _ in range(2):
        total = ledger.spend(ALL).total
        assert (total.requests, total.cost) == (len(everything) * copies, cost_of(everything) * copies)
        assert ledger.spend(SpendQuestion(window=Window(), by=("user",))).total == total
        ledger.refresh_rollups()
    ledger.close()


def test_processes_racing_on_the_same_batches_write_them_once(tmp_path):
    assert run_processes(str(tmp_path), ["s", "s", "s"]) == BATCHES * ROWS
    check(str(tmp_path))


def test_processes_with_their_own_sources_lose_nothing_while_others_merge_and_sum(tmp_path):
    assert run_processes(str(tmp_path), ["a", "b", "c"], upkeep=True) == 3 * BATCHES * ROWS
    check(str(tmp_path), copies=3)


def test_threads_of_one_ledger_may_write_and_ask_at_once(tmp_path):
    ledger = Ledger.open(str(tmp_path), threads=1)
    ledger.append_requests(batch(0), source="s", version=0)
    problems = []

    def work(number):
        try:
            for version in range(BATCHES):
                ledger.append_requests(batch(version), source="s", version=version)
                if number % 2:
                    ledger.refresh_rollups()
                assert ledger.spend(ALL).total.requests % ROWS == 0
        except BaseException as problem:
            problems.append(problem)
            raise

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    ledger.close()
    check(str(tmp_path))


def _die_between_write_and_word_of_it(url):
    ledger = Ledger.open(url, threads=1)
    ledger.append_requests(batch(0), source="s", version=0)
    os._exit(9)


def _die_between_data_and_commit(url):
    import deltalake

    def data_without_commit(handle, rows, **options):
        import pyarrow.parquet as pq

        folder = f"{url}/requests/day=2026-11-02"
        Path(folder).mkdir(parents=True, exist_ok=True)
        pq.write_table(rows.drop_columns(["day"]), f"{folder}/part-00000-orphan.parquet")
        os._exit(9)

    deltalake.write_deltalake = data_without_commit
    Ledger.open(url, threads=1).append_requests(batch(0), source="s", version=0)


@pytest.mark.parametrize("death", [_die_between_write_and_word_of_it, _die_between_data_and_commit])
def test_a_writer_that_died_is_repeated_without_loss_or_double(tmp_path, death):
    child = multiprocessing.get_context("spawn").Process(target=death, args=(str(tmp_path),))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == 9
    write_all(str(tmp_path), "s", seed=1)
    check(str(tmp_path))


def test_a_version_may_jump_and_an_older_one_is_a_replay(tmp_path):
    ledger = Ledger.open(str(tmp_path), threads=1)
    assert ledger.append_requests(batch(0), source="segment-1", version=4_096) == ROWS
    assert ledger.append_requests(batch(1), source="segment-1", version=9_999_999_999) == ROWS
    assert ledger.append_requests(batch(1), source="segment-1", version=8_192) == 0
    assert ledger.append_requests(batch(2), source="segment-2", version=0) == ROWS
    assert ledger.last_version("requests", "segment-1") == 9_999_999_999
    ledger.close()


def test_sums_made_from_a_stale_start_are_not_added(tmp_path):
    """Two that saw the same unsummed commits: the second one's sums would count them twice."""
    ledger, late = (Ledger.open(str(tmp_path), threads=1) for _ in range(2))
    ledger.append_requests(batch(0), source="s", version=0)
    ledger.refresh_rollups()
    ledger.append_requests(batch(1), source="s", version=1)
    rollup = late._table("rollup")
    done = rollup.last_version("rollup:requests")
    ledger.refresh_rollups()
    ledger.append_requests(batch(2), source="s", version=2)
    sums = schema.ROLLUP.completed(_sums_of(ledger))
    assert rollup.append(sums, source="rollup:requests", version=done + 2, after=done) == 0
    ledger.close()
    late.close()


def _sums_of(ledger):
    import pyarrow.dataset as ds

    table = ledger._table("rollup")
    return ds.dataset([f"{table.url}/{f.path}" for f in table.snapshot().files]).to_table()
