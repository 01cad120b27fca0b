"""The list of models, as each dialect's SDK expects it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec


def models_body(dialect: str, names: Sequence[str], created: datetime) -> bytes:
    """All models a caller may ask for. ``created`` stands for each, since a gateway knows no birthdays."""
    data = [_entry(dialect, name, created) for name in names]
    if dialect == "anthropic":
        first, last = (names[0], names[-1]) if names else (None, None)
        return msgspec.json.encode({"data": data, "has_more": False, "first_id": first, "last_id": last})
    return msgspec.json.encode({"object": "list", "data": data})


def model_body(dialect: str, name: str, created: datetime) -> bytes:
    """One model."""
    return msgspec.json.encode(_entry(dialect, name, created))


def _entry(dialect: str, name: str, created: datetime) -> dict[str, Any]:
    if dialect == "anthropic":
        stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"type": "model", "id": name, "display_name": name, "created_at": stamp}
    return {"id": name, "object": "model", "created": int(created.timestamp()), "owned_by": "farthing"}
