"""When keys were last used: from the journal to the list of keys."""

import os
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from farthing.app.drain import Drainer
from farthing.app.keyuse import KeyUse
from farthing.core.errors import UnavailableError
from farthing.core.facts import Status
from farthing.state.audit import Change
from farthing.state.store import Store
from support.journals import DiedError, MemoryLedger, fact, journal

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Touches:
    """What was written, call by call; refuses when told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, datetime]] = []
        self.broken = False

    def __call__(self, used) -> None:
        if self.broken:
            raise UnavailableError("the store is away", remedy="wait")
        self.calls.append(dict(used))


def used(request_id: str, key_id: str, seconds: int, status: Status = Status.OK):
    return msgspec.structs.replace(fact(request_id, status), key_id=key_id, at=NOW + seconds * SECOND)


def test_a_pass_says_who_was_heard_last_and_when(tmp_path):
    worker = journal(tmp_path)
    for number, (key, seconds) in enumerate([("a", 5), ("a", 9), ("a", 7), ("b", 1), ("", 3)]):
        worker.settle(worker.intend(used(str(number), key, seconds)), used(str(number), key, seconds))
    drainer = Drainer(tmp_path, MemoryLedger())
    assert drainer.drain().used == {"a": NOW + 9 * SECOND, "b": NOW + SECOND}
    assert drainer.drain().used == {}


def test_the_call_of_a_killed_worker_used_its_key_too(tmp_path):
    worker = journal(tmp_path)
    worker.intend(used("r", "a", 4, Status.ABANDONED))
    os.close(worker._lock)
    assert Drainer(tmp_path, MemoryLedger()).drain().used == {"a": NOW + 4 * SECOND}


def test_what_did_not_reach_the_ledger_is_told_once_it_has(tmp_path):
    worker = journal(tmp_path)
    worker.settle(worker.intend(used("r", "a", 0)), used("r", "a", 0))
    ledger = MemoryLedger()
    ledger.dies = "before"
    drainer = Drainer(tmp_path, ledger)
    with pytest.raises(DiedError):
        drainer.drain()
    assert drainer.drain().used == {"a": NOW}


def test_a_busy_key_is_written_once_a_minute():
    touches = Touches()
    use = KeyUse(touches)
    for second in range(150):
        use.saw({"busy": NOW + second * SECOND})
        use.write()
    assert touches.calls == [{"busy": NOW + n * SECOND} for n in (0, 60, 120)]


def test_an_idle_key_is_not_written_again_and_a_late_fact_takes_nothing_back():
    touches = Touches()
    use = KeyUse(touches)
    use.saw({"a": NOW})
    assert [use.write(), use.write()] == [1, 0]
    use.saw({"a": NOW - 3600 * SECOND, "b": NOW})
    assert use.write() == 1
    assert touches.calls[1:] == [{"b": NOW}]


def test_what_a_store_refused_is_written_when_it_is_back():
    touches = Touches()
    use = KeyUse(touches)
    use.saw({"a": NOW})
    touches.broken = True
    with pytest.raises(UnavailableError):
        use.write()
    touches.broken = False
    use.saw({"a": NOW + SECOND})
    assert use.write() == 1
    assert touches.calls == [{"a": NOW + SECOND}]


def test_the_list_of_keys_shows_it(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        key, _ = store.keys.create(Change(actor="test", at=NOW), name="bot")
        use = KeyUse(store.keys.touch)
        use.saw({key.id: NOW + 5 * SECOND})
        use.write()
        assert [each.last_used for each in store.keys.list()] == [NOW + 5 * SECOND]
