"""The ledger beside hand-written SQL on the same files: appending, and spend by model by day over one month.

Rows are made up: 90 days, 40 keys of 8 teams in 5 projects, each key used by one of 24 features with three or four of
12 models, 5,000 customers, 20,000 users, one attempt in 25 an error,
costs of 12 decimals. They go into a temporary folder that is removed afterwards.
The hand-written SQL computes the same columns and runs by turns with ours, on a DuckDB connection of its own with the
same settings; the quickest of the turns counts on both sides. "Cold" is the first question to a freshly opened ledger
without hourly sums, libraries being loaded.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench import _report
from bench._report import Figure
from farthing.core.facts import RequestFact
from farthing.core.time import Window
from farthing.ledger.questions import RequestsQuestion, SpendQuestion
from farthing.ledger.schema import REQUESTS, decode_requests
from farthing.ledger.store import Ledger

START = datetime(2026, 7, 1, tzinfo=UTC)
DAYS = 90
MONTH = Window(start=datetime(2026, 8, 1, tzinfo=UTC), end=datetime(2026, 9, 1, tzinfo=UTC))
QUESTION = SpendQuestion(window=MONTH, by=("model",), grain="day")
BATCH = 500_000

SUMS = """
    sum(cost) AS cost, sum(baseline_cost) AS baseline_cost, sum(baseline_cost - cost) AS saved,
    sum(CASE WHEN attempt <= 1 THEN 1 ELSE 0 END) AS requests,
    sum(CASE WHEN status IN ('error', 'truncated', 'abandoned') THEN 1 ELSE 0 END) AS errors,
    sum(CASE WHEN cost IS NULL THEN 1 ELSE 0 END) AS unpriced, count(*) AS facts,
    sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens)
"""
RAW_SQL = f"""
    SELECT model, "at"::DATE AS day, {SUMS} FROM read_parquet(?)
    WHERE "at" >= TIMESTAMPTZ '2026-08-01 00:00:00+00' AND "at" < TIMESTAMPTZ '2026-09-01 00:00:00+00' GROUP BY ALL
"""
ROLLUP_SQL = """
    SELECT model, hour::DATE AS day, sum(effective), sum(baseline_cost), sum(saved), sum(requests), sum(errors),
      sum(unpriced_requests), sum(facts), sum(charges), sum(input_tokens), sum(cache_read_tokens),
      sum(cache_write_tokens), sum(output_tokens), sum(reasoning_tokens)
    FROM read_parquet(?)
    WHERE hour >= TIMESTAMPTZ '2026-08-01 00:00:00+00' AND hour < TIMESTAMPTZ '2026-09-01 00:00:00+00' GROUP BY ALL
