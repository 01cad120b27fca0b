"""Requests one by one: filtered, searched, in pages. Attempts that match are folded into their request.

Filters hold for attempts, as they do for spend, so that the totals of both agree.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from farthing.core.errors import InputError
from farthing.core.facts import RequestFact, last_word
from farthing.core.money import EXACT
from farthing.core.time import Window
from farthing.ledger import shape
from farthing.ledger.arrow import ibis
from farthing.ledger.questions import RequestRow, RequestsQuestion
from farthing.ledger.schema import COUNT_MEASURES, REVERSAL, TOKENS

if TYPE_CHECKING:
    import ibis.expr.types as ir

_SEARCHED = ("request_id", "model", "requested_model", "feature", "error")


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the value it is ordered by, as text, and the request id that breaks ties."""

    order: str
    value: str
    request_id: str

    def encode(self) -> str:
        """The cursor as the opaque ``next`` of an answer."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, order: str) -> "Cursor":
        """The cursor of ``after``. Raises ``InputError`` for text that is none, or one of another order."""
        try:
            found = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
            _parse(found)
        except (msgspec.MsgspecError, binascii.Error, ValueError, ArithmeticError):
            found = None
        if found is None or found.order != order:
            raise InputError(
                "not a page of this list", field="after", value=text, remedy="Pass the `next` of the page before"
            )
        return found


def _parse(cursor: Cursor) -> Any:
    if cursor.order == "newest":
        return datetime.fromisoformat(cursor.value)
    return Decimal(cursor.value) if cursor.order == "cost" else float(cursor.value)


def matching(question: RequestsQuestion) -> Any:
    """The attempts a question asks for."""
    source: Any = shape.table("requests")
    for name, values in sorted(question.where.items()):
        source = source.filter(shape.dimension(source, "requests", shape.check_dimension(name)).isin(list(values)))
    if question.search:
        word = question.search.lower()
        hits = [source[name].fill_null("").lower().contains(word) for name in _SEARCHED]
        source = source.filter(hits[0] | hits[1] | hits[2] | hits[3] | hits[4])
    return source


def keys(question: RequestsQuestion) -> "ir.Table":
    """One page of request ids with the value they are ordered by, and the span of their attempts."""
    rows: Any = matching(question)
    folded = rows.group_by("request_id").agg(
        first=rows["at"].min(), last=rows["at"].max(), value=_order(rows, question)
    )
    if question.after:
        cursor = Cursor.decode(question.after, question.order)
        value = ibis().literal(_parse(cursor), folded.value.type())
        tie = (folded.value == value) & (folded.request_id < cursor.request_id)
        folded = folded.filter((folded.value < value) | tie)
    return folded.order_by(ibis().desc("value"), ibis().desc("request_id")).limit(question.limit + 1)


def _order(rows: Any, question: RequestsQuestion) -> Any:
    if question.order == "newest":
        return rows["at"].min()
    if question.order == "cost":
        return rows.cost.sum().fill_null(0).cast("decimal(38, 12)")
    return rows.total_ms.max().fill_null(0)


def attempts(question: RequestsQuestion, ids: Iterable[str]) -> "ir.Table":
    """All matching attempts of some requests."""
    rows: Any = matching(question)
    return rows.filter(rows.request_id.isin(list(ids)))


def one(request_id: str) -> "ir.Table":
    """All attempts of one request."""
    rows: Any = shape.table("requests")
    return rows.filter(rows.request_id == request_id)


def page_end(question: RequestsQuestion, last: datetime) -> datetime:
    """An instant that no request of the page, newest first, begins after."""
    end = (
        min(question.window.end or last, last)
        if not question.after
        else _parse(Cursor.decode(question.after, "newest"))
    )
    return (
        end.replace(tzinfo=UTC) + timedelta(microseconds=1) if end.tzinfo is None else end + timedelta(microseconds=1)
    )


def clipped(window: Window, start: datetime | None, end: datetime) -> Window:
    """The part of a window between two instants."""
    starts = [at for at in (window.start, start) if at is not None]
    return Window(start=max(starts, default=None), end=min(window.end or end, end))


def totals(question: RequestsQuestion) -> "ir.Table":
    """One row: the sums over all that match, and how many requests that is."""
    rows: Any = matching(question)
    ids = rows.request_id.nunique()
    values = rows.select(**shape.measures(rows, "requests"))
    sums = {name: values[name].sum().fill_null(0).cast("int64") for name in COUNT_MEASURES}
    sums |= {n: values[m].sum().fill_null(0).cast("decimal(38, 12)") for n, m in _MONEY.items()}
    return values.agg(**sums).cross_join(rows.agg(matching=ids))


_MONEY = {"cost": "effective", "baseline_cost": "baseline_cost", "saved": "saved"}


def next_cursor(order: str, record: Mapping[str, Any]) -> str:
    """The ``next`` of a page that ends with ``record`` of ``keys``."""
    value = record["value"]
    text = (
        value.isoformat()
        if isinstance(value, datetime)
        else f"{value:f}"
        if isinstance(value, Decimal)
        else repr(value)
    )
    return Cursor(order, text, record["request_id"]).encode()


def fold(facts: Iterable[RequestFact]) -> dict[str, RequestRow]:
    """Attempts as requests, by id."""
    by_id: dict[str, list[RequestFact]] = {}
    for fact in facts:
        by_id.setdefault(fact.request_id, []).append(fact)
    return {request_id: _folded(of_one) for request_id, of_one in by_id.items()}


def _folded(facts: list[RequestFact]) -> RequestRow:
    facts = sorted(facts, key=lambda f: f.attempt)
    final = last_word([f for f in facts if REVERSAL not in f.tags] or facts)
    return RequestRow(
        request_id=final.request_id,
        at=min(f.at for f in facts),
        attempts=len({f.attempt for f in facts}),
        operation=final.operation,
        requested_model=final.requested_model,
        provider=final.provider,
        model=final.model,
        offer=final.offer,
        scope=final.scope,
        status=final.status,
        stream=final.stream,
        http_status=final.http_status,
        error_kind=final.error_kind,
        total_ms=final.total_ms,
        ttft_ms=final.ttft_ms,
        cost=_sum(f.cost for f in facts),
        unpriced=next((f.unpriced for f in facts if f.unpriced), ""),
        baseline_cost=_sum(f.baseline_cost for f in facts),
        **{name: sum(getattr(f, name) for f in facts) for name in TOKENS},
    )


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    found: Decimal | None = None
    for amount in amounts:
        if amount is not None:
            found = amount if found is None else EXACT.add(found, amount)
    return found
