"""Answers as CSV, row by row."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from farthing.ledger.questions import RequestsAnswer, RequestsQuestion, SpendAnswer
from farthing.web.ports import Facts
from farthing.web.wire import fixed, plain

_SPEND = (
    "cost", "previous_cost", "baseline_cost", "saved", "requests", "previous_requests", "errors", "unpriced_requests",
    "charges", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
)  # fmt: skip
_REQUEST = (
    "request_id", "at", "attempts", "operation", "requested_model", "provider", "model", "offer", "status", "stream",
    "http_status", "error_kind", "total_ms", "ttft_ms", "input_tokens", "cache_read_tokens", "cache_write_tokens",
    "output_tokens", "reasoning_tokens", "cost", "unpriced", "baseline_cost",
)  # fmt: skip
_SCOPE = ("org", "team", "project", "environment", "feature", "customer", "user", "key")
PAGE = 1000


def streamed(media_type: str, description: str) -> dict[int, ResponseSpec]:
    """The 200 of an endpoint that streams text."""
    spec = ResponseSpec(data_container=str, generate_examples=False, description=description)
    return {200: replace(spec, media_type=media_type)}


CSV = streamed("text/csv", "Rows under a header")
"""The 200 of an endpoint that answers with ``csv_stream``."""


def spend_lines(answer: SpendAnswer) -> Iterator[bytes]:
    """A spend answer: its keys, then its figures in ``currency``. The total is left to the reader's own sum."""
    by = answer.question.by
    timed = ("at",) if answer.question.grain != "none" else ()
    yield csv_line((*timed, *by, *_SPEND, "currency"))
    for row in answer.rows:
        at = (row.at,) if timed else ()
        keys = (row.keys.get(name, "") for name in by)
        yield csv_line((*at, *keys, *(getattr(row, name) for name in _SPEND), answer.currency))


def request_lines(facts: Facts, question: RequestsQuestion) -> Iterator[bytes]:
    """All requests that match, page after page, so that memory does not grow with their number.

    The first page is asked for at once: what cannot be asked is refused before anything is sent.
    """
    question = msgspec.structs.replace(question, limit=PAGE)
    return _request_lines(facts, question, facts.requests(question))


def _request_lines(facts: Facts, question: RequestsQuestion, page: RequestsAnswer) -> Iterator[bytes]:
    yield csv_line((*_REQUEST, *_SCOPE))
    while True:
        for row in page.rows:
            yield csv_line((*(getattr(row, name) for name in _REQUEST), *(getattr(row.scope, name) for name in _SCOPE)))
        if not page.next:
            return
        page = facts.requests(msgspec.structs.replace(question, after=page.next))


def csv_line(cells: Iterable[object]) -> bytes:
    """One row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(_cells(cells))
    return text.getvalue().encode()


def csv_stream(lines: Iterator[bytes], name: str) -> Stream:
    """Rows as a file to be downloaded."""
    headers = {"Content-Disposition": f'attachment; filename="farthing-{name}.csv"', "Cache-Control": "no-store"}
    return Stream(lines, media_type="text/csv; charset=utf-8", headers=headers)


def _cells(cells: Iterable[object]) -> Sequence[object]:
    return [_cell(value) for value in cells]


def _cell(value: object) -> object:
    """Numbers as they are; text that a spreadsheet would run as a formula gets a quote before it."""
    if isinstance(value, Decimal):
        return fixed(value)
    if isinstance(value, str):
        return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return "" if value is None else plain(value)
