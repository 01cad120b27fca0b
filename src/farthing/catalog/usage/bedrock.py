"""Bedrock's Converse API (docs.aws.amazon.com, API_runtime_TokenUsage).

``inputTokens`` excludes tokens read from and written to the cache. ``cacheDetails`` splits the writes by how
long they are kept.
"""

import msgspec

from farthing.catalog.usage.reading import Counts, Reader, put, total
from farthing.core.units import CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H, CACHE_WRITE_5M, INPUT, OUTPUT


class _CacheDetail(msgspec.Struct, gc=False, rename="camel"):
    ttl: str = ""
    input_tokens: int | None = None


class _Converse(msgspec.Struct, gc=False, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: tuple[_CacheDetail, ...] | None = None


_BY_TTL = {"5m": CACHE_WRITE_5M, "1h": CACHE_WRITE_1H}


def _converse(u: _Converse) -> Counts | None:
    if u.input_tokens is None and u.output_tokens is None:
        return None
    counts: Counts = {
        INPUT: total((u.input_tokens, u.cache_read_input_tokens, u.cache_write_input_tokens)),
        OUTPUT: u.output_tokens or 0,
    }
    put(counts, CACHE_READ, u.cache_read_input_tokens)
    put(counts, CACHE_WRITE, u.cache_write_input_tokens)
    for detail in u.cache_details or ():
        if detail.ttl in _BY_TTL:
            put(counts, _BY_TTL[detail.ttl], detail.input_tokens)
    return counts


CONVERSE = Reader(_Converse, _converse, paths=(("usage",), ("metadata", "usage")))
