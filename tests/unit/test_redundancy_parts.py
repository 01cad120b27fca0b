"""Breakers, pace, retry budgets, the course over targets, purses: each alone, on a clock that the test holds."""

import itertools
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from farthing.core.facts import ErrorKind, Operation, RequestFact, Status
from farthing.core.nouns import Scope
from farthing.gateway.breaker import FIRST_REST_S, MEMORY_S, SLOW_IN_A_ROW, WINDOW, Breaker, State, Tolerance
from farthing.gateway.course import Course
from farthing.gateway.experience import Conduct, Track
from farthing.gateway.failure import ELSEWHERE, may_pass
from farthing.gateway.hedge import Purse
from farthing.gateway.pace import LONGEST_S, Pace, retry_after, until
from farthing.gateway.ports import Provider, Target
from farthing.gateway.retry import FIRST_WAIT_S, LEAST, LONGEST_WAIT_S, WINDOW_S, Budget, Retries, backoff
from farthing.gateway.settings import HedgeSettings

NOW = 1_795_262_400.0
"""2026-11-21 12:00 UTC."""

SERVER = ErrorKind.SERVER


def fail(breaker, at, times=1, **more):
    return [breaker.failed(SERVER, at - 0.01, at, **more) for _ in range(times)][-1]


def good(breaker, at, *, took=0.01):
    return breaker.answered(at - took, at, at)


# Breakers


def test_a_breaker_opens_after_failures_in_a_row_and_one_probe_closes_it():
    breaker = Breaker(Tolerance(failures=3))
    assert not fail(breaker, NOW, 2)
    assert fail(breaker, NOW)
    assert (breaker.state(NOW), breaker.refuses(NOW)) == (State.OPEN, True)
    later = NOW + FIRST_REST_S + 0.1
    assert (breaker.state(later), breaker.refuses(later)) == (State.HALF_OPEN, False)
    breaker.probe(later)
    assert breaker.refuses(later), "one probe at a time"
    assert good(breaker, later + 0.1)
    assert breaker.state(later + 0.1) is State.CLOSED


def test_a_success_in_between_counts_from_the_start():
    breaker = Breaker(Tolerance(failures=3))
    fail(breaker, NOW, 2)
    good(breaker, NOW)
    assert not fail(breaker, NOW, 2)


def test_a_burst_of_failures_is_one_relapse_and_old_answers_end_no_rest():
    breaker = Breaker(Tolerance(failures=3))
    fail(breaker, NOW, 64)
    assert breaker.rests_until == NOW + FIRST_REST_S
    assert not good(breaker, NOW + 0.5, took=0.6)
    assert breaker.state(NOW + 0.6) is State.OPEN


@pytest.mark.parametrize("busy", [False, True])
def test_each_relapse_doubles_the_rest_up_to_a_limit_and_a_minute_in_health_forgives(busy):
    breaker = Breaker(Tolerance(failures=3, longest_rest=5))
    rests, at = [], NOW
    for _ in range(5):
        fail(breaker, at, 3)
        rests.append(breaker.rests_until - at)
        at = breaker.rests_until + 0.1
    assert rests == pytest.approx([1, 2, 4, 5, 5])
    good(breaker, at)
    for second in range(int(MEMORY_S) * busy):
        good(breaker, at + second)
    at += MEMORY_S + 1
    fail(breaker, at, 3)
    assert breaker.rests_until == pytest.approx(at + 1)


def test_half_of_the_last_requests_failing_opens_it_without_three_in_a_row():
    breaker = Breaker(Tolerance(failures=3, share=0.5))
    opened = 0
    for number in range(WINDOW):
        opened = number if number % 2 and fail(breaker, NOW + number / 10) else opened
        if not number % 2:
            good(breaker, NOW + number / 10)
    assert opened == WINDOW - 1
    assert "10 of the last 20" in breaker.why


def test_some_failures_among_many_successes_open_nothing():
    breaker = Breaker(Tolerance())
    for number in range(1000):
        if number % 10:
            good(breaker, NOW + number / 100)
        else:
            assert not fail(breaker, NOW + number / 100)
    assert breaker.state(NOW + 10) is State.CLOSED


