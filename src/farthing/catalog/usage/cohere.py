"""Cohere's chat, embed and rerank (docs.cohere.com, API v2).

``billed_units`` is what the invoice counts; ``tokens`` also holds what Cohere adds to a prompt for itself and
does not bill.
"""

import msgspec

from farthing.catalog.usage.reading import RERANK, Counts, Reader, put
from farthing.core.units import CACHE_READ, INPUT, OUTPUT, Unit

_IMAGE = Unit(measure="image", direction="input")


class _Billed(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    search_units: int | None = None
    images: int | None = None


class _Usage(msgspec.Struct, gc=False):
    billed_units: _Billed | None = None
    tokens: _Billed | None = None
    cached_tokens: int | None = None


def _counts(u: _Usage) -> Counts | None:
    billed = u.billed_units or u.tokens
    if billed is None:
        return None
    counts: Counts = {INPUT: billed.input_tokens or 0, OUTPUT: billed.output_tokens or 0}
    put(counts, CACHE_READ, u.cached_tokens)
    put(counts, RERANK, billed.search_units)
    put(counts, _IMAGE, billed.images)
    return counts


CHAT = Reader(_Usage, _counts, paths=(("usage",), ("delta", "usage"), ("meta",)))
