"""The settings the gateway owns: ``[gateway]``, ``[providers.NAME]`` and ``[models.NAME]``."""

from typing import Literal

import msgspec

from farthing.core.nouns import Objective


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the workers listen and what they accept.

    ``require_keys``: refuse requests without a Farthing key; may only be switched off on loopback.
    ``max_body_bytes``: larger requests get 413. ``drain_seconds``: how long SIGTERM waits for
    requests in flight. Timeouts are per phase, in seconds: to connect, to the first byte, and
    between two reads.
    """

    host: str = "127.0.0.1"
    port: int = 4180
    workers: int = 1
    require_keys: bool = True
    max_body_bytes: int = 32 * 1024 * 1024
    drain_seconds: float = 30
    connect_timeout: float = 5
    first_byte_timeout: float = 600
    read_timeout: float = 120
    connections_per_host: int = 512
    journal_segment_bytes: int = 16 * 1024 * 1024
    otel_endpoint: str = ""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One upstream account.

    ``vendor`` names a row of the vendor table (``openai``, ``azure``, ``anthropic``, ``gemini``,
    ``bedrock``, ``ollama``, ``groq``, …), which knows dialect, default address, how the key is sent and
    whose prices apply; the other fields override that row. ``api_key`` is ``env:NAME`` or
    ``file:PATH``, never the secret itself. ``prices`` is the catalogue provider id whose prices apply;
    ``region`` and ``tags`` (``eu``, ``hipaa``, …) describe the account for routing.
    """

    vendor: str
    base_url: str = ""
    api_key: str = ""
    dialect: Literal["", "openai", "anthropic", "gemini", "bedrock"] = ""
    prices: str = ""
    region: str = ""
    tags: frozenset[str] = frozenset()
    headers: dict[str, str] = {}
    models: tuple[str, ...] = ()
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    enabled: bool = True


class TargetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place an alias may go. ``model`` is the provider's name; ``weight`` is relative."""

    provider: str
    model: str
    weight: float = 1
    terms: Literal["on_demand", "flex", "priority"] = "on_demand"


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model alias: what clients ask for, and where it may go.

    ``strategy``: ``cheapest`` (lowest expected cost among eligible targets) or ``weighted`` (random
    by weight). ``tags`` and ``regions`` restrict where requests may go; ``objective`` is the latency
    promise that eligible targets must keep.
    """

    targets: tuple[TargetSettings, ...]
    strategy: Literal["cheapest", "weighted"] = "cheapest"
    tags: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    objective: Objective = Objective()
