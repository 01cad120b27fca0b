"""Anthropic's batches of messages, simulated: ordered, looked at, canceled, downloaded and deleted.

Shapes follow docs.anthropic.com/en/api/creating-message-batches and its siblings (November 2026). A batch ends when
somebody looks at it for the second time, or for the first time after it was canceled. Its results come in another
order than its requests, as Anthropic's may.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from farthing.demo.filing import Answer, Asked, Solve
from farthing.demo.wire import Refusal

JSON = dict[str, Any]
_DAY = timedelta(days=1)
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


class MessageBatches:
    """One account's batches. ``refuse`` writes an error as Anthropic does."""

    def __init__(self, solve: Solve, refuse: Callable[[Refusal], JSON]) -> None:
        self._solve = solve
        self._refuse = refuse
        self._batches: dict[str, JSON] = {}
        self._requests: dict[str, list[JSON]] = {}
        self._results: dict[str, bytes] = {}
        self._looked: set[str] = set()

    def handle(self, asked: Asked) -> Answer | None:
        """The answer to a request about a batch; ``None`` for one about something else."""
        match asked.method, asked.words:
            case "POST", ["messages", "batches"]:
                said = self._order(msgspec.json.decode(asked.body), asked.now)
            case "GET", ["messages", "batches"]:
                said = self._list(dict(parse_qsl(asked.query)))
            case "GET", ["messages", "batches", name]:
                said = self._moved(self._batch(name), asked.now)
            case "POST", ["messages", "batches", name, "cancel"]:
                said = self._canceled(self._batch(name), asked.now)
            case "DELETE", ["messages", "batches", name]:
                said = self._deleted(self._batch(name))
            case "GET", ["messages", "batches", name, "results"]:
                return b"application/x-jsonl", self._written(self._batch(name))
            case _:
                return None
        return b"application/json", msgspec.json.encode(said)

    def _order(self, asked: JSON, now: int) -> JSON:
        requests: list[JSON] = asked.get("requests") or []
        if not requests:
            raise Refusal(400, "invalid_request_error", "requests: List should have at least 1 item")
        name = hashlib.sha256(f"{len(self._requests)} {now} {asked}".encode()).hexdigest()[:24]
        batch: JSON = {
            "id": f"msgbatch_{name}", "type": "message_batch", "processing_status": "in_progress",
            "request_counts": {**dict.fromkeys(_COUNTS, 0), "processing": len(requests)},
            "ended_at": None, "created_at": _time(now), "expires_at": _time(now, _DAY), "archived_at": None,
            "cancel_initiated_at": None, "results_url": None,
        }  # fmt: skip
        self._requests[batch["id"]] = requests
        self._batches[batch["id"]] = batch
        return batch

    def _list(self, query: dict[str, str]) -> JSON:
        rows = [*reversed(self._batches.values())]
        names = [row["id"] for row in rows]
        start = names.index(query["after_id"]) + 1 if query.get("after_id") in names else 0
        many = int(query.get("limit", "20"))
        page = rows[start : start + many]
        edges = (page[0]["id"], page[-1]["id"]) if page else (None, None)
        return {"data": page, "has_more": len(rows) > start + many, "first_id": edges[0], "last_id": edges[1]}

    def _batch(self, name: str) -> JSON:
        if name not in self._batches:
            raise Refusal(404, "not_found_error", f"Message batch {name} not found.")
        return self._batches[name]

    def _moved(self, batch: JSON, now: int) -> JSON:
        """The batch, one step further."""
        if batch["processing_status"] == "canceling" or (self._running(batch) and batch["id"] in self._looked):
            self._end(batch, now)
        self._looked.add(batch["id"])
        return batch

    def _running(self, batch: JSON) -> bool:
        return batch["processing_status"] == "in_progress"

    def _end(self, batch: JSON, now: int) -> None:
        canceled = batch["processing_status"] == "canceling"
        results = [{"type": "canceled"} if canceled else self._result(r["params"]) for r in self._requests[batch["id"]]]
        names = [request["custom_id"] for request in self._requests[batch["id"]]]
        lines = [{"custom_id": name, "result": result} for name, result in zip(names, results, strict=True)]
        self._results[batch["id"]] = b"".join(msgspec.json.encode(line) + b"\n" for line in reversed(lines))
        kinds = [result["type"] for result in results]
        batch["request_counts"] = {kind: kinds.count(kind) for kind in _COUNTS}
        batch.update(
            processing_status="ended",
            ended_at=_time(now),
            results_url=f"https://api.anthropic.com/v1/messages/batches/{batch['id']}/results",
        )

    def _result(self, params: JSON) -> JSON:
        try:
            message = self._solve("/v1/messages", params)
        except Refusal as refusal:
            return {"type": "errored", "error": self._refuse(refusal)}
        message["usage"]["service_tier"] = "batch"
        return {"type": "succeeded", "message": message}

    def _written(self, batch: JSON) -> bytes:
        if batch["id"] not in self._results:
            raise Refusal(404, "not_found_error", f"Message batch {batch['id']} has no available results.")
        return self._results[batch["id"]]

    def _canceled(self, batch: JSON, now: int) -> JSON:
        if self._running(batch):
            batch.update(processing_status="canceling", cancel_initiated_at=_time(now))
        return batch

    def _deleted(self, batch: JSON) -> JSON:
        if batch["processing_status"] != "ended":
            raise Refusal(400, "invalid_request_error", "A batch that is being processed cannot be deleted.")
        del self._batches[batch["id"]]
        return {"id": batch["id"], "type": "message_batch_deleted"}


def _time(now: int, later: timedelta = timedelta()) -> str:
    return (datetime.fromtimestamp(now, UTC) + later).isoformat()
