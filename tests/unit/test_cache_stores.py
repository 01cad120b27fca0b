"""The shared stores of answers: one suite over the file and a real Postgres."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
from tests.support.postgres import serve

from farthing.cache.disk import DiskStore
from farthing.cache.entry import Entry, Kind, Purge
from farthing.cache.memory import Memory
from farthing.cache.postgres import OnPostgres, PostgresStore
from farthing.cache.sharing import OnDisk
from farthing.core.errors import InputError, UnavailableError
from farthing.core.nouns import Scope

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = NOW.timestamp()
MB = 1024 * 1024


@pytest.fixture(scope="module")
def postgres():
    with serve() as server:
        yield server


class OnFile:
    def __init__(self, folder):
        self.file = folder / "answers.db"

    def shared(self, limit=MB):
        return OnDisk(self.file, limit=limit, clock=lambda: NOW)

    def store(self, limit=MB):
        return DiskStore(self.file, limit=limit)


class OnServer:
    def __init__(self, url):
        self.url = url

    def shared(self, limit=MB):
        return OnPostgres(self.url, limit=limit, clock=lambda: NOW)

    def store(self, limit=MB):
        return PostgresStore(self.url, limit=limit)


@pytest.fixture(params=["file", "postgres"])
def place(request, tmp_path, monkeypatch):
    if request.param == "file":
        return OnFile(tmp_path)
    monkeypatch.setattr("farthing.cache.postgres.POLL_SECONDS", 0.05)
    return OnServer(request.getfixturevalue("postgres").database())


def entry(name: str, **more) -> Entry:
    fields = {"namespace": "default", "tenant": "[]", "made": AT, "body": name.encode() * 20}
    return Entry(**{**fields, "key": key(name), **more})


def key(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


async def opened(place, **more):
    shared = place.shared(**more)
    if isinstance(shared, OnPostgres):
        shared.start()
        while shared._connection is None:
            await asyncio.sleep(0.01)
    return shared


def run(work):
    return asyncio.run(work)


def test_what_one_worker_keeps_another_finds(place):
    one = entry("one", usage={"token.input": 7}, cost="0.001", scope=Scope(team="a", user="u"), kind=Kind.VECTOR)

    async def work():
        first, second = await opened(place), await opened(place)
        assert await second.get(one.key, AT) is None
        assert await first.put((one, entry("two")), since=first.generation())
        assert await second.get(one.key, AT) == one
        found = await second.get_many((one.key, key("two"), key("three")), AT)
        assert set(found) == {one.key, key("two")}
        await first.aclose()
        await second.aclose()

    run(work())
    with place.store() as store:
        assert store.amount().entries == 2
        assert store.amount().bytes == one.size + entry("two").size


def test_what_expired_is_not_found_and_goes(place):
    async def work():
        shared = await opened(place)
        await shared.put((entry("soon", expires=AT + 10), entry("never")), since=shared.generation())
        assert await shared.get(key("soon"), AT + 9) is not None
        assert await shared.get(key("soon"), AT + 10) is None
        await shared.aclose()

    run(work())
    with place.store() as store:
        assert store.expire(AT + 10) == 1
        assert store.amount().entries == 1


def test_what_was_not_used_for_longest_goes_first(place):
    big = b"x" * 10_000

    async def work():
        shared = await opened(place, limit=120_000)
        for i in range(30):
            assert await shared.put((entry(f"e{i:02}", body=big, made=AT + i),), since=shared.generation())
        await shared.aclose()

    run(work())
    with place.store(limit=120_000) as store:
        store.expire(AT)
        assert 80_000 < store.amount().bytes <= 120_000


@pytest.mark.parametrize(
    ("what", "left"),
    [
        (Purge(entry=key("a1").hex()), {"a2", "b1"}),
        (Purge(scope={"user": "ann"}), {"b1"}),
        (Purge(scope={"customer": "acme", "user": "bob"}), {"a1", "a2"}),
        (Purge(namespace="other"), {"a1", "b1"}),
        (Purge(epoch="v1"), {"a2", "b1"}),
        (Purge(before=AT - 5), {"a1", "b1"}),
        (Purge(), set()),
    ],
)
def test_a_purge_removes_what_it_names_and_nothing_else(place, what, left):
    async def work():
        shared = await opened(place)
        await shared.put(
            (
                entry("a1", scope=Scope(user="ann"), epoch="v1"),
                entry("a2", scope=Scope(user="ann"), namespace="other", made=AT - 10),
                entry("b1", scope=Scope(user="bob", customer="acme")),
            ),
            since=shared.generation(),
        )
        before = shared.generation()
        with place.store() as store:
            assert len(store.keys_of(what)) == 3 - len(left)
            assert await asyncio.to_thread(store.purge, what) == 3 - len(left)
        assert shared.generation() != before
        found = await shared.get_many(map(key, ("a1", "a2", "b1")), AT)
        assert set(found) == set(map(key, left))
        await shared.aclose()

    run(work())


def test_nothing_of_a_purged_answer_is_left_in_the_files(tmp_path):
    place = OnFile(tmp_path)
    secret = b"the patient in room seven"

    async def work():
        shared = await opened(place)
        await shared.put((entry("s", body=secret), *(entry(f"n{i}") for i in range(50))), since=shared.generation())
        assert any(secret in file.read_bytes() for file in tmp_path.iterdir())
        with place.store() as store:
            store.purge(Purge(entry=key("s").hex()))
        await shared.aclose()

    run(work())
    assert not any(secret in file.read_bytes() for file in tmp_path.iterdir())


def test_a_purge_that_makes_no_sense_says_what_does(place):
    with place.store() as store:
        with pytest.raises(InputError, match="entry"):
            store.purge(Purge(entry="not hex"))
        with pytest.raises(InputError, match="Known are org"):
            store.purge(Purge(scope={"colour": "red"}))


def test_a_file_that_is_no_cache_is_not_used(tmp_path):
    (tmp_path / "answers.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(UnavailableError, match="Remove the file"):
        OnFile(tmp_path).store()


def test_a_row_of_another_release_is_a_miss(tmp_path):
    place = OnFile(tmp_path)

    async def work():
        shared = await opened(place)
        await shared.put((entry("old"),), since=shared.generation())
        with closing(sqlite3.connect(place.file)) as raw:
            raw.execute("update entries set about = x'93010203'")
            raw.commit()
        assert await shared.get(key("old"), AT) is None
        await shared.aclose()

    run(work())


def test_a_server_that_is_gone_is_a_miss_and_no_error():
    async def work():
        shared = OnPostgres("postgresql://nobody@127.0.0.1:1/none", limit=MB, clock=lambda: NOW)
        shared.start()
        await asyncio.sleep(0.1)
        assert await shared.get(key("x"), AT) is None
        assert not await shared.put((entry("x"),), since=shared.generation())
        await shared.aclose()

    run(work())


def test_memory_lets_go_of_what_was_used_last():
    memory = Memory(limit=3 * entry("a").size)
    for name in "abc":
        memory.put(entry(name))
    assert memory.get(key("a"), AT)
    memory.put(entry("d"))
    assert [memory.get(key(name), AT) is not None for name in "abcd"] == [True, False, True, True]
    assert memory.held == 3 * entry("a").size
    memory.put(entry("huge", body=b"x" * 10_000))
    assert memory.get(key("huge"), AT) is None
    memory.put(entry("a", expires=AT + 1))
    assert memory.get(key("a"), AT + 1) is None
    memory.clear()
    assert (len(memory), memory.held) == (0, 0)


def test_what_was_under_way_when_something_was_purged_is_not_written(place):
    async def work():
        shared = await opened(place)
        before = shared.generation()
        with place.store() as store:
            await asyncio.to_thread(store.purge, Purge(entry=key("other").hex()))
        assert not await shared.put((entry("late"),), since=before)
        assert await shared.put((entry("new"),), since=shared.generation())
        assert set(await shared.get_many((key("late"), key("new")), AT)) == {key("new")}
        await shared.aclose()

    run(work())
