"""Usage as providers report it, read into one nested ``Usage``.

A *flavor* is a way to report usage: a wire dialect (``openai_chat``, ``anthropic``, …) or a vendor that
deviates from one (``xai``, ``deepseek``, …). Two doors:

* ``read_usage(flavor, payload)`` takes the *usage object* itself, as bytes or as a decoded mapping. This
  is the hot path: the gateway cuts the object out of an answer or an event and passes it on.
* ``usage_in(flavor, answer)`` takes a *whole* answer or stream event and finds the object in it. It
  also counts the billed tool calls that OpenAI's Responses API lists as output items only.

Both return ``None`` where nothing usable was reported. Counts that contradict each other are kept:
``catalog.price`` then says why the request stays unpriced.
"""

from collections.abc import Mapping
from typing import Any

from farthing.catalog.usage import anthropic, bedrock, cohere, gemini, openai
from farthing.catalog.usage.reading import Reader
from farthing.core.errors import InputError
from farthing.core.money import Money
from farthing.core.units import Usage

FLAVORS: Mapping[str, Reader[Any]] = {
    "openai_chat": openai.CHAT,
    "openai_completion": openai.CHAT,
    "openai_embedding": openai.CHAT,
    "openai_responses": openai.RESPONSES,
    "openai_realtime": openai.RESPONSES,
    "openai_image": openai.IMAGES,
    "anthropic": anthropic.MESSAGES,
    "gemini": gemini.GENERATE,
    "bedrock_converse": bedrock.CONVERSE,
    "cohere": cohere.CHAT,
    "mistral": openai.CHAT,
    "groq": openai.CHAT,
    "xai": openai.XAI,
    "deepseek": openai.CHAT,
    "moonshotai": openai.CHAT,
    "openrouter": openai.CHAT,
    "perplexity": openai.CHAT,
}
"""Every flavor and who reads it. Vendors named here speak the dialect of their reader, quirks included."""


def read_usage(flavor: str, payload: bytes | Mapping[str, Any]) -> Usage | None:
    """The usage that a usage object reports; ``None`` when it holds no counts or is no usage object."""
    return _reader(flavor).read(payload)


def usage_in(flavor: str, answer: bytes | Mapping[str, Any]) -> Usage | None:
    """The usage that a whole answer or stream event reports; ``None`` when it reports none."""
    return _reader(flavor).find(answer)


def reported_cost(flavor: str, payload: bytes | Mapping[str, Any]) -> Money | None:
    """What the provider says in its usage object that it charges, exact; ``None`` when it does not say.

    OpenRouter and Vercel report ``cost`` in dollars, Perplexity an object with ``total_cost``, xAI
    ``cost_in_usd_ticks`` of 10⁻¹⁰ dollars (docs.x.ai, Cost Tracking, 2026-11). With a key of one's own
    at OpenRouter (``is_byok``) the upstream's charge comes on top of the fee.
    """
    return _reader(flavor).cost(payload)


def usage_and_cost(flavor: str, payload: bytes | Mapping[str, Any]) -> tuple[Usage | None, Money | None]:
    """``read_usage`` and ``reported_cost`` of one usage object, read once."""
    return _reader(flavor).both(payload)


def _reader(flavor: str) -> Reader[Any]:
    try:
        return FLAVORS[flavor]
    except KeyError:
        raise InputError(
            "unknown usage flavor", field="flavor", value=flavor, remedy=f"Use one of {', '.join(sorted(FLAVORS))}"
        ) from None


__all__ = ["FLAVORS", "read_usage", "reported_cost", "usage_and_cost", "usage_in"]
