"""``FeatureCache``: results of a pipeline's own computations, kept on disk and shared by its processes."""

import functools
import hashlib
import inspect
import os
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar, cast

from farthing.cache.files import codec as codecs
from farthing.cache.files import defaults
from farthing.cache.files.codec import Codec, Packed
from farthing.cache.files.depot import Depot, Rules
from farthing.cache.files.entry import Entry, identity
from farthing.cache.files.fingerprint import call_key, name_of
from farthing.cache.files.index import Policy, Row
from farthing.cache.files.inspection import Findings, inspect_depot
from farthing.cache.files.tally import Stats
from farthing.core.errors import InputError, UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

_MISSING = object()


class FeatureCache:
    """Values under keys, in a folder that any number of threads and processes may use at once.

    ``folder`` is made if it is missing; all who name the same one share what is in it. ``ttl`` is in seconds since a
    value was written, 0 for ever. ``max_bytes`` bounds what the values take on disk: beyond it the least often used
    leave first (``policy="lfu"``), or those not used for the longest time (``"lru"``). Each value is checked against
    its SHA-256 when it is read; a damaged one is removed and counts as missing. Values are bytes, numpy arrays, or
    what ``codec`` can hold: MessagePack, if you say nothing, and never pickle, because reading a pickle runs what it
    says.

    ::

        features = FeatureCache()

        @features.cached(version="1")
        def embed(text: str) -> list[float]: ...
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        ttl: float = defaults.DAY,
        max_bytes: int = 50 * defaults.GIB,
        policy: Policy = "lfu",
        codec: Codec | None = None,
        clock: defaults.Clock = defaults.wall_clock,
    ) -> None:
        where = defaults.folder("features") if folder is None else Path(folder)
        rules = Rules(ttl=ttl, expires="written", max_bytes=max_bytes, policy=policy)
        self._depot = Depot(where, rules, clock=clock)
        self._codec = codec or Packed()
        self._closing = weakref.finalize(self, Depot.close, self._depot)

    @property
    def folder(self) -> Path:
        """Where the values lie."""
        return self._depot.layout.folder

    def get(self, key: str, default: T | None = None) -> Any | T | None:
        """The value of a key, or ``default`` if there is none, or none that is fresh and undamaged."""
        found = self._lookup(key)
        if found is not _MISSING:
            return found
        self._depot.tally.count("misses")
        return default

    def put(self, key: str, value: Any) -> bool:
        """Keep a value, in the place of the one the key had; false if the whole cache is too small for it.

        Once this returns, the value survives a crash of the machine. Raises ``UnavailableError`` when the disk is
        full; then the key has what it had. Raises ``InputError`` for a value that the codec cannot hold, and for a
        key that is no text.
        """
        identity(key)  # refuses a key that is no text before anything is encoded
        name, data = codecs.encode(value, self._codec)
        return self._keep(key, name, data, seconds=0.0)

    def get_or_compute(self, key: str, make: Callable[[], Any]) -> Any:
        """The value of a key, made by ``make`` if there is none.

        Of all threads and processes that ask for a missing key at the same time one computes, the others wait for it;
        if it fails or dies, the next one computes. A disk that is full costs the reuse, not the result. Returns what
        the codec reads back, so that the first time looks like all others.
        """
        found = self._lookup(key)
        if found is not _MISSING:
            return found
        with self._depot.alone(key):
            found = self._lookup(key)
            if found is not _MISSING:
                return found
            self._depot.tally.count("misses")
            started = time.perf_counter()
            value = make()
            seconds = time.perf_counter() - started
            name, data = codecs.encode(value, self._codec)
            try:
                self._keep(key, name, data, seconds=seconds)
            except UnavailableError:
                self._depot.tally.count("unkept")
            return codecs.decode(name, data, self._codec)

    def cached(
        self, *, version: str, name: str = "", key: Callable[..., object] | None = None
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Reuse a function's results: the same arguments, however they are passed, are computed once.

        The key is made of the function's qualified name (or ``name``), ``version``, and a digest of the arguments:
        plain data, dates, paths, enums, dataclasses, Structs, bytes, numpy arrays and pandas frames. ``key`` gets the
        arguments and returns what of them counts, for arguments of other kinds. What the function depends on besides,
        such as its code, files or globals, is not looked at: say another ``version`` when that changes. Raises
        ``InputError`` for coroutines and generators.
        """

        def decorate(function: Callable[P, T]) -> Callable[P, T]:
            _computes(function)
            identity, signature = name or name_of(function), inspect.signature(function)

            @functools.wraps(function)
            def call(*args: P.args, **kwargs: P.kwargs) -> T:
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                told = bound.arguments if key is None else {"key": key(*args, **kwargs)}
                under = call_key(identity, version, told)
                return cast("T", self.get_or_compute(under, lambda: function(*args, **kwargs)))

            return call

        return decorate

    def __contains__(self, key: str) -> bool:
        """Whether there is a fresh value, as far as its record says; counts as no use."""
        entry = self._depot.find(key)
        return entry is not None and self._fresh(entry)

    def list(self, prefix: str = "", *, limit: int = -1) -> Sequence[Row]:
        """Keys that begin with ``prefix``, most used first; those that have expired but not left, too."""
        return self._depot.rows(prefix, limit=limit)

    def show(self, key: str) -> Entry | None:
        """What is known about a key; counts as no use."""
        return self._depot.find(key)

    def remove(self, *keys: str) -> int:
        """Remove keys; returns the bytes on disk that are free now."""
        return self._depot.discard(keys)

    def expired(self) -> Sequence[Row]:
        """Keys that have expired and take up room until something else needs it, or ``trim`` is called."""
        return [row for row in self.list() if self._depot.rules.stale(row.written, self._depot.clock())]

    def trim(self) -> int:
        """Remove what has expired, and what is too much; returns the bytes on disk that are free now."""
        return self._depot.trim()

    def verify(self, *, repair: bool = False) -> Findings:
        """Compare all values with their checksums, and the index with the files; ``repair`` removes what is damaged."""
        return inspect_depot(self._depot, repair=repair)

    def stats(self) -> Stats:
        """How the cache stands, and what it has saved."""
        return self._depot.tally.stats(self._depot.rules.max_bytes)

    def close(self) -> None:
        """Write down what was counted. Happens by itself at the end of the process."""
        self._depot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lookup(self, key: str) -> Any:
        """The value of a key, counted as a hit, or ``_MISSING``."""
        depot = self._depot
        entry = depot.find(key)
        if entry is None or not self._fresh(entry):
            return _MISSING
        data = depot.value(entry)
        if data is None:
            return _MISSING
        depot.tally.hit(entry.id, size=entry.size, seconds=entry.seconds)
        return codecs.decode(entry.codec, data, self._codec)

    def _keep(self, key: str, codec: str, data: bytes, *, seconds: float) -> bool:
        blob = hashlib.sha256(data).digest()
        now = self._depot.clock()
        entry = Entry(key=key, blob=blob, size=len(data), written=now, codec=codec, seconds=seconds)
        kept = self._depot.put(entry, data)
        if not kept:
            self._depot.tally.count("unkept")
        return kept

    def _fresh(self, entry: Entry) -> bool:
        return not self._depot.rules.stale(entry.written, self._depot.clock())


def _computes(function: Callable[..., object]) -> None:
    """Refuse what returns before it has computed anything."""
    if (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise InputError(
            "only functions that return their result can be cached", field="function", value=function.__qualname__,
            remedy="Cache the function that computes, and call it from the coroutine or generator",
        )  # fmt: skip
