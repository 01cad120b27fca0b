"""Downloads in the layout of the Hugging Face Hub, read by the real library, offline."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from farthing.cache import ModelCache
from farthing.core.errors import InputError, NotFoundError

hf = pytest.importorskip("huggingface_hub")

MIB = 1024 * 1024
DAY = 86400
ONE, TWO = "1" * 40, "2" * 40


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def models(tmp_path, clock):
    with ModelCache(tmp_path / "models", clock=clock) as cache:
        yield cache


@pytest.fixture
def source(tmp_path):
    """Makes source files by content."""

    def make(content: bytes) -> Path:
        path = tmp_path / hashlib.sha256(content).hexdigest()
        path.write_bytes(content)
        return path

    return make


def add(models, source, repo="org/tiny", commit=ONE, config=b"{}", weights=b"w" * 1000, **more):
    files = {"config.json": source(config), "model.safetensors": source(weights)}
    return models.hub().add(repo, commit, files, **more)


def age(revision, seconds):
    """Let a revision be as old as if nobody had touched it since."""
    at = time.time() - seconds
    for path in [*revision.files.values(), revision.folder]:
        os.utime(path, (at, at))


def scan(models):
    found = hf.scan_cache_dir(models.hub().folder)
    assert found.warnings == []
    return {(repo.repo_id, revision.commit_hash) for repo in found.repos for revision in repo.revisions}


# what the library sees --------------------------------------------------------------------------------------------


def test_the_library_reads_what_was_added(models, source):
    add(models, source, config=b'{"a": 1}')
    add(models, source, repo="single", config=b"other")
    add(models, source, repo="org/data", kind="dataset")
    folder = models.hub().folder
    config = hf.hf_hub_download("org/tiny", "config.json", cache_dir=folder, local_files_only=True)
    assert Path(config).read_bytes() == b'{"a": 1}'
    assert (
        hf.hf_hub_download("org/tiny", "config.json", revision=ONE, cache_dir=folder, local_files_only=True) == config
    )
    assert hf.try_to_load_from_cache("org/tiny", "model.safetensors", cache_dir=folder) is not None
    assert hf.try_to_load_from_cache("org/tiny", "missing.json", cache_dir=folder) is None
    assert (
        Path(hf.snapshot_download("single", cache_dir=folder, local_files_only=True), "config.json").read_bytes()
        == b"other"
    )
    assert hf.hf_hub_download("org/data", "config.json", repo_type="dataset", cache_dir=folder, local_files_only=True)
    assert scan(models) == {("org/tiny", ONE), ("single", ONE), ("org/data", ONE)}


def test_hf_home_is_the_folder_of_the_cache(models, source):
    add(models, source)
    script = "import huggingface_hub as h; print(h.hf_hub_download('org/tiny', 'config.json'))"
    env = {**os.environ, "HF_HOME": str(models.folder), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(models.folder)


def test_names_are_those_the_library_gives(models, source):
    revision = add(models, source, config=b"hello\n", weights=b"abc")
    assert revision.files["config.json"].name == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    assert revision.files["model.safetensors"].name == hashlib.sha256(b"abc").hexdigest()


def test_what_is_here_is_understood(models, source):
    add(models, source, ref="refs/pr/1")
    add(models, source, commit=TWO, config=b"newer")
    hub = models.hub()
    assert {(one.repo, one.commit, one.refs) for one in hub.revisions()} == {
        ("org/tiny", ONE, ("refs/pr/1",)),
        ("org/tiny", TWO, ("main",)),
    }
    assert hub.find("org/tiny").commit == TWO
    assert hub.find("org/tiny", "refs/pr/1").commit == ONE
    assert hub.path("org/tiny", "config.json").read_bytes() == b"newer"
    assert hub.path("org/tiny", "config.json", ONE).read_bytes() == b"{}"
    with pytest.raises(NotFoundError, match="main"):
        hub.find("org/tyny")
    with pytest.raises(NotFoundError, match=r"config\.json"):
        hub.path("org/tiny", "config.jsn")


def test_an_empty_folder_and_strangers_in_it_are_no_revisions(models, tmp_path):
    assert models.hub().revisions() == []
    assert models.hub().verify() == []
    (models.hub().folder / "version.txt").parent.mkdir()
    (models.hub().folder / "version.txt").write_text("1")
    (models.hub().folder / "models--half--there").mkdir()
    assert models.hub().revisions() == []


def test_sizes_are_the_librarys_and_count_each_content_once(models, source):
    add(models, source)
    add(models, source, commit=TWO, config=b"newer")
    found = hf.scan_cache_dir(models.hub().folder)
    assert found.size_on_disk == 1000 + 2 + 5
    blobs = list(models.hub().folder.glob("*/blobs/*"))
    assert models.hub().bytes() == sum(path.stat().st_blocks * 512 for path in blobs)
    assert models.stats().bytes == models.hub().bytes()


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("repo", "../up"),
        ("repo", "a/b/c"),
        ("commit", "main"),
        ("ref", "../x"),
        ("name", "../x"),
        ("name", "/etc/x"),
        ("name", "a//b"),
    ],
)
def test_names_that_would_leave_the_folder_are_refused(models, source, field, wrong):
    said = {"repo": "org/tiny", "commit": ONE, "ref": "main", "name": "config.json"} | {field: wrong}
    with pytest.raises(InputError):
        models.hub().add(said["repo"], said["commit"], {said["name"]: source(b"x")}, ref=said["ref"])
    assert not models.hub().folder.exists()


# leaving ----------------------------------------------------------------------------------------------------------


def test_a_revision_leaves_as_a_whole_and_shared_contents_stay(models, source):
    old = add(models, source)
    new = add(models, source, commit=TWO, config=b"newer")
    assert models.hub().remove(old)
    assert scan(models) == {("org/tiny", TWO)}
    assert new.files["model.safetensors"].exists()
    assert not old.files["config.json"].exists()
    assert models.hub().remove(models.hub().find("org/tiny"))
    assert scan(models) == set()
    assert models.hub().bytes() == 0


def test_the_reference_leaves_with_its_revision(models, source):
    add(models, source)
    new = add(models, source, commit=TWO, config=b"newer")
    models.hub().remove(new)
    assert scan(models) == {("org/tiny", ONE)}
    assert hf.try_to_load_from_cache("org/tiny", "config.json", cache_dir=models.hub().folder) is None
    assert hf.try_to_load_from_cache("org/tiny", "config.json", revision=ONE, cache_dir=models.hub().folder)


def test_revisions_expire_by_their_last_use(models, source, clock):
    age(add(models, source), 8 * DAY)
    age(add(models, source, repo="org/used"), 8 * DAY)
    models.hub().path("org/used", "config.json")
    assert [one.repo for one in models.expired()] == ["org/tiny"]
    models.trim()
    assert scan(models) == {("org/used", ONE)}
    assert models.stats().evictions == 1


def test_files_and_revisions_share_one_limit_and_the_oldest_of_both_leaves(tmp_path, source, clock):
    models = ModelCache(tmp_path / "m", max_bytes=MIB, clock=clock)
    age(add(models, source, repo="org/older", weights=os.urandom(300_000)), 3 * DAY)
    age(add(models, source, repo="org/newer", weights=os.urandom(300_000)), 1 * DAY)
    clock.now -= 2 * DAY
    models.fetch("between", lambda: [os.urandom(300_000)])
    clock.now += 2 * DAY
    models.fetch("new", lambda: [os.urandom(300_000)])
    assert [one.repo for one in models.hub().revisions()] == ["org/newer"]
    assert [row.key for row in models.list()] == ["new", "between"]
    clock.now += 1
    models.fetch("newest", lambda: [os.urandom(300_000)])
    assert [row.key for row in models.list()] == ["newest", "new"]
    assert [one.repo for one in models.hub().revisions()] == ["org/newer"]
    assert models.stats().bytes <= MIB


def test_a_pinned_revision_stays(models, source, clock):
    revision = add(models, source)
    age(revision, 8 * DAY)
    with models.hub().pinned("org/tiny") as folder:
        clock.now += 30 * DAY
        assert (folder / "config.json").read_bytes() == b"{}"
        models.trim()
        assert not models.hub().remove(revision)
        assert models.hub().is_pinned(revision)
    assert not models.hub().is_pinned(revision)
    clock.now += 30 * DAY
    models.trim()
    assert models.hub().revisions() == []


def test_what_is_being_downloaded_stays(models, source):
    revision = add(models, source)
    age(revision, 8 * DAY)
    lock = models.hub().folder / ".locks" / "models--org--tiny" / "abc.lock"
    lock.parent.mkdir(parents=True)
    with hf.utils.WeakFileLock(lock):
        assert not models.hub().remove(revision)
    assert models.hub().remove(revision)


def test_downloads_that_stopped_leave_when_nobody_comes_back(models, source, clock):
    add(models, source)
    part = models.hub().folder / "models--org--tiny" / "blobs" / ("e" * 64 + ".incomplete")
    part.write_bytes(bytes(50_000))
    assert models.stats().bytes > 50_000
    models.trim()
    assert part.exists()
    clock.now += 8 * DAY
    models.hub().path("org/tiny", "config.json")
    models.trim()
    assert not part.exists()
    assert scan(models) == {("org/tiny", ONE)}


def test_contents_that_repositories_share_leave_with_the_last_one(models, source):
    hub, content = models.hub(), b"s" * 5000
    revisions = [add(models, source, repo=f"org/{name}", weights=content) for name in "ab"]
    store = hub.folder / "blobs" / "cd" / ("cd" * 32)
    store.parent.mkdir(parents=True)
    (hub.folder / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    revisions[0].files["model.safetensors"].rename(store)
    manifest = store.with_name(store.name + ".refs")
    manifest.write_text("".join(f"models--org--{name}/blobs/{hashlib.sha256(content).hexdigest()}\n" for name in "ab"))
    for revision in revisions:
        blob = revision.files["model.safetensors"]
        blob.unlink(missing_ok=True)
        blob.symlink_to(os.path.relpath(store, blob.parent))
    assert hf.scan_cache_dir(hub.folder).size_on_disk == 5000 + 2 * 2
    assert hub.verify() == []
    assert hub.remove(hub.find("org/a"))
    assert hub.path("org/b", "model.safetensors").read_bytes() == content
    assert hub.remove(hub.find("org/b"))
    assert not store.exists()
    assert not manifest.exists()
    assert scan(models) == set()


# verification -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damaged_contents_of_both_kinds_are_found_and_repaired(models, source, name):
    revision = add(models, source)
    blob = revision.files[name]
    blob.write_bytes(b"X" + blob.read_bytes()[1:])
    (bad,) = models.hub().verify()
    assert (bad.path, bad.revisions) == (blob, (ONE,))
    models.hub().verify(repair=True)
    assert models.hub().verify() == []
    assert hf.try_to_load_from_cache("org/tiny", name, cache_dir=models.hub().folder) is None
    other = ({"config.json", "model.safetensors"} - {name}).pop()
    assert hf.try_to_load_from_cache("org/tiny", other, cache_dir=models.hub().folder)
    assert len(scan(models)) == 1


def test_links_that_lead_nowhere_are_found_and_repaired(models, source):
    revision = add(models, source)
    revision.files["config.json"].unlink()
    assert hf.scan_cache_dir(models.hub().folder).warnings
    (bad,) = models.hub().verify(repair=True)
    assert bad.problem == "missing"
    assert scan(models) == {("org/tiny", ONE)}


def test_checking_is_no_use(models, source):
    revision = add(models, source)
    age(revision, 8 * DAY)
    used = models.hub().find("org/tiny").used
    models.hub().verify()
    assert models.hub().find("org/tiny").used == used
