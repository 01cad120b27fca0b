"""``farthing cache features`` and ``farthing cache models``."""

import io
import json
import os
from pathlib import Path

import pytest

from farthing.cache import FeatureCache, ModelCache
from farthing.cli import _call
from farthing.cli._cache_files import features_app, models_app
from farthing.cli._output import OK, THRESHOLD, Output
from farthing.core.errors import InputError, NotFoundError


def run(app, *tokens, format="json"):
    """The exit code, what was said on stdout, and on stderr."""
    stdout, stderr = io.StringIO(), io.StringIO()
    command, bound, wanted = app.parse_args([str(token) for token in tokens], exit_on_error=False, print_error=False)
    code = _call(command, bound, wanted, Output(format, stdout=stdout, stderr=stderr))
    text = stdout.getvalue()
    return code or OK, json.loads(text) if format == "json" and text else text, stderr.getvalue()


@pytest.fixture
def features(tmp_path):
    with FeatureCache(tmp_path / "features") as cache:
        for name in ("embed/a", "embed/b", "rank/a"):
            cache.put(name, name.encode())
        for _ in range(3):
            cache.get("rank/a")
    return tmp_path / "features"


@pytest.fixture
def models(tmp_path):
    (tmp_path / "source").write_bytes(b"weights")
    with ModelCache(tmp_path / "models") as cache:
        cache.fetch("org/m.gguf", tmp_path / "source")
        cache.hub().add("org/tiny", "a" * 40, {"config.json": tmp_path / "source"})
    return tmp_path / "models"


def keys(folder):
    return {row.key for row in FeatureCache(folder).list()}


def test_features_are_listed_most_used_first_with_a_sum(features):
    _, said, _ = run(features_app, "list", "--folder", features)
    assert said["rows"][0]["key"] == "rank/a"
    assert said["rows"][0]["uses"] == 3
    assert said["total"]["size"] == 7 + 7 + 6
    _, said, _ = run(features_app, "list", "embed/", "--folder", features)
    assert {row["key"] for row in said["rows"]} == {"embed/a", "embed/b"}


def test_the_folder_may_stand_in_the_environment(features, monkeypatch):
    monkeypatch.setenv("FARTHING_FEATURES", str(features))
    _, said, _ = run(features_app, "stats")
    assert (said["entries"], said["hits"], said["hit_rate"]) == (3, 3, "100.0%")


def test_looking_makes_no_folder(tmp_path):
    for app in (features_app, models_app):
        with pytest.raises(NotFoundError, match="--folder"):
            run(app, "list", "--folder", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_key_is_shown_and_a_typo_gets_a_hint(features):
    _, said, _ = run(features_app, "show", "embed/a", "--folder", features)
    assert (said["bytes"], said["kind"]) == (7, "bytes")
    with pytest.raises(NotFoundError, match="embed/a"):
        run(features_app, "show", "embd/a", "--folder", features)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (["embed/a"], {"embed/b", "rank/a"}),
        (["--prefix", "embed/"], {"rank/a"}),
        (["--all"], set()),
        (["--expired", "--ttl", "0s"], {"embed/a", "embed/b", "rank/a"}),
        (["--expired", "--ttl", "24h"], {"embed/a", "embed/b", "rank/a"}),
    ],
)
def test_purging_features_is_a_dry_run_until_told(features, said, left):
    _, would, talk = run(features_app, "purge", *said, "--folder", features)
    assert keys(features) == {"embed/a", "embed/b", "rank/a"}
    assert ("--apply" in talk) == bool(would["rows"])
    assert {row["key"] for row in would["rows"]} == keys(features) - left
    run(features_app, "purge", *said, "--apply", "--folder", features)
    assert keys(features) == left


def test_expired_features_are_purged(features):
    for path in (features / "entries").rglob("*"):
        os.utime(path, (1, 1))
    cache = FeatureCache(features, clock=lambda: 1.0)
    cache.put("old", b"1")
    cache.close()
    _, would, _ = run(features_app, "purge", "--expired", "--folder", features)
    assert [row["key"] for row in would["rows"]] == ["old"]
    run(features_app, "purge", "--expired", "--apply", "--folder", features)
    assert keys(features) == {"embed/a", "embed/b", "rank/a"}


