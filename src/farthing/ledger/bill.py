"""The charges of one source: which of them still stand, for importers that compare a bill with what is there."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from farthing.ledger import shape

if TYPE_CHECKING:
    import ibis.expr.types as ir


def standing(source: str) -> "ir.Table":
    """``x_ChargeId`` of charges that were written more often than they were taken back."""
    rows = _of(source)
    reversals = rows["x_Reversal"].fill_null(False).cast("int64")
    net = rows.group_by("x_ChargeId").agg(net=(1 - 2 * reversals).sum())
    return net.filter(net["net"] > 0).select("x_ChargeId")


def originals(source: str, ids: Collection[str]) -> "ir.Table":
    """Those charges whole, each once, without reversals."""
    import ibis

    rows = _of(source)
    rows = rows.filter(~rows["x_Reversal"].fill_null(False) & rows["x_ChargeId"].isin(sorted(ids)))
    row_number: Any = ibis.row_number()
    number = row_number.over(group_by=rows["x_ChargeId"], order_by=rows["x_SourceRow"])
    return rows.mutate(number_=number).filter(ibis._["number_"] == 0).drop("number_")


def _of(source: str) -> Any:
    rows: Any = shape.table("charges")
    return rows.filter(rows["x_Source"] == source)
