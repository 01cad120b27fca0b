"""The endpoints of the caches: what they did, the latest hits, what people say of those, and forgetting."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream
from litestar.status_codes import HTTP_200_OK

from farthing.web.cache_views import CacheAnswer, CacheDone, CacheFeedback, CacheHits, CachePurge, NamespaceView
from farthing.web.problems import documented
from farthing.web.questions import Spanned, Text, Where, clean, conditions, texts
from farthing.web.services import Using
from farthing.web.table import CSV, csv_line, csv_stream
from farthing.web.who import Asker

Most = Annotated[int, QueryParameter(ge=1, le=200, description="At most this many rows")]


@get("/cache", summary="What the caches did and how they stand", sync_to_thread=True, responses=documented(403))
def read_cache(services: Using, who: Asker, span: Spanned, where: Where = None) -> CacheAnswer:
    who.must("read")
    return services.caches.stand(who, span.window, zone=span.zone, where=conditions(where or []))


@get(
    "/cache.csv",
    summary="What the caches did by namespace, as CSV",
    sync_to_thread=True,
    responses={**documented(403), **CSV},
)
def read_cache_csv(services: Using, who: Asker, span: Spanned, where: Where = None) -> Stream:
    who.must("read")
    answer = services.caches.stand(who, span.window, zone=span.zone, where=conditions(where or []))
    return csv_stream(_lines(answer), "cache")


@get(
    "/cache/hits",
    summary="The latest semantic hits beside the questions they matched",
    sync_to_thread=True,
    responses=documented(403),
)
def read_cache_hits(services: Using, who: Asker, namespace: Text = "", limit: Most = 100) -> CacheHits:
    who.must("read")
    return services.caches.hits(who, namespace=clean(namespace, "namespace"), limit=limit)


@post(
    "/cache/feedback",
    summary="Say whether a hit was wrong; a wrong one is forgotten",
    sync_to_thread=True,
    status_code=HTTP_200_OK,
    responses=documented(403, 404),
)
def tell_cache(services: Using, who: Asker, data: JSONBody[CacheFeedback]) -> CacheDone:
    who.must("cache.write")
    return services.caches.feedback(who, data)


@post(
    "/cache/purge",
    summary="Forget what the caches hold, or count what that would be",
    sync_to_thread=True,
    status_code=HTTP_200_OK,
    responses=documented(403),
)
def purge_cache(services: Using, who: Asker, data: JSONBody[CachePurge]) -> CacheDone:
    who.must("cache.write")
    for field, text in texts(data):
        clean(text, field)
    for name, value in data.scope.items():
        clean(name, "scope")
        clean(value, f"scope.{name}")
    return services.caches.purge(who, data)


ROUTES = (read_cache, read_cache_csv, read_cache_hits, tell_cache, purge_cache)

_SUMS = (
    "requests", "hits", "hit_rate", "exact", "semantic", "embeddings", "would", "sampled", "missed", "skipped",
    "saved", "checking", "unpriced", "would_save", "would_unpriced",
)  # fmt: skip
_STANDING = ("wrong", "bound", "target", "threshold", "closed", "labels")
_COLUMNS = (
    "namespace", "exact_mode", "semantic_mode", "embeddings_mode", *_SUMS, "net", "currency", *_STANDING, "entries",
)  # fmt: skip


def _lines(answer: CacheAnswer) -> Iterator[bytes]:
    yield csv_line(_COLUMNS)
    for row in answer.namespaces:
        yield csv_line(_cells(row, answer.currency))


def _cells(row: NamespaceView, currency: str) -> list[object]:
    sums: dict[str, Any] = msgspec.structs.asdict(row.sums)
    standing: dict[str, Any] = {} if row.standing is None else msgspec.structs.asdict(row.standing)
    return [
        row.name, row.exact, row.semantic, row.embeddings, *(sums[name] for name in _SUMS), row.net, currency,
        *(standing.get(name) for name in _STANDING), row.entries,
    ]  # fmt: skip


__all__ = ["ROUTES"]
