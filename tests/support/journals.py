"""Facts to journal, and a ledger in memory that keeps the real one's promise and dies when told to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from farthing.core.facts import Operation, RequestFact, Status
from farthing.core.nouns import Scope
from farthing.gateway.journal import SegmentJournal


class DiedError(Exception):
    """The process was killed here."""


class MemoryLedger:
    """Exactly once per (source, version). ``dies``: before or after the next commit."""

    def __init__(self) -> None:
        self.facts: list[RequestFact] = []
        self.versions: dict[str, int] = {}
        self.commits = 0
        self.dies = ""

    def last_version(self, table: str, source: str) -> int | None:
        assert table == "requests"
        return self.versions.get(source)

    def append_requests(self, facts: Sequence[RequestFact], *, source: str, version: int) -> int:
        dies, self.dies = self.dies, ""
        if dies == "before":
            raise DiedError
        written = 0
        if version > self.versions.get(source, -1):
            self.facts += facts
            self.versions[source] = version
            self.commits += 1
            written = len(facts)
        if dies == "after":
            raise DiedError
        return written

    def ids(self, *status: Status) -> list[str]:
        """Sorted request ids, of all facts or of those that ended so."""
        return sorted(f.request_id for f in self.facts if not status or f.status in status)


def fact(request_id: str, status: Status = Status.OK, *, text: str = "") -> RequestFact:
    return RequestFact(
        request_id=request_id, attempt=1, at=datetime(2026, 11, 1, tzinfo=UTC), operation=Operation.CHAT, dialect="openai",
        scope=Scope(team="search"), requested_model="tiny", status=status, worker="w", error=text, decision="{}",
    )  # fmt: skip


def journal(
    folder: Path, worker: str = "w1", *, size: int = 256 * 1024, clock=lambda: 0.0, seconds: float = 300
) -> SegmentJournal:
    return SegmentJournal(folder, worker, segment_bytes=size, clock=clock, seconds=seconds)
