"""The seams of the gateway: what the pipeline passes along, and what it asks of its parts.

``Call`` is what the client wants. A ``Route`` orders the ``Target``s that may serve it. The target's
``Dialect`` writes the upstream ``Ask`` and a ``Reading`` turns the upstream's bytes into the
client's, metering as it goes. ``Upstream`` moves bytes and knows nothing of models. ``Journal`` makes
an attempt survive the worker.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from farthing.core.facts import ErrorKind, Operation, RequestFact, Source
from farthing.core.money import Money
from farthing.core.nouns import Decision, Objective, Offer, Scope, Terms
from farthing.core.units import Unit, Usage
from farthing.gateway.breaker import State
from farthing.gateway.experience import Track
from farthing.gateway.hedge import Purse
from farthing.gateway.settings import HedgeSettings

Headers = list[tuple[bytes, bytes]]
"""Raw HTTP headers, names in lower case, as ASGI has them."""


class Caller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who asks, after authentication. ``models`` empty means every model, ``category`` that the client may say it."""

    key_id: str = ""
    scope: Scope = Scope()
    category: str = ""
    models: frozenset[str] = frozenset()


class Call(msgspec.Struct, kw_only=True, gc=False):
    """One client request, read once at the edge. ``body`` is what the client sent, untouched.

    ``model`` is the name the client asked for. ``output_limit`` is its cap on output tokens, 0 for
    none. ``input_estimate`` bounds the input tokens from above (bytes bound tokens for text).
    ``choices`` is how many answers it wants. ``most`` is the most that can be counted, where the call itself says it.
    ``told`` are headers for the client about what was done to its request; ``whole``: it does not want its answer
    shortened to what a budget still covers. ``needs`` are capability words the answer
    depends on (``tools``, ``image``, ``audio``, ``json_schema``). ``refers``: the model reads more than what is in the
    request, such as a stored file. ``own_tools`` are those that the provider runs by itself. ``wants_usage``: whether a
    streaming client asked for the usage chunk itself.
    ``tags`` and ``regions`` restrict the route; they come from ``x-farthing-*`` headers and only ever
    narrow what the key and the alias allow. ``reuse`` is what the client says of caches: ``off``, or ``refresh``: ask
    afresh and keep the answer; ``spared`` is what a cache answered of it. ``method`` is the HTTP method; ``parts`` is
    what a batch asks for, model by model, and takes the place of ``input_estimate`` and ``output_limit`` where there
    are any.
    """

    request_id: str
    at: datetime
    operation: Operation
    dialect: str
    path: str
    model: str
    body: bytes
    stream: bool = False
    wants_usage: bool = True
    output_limit: int = 0
    choices: int = 1
    input_estimate: int = 0
    most: Usage | None = None
    needs: frozenset[str] = frozenset()
    refers: bool = False
    own_tools: "OwnTools | None" = None
    caller: Caller = Caller()
    objective: Objective = Objective()
    tags: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    labels: Mapping[str, str] = {}
    headers: Headers = []
    told: Headers = []
    whole: bool = False
    method: str = "POST"
    parts: "tuple[Part, ...]" = ()
    reuse: str = ""
    spared: Usage | None = None


