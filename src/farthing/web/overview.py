"""The Overview page's figures, all from the same rows, so that chart, table and totals cannot disagree."""

import calendar
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from farthing.core.money import EXACT, LEDGER_PLACES
from farthing.core.time import Window
from farthing.gateway.meter import ROLE, ROLES
from farthing.ledger.questions import (
    Basis,
    Grain,
    RequestRow,
    RequestsQuestion,
    SpendAnswer,
    SpendQuestion,
    SpendRow,
)
from farthing.web.ports import Facts
from farthing.web.projection import project
from farthing.web.questions import Span
from farthing.web.views import Bucket, Group, MonthToDate, Overview, Redundancy, RoleCost, Totals

SHOWN_GROUPS = 8
SHOWN_ROWS = 10
OTHER = "other"
_ROLE = f"tag:{ROLE}"
_SUMMED = (
    "cost", "baseline_cost", "saved", "requests", "errors", "unpriced_requests", "charges", "input_tokens",
    "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
)  # fmt: skip
_GRAINS: tuple[tuple[timedelta, Grain], ...] = (
    (timedelta(days=2), "hour"),
    (timedelta(days=93), "day"),
    (timedelta(days=731), "week"),
)


def overview(
    facts: Facts, span: Span, *, by: str, basis: Basis, where: Mapping[str, tuple[str, ...]] | None = None
) -> Overview:
    """What was spent in a window, by one dimension and over time, beside the window before it.

    ``where`` keeps rows whose dimension has one of the values, in every figure alike.
    """
    ask = _Asker(facts, span, basis, where or {})
    grain = fitting(span.window)
    series = ask.spend(span.window, by=(by,), grain=grain)
    before = ask.spend(span.window.previous(), by=(by,))
    gateway = _gateway_part(ask, series, grain)
    keys = leading(series.rows, by)
    total = _totals(series.rows, gateway)
    return Overview(
        window=span.window,
        previous_window=span.window.previous(),
        zone=span.zone,
        basis=basis,
        by=by,
        grain=grain,
        currency=series.currency,
        other_currencies=series.other_currencies,
        through=series.through,
        empty=series.empty,
        total=total,
        previous=None if before.empty else _totals(before.rows, _gateway_part(ask, before, "none")),
        month=_month(ask, span),
        groups=_groups(series.rows, gateway, keys, by, before),
        buckets=_buckets(series.rows, gateway, keys, by, starts(span.window, grain, span.zone)),
        models=_models(ask, span),
        redundancy=_redundancy(ask, span),
        recent=ask.requests(()),
        recent_errors=ask.requests(("error", "truncated", "abandoned")),
    )


def fitting(window: Window) -> Grain:
    """Buckets that make a readable chart of this window."""
    for longest, grain in _GRAINS:
        if window.duration <= longest:
            return grain
    return "month"


