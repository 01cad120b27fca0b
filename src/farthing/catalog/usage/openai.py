"""OpenAI's usage objects and those of the vendors that follow them.

Sources: platform.openai.com API reference (chat, responses, realtime, images), docs.x.ai, api-docs.deepseek.com,
docs.mistral.ai, console.groq.com, platform.moonshot.ai, docs.perplexity.ai, openrouter.ai; November 2026.

In all of them cached tokens are part of the input. Accepted and rejected prediction tokens are part of the
completion and billed like it, so they make no unit of their own.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from farthing.catalog.usage.reading import (
    EXECUTION,
    FILE_SEARCH,
    SOCIAL_SEARCH,
    WEB_SEARCH,
    Counts,
    Reader,
    put,
)
from farthing.core.money import Money, decimal_of
from farthing.core.units import CACHE_READ, CACHE_WRITE, INPUT, OUTPUT, REASONING, Unit

AUDIO_IN = Unit(direction="input", modality="audio")
AUDIO_OUT = Unit(direction="output", modality="audio")
AUDIO_READ = Unit(direction="input", modality="audio", kind="cache_read")
AUDIO_SECONDS_IN = Unit(measure="second", direction="input", modality="audio")
IMAGE_IN = Unit(direction="input", modality="image")
IMAGE_OUT = Unit(direction="output", modality="image")
IMAGE_READ = Unit(direction="input", modality="image", kind="cache_read")
PICTURE = Unit(measure="image", direction="output")
CITATION = Unit(direction="output", kind="citation")

USD_PER_TICK = Decimal("1e-10")
"""xAI counts money in ticks of 10⁻¹⁰ dollars (docs.x.ai, Cost Tracking)."""


class _ModalityDetails(msgspec.Struct, gc=False):
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens_details: _ModalityDetails | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _CostParts(msgspec.Struct, gc=False):
    upstream_inference_cost: Decimal | None = None


class _PerplexityCost(msgspec.Struct, gc=False):
    total_cost: Decimal | None = None


class _Chat(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    cached_tokens: int | None = None
    num_cached_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    prompt_audio_seconds: int | None = None
    reasoning_tokens: int | None = None
    citation_tokens: int | None = None
    num_search_queries: int | None = None
    cost: Decimal | _PerplexityCost | None = None
    cost_details: _CostParts | None = None
    is_byok: bool | None = None
    cost_in_usd_ticks: int | None = None


class _Tools(msgspec.Struct, gc=False):
    web_search_calls: int | None = None
    x_search_calls: int | None = None
    code_interpreter_calls: int | None = None
    file_search_calls: int | None = None


class _Responses(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None
    input_token_details: _InputDetails | None = None
    output_token_details: _OutputDetails | None = None
    server_side_tool_usage_details: _Tools | None = None
    cost: Decimal | _PerplexityCost | None = None
    cost_details: _CostParts | None = None
    is_byok: bool | None = None
    cost_in_usd_ticks: int | None = None


class _Images(_Responses, gc=False):
    pictures: int | None = None


def _chat(u: _Chat) -> Counts | None:
    """Chat completions, completions and embeddings.

    Whether reasoning is part of ``completion_tokens`` follows from the total: xAI counts it beside,
    and then only the sum of all three makes ``total_tokens``.
    """
    details = u.completion_tokens_details
    reasoning = (details and details.reasoning_tokens) or 0
    beside = bool(reasoning) and u.total_tokens == (u.prompt_tokens or 0) + (u.completion_tokens or 0) + reasoning
    return _chat_counts(u, reasoning, beside=beside)


def _xai(u: _Chat) -> Counts | None:
    """Chat completions of xAI: reasoning stands beside ``completion_tokens``, unless the total says otherwise."""
    details = u.completion_tokens_details
    reasoning = (details and details.reasoning_tokens) or 0
    return _chat_counts(u, reasoning, beside=u.total_tokens != (u.prompt_tokens or 0) + (u.completion_tokens or 0))


def _chat_counts(u: _Chat, reasoning: int, *, beside: bool) -> Counts | None:
    if u.prompt_tokens is None and u.completion_tokens is None:
        return None
    counts: Counts = {INPUT: u.prompt_tokens or 0, OUTPUT: u.completion_tokens or 0}
    if beside:
        counts[OUTPUT] += reasoning
    if reasoning:
        counts[REASONING] = reasoning
    _put_input(counts, u.prompt_tokens_details, u.prompt_cache_hit_tokens or u.cached_tokens or u.num_cached_tokens)
    if u.completion_tokens_details is not None:
        put(counts, AUDIO_OUT, u.completion_tokens_details.audio_tokens)
    if u.prompt_audio_seconds:
        counts[AUDIO_SECONDS_IN] = u.prompt_audio_seconds
    if u.citation_tokens or u.num_search_queries or u.reasoning_tokens:
        _put_perplexity(counts, u)
    return counts


def _put_input(counts: Counts, details: _InputDetails | None, cached: int | None = None) -> None:
    """Cached and audio parts of the input. ``cached`` is what a vendor reports outside the details."""
    if details is None:
        put(counts, CACHE_READ, cached)
        return
    put(counts, CACHE_READ, details.cached_tokens or details.cache_read_input_tokens or cached)
    if details.cache_write_tokens:
        put(counts, CACHE_WRITE, details.cache_write_tokens)
    if details.audio_tokens:
        put(counts, AUDIO_IN, details.audio_tokens)
    if details.cached_tokens_details is not None:
        put(counts, AUDIO_READ, details.cached_tokens_details.audio_tokens)
        put(counts, IMAGE_READ, details.cached_tokens_details.image_tokens)


def _put_perplexity(counts: Counts, u: _Chat) -> None:
    """Deep research reports reasoning and citations beside the completion (docs.perplexity.ai, Pricing).

    Databricks and Modal report ``reasoning_tokens`` at the top too, but as a part of the completion.
    """
    researched = bool(u.citation_tokens or u.num_search_queries)
    if u.reasoning_tokens and REASONING not in counts:
        counts[REASONING] = u.reasoning_tokens
        counts[OUTPUT] += u.reasoning_tokens if researched else 0
    if u.citation_tokens:
        counts[CITATION] = u.citation_tokens
        counts[OUTPUT] += u.citation_tokens
    put(counts, WEB_SEARCH, u.num_search_queries)


def _responses(u: _Responses) -> Counts | None:
    """Responses, realtime and images, which name the parts of input and output alike."""
    if u.input_tokens is None and u.output_tokens is None:
        return None
    counts: Counts = {INPUT: u.input_tokens or 0, OUTPUT: u.output_tokens or 0}
    into, out = u.input_tokens_details or u.input_token_details, u.output_tokens_details or u.output_token_details
    _put_input(counts, into)
    if into is not None:
        put(counts, IMAGE_IN, into.image_tokens)
    if out is not None:
        put(counts, REASONING, out.reasoning_tokens)
        put(counts, AUDIO_OUT, out.audio_tokens)
        put(counts, IMAGE_OUT, out.image_tokens)
    if (tools := u.server_side_tool_usage_details) is not None:
        put(counts, WEB_SEARCH, tools.web_search_calls)
        put(counts, SOCIAL_SEARCH, tools.x_search_calls)
        put(counts, FILE_SEARCH, tools.file_search_calls)
        put(counts, EXECUTION, tools.code_interpreter_calls)
    return counts


def _images(u: _Images) -> Counts | None:
    """Images. Where the output is not split, all of it is picture, as it was before any model wrote text with it.

    Without tokens there are only the pictures to count, as dall-e models are charged.
    """
    counts = _responses(u)
    if counts is None:
        return None if u.pictures is None else {PICTURE: u.pictures}
    if u.output_tokens_details is None:
        put(counts, IMAGE_OUT, u.output_tokens)
    return counts


def _cost(u: _Chat | _Responses) -> Money | None:
    if u.cost_in_usd_ticks is not None:
        return Money(u.cost_in_usd_ticks * USD_PER_TICK)
    amount = u.cost.total_cost if isinstance(u.cost, _PerplexityCost) else u.cost
    if amount is None:
        return None
    if u.is_byok and u.cost_details is not None and u.cost_details.upstream_inference_cost is not None:
        amount += u.cost_details.upstream_inference_cost
    return Money(decimal_of(amount, field="usage.cost"))


def _tool_calls(answer: Mapping[str, Any]) -> Counts:
    """Searches that a Responses answer lists as output items, which its usage object does not count."""
    whole: Any = answer.get("response", answer)
    items: list[Any] = (whole.get("output") or []) if isinstance(whole, dict) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - decoded JSON
    kinds: list[Any] = [item.get("type") for item in items if isinstance(item, dict)]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - decoded JSON
    counts: Counts = {}
    put(counts, WEB_SEARCH, kinds.count("web_search_call"))
    put(counts, FILE_SEARCH, kinds.count("file_search_call"))
    return counts


_CHAT_PATHS = (("usage",), ("x_groq", "usage"))

CHAT = Reader(_Chat, _chat, paths=_CHAT_PATHS, cost=_cost)
XAI = Reader(_Chat, _xai, paths=_CHAT_PATHS, cost=_cost)
RESPONSES = Reader(_Responses, _responses, paths=(("usage",), ("response", "usage")), cost=_cost, extra=_tool_calls)
IMAGES = Reader(_Images, _images, paths=(("usage",),), cost=_cost)
