"""The semantic cache's process: a model, an index and what was learned, on a Unix socket.

``python -m farthing.app.cache`` runs it; ``farthing up`` does so for you where a namespace sets ``semantic``. SIGTERM
saves and ends it. Killed at any moment it costs misses while it is away, and the labels of its last minute.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import random
import signal
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvloop

from farthing import config
from farthing.app.folder import FolderLock
from farthing.app.listen import url
from farthing.app.memory import resident_bytes
from farthing.cache.semantic.seams import Agrees, Learner
from farthing.cache.semantic.server import Server
from farthing.cache.semantic.service import Service
from farthing.cache.settings import NamespaceSettings
from farthing.core.errors import FarthingError, UnavailableError

if TYPE_CHECKING:
    from farthing.cache.semantic.embed import Embedder
    from farthing.cache.semantic.questions import Questions

UPKEEP_SECONDS = 1.0
WATCH_SECONDS = 0.5
MODEL_PAUSE = 2.0
"""Between attempts to reach an embedding model: the gateway starts at the same time."""

SWITCH_SECONDS = 0.0005
"""How soon a lookup gets the interpreter back from a thread that fits. Five milliseconds are usual."""

_log = logging.getLogger(__name__)


def run_cache(
    settings: config.Settings, *, env: Mapping[str, str], config_file: Path | None = None, parent: int = 0
) -> None:
    """Serve until SIGTERM or SIGINT. ``parent``: stop as well when that process is no longer the parent.

    Raises ``ConflictError`` when another one works in the folder, ``UnavailableError`` when it cannot be used.
    """
    with (
        FolderLock.take(settings.run / "cache.lock"),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_Process(settings, env, config_file).run(parent))


class _Process:
    """The parts of the process, joined."""

    def __init__(self, settings: config.Settings, env: Mapping[str, str], config_file: Path | None) -> None:
        self._settings = settings
        self._env = env
        self._file = config.settings_file(config_file, env)
        self._mark = self._written()

    async def run(self, parent: int) -> None:
        work = asyncio.create_task(self._work())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        watcher = asyncio.create_task(_leave_with(parent, work))
        with contextlib.suppress(asyncio.CancelledError):
            await work
        watcher.cancel()

    async def _work(self) -> None:
        embedder = await self._embedder()
        questions = await self._questions(embedder)
        service = Service(
            questions, embedder, make=learner_of, agrees=agreement_of(embedder), now=_now, memory=resident_bytes
        )
        server = Server(service)
        try:
            await service.use(self._settings.cache.namespaces)
            await self._listen(server)
            gc.collect()
            gc.freeze()
            sys.setswitchinterval(SWITCH_SECONDS)
            async with self._judge(service):
                await self._keep_up(service)
        finally:
            questions.stop()
            await server.aclose()
            await service.aclose()

    async def _keep_up(self, service: Service) -> None:
        while True:
            await asyncio.sleep(UPKEEP_SECONDS)
            try:
                await self._reload(service)
                await service.upkeep()
            except FarthingError as problem:
                _log.warning("%s", problem)

    async def _reload(self, service: Service) -> None:
        """Go by the settings as they stand now; where they cannot be used, by those before."""
        mark = self._written()
        if mark != self._mark:
            self._mark = mark
            await service.use(config.load(self._file, self._env).cache.namespaces)

    def _written(self) -> int:
        try:
            return self._file.stat().st_mtime_ns if self._file is not None else 0
        except OSError:
            return 0

    async def _embedder(self) -> "Embedder":
        settings = self._settings.cache
        if settings.embedding == "wordllama":
            from farthing.cache.semantic.embed import WordLlama

            return WordLlama()
        from farthing.cache.semantic.endpoint import Endpoint

        ask = partial(Endpoint.opened, self._gateway(), model=settings.embedding_model)
        while True:
            try:
                return await ask(key=self._secret(settings.embedding_key))
            except UnavailableError as problem:
                _log.warning("%s; tried again", problem)
                await asyncio.sleep(MODEL_PAUSE)

    async def _questions(self, embedder: "Embedder") -> "Questions":
        settings = self._settings
        limit = settings.cache.entries
        state = settings.state_url(self._env)
        if state.startswith("postgres"):
            from farthing.cache.semantic.pgvector import PostgresQuestions

            return await PostgresQuestions.opened(
                state, limit=limit, embedding=embedder.name, dimensions=embedder.dimensions
            )
        from farthing.cache.semantic.local import LocalQuestions

        return LocalQuestions(
            settings.cache_folder, limit=limit, embedding=embedder.name, dimensions=embedder.dimensions
        )

    async def _listen(self, server: Server) -> None:
        path = self._settings.cache_socket
        try:
            await server.start(path)
        except OSError as problem:
            raise UnavailableError(
                f"Cannot listen on {path} ({problem.strerror or problem})",
                remedy="Choose a data folder with a shorter path that this user may write to",
            ) from problem

    @contextlib.asynccontextmanager
    async def _judge(self, service: Service) -> AsyncGenerator[None]:
        settings = self._settings.cache.judge
        if not settings.model or not settings.per_hour:
            yield
            return
        from farthing.cache.semantic.judge import ModelJudge

        judge = ModelJudge(
            self._gateway(), model=settings.model, key=self._secret(settings.key), per_hour=settings.per_hour,
            judged=service.judged,
        )  # fmt: skip
        service.judge = judge
        asking = asyncio.create_task(judge.run())
        try:
            yield
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await judge.aclose()

    def _gateway(self) -> str:
        return url(self._settings.gateway.host, self._settings.gateway.port)

    def _secret(self, ref: str) -> str:
        return config.resolve_secret(ref, self._env) if config.is_reference(ref) else ref


def learner_of(settings: NamespaceSettings, learned: bytes) -> Learner:
    """What decides for a namespace."""
    from farthing.cache.semantic import learner, prior, vetoes

    return learner.Learner(
        target=settings.target,
        shadow=settings.shadow,
        draw=random.SystemRandom().random,
        policy=settings.policy,
        threshold=settings.threshold,
        learned=learned or None,
        veto=vetoes.veto,
        lexical=prior.weighed_features,
    )


def agreement_of(embedder: "Embedder") -> Agrees:
    """What compares answers. A model in this process helps with prose; one behind an address is not asked for that."""
    from farthing.cache.semantic.agreement import agrees
    from farthing.cache.semantic.embed import WordLlama

    return partial(agrees, similarity=embedder.similarity) if isinstance(embedder, WordLlama) else agrees


async def _leave_with(parent: int, work: "asyncio.Task[None]") -> None:
    """Stop when the supervisor is gone, however it ended."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if parent and os.getppid() != parent:
            work.cancel()


def _now() -> float:
    return time.time()  # noqa: TID251 - the clock of this process lives here


def main(arguments: list[str] | None = None) -> int:
    """The command line of the process."""
    parser = argparse.ArgumentParser(prog="python -m farthing.app.cache", description="Run the semantic cache.")
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
        run_cache(settings, env=env, config_file=given.config, parent=given.parent)
    except FarthingError as error:
        sys.stderr.write(f"farthing cache: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
