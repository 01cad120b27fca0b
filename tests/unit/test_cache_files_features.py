"""The feature cache, through its public door: what is found, what leaves, what damage does."""

import dataclasses
import enum
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from farthing.cache import FeatureCache
from farthing.core.errors import InputError, UnavailableError

MIB = 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def features(tmp_path, clock):
    with FeatureCache(tmp_path / "features", clock=clock) as cache:
        yield cache


def files(cache, part):
    return [path for path in (cache.folder / part).rglob("*") if path.is_file()]


def on_disk(cache):
    """What records and values take on disk, by the file system's own count."""
    return sum(path.stat().st_blocks * 512 for part in ("entries", "blobs") for path in files(cache, part))


# values -----------------------------------------------------------------------------------------------------------


def test_a_value_comes_back_and_survives_its_cache(tmp_path):
    assert FeatureCache(tmp_path).put("key", b"value")
    assert FeatureCache(tmp_path).get("key") == b"value"


def test_a_missing_key_is_the_default_and_a_miss(features):
    assert features.get("no") is None
    assert features.get("no", 7) == 7
    assert features.stats().misses == 2


def test_none_is_a_value_and_not_a_miss(features):
    calls = []
    for _ in range(3):
        assert features.get_or_compute("nothing", lambda: calls.append(1)) is None
    assert len(calls) == 1


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0" * 3_000_000,
        {"a": [1, 2.5, None, "ü"]},
        "text",
        12,
        [True],
        datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
    ],
)
def test_plain_values_come_back_as_they_were(features, value):
    features.put("key", value)
    assert features.get("key") == value


def test_arrays_come_back_with_dtype_shape_and_are_never_pickled(features):
    for array in (
        np.arange(12, dtype="<f4").reshape(3, 4),
        np.array(5),
        np.zeros((0, 3)),
        np.array([("a", 1)], dtype=[("s", "U1"), ("n", "i8")]),
    ):
        features.put("array", array)
        found = features.get("array")
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert (found == array).all()
    with pytest.raises(InputError, match="objects|object"):
        features.put("array", np.array([object()], dtype=object))
    with pytest.raises(InputError, match="MessagePack"):
        features.put("thing", object())
    blobs = b"".join(path.read_bytes() for path in files(features, "blobs"))
    assert b"\x80\x04" not in blobs  # how a pickle begins


def test_the_first_result_looks_like_all_others(features):
    first = features.get_or_compute("pair", lambda: (1, {2}))
    assert first == features.get_or_compute("pair", lambda: pytest.fail("computed twice"))
    assert first == [1, [2]]


def test_a_codec_of_ones_own_and_no_other_reads_its_values(tmp_path):
    class Upper:
        name = "upper"

        def encode(self, value):
            return value.upper().encode()

        def decode(self, data):
            return data.decode()

    FeatureCache(tmp_path, codec=Upper()).put("key", "abc")
    assert FeatureCache(tmp_path, codec=Upper()).get("key") == "ABC"
    with pytest.raises(InputError, match="upper"):
        FeatureCache(tmp_path).get("key")


def test_a_typed_codec_gives_types_back(tmp_path):
    from farthing.cache.files.codec import Packed

    class Point(msgspec.Struct):
        x: float
        tags: set[str]

    cache = FeatureCache(tmp_path, codec=Packed(Point))
    assert cache.get_or_compute("p", lambda: Point(1.5, {"a"})) == Point(1.5, {"a"})
    assert cache.get("p") == Point(1.5, {"a"})


def test_equal_values_are_stored_once_and_stay_while_one_key_has_them(features):
    for number in range(20):
        features.put(f"key{number}", b"the same" * 1000)
    assert len(files(features, "blobs")) == 1
    features.remove(*(f"key{number}" for number in range(19)))
    assert features.get("key19") == b"the same" * 1000
    features.remove("key19")
    assert files(features, "blobs") == []
    assert features.stats().bytes == 0


# time and room ----------------------------------------------------------------------------------------------------


def test_values_expire_by_their_last_write_not_their_last_use(features, clock):
    features.put("old", b"1")
    clock.now += 23 * 3600
    assert features.get("old") == b"1"
    clock.now += 3599
    assert features.get("old") == b"1"
    clock.now += 1
    assert features.get("old") is None
    assert "old" not in features
    features.put("old", b"2")
    assert features.get("old") == b"2"


