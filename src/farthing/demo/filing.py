"""Files, batches and picture edits of OpenAI's API, simulated: what is sent as a form or kept between two requests.

Shapes follow the API reference of platform.openai.com (November 2026). A batch moves on each time somebody looks at
it: validating, in progress, completed.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from farthing.demo.wire import Refusal

JSON = dict[str, Any]
Answer = tuple[bytes, bytes]
"""Content type and body."""

Solve = Callable[[str, JSON], JSON]
"""Answers one request of a batch, by its path. Raises ``Refusal``."""

_PART = re.compile(rb'name="([^"]*)"(?:; filename="([^"]*)")?')
_STEPS = ("validating", "in_progress", "completed")
_DAY = 86_400


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came. ``now`` is Unix seconds."""

    method: str
    path: str
    query: str
    content_type: str
    body: bytes
    now: int

    @property
    def words(self) -> list[str]:
        """The path behind the API's version."""
        return self.path.rpartition("/v1/")[2].split("/")


class Filing:
    """One account's files and batches."""

    def __init__(self, solve: Solve) -> None:
        self._solve = solve
        self._files: dict[str, tuple[JSON, bytes]] = {}
        self._batches: dict[str, JSON] = {}

    def handle(self, asked: Asked) -> Answer | None:
        """The answer to a request about a file, a batch or a picture; ``None`` for one about something else."""
        match asked.words:
            case ["images", "edits"] if "multipart/form-data" in asked.content_type:
                return self._edit(_form(asked.body, asked.content_type))
            case ["files", *rest]:
                return self._about_files(asked, rest)
            case ["batches", *rest]:
                return self._about_batches(asked, rest)
            case _:
                return None

    def _about_files(self, asked: Asked, rest: list[str]) -> Answer | None:
        match asked.method, rest:
            case "POST", []:
                return self._upload(_form(asked.body, asked.content_type), asked.now)
            case "GET", []:
                return _json({"object": "list", "data": [file for file, _ in self._files.values()], "has_more": False})
            case "GET", [name]:
                return _json(self._file(name)[0])
            case "GET", [name, "content"]:
                return b"application/octet-stream", self._file(name)[1]
            case "DELETE", [name]:
                del self._files[self._file(name)[0]["id"]]
                return _json({"id": name, "object": "file", "deleted": True})
            case _:
                return None

    def _about_batches(self, asked: Asked, rest: list[str]) -> Answer | None:
        match asked.method, rest:
            case "POST", []:
                return self._order(msgspec.json.decode(asked.body), asked.now)
            case "GET", []:
                limit = int(dict(parse_qsl(asked.query)).get("limit", "20"))
                rows = [*reversed(self._batches.values())][:limit]
                return _json({"object": "list", "data": rows, "has_more": len(rows) < len(self._batches)})
            case "GET", [name]:
                return _json(self._moved(self._batch(name), asked.now))
            case "POST", [name, "cancel"]:
                return _json(self._cancelled(self._batch(name), asked.now))
            case _:
                return None

    def _upload(self, form: Mapping[str, tuple[str, bytes]], now: int) -> Answer:
        if "file" not in form or "purpose" not in form:
            raise Refusal(400, "invalid_request_error", "Missing required parameter: 'file' or 'purpose'.")
        name, content = form["file"]
        return _json(self._keep(name, content, form["purpose"][1].decode(), now))

    def _keep(self, name: str, content: bytes, purpose: str, now: int) -> JSON:
        digest = hashlib.sha256(b"%d %d %b" % (len(self._files), now, content)).hexdigest()[:24]
        file: JSON = {
            "id": f"file-{digest}", "object": "file", "bytes": len(content), "created_at": now, "expires_at": None,
            "filename": name, "purpose": purpose, "status": "processed", "status_details": None,
        }  # fmt: skip
        self._files[file["id"]] = (file, content)
        return file

    def _file(self, name: str) -> tuple[JSON, bytes]:
        if name not in self._files:
            raise Refusal(404, "invalid_request_error", f"No such File object: {name}")
        return self._files[name]

    def _order(self, asked: JSON, now: int) -> Answer:
        lines = self._file(asked["input_file_id"])[1].splitlines()
        digest = hashlib.sha256(f"{len(self._batches)} {now} {asked}".encode()).hexdigest()[:24]
        batch: JSON = {
            "id": f"batch_{digest}", "object": "batch", "endpoint": asked["endpoint"], "errors": None,
            "input_file_id": asked["input_file_id"], "completion_window": asked["completion_window"],
            "status": "validating", "output_file_id": None, "error_file_id": None, "created_at": now,
            "in_progress_at": None, "expires_at": now + _DAY, "finalizing_at": None, "completed_at": None,
            "failed_at": None, "expired_at": None, "cancelling_at": None, "cancelled_at": None,
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
            "metadata": asked.get("metadata"),
        }  # fmt: skip
        self._batches[batch["id"]] = batch
        return _json(batch)

    def _batch(self, name: str) -> JSON:
        if name not in self._batches:
            raise Refusal(404, "invalid_request_error", f"No batch found with id '{name}'.")
        return self._batches[name]

    def _moved(self, batch: JSON, now: int) -> JSON:
        """The batch, one step further."""
        if batch["status"] in _STEPS[:-1]:
            batch["status"] = _STEPS[_STEPS.index(batch["status"]) + 1]
            batch["in_progress_at"] = batch["in_progress_at"] or now
            if batch["status"] == "completed":
                self._complete(batch, now)
        return batch

    def _complete(self, batch: JSON, now: int) -> None:
        good: list[bytes] = []
        bad: list[bytes] = []
        for number, line in enumerate(self._file(batch["input_file_id"])[1].splitlines()):
            asked: JSON = msgspec.json.decode(line)
            said = {"id": f"batch_req_{number}", "custom_id": asked["custom_id"], "error": None}
            try:
                body, status, into = self._solve(asked["url"], asked["body"]), 200, good
            except Refusal as refusal:
                error = {"message": refusal.message, "type": refusal.kind, "param": None, "code": None}
                body, status, into = {"error": error}, refusal.status, bad
            response = {"status_code": status, "request_id": f"req_{number}", "body": body}
            into.append(msgspec.json.encode({**said, "response": response}))
        batch["completed_at"] = now
        batch["request_counts"].update(completed=len(good), failed=len(bad))
        for field, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                content = b"\n".join(lines) + b"\n"
                batch[field] = self._keep(f"{batch['id']}_{field}.jsonl", content, "batch_output", now)["id"]

    def _cancelled(self, batch: JSON, now: int) -> JSON:
        if batch["status"] in _STEPS[:-1]:
            batch.update(status="cancelled", cancelling_at=now, cancelled_at=now)
        return batch

    def _edit(self, form: Mapping[str, tuple[str, bytes]]) -> Answer:
        asked: JSON = {name: content.decode() for name, (filename, content) in form.items() if not filename}
        pictures = sum(1 for name in form if name.startswith("image"))
        answer = self._solve("/v1/images/generations", {**asked, "n": int(asked.get("n", 1))})
        if "usage" in answer:
            answer["usage"]["input_tokens"] += 323 * pictures
            answer["usage"]["input_tokens_details"]["image_tokens"] += 323 * pictures
            answer["usage"]["total_tokens"] += 323 * pictures
        return _json(answer)


def _form(body: bytes, content_type: str) -> dict[str, tuple[str, bytes]]:
    """Parts by name: their filename, empty for plain fields, and their content."""
    boundary = b"--" + content_type.partition("boundary=")[2].strip('"').encode()
    parts: dict[str, tuple[str, bytes]] = {}
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        found = _PART.search(head)
        if found is not None:
            parts[found[1].decode()] = ((found[2] or b"").decode(), content.removesuffix(b"\r\n"))
    return parts


def _json(data: Any) -> Answer:
    return b"application/json", msgspec.json.encode(data)
