"""Asking ahead: the control process says what is due, and whichever worker has time makes the requests.

They meet in the store of answers. A worker takes on few of them at a time, and one that dies leaves what it took on to
others, once its claim has ended.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from farthing import config
from farthing.app.chores import Chore
from farthing.app.forgetting import answers_file, is_postgres
from farthing.app.local import Local
from farthing.cache.asks import Asks, Done, Job, Noted
from farthing.cache.disk import DiskStore
from farthing.cache.schedules import zone_of
from farthing.cache.warming import Bounds, Proposal, proposals
from farthing.core.errors import UnavailableError
from farthing.gateway.app import Gateway
from farthing.gateway.warming import warm

if TYPE_CHECKING:
    from farthing.cache.postgres import PostgresStore

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How often answers that are about to expire are looked for, and due requests by each worker."""

HABITS_SECONDS = 20.0
"""How often habits are looked at."""

CLEAN_SECONDS = 60.0
AT_ONCE = 4
"""Requests that one worker makes ahead at the same time."""

_CENT = Decimal("0.01")
_log = logging.getLogger(__name__)


class Opened:
    """The store of answers, opened when it is needed and again after it failed. One thread at a time uses it."""

    def __init__(self) -> None:
        self._store: DiskStore | PostgresStore | None = None
        self._asks: Asks | None = None

    def do(self, settings: config.Settings, env: Mapping[str, str], work: Callable[[Asks], T]) -> T:
        """Do something with its requests. Raises ``UnavailableError``."""
        try:
            if self._asks is None:
                self._store = _opened(settings, env)
                self._asks = Asks(self._store)
            return work(self._asks)
        except UnavailableError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it."""
        store, self._store, self._asks = self._store, None, None
        if store is not None:
            store.close()


def warming_chore(local: Callable[[], Local]) -> Chore:
    """Says which answers are worth asking for now, in namespaces with ``warm``."""
    deciding = _Deciding(local)
    return Chore(name="warming", every=LOOK_SECONDS, work=deciding.run, remedy="Check state.url, or switch warm off")


class _Deciding:
    """The chore, which remembers when it last looked at what."""

    def __init__(self, local: Callable[[], Local]) -> None:
        self._local = local
        self._opened = Opened()
        self._looked = 0.0
        self._cleaned = 0.0

    def run(self) -> str:
        local = self._local()
        if not any(rules.warm for rules in local.settings.cache.namespaces.values()):
            self._opened.close()
            return "off"
        return self._opened.do(local.settings, local.env, lambda asks: self._turn(asks, local))

    def _turn(self, asks: Asks, local: Local) -> str:
        now = local.now().timestamp()
        if now >= self._cleaned + CLEAN_SECONDS:
            self._cleaned = now
            asks.forget_old(now)
        chosen = self._chosen(asks, local.settings, now)
        made = asks.propose(chosen, now) if chosen else 0
        return f"{made} requests are made ahead" if made else "nothing is worth asking ahead now"

    def _chosen(self, asks: Asks, settings: config.Settings, now: float) -> tuple[Proposal, ...]:
        known = asks.expiring(now)
        if now >= self._looked + HABITS_SECONDS:
            self._looked = now
            known += asks.habitual(now)
        if not known:
            return ()
        calls, cost = asks.spent(now)
        most = settings.cache.warm
        bounds = Bounds(calls=max(0, most.per_hour - calls), cost=most.cents_per_day * _CENT - cost)
        return proposals(known, bounds=bounds, now=now, zone=zone_of(settings.web.zone, field="web.zone"))


class Warming:
    """One worker's part: it writes down what was asked, and makes the requests that are due."""

    def __init__(
        self, settings: config.Settings, env: Mapping[str, str], gateway: Gateway, *, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._env = env
        self._gateway = gateway
        self._clock = clock
        self._opened = Opened()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="warming")
        self._running: set[asyncio.Task[None]] = set()
        self._purges: int | None = None

    async def run(self) -> None:
        """Go on until it is canceled; what is under way then is broken off."""
        problem = ""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    await self._turn()
                    problem = ""
                except UnavailableError as unavailable:
                    if str(unavailable) != problem:
                        problem = str(unavailable)
                        _log.warning("nothing is asked ahead: %s", problem)
                except Exception:  # noqa: BLE001 - the edge of a worker: its requests go on whatever happens here
                    _log.exception("asking ahead failed")
        finally:
            await self._stop()

    async def _turn(self) -> None:
        await self._note()
        free = AT_ONCE - len(self._running)
        if free > 0:
            for job in await self._do(lambda asks: asks.claim(self._now(), free)):
                task = asyncio.get_running_loop().create_task(self._make(job))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _note(self) -> None:
        """Write down what was seen since the last turn. It is void where something was purged since then, or where
        that cannot be known.
        """
        since, self._purges = self._purges, None
        purges = await self._do(lambda asks: asks.purges())
        reuse = self._gateway.parts.reuse
        noted = Noted() if reuse is None else reuse.uses.take()
        if since is not None and (noted.answered or noted.uses):
            await self._do(lambda asks: asks.note(noted, self._now(), since=since))
        self._purges = purges

    async def _make(self, job: Job) -> None:
        try:
            done = await warm(job.ask, self._gateway)
        except Exception:  # noqa: BLE001 - the edge of a worker: one request's bug must not end the others
            _log.exception("a request that was made ahead failed")
            done = Done(problem="the gateway failed; see its log")
        with contextlib.suppress(UnavailableError):
            await self._do(lambda asks: asks.end(job, done, self._now()))

    async def _do(self, work: Callable[[Asks], T]) -> T:
        run = asyncio.get_running_loop().run_in_executor
        return await run(self._thread, lambda: self._opened.do(self._settings, self._env, work))

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await asyncio.to_thread(self._thread.shutdown)
        self._opened.close()

    def _now(self) -> float:
        return self._clock().timestamp()


@contextlib.asynccontextmanager
async def warming(
    settings: config.Settings, env: Mapping[str, str], gateway: Gateway, *, clock: Callable[[], datetime]
) -> AsyncGenerator[None]:
    """Ask ahead beside what a worker does, where it shares answers with others."""
    reuse = gateway.parts.reuse
    if reuse is None or not reuse.kept.is_shared:
        yield
        return
    task = asyncio.create_task(Warming(settings, env, gateway, clock=clock).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _opened(settings: config.Settings, env: Mapping[str, str]) -> "DiskStore | PostgresStore":
    limit, url = settings.cache.max_bytes, settings.state_url(env)
    if is_postgres(url):
        from farthing.cache.postgres import PostgresStore

        return PostgresStore(url, limit=limit)
    return DiskStore(answers_file(settings), limit=limit)
