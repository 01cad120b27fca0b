"""The gate over a real store, SQLite and PostgreSQL: asking, voting, carrying out, and races between processes."""

import threading
from decimal import Decimal

import pytest

from farthing.app.desk import KeyDesk
from farthing.app.gate import MOST_TRIES, STUCK
from farthing.core.errors import ConflictError, DeniedError, InputError, NotFoundError, UnavailableError
from farthing.core.limits import Limit, Measure, Span
from farthing.core.nouns import Scope
from farthing.governance.approvals import ApprovalSettings
from farthing.governance.gate import Act, ApprovalNeededError
from farthing.governance.roles import Role
from farthing.state.approvals import State, Verdict
from farthing.state.store import Store
from farthing.web.views import KeyDraft, ScopeDraft
from support.governed import Room, person
from support.postgres import serve

EVE = person("eve")
CTO = person("cto", Role.ENGINEER, "cto")
LEAD = person("lead", Role.ENGINEER, "infrastructure-lead")
STRICT = ApprovalSettings(four_eyes=True, four_eyes_from=Decimal(0))


@pytest.fixture(scope="module")
def postgres():
    with serve() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    return request.getfixturevalue("postgres").database()


@pytest.fixture
def room(url):
    with Store.open(url) as store:
        yield Room(store)


class Doing:
    """Counts what is done; raises what it is told to."""

    def __init__(self, *trouble: BaseException) -> None:
        self.trouble, self.done = list(trouble), []

    def __call__(self, payload, actor, at):
        if self.trouble:
            raise self.trouble.pop(0)
        self.done.append((payload, actor, at))
        return {"amount": payload["amount"]}


def raise_to(amount: int, **more) -> Act:
    return Act(
        name="limit.raise", subject="lim_1", summary=f"Raise to {amount}", payload={"amount": amount},
        category="inference", amount=Decimal(amount), **more,
    )  # fmt: skip


def ask(room: Room, act: Act, who=EVE) -> str:
    with pytest.raises(ApprovalNeededError) as needed:
        room.gate.do(who, act)
    return needed.value.approval


def test_below_the_first_band_it_just_happens(room):
    doing = Doing()
    room.gate.register("limit.raise", doing)
    assert room.gate.do(EVE, raise_to(999)) == {"amount": 999}
    assert doing.done == [({"amount": 999}, "eve@example.com", room.clock.now)]
    assert room.gate.list(EVE) == []


def test_above_it_waits_for_the_right_yes_and_happens_with_it(room):
    doing = Doing()
    room.gate.register("limit.raise", doing)
    with pytest.raises(ApprovalNeededError) as needed:
        room.gate.do(EVE, raise_to(5000))
    problem = needed.value
    assert "infrastructure-lead or cto" in problem.message
    assert problem.url == f"http://127.0.0.1:4181/approvals/{problem.approval}"
    assert problem.url in problem.remedy
    assert not doing.done
    with pytest.raises(DeniedError) as refused:
        room.gate.vote(person("em", Role.ENGINEER, "engineering-manager"), problem.approval, Verdict.APPROVE)
    assert refused.value.reason == "duty"
    room.clock.pass_(hours=1)
    done = room.gate.vote(LEAD, problem.approval, Verdict.APPROVE, "fine by me")
    assert (done.state, done.result) == (State.DONE, {"amount": 5000})
    assert doing.done == [({"amount": 5000}, "eve@example.com", room.clock.now)]
    assert room.told.kinds == ["approval.asked", "approval.done"]
    actions = [(entry.action, entry.actor) for entry in reversed(room.store.audit.list(subject=problem.approval))]
    assert actions == [
        ("approval.ask", "eve@example.com"), ("approval.approve", "lead@example.com"),
        ("approval.begin", "farthing"), ("approval.done", "farthing"),
    ]  # fmt: skip


