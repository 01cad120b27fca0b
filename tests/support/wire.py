"""Calls, targets and recorded answers for tests of the wire and of dialects."""

import itertools
import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from farthing.core.facts import Operation
from farthing.core.plugin import Registry
from farthing.gateway.ports import Call, Caller, Dialect, Target
from farthing.gateway.settings import ProviderSettings
from farthing.gateway.vendors import provider
from farthing.gateway.wire.read import read_call

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVENTS = {b"content-type": b"text/event-stream; charset=utf-8"}
JSON = {b"content-type": b"application/json"}
SECRETS = {"bedrock": "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

_CLIENT = {Operation.MESSAGE: "anthropic", Operation.COUNT_TOKENS: "anthropic"}


def call_of(
    operation: Operation, body: bytes | dict[str, Any], headers: list[tuple[bytes, bytes]] | None = None
) -> Call:
    """A call as the pipeline reads it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    dialect = _CLIENT.get(operation, "openai")
    return read_call(operation, dialect, "/v1/x", raw, headers or [], request_id="req1", at=AT, caller=Caller())


def target_of(vendor: str, model: str = "the-model", **settings: Any) -> Target:
    """A target at a vendor."""
    region = {"region": "us-east-1"} if vendor == "bedrock" else {}
    config = ProviderSettings(vendor=vendor, **{**region, **settings})
    return Target(
        provider=provider("up", config, SECRETS.get(vendor, "sk-secret")), model=model, offer_id=f"{vendor}/m"
    )


@cache
def dialect_of(name: str) -> Dialect:
    """A dialect by name, found as the gateway finds it."""
    return Registry[Dialect]("dialect", "farthing.gateway.providers", "farthing.dialects").get(name)


def relayed(reading: Any, data: bytes, cuts: list[int] | None = None) -> bytes:
    """Client bytes for an answer that arrives in chunks cut at these offsets."""
    edges = [0, *sorted(cuts or []), len(data)]
    out = b"".join(reading.feed(data[a:b]) for a, b in itertools.pairwise(edges))
    return out + reading.close()


def sse(*events: Any, names: bool = False) -> bytes:
    """Server-sent events of JSON values; text travels as it is."""
    blocks: list[bytes] = []
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event)
        name = f"event: {event['type']}\n" if names else ""
        blocks.append(f"{name}data: {data}\n\n".encode())
    return b"".join(blocks)


def unsse(data: bytes) -> list[Any]:
    """The JSON values of a stream of server-sent events."""
    lines = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]
