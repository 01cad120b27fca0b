"""The cache of model files, through its public door: fetching, resuming, pinning, leaving."""

import hashlib
import io
import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from farthing.cache import ModelCache
from farthing.core.errors import InputError, NotFoundError

MIB = 1024 * 1024
DAY = 86400


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class BrokenError(Exception):
    """The connection broke."""


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def models(tmp_path, clock):
    with ModelCache(tmp_path / "models", clock=clock) as cache:
        yield cache


def model(size=100_000):
    data = os.urandom(size)
    return data, hashlib.sha256(data).hexdigest()


def never(*_):
    pytest.fail("downloaded again")


# where files come from --------------------------------------------------------------------------------------------


def test_a_file_is_brought_once_read_only_and_under_its_name(models, tmp_path):
    data, digest = model()
    (tmp_path / "source").write_bytes(data)
    path = models.fetch("org/model.gguf", tmp_path / "source", sha256=digest)
    assert path.read_bytes() == data
    assert path.parts[-2:] == ("org", "model.gguf")
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert models.fetch("org/model.gguf", never) == models.path("org/model.gguf") == path
    stats = models.stats()
    assert (stats.hits, stats.misses, stats.saved_bytes) == (2, 1, 200_000)


def body(data):
    return {
        "path": lambda folder: _written(folder / "source", data),
        "text": lambda folder: str(_written(folder / "source", data)),
        "open file": lambda _: io.BytesIO(data),
        "chunks": lambda _: lambda: [data[:10], b"", data[10:]],
        "generator with an offset": lambda _: lambda offset: iter([data[offset:]]),
        "response": lambda _: lambda: io.BytesIO(data),
        "writer": lambda _: lambda offset, file: file.write(data[offset:]),
    }


def _written(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", sorted(body(b"")))
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
@pytest.mark.parametrize("expected", [True, False])
def test_every_kind_of_source_brings_the_same_bytes(models, tmp_path, kind, size, expected):
    data, digest = model(size)
    path = models.fetch("m.bin", body(data)[kind](tmp_path), sha256=digest if expected else "")
    assert path.read_bytes() == data
    assert models.verify().sound
    assert list((models.folder / "staging").iterdir()) == list((models.folder / "partial").iterdir()) == []


def test_a_source_of_too_many_arguments_and_a_path_to_nothing_are_refused(models, tmp_path):
    with pytest.raises(InputError, match="partial"):
        models.fetch("a", lambda offset, file, session: None)
    for source in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            models.fetch("a", source)
    assert models.list() == []


@pytest.mark.parametrize(
    "name", ["", "/abs", "../up", "a/../b", "a//b", "a/", ".", "a/.", "a\0", "a b", "x" * 300, "é"]
)
def test_names_that_are_no_relative_path_are_refused(models, name):
    for use in (lambda: models.fetch(name, never), lambda: models.path(name), lambda: models.pinned(name).__enter__()):
        with pytest.raises(InputError, match="name"):
            use()


def test_names_that_need_a_folder_where_a_file_is_are_refused_and_nothing_is_left(models):
    models.fetch("a", lambda: [b"1"])
    with pytest.raises(InputError, match="in the way"):
        models.fetch("a/b", lambda: [b"2"])
    assert [row.key for row in models.list()] == ["a"]
    models.remove("a")
    models.fetch("a/b", lambda: [b"2"])
    with pytest.raises(InputError, match="in the way"):
        models.fetch("a", lambda: [b"1"])
    models.remove("a/b")
    assert models.fetch("a", lambda: [b"1"]).read_bytes() == b"1"


def test_what_is_not_here_says_so_and_what_looks_like_it(models):
    models.fetch("org/model-7b", lambda: [b"1"])
    with pytest.raises(NotFoundError, match="org/model-7b"):
        models.path("org/model-7")


# checksums --------------------------------------------------------------------------------------------------------


def test_another_content_than_expected_is_refused_and_keeps_nothing(models):
    _, digest = model()
    for source in (lambda: [b"other"], lambda offset: [b"other"[offset:]]):
        with pytest.raises(InputError, match="not the file that was expected") as refused:
            models.fetch("m", source, sha256=digest)
        assert refused.value.value == hashlib.sha256(b"other").hexdigest()
    assert models.stats().bytes == 0
    with pytest.raises(InputError, match="64 hexadecimal"):
        models.fetch("m", never, sha256="abc")


def test_a_name_gets_another_content_when_another_digest_is_expected(models):
    (one, first), (two, second) = model(), model()
    path = models.fetch("m", lambda: [one], sha256=first)
    with path.open("rb") as file:
        assert models.fetch("m", lambda: [two], sha256=second).read_bytes() == two
        assert file.read() == one
    assert models.fetch("m", never).read_bytes() == two
    assert len(list((models.folder / "blobs").rglob("*/*"))) == 1


def test_content_that_is_here_under_another_name_is_not_brought_again(models):
    data, digest = model()
    one = models.fetch("a/model", lambda: [data], sha256=digest)
    two = models.fetch("b/model", never, sha256=digest)
    assert one.samefile(two)
    size = models.stats().bytes
    models.remove("a/model")
    assert not one.exists()
    assert two.read_bytes() == data
    assert models.stats().bytes == size - models._depot.layout.block


@pytest.mark.parametrize("careful", [True, False])
def test_a_file_that_somebody_wrote_to_is_brought_again(models, careful):
    data, _ = model()
    path = models.fetch("m", lambda: [data])
    path.chmod(0o644)
    times = path.stat()
    with path.open("r+b") as file:
        file.write(b"X" if careful else b"")
        file.truncate(len(data) if careful else 10)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    assert models.fetch("m", lambda: [data]).read_bytes() == data
    assert models.stats().damaged == 1


def test_a_file_that_was_only_touched_stays(models):
    path = models.fetch("m", lambda: [b"same"])
    os.utime(path, (1, 1))
    assert models.fetch("m", never).read_bytes() == b"same"
    assert models.stats().damaged == 0


def test_verify_reads_everything_and_repairs(models):
    for name in "ab":
        models.fetch(name, lambda name=name: [name.encode() * 1000])
    path = models.path("a")
    times = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"X" * 1000)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert models.verify().damaged == ("a",)
    models.verify(repair=True)
    assert [row.key for row in models.list()] == ["b"]
    assert not path.exists()


