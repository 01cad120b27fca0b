"""What the workers of one machine tell each other for ``/metrics``.

Workers share a port, so a scrape reaches one of them by chance. Each keeps what it counted in a file of its own,
``run/metrics/NUMBER``, and whoever is asked shows the files of all that live beside its own figures. A worker
writes its file before it answers, and one that is started again goes on from the file of its predecessor: a counter
that was shown once never goes back, whoever shows it next. The file is replaced whole and not synced: it outlives a
killed process, and need not outlive the machine.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from farthing.gateway.metrics import Metrics, Tally

_log = logging.getLogger(__name__)


class Siblings:
    """One worker's file and those of the others. ``alive`` says whether a worker process, by its name, still runs."""

    def __init__(self, folder: Path, metrics: Metrics, *, alive: Callable[[str], bool]) -> None:
        self._folder = folder
        self._own = folder / metrics.worker
        self._metrics = metrics
        self._alive = alive
        self._resumed = False
        self._written = b""
        self._failed = False

    def resume(self) -> bool:
        """Go on from what the predecessor counted; false while that one still lives, and the file is its own."""
        if not self._resumed:
            before = _read(self._own)
            if before is not None and before.name != self._metrics.name:
                if self._alive(before.name):
                    return False
                self._metrics.resume(before)
            self._resumed = True
        return True

    def save(self, tally: Tally) -> None:
        """Write this worker's file, if it has changed. A disk that refuses is logged once; nothing else suffers."""
        if not self.resume():
            return
        data = _ENCODER.encode(tally)
        if data == self._written:
            return
        draft = self._folder / f".{self._own.name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(data)
            draft.replace(self._own)
        except OSError as problem:
            if not self._failed:
                _log.warning("metrics of this worker are shown by itself alone: %s", problem)
            self._failed = True
            return
        self._written = data
        self._failed = False

    def beside(self, tally: Tally) -> list[Tally]:
        """This worker's own figures, saved, and those of every other worker that lives, by number."""
        self.save(tally)
        paths = self._folder.glob("[0-9]*") if self._folder.is_dir() else ()
        others = (_read(path) for path in paths if path != self._own)
        living = [other for other in others if other is not None and self._alive(other.name)]
        return sorted([tally, *living], key=lambda each: (len(each.worker), each.worker))


def _read(path: Path) -> Tally | None:
    """What a file says; nothing when there is none, or another release wrote it."""
    try:
        return _DECODER.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Tally)