def test_expired_values_leave_before_room_is_needed_elsewhere(features, clock):
    features.put("old", b"1")
    clock.now += 25 * 3600
    assert [row.key for row in features.expired()] == ["old"]
    features.put("new", b"2")
    assert [row.key for row in features.list()] == ["new"]
    assert features.stats().expired == 1


def test_without_a_ttl_nothing_expires(tmp_path, clock):
    cache = FeatureCache(tmp_path, ttl=0, clock=clock)
    cache.put("key", b"1")
    clock.now += 10_000 * 86400
    assert cache.get("key") == b"1"


def test_the_least_often_used_leaves_first_and_never_the_one_just_written(tmp_path, clock):
    cache = FeatureCache(tmp_path, max_bytes=MIB, clock=clock)
    for name in "abcd":
        clock.now += 1
        cache.put(name, os.urandom(225_000))
    for name, uses in {"a": 3, "b": 1, "c": 2, "d": 1}.items():
        for _ in range(uses):
            clock.now += 1
            cache.get(name)
    cache.put("e", os.urandom(225_000))
    assert {row.key for row in cache.list()} == {"a", "c", "d", "e"}
    cache.put("f", os.urandom(225_000))
    assert {row.key for row in cache.list()} == {"a", "c", "d", "f"}
    assert cache.stats().evictions == 2


def test_lru_is_a_policy_too(tmp_path, clock):
    cache = FeatureCache(tmp_path, max_bytes=MIB, policy="lru", clock=clock)
    for name in "abcd":
        clock.now += 1
        cache.put(name, os.urandom(225_000))
    for name in "bbba":
        clock.now += 1
        cache.get(name)
    cache.put("e", os.urandom(225_000))
    assert {row.key for row in cache.list()} == {"a", "b", "d", "e"}


def test_size_is_what_the_file_system_says_and_never_more_than_allowed(tmp_path):
    cache = FeatureCache(tmp_path, max_bytes=MIB)
    for number in range(150):
        cache.put(f"key{number % 90}", os.urandom(number * 331 % 40_000))
        assert cache.stats().bytes == on_disk(cache) <= MIB


def test_a_value_larger_than_the_cache_is_not_kept_and_no_older_one_stands_in(tmp_path):
    cache = FeatureCache(tmp_path, max_bytes=MIB)
    cache.put("key", b"small")
    assert not cache.put("key", bytes(2 * MIB))
    assert cache.get("key") is None
    assert cache.get_or_compute("key", lambda: bytes(2 * MIB)) == bytes(2 * MIB)
    assert cache.stats().unkept == 2


def test_what_is_being_read_stays_readable_while_it_leaves(features):
    features.put("key", b"x" * 100_000)
    (blob,) = files(features, "blobs")
    with blob.open("rb") as file:
        features.remove("key")
        assert not blob.exists()
        assert file.read() == b"x" * 100_000


# damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"X" + data[1:], lambda _: b""])
def test_a_damaged_value_is_a_miss_and_goes_with_all_its_keys(features, spoil):
    features.put("one", b"value" * 50)
    features.put("two", b"value" * 50)
    (blob,) = files(features, "blobs")
    blob.write_bytes(spoil(blob.read_bytes()))
    assert features.get("one") is None
    assert features.get("two") is None
    assert not blob.exists()
    stats = features.stats()
    assert (stats.damaged, stats.entries, stats.bytes) == (1, 0, 0)
    features.put("one", b"value" * 50)
    assert features.get("one") == b"value" * 50


def test_writing_an_equal_value_puts_a_damaged_one_right(features):
    features.put("one", b"value" * 50)
    (blob,) = files(features, "blobs")
    blob.write_bytes(b"rotten")
    features.put("two", b"value" * 50)
    assert features.get("one") == features.get("two") == b"value" * 50


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:20] + b"\xff" + data[21:], lambda _: b""])
def test_a_damaged_record_is_a_miss(features, spoil):
    features.put("key", b"value")
    (record,) = files(features, "entries")
    record.write_bytes(spoil(record.read_bytes()))
    assert features.get("key") is None
    assert features.stats().bytes == 0