# stopping in the middle -------------------------------------------------------------------------------------------


def test_a_download_goes_on_where_it_stopped(models):
    data, digest = model()
    offsets = []

    def source(offset):
        offsets.append(offset)
        yield data[offset : offset + 30_000]
        if offset + 30_000 < len(data):
            raise BrokenError

    for _ in range(3):
        with pytest.raises(BrokenError):
            models.fetch("m", source, sha256=digest)
    assert models.fetch("m", source, sha256=digest).read_bytes() == data
    assert offsets == [0, 30_000, 60_000, 90_000]
    assert list((models.folder / "partial").iterdir()) == []


def test_half_a_download_counts_and_leaves_when_nobody_comes_back(models, clock):
    data, digest = model()

    def source(offset):
        yield data[:50_000]
        raise BrokenError

    with pytest.raises(BrokenError):
        models.fetch("m", source, sha256=digest)
    assert models.stats().bytes >= 50_000
    clock.now += 8 * DAY
    models.trim()
    assert models.stats().bytes == 0


def test_what_was_left_of_another_file_is_not_mixed_in(models):
    data, digest = model()
    offsets = []

    def source(offset):
        offsets.append(offset)
        yield data[offset:]

    (models.folder / "partial" / digest).write_bytes(b"of something else")
    assert models.fetch("m", source, sha256=digest).read_bytes() == data
    assert offsets == [17, 0]


def test_a_download_that_died_when_all_was_there_is_not_begun_again(models):
    data, digest = model()
    (models.folder / "partial" / digest).write_bytes(data)
    assert models.fetch("m", lambda offset: never(), sha256=digest).read_bytes() == data


def test_without_a_digest_or_an_offset_it_begins_anew(models):
    data, _ = model()
    offsets = []

    def source(offset):
        offsets.append(offset)
        yield data[offset:50_000]
        if len(offsets) == 1:
            raise BrokenError
        yield data[50_000:]

    with pytest.raises(BrokenError):
        models.fetch("m", source)
    assert models.fetch("m", source).read_bytes() == data
    assert offsets == [0, 0]


# links ------------------------------------------------------------------------------------------------------------


def test_a_link_takes_no_room_and_a_copy_is_independent(models, tmp_path):
    data, _ = model()
    for name in ("linked", "copied"):
        (tmp_path / name).write_bytes(name.encode() + data)
    assert models.fetch("linked", tmp_path / "linked", link=True).samefile(tmp_path / "linked")
    path = models.fetch("copied", tmp_path / "copied")
    assert not path.samefile(tmp_path / "copied")
    (tmp_path / "copied").write_bytes(b"changed")
    assert path.read_bytes() == b"copied" + data
    models.remove("linked")
    assert (tmp_path / "linked").read_bytes() == b"linked" + data


def test_where_there_are_no_hard_links_names_are_symbolic(models, monkeypatch, tmp_path):
    def refuse(*_args, **_kwargs):
        raise PermissionError(1, "no links here")

    (tmp_path / "source").write_bytes(b"data")
    monkeypatch.setattr(os, "link", refuse)
    path = models.fetch("deep/er/m", tmp_path / "source", link=True)
    assert path.is_symlink()
    assert path.read_bytes() == b"data"
    assert models.path("deep/er/m") == path
    models.remove("deep/er/m")
    assert not path.is_symlink()
    assert list((models.folder / "files").iterdir()) == []