"""


def batches(rows: int) -> Iterator[Any]:
    """Request rows in order of time, as Arrow tables of ``BATCH``."""
    import duckdb

    connection = duckdb.connect()
    step = DAYS * 86_400_000_000 // rows
    for first in range(0, rows, BATCH):
        query = _GENERATED.format(first=first, last=min(first + BATCH, rows), step=step, start=int(START.timestamp()))
        yield connection.sql(query).to_arrow_table().cast(_schema())


def _schema() -> Any:
    import pyarrow as pa

    schema = REQUESTS.schema()
    return pa.schema([f for f in schema if f.name != REQUESTS.partition])


_GENERATED = """
    WITH r AS (
        SELECT range AS i, hash(range) AS h, hash(range + 1) AS g,
               (hash(range) % 40)::INT AS k,
               (hash(range) % 40 * 5 + (pow(hash(range + 2) % 1000 / 1000.0, 2) * 3)::INT)::INT % 12 AS m,
               (hash(range + 3) % 25) = 0 AS odd
        FROM range({first}, {last})
    )
    SELECT make_timestamp({start}000000 + i * {step}) AS "at",
        'req_' || lpad(to_hex(i), 10, '0') || to_hex(h) AS request_id,
        CASE WHEN odd AND g % 2 = 0 THEN 2 ELSE 1 END AS attempt,
        'chat' AS operation, CASE m % 4 WHEN 1 THEN 'anthropic' ELSE 'openai' END AS dialect, 'acme' AS org,
        'team-' || k % 8 AS team, 'project-' || k % 5 AS project,
        CASE k % 3 WHEN 0 THEN 'dev' ELSE 'prod' END AS environment,
        'feature-' || k % 24 AS feature, 'customer-' || g % 5000 AS customer,
        'user-' || h % 20000 AS user,
        'key-' || k AS key,
        'model-' || m AS requested_model, CASE WHEN odd THEN 'error' ELSE 'ok' END AS status,
        'worker-' || h % 4 AS worker, h % 2 = 0 AS stream, 'k_' || k AS key_id, 'provider-' || m % 4 AS provider,
        'provider-' || m % 4 || '/model-' || m AS offer, 'model-' || m AS model,
        'model-' || m || '-2026-05-01' AS served_model,
        'chatcmpl-' || to_hex(g) AS upstream_id,
        CASE WHEN odd THEN 500 ELSE 200 END AS http_status,
        CASE WHEN odd THEN 'server' ELSE '' END AS error_kind,
        CASE WHEN odd THEN 'upstream said 500' ELSE '' END AS error,
        CASE WHEN odd THEN '' ELSE 'stop' END AS finish_reason,
        200.0 + h % 9000 AS total_ms, 100.0 + g % 900 AS ttft_ms,
        190.0 + h % 9000 AS upstream_ms, 500 + h % 8000 AS request_bytes, 300 + g % 6000 AS response_bytes,
        MAP {{'token.input': (1000 + h % 8000)::BIGINT, 'token.input.cache_read': (g % 1000)::BIGINT,
              'token.output': (50 + g % 900)::BIGINT}} AS usage, 'provider' AS usage_source,
        (1000 + h % 8000 - g % 1000)::BIGINT AS input_tokens, (g % 1000)::BIGINT AS cache_read_tokens,
        0::BIGINT AS cache_write_tokens, (50 + g % 900)::BIGINT AS output_tokens, 0::BIGINT AS reasoning_tokens,
        CASE WHEN h % 500 = 0 THEN NULL
             ELSE (h % 100000000000)::DECIMAL(38, 12) / 1000000000000 END::DECIMAL(38, 12) AS cost,
        'catalog' AS cost_source, CASE WHEN h % 500 = 0 THEN 'no price for model-' || m ELSE '' END AS unpriced,
        '[["token.input","' || h % 8000 || '","1.25",1000000,"0.0025"],'
        || '["token.output","' || g % 900 || '","10",1000000,"0.0031"]]' AS lines,
        'provider-0/model-0' AS baseline_offer, (g % 300000000000)::DECIMAL(38, 12)::DECIMAL(38, 12) AS baseline_cost,
        '{{"chosen":"provider-' || m % 4 || '/model-' || m
        || '","rejected":[{{"offer":"provider-3/model-11","reason":"region"}}]}}' AS decision,
        MAP {{'cost_center': 'cc-' || k % 16}} AS tags, false AS reversal
    FROM r
"""


def append(ledger: Ledger, rows: int) -> tuple[float, float]:
    """Rows per second of appending, and per second of CPU, without making the rows."""
    spent = busy = 0.0
    for version, batch in enumerate(batches(rows)):
        began, began_cpu = time.perf_counter(), time.process_time()
        ledger.append_requests_arrow(batch, source="bench", version=version)
        spent += time.perf_counter() - began
        busy += time.process_time() - began_cpu
    return rows / spent, rows / busy


def append_facts(ledger: Ledger, facts: list[RequestFact]) -> float:
    """Rows per second of appending ``RequestFact`` values, encoding included."""
    began = time.perf_counter()
    ledger.append_requests(facts, source="bench-facts", version=0)
    return len(facts) / (time.perf_counter() - began)


def by_turns(ours: Callable[[], object], theirs: Callable[[], object], turns: int) -> tuple[float, float]:
    """The quickest of several turns of two callables, in milliseconds, taken alternately."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for taken, work in zip(times, (ours, theirs), strict=True):
            began = time.perf_counter()
            work()
            taken.append((time.perf_counter() - began) * 1000)
    return min(times[0]), min(times[1])


def by_hand(url: str, table: str) -> Callable[[str], object]:
    """Hand-written SQL on the current files of a table that have rows of the month, on its own connection."""
    import duckdb
    from deltalake import DeltaTable

    partition = "day" if table == "requests" else "month"
    bounds = ("2026-08-01", "2026-09-01") if table == "requests" else ("2026-08", "2026-09")
    files = DeltaTable(f"{url}/{table}").file_uris(
        file_pruning_predicate=[(partition, ">=", bounds[0]), (partition, "<", bounds[1])]
    )
    connection = duckdb.connect(config={"preserve_insertion_order": False})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET GLOBAL parquet_metadata_cache = true")
    return lambda query: connection.execute(query, [files]).fetchall()


