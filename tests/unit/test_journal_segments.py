"""Segments of the journal: room that is kept, ends that are torn, and how they reach a ledger once."""

import os
from pathlib import Path

import pytest

from farthing.app.drain import Drainer
from farthing.core.errors import UnavailableError
from farthing.core.facts import Status
from farthing.gateway.journal import OUTCOME_ROOM, SUFFIX, Kind, Scan, is_alive
from support.journals import DiedError, MemoryLedger, fact, journal


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*/*{SUFFIX}"))


def read(path: Path, *, final: bool = False) -> list[tuple[Kind, str]]:
    return [(f.kind, f.fact().request_id if f.payload else "") for f in Scan(path).frames(final=final)]


def die(worker) -> None:
    """What a killed process leaves behind: the files as they are, and no lock."""
    os.close(worker._lock)


def test_outcomes_follow_their_intents_and_an_end_closes_the_file(tmp_path):
    worker = journal(tmp_path)
    intent = worker.intend(fact("a", Status.ABANDONED))
    worker.note(fact("n"))
    worker.settle(intent, fact("a"))
    worker.close()
    (path,) = segments(tmp_path)
    assert read(path) == [(Kind.INTENT, "a"), (Kind.NOTE, "n"), (Kind.OUTCOME, "a"), (Kind.END, "")]
    assert path.stat().st_size < 4096


def test_facts_come_back_as_they_were(tmp_path):
    worker = journal(tmp_path)
    worker.note(fact("n", text="äöü\n"))
    assert [f.fact() for f in Scan(segments(tmp_path)[0]).frames()] == [fact("n", text="äöü\n")]


def test_an_outcome_fits_however_long_it_is_and_however_full_the_file(tmp_path, monkeypatch):
    worker = journal(tmp_path, size=64 * 1024)
    monkeypatch.setattr("os.posix_fallocate", _full)
    intents = []
    while (intent := _begun(worker, f"r{len(intents)}")) is not None:
        intents.append(intent)
    for number, intent in enumerate(intents):
        worker.settle(intent, fact(f"r{number}", text="x" * 100 * OUTCOME_ROOM))
    outcomes = [f.fact() for f in Scan(segments(tmp_path)[0]).frames() if f.kind is Kind.OUTCOME]
    assert [o.request_id for o in outcomes] == [f"r{n}" for n in range(len(intents))]
    assert len(intents) > 3


def _begun(worker, name: str):
    try:
        return worker.intend(fact(name, Status.ABANDONED))
    except UnavailableError:
        return None


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_room_comes_back_when_the_disk_does(tmp_path, monkeypatch):
    worker = journal(tmp_path, size=32 * 1024)
    held = [worker.intend(fact(str(n))) for n in range(3)]
    with monkeypatch.context() as broken:
        broken.setattr("os.posix_fallocate", _full)
        with pytest.raises(UnavailableError):
            worker.check()
    worker.check()
    worker.settle(worker.intend(fact("new")), fact("new"))
    for number, intent in enumerate(held):
        worker.settle(intent, fact(str(number)))
    ledger = MemoryLedger()
    worker.close()
    Drainer(tmp_path, ledger).drain()
    assert ledger.ids() == ["0", "1", "2", "new"]


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "journal").write_text("in the way")
    with pytest.raises(UnavailableError, match="journal"):
        journal(tmp_path / "journal")


def test_full_segments_are_left_and_closed_once_their_intents_are_settled(tmp_path):
    worker = journal(tmp_path, size=32 * 1024)
    slow = worker.intend(fact("slow"))
    for number in range(60):
        worker.settle(worker.intend(fact(str(number))), fact(str(number), text="x" * 500))
    first, second, *_ = segments(tmp_path)
    assert (Kind.END, "") not in read(first)
    assert (Kind.END, "") in read(second)
    worker.settle(slow, fact("slow"))
    assert read(first)[-2:] == [(Kind.OUTCOME, "slow"), (Kind.END, "")]


def test_old_segments_are_left_whatever_the_wall_clock_does(tmp_path):
    now = [0.0]
    worker = journal(tmp_path, clock=lambda: now[0], seconds=10)
    worker.note(fact("a"))
    now[0] = 11.0
    worker.note(fact("b"))
    assert [read(path) for path in segments(tmp_path)] == [[(Kind.NOTE, "a"), (Kind.END, "")], [(Kind.NOTE, "b")]]


@pytest.mark.parametrize("final", [False, True])
def test_a_torn_last_frame_is_left_out(tmp_path, final):
    worker = journal(tmp_path)
    worker.note(fact("a"))
    (path,) = segments(tmp_path)
    whole = list(Scan(path).frames())[-1].end
    worker.note(fact("b"))
    data = bytearray(path.read_bytes())
    data[whole + 40 :] = bytes(len(data) - whole - 40)
    path.write_bytes(data)
    scan = Scan(path)
    assert [f.fact().request_id for f in scan.frames(final=final)] == ["a"]
    assert (scan.offset, scan.lost) == (whole, 0)


def test_damage_is_passed_over_once_the_writer_is_gone_and_counted(tmp_path):
    worker = journal(tmp_path)
    for name in "abc":
        worker.note(fact(name))
    (path,) = segments(tmp_path)
    first, second, _ = Scan(path).frames()
    data = bytearray(path.read_bytes())
    data[first.end + 50] ^= 0xFF
    path.write_bytes(data)
    assert read(path) == [(Kind.NOTE, "a")]
    assert read(path, final=True) == [(Kind.NOTE, "a"), (Kind.NOTE, "c")]
    die(worker)
    ledger = MemoryLedger()
    done = Drainer(tmp_path, ledger).drain()
    assert (ledger.ids(), done.lost_bytes) == (["a", "c"], second.end - second.offset)
    assert not segments(tmp_path)


def test_random_bytes_are_no_frames(tmp_path):
    worker = journal(tmp_path)
    die(worker)
    (path,) = segments(tmp_path)
    path.write_bytes(os.urandom(300_000))
    ledger = MemoryLedger()
    Drainer(tmp_path, ledger).drain()
    assert ledger.facts == []


def test_a_living_workers_facts_are_drained_as_they_come(tmp_path):
    worker, ledger = journal(tmp_path), MemoryLedger()
    drainer = Drainer(tmp_path, ledger)
    worker.settle(worker.intend(fact("a")), fact("a"))
    open_intent = worker.intend(fact("b"))
    assert drainer.drain().facts == 1
    assert drainer.drain().facts == 0
    worker.settle(open_intent, fact("b"))
    assert drainer.drain().facts == 1
    assert ledger.ids() == ["a", "b"]
    assert is_alive(tmp_path / "w1")
    assert len(segments(tmp_path)) == 1


def test_a_dead_workers_open_attempts_are_abandoned_without_a_price(tmp_path):
    worker, ledger = journal(tmp_path), MemoryLedger()
    worker.settle(worker.intend(fact("a")), fact("a"))
    worker.intend(fact("b"))
    die(worker)
    done = Drainer(tmp_path, ledger).drain()
    assert (done.facts, done.abandoned, done.segments) == (2, 1, 1)
    (lost,) = (f for f in ledger.facts if f.status is Status.ABANDONED)
    assert (lost.request_id, lost.cost) == ("b", None)
    assert lost.unpriced
    assert list(tmp_path.glob("w1*")) == []


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_drainer_that_dies_at_a_commit_loses_and_doubles_nothing(tmp_path, dies):
    worker, ledger = journal(tmp_path), MemoryLedger()
    worker.settle(worker.intend(fact("a")), fact("a"))
    worker.intend(fact("b"))
    ledger.dies = dies
    with pytest.raises(DiedError):
        Drainer(tmp_path, ledger).drain()
    worker.note(fact("c"))
    die(worker)
    for _ in range(3):
        ledger.dies = dies
        try:
            Drainer(tmp_path, ledger).drain()
        except DiedError:
            continue
    Drainer(tmp_path, ledger).drain()
    assert ledger.ids() == ["a", "b", "c"]
    assert ledger.ids(Status.ABANDONED) == ["b"]
    assert not segments(tmp_path)


def test_two_drainers_do_not_work_at_once(tmp_path):
    worker = journal(tmp_path)
    worker.note(fact("a"))
    second = Drainer(tmp_path, MemoryLedger())

    class Racing(MemoryLedger):
        def append_requests(self, facts, *, source, version):
            assert second.drain().busy
            return super().append_requests(facts, source=source, version=version)

    ledger = Racing()
    assert not Drainer(tmp_path, ledger).drain().busy
    assert ledger.ids() == ["a"]


def test_a_drainer_without_a_journal_does_nothing(tmp_path):
    assert Drainer(tmp_path / "none", MemoryLedger()).drain().facts == 0
