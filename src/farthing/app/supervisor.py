"""``farthing up``: the processes of one machine, kept alive.

It starts one control process, N gateway workers and, where it is wanted, the semantic cache, each a program of its
own (nothing is forked after start), and starts them again when they die, whatever killed them. On SIGTERM, SIGINT or
SIGHUP the workers finish what they have begun, then the control process drains the journal. If the supervisor itself
is killed its children notice and end in the same manner.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from farthing.core.errors import UnavailableError

POLL_SECONDS = 0.1
READY_SECONDS = 60.0
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
SOUND_SECONDS = 5.0
"""A process that lived this long was sound: it is started again at once."""

CONTROL_STOP_SECONDS = 40.0
WORKER_MARGIN_SECONDS = 10.0

Say = Callable[[str], None]


class Program:
    """One child: how it is started, and its present process."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], *, keep: tuple[int, ...] = ()
    ) -> None:
        self.name = name
        self._command = command
        self._env = env
        self._keep = keep
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._failures = 0
        self._again_at: float | None = None

    def start(self, now: float) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the supervisor."""
        self._began = now
        self._process = subprocess.Popen(  # noqa: S603 - our own modules
            self._command, env=dict(self._env), start_new_session=True, pass_fds=self._keep, stdin=subprocess.DEVNULL
        )

    @property
    def pid(self) -> int:
        """Its process id, 0 before the first start."""
        return self._process.pid if self._process else 0

    def exit_code(self) -> int | None:
        """How it ended; ``None`` while it runs."""
        return self._process.poll() if self._process else None

    def revive(self, now: float, say: Say) -> None:
        """Start it again if it died, after a pause that grows while it keeps dying young."""
        code = self.exit_code()
        if code is None:
            return
        if self._again_at is None:
            self._failures = 0 if now - self._began >= SOUND_SECONDS else self._failures + 1
            self._again_at = now + _pause(self._failures)
            say(f"{self.name} (process {self.pid}) ended {_manner(code)}; it is started again")
        elif now >= self._again_at:
            self._again_at = None
            self.start(now)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Whether it ended in time."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """The programs of one machine. ``drain`` does what a control process does last, if that was killed.

    ``aside`` are those that the others do without: nothing waits for them to start, and their end stops nobody.
    """

    control: Program
    workers: tuple[Program, ...]
    drain: Program
    aside: tuple[Program, ...] = ()


class Supervisor:
    """Keeps the control process and the workers of one data folder running until it is told to stop."""

    def __init__(self, fleet: Fleet, *, drain_seconds: float, say: Say) -> None:
        self._control = fleet.control
        self._workers = fleet.workers
        self._drain = fleet.drain
        self._aside = fleet.aside
        self._drain_seconds = drain_seconds
        self._say = say
        self._signals = 0
        self._was_ready = False

    def run(self, *, ready: Callable[[], bool], on_ready: Callable[[], None]) -> None:
        """Start everything, call ``on_ready`` once it answers, and keep it alive.

        Raises ``UnavailableError`` when it never gets ready; everything has been stopped then.
        """
        before = {number: signal.signal(number, self._told) for number in _STOP_SIGNALS}
        try:
            self._start()
            self._until_ready(ready)
            if not self._signals:
                self._was_ready = True
                on_ready()
            self._watch()
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _start(self) -> None:
        for program in (self._control, *self._workers, *self._aside):
            program.start(time.monotonic())

    def _until_ready(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._signals and not ready():
            for program in (self._control, *self._workers):
                if program.exit_code() is not None:
                    raise UnavailableError(
                        f"The {program.name} ended {_manner(program.exit_code() or 0)} before it was ready",
                        remedy="Its message stands above; farthing doctor checks the installation",
                    )
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"Not ready after {READY_SECONDS:.0f} seconds", remedy="farthing doctor checks the installation"
                )
            time.sleep(POLL_SECONDS)

    def _watch(self) -> None:
        while not self._signals:
            for program in (self._control, *self._workers, *self._aside):
                program.revive(time.monotonic(), self._say)
            time.sleep(POLL_SECONDS)

    def _stop(self) -> None:
        """Workers first, then the control process, which drains what they wrote; if it died instead, another one
        does. A second signal hurries.
        """
        if self._signals:
            self._say("stopping: requests under way are finished, then the journal is drained (again to hurry)")
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        self._wait(self._workers, self._drain_seconds + WORKER_MARGIN_SECONDS)
        for program in (self._control, *self._aside):
            program.signal(signal.SIGTERM)
        self._wait((self._control, *self._aside), CONTROL_STOP_SECONDS)
        if self._was_ready and self._control.exit_code() != 0:
            self._drain.start(time.monotonic())
            self._wait((self._drain,), CONTROL_STOP_SECONDS)

    def _wait(self, programs: Sequence[Program], seconds: float) -> None:
        told, deadline = self._signals, time.monotonic() + seconds
        left = list(programs)
        while left and time.monotonic() < deadline and self._signals <= max(told, 1):
            left = [program for program in left if not program.wait(POLL_SECONDS)]
        for program in left:
            self._say(f"{program.name} (process {program.pid}) is killed; the journal keeps what it did")
            program.signal(signal.SIGKILL)
            program.wait(WORKER_MARGIN_SECONDS)


def fleet(env: Mapping[str, str], *, config_file: Path | None, workers: int, lock: int, semantic: bool) -> Fleet:
    """The programs, not started yet. What ``env`` sets wins over the settings file.

    ``lock`` is the descriptor of the folder's lock, which the control process holds as long as it lives. ``semantic``:
    the semantic cache runs as well.
    """
    python = [sys.executable, "-m"]
    common = ["--parent", str(os.getpid()), *(["--config", str(config_file)] if config_file else [])]
    control = [*python, "farthing.app.control", *common]
    worker = [*python, "farthing.app.worker", *common, "--index"]
    cache = [*python, "farthing.app.cache", *common]
    return Fleet(
        control=Program("control process", control, env, keep=(lock,)),
        workers=tuple(Program(f"worker {index}", [*worker, str(index)], env) for index in range(workers)),
        drain=Program("last drain", [*control, "--drain"], env, keep=(lock,)),
        aside=(Program("semantic cache", cache, {**_ONE_THREAD, **env}),) if semantic else (),
    )


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""A fit or an embedding takes one core; the others are the workers'."""


def _pause(failures: int) -> float:
    """Seconds to wait before another start, after so many early deaths in a row."""
    return min(SHORTEST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE) if failures > 1 else 0.0


def _manner(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"with code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
