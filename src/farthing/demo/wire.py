"""What simulated wire dialects have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from farthing.demo.mind import Mind

Body = Mapping[str, Any] | Iterator[bytes]
"""A whole JSON answer, or the events of a stream."""


class Refusal(Exception):  # noqa: N818 - providers call it a refusal; the status says whose fault it is
    """The simulated provider says no."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


class Wire(ABC):
    """One provider's endpoint: answers bodies in its dialect, errors included."""

    def __init__(self, vendor: str, models: tuple[str, ...], mind: Mind) -> None:
        self.vendor = vendor
        self.models = models
        self.mind = mind

    @abstractmethod
    def handle(self, path: str, body: dict[str, Any], created: int) -> Body:
        """The answer to a request. ``created`` is Unix seconds. Raises ``Refusal``."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> dict[str, Any]:
        """A refusal in this dialect."""

    def known(self, body: Mapping[str, Any]) -> None:
        """Raises ``Refusal`` for a model this provider does not serve."""
        model = body.get("model")
        if model not in self.models:
            raise Refusal(
                404, "invalid_request_error", f"The model `{model}` does not exist or you do not have access to it."
            )


def sse(data: Mapping[str, Any]) -> bytes:
    """A server-sent event without a name."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def named_event(name: str, data: Mapping[str, Any]) -> bytes:
    """A server-sent event with a name."""
    return f"event: {name}\n".encode() + sse(data)


def inner(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A nested object, empty when it is missing or null."""
    return body.get(name) or {}


def rows(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A nested list of objects, empty when it is missing or null."""
    return body.get(name) or []
