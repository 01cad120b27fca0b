"""Requests, charges and their hourly sums in one shape, so that one expression asks all three.

Ibis is the only query language. An expression here reads tables by name; who runs it says which
files a name stands for (``engine``), so that it runs unchanged on DuckDB and on Spark.
"""

import itertools
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

from farthing.core.errors import NotFoundError
from farthing.ledger.arrow import ibis
from farthing.ledger.calendar import Calendar
from farthing.ledger.questions import DIMENSIONS, Grain
from farthing.ledger.schema import CHARGES, COUNT_MEASURES, MONEY_MEASURES, REQUESTS, ROLLUP, TOKENS

if TYPE_CHECKING:
    import ibis.expr.types as ir

Piece = Literal["rollup", "requests", "charges"]

_CHARGE_DIMENSIONS = {
    "service": "ServiceName",
    "service_category": "ServiceCategory",
    "model": "x_Model",
    "offer": "x_Offer",
    "operation": "x_Operation",
    "org": "x_Org",
    "team": "x_Team",
    "project": "x_Project",
    "environment": "x_Environment",
    "feature": "x_Feature",
    "customer": "x_Customer",
    "user": "x_User",
    "key": "x_Key",
    "region": "RegionId",
    "resource": "ResourceId",
    "sku": "SkuId",
    "accelerator": "x_Accelerator",
    "charge_category": "ChargeCategory",
    "account": "SubAccountId",
    "currency": "BillingCurrency",
}
_REQUEST_DIMENSIONS = frozenset(name for name, kind in REQUESTS.columns if kind == "string") & {*DIMENSIONS}
_FAILED = ("error", "truncated", "abandoned")
_TYPES = {
    "string": "string", "json": "string", "money": "decimal(38, 12)", "decimal": "decimal(38, 18)",
    "instant": "timestamp", "integer": "int64", "small": "int32", "float": "float64", "boolean": "boolean",
    "tags": "map<string, string>", "counts": "map<string, int64>",
}  # fmt: skip


def table(name: Piece) -> "ir.Table":
    """A table of the ledger as Ibis sees it: times without a zone, in UTC."""
    spec = {"requests": REQUESTS, "charges": CHARGES, "rollup": ROLLUP}[name]
    return ibis().table({column: _TYPES[kind] for column, kind in spec.columns}, name=name)


def check_dimension(name: str) -> str:
    """The name, if spend can be grouped by it. Raises ``NotFoundError`` naming the nearest."""
    if name in DIMENSIONS or (name.startswith("tag:") and len(name) > len("tag:")):
        return name
    raise NotFoundError("dimension", name, known=DIMENSIONS, remedy="Use tag:NAME for a tag")


def dimension(source: "ir.Table", piece: Piece, name: str) -> Any:
    """A dimension as a text column of a piece; empty where the fact does not say."""
    if piece == "rollup":
        return source[name]  # pyright: ignore[reportReturnType] - the schema has only text there
    value: Any = None
    if name.startswith("tag:"):
        tags: Any = source.Tags if piece == "charges" else source.tags
        value = tags.get(name.removeprefix("tag:"), "")
    elif piece == "charges" and name == "provider":
        value = ibis().coalesce(source.ServiceProviderName, source.ProviderName)
    elif piece == "charges" and name in _CHARGE_DIMENSIONS:
        value = source[_CHARGE_DIMENSIONS[name]]
    elif piece == "requests" and name in _REQUEST_DIMENSIONS:
        value = source[name]
    else:
        return ibis().literal(_CONSTANT.get((piece, name), ""), "string")
    return value.fill_null("")


_CONSTANT = {
    ("requests", "origin"): "gateway",
    ("requests", "currency"): "USD",
    ("requests", "charge_category"): "Usage",
    ("requests", "service_category"): "AI and Machine Learning",
    ("charges", "origin"): "bill",
}


def measures(source: "ir.Table", piece: Piece) -> "dict[str, ir.Value]":
    """The amounts and counts of every row, ready to be summed."""
    if piece == "rollup":
        return {name: source[name] for name in (*MONEY_MEASURES, *COUNT_MEASURES)}
    return _of_requests(source) if piece == "requests" else _of_charges(source)


def _of_requests(source: Any) -> "dict[str, ir.Value]":
    """A request counts where its first attempt is, so that counts add up over any grouping. A reversal counts −1."""
    sign = ibis().ifelse(source.reversal.fill_null(False), -1, 1).cast("int64")
    zero, cost = ibis().literal(0, "int64"), source.cost
    both = source.baseline_cost.notnull() & cost.notnull()
    return {
        **dict.fromkeys(("effective", "billed", "list", "contracted"), cost),
        "baseline_cost": source.baseline_cost,
        "saved": ibis().ifelse(both, source.baseline_cost - cost, None).cast("decimal(38, 12)"),
        "requests": ibis().ifelse(source.attempt <= 1, sign, zero),
        "errors": ibis().ifelse(source.status.isin(_FAILED), sign, zero),
        "unpriced_requests": ibis().ifelse(cost.isnull(), sign, zero),
        "charges": zero,
        "facts": ibis().literal(1, "int64"),
        **{name: source[name] for name in TOKENS},
    }


def _of_charges(source: Any) -> "dict[str, ir.Value]":

    tokens = ("x_InputTokens", "x_CacheReadTokens", "x_CacheWriteTokens", "x_OutputTokens", "x_ReasoningTokens")
    zero = ibis().literal(0, "int64")
    return {
        "effective": source.EffectiveCost,
        "billed": source.BilledCost,
        "list": source.ListCost,
        "contracted": source.ContractedCost,
        "baseline_cost": ibis().null("decimal(38, 12)"),
        "saved": ibis().null("decimal(38, 12)"),
        **dict.fromkeys(("requests", "errors", "unpriced_requests"), zero),
        "charges": ibis().ifelse(source.x_Reversal.fill_null(False), -1, 1).cast("int64"),
        "facts": ibis().literal(1, "int64"),
        **dict(zip(TOKENS, (source[name] for name in tokens), strict=True)),
    }


def time_of(source: "ir.Table", piece: Piece) -> Any:
    """When a row counts: a charge at the start of its period."""
    return source[{"rollup": "hour", "requests": "at", "charges": "ChargePeriodStart"}[piece]]


def bucket(at: Any, calendar: Calendar, grain: Grain) -> Any:
    """The start of the bucket an instant falls in: wall time for days and longer, UTC for hours."""
    word = {"hour": "h", "day": "D", "week": "W", "month": "M"}[grain]
    pieces = [(o.start, _bucket_at(at, o.seconds, word)) for o in calendar.offsets]
    found = pieces[0][1]
    if len(pieces) == 1:
        return found
    cases = [(at < start.replace(tzinfo=None), value) for (_, value), (start, _) in itertools.pairwise(pieces) if start]
    return ibis().cases(*cases, else_=pieces[-1][1])


def _bucket_at(at: Any, seconds: int, word: str) -> Any:

    if word == "h":
        shift = seconds % 3600
        return (
            at.truncate(word)
            if not shift
            else (at + ibis().interval(seconds=shift)).truncate(word) - ibis().interval(seconds=shift)
        )
    return (at + ibis().interval(seconds=seconds) if seconds else at).truncate(word)


def union(tables: "list[ir.Table]") -> "ir.Table":
    """All rows of several tables of one shape."""
    return reduce(lambda one, other: one.union(other), tables)


__all__ = ["Piece", "bucket", "check_dimension", "dimension", "measures", "table", "time_of", "union"]