def starts(window: Window, grain: Grain, zone: str) -> list[datetime]:
    """Where the buckets of a window begin, in UTC, so that a time without facts is a gap and not left out."""
    assert window.start is not None  # noqa: S101 - a span's window is bounded
    assert window.end is not None  # noqa: S101 - a span's window is bounded
    if grain == "hour":
        local = window.start.astimezone(ZoneInfo(zone)).replace(minute=0, second=0, microsecond=0)
        first = local.astimezone(UTC)
        return [first + timedelta(hours=n) for n in range(-((first - window.end) // timedelta(hours=1)))]
    place = ZoneInfo(zone)
    day = window.start.astimezone(place).date()
    day -= timedelta(days={"day": 0, "week": day.weekday(), "month": day.day - 1}[grain])
    found: list[datetime] = []
    while (at := datetime.combine(day, time(), place).astimezone(UTC)) < window.end:
        found.append(at)
        length = {"day": 1, "week": 7, "month": calendar.monthrange(day.year, day.month)[1]}[grain]
        day += timedelta(days=length)
    return found


def leading(rows: Iterable[SpendRow], by: str) -> list[str]:
    """The values that get their own group, by falling cost; the unallocated one is never folded away."""
    costs: dict[str, Decimal] = {}
    for row in rows:
        key = row.keys.get(by, "")
        costs[key] = EXACT.add(costs.get(key, Decimal(0)), row.cost)
    ranked = sorted(costs, key=lambda key: (-costs[key], key))
    if len(ranked) <= SHOWN_GROUPS + 1:
        return ranked
    return [key for place, key in enumerate(ranked) if place < SHOWN_GROUPS or not key]


class _Asker:
    """Asks the ledger about one span, in one zone and on one basis."""

    def __init__(self, facts: Facts, span: Span, basis: Basis, where: Mapping[str, tuple[str, ...]]) -> None:
        self._facts = facts
        self._span = span
        self._basis: Basis = basis
        self.where = where

    def spend(
        self, window: Window, *, by: tuple[str, ...] = (), grain: Grain = "none", origin: tuple[str, ...] = ()
    ) -> SpendAnswer:
        return self._facts.spend(
            SpendQuestion(
                window=window,
                by=by,
                grain=grain,
                where={**self.where, "origin": origin} if origin else dict(self.where),
                basis=self._basis,
                zone=self._span.zone,
            )
        )

    def requests(self, statuses: tuple[str, ...]) -> tuple[RequestRow, ...]:
        asked = self.where.get("status", statuses)
        kept = tuple(status for status in statuses if status in asked)
        if statuses and not kept:
            return ()
        where = {**self.where, "status": kept} if kept else dict(self.where)
        return self._facts.requests(RequestsQuestion(window=self._span.window, where=where, limit=SHOWN_ROWS)).rows

    def matching(self, where: Mapping[str, tuple[str, ...]]) -> int:
        """How many requests have an attempt like this."""
        question = RequestsQuestion(window=self._span.window, where={**self.where, **where}, limit=1)
        return self._facts.requests(question).matching


def _gateway_part(ask: _Asker, answer: SpendAnswer, grain: Grain) -> Sequence[SpendRow]:
    """The same rows without bills; only asked for when there are any."""
    if not any(row.charges for row in answer.rows):
        return answer.rows
    if "gateway" not in ask.where.get("origin", ("gateway",)):
        return ()
    question = answer.question
    return ask.spend(question.window, by=question.by, grain=grain, origin=("gateway",)).rows


def _totals(rows: Iterable[SpendRow], gateway: Iterable[SpendRow]) -> Totals:
    rows = list(rows)
    sums = {name: _sum(getattr(row, name) for row in rows) for name in _SUMMED}
    request_cost = EXACT.add(Decimal(0), _sum(row.cost for row in gateway))
    priced = int(sums["requests"] - sums["unpriced_requests"])
    whole = {name: int(value) for name, value in sums.items() if name not in ("cost", "baseline_cost", "saved")}
    return Totals(
        **whole,
        cost=sums["cost"],
        baseline_cost=sums["baseline_cost"],
        saved=sums["saved"],
        request_cost=request_cost,
        priced_requests=priced,
        unit_cost=_per_thousand(request_cost, priced),
        baseline_unit_cost=_per_thousand(EXACT.add(request_cost, sums["saved"]), priced),
    )


def _sum(values: Iterable[Decimal | int]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = EXACT.add(total, value)
    return total


def _per_thousand(cost: Decimal, requests: int) -> Decimal | None:
    return EXACT.divide(cost * 1000, Decimal(requests)).quantize(LEDGER_PLACES) if requests > 0 else None


Parts = dict[str | None, list[SpendRow]]
"""Rows by the group they belong to; ``None`` is all that has no group of its own."""


def _parts(rows: Iterable[SpendRow], keys: Sequence[str], by: str) -> Parts:
    parts: Parts = {}
    for row in rows:
        key = row.keys.get(by, "")
        parts.setdefault(key if key in keys else None, []).append(row)
    return parts


def _groups(
    rows: Sequence[SpendRow], gateway: Sequence[SpendRow], keys: Sequence[str], by: str, before: SpendAnswer | None
) -> tuple[Group, ...]:
    """One group per key and one for the rest, in the order that every bucket follows."""
    parts, requests = _parts(rows, keys, by), _parts(gateway, keys, by)
    earlier = _parts(before.rows, keys, by) if before is not None and not before.empty else None
    whole = _sum(row.cost for row in rows)
    return tuple(
        _group(
            key,
            _totals(parts.get(key, ()), requests.get(key, ())),
            whole,
            None if earlier is None else _sum(row.cost for row in earlier.get(key, ())),
        )
        for key in _order(keys, parts)
    )


def _order(keys: Sequence[str], parts: Parts) -> list[str | None]:
    return [*keys, None] if None in parts else [*keys]


def _group(key: str | None, total: Totals, whole: Decimal, previous: Decimal | None) -> Group:
    return Group(
        key=OTHER if key is None else key,
        kind="other" if key is None else "value" if key else "unallocated",
        total=total,
        previous_cost=previous,
        cost_per_total=float(total.cost / whole) if whole else None,
    )


def _buckets(
    rows: Sequence[SpendRow], gateway: Sequence[SpendRow], keys: Sequence[str], by: str, known: Iterable[datetime]
) -> tuple[Bucket, ...]:
    """A bucket per start, with a cost for each group."""
    order = _order(keys, _parts(rows, keys, by))
    when, gateway_when = _by_time(rows), _by_time(gateway)
    return tuple(
        Bucket(
            at=at,
            total=_totals(when.get(at, ()), gateway_when.get(at, ())),
            costs=tuple(_sum(row.cost for row in parts.get(key, ())) for key in order),
            requests=tuple(sum(row.requests for row in parts.get(key, ())) for key in order),
        )
        for at in sorted({*known, *when})
        for parts in [_parts(when.get(at, ()), keys, by)]
    )


def _by_time(rows: Iterable[SpendRow]) -> dict[datetime, list[SpendRow]]:
    found: dict[datetime, list[SpendRow]] = {}
    for row in rows:
        if row.at is not None:
            found.setdefault(row.at.astimezone(UTC), []).append(row)
    return found


def _models(ask: _Asker, span: Span) -> tuple[Group, ...]:
    """What the gateway's requests cost by model; bills have no model."""
    rows = ask.spend(span.window, by=("model",), origin=("gateway",)).rows
    return _groups(rows, rows, leading(rows, "model"), "model", None)


def _redundancy(ask: _Asker, span: Span) -> Redundancy:
    """What attempts beyond the first came to; bills have none."""
    gateway = "gateway" in ask.where.get("origin", ("gateway",))
    found = ask.spend(span.window, by=(_ROLE,), origin=("gateway",)).rows if gateway else ()
    rows = {row.keys[_ROLE]: row for row in found}
    roles = tuple(
        RoleCost(
            role=role,
            requests=ask.matching({_ROLE: (role,)}),
            cost=rows[role].cost,
            unpriced=rows[role].unpriced_requests,
        )
        for role in ROLES
        if role in rows
    )
    return Redundancy(
        requests=sum(part.requests for part in roles),
        cost=_sum(part.cost for part in roles),
        unpriced=sum(part.unpriced for part in roles),
        roles=roles,
    )


def _month(ask: _Asker, span: Span) -> MonthToDate:
    """The calendar month of now, up to now."""
    place = ZoneInfo(span.zone)
    today = span.now.astimezone(place).date()
    first = today.replace(day=1)
    length = calendar.monthrange(today.year, today.month)[1]
    start, end = (datetime.combine(day, time(), place) for day in (first, first + timedelta(days=length)))
    before = datetime.combine((first - timedelta(days=1)).replace(day=1), time(), place)
    cost = ask.spend(Window(start=start, end=span.now)).total.cost
    earlier = ask.spend(Window(start=before, end=min(before + (span.now - start), start)))
    return MonthToDate(
        start=start.astimezone(UTC),
        end=end.astimezone(UTC),
        cost=cost,
        previous_cost=None if earlier.empty else earlier.total.cost,
        projection=project(
            cost,
            _whole_days(ask, datetime.combine(today, time(), place)),
            days_left=Decimal((end - span.now) // timedelta(seconds=1)) / 86_400,
            days_in_month=length,
        ),
    )


def _whole_days(ask: _Asker, midnight: datetime) -> list[Decimal]:
    """Costs of up to 28 whole days before a midnight, from the first that has facts; days without are zero."""
    first = datetime.combine(midnight.date() - timedelta(days=28), time(), midnight.tzinfo)
    window = Window(start=first, end=midnight)
    costs = {at: _sum(row.cost for row in rows) for at, rows in _by_time(ask.spend(window, grain="day").rows).items()}
    days = starts(window, "day", str(midnight.tzinfo))
    return [costs.get(day, Decimal(0)) for day in days if costs and day >= min(costs)]