class OwnTools(msgspec.Struct, frozen=True, gc=False):
    """Tools that a provider runs for a request: at most so many ``uses`` of them all (``None``: nobody bounds what
    they cost), each billed as one of ``units`` where there are any.
    """

    uses: int | None
    units: tuple[Unit, ...] = ()


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A configured upstream account with its vendor row applied; ``api_key`` is the secret itself.

    ``auth`` is how the key travels: ``bearer``, ``api-key``, ``x-api-key``, ``x-goog-api-key``, ``sigv4`` or ``none``.
    """

    name: str
    vendor: str
    dialect: str
    base_url: str
    auth: str = "bearer"
    api_key: str = ""
    prices: str = ""
    region: str = ""
    tags: frozenset[str] = frozenset()
    headers: Headers = []
    on_disconnect: str = "cancel"
    timeouts: "Timeouts | None" = None

    def __repr__(self) -> str:
        return f"Provider({self.name!r}, {self.base_url!r})"


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """An account's own seconds per phase: to connect, to the first byte, between two reads. 0 takes the gateway's."""

    connect: float = 0
    first_byte: float = 0
    read: float = 0


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's model that can serve a call, and the offers that price it (empty: unpriced).

    ``offers`` hold all dated and daily variants of one offer id. ``other_terms`` hold the same model's
    offers under other terms (flex, priority, …), for answers that were served so. ``terms`` are those to
    ask the provider for.
    """

    provider: Provider
    model: str
    offer_id: str
    offers: tuple[Offer, ...] = ()
    weight: float = 1
    terms: Terms = Terms.ON_DEMAND
    other_terms: Mapping[Terms, tuple[Offer, ...]] = {}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """All requests for one model in a batch, and the most that they can come to.

    ``offers`` price them under batch terms (empty: unpriced). ``input_tokens`` bounds what they read together,
    ``output_limit`` what those with a cap may write together; ``uncapped`` counts the others, each of which may write
    as much as the model can, and ``referring`` those that may read as much as it can. ``unbounded`` are those whose
    provider may use tools of its own.
    """

    model: str
    requests: int
    input_tokens: int
    output_limit: int
    uncapped: int
    referring: int = 0
    unbounded: int = 0
    offers: tuple[Offer, ...] = ()