def cold(url: str) -> tuple[float, float]:
    """Milliseconds of the first question in a new process: libraries loaded before, and counted."""
    code = _COLD.format(url=url, start=MONTH.start, end=MONTH.end)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, everything = run.stdout.split()
    return float(loaded), float(everything)


_COLD = """
import time
began = time.perf_counter()
from datetime import datetime
from farthing.core.time import Window
from farthing.ledger.questions import SpendQuestion
from farthing.ledger.store import Ledger
import deltalake, duckdb, ibis, pyarrow
ibis.to_sql(ibis.table({{"a": "int64"}}, name="t"), dialect="duckdb")
loaded = time.perf_counter()
window = Window(start=datetime.fromisoformat("{start}"), end=datetime.fromisoformat("{end}"))
answer = Ledger.open("{url}").spend(SpendQuestion(window=window, by=("model",), grain="day"))
assert answer.rows
end = time.perf_counter()
print((end - loaded) * 1000, (end - began) * 1000)
"""


def measure(*, quick: bool) -> list[Figure]:
    """All figures, on 10 million rows, or one million when ``quick``."""
    with tempfile.TemporaryDirectory(prefix="farthing-bench-") as folder:
        return measure_in(folder, rows=1_000_000 if quick else 10_000_000)


def measure_in(folder: str, *, rows: int) -> list[Figure]:
    ledger = Ledger.open(folder)
    appended, appended_per_cpu = append(ledger, rows)
    first, with_imports = cold(folder)
    raw_sql = by_hand(folder, "requests")
    raw, raw_hand = by_turns(lambda: ledger.spend(QUESTION), lambda: raw_sql(RAW_SQL), 5)
    answer = ledger.spend(QUESTION)
    began = time.perf_counter()
    ledger.refresh_rollups()
    refreshed = rows / (time.perf_counter() - began)
    rollup_sql = by_hand(folder, "rollup")
    sums, sums_hand = by_turns(lambda: ledger.spend(QUESTION), lambda: rollup_sql(ROLLUP_SQL), 15)
    assert ledger.spend(QUESTION) == answer, "hourly sums and facts disagree"
    check_against_hand(answer, raw_sql(RAW_SQL))
    first_rollup, _ = cold(folder)
    page, _ = by_turns(lambda: ledger.requests(RequestsQuestion(window=MONTH)), lambda: None, 3)
    sample = decode_requests(next(batches(50_000)).to_pylist())
    structs = append_facts(ledger, sample)
    size = sum(f.stat().st_size for f in Path(folder, "requests").rglob("*.parquet")) / 1e6
    shown = f"{rows:,} rows in {size:,.0f} MB"
    return [
        Figure(what="append, Arrow batches", ours=appended, unit="rows/s", at_least=200_000, note=shown),
        Figure(what="… per second of CPU", ours=appended_per_cpu, unit="rows/s", note="whatever else the machine does"),
        Figure(what="append, RequestFact values", ours=structs, unit="rows/s", note="encoding included"),
        Figure(
            what="spend by model by day, one month, cold", ours=first, unit="ms", at_most=500, note="facts, new process"
        ),
        Figure(what="… libraries to load included", ours=with_imports, unit="ms"),
        Figure(what="… warm, facts", ours=raw, unit="ms", beside={"hand-written SQL": raw_hand}),
        Figure(what="… warm, facts, to hand-written", ours=raw / raw_hand, unit="×", at_most=1.5),
        Figure(what="… from hourly sums", ours=sums, unit="ms", at_most=50, beside={"hand-written SQL": sums_hand}),
        Figure(what="… from hourly sums, to hand-written", ours=sums / sums_hand, unit="×", at_most=1.5),
        Figure(what="… from hourly sums, cold", ours=first_rollup, unit="ms", note="new process"),
        Figure(what="making the hourly sums", ours=refreshed, unit="rows/s"),
        Figure(what="newest 100 requests of the month", ours=page, unit="ms", note="totals cached per version"),
    ]


def check_against_hand(answer: Any, rows: Any) -> None:
    """Both sides must say the same, to the last decimal."""
    ours = {(r.keys["model"], f"{r.at:%Y-%m-%d}"): (r.cost, r.requests, r.output_tokens) for r in answer.rows}
    hand = {(r[0], f"{r[1]:%Y-%m-%d}"): (Decimal(r[2]), r[5], r[12]) for r in rows}
    assert ours == hand, "ours and hand-written SQL disagree"


if __name__ == "__main__":
    _report.main("ledger", measure)
