"""One gateway worker: a process with its own listening socket, event loop and journal.

Workers share the port by ``SO_REUSEPORT``, so the kernel spreads connections over them and none
knows of another. ``python -m farthing.app.worker --index 0`` runs one; the supervisor runs several.
SIGTERM drains: no new connections, those under way get ``drain_seconds``, what is left is journaled
as cancelled.
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import itertools
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop

from farthing import config
from farthing.app.forgetting import answers_file, is_postgres
from farthing.app.leasing import Charges, Limiting
from farthing.app.listen import url
from farthing.app.memory import resident_bytes
from farthing.app.shelf import StoreShelf
from farthing.app.warming import warming
from farthing.app.world import SnapshotFile
from farthing.cache.entry import Shared
from farthing.cache.flights import Flights
from farthing.cache.memory import Memory
from farthing.cache.semantic.client import SemanticClient
from farthing.cache.sharing import OnDisk
from farthing.core.asking import where_to_ask
from farthing.core.errors import ConfigError, FarthingError, UnavailableError
from farthing.core.plugin import Registry
from farthing.gateway.app import Door, Gateway, journal_problem
from farthing.gateway.batches import Batches
from farthing.gateway.caching.reuse import Reuse
from farthing.gateway.files import Files
from farthing.gateway.journal import SegmentJournal, is_alive
from farthing.gateway.messagebatches import MessageBatches
from farthing.gateway.metrics import Metrics
from farthing.gateway.otel import spans_to
from farthing.gateway.passthrough import PassThrough
from farthing.gateway.pipeline import Observer, Parts, World
from farthing.gateway.ports import Dialect
from farthing.gateway.reach import Guard
from farthing.gateway.retry import Retries
from farthing.gateway.server import Server
from farthing.gateway.settings import GatewaySettings
from farthing.gateway.siblings import Siblings
from farthing.gateway.snapshot import WATCH_SECONDS
from farthing.gateway.uploads import Uploads
from farthing.gateway.upstream import HttpUpstream, Limits

if TYPE_CHECKING:
    from farthing.state.store import Store

FIRST_SNAPSHOT_SECONDS = 60.0
SAVE_TURNS = 2
"""Counters are saved at every second look at the snapshot: once a second."""


MAPPED_ABOVE = 32 * 1024 * 1024
KEPT_FREE = 32 * 1024 * 1024
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
"""Names of glibc's ``mallopt``, see malloc.h; other C libraries have no such door and are left alone."""

_log = logging.getLogger(__name__)


def run_worker(settings: config.Settings, *, index: int, env: Mapping[str, str], parent: int = 0) -> None:
    """Serve until SIGTERM or SIGINT. ``parent``: stop as well when that process is no longer the parent."""
    gateway = settings.gateway
    if not gateway.require_keys and not config.is_loopback(gateway.host):
        raise ConfigError(
            "a gateway that others can reach must ask for keys",
            file=config.FILE,
            field="gateway.require_keys",
            value=False,
            remedy='Switch it on, or set host = "127.0.0.1"',
        )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, index, env, parent))


async def _serve(settings: config.Settings, index: int, env: Mapping[str, str], parent: int) -> None:
    name = f"{index}-{os.getpid()}-{secrets.token_hex(6)}"
    guard = Guard(private=settings.gateway.private_upstreams)
    file = SnapshotFile(settings, env, guard)
    world = await _first_world(file)
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics(str(index), name)
        siblings = Siblings(settings.run / "metrics", metrics, alive=lambda other: is_alive(settings.journal / other))
        siblings.resume()
        observers = _observers(settings, metrics, name, stack)
        journal = _journal(settings, name, stack)
        shelf = StoreShelf(_opener(settings, env))
        stack.callback(shelf.close)
        limiting = _limiting(settings, env, name, world)
        stack.callback(lambda: siblings.save(metrics.tally(_gauges(file, limiting, reuse))))
        stack.push_async_callback(limiting.close)
        reuse = _reuse(settings, env, world, stack)
        upstream = HttpUpstream(_limits(settings.gateway), guard=guard)
        stack.push_async_callback(upstream.aclose)
        parts = Parts(
            world=world,
            dialects=_dialects(),
            upstream=upstream,
            journal=journal,
            admission=limiting.bank,
            clock=_now,
            worker=name,
            max_body_bytes=settings.gateway.max_body_bytes,
            observers=observers,
            refused=metrics.refuse,
            retries=_retries(settings.gateway),
            reuse=reuse,
        )
        metrics.breakers = lambda: parts.world.router.breakers(parts.clock().timestamp())
        app = Gateway(
            parts,
            metrics,
            gauges=lambda: _gauges(file, limiting, reuse),
            beside=siblings.beside,
            problem=lambda: "draining" if server.draining else journal_problem(journal.check),
            doors=_doors(settings.gateway, shelf),
        )
        server = Server(app)
        await server.start(listen(settings.gateway.host, settings.gateway.port))
        _settle_memory()
        async with warming(settings, env, app, clock=_now):
            await _stopped(_watch(file, parts, limiting, parent, lambda: siblings.save(app.tally())))
        await server.stop(settings.gateway.drain_seconds)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the clock of a worker lives here


