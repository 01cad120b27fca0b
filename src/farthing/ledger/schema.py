"""The tables of the ledger: what a row is, how it is stored, and how facts become rows and back."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any, cast

import msgspec

from farthing.core.facts import RequestFact
from farthing.core.money import LEDGER_PLACES
from farthing.core.nouns import Scope
from farthing.ledger import focus
from farthing.ledger.arrow import arrow

if TYPE_CHECKING:
    import pyarrow as pa

SCOPE = Scope.__struct_fields__
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_ROUND = Context(prec=96, rounding=ROUND_HALF_EVEN)


class TableSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How a table lies on disk.

    ``time`` is the column that windows are asked of; files keep its least and greatest value, so that
    a question reads only the files of its window. ``partition`` names the column that folders are
    made of, derived from ``time``: a UTC day for requests, whose retention drops whole days, a month where
    rows are few.
    """

    name: str
    time: str
    partition: str
    partition_format: str
    columns: tuple[tuple[str, str], ...] = ()
    unique: tuple[str, ...] = ()

    def schema(self) -> "pa.Schema":
        """The Arrow schema, the partition column last."""
        pa = arrow()
        fields = [pa.field(name, stored(kind)) for name, kind in self.columns]
        return pa.schema([*fields, pa.field(self.partition, pa.string())])

    def completed(self, batch: "pa.Table") -> "pa.Table":
        """A batch in this table's columns and order: absent columns null, the partition derived."""
        pa, rows = arrow(), batch.num_rows
        schema: Any = self.schema()
        have: dict[str, Any] = {name: batch.column(name) for name in batch.schema.names}
        have[self.partition] = self._partitions(have[self.time])
        columns = [have[f.name].cast(f.type) if f.name in have else pa.nulls(rows, f.type) for f in schema]
        return pa.table(columns, schema=schema)

    def _partitions(self, times: Any) -> Any:
        """The partition of every row; a batch has few days, so that each is formatted once."""
        days = times.cast(arrow().date32()).combine_chunks().dictionary_encode()
        names = [day.strftime(self.partition_format) for day in days.dictionary.to_pylist()]
        return arrow().array(names, arrow().string()).take(days.indices)


def stored(kind: str) -> "pa.DataType":
    """The Arrow type behind a word in ``columns``: those of FOCUS, and a few for requests."""
    pa = arrow()
    extra = {"counts": pa.map_(pa.string(), pa.int64()), "float": pa.float64(), "small": pa.int32()}
    return extra.get(kind) or focus.arrow_type(cast("focus.Type", kind))


def _columns(text: str) -> tuple[tuple[str, str], ...]:
    groups = (group.split(":") for group in text.split(";"))
    return tuple((name, kind.strip()) for kind, names in groups for name in names.split())


REQUESTS = TableSpec(
    name="requests",
    time="at",
    partition="day",
    partition_format="%Y-%m-%d",
    columns=_columns(
        "instant: at; string: request_id; small: attempt;"
        "string: operation dialect org team project environment feature customer user key requested_model status;"
        "string: worker; boolean: stream;"
        "string: key_id provider offer model served_model upstream_id; small: http_status;"
        "string: error_kind error finish_reason; float: total_ms ttft_ms upstream_ms;"
        "integer: request_bytes response_bytes; counts: usage; string: usage_source;"
        "integer: input_tokens cache_read_tokens cache_write_tokens output_tokens reasoning_tokens;"
        "money: cost; string: cost_source unpriced lines baseline_offer; money: baseline_cost;"
        "string: decision; tags: tags; boolean: reversal"
    ),
    unique=("at", "request_id", "upstream_id", "total_ms", "upstream_ms", "ttft_ms", "lines", "cost", "baseline_cost"),
)
"""One row per upstream attempt and per cache hit: a ``RequestFact`` with its scope spread out. ``lines`` and
``decision`` are JSON text, because they are shown and never summed; ``usage`` and ``tags`` are maps.
``reversal`` marks a fact that takes back an earlier one."""

CHARGES = TableSpec(
    name="charges",
    time="ChargePeriodStart",
    partition="x_Month",
    partition_format="%Y-%m",
    columns=tuple((column.name, column.type) for column in focus.COLUMNS),
)
"""One row per charge of a bill, in the columns of ``focus``."""

