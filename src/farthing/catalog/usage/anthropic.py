"""Anthropic's Messages API, also where Bedrock, Vertex and others serve it in its own shape.

``input_tokens`` excludes tokens read from and written to the cache (docs.anthropic.com, Prompt caching), so
the nested input is the sum of the three. Thinking is part of ``output_tokens``. Web searches are billed per
thousand, web fetches only by their tokens.
"""

import msgspec

from farthing.catalog.usage.reading import WEB_SEARCH, Counts, Reader, put, total
from farthing.core.units import CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H, CACHE_WRITE_5M, INPUT, OUTPUT, REASONING


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _ServerTools(msgspec.Struct, gc=False):
    web_search_requests: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class _Messages(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    server_tool_use: _ServerTools | None = None
    output_tokens_details: _OutputDetails | None = None


def _messages(u: _Messages) -> Counts | None:
    if u.input_tokens is None and u.output_tokens is None:
        return None
    written, by_ttl = u.cache_creation_input_tokens, u.cache_creation
    if written is None and by_ttl is not None:
        written = total((by_ttl.ephemeral_5m_input_tokens, by_ttl.ephemeral_1h_input_tokens))
    counts: Counts = {
        INPUT: total((u.input_tokens, u.cache_read_input_tokens, written)),
        OUTPUT: u.output_tokens or 0,
    }
    put(counts, CACHE_READ, u.cache_read_input_tokens)
    put(counts, CACHE_WRITE, written)
    if by_ttl is not None:
        put(counts, CACHE_WRITE_5M, by_ttl.ephemeral_5m_input_tokens)
        put(counts, CACHE_WRITE_1H, by_ttl.ephemeral_1h_input_tokens)
    if u.server_tool_use is not None:
        put(counts, WEB_SEARCH, u.server_tool_use.web_search_requests)
    if u.output_tokens_details is not None:
        put(counts, REASONING, u.output_tokens_details.thinking_tokens)
    return counts


MESSAGES = Reader(_Messages, _messages, paths=(("usage",), ("message", "usage")))