def test_a_wish_is_granted_at_once_and_only_new_failures_renew_it():
    breaker = Breaker(Tolerance())
    assert breaker.failed(ErrorKind.RATE_LIMIT, NOW - 0.1, NOW, wish=20)
    assert breaker.rests_until == NOW + 20
    assert not breaker.failed(SERVER, NOW - 0.1, NOW + 0.1)
    assert breaker.failed(ErrorKind.RATE_LIMIT, NOW - 0.1, NOW + 5, wish=20)
    assert breaker.rests_until == NOW + 25


def test_late_first_bytes_open_it_and_only_one_in_time_closes_it():
    breaker = Breaker(Tolerance())
    breaker.slow_after = 1.0
    for number in range(SLOW_IN_A_ROW - 1):
        assert not good(breaker, NOW + number, took=2)
    assert good(breaker, NOW + 5, took=2)
    probing = breaker.rests_until + 0.1
    assert good(breaker, probing + 3, took=2.9)
    assert breaker.state(probing + 3.1) is State.OPEN
    assert "late" in breaker.why
    again = breaker.rests_until + 0.1
    assert good(breaker, again + 0.5, took=0.5)
    assert breaker.state(again + 1) is State.CLOSED


def test_what_stays_slow_for_long_is_taken_as_it_is():
    breaker = Breaker(Tolerance())
    breaker.slow_after = 1.0
    for number in range(SLOW_IN_A_ROW):
        good(breaker, NOW + number, took=2)
    assert good(breaker, NOW + 700, took=2)
    assert breaker.state(NOW + 700) is State.CLOSED


def test_requests_that_hang_together_open_it_before_any_has_ended():
    breaker = Breaker(Tolerance())
    breaker.slow_after = 1.0
    breaker.waiting.update({number: float(number) / 100 for number in range(SLOW_IN_A_ROW)})
    assert not breaker.overdue(NOW, lambda since: 0.9 - since)
    assert breaker.overdue(NOW, lambda since: 1.2 - since)
    assert breaker.state(NOW) is State.OPEN


def test_answers_outpaced_by_hedges_are_late_ones():
    breaker = Breaker(Tolerance())
    assert [breaker.outpaced(NOW + n, NOW + n + 0.1) for n in range(SLOW_IN_A_ROW)] == [False] * 4 + [True]


# Pace

OPENAI = {b"x-ratelimit-remaining-requests": b"0", b"x-ratelimit-reset-requests": b"1m30s"}
ANTHROPIC = {
    b"anthropic-ratelimit-requests-remaining": b"0",
    b"anthropic-ratelimit-requests-reset": b"2026-11-21T12:00:20Z",
}


@pytest.mark.parametrize(("headers", "seconds"), [(OPENAI, 90), (ANTHROPIC, 20)])
def test_a_target_without_requests_left_is_free_again_at_its_reset(headers, seconds):
    assert datetime.fromtimestamp(NOW, UTC) == datetime(2026, 11, 21, 12, tzinfo=UTC)
    pace = Pace()
    pace.heard(headers, lambda: NOW)
    assert pace.limited
    assert pace.free_at(NOW) == NOW + seconds
    assert pace.free_at(NOW + seconds) == NOW + seconds
    assert not pace.limited


def test_tokens_left_matter_to_calls_that_need_more():
    pace = Pace()
    pace.heard({b"x-ratelimit-remaining-tokens": b"500", b"x-ratelimit-reset-tokens": b"6s"}, lambda: NOW)
    assert pace.free_at(NOW, 500) == NOW
    assert pace.free_at(NOW, 501) == NOW + 6
    assert pace.free_at(NOW + 7, 501) == NOW + 7
    pace.heard({b"x-ratelimit-remaining-tokens": b"0", b"x-ratelimit-reset-tokens": b"6s"}, lambda: NOW)
    assert pace.free_at(NOW) == NOW + 6


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        (b"20ms", 0.02), (b"1s", 1), (b"7.66s", 7.66), (b"6m0s", 360), (b"2m59.56s", 179.56), (b"1d", LONGEST_S),
        (b"30", 30), (b"0.5", 0.5), (b"1795262460", 60), (b"1795262460000", 60), (b"2026-11-21T12:00:20Z", 20),
        (b"2026-11-21T13:00:20+01:00", 20), (b"2020-01-01T00:00:00Z", 0), (b"", 0), (b"soon", 0), (b"-5", 0),
        (b"9" * 400, 0), (b"9" * 39, LONGEST_S), (b"1s1m", 0), (b"\xff", 0), (b"nan", 0), (b"inf", 0),
    ],
)  # fmt: skip
def test_resets_in_every_form(reset, seconds):
    assert until(reset, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({b"retry-after": b"20"}, 20), ({b"retry-after": b"0.5"}, 0.5), ({b"retry-after": b"9" * 400}, LONGEST_S),
        ({b"retry-after-ms": b"250", b"retry-after": b"1"}, 0.25),
        ({b"retry-after": b"Sat, 21 Nov 2026 12:00:30 GMT"}, 30),
        ({b"retry-after": b"Sat, 21 Nov 2020 12:00:30 GMT"}, 0),
        ({b"retry-after": b"later"}, 0), ({b"retry-after": b"-1"}, 0), ({}, 0),
    ],
)  # fmt: skip
def test_retry_after_in_every_form(headers, seconds):
    assert retry_after(headers, NOW) == pytest.approx(seconds)


