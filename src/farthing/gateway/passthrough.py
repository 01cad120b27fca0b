"""``/passthrough/PROVIDER/PATH``: any request to a provider of the settings, with the provider's key in place of the
client's.

A provider is reached this way only when ``[gateway] passthrough`` names it, and by keys that may use every model,
because what a path does with which model only the provider knows. Where path and dialect are known, usage is read
along; everything else stays unpriced, and says so.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import unquote

import msgspec

from farthing.catalog.usage import usage_in
from farthing.core.errors import DeniedError, InputError
from farthing.core.facts import Operation
from farthing.gateway import pipeline
from farthing.gateway.client import Client
from farthing.gateway.parts import Parts
from farthing.gateway.pipeline import Exchange
from farthing.gateway.ports import Call, Meter, Target
from farthing.gateway.providers._anthropic_gauge import MessageGauge
from farthing.gateway.providers._openai_gauge import ChatGauge, ResponseGauge
from farthing.gateway.providers._openai_images import ImageGauge
from farthing.gateway.providers._passthrough import Gauge
from farthing.gateway.relay import Relay
from farthing.gateway.single import attempt, only, priced_at, provider_named, through, wanted
from farthing.gateway.wire.paths import dialect_of
from farthing.gateway.wire.read import apply_headers
from farthing.gateway.wire.refers import refers
from farthing.gateway.wire.target import ROOT, read_place

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_OWNED = re.compile(r"(?:(?:openai|v\d+(?:beta)?)/)*(?:files|batches|uploads|messages/batches)(?:/|$)", re.IGNORECASE)
"""What the gateway keeps by owner, and would hand to anybody by this way."""

_IN_PATH = re.compile(r"(?:^|/)(?:models?|deployments)/([^/:]+)(?:[:/]|$)")
"""Where Gemini, Bedrock and Azure put the model."""


class _Body(msgspec.Struct, gc=False):
    """What may be known of a body: the model, and its cap on output."""

    model: str = ""
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None

    @property
    def output_limit(self) -> int:
        cap = self.max_completion_tokens or self.max_output_tokens or self.max_tokens or 0
        return max(cap, 0) * max(self.n or 1, 1)


class Reported:
    """A ``Gauge`` of whole answers and events that hold a usage object somewhere; the last one counts."""

    output_bytes = 0

    def __init__(self, flavor: str) -> None:
        self.flavor = flavor
        self.usage = b""

    def body(self, data: bytes, meter: Meter) -> bool:
        try:
            answer: Any = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return False
        for part in cast("list[Any]", answer) if isinstance(answer, list) else [answer]:
            if isinstance(part, dict):
                self._see(cast("dict[str, Any]", part), meter)
        return True

    def event(self, data: bytes, meter: Meter) -> bool:
        return self.body(data, meter)

    def _see(self, part: dict[str, Any], meter: Meter) -> None:
        try:
            meter.usage = usage_in(self.flavor, part) or meter.usage
        except InputError:
            return
        meter.served_model = str(part.get("modelVersion") or meter.served_model)


_GAUGES: Mapping[str, tuple[tuple[re.Pattern[str], Callable[[], Gauge]], ...]] = {
    "openai": (
        (re.compile(r"(?:.*/)?chat/completions"), lambda: ChatGauge(Operation.CHAT, strip=False)),
        (re.compile(r"(?:.*/)?(?<!chat/)completions"), lambda: ChatGauge(Operation.COMPLETION, strip=False)),
        (re.compile(r"(?:.*/)?embeddings"), lambda: ChatGauge(Operation.EMBEDDING, strip=False)),
        (re.compile(r"(?:.*/)?responses"), ResponseGauge),
        (re.compile(r"(?:.*/)?images/(?:generations|edits)"), lambda: ImageGauge(1)),
    ),
    "anthropic": ((re.compile(r"messages"), lambda: MessageGauge(Operation.MESSAGE)),),
    "gemini": ((re.compile(r".*:(?:generateContent|streamGenerateContent)"), lambda: Reported("gemini")),),
    "bedrock": ((re.compile(r"model/[^/]+/converse"), lambda: Reported("bedrock_converse")),),
}
"""Paths of each dialect whose answers say what they used."""


class PassThrough:
    """The door for these requests. ``allowed`` are names of providers, in the order of the settings."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed

    def leads(self, client: Client) -> tuple[Operation, str] | None:
        """The operation and the client's dialect, ``None`` for other paths."""
        if not (client.path.startswith(ROOT.decode()) or client.target.startswith(ROOT)):
            return None
        return Operation.PASSTHROUGH, dialect_of(client.path, client.named)

    async def run(self, exchange: Exchange, parts: Parts) -> None:
        """Answer one request."""
        await through(exchange, parts, (pipeline.authenticate, self._read, self._route, pipeline.admit, self._call))

    async def _read(self, exchange: Exchange, parts: Parts) -> None:
        """Where it is to go, and what can be known of it. Refused before its body is read where it may not go."""
        client, caller = exchange.client, exchange.caller
        place = read_place(client.target)
        if client.method not in METHODS:
            remedy = f"Use {', '.join(METHODS)}"
            raise InputError("not passed through", field="method", value=client.method, remedy=remedy)
        if caller.models:
            raise DeniedError(
                "this key may use some models only, and pass-through none of them by name",
                reason="passthrough_not_allowed",
                remedy="Use the gateway's own routes, or a key without a list of models",
            )
        provider_named(exchange.world, place.provider, self._allowed)
        if _OWNED.match(place.path):
            remedy = "Use the gateway's own /v1/files, /v1/batches and /v1/messages/batches"
            raise InputError("files and batches are not passed through", field="path", value=place.path, remedy=remedy)
        body = await client.body(parts.max_body_bytes)
        known = _known(body)
        exchange.call = Call(
            request_id=exchange.request_id,
            at=exchange.at,
            operation=Operation.PASSTHROUGH,
            dialect=exchange.dialect,
            path=place.suffix,
            model=known.model or _model_in(place.path),
            body=body,
            output_limit=known.output_limit,
            input_estimate=len(body),
            refers=refers(body),
            caller=caller,
            headers=exchange.headers,
            method=client.method,
        )
        apply_headers(exchange.call)
        client.watch()

    async def _route(self, exchange: Exchange, parts: Parts) -> None:
        """The only target. It has prices where what it answers can be counted, and where the model is known."""
        del parts
        call, place = wanted(exchange), read_place(exchange.client.target)
        provider = provider_named(exchange.world, place.provider, self._allowed)
        target = None
        if call.model and gauge_of(provider.dialect, place.path) is not None:
            target = priced_at(exchange.world, call, provider, call.model)
        offer = f"{provider.prices or provider.name}/{call.model or place.path.partition('/')[0]}"
        target = target or Target(provider=provider, model=call.model, offer_id=offer)
        exchange.route = only(call, target, f"passed through to {provider.name}")

    async def _call(self, exchange: Exchange, parts: Parts) -> None:
        call, target = wanted(exchange), exchange.route.targets[0]
        path = call.path.partition("?")[0].removeprefix("/")
        relay = Relay(call.method, call.path, gauge=gauge_of(target.provider.dialect, path))
        try:
            reply, _ = await attempt(exchange, parts, relay)
        finally:
            exchange.grant.close()
        if reply is not None:
            await exchange.client.reply(reply)


def gauge_of(dialect: str, path: str) -> Gauge | None:
    """What reads the usage in answers from a path of a dialect; ``None`` where nothing does."""
    return next((make() for pattern, make in _GAUGES.get(dialect, ()) if pattern.fullmatch(path)), None)


def _known(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _Body()


def _model_in(path: str) -> str:
    found = _IN_PATH.search(path)
    return "" if found is None else unquote(found[1])