UTILIZATION = TableSpec(
    name="utilization",
    time="at",
    partition="day",
    partition_format="%Y-%m-%d",
    columns=_columns(
        "instant: at; string: resource provider region zone accelerator metric unit; float: value;"
        "integer: seconds; string: source; tags: tags"
    ),
)
"""One reading of one metric of a resource; ``value`` is its mean over the ``seconds`` that end at ``at``."""

INVENTORY = TableSpec(
    name="inventory",
    time="at",
    partition="day",
    partition_format="%Y-%m-%d",
    columns=_columns(
        "instant: at; string: resource provider region store path kind storage_class checksum;"
        "integer: bytes objects; instant: created accessed; string: source; tags: tags"
    ),
)
"""One object or folder in storage as it was found at ``at``."""

ROLLUP_DIMENSIONS = (
    "origin", "currency", "provider", "service", "service_category", "model", "requested_model", "offer", "operation",
    "org", "team", "project", "environment", "feature", "key", "status", "region", "accelerator", "charge_category",
    "account",
)  # fmt: skip
"""What the hourly sums keep. Dimensions without a bound (users, customers, resources, SKUs, tags) need the facts."""

MONEY_MEASURES = ("effective", "billed", "list", "contracted", "baseline_cost", "saved")
COUNT_MEASURES = ("requests", "errors", "unpriced_requests", "charges", "facts", *TOKENS)

ROLLUP = TableSpec(
    name="rollup",
    time="hour",
    partition="month",
    partition_format="%Y-%m",
    columns=_columns(
        f"instant: hour; string: {' '.join(ROLLUP_DIMENSIONS)};"
        f"money: {' '.join(MONEY_MEASURES)}; integer: {' '.join(COUNT_MEASURES)}"
    ),
)
"""Sums of requests and charges by UTC hour. Several rows may share all dimensions: partial sums, which add up."""

TABLES = (REQUESTS, CHARGES, UTILIZATION, INVENTORY, ROLLUP)


def encode_requests(facts: Sequence[RequestFact]) -> "pa.Table":
    """Facts as rows. Money is rounded here, once, to twelve decimals."""
    pa = arrow()
    text = msgspec.json.encode
    columns: dict[str, list[Any]] = {
        name: [getattr(f, name) for f in facts]
        for name in RequestFact.__struct_fields__
        if name not in ("scope", "lines", "usage", "tags", "cost", "baseline_cost")
    }
    columns |= {name: [getattr(f.scope, name) for f in facts] for name in SCOPE}
    columns["lines"] = [text(f.lines).decode() if f.lines else "" for f in facts]
    columns["usage"] = [list(f.usage.items()) for f in facts]
    columns["tags"] = [list(f.tags.items()) for f in facts]
    columns["reversal"] = [REVERSAL in f.tags for f in facts]
    columns["cost"] = [_rounded(f.cost) for f in facts]
    columns["baseline_cost"] = [_rounded(f.baseline_cost) for f in facts]
    return pa.table(
        [pa.array(columns[n], stored(t)) for n, t in REQUESTS.columns], names=[n for n, _ in REQUESTS.columns]
    )


def _rounded(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(LEDGER_PLACES, context=_ROUND)


def decode_requests(rows: Iterable[Mapping[str, Any]]) -> list[RequestFact]:
    """Rows of the ``requests`` table as the facts they were."""
    return [_fact(row) for row in rows]


def _fact(row: Mapping[str, Any]) -> RequestFact:
    fields = {name: row[name] for name in RequestFact.__struct_fields__ if name != "scope"}
    fields["scope"] = {name: row[name] for name in SCOPE}
    fields["lines"] = msgspec.json.decode(row["lines"]) if row["lines"] else ()
    fields["usage"], fields["tags"] = dict(row["usage"] or ()), dict(row["tags"] or ())
    return msgspec.convert(fields, RequestFact)


def reversal(fact: RequestFact) -> RequestFact:
    """The fact that takes ``fact`` back: same identity and time, every count and amount negated.

    Both stay in the ledger; sums over the two are zero. A corrected fact may follow.
    """
    negated: dict[str, Any] = {name: -getattr(fact, name) for name in TOKENS}
    negated |= {name: None if (v := getattr(fact, name)) is None else -v for name in ("cost", "baseline_cost")}
    negated["usage"] = {unit: -count for unit, count in fact.usage.items()}
    negated["tags"] = {**fact.tags, REVERSAL: "true"}
    return msgspec.structs.replace(fact, **negated)


REVERSAL = "farthing.reversal"
"""The tag of a fact that takes another back."""