def test_a_name_that_was_removed_by_hand_comes_back(models):
    path = models.fetch("m", lambda: [b"data"])
    path.unlink()
    assert models.path("m").read_bytes() == b"data"


def test_names_that_nobody_has_go_when_the_index_is_made_again(models):
    models.fetch("m", lambda: [b"data"])
    stray = models.folder / "files" / "stray" / "file"
    stray.parent.mkdir()
    stray.write_bytes(b"?")
    for path in models.folder.glob("index.db*"):
        path.unlink()
    assert [row.key for row in models.list()] == ["m"]
    assert not stray.parent.exists()
    assert models.path("m").exists()


# room, time and pins ----------------------------------------------------------------------------------------------


def fill(models, clock, *names, size=225_000):
    for name in names:
        clock.now += 1
        models.fetch(name, lambda: [os.urandom(size)])


def test_what_was_not_used_for_the_longest_time_leaves_first(tmp_path, clock):
    models = ModelCache(tmp_path, max_bytes=MIB, clock=clock)
    fill(models, clock, *"abcd")
    for name in "ba":
        clock.now += 1
        models.path(name)
    fill(models, clock, "e")
    assert [row.key for row in models.list()] == ["e", "a", "b", "d"]
    assert not (tmp_path / "files" / "c").exists()
    assert models.stats().bytes <= MIB


def test_files_expire_by_their_last_use(models, clock):
    fill(models, clock, "used", "unused", size=10)
    for _ in range(3):
        clock.now += 3 * DAY
        models.path("used")
    with pytest.raises(NotFoundError):
        models.path("unused")
    assert [row.key for row in models.expired()] == ["unused"]
    models.trim()
    assert [row.key for row in models.list()] == ["used"]


def test_last_uses_survive_the_loss_of_the_index(models, clock):
    fill(models, clock, "a", "b", size=10)
    clock.now += 60
    models.path("a")
    for path in models.folder.glob("index.db*"):
        path.unlink()
    assert [row.key for row in models.list()] == ["a", "b"]
    assert models.list()[0].used == pytest.approx(clock.now)


def test_what_is_pinned_neither_leaves_nor_expires(tmp_path, clock):
    models = ModelCache(tmp_path, max_bytes=MIB, clock=clock)
    fill(models, clock, "pinned")
    with models.pinned("pinned") as path, models.pinned("pinned"):
        fill(models, clock, *"abcdef")
        clock.now += 30 * DAY
        models.trim()
        assert [row.key for row in models.list()] == ["pinned"]
        assert models.path("pinned") == path
        assert models.is_pinned("pinned")
    assert not models.is_pinned("pinned")
    assert list((tmp_path / "pins").iterdir()) == []
    clock.now += 30 * DAY
    models.trim()
    assert models.list() == []


def test_more_is_pinned_than_there_is_room_for(tmp_path, clock):
    models = ModelCache(tmp_path, max_bytes=MIB, clock=clock)
    fill(models, clock, *"abcd")
    with models.pinned("a"), models.pinned("b"), models.pinned("c"), models.pinned("d"):
        fill(models, clock, "e")
        assert {row.key for row in models.list()} == set("abcde")
    models.trim()
    assert models.stats().bytes <= MIB


PIN = """
import sys, time
from farthing.cache import ModelCache
with ModelCache(sys.argv[1]).pinned("m"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_pins_until_it_is_killed(models, clock):
    fill(models, clock, "m")
    holder = subprocess.Popen([sys.executable, "-c", PIN, str(models.folder)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        clock.now += 30 * DAY
        models.trim()
        assert models.is_pinned("m")
        assert [row.key for row in models.list()] == ["m"]
    finally:
        holder.kill()
        holder.communicate()
    assert not models.is_pinned("m")
    clock.now += 30 * DAY
    models.trim()
    assert models.list() == []


def test_a_file_larger_than_the_cache_is_refused(tmp_path):
    models = ModelCache(tmp_path, max_bytes=MIB)
    models.fetch("small", lambda: [b"1"])
    with pytest.raises(InputError, match="larger than the whole cache"):
        models.fetch("large", lambda: [bytes(MIB)])
    assert [row.key for row in models.list()] == ["small"]


def test_threads_that_ask_at_once_bring_a_file_once(models):
    calls, paths = [], []

    def source():
        calls.append(1)
        time.sleep(0.05)
        return [b"data"]

    threads = [threading.Thread(target=lambda: paths.append(models.fetch("m", source))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(set(paths)) == 1
    assert len(paths) == 6