# Retries


def test_backoff_is_drawn_below_a_bound_that_doubles():
    assert [backoff(n, lambda: 1.0) for n in (1, 2, 3)] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert backoff(100, lambda: 1.0) == LONGEST_WAIT_S
    assert backoff(3, lambda: 0.0) == 0


def test_a_budget_allows_its_share_and_a_few():
    budget = Budget(0.1)
    for _ in range(1000):
        budget.sent(NOW)
    assert sum(budget.take(NOW) for _ in range(1000)) == LEAST + 100
    assert not budget.take(NOW + WINDOW_S), "the window before still counts"
    assert budget.take(NOW + 3 * WINDOW_S)


def test_a_share_of_zero_means_no_retries():
    assert not Budget(0).take(NOW)


def fact(kind, http_status=0, provider="p0", operation=Operation.CHAT):
    return RequestFact(
        request_id="r", attempt=1, at=datetime.fromtimestamp(NOW, UTC), operation=operation, dialect="openai",
        scope=Scope(), requested_model="m", status=Status.ERROR, worker="w", provider=provider, error_kind=kind,
        http_status=http_status,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "operation", "passes"),
    [
        (ErrorKind.CONNECT, 0, Operation.CHAT, True),
        (ErrorKind.RESET, 0, Operation.CHAT, True),
        (ErrorKind.RESET, 200, Operation.CHAT, False),
        (ErrorKind.TIMEOUT, 0, Operation.CHAT, False),
        (ErrorKind.TIMEOUT, 0, Operation.EMBEDDING, True),
        (ErrorKind.SERVER, 502, Operation.CHAT, True),
        (ErrorKind.SERVER, 200, Operation.CHAT, False),
        (ErrorKind.QUOTA, 429, Operation.CHAT, False),
        (ErrorKind.BAD_BODY, 200, Operation.CHAT, False),
    ],
)
def test_what_may_be_sent_again_to_the_same_target(kind, status, operation, passes):
    assert may_pass(fact(kind, status, operation=operation)) is passes


def test_what_the_client_did_is_nobody_elses_to_repeat():
    assert not ELSEWHERE & {ErrorKind.BAD_REQUEST, ErrorKind.CONTENT_FILTER, ErrorKind.INTERNAL}


# The course


def target(place, provider=""):
    account = Provider(name=provider or f"p{place}", vendor="openai", dialect="openai", base_url="http://x")
    return Target(provider=account, model="m", offer_id=f"o{place}")


def course(*targets, retries=None, draw=lambda: 0.5):
    tracks = {t.offer_id: Track(Breaker(Tolerance()), Conduct()) for t in targets}
    made = Course(targets, retries or Retries(), track=lambda t: tracks[t.offer_id], draw=draw)
    return made, [tracks[t.offer_id] for t in targets]


def walked(made, kinds, *, at=NOW, retry=0.0):
    """The (place, role, wait) of each attempt when they fail like this, one after the other."""
    steps = []
    for kind, status in kinds:
        step = made.next(at)
        if step is None:
            break
        steps.append((step.place, step.role, round(step.wait, 3)))
        made.begun(step)
        made.failed(step, fact(kind, status, step.target.provider.name), at=at, retry_after=retry)
    return steps


def test_every_target_is_tried_once_before_one_is_tried_again():
    made, _ = course(target(0), target(1))
    assert walked(made, itertools.repeat((SERVER, 500))) == [
        (0, "", 0), (1, "failover", 0), (0, "retry", 0.05), (1, "retry", 0.05),
    ]  # fmt: skip
    assert made.next(NOW) is None, "four attempts are the most"


