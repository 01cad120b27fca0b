"""Gemini's ``usageMetadata`` (ai.google.dev and Vertex AI, GenerateContentResponse.UsageMetadata).

``promptTokenCount`` includes cached content. Thoughts stand beside ``candidatesTokenCount`` and tool prompts
beside ``promptTokenCount``; the nested input and output are the sums. Text makes no unit: it is what is left.
Pages of documents are billed as images. Grounding searches are not part of this object.
"""

from collections.abc import Sequence

import msgspec

from farthing.catalog.usage.reading import Counts, Reader, put, total
from farthing.core.units import CACHE_READ, INPUT, OUTPUT, REASONING, Unit

TOOL_PROMPT = Unit(direction="input", kind="tool_use")

_MODALITIES = {"AUDIO": "audio", "IMAGE": "image", "VIDEO": "video", "DOCUMENT": "image"}

Details = Sequence["_ModalityCount"] | None


class _ModalityCount(msgspec.Struct, gc=False, rename="camel"):
    modality: str = ""
    token_count: int | None = None


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: tuple[_ModalityCount, ...] | None = None
    candidates_tokens_details: tuple[_ModalityCount, ...] | None = None
    cache_tokens_details: tuple[_ModalityCount, ...] | None = None
    tool_use_prompt_tokens_details: tuple[_ModalityCount, ...] | None = None


def _generate(u: _Metadata) -> Counts | None:
    if u.prompt_token_count is None and u.candidates_token_count is None:
        return None
    counts: Counts = {
        INPUT: total((u.prompt_token_count, u.tool_use_prompt_token_count)),
        OUTPUT: total((u.candidates_token_count, u.thoughts_token_count)),
    }
    put(counts, CACHE_READ, u.cached_content_token_count)
    put(counts, REASONING, u.thoughts_token_count)
    put(counts, TOOL_PROMPT, u.tool_use_prompt_token_count)
    if u.cached_content_token_count and not u.cache_tokens_details:
        _put(counts, "input", "", [d for d in u.prompt_tokens_details or () if d.modality == "AUDIO"])
    else:
        _put(counts, "input", "", u.prompt_tokens_details)
    _put(counts, "input", "cache_read", u.cache_tokens_details)
    _put(counts, "input", "", u.tool_use_prompt_tokens_details)
    _put(counts, "input", "tool_use", u.tool_use_prompt_tokens_details)
    _put(counts, "output", "", u.candidates_tokens_details)
    return counts


def _put(counts: Counts, direction: str, kind: str, details: Details) -> None:
    for detail in details or ():
        modality = _MODALITIES.get(detail.modality)
        if modality is not None and detail.token_count:
            put(counts, Unit("token", direction, modality, kind), detail.token_count)


GENERATE = Reader(_Metadata, _generate, paths=(("usageMetadata",), ("response", "usageMetadata")))
