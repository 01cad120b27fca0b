"""The settings the gateway owns: ``[gateway]``, ``[providers.NAME]`` and ``[models.NAME]``."""

from typing import Literal

import msgspec

from farthing.core.nouns import Objective


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the workers listen and what they accept.

    ``require_keys``: refuse requests without a Farthing key; may only be switched off on loopback.
    ``max_body_bytes``: larger requests get 413. ``drain_seconds``: how long SIGTERM waits for
    requests in flight. Timeouts are per phase, in seconds: to connect, to the first byte, and
    between two reads; a provider may have its own. ``attempts``: the most upstream attempts that one request gets, its
    first included. ``patience``: the seconds that it may wait between them, in all. ``retry_share``: the share of a
    target's requests that may be sent to it again (0: never). A target's breaker opens after ``breaker_failures`` in a
    row or when the share ``breaker_share`` of the last 20 requests failed, and rests ``breaker_rest`` seconds at most.
    ``passthrough`` names the providers that ``/passthrough/PROVIDER/…`` leads to. ``private_upstreams``: providers that
    are added at run time may have private addresses, too, as those of the settings file may. ``max_file_bytes``: larger
    uploads to ``/v1/files``, and larger batches of messages, get 413.
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
    passthrough: tuple[str, ...] = ()
    private_upstreams: bool = False
    max_file_bytes: int = 200 * 1024 * 1024
    attempts: int = 4
    patience: float = 10
    retry_share: float = 0.1
    breaker_failures: int = 3
    breaker_share: float = 0.5
    breaker_rest: float = 60


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One upstream account.

    ``vendor`` names a row of the vendor table (``openai``, ``azure``, ``anthropic``, ``gemini``,
    ``bedrock``, ``ollama``, ``groq``, …), which knows dialect, default address, how the key is sent and
    whose prices apply; the other fields override that row. ``api_key`` is ``env:NAME`` or
    ``file:PATH``, never the secret itself. ``prices`` is the catalogue provider id whose prices apply;
    ``region`` and ``tags`` (``eu``, ``hipaa``, …) describe the account for routing.
    ``connect_timeout``, ``first_byte_timeout`` and ``read_timeout`` are this account's own, in seconds; 0 takes the
    gateway's.
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
    connect_timeout: float = 0
    first_byte_timeout: float = 0
    read_timeout: float = 0
    enabled: bool = True


class HedgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a second attempt is sent beside one that keeps its client waiting, and what that may cost.

    ``after``: the quantile of the first target's own time to the first byte that must have passed; ``after_ms``: that
    many milliseconds instead. Without both, nothing is hedged. ``max_extra_cost`` is the share of the alias's spend
    that losing attempts may cost, ``max_requests`` the share of its requests that may be hedged.
    """

    after: Literal["", "p95", "p99"] = ""
    after_ms: float = 0
    max_extra_cost: float = 0.02
    max_requests: float = 0.05

    @property
    def enabled(self) -> bool:
        """Whether anything is hedged at all."""
        return bool(self.after or self.after_ms)


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
    promise that eligible targets must keep. ``hedge`` allows second attempts beside slow ones.
    """

    targets: tuple[TargetSettings, ...]
    strategy: Literal["cheapest", "weighted"] = "cheapest"
    tags: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    objective: Objective = Objective()
    hedge: HedgeSettings = HedgeSettings()
