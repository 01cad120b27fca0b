"""Windows are half-open, aware and UTC, whatever they were built from."""

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.errors import InputError
from farthing.core.time import DailyHours, Window, aware, parse_instant

zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones)
bounds = st.one_of(st.none(), instants)


@st.composite
def windows(draw):
    start, end = draw(bounds), draw(bounds)
    if start is not None and end is not None and end < start:
        start, end = end, start
    return Window(start=start, end=end)


bounded = windows().filter(lambda w: w.start is not None and w.end is not None)


@given(windows(), instants)
def test_a_window_holds_its_start_and_not_its_end(window, at):
    inside = (window.start is None or window.start <= at) and (window.end is None or at < window.end)
    assert (at in window) == inside
    if window.start is not None and window.start != window.end:
        assert window.start in window
    if window.end is not None:
        assert window.end not in window


@given(windows())
def test_bounds_are_kept_in_utc(window):
    for bound in (window.start, window.end):
        assert bound is None or bound.tzinfo is UTC


@given(windows(), windows(), instants)
def test_what_lies_in_both_makes_them_overlap(a, b, at):
    assert a.overlaps(b) == b.overlaps(a)
    if at in a and at in b:
        assert a.overlaps(b)


@given(windows(), windows())
def test_what_overlaps_shares_an_instant(a, b):
    start = max((w.start for w in (a, b) if w.start is not None), default=None)
    end = min((w.end for w in (a, b) if w.end is not None), default=None)
    if a.overlaps(b):
        shared = start or (end - timedelta(days=1) if end else datetime(2026, 1, 1, tzinfo=UTC))
        assert shared in a
        assert shared in b


@given(instants, windows())
def test_an_empty_window_overlaps_nothing(at, window):
    assert not Window(start=at, end=at).overlaps(window)
    assert not window.overlaps(Window(start=at, end=at))


@given(bounded)
def test_the_previous_window_touches_without_overlap_and_is_as_long(window):
    before = window.previous()
    assert before.end == window.start
    assert before.duration == window.duration
    assert not before.overlaps(window)


@given(instants, st.timedeltas(timedelta(0), timedelta(days=900)), st.timedeltas(timedelta(0), timedelta(days=900)))
def test_windows_that_touch_cover_without_counting_twice(start, first, second):
    a = Window(start=start, end=start + first)
    b = Window(start=start + first, end=start + first + second)
    whole = Window(start=start, end=start + first + second)
    assert not a.overlaps(b)
    assert a.duration + b.duration == whole.duration
    for at in (start, start + first, start + first / 2, start + first + second):
        assert (at in a) + (at in b) == (at in whole)


def test_a_window_that_ends_before_it_starts_is_refused():
    with pytest.raises(InputError, match="Swap the two"):
        Window(start=datetime(2026, 1, 2, tzinfo=UTC), end=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("field", ["start", "end"])
def test_a_time_without_a_zone_is_refused(field):
    with pytest.raises(InputError) as problem:
        Window(**{field: datetime(2026, 1, 1)})
    assert problem.value.field == field


@pytest.mark.parametrize("window", [Window(), Window(start=datetime(2026, 1, 1, tzinfo=UTC))])
def test_an_open_window_has_no_length(window):
    with pytest.raises(InputError):
        window.previous()


@given(st.dates(date(2000, 1, 1), date(2099, 1, 1)))
def test_a_day_is_24_hours_of_utc(on):
    day = Window.day(on)
    assert day.duration == timedelta(hours=24)
    assert datetime.combine(on, time(23, 59, 59, 999999), UTC) in day
    assert day.end == Window.day(on + timedelta(days=1)).start


@given(instants)
def test_instants_are_read_back_from_their_text(at):
    assert parse_instant(at.isoformat()) == at == aware(at)
    assert parse_instant(at.isoformat()).tzinfo is UTC


@given(st.dates())
def test_a_date_means_its_midnight(on):
    assert parse_instant(on.isoformat()) == datetime.combine(on, time(), UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-01-01T00:00:00", "1767225600", "01/02/2026"])
def test_other_text_is_refused_with_its_field(text):
    with pytest.raises(InputError) as problem:
        parse_instant(text, field="start")
    assert problem.value.field == "start"
    assert problem.value.remedy


@given(st.times(), st.times(), instants)
def test_daily_hours_and_the_rest_of_the_day_share_no_instant(start, end, at):
    if start != end:
        assert (at in DailyHours(start=start, end=end)) != (at in DailyHours(start=end, end=start))
