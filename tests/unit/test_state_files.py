"""What can go wrong with a SQLite file, and what the reader is told."""

import os
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from farthing.cache.disk import DiskStore
from farthing.cache.entry import Entry
from farthing.core.errors import UnavailableError
from farthing.core.nouns import Scope
from farthing.state.audit import Change
from farthing.state.store import Store

BY = Change(actor="ann", at=datetime(2026, 11, 21, tzinfo=UTC))


def test_the_file_is_its_owners_alone(tmp_path):
    file = tmp_path / "home" / "state.db"
    Store.open(f"sqlite:///{file}").close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_it_writes_ahead_and_checks_foreign_keys(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store, store._database.read() as connection:
        pragmas = {
            p: connection.exec_driver_sql(f"PRAGMA {p}").scalar()
            for p in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1}


def test_a_folder_that_cannot_be_written(tmp_path):
    folder = tmp_path / "sealed"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # root writes anywhere but where the kernel forbids it
        folder = Path("/proc/self")
    with pytest.raises(UnavailableError, match="cannot be opened for writing") as problem:
        Store.open(f"sqlite:///{folder}/state.db")
    assert "write access" in problem.value.remedy


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "home").write_text("")
    with pytest.raises(UnavailableError):
        Store.open(f"sqlite:///{tmp_path / 'home' / 'state.db'}")


def test_a_file_that_is_no_database(tmp_path):
    file = tmp_path / "state.db"
    file.write_bytes(b"keys: none\n" * 500)
    with pytest.raises(UnavailableError, match="not a Farthing state store") as problem:
        Store.open(f"sqlite:///{file}")
    assert "backup" in problem.value.remedy
    assert file.read_bytes().startswith(b"keys")


def test_a_damaged_file(tmp_path):
    file = tmp_path / "state.db"
    with Store.open(f"sqlite:///{file}") as store:
        for n in range(50):
            store.settings.put(BY, f"s{n}", "x" * 500)
    data = bytearray(file.read_bytes())
    data[2048:] = b"\xa5" * (len(data) - 2048)
    file.write_bytes(data)
    with pytest.raises(UnavailableError, match="damaged"), Store.open(f"sqlite:///{file}") as store:
        store.settings.all()


def test_a_locked_store_says_so_and_heals(tmp_path):
    file = tmp_path / "state.db"
    with Store.open(f"sqlite:///{file}", busy_seconds=0.1) as store:
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        assert store.settings.all() == {}
        with pytest.raises(UnavailableError, match="locked"):
            store.settings.put(BY, "zone", "UTC")
        holder.execute("ROLLBACK")
        holder.close()
        store.settings.put(BY, "zone", "UTC")
        assert store.settings.get("zone") == "UTC"


def test_a_new_store_that_somebody_holds_is_waited_for_no_longer_than_asked(tmp_path):
    file = tmp_path / "state.db"
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UnavailableError, match="locked"):
        Store.open(f"sqlite:///{file}", busy_seconds=0.2)
    holder.execute("ROLLBACK")
    holder.close()
    Store.open(f"sqlite:///{file}", busy_seconds=0.2).close()


def test_a_second_connection_of_one_process_does_not_cost_the_first_its_lock(tmp_path):
    """To close a file ends a process's locks on it: another process would then take the log of a living one away."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    look = (
        "import sys; from farthing.state.store import Store\n"
        "with Store.open(sys.argv[1]) as store: print(len(store.keys.list()))"
    )

    def others_see() -> int:
        done = subprocess.run([sys.executable, "-c", look, url], capture_output=True, text=True, check=True, timeout=60)
        return int(done.stdout)

    with Store.open(url) as first:
        first.keys.create(BY, name="one", scope=Scope())
        with Store.open(url) as second:
            assert len(second.keys.list()) == 1
            assert others_see() == 1
            first.keys.create(BY, name="two", scope=Scope())
            assert others_see() == 2
        first.keys.create(BY, name="three", scope=Scope())
    assert others_see() == 3


def test_a_second_store_of_answers_does_not_cost_the_first_its_lock(tmp_path):
    file = tmp_path / "answers.db"
    look = (
        "import sys; from pathlib import Path; from farthing.cache.disk import DiskStore\n"
        "with DiskStore(Path(sys.argv[1]), limit=10**6) as store: print(store.amount().entries)"
    )

    def others_see() -> int:
        done = subprocess.run(
            [sys.executable, "-c", look, str(file)], capture_output=True, text=True, check=True, timeout=60
        )
        return int(done.stdout)

    with DiskStore(file, limit=10**6) as first, DiskStore(file, limit=10**6):
        for number in range(1, 4):
            entry = Entry(key=number.to_bytes(32, "big"), namespace="n", tenant="t", made=0.0)
            assert first.put((entry,), 0.0)
            assert others_see() == number
