"""How a limit stands, in cases worked out by hand; and what is told about it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from farthing.core.limits import Limit, Measure, Span
from farthing.core.time import Window
from farthing.governance.alerts import Standing, TargetSettings, figure, tidings
from farthing.governance.pacing import Use, history, pace, percent_of, present

NOW = datetime(2026, 11, 11, 12, tzinfo=UTC)
MONTH = Limit(id="lim_1", name="search", measure=Measure.COST, amount=Decimal(300), per=Span.MONTH)


def daily(amount: str, days: int, until: datetime = NOW) -> list[Use]:
    today = until.replace(hour=0)
    return [Use(today - timedelta(days=n), Decimal(amount)) for n in range(days, -1, -1)]


def at(limit: Limit = MONTH, *, used: str, uses=(), now: datetime = NOW):
    return pace(limit, window=present(limit, now), now=now, used=Decimal(used), uses=uses)


def test_an_even_pace_is_on_its_line():
    found = at(used="105", uses=daily("10", 20))
    assert (found.status, found.percent, found.elapsed, found.even) == ("ok", Decimal("35.00"), Decimal("35.00"), 105)
    assert found.forecast.method == "weekday means"
    assert (found.forecast.low, found.forecast.mid, found.forecast.high) == (300, 300, 300)


def test_a_pace_that_is_too_fast_is_at_risk_and_says_when():
    found = at(used="210", uses=daily("20", 20))
    assert found.status == "at risk"
    assert found.forecast.mid == 210 + 10 + 20 * 19
    assert found.exhausted == NOW + timedelta(days=4, hours=12)


def test_a_slow_limit_with_a_warning_behind_its_line_is_ok_and_ahead_of_it_warns():
    late = datetime(2026, 11, 29, tzinfo=UTC)
    assert at(used="160", now=late).status == "ok"
    assert at(used="160").status == "warn"


def test_what_is_used_up_is_over_since_the_ledger_says_so():
    found = at(used="300", uses=daily("30", 12))
    assert (found.status, found.percent) == ("over", Decimal("100.00"))
    assert found.exhausted == datetime(2026, 11, 10, tzinfo=UTC)


def test_a_forecast_needs_three_whole_days_and_says_so():
    found = at(used="20", uses=daily("5", 3))
    assert found.forecast is None
    assert found.note == "A forecast needs 3 whole days with data; there are 2"
    assert at(used="20", uses=daily("5", 4)).forecast.observed == 3


def test_the_first_day_may_be_a_part_and_does_not_count():
    uses = daily("10", 9)
    uses[0] = Use(uses[0].at, Decimal(1))
    assert at(used="91", uses=uses).forecast.mid == 91 + 5 + 190


def test_days_without_use_count():
    uses = [use for use in daily("10", 11) if use.at.day % 2]
    found = at(used="60", uses=uses)
    assert found.forecast.observed == 10
    assert found.forecast.mid == 60 + Decimal("19.5") * 5


def test_a_days_share_is_the_amount_by_its_days():
    found = at(used="105", uses=[*daily("10", 20)[:-1], Use(NOW.replace(hour=0), Decimal(8))])
    assert (found.day.share, found.day.percent, found.day.ahead) == (10, 80, True)


def test_a_month_with_a_change_of_clocks_has_its_days():
    berlin = msgspec.structs.replace(MONTH, zone="Europe/Berlin", amount=Decimal(310))
    now = datetime(2026, 10, 26, 12, tzinfo=UTC)
    assert at(berlin, used="0", now=now).day.share == 10
    assert present(berlin, now).duration == timedelta(days=31, hours=1)


def test_a_days_limit_is_forecast_by_hours_of_the_day():
    day = msgspec.structs.replace(MONTH, per=Span.DAY, amount=Decimal(24))
    start = datetime(2026, 11, 8, tzinfo=UTC)
    uses = [Use(start + timedelta(hours=n), Decimal(2 if (n % 24) >= 12 else 0)) for n in range(84)]
    found = at(day, used="0", uses=uses)
    assert found.forecast.method == "hour means"
    assert found.forecast.mid == 24


def test_rolling_and_short_and_parallel_limits_have_no_forecast():
    rolling = msgspec.structs.replace(MONTH, rolling=True)
    assert at(rolling, used="10", uses=daily("10", 20)).note == "It has no end to forecast"
    minute = msgspec.structs.replace(MONTH, per=Span.MINUTE, measure=Measure.REQUESTS)
    assert at(minute, used="10").note == "It begins anew too soon to forecast"
    parallel = msgspec.structs.replace(MONTH, per=Span.ONCE, measure=Measure.PARALLEL)
    assert (at(parallel, used="10").points, at(parallel, used="10").even) == ((), None)


def test_a_limit_without_an_end_says_when_it_is_used_up():
    once = msgspec.structs.replace(MONTH, per=Span.ONCE)
    found = at(once, used="200", uses=daily("10", 20))
    assert (found.forecast, found.exhausted) == (None, NOW + timedelta(days=10))
    assert history(once, present(once, NOW), NOW) == Window(end=NOW)


def test_of_an_amount_of_nothing_everything_is_used():
    none = msgspec.structs.replace(MONTH, amount=Decimal(0))
    assert (at(none, used="0").status, percent_of(Decimal(0), Decimal(0))) == ("over", 100)


def told(limit: Limit = MONTH, *, used: str, now: datetime = NOW, **rest) -> dict[str, str]:
    standing = Standing(limit=limit, subject={}, window=present(limit, now), used=Decimal(used), **rest)
    return {news.kind: news.same for news in tidings(standing, percent_of(Decimal(used), limit.amount), now)}


def test_of_several_warnings_the_highest_is_told_once_a_span():
    assert told(used="149") == {}
    half, most = told(used="150"), told(used="275")
    assert half["budget.warning"].endswith("2026-11-01T00:00/50")
    assert most["budget.warning"].endswith("2026-11-01T00:00/90")
    assert told(used="299", now=NOW + timedelta(days=3)) == most
    assert told(used="299", now=NOW + timedelta(days=30)) != most


def test_another_amount_or_subject_is_another_warning():
    raised = msgspec.structs.replace(MONTH, amount=Decimal(310))
    assert told(raised, used="300") != told(used="290")
    standing = Standing(limit=MONTH, subject={"user": "ann"}, window=present(MONTH, NOW), used=Decimal(290))
    [news] = tidings(standing, Decimal(96), NOW)
    assert news.title == "search (user ann): 90 % used"
    assert news.same != told(used="290")["budget.warning"]


@pytest.mark.parametrize("per", [Span.MINUTE, Span.HOUR, Span.DAY])
def test_short_and_rolling_spans_warn_at_most_once_a_day(per):
    short = msgspec.structs.replace(MONTH, per=per, rolling=True)
    first = told(short, used="300")
    assert told(short, used="300", now=NOW + timedelta(hours=3)) == first
    assert told(short, used="300", now=NOW + timedelta(days=1)) != first


def test_refusals_doubt_and_the_day_are_told_once_each():
    pace = at(used="160", uses=daily("9", 20))
    kinds = told(used="160", refused=3, doubt=Decimal("0.02"), pace=pace)
    assert set(kinds) == {"budget.warning", "budget.refused", "budget.doubt", "budget.day", "budget.forecast"}
    assert kinds["budget.day"].endswith("/day/2026-11-11")
    assert len(set(kinds.values())) == 5


def test_figures_are_readable():
    tokens = msgspec.structs.replace(MONTH, measure=Measure.TOKENS)
    assert [figure(MONTH, Decimal(text)) for text in ("12.5", "1234.567", "0.000012", "0.5")] == [
        "$12.50", "$1,234.56", "$0.000012", "$0.50",
    ]  # fmt: skip
    assert figure(tokens, Decimal(120_000)) == "120,000 tokens"


def test_a_target_wants_its_events_from_a_severity_on():
    target = TargetSettings(url="env:X", events=("budget",), min_severity="warning")
    assert target.wants("budget.warning", "critical")
    assert target.wants("budget.day", "warning")
    assert not target.wants("budget.warning", "info")
    assert not target.wants("approval.asked", "critical")
    assert not target.wants("budgetary.warning", "critical")