def test_who_holds_the_duty_need_not_ask_and_that_is_written_down(room):
    room.gate.register("limit.raise", Doing())
    assert room.gate.do(LEAD, raise_to(5000)) == {"amount": 5000}
    (entry,) = room.store.audit.list()
    assert (entry.action, entry.actor, entry.subject) == ("approval.waive", "lead@example.com", "lim_1")
    assert entry.after["duty"] == "infrastructure-lead"


def test_asking_the_same_again_is_the_same_question(room):
    room.gate.register("limit.raise", Doing())
    first = ask(room, raise_to(5000))
    assert ask(room, raise_to(5000)) == first
    assert ask(room, raise_to(6000)) != first
    assert ask(room, raise_to(5000), person("bob")) != first
    room.gate.withdraw(EVE, first)
    assert ask(room, raise_to(5000)) != first


def test_four_eyes_are_two_people_and_no_admin_token(room):
    from farthing.web.who import ADMIN_TOKEN

    room.settings = STRICT
    doing = Doing()
    room.gate.register("limit.raise", doing)
    id = ask(room, raise_to(5000), CTO)
    for who, reason in ((CTO, "own_approval"), (ADMIN_TOKEN, "nobody_in_person")):
        with pytest.raises(DeniedError) as refused:
            room.gate.vote(who, id, Verdict.APPROVE)
        assert refused.value.reason == reason
    assert room.gate.vote(LEAD, id, Verdict.APPROVE).state is State.PENDING
    with pytest.raises(ConflictError, match="voted already"):
        room.gate.vote(LEAD, id, Verdict.APPROVE)
    assert not doing.done
    assert room.gate.vote(person("ada", Role.ADMIN), id, Verdict.APPROVE).state is State.DONE
    assert len(doing.done) == 1


def test_one_no_is_enough(room):
    room.settings = STRICT
    room.gate.register("limit.raise", Doing())
    id = ask(room, raise_to(5000))
    room.gate.vote(LEAD, id, Verdict.APPROVE)
    assert room.gate.vote(CTO, id, Verdict.DENY, "too much").state is State.DENIED
    with pytest.raises(ConflictError, match="denied"):
        room.gate.vote(person("ada", Role.ADMIN), id, Verdict.APPROVE)
    assert room.told.kinds[-1] == "approval.denied"


def test_a_question_expires(room):
    room.gate.register("limit.raise", Doing())
    id = ask(room, raise_to(5000))
    room.clock.pass_(hours=72)
    with pytest.raises(ConflictError, match="expired"):
        room.gate.vote(LEAD, id, Verdict.APPROVE)
    assert room.gate.get(EVE, id).state is State.EXPIRED
    assert room.told.kinds == ["approval.asked", "approval.expired"]
    room.gate.work()
    assert room.told.kinds == ["approval.asked", "approval.expired"]


def test_what_could_not_be_begun_is_tried_again_a_few_times(room):
    locked = UnavailableError("The store is locked")
    doing = Doing(locked, locked)
    room.gate.register("limit.raise", doing)
    id = ask(room, raise_to(5000))
    assert room.gate.vote(LEAD, id, Verdict.APPROVE).state is State.APPROVED
    assert room.gate.work() == "1 carried out"
    assert room.gate.get(EVE, id).state is State.APPROVED
    room.gate.work()
    assert (room.gate.get(EVE, id).state, len(doing.done)) == (State.DONE, 1)
    doing.trouble = [locked] * MOST_TRIES
    other = ask(room, raise_to(6000))
    room.gate.vote(LEAD, other, Verdict.APPROVE)
    for _ in range(MOST_TRIES):
        room.gate.work()
    failed = room.gate.get(EVE, other)
    assert (failed.state, failed.tries) == (State.FAILED, MOST_TRIES)
    assert len(doing.done) == 1