def test_the_only_target_is_tried_again_with_waits_that_grow():
    made, _ = course(target(0), retries=Retries(attempts=5))
    steps = walked(made, itertools.repeat((ErrorKind.OVERLOADED, 503)))
    assert steps == [(0, "", 0), (0, "retry", 0.05), (0, "retry", 0.1), (0, "retry", 0.2), (0, "retry", 0.4)]


@pytest.mark.parametrize("kind", [ErrorKind.TIMEOUT, ErrorKind.AUTH, ErrorKind.NOT_FOUND, ErrorKind.PROTOCOL])
def test_what_does_not_pass_is_tried_elsewhere_and_not_again(kind):
    made, _ = course(target(0), target(1))
    assert [place for place, *_ in walked(made, itertools.repeat((kind, 0)))] == [0, 1]


def test_a_provider_that_refuses_its_key_is_not_asked_for_another_model():
    made, _ = course(target(0, "same"), target(1, "same"), target(2, "other"))
    assert [place for place, *_ in walked(made, itertools.repeat((ErrorKind.AUTH, 401)))] == [0, 2]


def test_a_rest_that_was_asked_for_is_waited_for_within_the_patience():
    made, _ = course(target(0), retries=Retries(patience=3))
    assert walked(made, [(ErrorKind.RATE_LIMIT, 429)] * 4, retry=2) == [(0, "", 0), (0, "retry", 2)]


def test_a_spent_budget_ends_retries_and_not_failovers():
    made, tracks = course(target(0), target(1))
    for track in tracks:
        while track.budget.take(NOW):
            pass
    assert [place for place, *_ in walked(made, itertools.repeat((SERVER, 500)))] == [0, 1]


def test_targets_that_are_unwell_come_last():
    made, tracks = course(target(0), target(1))
    fail(tracks[0].health, NOW, 3)
    assert [place for place, *_ in walked(made, [(SERVER, 500)] * 2)] == [1, 0]


def test_a_used_up_limit_is_avoided_where_possible_and_waited_for_where_not():
    two, tracks = course(target(0), target(1))
    tracks[0].pace.heard(OPENAI, lambda: NOW)
    assert two.next(NOW).place == 1
    one, tracks = course(target(0))
    tracks[0].pace.heard({**OPENAI, b"x-ratelimit-reset-requests": b"2s"}, lambda: NOW)
    assert one.next(NOW)[-2:] == ("", pytest.approx(2.05))
    tracks[0].pace.heard(OPENAI, lambda: NOW)
    assert one.next(NOW).wait == 0, "a minute and a half is beyond its patience: let the provider decide"


def test_a_hedge_goes_to_another_target_that_is_well():
    made, tracks = course(target(0), target(1), target(2))
    made.begun(made.next(NOW))
    fail(tracks[1].health, NOW, 3)
    assert (made.beside(NOW).place, made.beside(NOW).role) == (2, "hedge")


# The purse


def test_hedges_stay_below_both_caps():
    settings = HedgeSettings(after="p95", max_extra_cost=0.02, max_requests=0.05)
    purse = Purse()
    assert not purse.take(settings), "nothing was spent yet"
    taken = 0
    for _ in range(10_000):
        purse.paid(Decimal("0.001"))
        if purse.take(settings):
            purse.lost(Decimal("0.001"))
            taken += 1
    assert 190 <= taken <= 200


def test_losers_whose_cost_is_not_known_count_as_usual_ones():
    settings = HedgeSettings(after="p95", max_extra_cost=0.02, max_requests=1)
    purse = Purse()
    for _ in range(100):
        purse.paid(Decimal("0.001"))
    assert [purse.take(settings) for _ in range(3)] == [True, True, False]
    purse.lost(None)
    purse.lost(Decimal(0))
    assert [purse.take(settings), purse.take(settings)] == [True, False]


def test_cheap_losers_are_still_limited_in_number():
    settings = HedgeSettings(after="p95", max_extra_cost=1, max_requests=0.05)
    purse = Purse()
    for _ in range(100):
        purse.paid(Decimal(0))
    assert sum(purse.take(settings) for _ in range(100)) == 5


def test_what_has_no_price_is_not_hedged():
    purse = Purse()
    for _ in range(100):
        purse.paid(None)
    assert not purse.take(HedgeSettings(after="p95", max_extra_cost=1, max_requests=1))