def _observers(
    settings: config.Settings, metrics: Metrics, name: str, stack: contextlib.AsyncExitStack
) -> tuple[Observer, ...]:
    """Who is told of every fact."""
    if not settings.gateway.otel_endpoint:
        return (metrics.observe,)
    spans = spans_to(settings.gateway.otel_endpoint, worker=name)
    stack.callback(spans.close)
    return (metrics.observe, spans.observe)


def _journal(settings: config.Settings, name: str, stack: contextlib.AsyncExitStack) -> SegmentJournal:
    clock = asyncio.get_running_loop().time
    journal = SegmentJournal(settings.journal, name, segment_bytes=settings.gateway.journal_segment_bytes, clock=clock)
    stack.callback(journal.close)
    return journal


def _doors(settings: GatewaySettings, shelf: StoreShelf) -> tuple[Door, ...]:
    """What answers beside the pipeline."""
    uploads = Uploads(settings.max_file_bytes)
    charges = Charges()
    return (
        PassThrough(settings.passthrough),
        Files(shelf, uploads),
        Batches(shelf, charges),
        MessageBatches(shelf, charges, uploads),
    )


def _gauges(file: SnapshotFile, limiting: Limiting, reuse: Reuse) -> dict[str, float]:
    return {
        "snapshot_made_seconds": file.made.timestamp(),
        "resident_bytes": resident_bytes(),
        **limiting.bank.gauges(),
        **reuse.gauges(),
    }


def _reuse(settings: config.Settings, env: Mapping[str, str], world: World, stack: contextlib.AsyncExitStack) -> Reuse:
    """The caches. What cannot be opened is left out: a request does not need it."""
    settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    semantic = SemanticClient(settings.cache_socket)
    reuse = Reuse(
        world.cache,
        memory=Memory(settings.cache.memory),
        flights=Flights(settings.run / "cache.flights"),
        shared=_shared_answers(settings, env),
        semantic=semantic,
        clock=_now,
    )
    stack.push_async_callback(reuse.aclose)
    if any(rules.semantic != "off" for rules in settings.cache.namespaces.values()):
        semantic.start()
        stack.push_async_callback(semantic.aclose)
    return reuse


def _shared_answers(settings: config.Settings, env: Mapping[str, str]) -> Shared | None:
    """The store of answers that this worker shares with others; ``None`` where nothing is kept, or it cannot be."""
    kinds = [(rules.exact, rules.embeddings, rules.semantic) for rules in settings.cache.namespaces.values()]
    if not any("on" in (exact, embeddings) or semantic != "off" for exact, embeddings, semantic in kinds):
        return None
    limit, url = settings.cache.max_bytes, settings.state_url(env)
    if is_postgres(url):
        from farthing.cache.postgres import OnPostgres

        shared = OnPostgres(url, limit=limit, clock=_now)
        shared.start()
        return shared
    try:
        return OnDisk(answers_file(settings), limit=limit, clock=_now)
    except UnavailableError as problem:
        _log.error("answers are kept in each worker's memory only: %s", problem)
        return None


def _limiting(settings: config.Settings, env: Mapping[str, str], worker: str, world: World) -> Limiting:
    """What holds requests to their limits. The store is opened when the first of them falls under one."""
    page = url(settings.web.host, settings.web.port)
    return Limiting(
        world.limits,
        worker=worker,
        folder=settings.tally,
        open_store=_opener(settings, env),
        now=_now,
        patience=settings.limits.wait_seconds,
        where=lambda limit: where_to_ask(limit, page),
    )


