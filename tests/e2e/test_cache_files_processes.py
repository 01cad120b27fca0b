"""Several processes on one cache folder, and processes that are killed in the middle of writing to it."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from farthing.cache import FeatureCache, ModelCache

LIMIT = 600_000
PROCESSES = 6


def start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def on_disk(cache):
    files = [path for part in ("entries", "blobs") for path in (cache.folder / part).rglob("*/*")]
    return sum(path.stat().st_blocks * 512 for path in files)


def assert_sound(cache):
    assert cache.verify().sound
    assert cache.stats().bytes == on_disk(cache) <= LIMIT
    assert list((cache.folder / "staging").iterdir()) == []


COMPUTE = """
import sys, time
from pathlib import Path
from farthing.cache import FeatureCache
cache, calls = FeatureCache(sys.argv[1]), Path(sys.argv[2])
def make():
    with calls.open("a") as file:
        file.write("x")
    time.sleep(0.3)
    return {"answer": 42}
print("ready", flush=True)
sys.stdin.readline() if False else time.sleep(max(0, float(sys.argv[3]) - time.time()))
assert cache.get_or_compute("key", make) == {"answer": 42}
"""


def test_processes_that_ask_at_once_compute_once(tmp_path):
    begin = time.time() + 2
    asking = [start(COMPUTE, tmp_path / "cache", tmp_path / "calls", begin) for _ in range(PROCESSES)]
    for process in asking:
        ended(process)
    assert (tmp_path / "calls").read_text() == "x"
    stats = FeatureCache(tmp_path / "cache").stats()
    assert (stats.hits, stats.misses) == (PROCESSES - 1, 1)


DIES = """
import os, signal, sys
from farthing.cache import FeatureCache
FeatureCache(sys.argv[1]).get_or_compute("key", lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_computation_that_is_killed_holds_nobody_up(tmp_path):
    dying = start(DIES, tmp_path)
    dying.communicate(timeout=60)
    assert dying.returncode == -9
    assert FeatureCache(tmp_path).get_or_compute("key", lambda: 1) == 1


RACE = """
import hashlib, random, sys, time
from farthing.cache import FeatureCache
chance = random.Random(int(sys.argv[2]))
cache = FeatureCache(sys.argv[1], max_bytes=int(sys.argv[3]))
def value(key, turn):
    body = f"{key} {turn} ".encode() * chance.choice([1, 300, 2000])
    return hashlib.sha256(body).digest() + body
def check(key, found):
    assert found is None or hashlib.sha256(found[32:]).digest() == found[:32], key
    assert found is None or found[32:].startswith(key.encode() + b" "), key
end = time.time() + 4
turn = 0
while time.time() < end:
    turn += 1
    key = f"key{chance.randrange(40)}"
    match chance.randrange(10):
        case 0 | 1 | 2:
            cache.put(key, value(key, turn % 5))
        case 3:
            cache.remove(key)
        case 4:
            check(key, cache.get_or_compute(key, lambda: value(key, turn % 5)))
        case 5:
            assert cache.stats().bytes <= int(sys.argv[3])
        case _:
            check(key, cache.get(key))
print(turn)
"""


def test_processes_that_write_read_and_remove_at_once_agree(tmp_path):
    racing = [start(RACE, tmp_path, seed, LIMIT) for seed in range(PROCESSES)]
    assert all(int(ended(process)) > 10 for process in racing)
    assert_sound(FeatureCache(tmp_path, max_bytes=LIMIT))


WRITE = """
import itertools, sys
from farthing.cache import FeatureCache
cache = FeatureCache(sys.argv[1], max_bytes=int(sys.argv[2]))
print("ready", flush=True)
for turn in itertools.count():
    print(turn, flush=True)
    cache.put("same", b"%d " % turn * 3000)
    cache.put(f"other{turn % 60}", b"%d!" % turn * 4000)
"""


def written(value):
    """Whether a value is one that the writer writes, whole."""
    turn, rest = value.split(b" ", 1)
    return turn.isdigit() and value == turn + b" " + rest and value == (turn + b" ") * 3000


def test_a_writer_that_is_killed_leaves_the_old_value_or_the_new_one(tmp_path):
    chance = random.Random(7)
    seen = set()
    FeatureCache(tmp_path, max_bytes=LIMIT).put("same", b"0 " * 3000)
    for _ in range(25):
        writer = start(WRITE, tmp_path, LIMIT)
        assert writer.stdout.readline() == "ready\n"
        for _ in range(chance.randrange(1, 12)):
            writer.stdout.readline()
        time.sleep(chance.uniform(0, 0.02))
        writer.kill()
        writer.communicate()
        cache = FeatureCache(tmp_path, max_bytes=LIMIT)
        found = cache.get("same")
        assert found is not None
        assert written(found)
        seen.add(found)
        assert cache.verify().sound
        assert cache.stats().bytes == on_disk(cache)
        cache.trim()  # a writer that dies between writing and making room leaves that to the next one
        assert_sound(cache)
        assert cache.get_or_compute("same", lambda: b"") == found
        cache.close()
    assert len(seen) > 5  # writers got different distances


DOWNLOAD = """
import sys, time
from farthing.cache import ModelCache
data = open(sys.argv[2], "rb").read()
def source(offset):
    print(offset, flush=True)
    for at in range(offset, len(data), 100_000):
        yield data[at : at + 100_000]
        time.sleep(0.02)
print(ModelCache(sys.argv[1]).fetch("m", source, sha256=sys.argv[3]), flush=True)
"""


def test_a_download_that_is_killed_goes_on_where_it_was(tmp_path):
    import hashlib

    data = os.urandom(9_000_000)
    (tmp_path / "remote").write_bytes(data)
    arguments = (tmp_path / "cache", tmp_path / "remote", hashlib.sha256(data).hexdigest())
    offsets = []
    for _ in range(3):
        download = start(DOWNLOAD, *arguments)
        offsets.append(int(download.stdout.readline()))
        time.sleep(0.15)
        download.kill()
        download.communicate()
    last = ended(start(DOWNLOAD, *arguments)).split()
    offsets.append(int(last[0]))
    assert offsets[0] == 0
    assert offsets == sorted(set(offsets))
    assert Path(last[1]).read_bytes() == data
    with ModelCache(tmp_path / "cache") as models:
        assert models.verify().sound
        assert models.stats().bytes == on_disk(models)


def test_processes_that_fetch_at_once_download_once(tmp_path):
    import hashlib

    data = os.urandom(1_000_000)
    (tmp_path / "remote").write_bytes(data)
    fetching = [
        start(DOWNLOAD, tmp_path / "cache", tmp_path / "remote", hashlib.sha256(data).hexdigest()) for _ in range(4)
    ]
    said = [ended(process).split() for process in fetching]
    assert sorted(len(lines) for lines in said) == [1, 1, 1, 2]  # one said an offset, all said the path
    assert len({lines[-1] for lines in said}) == 1


@pytest.mark.parametrize("count", [3])
def test_what_one_process_reads_stays_readable_while_others_push_it_out(tmp_path, count):
    cache = FeatureCache(tmp_path, max_bytes=LIMIT)
    writers = [start(WRITE, tmp_path, LIMIT) for _ in range(count)]  # two seconds of turns fit into a pipe
    try:
        for process in writers:
            assert process.stdout.readline() == "ready\n"
        end = time.time() + 2
        found = 0
        while time.time() < end:
            value = cache.get("same")
            assert value is None or written(value)
            found += value is not None
        assert found > 100
    finally:
        for process in writers:
            process.kill()
            process.communicate()
    assert_sound(FeatureCache(tmp_path, max_bytes=LIMIT))
