"""``farthing cache features`` and ``farthing cache models``: the caches of pipelines of your own.

Their folders stand in ``--folder``, else in ``FARTHING_FEATURES`` and ``FARTHING_MODELS``, else where the Python API
puts them that is told nothing. What removes something says what it would remove, until ``--apply`` is said.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from farthing.cli._output import OK, THRESHOLD, Column, Out
from farthing.core.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from farthing.cache.files.features import FeatureCache
    from farthing.cache.files.hub import Bad, Revision
    from farthing.cache.files.index import Row
    from farthing.cache.files.inspection import Findings
    from farthing.cache.files.models import ModelCache
    from farthing.cache.files.tally import Stats

features_app = App(name="features", help="See, check and empty a folder of computed features.")
models_app = App(name="models", help="See, fill, check and empty a folder of model files.")

FeaturesFolder = Annotated[Path | None, Parameter(name="--folder", env_var="FARTHING_FEATURES")]
ModelsFolder = Annotated[Path | None, Parameter(name="--folder", env_var="FARTHING_MODELS")]

_SPAN = re.compile(r"(?P<count>\d+)(?P<unit>[smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SIZE = re.compile(r"(?P<count>\d+)\s*(?P<unit>[KMGT]?)(i?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_UNLIMITED = 2**62
"""How much a folder may hold is up to the pipelines that fill it: a command removes what it is told to, and no more."""
_REVISION = re.compile(r"(?P<kind>model|dataset|space):(?P<repo>[^@]+)@(?P<revision>.+)")


@features_app.command(name="list")
def list_features(prefix: str = "", *, limit: int = 50, folder: FeaturesFolder = None, out: Out) -> None:
    """List keys, most used first.

    Args:
        prefix: Only keys that begin with this, such as a function's name.
        limit: How many at most.
        folder: The cache's folder.
        out: Where the list goes.
    """
    with _features(folder) as cache:
        rows = [_feature_row(row) for row in cache.list(prefix, limit=limit)]
        columns = ["key", Column("size", "bytes"), "uses", "written", "used"]
        out.table(columns, rows, total=_total(rows, "key"), empty="No features.")


@features_app.command(name="show")
def show_feature(key: str, *, folder: FeaturesFolder = None, out: Out) -> None:
    """Show what is known about a key.

    Args:
        key: The key, as the list shows it.
        folder: The cache's folder.
        out: Where the answer goes.
    """
    with _features(folder) as cache:
        entry = cache.show(key)
        if entry is None:
            raise NotFoundError("key", key, known=[row.key for row in cache.list()])
        facts = {"key": entry.key, "sha256": entry.blob.hex(), "bytes": entry.size, "kind": entry.codec}
        out.record({**facts, "written": _at(entry.written), "seconds": entry.seconds})


@features_app.command(name="purge")
def purge_features(
    *keys: str,
    prefix: str = "",
    expired: bool = False,
    everything: Annotated[bool, Parameter(name="--all")] = False,
    ttl: str = "24h",
    apply: bool = False,
    folder: FeaturesFolder = None,
    out: Out,
) -> None:
    """Remove keys. Says what it would remove, until --apply is said.

    Args:
        keys: Keys to remove.
        prefix: All keys that begin with this.
        expired: All keys that were written longer ago than --ttl.
        everything: All keys.
        ttl: How long values are fresh: 24h, 7d.
        apply: Remove them.
        folder: The cache's folder.
        out: Where the list of what is removed goes.
    """
    _one_of(keys=keys, prefix=prefix, expired=expired, everything=everything)
    with _features(folder, ttl=_seconds(ttl)) as cache:
        rows = cache.expired() if expired else cache.list(prefix)
        chosen = [row for row in rows if row.key in keys] if keys else list(rows)
        _known(keys, [row.key for row in rows], "key")
        shown = [_feature_row(row) for row in chosen]
        out.table(["key", Column("size", "bytes"), "uses", "written"], shown, total=_total(shown, "key"))
        if apply:
            out.note(f"{cache.remove(*(row.key for row in chosen)):,} bytes on disk are free now.")
        elif chosen:
            out.next("the same command with --apply", "remove them")


@features_app.command(name="verify")
def verify_features(*, repair: bool = False, folder: FeaturesFolder = None, out: Out) -> int:
    """Read all values and compare them with their checksums. Exit code 1 if something is wrong.

    Args:
        repair: Remove what is damaged, and put the index right.
        folder: The cache's folder.
        out: Where the findings go.
    """
    with _features(folder) as cache:
        return _told(cache.verify(repair=repair), [], out, repair=repair)


@features_app.command(name="stats")
def stats_of_features(*, folder: FeaturesFolder = None, out: Out) -> None:
    """Show hits, misses, and what was saved.

    Args:
        folder: The cache's folder.
        out: Where the figures go.
    """
    with _features(folder) as cache:
        out.record(_figures(cache.stats()))


@models_app.command(name="list")
def list_models(prefix: str = "", *, folder: ModelsFolder = None, out: Out) -> None:
    """List files, and revisions downloaded in the layout of the Hugging Face Hub, last used first.

    Args:
        prefix: Only names that begin with this.
        folder: The cache's folder.
        out: Where the list goes.
    """
    with _models(folder) as cache:
        found = [*cache.list(prefix), *(one for one in cache.hub().revisions() if one.name.startswith(prefix))]
        rows = [_model_row(one, cache) for one in sorted(found, key=lambda one: one.used, reverse=True)]
        columns = ["name", Column("size", "bytes"), "used", "refs", "pinned"]
        out.table(columns, rows, total=_total(rows, "name"), empty="No model files.")
        if not rows:
            out.next("farthing cache models add org/model.gguf ./model.gguf", "the first one")


@models_app.command
def add(
    name: str, source: Path, *, sha256: str = "", link: bool = False, folder: ModelsFolder = None, out: Out
) -> None:
    """Keep a file under a name, and print the path it has from now on.

    Args:
        name: A relative path such as org/model.gguf.
        source: The file.
        sha256: Refuse it if this is not its SHA-256.
        link: Make a hard link, which leaves the original read-only, instead of a copy.
        folder: The cache's folder.
        out: Where the path goes.
    """
    with _models(folder, make=True) as cache:
        _tell_path(cache.fetch(name, source, sha256=sha256, link=link), name, out)


@models_app.command(name="path")
def path_of(name: str, *, folder: ModelsFolder = None, out: Out) -> None:
    """Print the path of a file or of a revision's folder: a use of it.

    Args:
        name: The file's name, or a revision such as model:org/name@main.
        folder: The cache's folder.
        out: Where the path goes.
    """
    with _models(folder) as cache:
        revision = _revision(name, cache)
        _tell_path(cache.path(name) if revision is None else revision.folder, name, out)


@models_app.command(name="purge")
def purge_models(
    *names: str,
    expired: bool = False,
    everything: Annotated[bool, Parameter(name="--all")] = False,
    to: str = "",
    ttl: str = "7d",
    apply: bool = False,
    folder: ModelsFolder = None,
    out: Out,
) -> None:
    """Remove files and revisions that nobody holds. Says what it would remove, until --apply is said.

    Args:
        names: Files, and revisions such as model:org/name@main.
        expired: All that was last used longer ago than --ttl.
        everything: All there is.
        to: As much as it takes to come down to this size, such as 50G; what was not used for the longest time first.
        ttl: How long unused files stay: 7d, 24h.
        apply: Remove them.
        folder: The cache's folder.
        out: Where the list of what is removed goes.
    """
    _one_of(names=names, expired=expired, everything=everything, to=to)
    with _models(folder, ttl=_seconds(ttl)) as cache:
        chosen = cache.expired() if expired else _chosen(names, to, cache)
        chosen = [one for one in chosen if not _held(one, cache)]
        rows = [_model_row(one, cache) for one in chosen]
        out.table(["name", Column("size", "bytes"), "used", "refs"], rows, total=_total(rows, "name"))
        if apply:
            before = cache.stats().bytes
            for one in chosen:
                _remove(one, cache)
            out.note(f"{before - cache.stats().bytes:,} bytes on disk are free now.")
        elif chosen:
            out.next("the same command with --apply", "remove them")


@models_app.command(name="verify")
def verify_models(*, repair: bool = False, folder: ModelsFolder = None, out: Out) -> int:
    """Read all files and compare them with their checksums. Exit code 1 if something is wrong.

    Args:
        repair: Remove what is damaged, and put the index right.
        folder: The cache's folder.
        out: Where the findings go.
    """
    with _models(folder) as cache:
        return _told(cache.verify(repair=repair), cache.hub().verify(repair=repair), out, repair=repair)


@models_app.command(name="stats")
def stats_of_models(*, folder: ModelsFolder = None, out: Out) -> None:
    """Show hits, misses, and what was saved.

    Args:
        folder: The cache's folder.
        out: Where the figures go.
    """
    with _models(folder) as cache:
        out.record(_figures(cache.stats()))
        out.next(f"export HF_HUB_CACHE={cache.hub().folder}", "let Hugging Face libraries download here")


def _features(folder: Path | None, *, ttl: float = 0) -> "FeatureCache":
    from farthing.cache import FeatureCache
    from farthing.cache.files import defaults

    return FeatureCache(
        _there(folder or defaults.folder("features"), "FARTHING_FEATURES"), ttl=ttl, max_bytes=_UNLIMITED
    )


def _models(folder: Path | None, *, ttl: float = 0, make: bool = False) -> "ModelCache":
    from farthing.cache import ModelCache
    from farthing.cache.files import defaults

    where = folder or defaults.folder("models")
    return ModelCache(where if make else _there(where, "FARTHING_MODELS"), ttl=ttl, max_bytes=_UNLIMITED)


def _there(folder: Path, variable: str) -> Path:
    """Looking does not make folders."""
    if not folder.is_dir():
        raise NotFoundError("cache folder", str(folder), remedy=f"Name it with --folder, or in {variable}")
    return folder


def _one_of(**said: object) -> None:
    if sum(bool(value) for value in said.values()) != 1:
        raise InputError(
            "say exactly one of what is to be removed", field="purge", value=[name for name, on in said.items() if on],
            remedy="Name things, or say --expired, --all and so on",
        )  # fmt: skip


def _known(names: Sequence[str], known: Sequence[str], kind: str) -> None:
    for name in names:
        if name not in known:
            raise NotFoundError(kind, name, known=known)


def _chosen(names: Sequence[str], to: str, cache: "ModelCache") -> "list[Row | Revision]":
    """What is to leave by name, or to come down to a size; without either all there is."""
    here = [*cache.list(), *cache.hub().revisions()]
    if names:
        revisions = {name: one for name in names if (one := _revision(name, cache)) is not None}
        _known([name for name in names if name not in revisions], [_name(one) for one in here], "model file")
        return [*revisions.values(), *(one for one in here if _name(one) in names and one not in revisions.values())]
    excess = cache.stats().bytes - _bytes(to) if to else None
    chosen: list[Row | Revision] = []
    for one in sorted(here, key=lambda one: one.used):
        if excess is not None and excess <= 0:
            break
        if not _held(one, cache):
            chosen.append(one)
            excess = None if excess is None else excess - one.size
    return chosen


def _revision(name: str, cache: "ModelCache") -> "Revision | None":
    said = _REVISION.fullmatch(name)
    if said is None:
        return None
    kind = said["kind"]
    named = "model" if kind == "model" else "dataset" if kind == "dataset" else "space"
    return cache.hub().find(said["repo"], said["revision"], kind=named)


def _remove(one: "Row | Revision", cache: "ModelCache") -> None:
    from farthing.cache.files.hub import Revision

    if isinstance(one, Revision):
        cache.hub().remove(one)
    else:
        cache.remove(one.key)


def _held(one: "Row | Revision", cache: "ModelCache") -> bool:
    from farthing.cache.files.hub import Revision

    return cache.hub().is_pinned(one) if isinstance(one, Revision) else cache.is_pinned(one.key)


def _name(one: "Row | Revision") -> str:
    from farthing.cache.files.hub import Revision

    return one.name if isinstance(one, Revision) else one.key


def _feature_row(row: "Row") -> dict[str, Any]:
    times = {"written": _at(row.written), "used": _at(row.used)}
    return {"key": row.key, "size": row.size, "uses": row.uses, **times}


def _model_row(one: "Row | Revision", cache: "ModelCache") -> dict[str, Any]:
    refs = list(getattr(one, "refs", ()))
    return {"name": _name(one), "size": one.size, "used": _at(one.used), "refs": refs, "pinned": _held(one, cache)}


def _total(rows: Sequence[dict[str, Any]], label: str) -> dict[str, Any]:
    return {label: f"{len(rows):,} listed", "size": sum(row["size"] for row in rows)}


def _figures(stats: "Stats") -> dict[str, Any]:
    rate = None if stats.hit_rate is None else f"{stats.hit_rate:.1%}"
    done = {"hits": stats.hits, "misses": stats.misses, "hit_rate": rate}
    lost = {"evictions": stats.evictions, "expired": stats.expired, "damaged": stats.damaged, "unkept": stats.unkept}
    saved = {"saved_bytes": stats.saved_bytes, "saved_seconds": stats.saved_seconds}
    return {"entries": stats.entries, "bytes": stats.bytes, **done, **lost, **saved}


def _told(found: "Findings", bad: "Sequence[Bad]", out: Out, *, repair: bool) -> int:
    """What a check found; the exit code."""
    rows = [{"what": key, "problem": "its value is not what was written"} for key in found.damaged]
    rows += [{"what": key, "problem": "its files are missing"} for key in found.missing]
    rows += [{"what": str(one.path), "problem": one.problem} for one in bad]
    if found.unknown:
        rows.append({"what": f"{found.unknown} files", "problem": "the index does not know them"})
    about = {"checked": found.checked, "bytes": found.bytes}
    out.table(["what", "problem"], rows, about=about, empty=f"{found.checked:,} values are what was written.")
    if rows and not repair:
        out.next("the same command with --repair", "remove what is damaged, and put the index right")
    return THRESHOLD if rows else OK


def _tell_path(path: Path, name: str, out: Out) -> None:
    if out.format in ("table", "md"):
        out.text(str(path))
    else:
        out.record({"name": name, "path": str(path)})


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(text: str) -> float:
    said = _SPAN.fullmatch(text)
    if said is None:
        raise InputError("not a span of time", field="--ttl", value=text, remedy="Write 24h or 7d")
    return float(int(said["count"]) * _SECONDS[said["unit"]])


def _bytes(text: str) -> int:
    said = _SIZE.fullmatch(text)
    if said is None:
        raise InputError("not a size", field="--to", value=text, remedy="Write 50G or 800M")
    return int(said["count"]) * _UNITS[said["unit"].upper()]