@pytest.mark.parametrize("ruin", ["lost", "garbage", "torn", "emptied"])
def test_the_index_is_made_again_from_the_files(tmp_path, ruin):
    with FeatureCache(tmp_path) as cache:
        for number in range(30):
            cache.put(f"key{number}", b"v%d" % (number % 10))
        size = cache.stats().bytes
    index = tmp_path / "index.db"
    match ruin:
        case "lost":
            for path in tmp_path.glob("index.db*"):
                path.unlink()
        case "garbage":
            index.write_bytes(b"not a database at all" * 1000)
        case "torn":
            index.write_bytes(index.read_bytes()[:5000] + os.urandom(9000))
        case "emptied":
            index.write_bytes(b"")
    again = FeatureCache(tmp_path)
    assert again.stats().bytes == size == on_disk(again)
    assert {row.key for row in again.list()} == {f"key{number}" for number in range(30)}
    assert again.get("key7") == b"v7"
    assert again.verify().sound


def test_an_index_that_is_lost_under_an_open_cache_is_made_again(features):
    features.put("one", b"1")
    for path in features.folder.glob("index.db*"):
        path.unlink()
    features.put("two", b"2")
    assert {row.key for row in features.list()} == {"one", "two"}
    assert features.stats().bytes == on_disk(features)


def test_tables_that_are_gone_are_made_again(features):
    features.put("one", b"1")
    db = sqlite3.connect(features.folder / "index.db")
    db.execute("DROP TABLE entry")
    db.close()
    features.put("two", b"2")
    assert {row.key for row in features.list()} == {"one", "two"}


def test_verify_finds_what_is_wrong_and_repairs_it(features):
    for name in ("fine", "rotten", "gone"):
        features.put(name, name.encode() * 100)
    by_name = {
        name: features.folder / "blobs" / (h := hashlib.sha256(name.encode() * 100).hexdigest())[:2] / h[2:]
        for name in ("fine", "rotten", "gone")
    }
    by_name["rotten"].write_bytes(b"x")
    by_name["gone"].unlink()
    stray = features.folder / "blobs" / "ab" / ("c" * 62)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"nobody's")
    found = features.verify()
    assert (found.damaged, found.missing, found.unknown) == (("rotten",), ("gone",), 1)
    assert not found.sound
    features.verify(repair=True)
    assert features.verify().sound
    assert [row.key for row in features.list()] == ["fine"]
    assert not stray.exists()
    assert features.stats().bytes == on_disk(features)


def test_what_writers_left_that_died_is_swept(tmp_path):
    FeatureCache(tmp_path)
    (tmp_path / "staging" / "abandoned").write_bytes(b"half")
    FeatureCache(tmp_path)
    assert list((tmp_path / "staging").iterdir()) == []


# a disk that is full ----------------------------------------------------------------------------------------------

FULL = """
import resource, signal, sys
from farthing.cache import FeatureCache
from farthing.core.errors import UnavailableError
cache = FeatureCache(sys.argv[1])
cache.put("key", b"old")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, resource.RLIM_INFINITY))
try:
    cache.put("key", bytes(9_000_000))
except UnavailableError as problem:
    assert problem.remedy, problem
else:
    raise SystemExit("kept more than the disk holds")
assert cache.get("key") == b"old"
assert cache.get_or_compute("other", lambda: bytes(9_000_000)) == bytes(9_000_000)
assert cache.put("small", b"fits")
stats = cache.stats()
assert (stats.entries, stats.unkept) == (2, 1), stats
"""


