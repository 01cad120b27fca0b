"""Rooms of vectors: the nearest are found, exactly or by an index, and what was removed is gone."""

import random

import numpy as np
import pytest

from farthing.cache.semantic import rooms
from farthing.cache.semantic.embed import normal, small
from farthing.cache.semantic.local import LocalQuestions
from farthing.cache.semantic.questions import Question
from farthing.cache.semantic.rooms import Room
from support.loop import in_loop
from support.semantic import digest

DIMENSIONS = 32


def vectors(count: int, seed: int = 1) -> np.ndarray:
    return normal(np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32))


def filled(rows: np.ndarray, *, start: int = 1) -> Room:
    room = Room(DIMENSIONS)
    for i, row in enumerate(small(rows)):
        room.add(start + i, row)
    return room


def indexed(room: Room) -> Room:
    ids, here, _ = room.lend(build=True)
    room.adopt(rooms.built(ids, here, lambda: False))
    assert room.indexed
    return room


def true_nearest(rows: np.ndarray, one: np.ndarray) -> list[tuple[int, float]]:
    cosines = rows @ one
    return [(int(i) + 1, float(cosines[i])) for i in np.argsort(-cosines)[:10]]


@pytest.mark.parametrize("count", [1, 5, 300])
def test_small_rooms_are_searched_exactly(count):
    rows = vectors(count)
    room = filled(rows)
    for one in vectors(20, seed=2):
        found = room.search(small(one), 10)
        for (mine, cosine), (_, expected) in zip(found, true_nearest(rows, one), strict=True):
            assert cosine == pytest.approx(expected, abs=0.01)
            assert cosine == pytest.approx(float(rows[mine - 1] @ one), abs=0.01)


