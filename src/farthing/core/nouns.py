"""The things Farthing talks about. Frozen values; identity belongs to storage."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from farthing.core.errors import InputError
from farthing.core.money import Money, Rate, Unpriced
from farthing.core.time import DailyHours, Window
from farthing.core.units import Unit

ALWAYS = Window()


class Scope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who pays, from coarse to fine. An empty field is unallocated, never somebody."""

    org: str = ""
    team: str = ""
    project: str = ""
    environment: str = ""
    feature: str = ""
    customer: str = ""
    user: str = ""
    key: str = ""

    def narrowed(self, **finer: str) -> "Scope":
        """This scope with empty fields filled in. A field that is already set is never replaced,
        so that a caller cannot book on somebody else's account.
        """
        own = msgspec.structs.asdict(self)
        return Scope(**{**own, **{k: v for k, v in finer.items() if v and not own[k]}})


class Kind(StrEnum):
    """What sort of supply an offer is."""

    TOKENS = "tokens"
    MACHINE = "machine"
    SERVERLESS = "serverless"
    OWNED = "owned"
    EDGE = "edge"
    STORAGE = "storage"
    NETWORK = "network"


class Terms(StrEnum):
    """How it is bought."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED_1Y = "reserved_1y"
    RESERVED_3Y = "reserved_3y"
    SAVINGS_PLAN = "savings_plan"
    BATCH = "batch"
    FLEX = "flex"
    PRIORITY = "priority"
    PROVISIONED = "provisioned"


class Capability(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an offer can do. Zero and empty mean unknown, not none.

    Tokens: ``context_tokens`` (input and output together), ``output_tokens``, ``input_modalities``,
    ``features`` (``tools``, ``json_schema``, ``stream``, ``embedding``, ``chat``, …).
    Machines: ``accelerator`` is a canonical name such as ``H100-80GB``, ``accelerators`` their
    count, ``accelerator_memory_gb`` each one's memory; ``vcpus`` and ``memory_gb`` are the host's.
    """

    context_tokens: int = 0
    output_tokens: int = 0
    input_modalities: frozenset[str] = frozenset()
    output_modalities: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    accelerator: str = ""
    accelerators: int = 0
    accelerator_memory_gb: Decimal = Decimal(0)
    vcpus: Decimal = Decimal(0)
    memory_gb: Decimal = Decimal(0)


class Price(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The rate of one unit, from a context length upwards.

    ``above``: the rate holds for the *whole* usage once its ``token.input`` count exceeds this many
    tokens (providers' context-length bands are cliffs, not brackets). 0 is the base rate.
    """

    unit: Unit
    rate: Rate
    above: int = 0


class Offer(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """A dated way to buy something: an API model, a spot GPU in one zone, an owned box.

    ``id`` is stable over time and unique among offers that hold at the same instant, for example
    ``openai/gpt-5-mini`` or ``aws/p5.48xlarge@us-east-1:spot``. ``product`` is the provider's own
    name for it. Several offers share an id when its price changed: ``effective`` tells them apart,
    and ``daily`` those that hold at some hours only. ``checked`` is the day somebody or some feed
    last confirmed the price; ``source`` says where.
    """

    id: str
    kind: Kind
    provider: str
    product: str
    prices: tuple[Price, ...]
    region: str = ""
    zone: str = ""
    tags: frozenset[str] = frozenset()
    terms: Terms = Terms.ON_DEMAND
    capability: Capability = Capability()
    effective: Window = ALWAYS
    daily: DailyHours | None = None
    source: str = ""
    checked: date | None = None

    def __post_init__(self) -> None:
        currencies = {p.rate.currency for p in self.prices}
        if len(currencies) > 1:
            raise InputError("one offer, one currency", field=f"offer {self.id}", value=sorted(currencies))


class QuoteLine(msgspec.Struct, frozen=True, gc=False):
    """One leaf of a usage at one rate."""

    unit: Unit
    quantity: int | Decimal
    rate: Rate
    amount: Money


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The itemised price of a usage on an offer at an instant; ``total`` is the exact sum."""

    offer: str
    at: datetime
    lines: tuple[QuoteLine, ...] = ()
    total: Money | Unpriced = Unpriced("nothing was priced")


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """One cost fact of a bill, in the terms of FOCUS 1.x (focus.finops.org).

    The four costs follow FOCUS: ``billed`` is invoiced in the billing period, ``effective`` has
    commitments amortised, ``list_cost`` is at public prices, ``contracted`` at negotiated ones.
    ``columns`` keeps every other FOCUS or ``x_`` column of the source under its own name.
    """

    window: Window
    billed: Money
    effective: Money
    list_cost: Money | None = None
    contracted: Money | None = None
    category: str = "Usage"
    provider: str = ""
    service: str = ""
    service_category: str = ""
    resource: str = ""
    sku: str = ""
    region: str = ""
    description: str = ""
    quantity: Decimal | None = None
    unit: str = ""
    scope: Scope = Scope()
    tags: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    columns: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])