def test_what_cannot_be_done_fails_once(room):
    doing = Doing(InputError("no such limit", field="limit", value="lim_1"))
    room.gate.register("limit.raise", doing)
    id = ask(room, raise_to(5000))
    failed = room.gate.vote(LEAD, id, Verdict.APPROVE)
    assert failed.state is State.FAILED
    assert "no such limit" in failed.result["problem"]
    room.gate.work()
    assert not doing.done


def test_what_a_killed_process_had_begun_is_not_begun_again(room):
    doing = Doing(KeyboardInterrupt())
    room.gate.register("limit.raise", doing)
    id = ask(room, raise_to(5000))
    with pytest.raises(KeyboardInterrupt):
        room.gate.vote(LEAD, id, Verdict.APPROVE)
    room.gate.work()
    assert room.gate.get(EVE, id).state is State.RUNNING
    room.clock.pass_(seconds=STUCK.total_seconds())
    room.gate.work()
    assert room.gate.get(EVE, id).state is State.FAILED
    assert not doing.done


def test_votes_at_the_same_moment_from_several_processes_do_it_once(room, url):
    room.settings = STRICT
    doing = Doing()
    voters = [person(f"v{n}", Role.ENGINEER, "cto") for n in range(6)]
    with Store.open(url) as second:
        gates = (room.gate, room.another_gate(second))
        for gate in gates:
            gate.register("limit.raise", doing)
        for amount in range(5000, 5010):
            id = ask(room, raise_to(amount))
            refused: list[Exception] = []

            def vote(n, gate, id=id, refused=refused):
                try:
                    gate.vote(voters[n], id, Verdict.APPROVE)
                except ConflictError as problem:
                    refused.append(problem)

            threads = [threading.Thread(target=vote, args=(n, gates[n % 2])) for n in range(6)]
            threads += [threading.Thread(target=gate.work) for gate in gates]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            room.gate.work()
            found = room.gate.get(EVE, id)
            assert (found.state, found.yes, len(refused)) == (State.DONE, 2, 4)
    assert sorted(payload["amount"] for payload, _, _ in doing.done) == list(range(5000, 5010))
    assert room.store.audit.verify().whole


def covered(room: Room) -> KeyDesk:
    """Keys of team search may spend $5,000 a month."""
    hard = Limit(
        id="", name="search", measure=Measure.COST, amount=Decimal(5000), per=Span.MONTH, scope={"team": "search"}
    )
    room.store.limits.create(room.by(), hard)
    return KeyDesk(room.store, lambda actor: room.by(actor), room.gate)


def test_a_key_that_may_spend_much_is_made_when_its_asker_collects_it(room):
    desk = covered(room)
    assert desk.create(EVE, KeyDraft(name="other", scope=ScopeDraft(team="support")))[1].startswith("fk-")
    with pytest.raises(ApprovalNeededError) as needed:
        desk.create(EVE, KeyDraft(name="bot", scope=ScopeDraft(team="search"), models=["gpt-5"]))
    id = needed.value.approval
    with pytest.raises(ConflictError, match="pending"):
        room.gate.collect(EVE, id)
    assert room.gate.vote(LEAD, id, Verdict.APPROVE).state is State.APPROVED
    room.gate.work()
    assert [key.name for key in room.store.keys.list()] == ["other"]
    with pytest.raises(DeniedError) as refused:
        room.gate.collect(LEAD, id)
    assert refused.value.reason == "not_the_asker"
    made = room.gate.collect(EVE, id)
    key = room.store.keys.authenticate(made.token, room.clock.now)
    assert (key.name, key.scope, key.models) == ("bot", Scope(team="search"), {"gpt-5"})
    done = room.gate.get(EVE, id)
    assert (done.state, done.result) == (State.DONE, {"key": key.id})
    assert made.token not in repr((done, room.store.audit.list(), room.told.said))
    with pytest.raises(ConflictError, match="done"):
        room.gate.collect(EVE, id)


