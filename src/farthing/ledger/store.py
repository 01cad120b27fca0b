"""The ledger: append-only facts in four tables, and the questions about them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from farthing.core.errors import InputError, NotFoundError
from farthing.core.facts import RequestFact
from farthing.core.time import Window
from farthing.ledger import bill, focus, listing, rollup, shape
from farthing.ledger import spend as spending
from farthing.ledger.arrow import sql
from farthing.ledger.calendar import Calendar, calendar
from farthing.ledger.engine import Engine
from farthing.ledger.plan import FACTS, Tables, sources
from farthing.ledger.questions import RequestRow, RequestsAnswer, RequestsQuestion, SpendAnswer, SpendQuestion, SpendRow
from farthing.ledger.schema import TABLES, decode_requests, encode_requests
from farthing.ledger.table import FactTable, Scan

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

CROWDED = 8
"""A partition with this many files is worth merging."""

KEEP_HOURS = 2
"""Replaced files stay this long, for readers and sums that still use them."""

LARGEST_PAGE = 10_000

_MARGIN = timedelta(days=1)
_ALWAYS = Window()


class Ledger:
    """Facts and questions. One instance may be used from several threads; processes each open their own.

    Do not fork a process that holds one: spawn it.
    """

    def __init__(self, url: str, *, options: dict[str, str] | None = None, threads: int = 0, memory: str = "") -> None:
        self.url = url.rstrip("/")
        self._tables = {spec.name: FactTable(spec, f"{self.url}/{spec.name}", options or {}) for spec in TABLES}
        self._threads, self._memory = threads, memory
        self._totals = lru_cache(maxsize=64)(self._sum_requests)

    @classmethod
    def open(cls, url: str, *, options: dict[str, str] | None = None, threads: int = 0, memory: str = "") -> Self:
        """The ledger in a folder (a path or ``file://``) or on an object store (``s3://…`` with ``options``).

        ``options`` are delta-rs storage options such as ``AWS_ENDPOINT_URL``. ``threads`` and ``memory`` bound
        the query engine (0 and "": as much as there is). Tables are made by the first write.
        """
        if "://" not in url:
            url = str(Path(url).absolute())
        return cls(url.removeprefix("file://"), options=options, threads=threads, memory=memory)

    # Writing

    def append_requests(self, facts: Sequence[RequestFact], *, source: str, version: int) -> int:
        """Writes facts exactly once: 0 when ``source`` has written ``version`` or a later one already."""
        return self._append("requests", encode_requests(facts), source, version) if facts else 0

    def append_requests_arrow(self, rows: "pa.Table", *, source: str, version: int) -> int:
        """As ``append_requests``, for facts that are rows already (``schema.REQUESTS``)."""
        return self._append("requests", rows, source, version)

    def append_charges(self, table: "pa.Table", *, source: str, version: int) -> int:
        """Writes charges exactly once, in the columns of ``focus``; columns that are absent become null."""
        return self._append("charges", table, source, version)

    def append(self, name: str, rows: "pa.Table", *, source: str, version: int) -> int:
        """Writes rows of any fact table exactly once."""
        return self._append(name, rows, source, version)

    def _append(self, name: str, rows: "pa.Table", source: str, version: int) -> int:
        return self._table(name).append(rows, source=source, version=version) if rows.num_rows else 0

    def last_version(self, table: str, source: str) -> int | None:
        """The last version that a source wrote to a table: where to go on after a crash."""
        return self._table(table).last_version(source)

    def _table(self, name: str) -> FactTable:
        if name not in self._tables:
            raise NotFoundError("ledger table", name, known=self._tables)
        return self._tables[name]

    # Asking

    def spend(self, question: SpendQuestion) -> SpendAnswer:
        """How much was spent, by what. Raises ``InputError`` or ``NotFoundError`` for what cannot be asked."""
        days = calendar(question.zone, question.window)
        found = self._groups(question, days)
        currency = spending.currency_of(found)
        rows = [g.row for g in found if g.currency == currency]
        if question.compare:
            rows = self._beside_previous(question, days, currency, rows)
        left_out = {g.currency for g in found} - {currency}
        others = {c: spending.total(g.row for g in found if g.currency == c).cost for c in sorted(left_out)}
        return SpendAnswer(
            question=question,
            rows=tuple(spending.ordered(spending.folded(rows, question.limit))),
            total=spending.total(rows),
            currency=currency,
            other_currencies=others,
            through=self._through(),
            empty=not found,
        )

    def _beside_previous(
        self, question: SpendQuestion, days: Calendar, currency: str, rows: list[SpendRow]
    ) -> list[SpendRow]:
        window = question.window.previous()
        before = calendar(question.zone, window)
        found = self._groups(msgspec.structs.replace(question, window=window), before)
        earlier = [g.row for g in found if g.currency == currency]
        return spending.beside(rows, earlier, spending.aligned(days, question.window, before, window, question.grain))

    def _groups(self, question: SpendQuestion, days: Calendar) -> list[spending.Group]:
        by = tuple(shape.check_dimension(name) for name in question.by)
        where = spending.where_of(question.where)
        aligned = question.grain == "none" or days.on_the_hour
        tables = Tables(**{name: self._tables[name] for name in ("requests", "charges", "rollup")})
        scans = sources(tables, question.window, {*by, *(name for name, _ in where)}, on_the_hour=aligned)
        if not scans:
            return []
        asked = spending.SpendShape(
            pieces=tuple(scans), by=by, where=where, basis=question.basis, grain=question.grain, calendar=days
        )
        return list(spending.groups(self._engine.run(spending.compiled(asked), scans), question, days))

    def requests(self, question: RequestsQuestion) -> RequestsAnswer:
        """One page of requests. Totals cover all that match, whatever page is asked."""
        if not 1 <= question.limit <= LARGEST_PAGE:
            raise InputError(f"a page has 1 to {LARGEST_PAGE:,} requests", field="limit", value=question.limit)
        page = self._page(question)
        shown = page[: question.limit]
        counted = msgspec.structs.replace(question, order="newest", limit=1, after="")
        total, matching = self._totals(self._table("requests").snapshot().version, msgspec.json.encode(counted))
        return RequestsAnswer(
            rows=tuple(self._rows(question, shown)),
            total=total,
            matching=matching,
            next=listing.next_cursor(question.order, shown[-1]) if len(page) > len(shown) else "",
            through=self.through(),
        )

    def _page(self, question: RequestsQuestion) -> list[dict[str, Any]]:
        """Records of ``listing.keys``, one more than a page. The newest are sought in ever longer spans back in time.

        Attempts of one request lie within a day of each other, hence the margin.
        """
        asked, snapshot = listing.keys(question), self._table("requests").snapshot()
        first, last = snapshot.first, snapshot.last
        if question.order != "newest" or first is None or last is None:
            return self._ask(asked, question.window)
        end = listing.page_end(question, last)
        begin = max(first, question.window.start or first)
        back = _MARGIN
        while end - back > begin:
            span = listing.clipped(question.window, end - back - _MARGIN, end + _MARGIN)
            found = [r for r in self._ask(asked, span) if r["first"].replace(tzinfo=UTC) >= end - back]
            if len(found) > question.limit:
                return found
            back *= 4
        return self._ask(asked, listing.clipped(question.window, None, end + _MARGIN))

    def _rows(self, question: RequestsQuestion, page: list[dict[str, Any]]) -> list[RequestRow]:
        if not page:
            return []
        first = min(r["first"] for r in page).replace(tzinfo=UTC)
        last = max(r["last"] for r in page).replace(tzinfo=UTC)
        span = listing.clipped(question.window, first, last + timedelta(microseconds=1))
        records = self._ask(listing.attempts(question, [r["request_id"] for r in page]), span)
        folded = listing.fold(decode_requests(map(_aware, records)))
        return [folded[r["request_id"]] for r in page]

    def _sum_requests(self, version: int, asked: bytes) -> tuple[SpendRow, int]:
        """Totals of a list at a version of the table; the version is there for the cache."""
        del version
        question = msgspec.json.decode(asked, type=RequestsQuestion)
        found = self._ask(listing.totals(question), question.window)
        if not found:
            return SpendRow(keys={}), 0
        return spending.row_of(found[0]), int(found[0]["matching"])

    def request(self, request_id: str) -> list[RequestFact]:
        """All attempts of one request, reversals included, in order. Raises ``NotFoundError``."""
        records = self._ask(listing.one(request_id), Window())
        if not records:
            raise NotFoundError("request", request_id, remedy="It may be older than the ledger keeps single requests")
        return sorted(decode_requests(map(_aware, records)), key=lambda f: (f.attempt, f.at))

    def charge_ids(self, source: str) -> set[str]:
        """``x_ChargeId`` of a source's charges that no reversal has taken back."""
        rows: Any = self._query("charges", bill.standing(source), _ALWAYS)
        return set(rows.column("x_ChargeId").to_pylist()) if rows is not None else set()

    def charges(self, source: str, ids: Collection[str]) -> "pa.Table":
        """Those charges of a source, whole, in the columns of ``focus``."""
        rows = self._query("charges", bill.originals(source, ids), _ALWAYS) if ids else None
        schema = focus.arrow_schema()
        return schema.empty_table() if rows is None else rows.cast(schema)

    def values(
        self, dimension: str, window: Window = _ALWAYS, *, where: Mapping[str, tuple[str, ...]] | None = None
    ) -> list[str]:
        """The values a dimension has in a window, in order; the empty one is unallocated.

        ``where`` is as in a question.
        """
        question = SpendQuestion(window=window, by=(dimension,), where=dict(where or {}))
        found = self._groups(question, calendar("UTC", window))
        return sorted({group.row.keys[dimension] for group in found})

    def through(self) -> datetime | None:
        """The time of the latest fact in the ledger."""
        for name in FACTS:
            self._table(name).snapshot()
        return self._through()

    def _through(self) -> datetime | None:
        ends = (self._table(name).seen.last for name in FACTS)
        return max((end for end in ends if end), default=None)

    def version(self) -> int:
        """A number that grows whenever facts are written."""
        return sum(self._table(name).snapshot().version + 1 for name in ("requests", "charges"))

    def _ask(self, expression: "ir.Table", window: Window) -> list[dict[str, Any]]:
        rows: Any = self._query("requests", expression, window)
        return rows.to_pylist() if rows is not None else []

    def _query(self, name: shape.Piece, expression: "ir.Table", window: Window) -> Any:
        """The expression over one table as an Arrow table, ``None`` when it holds nothing in the window."""
        table = self._table(name)
        files = tuple(table.snapshot().within(window))
        if not files:
            return None
        scan = Scan(table=table, files=files, windows=(window,))
        return self._engine.run(sql(expression), {name: [scan]})

    # Upkeep

    def refresh_rollups(self) -> int:
        """Adds to the hourly sums what was written since; returns the number of facts. Answers are exact without it."""
        sums = self._table("rollup")
        return sum(rollup.refresh(self._engine, sums, self._table(name), name) for name in FACTS)

    def compact(self) -> int:
        """Merges small files and partial sums, and removes files nobody needs any more; returns how many were merged.

        Safe beside writers and readers.
        """
        self.refresh_rollups()
        merged = sum(self._table(name).merge(_whole, at_least=CROWDED) for name in self._tables if name != "rollup")
        merged += rollup.merge(self._engine, self._table("rollup"), at_least=CROWDED)
        for table in self._tables.values():
            table.vacuum(keep_hours=KEEP_HOURS)
        return merged

    def retain(self, now: datetime, *, days: int) -> int:
        """Drops single requests, readings and inventories of whole UTC days more than ``days`` ago; returns the rows.

        Their hourly sums stay for ever, and so do charges.
        """
        if days < 1:
            raise InputError("facts are kept for at least a day", field="days", value=days)
        self.refresh_rollups()
        first = f"{(now.astimezone(UTC) - timedelta(days=days)):%Y-%m-%d}"
        return sum(self._table(name).drop_before(first) for name in ("requests", "utilization", "inventory"))

    def close(self) -> None:
        """Ends the query engine, if a question started it."""
        if "_engine" in self.__dict__:
            self._engine.close()

    @cached_property
    def _engine(self) -> Engine:
        return Engine(threads=self._threads, memory=self._memory)


def _whole(scan: Scan) -> "pa.Table":
    """All rows of a scan, as they are."""
    return scan.dataset().to_table()


def _aware(record: dict[str, Any]) -> dict[str, Any]:
    """A record of the engine, whose times are wall time in UTC, with the zone said."""
    return {**record, "at": record["at"].replace(tzinfo=UTC)}


__all__ = ["Ledger"]