def test_a_full_disk_costs_the_reuse_and_nothing_else(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    cache = FeatureCache(tmp_path)
    assert cache.get("key") == b"old"
    assert list((tmp_path / "staging").iterdir()) == []
    assert cache.verify().sound
    assert cache.stats().bytes == on_disk(cache)


def test_a_folder_that_may_not_be_written_to_still_serves(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    cache.put("key", b"value")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "not yours")

    monkeypatch.setattr("farthing.cache.files.locks.acquire", refuse)
    assert cache.get("key") == b"value"
    assert cache.get_or_compute("new", lambda: 5) == 5
    with pytest.raises(UnavailableError, match="not yours"):
        cache.put("key", b"new")
    monkeypatch.undo()


# one computation --------------------------------------------------------------------------------------------------


def test_threads_that_ask_at_once_compute_once(features):
    calls, start = [], threading.Barrier(8)
    results = []

    def make():
        calls.append(1)
        time.sleep(0.05)
        return {"n": 1}

    def ask():
        start.wait()
        results.append(features.get_or_compute("key", make))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert results == [{"n": 1}] * 8
    stats = features.stats()
    assert (stats.hits, stats.misses) == (7, 1)
    assert list((features.folder / "locks").iterdir()) == []


def test_a_computation_that_fails_keeps_nothing_and_the_next_one_computes(features):
    def fail():
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        features.get_or_compute("key", fail)
    assert features.get_or_compute("key", lambda: 1) == 1


def test_a_computation_may_use_other_keys(features):
    inner = lambda: features.get_or_compute("inner", lambda: 2)  # noqa: E731
    assert features.get_or_compute("outer", lambda: inner() + 1) == 3


def test_hits_say_what_they_saved(features):
    features.get_or_compute("key", lambda: time.sleep(0.02) or b"x" * 1000)
    for _ in range(5):
        features.get("key")
    stats = features.stats()
    assert stats.hits == 5
    assert stats.saved_bytes == 5000
    assert stats.saved_seconds >= 0.1
    assert stats.hit_rate == 5 / 6


def test_counts_are_written_down_when_the_process_ends(tmp_path):
    script = "import sys\nfrom farthing.cache import FeatureCache\nc = FeatureCache(sys.argv[1])\nc.put('k', b'1')\n[c.get('k') for _ in range(7)]"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)
    assert FeatureCache(tmp_path).stats().hits == 7


# the decorator ----------------------------------------------------------------------------------------------------


def test_the_same_arguments_however_passed_compute_once(features):
    calls = []

    @features.cached(version="1", name="area")
    def area(width, height=2, *, unit="m"):
        """Sizes."""
        calls.append(1)
        return [width * height, unit]

    assert area(3) == area(width=3) == area(3, 2) == area(3, unit="m", height=2) == [6, "m"]
    assert len(calls) == 1
    assert area(3, 3) == [9, "m"]
    assert len(calls) == 2
    assert area.__doc__ == "Sizes."


def test_versions_and_names_are_apart(features):
    results = []
    for version, name in (("1", "f"), ("2", "f"), ("1", "g")):

        @features.cached(version=version, name=name)
        def f(x, version=version, name=name):
            return f"{name}{version}"

        results.append(f(1))
    assert results == ["f1", "f2", "g1"]


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Spec:
    size: int
    name: str = "x"


class Setting(msgspec.Struct):
    size: int


DISTINCT = [
    None, True, False, 0, 1, 1.0, -0.0, 0.0, 1j, "1", b"1", "", b"", [], (), {}, set(), [1], (1,), {1}, {1: 2}, [[1], 2], [[1, 2]],
    ("ab", "c"), ("a", "bc"), Color.RED, Color.BLUE, Decimal(1), Decimal("1.0"), date(2026, 1, 1), datetime(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=UTC), Path("a"), Spec(1), Spec(2), Setting(1), np.float32(1), np.float64(1), np.int64(1),
    np.arange(4), np.arange(4.0), np.arange(4).reshape(2, 2), np.arange(4, dtype=">i8"), np.array(["a", None], dtype=object), np.arange(5)[::2],
    np.array([0, 2, 5]), range, 10**30,
]  # fmt: skip


def test_different_arguments_have_different_digests():
    from farthing.cache.files.fingerprint import fingerprint

    values = [value for value in DISTINCT if value is not range]
    digests = [fingerprint(value) for value in values]
    assert len(set(digests)) == len(values)
    assert [fingerprint(value) for value in values] == digests


def test_equal_arguments_have_equal_digests():
    from farthing.cache.files.fingerprint import fingerprint

    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({3, 1, 2}) == fingerprint({2, 3, 1}) == fingerprint(frozenset({1, 2, 3}))
    assert fingerprint(np.arange(10)[::2]) == fingerprint(np.array([0, 2, 4, 6, 8]))
    assert fingerprint(np.asfortranarray(np.ones((3, 4)))) == fingerprint(np.ones((3, 4)))
    assert fingerprint(b"ab") == fingerprint(bytearray(b"ab")) == fingerprint(memoryview(b"xabx")[1:3])


