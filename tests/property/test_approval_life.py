"""The life of approvals, whatever people and processes do: nothing is done twice, and nothing without enough leave."""

import atexit
import shutil
import tempfile
import threading
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from farthing.app.gate import STUCK
from farthing.core.errors import ConflictError, DeniedError, FarthingError, InputError, UnavailableError
from farthing.governance.approvals import ApprovalSettings, holds, identity
from farthing.governance.gate import Act, ApprovalNeededError
from farthing.governance.roles import Role
from farthing.state.approvals import State, Verdict
from farthing.state.store import Store
from support.governed import Room, person

PEOPLE = (
    person("eve"), person("bob", Role.ENGINEER, "cto"), person("ann", Role.ENGINEER, "finance"),
    person("fin", Role.FINANCE), person("ada", Role.ADMIN), person("viv", Role.VIEWER, "cto"),
)  # fmt: skip
SOMEBODY = st.sampled_from(PEOPLE)
FOUR_EYES = ApprovalSettings(four_eyes=True, four_eyes_from=Decimal(10_000), expire_hours=2, valid_days=1)
NAMES = ("limit.raise", "key.create", "spend")


class Killed(BaseException):
    """The process died while something was done."""


class Lives(RuleBasedStateMachine):
    approvals = Bundle("approvals")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copytree(EMPTY, self.folder, dirs_exist_ok=True)
        self.store = Store.open(f"sqlite:///{self.folder / 'state.db'}")
        self.room = Room(self.store, FOUR_EYES)
        self.gates = (self.room.gate, self.room.another_gate())
        self.done: Counter[int] = Counter()
        self.begun: Counter[int] = Counter()
        self.used: Counter[str] = Counter()
        self.asked: dict[str, int] = {}
        self.trouble: list[BaseException] = []
        self.number = 0
        for gate in self.gates:
            gate.register("limit.raise", self._do)
            gate.register("key.create", self._do, keep=lambda made: {"number": made["number"]})

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    def _do(self, payload, actor, at):
        self.begun[payload["number"]] += 1
        if self.trouble:
            problem = self.trouble.pop()
            if isinstance(problem, Killed):
                self.done[payload["number"]] += 1  # it happened, and nobody lived to write it down
            raise problem
        self.done[payload["number"]] += 1
        return {"number": payload["number"], "token": "fk-secret"}

    @rule(target=approvals, who=SOMEBODY, name=st.sampled_from(NAMES), amount=st.sampled_from([1_500, 20_000, 200_000]))
    def ask(self, who, name, amount):
        self.number += 1
        act = Act(
            name=name,
            subject=f"s{self.number % 3}",
            summary="s",
            payload={"number": self.number},
            amount=Decimal(amount),
        )
        try:
            made = self.gates[0].ask(who, act).id if name == "spend" else self.gates[0].do(who, act)
        except ApprovalNeededError as needed:
            made = needed.approval
        except DeniedError:
            assert who.role is Role.VIEWER or (name == "key.create" and who.role is Role.FINANCE)
            return ""
        assert isinstance(made, str), "with four eyes nothing of this size happens at once"
        self.asked[made] = self.number
        return made

    @rule(id=approvals, who=SOMEBODY, verdict=st.sampled_from([*Verdict, Verdict.APPROVE]), gate=st.booleans())
    def somebody_votes(self, id, who, verdict, gate):
        self.vote(id, who, verdict, gate=gate)

    def vote(self, id, who, verdict, *, gate):
        if not id:
            return
        before = self.store.approvals.get(id)
        try:
            self.gates[gate].vote(who, id, verdict)
        except DeniedError:
            assert who.role is Role.VIEWER or identity(who) == before.asker or not holds(who, before.duties)
        except ConflictError:
            voted = any(vote.person == identity(who) for vote in before.votes)
            assert voted or before.at(self.room.clock()) is not State.PENDING
        except Killed:
            pass

    @rule(id=approvals, pair=st.lists(SOMEBODY, min_size=2, max_size=3))
    def vote_at_once(self, id, pair):
        """Several people, or one several times, at the same moment, by different processes."""
        if not id or self.trouble:
            return

        def say(who, gate):
            try:
                gate.vote(who, id, Verdict.APPROVE)
            except FarthingError:
                pass

        threads = [threading.Thread(target=say, args=(who, self.gates[i % 2])) for i, who in enumerate(pair)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]

    @rule(id=approvals, who=SOMEBODY)
    def collect(self, id, who):
        if not id:
            return
        before = self.store.approvals.get(id)
        try:
            got = self.gates[0].collect(who, id)
        except (FarthingError, Killed):
            return
        assert identity(who) == before.asker
        assert got["token"] == "fk-secret"
        assert "fk-secret" not in repr(self.store.approvals.get(id))

    @rule(id=approvals, who=SOMEBODY)
    def withdraw(self, id, who):
        if id:
            before = self.store.approvals.get(id)
            try:
                self.gates[1].withdraw(who, id)
            except FarthingError:
                return
            assert before.asker == identity(who) or who.role is Role.ADMIN

    @rule(id=approvals, who=SOMEBODY)
    def redeem(self, id, who):
        if not id:
            return
        found = self.store.approvals.get(id)
        if found.action != "spend":
            return
        try:
            used = self.gates[0].redeem(
                who, Act(name="spend", subject=found.subject, summary="s", payload={}, amount=found.amount)
            )
        except DeniedError:
            return
        self.used[used.id] += 1

    @rule(id=approvals, problem=st.sampled_from([None, None, UnavailableError("locked"), Killed()]))
    def all_agree(self, id, problem):
        self.everybody_agrees(id, problem)

    def everybody_agrees(self, id, problem):
        self.trouble = [problem] if problem else []
        for who in PEOPLE:
            self.vote(id, who, Verdict.APPROVE, gate=False)

    @rule(id=approvals)
    def the_process_dies_and_another_takes_over(self, id):
        self.everybody_agrees(id, Killed())
        self.trouble = []
        self.room.clock.pass_(seconds=STUCK.total_seconds())
        for gate in self.gates:
            gate.work()

    @rule(problem=st.sampled_from([UnavailableError("locked"), InputError("bad", field="f", value="v"), Killed()]))
    def something_will_go_wrong(self, problem):
        self.trouble = [problem]

    @rule(minutes=st.sampled_from([1, 6, 60, 150, 1500]))
    def time_passes(self, minutes):
        self.room.clock.pass_(minutes=minutes)

    @rule(gate=st.booleans())
    def chores(self, gate):
        try:
            self.gates[gate].work()
        except Killed:
            pass

    @invariant()
    def nothing_is_done_twice(self):
        assert all(count == 1 for count in self.done.values())
        assert all(count == 1 for count in self.used.values())

    @invariant()
    def nothing_is_done_without_leave(self):
        for id, number in self.asked.items():
            found = self.store.approvals.get(id)
            yes = {vote.person for vote in found.votes if vote.verdict is Verdict.APPROVE}
            assert len(yes) == found.yes
            assert found.asker not in {vote.person for vote in found.votes}
            if self.begun[number] or self.used[id] or found.state in (State.APPROVED, State.RUNNING, State.DONE):
                assert len(yes) >= found.wanted == (1 if found.amount < 10_000 else 2)
                assert all(vote.verdict is Verdict.APPROVE for vote in found.votes)
                assert all(holds(_who(name), found.duties) for name in yes)
                assert all(vote.at < found.asked + timedelta(hours=2) for vote in found.votes)
            if found.state in (State.DENIED, State.WITHDRAWN, State.EXPIRED):
                assert not self.done[number]
            if found.state is State.DONE and found.action != "spend":
                assert self.done[number] == 1

    @invariant()
    def what_was_interrupted_ends(self):
        self.room.gate.sweep()
        for found in self.store.approvals.list(states=[State.RUNNING]):
            assert self.room.clock() - found.begun < STUCK

    @invariant()
    def the_record_is_whole(self):
        assert self.store.audit.verify().whole


def _who(id: str):
    return next(who for who in PEOPLE if who.person == id)


EMPTY = Path(tempfile.mkdtemp())
"""A store without anything in it, to be copied: making one takes longer than most examples."""

atexit.register(shutil.rmtree, EMPTY)
Store.open(f"sqlite:///{EMPTY / 'state.db'}").close()

TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
