"""LLM prices of LiteLLM's ``model_prices_and_context_window.json`` (MIT): a second opinion on tokens.

Only token prices are read; each key such as ``input_cost_per_token_above_200k_tokens_batches`` names a unit,
a context band and the terms.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from farthing.catalog.sources import Listing
from farthing.catalog.sources._fetch import fetch
from farthing.core.errors import InputError
from farthing.core.money import EXACT, Rate
from farthing.core.nouns import Capability, Kind, Offer, Price, Terms
from farthing.core.units import Unit

_UNITS = {
    "input_cost_per_token": "token.input",
    "output_cost_per_token": "token.output",
    "cache_read_input_token_cost": "token.input.cache_read",
    "cache_creation_input_token_cost": "token.input.cache_write",
    "cache_creation_input_token_cost_above_1hr": "token.input.cache_write.1h",
    "input_cost_per_audio_token": "token.input.audio",
    "output_cost_per_audio_token": "token.output.audio",
    "cache_read_input_audio_token_cost": "token.input.audio.cache_read",
    "input_cost_per_image_token": "token.input.image",
    "output_cost_per_image_token": "token.output.image",
    "cache_read_input_image_token_cost": "token.input.image.cache_read",
    "input_cost_per_video_token": "token.input.video",
    "output_cost_per_reasoning_token": "token.output.reasoning",
}
_TERMS = {"": Terms.ON_DEMAND, "batches": Terms.BATCH, "priority": Terms.PRIORITY, "flex": Terms.FLEX}
_KEY = re.compile(
    rf"(?P<base>{'|'.join(sorted(_UNITS, key=len, reverse=True))})"
    r"(?:_above_(?P<band>\d+)k_tokens)?(?:_(?P<terms>batches|priority|flex))?"
)
_PROVIDERS = {
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "gemini": "google",
    "xai": "x-ai",
    "azure_ai": "azure",
    "azure_text": "azure",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "together_ai": "together",
    "moonshot": "moonshotai",
    "cohere_chat": "cohere",
    "text-completion-openai": "openai",
    "voyage": "voyageai",
}
_MILLION = 1_000_000


class LiteLlm:
    """The feed ``litellm``."""

    name = "litellm"
    location = "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json"
    version = "1"

    def fetch(self, location: str = "") -> bytes:
        """The published JSON."""
        return fetch(location or self.location)

    def read(self, data: bytes, *, as_of: date | None = None) -> Listing:
        """Token offers in the JSON."""
        try:
            raw: dict[str, dict[str, Any]] = json.loads(data, parse_float=Decimal)
            offers = tuple(o for key, row in raw.items() if key != "sample_spec" for o in _offers(key, row, as_of))
        except (ValueError, AttributeError, TypeError) as problem:
            raise InputError(f"not LiteLLM's price list: {problem}", field=self.name, value=data[:80]) from None
        return Listing(offers=tuple({o.id: o for o in reversed(offers)}.values())[::-1], as_of=as_of)

    def shipped(self, on: date) -> Listing:
        """Nothing: this feed is a comparison, fetched on demand."""
        del on
        return Listing(offers=())


plugin = LiteLlm()


def _offers(key: str, row: Mapping[str, Any], as_of: date | None) -> Iterator[Offer]:
    provider = _provider(str(row.get("litellm_provider", "")))
    product = key.split("/", 1)[1] if "/" in key and _provider(key.split("/", 1)[0]) == provider else key
    for terms in _TERMS.values():
        prices = tuple(_prices(row, terms))
        if not any(p.unit.direction == "input" for p in prices):
            continue
        yield Offer(
            id=f"{provider}/{product}" + ("" if terms is Terms.ON_DEMAND else f":{terms}"),
            kind=Kind.TOKENS,
            provider=provider,
            product=product,
            prices=prices,
            terms=terms,
            capability=_capability(row),
            source=f"litellm: {row.get('source', '')}",
            checked=as_of,
        )


def _provider(name: str) -> str:
    if name.startswith("vertex_ai"):
        return "google"
    return _PROVIDERS.get(name, name)


def _prices(row: Mapping[str, Any], terms: Terms) -> Iterator[Price]:
    for key, value in row.items():
        found = _KEY.fullmatch(key)
        if found is None or _TERMS[found["terms"] or ""] is not terms or not isinstance(value, (Decimal, int)):
            continue
        amount = EXACT.multiply(Decimal(value), Decimal(_MILLION)).normalize(EXACT)
        if amount < 0:
            continue
        unit = Unit.parse(_UNITS[found["base"]])
        yield Price(unit=unit, rate=Rate(amount, per=_MILLION), above=int(found["band"] or 0) * 1000)


def _capability(row: Mapping[str, Any]) -> Capability:
    modes = {"embedding": "embedding", "chat": "chat", "responses": "chat", "completion": "completion"}
    features = {modes[row["mode"]]} if row.get("mode") in modes else set[str]()
    features |= {"tools"} if row.get("supports_function_calling") else set()
    features |= {"json_schema"} if row.get("supports_response_schema") else set()
    seen = {m for m in ("audio", "image") if row.get({"audio": "supports_audio_input", "image": "supports_vision"}[m])}
    return Capability(
        context_tokens=_whole(row.get("max_input_tokens")),
        output_tokens=_whole(row.get("max_output_tokens")),
        input_modalities=frozenset(seen | {"text"}) if seen else frozenset(),
        features=frozenset(features),
    )


def _whole(value: object) -> int:
    return int(value) if isinstance(value, (int, Decimal)) else 0
