"""Whatever facts come, in whatever order of writing, summing and merging: hourly sums say what the facts say."""

import tempfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.core.facts import Status
from farthing.core.nouns import Scope
from farthing.core.time import Window
from farthing.ledger.calendar import calendar
from farthing.ledger.questions import SpendQuestion
from farthing.ledger.store import Ledger
from support.facts import fact

START = datetime(2026, 10, 23, tzinfo=UTC)
END = START + timedelta(days=5)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns")

instants = st.integers(0, 5 * 86_400_000_000 - 1).map(lambda us: START + timedelta(microseconds=us))
money = st.none() | st.decimals(0, 10**9, places=12, allow_nan=False)
rows = st.builds(
    dict,
    at=instants,
    cost=money,
    baseline_cost=money,
    model=st.sampled_from(["a", "b", ""]),
    team=st.sampled_from(["x", "y", ""]),
    status=st.sampled_from(list(Status)),
    attempt=st.integers(0, 2),
    input_tokens=st.integers(0, 10**9),
)
steps = st.lists(st.one_of(st.lists(rows, min_size=1, max_size=6), st.sampled_from(["refresh", "compact"])), max_size=8)


def made(number, row):
    team = row["team"]
    cost = row["cost"]
    rest = {k: v for k, v in row.items() if k not in ("team", "cost")}
    return fact(number, scope=Scope(team=team), cost=None if cost is None else f"{cost:f}", **rest)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, cut=st.tuples(instants, instants), zone=st.sampled_from(ZONES))
def test_every_way_to_ask_gives_the_sum_of_the_facts(steps, cut, zone):
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(folder, threads=1)
        written = []
        for version, step in enumerate(steps):
            if step == "refresh":
                ledger.refresh_rollups()
            elif step == "compact":
                ledger.compact()
            else:
                batch = [made(len(written) + i, row) for i, row in enumerate(step)]
                ledger.append_requests(batch, source="s", version=version)
                written += batch
        for window in (Window(start=START, end=END), Window(start=min(cut), end=max(cut)), Window()):
            inside = [f for f in written if f.at in window]
            for grain in ("none", "day"):
                question = SpendQuestion(window=window, by=("model", "team"), grain=grain, zone=zone)
                answer = ledger.spend(question)
                assert {(r.at, *r.keys.values()): measured(r) for r in answer.rows} == by_hand(inside, grain, zone)
                assert answer.empty == (not inside)
        ledger.close()


def measured(row):
    return (row.cost, row.baseline_cost, row.saved, row.requests, row.errors, row.unpriced_requests, row.input_tokens)


def by_hand(some, grain, zone):
    groups = defaultdict(list)
    for one in some:
        local = one.at.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        groups[(local.astimezone(UTC) if grain == "day" else None, one.model, one.scope.team)].append(one)
    return {key: summed(group) for key, group in groups.items()}


def summed(group):
    both = [f for f in group if f.cost is not None and f.baseline_cost is not None]
    return (
        sum((f.cost for f in group if f.cost is not None), Decimal(0)),
        sum((f.baseline_cost for f in group if f.baseline_cost is not None), Decimal(0)),
        sum((f.baseline_cost - f.cost for f in both), Decimal(0)),
        sum(f.attempt <= 1 for f in group),
        sum(f.status in (Status.ERROR, Status.TRUNCATED, Status.ABANDONED) for f in group),
        sum(f.cost is None for f in group),
        sum(f.input_tokens for f in group),
    )


@given(at=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)), zone=st.sampled_from(ZONES))
def test_offsets_of_a_calendar_are_those_of_the_zone(at, zone):
    days = calendar(zone, Window(start=at - timedelta(days=200), end=at + timedelta(days=200)))
    known = [o.seconds for o in days.offsets if o.start is None or o.start <= at]
    assert timedelta(seconds=known[-1]) == at.astimezone(ZoneInfo(zone)).utcoffset()