def test_a_key_that_nobody_collects_is_never_made(room):
    desk = covered(room)
    with pytest.raises(ApprovalNeededError) as needed:
        desk.create(EVE, KeyDraft(name="bot", scope=ScopeDraft(team="search")))
    room.gate.vote(LEAD, needed.value.approval, Verdict.APPROVE)
    room.clock.pass_(days=30)
    with pytest.raises(ConflictError, match="expired"):
        room.gate.collect(EVE, needed.value.approval)
    assert room.store.keys.list() == []


def spend(amount: str, **more) -> Act:
    return Act(
        name="spend", subject="run-7", summary="Train", payload={}, amount=Decimal(amount), category="training", **more
    )


def test_leave_to_spend_is_given_checked_and_used_once(room):
    assert room.gate.approved(spend("999"))
    assert room.gate.redeem(EVE, spend("999")) is None
    assert not room.gate.approved(spend("5000"))
    with pytest.raises(DeniedError) as refused:
        room.gate.redeem(EVE, spend("5000"))
    assert "/approvals/new" in refused.value.remedy
    asked = room.gate.ask(EVE, spend("5000"))
    assert not room.gate.approved(spend("5000"))
    room.gate.vote(person("em", Role.ENGINEER, "engineering-manager"), asked.id, Verdict.APPROVE)
    assert room.gate.approved(spend("5000"))
    assert room.gate.approved(spend("4000"))
    for other in (spend("5000.01"), spend("5000", scope=Scope(team="x"))):
        assert not room.gate.approved(other)
    assert room.gate.redeem(EVE, spend("4000")).id == asked.id
    assert not room.gate.approved(spend("5000"))
    with pytest.raises(DeniedError):
        room.gate.redeem(EVE, spend("4000"))


def test_leave_that_nobody_else_has_to_give_is_on_record(room):
    small = room.gate.ask(EVE, spend("10"))
    assert (small.state, small.wanted) == (State.APPROVED, 0)
    own = room.gate.ask(CTO, spend("50000"))
    assert own.state is State.APPROVED
    assert "cto@example.com" in own.reason
    room.clock.pass_(days=30)
    assert not room.gate.approved(spend("50000"))


def test_only_spends_and_plans_are_asked_for_directly(room):
    room.gate.register("limit.raise", Doing())
    with pytest.raises(InputError):
        room.gate.ask(EVE, raise_to(5000))
    for who in (person("viv", Role.VIEWER), person("viv", Role.VIEWER, "cto")):
        with pytest.raises(DeniedError):
            room.gate.ask(who, spend("5"))
        with pytest.raises(DeniedError):
            room.gate.do(who, raise_to(5))


def test_tenants_neither_see_nor_vote_nor_ask_for_each_other(room):
    room.gate.register("limit.raise", Doing())
    mine = ask(room, raise_to(5000, scope=Scope(team="search")))
    stranger = person("sam", Role.ADMIN, scope=Scope(team="support"))
    assert room.gate.list(stranger) == []
    for touch in (
        lambda: room.gate.get(stranger, mine),
        lambda: room.gate.vote(stranger, mine, Verdict.APPROVE),
        lambda: room.gate.withdraw(stranger, mine),
        lambda: room.gate.collect(stranger, mine),
    ):
        with pytest.raises(NotFoundError):
            touch()
    with pytest.raises(DeniedError) as refused:
        room.gate.do(stranger, raise_to(5, scope=Scope(team="search")))
    assert refused.value.reason == "tenant"


def test_only_who_asked_or_an_admin_takes_it_back(room):
    room.gate.register("limit.raise", Doing())
    first, second = ask(room, raise_to(5000)), ask(room, raise_to(6000))
    with pytest.raises(DeniedError):
        room.gate.withdraw(LEAD, first)
    assert room.gate.withdraw(EVE, first).state is State.WITHDRAWN
    assert room.gate.withdraw(person("ada", Role.ADMIN), second).state is State.WITHDRAWN
    with pytest.raises(ConflictError, match="withdrawn"):
        room.gate.vote(LEAD, first, Verdict.APPROVE)
