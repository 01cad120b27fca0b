"""Money on its way out: every format carries the exact decimal."""

import csv
import io
import json
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.cli._output import Output

AMOUNTS = st.decimals(min_value=Decimal("-1e25"), max_value=Decimal("1e25"), allow_nan=False, allow_infinity=False)


def written(format, rows):
    out = io.StringIO()
    Output(format, stdout=out, stderr=io.StringIO()).table(["cost"], rows)
    return out.getvalue()


@settings(deadline=None)
@given(st.lists(AMOUNTS, min_size=1, max_size=5))
def test_every_format_carries_the_exact_amount(amounts):
    rows = [{"cost": amount} for amount in amounts]
    tables = {
        "json": [row["cost"] for row in json.loads(written("json", rows))["rows"]],
        "jsonl": [json.loads(line)["cost"] for line in written("jsonl", rows).splitlines()],
        "csv": [row["cost"] for row in csv.DictReader(io.StringIO(written("csv", rows)))],
        "md": [line.strip("| ").replace(",", "") for line in written("md", rows).splitlines()[2:]],
    }
    for texts in tables.values():
        assert all("E" not in text.upper() for text in texts)
        assert [Decimal(text) for text in texts] == amounts