class Route(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Targets in the order in which they are to be tried, and the decision about them.

    ``record`` is the decision as the ledger keeps it: JSON text. ``hedge`` says when a second attempt may be made
    beside a slow first one, ``None`` for never. ``models`` are all that may answer such a call, whether they are well
    at this moment or not.
    """

    targets: tuple[Target, ...]
    decision: Decision
    record: str = ""
    baseline: Target | None = None
    hedge: HedgeSettings | None = None
    models: tuple[str, ...] = ()


class Ask(msgspec.Struct, kw_only=True, gc=False):
    """One HTTP request to a provider. ``once``: it goes over a new connection, and never again by itself."""

    method: str
    url: str
    headers: Headers
    body: bytes
    timeouts: Timeouts | None = None
    once: bool = False


class Meter(msgspec.Struct, kw_only=True, gc=False):
    """What an answer said about itself. ``reported_cost`` is what the provider says it charged."""

    usage: Usage | None = None
    usage_source: Source = Source.NONE
    reported_cost: Money | None = None
    served_model: str = ""
    upstream_id: str = ""
    finish_reason: str = ""
    error_kind: ErrorKind = ErrorKind.NONE
    error: str = ""
    complete: bool = False
    service_tier: str = ""


class Reading(Protocol):
    """Turns one upstream answer into the client's dialect while metering it.

    A stateful object per attempt. Bytes go in as they arrive, client bytes come out. ``status`` and
    ``content_type`` are what the client is told: settled from the start for a stream, by ``close`` for
    an answer that is read whole (a provider's error under 200 becomes 502).
    """

    meter: Meter
    status: int
    content_type: bytes

    def feed(self, data: bytes) -> bytes:
        """Client bytes for these upstream bytes; empty while an event or the body is incomplete."""
        ...

    def close(self) -> bytes:
        """The last client bytes once the upstream's body ended. Completes ``meter``, estimating usage if
        the provider did not say. For an upstream error this is the error in the client's own shape.
        """
        ...


class Dialect(Protocol):
    """A provider's wire language. One file each in ``gateway/providers``."""

    name: str

    def ask(self, call: Call, target: Target) -> Ask:
        """The upstream request. Raises ``InputError`` for what this dialect cannot carry."""
        ...

    def reading(self, call: Call, target: Target, status: int, headers: Mapping[bytes, bytes]) -> Reading:
        """How to read the answer with this status and these (lower-case) headers."""
        ...


class Answer(Protocol):
    """An upstream response whose head has arrived."""

    status: int
    headers: Headers

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ``UpstreamError`` with its kind when it breaks."""
        ...

    def release(self) -> None:
        """The answer is complete: keep the connection as soon as what is left of the body has arrived."""
        ...

    async def aclose(self) -> None:
        """Give the connection back, or cut it when the body was not read to its end."""
        ...


class Upstream(Protocol):
    """Moves bytes to providers and back."""

    async def open(self, ask: Ask) -> Answer:
        """Send it and wait for the head. Raises ``UpstreamError`` with its kind."""
        ...

    async def aclose(self) -> None: ...


class Router(Protocol):
    """Decides where a call goes. Replaceable: the pipeline knows only this."""

    def route(self, call: Call) -> Route:
        """Raises ``NotFoundError`` for an unknown model, ``InputError`` when no target is eligible."""
        ...

    def observe(self, fact: RequestFact, retry_after: float = 0.0) -> None:
        """Learn from an attempt's outcome: latency and health of its offer.

        ``retry_after`` is how many seconds the provider asked to be left alone, 0 if it did not.
        """
        ...

    def track(self, target: Target) -> Track:
        """What was learned about a target: its health, its pace, how fast it is."""
        ...

    def clear(self, target: Target, now: float) -> Track | None:
        """The record of a target that nothing speaks against, for a first attempt at ``now``; ``None`` otherwise."""
        ...

    def sending(self, track: Track, now: float) -> bool:
        """A call is about to be sent to this target, at ``now`` in seconds since 1970. Whether it is a probe."""
        ...

    def outpaced(self, fact: RequestFact) -> None:
        """An attempt was stopped because a later one at another target had answered."""
        ...

    def purse(self, alias: str) -> Purse:
        """What an alias spends, and has spent on hedges."""
        ...

    def breakers(self, now: float) -> Mapping[tuple[str, str], State]:
        """The state of every breaker by provider and model; an account's own has no model."""
        ...

    def models(self, caller: Caller) -> list[str]:
        """Names this caller may ask for, sorted."""
        ...


class Keyring(Protocol):
    """Knows the callers."""

    def authenticate(self, token: str, at: datetime) -> Caller:
        """Raises ``DeniedError`` for unknown, expired or revoked keys."""
        ...

    def caller(self, key_id: str, at: datetime) -> Caller:
        """Who has the key of this id. Raises ``DeniedError`` as above."""
        ...


class Grant(Protocol):
    """What a call was allowed to use. It covers one attempt at the route's first target; further ones extend it.

    ``call`` is the call as it may be sent: what is left may have shortened its answer. ``headers`` tell the client.
    """

    call: Call
    headers: Headers

    def extend(self, target: Target) -> bool:
        """Hold the worst case of one more attempt as well; false when it does not fit, and must not be made."""
        ...

    def settle(self, fact: RequestFact) -> None:
        """An attempt ended: what it cost is used, what was held for it beyond that is free again."""
        ...

    def close(self) -> None:
        """No more attempts will be made."""
        ...


class Admission(Protocol):
    """Says whether a call may be sent, before it is."""

    def admit(self, call: Call, route: Route) -> Grant | None:
        """Hold the worst case that the first target can bill; ``None`` when that does not fit at this moment.

        Raises ``LimitError`` when waiting would not help.
        """
        ...

    async def wait(self, call: Call, route: Route) -> Grant:
        """Wait until what is held by others comes back. Raises ``LimitError`` when it does not in time."""
        ...


class Journal(Protocol):
    """Makes attempts survive the worker (SIGKILL included), without waiting for a disk.

    An intent is written before the upstream call and reserves room for its outcome, so that an
    outcome can always be written. Raises ``UnavailableError`` when there is no room for an intent.
    """

    def intend(self, fact: RequestFact) -> object:
        """Record that an attempt is about to begin; returns the handle its outcome needs."""
        ...

    def settle(self, intent: object, fact: RequestFact) -> None:
        """Record how it ended. Called exactly once per intent."""
        ...

    def note(self, fact: RequestFact) -> None:
        """Record a fact that had no upstream call (a refusal, a cache hit)."""
        ...