class Objective(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A latency promise in milliseconds; 0 means none. ``ttft`` is the time to the first token."""

    p50_ms: float = 0
    p95_ms: float = 0
    p99_ms: float = 0
    ttft_p95_ms: float = 0


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Demand in bulk: what a planner covers with offers.

    ``arrivals`` counts requests per ``step`` of the window. ``quality_floor`` is a score in [0, 1]
    on the workload's own evaluation. ``deadline_slack`` is how long a request may wait.
    """

    model: str
    window: Window
    step: timedelta
    arrivals: tuple[int, ...]
    input_tokens: tuple[int, ...] = ()
    output_tokens: tuple[int, ...] = ()
    objective: Objective = Objective()
    quality_floor: float = 0
    deadline_slack: timedelta = timedelta()
    tags: frozenset[str] = frozenset()
    scope: Scope = Scope()


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why an offer lost: ``stage`` is the filter's name, ``reason`` a sentence with the numbers."""

    offer: str
    stage: str
    reason: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Which offer serves a request, and why every other one does not.

    ``expected_cost`` and ``expected_ms`` are before the call. ``baseline`` is the offer the request
    would have used with no optimisation: the one the caller named, on demand.
    """

    asked: str
    chosen: str
    reason: str
    rejected: tuple[Rejection, ...] = ()
    expected_cost: Money | Unpriced = Unpriced("no estimate")
    expected_ms: float | None = None
    baseline: str = ""
    baseline_cost: Money | Unpriced = Unpriced("no baseline")


class Level(StrEnum):
    """How much work, disturbance or risk something brings."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Saving(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Money saved per month: the middle estimate inside an 80 % range."""

    low: Money
    mid: Money
    high: Money

    def __post_init__(self) -> None:
        if not self.low <= self.mid <= self.high:
            raise InputError("low ≤ mid ≤ high", field="saving", value=(str(self.low), str(self.mid), str(self.high)))


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """A proposed change: what to do as something executable, what it saves, how to check it later."""

    lever: str
    subject: str
    change: Mapping[str, Any]
    saving: Saving
    effort: Level
    disruption: Level
    evidence: tuple[str, ...]
    assumptions: tuple[str, ...] = ()
    verify: str = ""


class Verdict(StrEnum):
    """What a policy says of an action."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A rule over scopes and actions. Every non-empty field of ``scope`` must match.

    ``actions`` are names such as ``model.use`` or ``key.create``; a trailing ``*`` matches a prefix.
    """

    name: str
    scope: Scope
    actions: tuple[str, ...]
    verdict: Verdict
    reason: str

    def covers(self, action: str, scope: Scope) -> bool:
        """Whether this policy speaks about an action of somebody."""
        wanted = msgspec.structs.asdict(self.scope)
        return all(not v or getattr(scope, k) == v for k, v in wanted.items()) and any(
            action == a or (a.endswith("*") and action.startswith(a[:-1])) for a in self.actions
        )


__all__ = [
    "ALWAYS", "Capability", "Charge", "Decision", "Kind", "Level", "Objective", "Offer", "Policy", "Price", "Quote",
    "QuoteLine", "Recommendation", "Rejection", "Saving", "Scope", "Terms", "Verdict", "Workload",
]  # fmt: skip