def test_quantizing_keeps_the_cosine():
    rows = normal(np.abs(vectors(2000)))
    exact = rows[:1000] @ rows[1000:].T
    a, b = small(rows[:1000]).astype(float), small(rows[1000:]).astype(float)
    kept = (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    assert np.abs(kept - exact).max() < 0.01


def test_zeros_stay_zeros():
    assert not normal(np.zeros((2, 4), dtype=np.float32)).any()
    assert not normal(np.full((1, 4), np.nan, dtype=np.float32)).any()
    assert not small(np.zeros((1, 4), dtype=np.float32)).any()


def test_an_index_finds_what_the_exact_search_finds():
    rows = vectors(3000)
    room = indexed(filled(rows))
    hit = 0
    for one in vectors(50, seed=2):
        hit += len({i for i, _ in room.search(small(one), 10)} & {i for i, _ in true_nearest(rows, one)})
    assert hit / 500 > 0.9


def test_entries_that_came_after_the_index_are_found_at_once():
    rows = vectors(500)
    room = filled(rows[:400])
    ids, here, _ = room.lend(build=True)
    for i, row in enumerate(small(rows[400:450])):
        room.add(401 + i, row)
    room.remove([7], purge=False)
    room.adopt(rooms.built(ids, here, lambda: False))
    for i, row in enumerate(small(rows[450:])):
        room.add(451 + i, row)
    for i in (0, 399, 400, 449, 450, 499):
        assert room.search(small(rows[i]), 3)[0][0] == i + 1
    assert all(i != 7 for i, _ in room.search(small(rows[6]), 10)), "it went while the index was built"
    while room.catch_up():
        pass
    assert room.search(small(rows[420]), 3)[0][0] == 421


def test_nothing_that_was_removed_is_found():
    rows = vectors(600)
    order = list(range(1, 601))
    random.Random(3).shuffle(order)
    for room in (filled(rows), indexed(filled(rows))):
        room.remove(order[:300], purge=True)
        gone = set(order[:300])
        for one in small(rows):
            found = room.search(one, 10)
            assert len(found) == 10
            assert not gone & {i for i, _ in found}
        assert len(room) == 300
        room.remove(order, purge=False)
        assert room.search(small(rows[0]), 10) == []


def test_what_is_removed_while_the_index_is_saved_is_not_found():
    rows = vectors(100)
    room = indexed(filled(rows))
    room.lend(build=False)
    room.remove([5], purge=False)
    found = room.search(small(rows[4]), 10)
    assert 5 not in {i for i, _ in found}
    assert len(found) == 10
    room.give_back()
    assert 5 not in {i for i, _ in room.search(small(rows[4]), 10)}


def test_a_purge_asks_for_a_new_index(monkeypatch):
    monkeypatch.setattr(rooms, "LARGE", 50)
    room = indexed(filled(vectors(100)))
    room.remove([1], purge=False)
    assert not room.due, "it is only expired"
    room.remove([2], purge=True)
    assert room.due
    ids, here, _ = room.lend(build=True)
    room.remove([3], purge=True)
    room.adopt(rooms.built(ids, here, lambda: False))
    assert room.due, "one was purged meanwhile"


def test_building_can_be_stopped():
    room = filled(vectors(10))
    ids, here, _ = room.lend(build=True)
    assert rooms.built(ids, here, lambda: True) is None
    room.give_back()
    assert not room.indexed
    assert len(room.search(small(vectors(1))[0], 3)) == 3


def test_a_saved_index_comes_back(tmp_path):
    rows = vectors(200)
    name = digest("room")
    _, _, index = indexed(filled(rows)).lend(build=False)
    rooms.save(index, name, tmp_path)
    rooms.save(index, name, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in tmp_path.iterdir())
    room = filled(rows)
    room.adopt(rooms.load(name, tmp_path, DIMENSIONS))
    assert room.indexed
    assert room.search(small(rows[9]), 1)[0][0] == 10


def test_an_index_that_is_not_of_these_entries_is_not_used(tmp_path):
    rows = vectors(200)
    room = filled(rows)
    room.adopt(rooms.built(np.arange(100, 150), small(rows[100:150]), lambda: False))
    assert not room.indexed, "older entries are missing"
    room.adopt(rooms.built(np.arange(1, 301), small(vectors(300, seed=5)), lambda: False))
    assert room.indexed, "there were more"
    assert all(i <= 200 for one in small(rows) for i, _ in room.search(one, 10))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_index_is_removed(tmp_path, damage):
    name = digest("room")
    _, _, index = indexed(filled(vectors(200))).lend(build=False)
    rooms.save(index, name, tmp_path)
    (file,) = tmp_path.iterdir()
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    file.write_bytes({"cut": raw[: len(raw) // 2], "flipped": raw, "empty": b""}[damage])
    assert rooms.load(name, tmp_path, DIMENSIONS) is None
    assert not file.exists()


async def _fill(questions: LocalQuestions, rows: np.ndarray, *, start: int = 0) -> None:
    for i, row in enumerate(small(rows), start):
        question = Question(
            key=digest(str(i)), namespace="n", room=digest("room"), tenant="t", user=f"u{i % 10}", key_id="k", epoch="",
            text=f"question {i}", answer="a", vector=row.tobytes(), made=1.0,
        )  # fmt: skip
        await questions.add(question)


def _opened(folder) -> LocalQuestions:
    return LocalQuestions(folder, limit=10_000, embedding="m", dimensions=DIMENSIONS)


async def _texts(questions: LocalQuestions, one: np.ndarray) -> list[str]:
    return [near.text for near in await questions.nearest(digest("room"), small(one), 2.0)]


@pytest.mark.parametrize("index", ["saved", "damaged", "missing"])
@in_loop
async def test_a_large_room_starts_from_its_saved_index(tmp_path, monkeypatch, index):
    monkeypatch.setattr(rooms, "LARGE", 100)
    rows = vectors(400)
    questions = _opened(tmp_path)
    await _fill(questions, rows[:300])
    await questions.upkeep(2.0)
    assert list((tmp_path / "rooms").glob("*.usearch"))
    await _fill(questions, rows[300:350], start=300)
    await questions.aclose()
    (file,) = (tmp_path / "rooms").iterdir()
    if index != "saved":
        file.write_bytes(b"nothing") if index == "damaged" else file.unlink()
    (tmp_path / "rooms" / f"{digest('gone').hex()}.new").write_bytes(b"half")
    questions = _opened(tmp_path)
    assert questions._room(digest("room")).indexed is (index == "saved")
    assert len(list((tmp_path / "rooms").iterdir())) == (index == "saved"), "leftovers are removed"
    await _fill(questions, rows[350:], start=350)
    for i in (0, 299, 349, 399):
        assert (await _texts(questions, rows[i]))[0] == f"question {i}"
    await questions.upkeep(2.0)
    assert questions._room(digest("room")).indexed
    assert (await _texts(questions, rows[123]))[0] == "question 123"
    await questions.aclose()


@in_loop
async def test_a_purge_of_a_large_room_removes_its_index_file_and_builds_another(tmp_path, monkeypatch):
    monkeypatch.setattr(rooms, "LARGE", 100)
    rows = vectors(300)
    questions = _opened(tmp_path)
    await _fill(questions, rows)
    await questions.upkeep(2.0)
    (before,) = (tmp_path / "rooms").iterdir()
    assert await questions.remove("user", "u3") == 30
    assert not before.exists()
    assert "question 3" not in await _texts(questions, rows[3])
    vector = small(rows[3]).tobytes()
    await questions.upkeep(2.0)
    (after,) = (tmp_path / "rooms").iterdir()
    assert vector not in after.read_bytes()
    assert vector not in (tmp_path / "semantic.db").read_bytes()
    await questions.aclose()