def test_frames_count_with_values_names_and_index():
    pandas = pytest.importorskip("pandas")
    from farthing.cache.files.fingerprint import fingerprint

    frames = [
        pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}), pandas.DataFrame({"a": [1, 3], "b": ["x", "y"]}),
        pandas.DataFrame({"a": [1, 2], "c": ["x", "y"]}), pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[5, 6]),
        pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), pandas.Series([1, 2]), pandas.Series([1, 2], name="a"),
    ]  # fmt: skip
    assert len({fingerprint(frame) for frame in frames}) == len(frames)
    assert fingerprint(frames[0]) == fingerprint(frames[0].copy())


def test_what_has_no_reliable_digest_is_refused_by_name_and_key_is_the_way_out(features):
    class Model:
        weights = "w1"

    @features.cached(version="1", name="predict")
    def predict(model, text):
        return text

    with pytest.raises(InputError, match="'model' of predict") as refused:
        predict(Model(), "a")
    assert "key=" in refused.value.remedy

    @features.cached(version="1", name="predict", key=lambda model, text: (model.weights, text))
    def predict_by(model, text):
        return text

    assert predict_by(Model(), "a") == predict_by(Model(), "a") == "a"
    assert features.stats().hits == 1


def test_functions_whose_name_does_not_say_what_they_do_are_refused(features):
    captured = 1
    with pytest.raises(InputError, match="closes over captured"):
        features.cached(version="1")(lambda: captured)
    with pytest.raises(InputError, match="has no name"):
        features.cached(version="1")(lambda: 1)


def test_functions_that_return_before_they_compute_are_refused(features):
    async def coroutine():
        return 1

    def generator():
        yield 1

    for function in (coroutine, generator):
        with pytest.raises(InputError, match="return their result"):
            features.cached(version="1")(function)


def test_two_programs_that_are_run_directly_do_not_share_by_accident(tmp_path):
    text = "import sys\nfrom farthing.cache import FeatureCache\n@FeatureCache(sys.argv[1]).cached(version='1')\ndef f(): return {!r}\nprint(f())"
    said = []
    for name in ("one", "two"):
        script = tmp_path / f"{name}.py"
        script.write_text(text.format(name))
        done = subprocess.run(
            [sys.executable, script, tmp_path / "cache"], capture_output=True, text=True, check=True, timeout=60
        )
        said.append(done.stdout.strip())
    assert said == ["one", "two"]


# keys and cost ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "/", "../../etc/passwd", "a\0b", "ключ" * 100, "x" * 5000])
def test_any_text_is_a_key_and_stays_in_the_folder(features, tmp_path, key):
    before = {path for path in tmp_path.rglob("*") if features.folder not in path.parents}
    features.put(key, b"1")
    assert features.get(key) == b"1"
    assert {path for path in tmp_path.rglob("*") if features.folder not in path.parents} == before


def test_a_key_that_is_no_text_is_refused(features):
    for use in (features.get, lambda key: features.put(key, b"1")):
        with pytest.raises(InputError, match="Unicode"):
            use("\udcff")


def test_importing_the_package_loads_none_of_it():
    script = (
        "import sys, farthing.cache\n"
        "loaded = [m for m in sys.modules if m.startswith('farthing.cache.')]\n"
        "assert loaded == [] and 'sqlite3' not in sys.modules and 'numpy' not in sys.modules, loaded\n"
        "farthing.cache.FeatureCache\n"
        "assert 'numpy' not in sys.modules and 'huggingface_hub' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


FORKS = """
import os, sys
from farthing.cache import FeatureCache
features = FeatureCache(sys.argv[1])
features.put("key", b"1")
for _ in range(10):
    features.get("key")
child = os.fork()
if child == 0:
    assert features.get("key") == b"1"
    features.put("from child", b"2")
    features.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert features.get("from child") == b"2"
assert features.stats().hits == 12, features.stats()
"""


def test_a_fork_counts_its_own_and_uses_no_connection_of_its_parent(tmp_path):
    done = subprocess.run([sys.executable, "-c", FORKS, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