@pytest.mark.parametrize("said", [[], ["embed/a", "--all"], ["--expired", "--prefix", "x"]])
def test_purging_wants_exactly_one_reason(features, said):
    with pytest.raises(InputError, match="exactly one"):
        run(features_app, "purge", *said, "--folder", features)


def test_purging_what_is_not_there_removes_nothing(features):
    with pytest.raises(NotFoundError, match="embed/a"):
        run(features_app, "purge", "embed/aa", "rank/a", "--apply", "--folder", features)
    assert len(keys(features)) == 3


def test_verify_says_what_is_damaged_by_its_exit_code(features):
    assert run(features_app, "verify", "--folder", features)[:2] == (OK, {"checked": 3, "bytes": 20, "rows": []})
    next(path for path in (features / "blobs").rglob("*/*") if path.read_bytes() == b"rank/a").write_bytes(b"x")
    code, said, talk = run(features_app, "verify", "--folder", features)
    assert code == THRESHOLD
    assert [row["what"] for row in said["rows"]] == ["rank/a"]
    assert "--repair" in talk
    assert run(features_app, "verify", "--repair", "--folder", features)[0] == THRESHOLD
    assert run(features_app, "verify", "--folder", features)[0] == OK
    assert keys(features) == {"embed/a", "embed/b"}


def test_models_and_revisions_are_one_list(models):
    _, said, _ = run(models_app, "list", "--folder", models)
    assert {row["name"] for row in said["rows"]} == {"org/m.gguf", f"model:org/tiny@{'a' * 40}"}
    assert said["total"]["size"] == 14
    assert "\n" in run(models_app, "list", "--folder", models, format="table")[1]


def test_a_model_is_added_and_its_path_printed_bare(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"weights")
    _, path, _ = run(models_app, "add", "org/m.gguf", tmp_path / "m.gguf", "--folder", tmp_path / "new", format="table")
    assert Path(path.strip()).read_bytes() == b"weights"
    assert run(models_app, "path", "org/m.gguf", "--folder", tmp_path / "new", format="table")[1] == path
    with pytest.raises(InputError, match="expected"):
        run(models_app, "add", "other", tmp_path / "m.gguf", "--sha256", "0" * 64, "--folder", tmp_path / "new")


def test_the_path_of_a_revision_is_its_folder(models):
    _, said, _ = run(models_app, "path", "model:org/tiny@main", "--folder", models)
    assert [file.name for file in Path(said["path"]).iterdir()] == ["config.json"]
    with pytest.raises(NotFoundError):
        run(models_app, "path", "model:org/other@main", "--folder", models)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (["org/m.gguf"], 1),
        (["model:org/tiny@main"], 1),
        (["org/m.gguf", "model:org/tiny@main"], 0),
        (["--all"], 0),
        (["--to", "1G"], 2),
        (["--to", "0"], 0),
        (["--expired"], 2),
    ],
)
def test_purging_models_is_a_dry_run_until_told(models, said, left):
    _, would, _ = run(models_app, "purge", *said, "--folder", models)
    assert len(would["rows"]) == 2 - left
    assert len(run(models_app, "list", "--folder", models)[1]["rows"]) == 2
    run(models_app, "purge", *said, "--apply", "--folder", models)
    assert len(run(models_app, "list", "--folder", models)[1]["rows"]) == left


def test_what_is_pinned_is_not_purged(models):
    with ModelCache(models).pinned("org/m.gguf"):
        run(models_app, "purge", "--all", "--apply", "--folder", models)
        _, said, _ = run(models_app, "list", "--folder", models)
        assert [(row["name"], row["pinned"]) for row in said["rows"]] == [("org/m.gguf", True)]


def test_verifying_models_reads_the_hub_too(models):
    assert run(models_app, "verify", "--folder", models)[0] == OK
    (blob,) = (models / "hub").glob("*/blobs/*")
    blob.write_bytes(b"rotten")
    code, said, _ = run(models_app, "verify", "--repair", "--folder", models)
    assert code == THRESHOLD
    assert said["rows"][0]["what"] == str(blob)
    assert run(models_app, "verify", "--folder", models)[0] == OK


@pytest.mark.parametrize(("option", "value"), [("--ttl", "soon"), ("--to", "much")])
def test_spans_and_sizes_are_read_strictly(models, option, value):
    with pytest.raises(InputError, match=option):
        run(models_app, "purge", *(["--expired"] if option == "--ttl" else []), option, value, "--folder", models)