def _opener(settings: config.Settings, env: Mapping[str, str]) -> "Callable[[], Store]":
    """Opens the state store, whose driver is loaded only where it is needed."""

    def open_store() -> "Store":
        from farthing.state.store import Store

        return Store.open(settings.state_url(env), busy_seconds=settings.state.busy_seconds)

    return open_store


async def _stopped(watching: Coroutine[None, None, None]) -> None:
    """Return once the process is told to stop, or when what watches beside it returns."""
    loop = asyncio.get_running_loop()
    watcher = loop.create_task(watching)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, watcher.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await watcher


async def _watch(file: SnapshotFile, parts: Parts, limiting: Limiting, parent: int, save: Callable[[], None]) -> None:
    """Swap the world when the snapshot changes, and save what was counted; return when the supervisor is gone."""
    loop = asyncio.get_running_loop()
    turns = itertools.count(1)
    while not parent or os.getppid() == parent:
        await asyncio.sleep(WATCH_SECONDS)
        if next(turns) % SAVE_TURNS == 0:
            save()
        if file.changed():
            try:
                world = await loop.run_in_executor(None, file.read)
                limiting.use(world.limits)
                if parts.reuse is not None:
                    parts.reuse.use(world.cache)
                parts.world = world
            except UnavailableError as problem:
                _log.error("the old snapshot stays in use: %s", problem)


async def _first_world(file: SnapshotFile) -> World:
    """The world as soon as the control process has written it.

    A file that cannot be read, because it is damaged or another release wrote it, is about to be replaced.
    """
    deadline = asyncio.get_running_loop().time() + FIRST_SNAPSHOT_SECONDS
    problem = UnavailableError("no snapshot was written", remedy="Start the control process, or farthing up")
    while asyncio.get_running_loop().time() < deadline:
        if file.changed():
            try:
                return file.read()
            except UnavailableError as unreadable:
                problem = unreadable
        await asyncio.sleep(WATCH_SECONDS / 10)
    raise problem


def listen(host: str, port: int) -> socket.socket:
    """A socket of this worker's own on a port that its siblings listen on too."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind(address)
    except OSError as problem:
        sock.close()
        raise UnavailableError(
            f"cannot listen on {host}:{port} ({problem.strerror})", remedy="Change gateway.port, or stop what uses it"
        ) from problem
    sock.setblocking(False)
    return sock


def _limits(settings: GatewaySettings) -> Limits:
    return Limits(
        connect=settings.connect_timeout,
        first_byte=settings.first_byte_timeout,
        read=settings.read_timeout,
        connections=settings.connections_per_host,
    )


def _retries(settings: GatewaySettings) -> Retries:
    return Retries(attempts=settings.attempts, patience=settings.patience)


def _dialects() -> Mapping[str, Dialect]:
    return Registry[Dialect]("dialect", "farthing.gateway.providers", "farthing.dialects").load()


def _settle_memory() -> None:
    """What exists now stays: keep the collector from going through it again, and let it look less often.

    A request leaves hardly any cycles; looking every 700 objects costs a tenth of its time. The C library, too,
    keeps what a large body used instead of giving it back after each copy: fresh pages cost more than the copy.
    """
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MAPPED_ABOVE)
        mallopt(_M_TRIM_THRESHOLD, KEPT_FREE)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def main(arguments: list[str] | None = None) -> int:
    """The command line of one worker."""
    parser = argparse.ArgumentParser(prog="python -m farthing.app.worker", description="Run one gateway worker.")
    parser.add_argument("--index", type=int, default=0, help="number of this worker, a label of its metrics")
    parser.add_argument("--config", type=Path, help="settings file")
    parser.add_argument("--home", type=Path, help="data folder, instead of the one in the settings")
    parser.add_argument("--parent", type=int, default=0, help="stop when this is no longer the parent process")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    env = config.environment()
    try:
        settings = config.load(given.config, env)
        if given.home is not None:
            settings = msgspec.structs.replace(settings, home=given.home)
        run_worker(settings, index=given.index, env=env, parent=given.parent)
    except FarthingError as error:
        sys.stderr.write(f"farthing worker: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
