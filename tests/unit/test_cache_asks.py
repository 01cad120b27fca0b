"""Requests that may be asked ahead, as stores keep them: one suite over the file and a real Postgres."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from tests.support.postgres import serve

from farthing.cache.asks import (
    CLAIM_SECONDS,
    FORGOTTEN_SECONDS,
    LATE_SECONDS,
    Answered,
    Ask,
    Asks,
    Done,
    Job,
    Noted,
)
from farthing.cache.disk import DiskStore
from farthing.cache.entry import Purge
from farthing.cache.postgres import PostgresStore
from farthing.cache.schedules import Plan
from farthing.cache.warming import Proposal
from farthing.core.errors import InputError
from farthing.core.nouns import Scope

NOW = 1_795_000_000.0
MB = 1024 * 1024
DAY = 86400.0


@pytest.fixture(scope="module")
def postgres():
    with serve() as server:
        yield server


@pytest.fixture(params=["file", "postgres"])
def opened(request, tmp_path, monkeypatch):
    """Opens the same store again and again, as processes do."""
    monkeypatch.setattr("farthing.cache.postgres.POLL_SECONDS", 0.01)
    stores = []

    def one():
        if request.param == "file":
            stores.append(DiskStore(tmp_path / "answers.db", limit=MB))
        else:
            stores.append(PostgresStore(address, limit=MB))
        return stores[-1]

    address = request.getfixturevalue("postgres").database() if request.param == "postgres" else ""
    yield one
    for store in stores:
        store.close()


def key(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


def ask(name: str) -> Ask:
    return Ask(path="/v1/chat/completions", body=name.encode(), key_id="key_1", headers=((b"accept-language", b"de"),))


def answered(name: str, *, at: float = NOW, ttl: float = 3600.0, used: float | None = None, **scope: str) -> Noted:
    one = Answered(
        key=key(name), namespace="default", tenant="[]", epoch="", scope=Scope(**scope), made=at, expires=at + ttl,
        cost="0.001", ask=ask(name), used=at if used is None else used,
    )  # fmt: skip
    return Noted(answered={one.key: one})


def note(asks: Asks, noted: Noted, now: float) -> bool:
    return asks.note(noted, now, since=asks.purges())


def used(name: str, *times: float) -> Noted:
    return Noted(uses={key(name): times})


def proposed(name: str) -> Proposal:
    return Proposal(key=key(name), probability=0.9, reason="asked steadily", cost=Decimal("0.001"))


def test_what_several_workers_saw_comes_together(opened):
    first, second = Asks(opened()), Asks(opened())
    note(first, answered("a"), NOW)
    note(second, used("a", NOW + 20, NOW + 10), NOW + 20)
    note(first, used("a", NOW + 30), NOW + 30)
    assert first.expiring(NOW + 100) == ()
    (pattern,) = second.expiring(NOW + 3400)
    assert pattern.uses == (NOW, NOW + 10, NOW + 20, NOW + 30)
    assert (pattern.since, pattern.made, pattern.expires, pattern.cost) == (NOW, NOW, NOW + 3600, Decimal("0.001"))


def test_uses_of_what_is_not_remembered_are_not_kept(opened):
    asks = Asks(opened())
    note(asks, used("a", NOW), NOW)
    note(asks, answered("a", at=NOW + 1), NOW + 1)
    (pattern,) = asks.expiring(NOW + 3500)
    assert pattern.uses == (NOW + 1,)


def test_a_renewal_is_no_use_and_keeps_the_past(opened):
    asks = Asks(opened())
    note(asks, answered("a"), NOW)
    note(asks, answered("a", at=NOW + 3500, used=0.0), NOW + 3500)
    (pattern,) = asks.expiring(NOW + 7000)
    assert (pattern.uses, pattern.since, pattern.made) == ((NOW,), NOW, NOW + 3500)


def test_habits_survive_the_answer_for_eight_days_and_one_offs_are_not_looked_at(opened):
    asks = Asks(opened())
    for day in range(4):
        note(asks, answered("daily", at=NOW + day * DAY), NOW + day * DAY)
    note(asks, answered("once", at=NOW + 3 * DAY), NOW + 3 * DAY)
    later = NOW + 3 * DAY + FORGOTTEN_SECONDS
    assert [pattern.key for pattern in asks.habitual(later - 10)] == [key("daily")]
    assert asks.forget_old(later - 10) == 0
    assert asks.forget_old(later + 10) == 2
    assert asks.habitual(later + 10) == ()


def test_too_many_requests_push_out_those_that_were_not_asked_for_longest(opened, monkeypatch):
    monkeypatch.setattr("farthing.cache.asks.MOST_ASKS", 3)
    asks = Asks(opened())
    for number in range(5):
        note(asks, answered(f"n{number}", at=NOW + number), NOW + number)
    assert asks.forget_old(NOW + 10) == 2
    assert {pattern.key for pattern in asks.expiring(NOW + 3500)} == {key("n2"), key("n3"), key("n4")}


def test_a_job_is_taken_once_and_again_only_when_its_worker_died(opened):
    asks, other = Asks(opened()), Asks(opened())
    note(asks, answered("a"), NOW)
    due = NOW + 3500
    assert asks.propose([proposed("a"), proposed("unknown")], due) == 1
    assert asks.propose([proposed("a")], due) == 0, "it is due already"
    (job,) = asks.claim(due, 4)
    assert (job.id, job.ask, job.plan) == (key("a"), ask("a"), None)
    assert other.claim(due, 4) == ()
    assert other.claim(due + CLAIM_SECONDS - 1, 4) == ()
    (again,) = other.claim(due + CLAIM_SECONDS + 1, 4)
    assert again == job
    other.end(again, Done(), due + CLAIM_SECONDS + 2)
    assert other.claim(due + 3 * CLAIM_SECONDS, 4) == ()
    assert asks.spent(due + 10) == (1, Decimal("0.001"))
    assert asks.spent(due + 3601) == (0, Decimal("0.001"))
    assert asks.spent(due + DAY + 1) == (0, 0)


def test_what_a_client_asked_meanwhile_is_not_asked_again(opened):
    asks = Asks(opened())
    note(asks, answered("a"), NOW)
    asks.propose([proposed("a")], NOW + 3500)
    note(asks, answered("a", at=NOW + 3600), NOW + 3600)
    assert asks.claim(NOW + 3601, 4) == ()
    assert asks.propose([proposed("a")], NOW + 7000) == 1, "it is not due any more"


def test_a_job_nobody_took_for_a_lifetime_is_dropped(opened):
    asks = Asks(opened())
    note(asks, answered("a"), NOW)
    asks.propose([proposed("a")], NOW + 3500)
    assert asks.claim(NOW + 3500 + 3601, 4) == ()
    assert asks.expiring(NOW + 3600 - 1)[0].tried == NOW + 3500


def test_a_request_whose_key_is_gone_is_forgotten(opened):
    asks = Asks(opened())
    note(asks, answered("a"), NOW)
    asks.propose([proposed("a")], NOW + 3500)
    (job,) = asks.claim(NOW + 3500, 1)
    asks.end(job, Done(problem="revoked", gone=True), NOW + 3501)
    assert asks.expiring(NOW + 3510) == ()


@pytest.mark.parametrize(
    "what", [Purge(entry=key("a").hex()), Purge(scope={"user": "ann"}), Purge(), Purge(before=NOW + 5)]
)
def test_a_purge_removes_requests_jobs_and_what_workers_have_not_written_yet(opened, what):
    store = opened()
    asks, control = Asks(store), Asks(opened())
    note(asks, answered("a", user="ann"), NOW)
    note(asks, answered("b", at=NOW + 10, user="bob"), NOW + 10)
    control.propose([proposed("a")], NOW + 3500)
    before = asks.purges()
    opened().purge(what)
    seen = answered("a", user="ann")
    assert asks.note(seen, NOW + 20, since=before) is False, "seen before the purge, for all that is known"
    left = {pattern.key for pattern in asks.expiring(NOW + 3520)}
    assert left == (set() if what == Purge() else {key("b")})
    assert asks.claim(NOW + 3500, 4) == ()
    assert note(asks, answered("a", at=NOW + 30, user="ann"), NOW + 30) is True
    assert key("a") in {pattern.key for pattern in asks.expiring(NOW + 3540)}


def scheduled(asks: Asks, *names: str, at: str = "08:30", name: str = "morning", now: float = NOW) -> None:
    jobs = [Job(id=key(f"{name}/{one}"), ask=ask(one), plan=Plan(at=at)) for one in names]
    asks.schedule(jobs, name=name, scope=Scope(team="search", key="key_1"), now=now)


def test_a_schedule_is_due_at_its_turns_and_not_in_between(opened):
    asks = Asks(opened())
    scheduled(asks, "a", "b")
    due = {one.due for one in asks.scheduled()}
    assert due == {Plan(at="08:30").next(NOW)}
    turn = due.pop()
    assert asks.claim(turn - 1, 4) == ()
    jobs = asks.claim(turn, 4)
    assert {job.ask.body for job in jobs} == {b"a", b"b"}
    made = Done(key=key("entry"), namespace="default", scope=Scope(user="ann"))
    asks.end(jobs[0], made, turn + 5)
    asks.end(jobs[1], Done(problem="status 429: no"), turn + 5)
    rows = asks.scheduled()
    assert {row.due for row in rows} == {turn + DAY}
    assert sorted(row.problem for row in rows) == ["", "status 429: no"]
    assert {row.tried for row in rows} == {turn + 5}
    assert asks.expiring(turn + 10) == asks.habitual(turn + 10) == (), "it is no pattern"


def test_a_turn_that_was_missed_for_long_is_left_out(opened):
    asks = Asks(opened())
    scheduled(asks, "a")
    turn = asks.scheduled()[0].due
    assert asks.claim(turn + LATE_SECONDS + 1, 4) == ()
    (row,) = asks.scheduled()
    assert (row.due, "missed" in row.problem) == (turn + DAY, True)
    assert len(asks.claim(turn + DAY + LATE_SECONDS - 1, 4)) == 1, "half an hour late is in time"


def test_a_schedule_of_the_same_name_replaces_and_goes_as_a_whole(opened):
    asks = Asks(opened())
    scheduled(asks, "a", "b")
    scheduled(asks, "c", at="09:00")
    scheduled(asks, "d", name="evening")
    assert {(row.name, row.plan.at) for row in asks.scheduled()} == {("morning", "09:00"), ("evening", "08:30")}
    assert (asks.unschedule("morning"), asks.unschedule("morning")) == (1, 0)
    assert [row.name for row in asks.scheduled()] == ["evening"]


@pytest.mark.parametrize(
    "what", [Purge(entry=key("entry").hex()), Purge(scope={"user": "ann"}), Purge(scope={"team": "search"})]
)
def test_a_purge_of_what_it_made_removes_a_stored_request(opened, what):
    asks = Asks(opened())
    scheduled(asks, "a")
    turn = asks.scheduled()[0].due
    (job,) = asks.claim(turn, 1)
    scope = Scope(user="ann", team="search")
    asks.end(job, Done(key=key("entry"), namespace="default", scope=scope), turn + 5)
    opened().purge(what)
    assert asks.scheduled() == ()


def test_plans_know_the_week_and_the_zone():
    friday = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
    assert Plan(at="08:30").next(friday) == friday + 8.5 * 3600
    assert Plan(at="08:30").next(friday + 8.5 * 3600) == friday + DAY + 8.5 * 3600
    assert Plan(at="08:30", weekdays=True).next(friday + DAY / 2) == friday + 3 * DAY + 8.5 * 3600
    assert Plan(at="08:30", zone="Europe/Berlin").next(friday) == friday + 7.5 * 3600


@pytest.mark.parametrize("wrong", [{"at": "8:30"}, {"at": "25:00"}, {"at": "08:30", "zone": "Berlin"}])
def test_plans_that_mean_nothing_are_refused(wrong):
    with pytest.raises(InputError):
        Plan(**wrong)


def test_a_plan_keeps_through_json():
    plan = Plan(at="08:30", zone="Europe/Berlin", weekdays=True)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
