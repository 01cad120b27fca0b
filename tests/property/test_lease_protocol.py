"""Whatever is lost, late, heard twice, killed, buried or skewed: no limit is overspent, and no money comes or goes.

Real accounts with real records talk with a real store; only the way between them is imagined.
"""

import itertools
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from farthing.core.leases import Ask, Message, Reply
from farthing.core.limits import Limit, Measure, Span
from farthing.gateway.limits.account import Account, Tally, dead_tallies, hold, settle
from farthing.state.audit import Change
from farthing.state.leases import FOREVER
from farthing.state.store import Store
from farthing.state.tables import leases, pots

EPOCH = datetime(2026, 3, 1, 12, tzinfo=UTC)
CAP = 100
MINUTE = 60.0


class World:
    """A store, and the true time. ``lives`` makes names that were never used before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(f"sqlite:///{folder / 'state.db'}")
        self.lives = itertools.count(1)
        self.seconds = 0.0

    @property
    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)

    def change(self) -> Change:
        return Change(actor="test", at=self.now)

    def limit(self, *, rolling: bool = False, hard: bool = True) -> Limit:
        per = Span.MINUTE if rolling else Span.ONCE
        made = Limit(
            id="", name=f"limit {next(self.lives)}", measure=Measure.REQUESTS, amount=Decimal(CAP), per=per,
            rolling=rolling, hard=hard,
        )  # fmt: skip
        return self.store.limits.create(self.change(), made)

    def pot(self, limit: Limit) -> dict[str, int]:
        """The pot's row with sums of its slices, as they stand in the store."""
        granted = sa.func.coalesce(sa.func.sum(leases.c.granted), 0).label("granted")
        spent = sa.func.coalesce(sa.func.sum(leases.c.spent), 0).label("spent")
        joined = sa.outerjoin(pots, leases, pots.c.id == leases.c.pot_id)
        query = sa.select(pots.c.used, pots.c.doubt, pots.c.leased, granted, spent).select_from(joined)
        with self.store._database.read() as connection:
            row = connection.execute(query.where(pots.c.limit_id == limit.id).group_by(pots.c.id)).mappings().first()
        return dict(row) if row else {"used": 0, "doubt": 0, "leased": 0, "granted": 0, "spent": 0}

    def slice(self, holder: str) -> dict[str, int]:
        """A holder's only slice, as it stands in the store; empty while that has not heard of it."""
        query = sa.select(leases.c.granted, leases.c.spent).where(leases.c.holder == holder)
        with self.store._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return dict(row) if row else {}

    def close(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


class Holder:
    """A worker with one account, whose clock is wrong by ``skew`` seconds."""

    def __init__(self, world: World, limit: Limit, *, skew: float = 0) -> None:
        self.world = world
        self.name = f"holder-{next(world.lives)}"
        self.skew = skew
        self.tally = Tally(world.folder / "tallies", self.name)
        self.account = Account(limit, (limit.id, "", FOREVER), None, 1, self.tally, now=0)
        self.number = 0
        self.awaited: Message | None = None
        self.held: list[int] = []
        self.spent = 0

    def hold(self, amount: int) -> bool:
        if self.account.free < amount:
            return False
        hold((self.account,), amount)
        self.held.append(amount)
        return True

    def settle(self, spent: int) -> None:
        settle((self.account,), self.held.pop(0), spent)
        self.spent += spent

    def speak(self, *, need: int = 0) -> Message | None:
        """The next message: a report, and what a request waits for, if one does. An older one is given up."""
        if self.awaited is not None:
            self.account.unheard()
        self.number += 1
        self.account.short = need > 0
        self.account.waiting = int(need > 0)
        part = self.account.word(self.world.seconds, self.world.now, 1.0)
        if part is None:
            return None
        short = need - max(0, self.account.free)
        asks = (Ask(((1, short),)),) if need and short > 0 else ()
        self.awaited = Message(holder=self.name, number=self.number, slices=(part,), asks=asks)
        return self.awaited

    def hear(self, message: Message, reply: Reply) -> None:
        if message is self.awaited:
            self.awaited = None
            self.account.hear(reply.slices[0], message.slices[0].spent)

    def deliver(self, message: Message) -> Reply:
        now = self.world.now + timedelta(seconds=self.skew)
        reply = self.world.store.leases.exchange(message, now)
        for ask, met in zip(message.asks, reply.met, strict=True):
            assert met is False or reply.slices[0].granted >= message.slices[0].spent + ask.needs[0][1]
        return reply

    def die(self) -> None:
        """Killed: what was under way stays in its record."""
        self.tally.abandon()

    def finish(self) -> None:
        """Settle and give everything back, over a way that loses nothing."""
        while self.held:
            self.settle(self.held[0])
        self.account.ends = self.world.now - timedelta(days=1)
        for _ in range(2):
            message = self.speak()
            if message is not None:
                self.hear(message, self.deliver(message))
        self.tally.close()


def bury(world: World, name: str) -> None:
    """What whoever finds the record of a dead worker does. The record stays, as if it died before removing it."""
    for tally in dead_tallies(world.folder / "tallies"):
        if tally.holder == name:
            world.store.leases.bury(name, tally.remains(), world.now)
        tally.done(settled=False)


class Protocol(RuleBasedStateMachine):
    """Holders of slices of one limit, and a way to the store that loses, delays, repeats and reorders messages."""

    def __init__(self) -> None:
        super().__init__()
        self.world = WORLD[0]
        self.alive: list[Holder] = []
        self.dead: dict[str, Holder] = {}
        self.buried: set[str] = set()
        self.transit: list[tuple[Holder, Message]] = []
        self.softens = False
        self.excess = 0
        self.bound = CAP

    @initialize(rolling=st.booleans(), softens=st.sampled_from([False, False, True]))
    def begin(self, rolling: bool, softens: bool) -> None:
        self.rolling = rolling
        self.softens = softens
        self.limit = self.world.limit(rolling=rolling)
        self.used: list[tuple[float, int]] = []

    @precondition(lambda self: len(self.alive) < 4)
    @rule(skew=st.sampled_from([-4000.0, -5.0, 0.0, 5.0, 4000.0]))
    def start(self, skew: float) -> None:
        """Hosts that share a SQLite file share their clock; only what a rolling span counts depends on it."""
        self.alive.append(Holder(self.world, self.limit, skew=0 if self.rolling else skew))

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), amount=st.integers(1, 40))
    def hold(self, data, amount: int) -> None:
        self._any(data).hold(amount)

    @precondition(lambda self: any(h.held for h in self.alive))
    @rule(data=st.data(), part=st.integers(0, 4), overrun=st.sampled_from([0, 0, 0, 7]))
    def settle(self, data, part: int, overrun: int) -> None:
        holder = data.draw(st.sampled_from([h for h in self.alive if h.held]))
        spent = holder.held[0] * part // 4 + (overrun if part == 4 else 0)
        self.excess += max(0, spent - holder.held[0])
        holder.settle(spent)
        self.used.append((self.world.seconds, spent))

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), need=st.sampled_from([0, 0, 5, 20, 60]))
    def speak(self, data, need: int) -> None:
        """A message sets out; it may arrive at any time, or never."""
        holder = self._any(data)
        message = holder.speak(need=need)
        if message is not None:
            self.transit.append((holder, message))

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), need=st.sampled_from([0, 5, 20, 60]))
    def talk(self, data, need: int) -> None:
        """A message that arrives at once, and its answer too."""
        holder = self._any(data)
        message = holder.speak(need=need)
        if message is not None:
            holder.hear(message, holder.deliver(message))

    @precondition(lambda self: self.transit)
    @rule(data=st.data(), again=st.booleans(), answered=st.booleans())
    def arrive(self, data, again: bool, answered: bool) -> None:
        """Any message arrives, also out of order, a second time, or from a holder that has died."""
        place = data.draw(st.integers(0, len(self.transit) - 1))
        holder, message = self.transit[place]
        if not again:
            del self.transit[place]
        if holder.name in self.buried and not self.world.slice(holder.name):
            return  # its first message would have had to set out after its death
        reply = holder.deliver(message)
        if answered and holder.name not in self.dead:
            holder.hear(message, reply)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def crash(self, data) -> None:
        holder = self._any(data)
        self.alive.remove(holder)
        self.dead[holder.name] = holder
        holder.die()
        self.used.append((self.world.seconds, sum(holder.held)))

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def bury(self, data) -> None:
        """Also more than once."""
        name = data.draw(st.sampled_from(sorted(self.dead)))
        bury(self.world, name)
        self.buried.add(name)

    @rule(amount=st.integers(0, 150))
    def resize(self, amount: int) -> None:
        self.limit = self.world.store.limits.change(self.world.change(), self.limit.id, amount=Decimal(amount))
        pot = self.world.pot(self.limit)
        self.bound = max(amount, pot["used"] + pot["leased"] + self._unreported())

    @precondition(lambda self: self.softens)
    @rule(hard=st.booleans())
    def soften(self, hard: bool) -> None:
        """A soft limit only counts, so that from now on nothing is bounded; but nothing may be miscounted either."""
        self.limit = self.world.store.limits.change(self.world.change(), self.limit.id, hard=hard)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def follow(self, data) -> None:
        self._any(data).account.follow(self.limit)

    @rule(seconds=st.sampled_from([0.5, 3.0, 11.0, 31.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.world.seconds += seconds

    @invariant()
    def the_store_adds_up(self) -> None:
        if not hasattr(self, "limit"):
            return
        pot = self.world.pot(self.limit)
        assert pot["leased"] == pot["granted"] - pot["spent"] >= 0
        assert 0 <= pot["doubt"] <= pot["spent"]
        assert self.rolling or pot["used"] == pot["spent"]

    @invariant()
    def the_buried_have_nothing(self) -> None:
        """Whatever they said before they died and is heard only now: nobody would ever give it back."""
        for part in map(self.world.slice, self.buried):
            assert not part or part["granted"] == part["spent"]

    @invariant()
    def nobody_thinks_to_have_more_than_was_granted(self) -> None:
        for holder in self.alive if not self.softens else []:
            account = holder.account
            assert account.spent + account.held + account.free <= self.world.slice(holder.name).get("granted", 0)

    @invariant()
    def the_limit_holds(self) -> None:
        """What is spent and may still be, at every instant, and within every span of a rolling one."""
        if not hasattr(self, "limit") or self.softens:
            return
        pot = self.world.pot(self.limit)
        assert pot["used"] + pot["leased"] <= self.bound + self.excess
        since = self.world.seconds - MINUTE if self.rolling else -1
        spent = sum(amount for at, amount in self.used if at > since)
        assert spent + sum(sum(holder.held) for holder in self.alive) <= self.bound + self.excess

    def teardown(self) -> None:
        """All is over: what was used is what was spent and the worst case of what died, to the piece.

        What a soft limit does not know of is what somebody used who died before the first word on it: a few
        milliseconds' worth. Of a hard one nobody has anything by then.
        """
        if not hasattr(self, "limit"):
            return
        self.alive, living = [], self.alive
        for holder in living:
            holder.finish()
        for name in self.dead:
            bury(self.world, name)
        known = [holder for name, holder in self.dead.items() if self.world.slice(name)]
        assert self.softens or not any(h.spent or h.held for h in self.dead.values() if h not in known)
        pot = self.world.pot(self.limit)
        assert pot["leased"] == 0
        assert pot["doubt"] == sum(sum(holder.held) for holder in known)
        assert pot["spent"] == sum(holder.spent + sum(holder.held) for holder in (*living, *known))
        if not self.rolling:
            assert pot["used"] == pot["spent"]
        for tally in dead_tallies(self.world.folder / "tallies"):
            tally.done(settled=True)

    def _any(self, data) -> Holder:
        return data.draw(st.sampled_from(self.alive))

    def _unreported(self) -> int:
        """Use that rolled out of the store's sum may still be within the true span, so that the bound is generous."""
        return sum(sum(h.held) + h.spent for h in self.alive) if self.rolling else 0


WORLD: list[World] = []


@pytest.fixture(autouse=True)
def world():
    made = World(Path(tempfile.mkdtemp()))
    WORLD[:] = [made]
    yield made
    made.close()
    WORLD.clear()


class TestProtocol(Protocol.TestCase):
    settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("when", ["before it dies", "before the burial", "after the burial", "never"])
def test_every_order_of_two_holders_and_a_death(world, when):
    """One holder takes, uses, reports and dies; the other takes, uses and reports: all ways to interleave that."""
    dying = ["ask", "use", "report", "die", "bury", "bury"]
    other = ["ask", "use", "report"]
    if when != "never":
        dying.insert({"before it dies": 3, "before the burial": 4, "after the burial": 5}[when], "arrive")
    for places in itertools.combinations(range(len(dying) + len(other)), len(other)):
        steps = iter(dying)
        others = iter(other)
        limit = world.limit()
        a, b = Holder(world, limit), Holder(world, limit, skew=-300)
        buried = None
        for place in range(len(dying) + len(other)):
            actor, step = (b, next(others)) if place in places else (a, next(steps))
            play(world, actor, step)
            pot = world.pot(limit)
            assert pot["used"] + pot["leased"] <= CAP
            assert pot["used"] == pot["spent"]
            assert pot["leased"] == pot["granted"] - pot["spent"]
            if (actor, step) == (a, "bury"):
                buried = world.slice(a.name)
            assert buried is None or world.slice(a.name) == buried
        b.finish()
        pot = world.pot(limit)
        assert (pot["leased"], pot["used"]) == (0, a.spent + sum(a.held) + b.spent)
        for tally in dead_tallies(world.folder / "tallies"):
            tally.done(settled=True)


def play(world: World, holder: Holder, step: str) -> None:
    """One step of one holder. A report sets out only: the first holder's arrives on its own, the other's at once."""
    match step:
        case "ask":
            message = holder.speak(need=60)
            holder.hear(message, holder.deliver(message))
        case "use" if holder.hold(40) and holder.hold(20):
            holder.settle(30)
        case "report" if holder.skew:
            if (message := holder.speak()) is not None:
                holder.hear(message, holder.deliver(message))
        case "report":
            holder.speak(need=holder.account.free + 5)
        case "arrive":
            holder.deliver(holder.awaited)
        case "die":
            holder.die()
        case "bury":
            bury(world, holder.name)


@pytest.mark.parametrize("need", [0, 5, 60])
@pytest.mark.parametrize("resized", [CAP, 0])
def test_a_message_that_is_heard_again_takes_nothing_back(world, need, resized):
    """Its holder has the answer to the first one, and spends what that gave it, while others come and the limit falls."""
    limit = world.limit()
    holder, *others = (Holder(world, limit) for _ in range(4))
    holder.account.largest = 5
    message = holder.speak(need=need)
    holder.hear(message, holder.deliver(message))
    had = holder.account.free
    assert had >= max(1, need)
    for other in others:
        other.account.largest = 5
        asked = other.speak(need=1)
        other.hear(asked, other.deliver(asked))
    world.store.limits.change(world.change(), limit.id, amount=Decimal(resized))
    holder.deliver(message)
    assert holder.hold(had)
    holder.settle(had)
    assert world.slice(holder.name)["granted"] >= had
    for each in (holder, *others):
        each.finish()
    assert world.pot(limit)["used"] == world.pot(limit)["spent"] == had


class KilledError(Exception):
    """Stands for SIGKILL between two writes."""


class Brittle:
    """The numbers of a slice, of which so many more are written before its worker is killed."""

    def __init__(self, cells: memoryview, writes: int) -> None:
        self.cells = cells
        self.left = writes

    def __setitem__(self, place: int, number: int) -> None:
        if not self.left:
            raise KilledError
        self.left -= 1
        self.cells[place] = number


def live_on(holder: Holder) -> None:
    """Holds 30, settles the 20 that it held at 13 and these at their worst, and gives the rest back."""
    hold((holder.account,), 30)
    settle((holder.account,), 20, 13)
    settle((holder.account,), 30, 30, 30)
    holder.account.ends = holder.world.now
    holder.speak()


@pytest.mark.parametrize(("writes", "least"), list(enumerate([20, 50, *[43] * 7])))
def test_death_between_two_writes_of_the_record_forgets_nothing(world, writes, least):
    """Whichever number was written last: what is charged covers all that was used, and no more than was granted."""
    limit = world.limit()
    holder = Holder(world, limit)
    message = holder.speak(need=60)
    holder.hear(message, holder.deliver(message))
    assert holder.hold(20)
    granted = world.slice(holder.name)["granted"]
    holder.account.cells = Brittle(holder.account.cells, writes)
    with pytest.raises(KilledError):
        live_on(holder)
    holder.die()
    bury(world, holder.name)
    assert least <= world.pot(limit)["used"] <= granted


@pytest.mark.parametrize("late", [False, True])
def test_a_holder_that_was_released_by_mistake_goes_on_without_being_charged_twice(world, late):
    limit = world.limit()
    holder = Holder(world, limit)
    for _ in range(2):
        message = holder.speak(need=60)
        holder.hear(message, holder.deliver(message))
        if not holder.held:
            assert holder.hold(40)
    report = holder.speak() if late else None
    assert world.store.leases.release(world.change(), holder.name) == 1
    assert world.pot(limit)["leased"] == 0
    if report is not None:
        holder.hear(report, holder.deliver(report))
    holder.finish()
    assert world.pot(limit)["used"] == 40
    assert world.store.leases.release(world.change(), holder.name) == 0


@pytest.mark.parametrize("begun", [0.0, 0.4, 0.99])
def test_use_falls_out_of_a_rolling_span_never_early_and_hardly_late(world, begun):
    world.seconds = begun
    limit = world.limit(rolling=True)
    first, second = Holder(world, limit), Holder(world, limit)
    message = first.speak(need=CAP)
    first.hear(message, first.deliver(message))
    assert first.hold(CAP)
    first.settle(CAP)
    first.finish()
    for seconds, met in ((0, False), (MINUTE - 0.01, False), (MINUTE + 2, True)):
        world.seconds = begun + seconds
        message = second.speak(need=CAP)
        second.hear(message, second.deliver(message))
        assert second.hold(CAP) == met
    second.finish()


def test_an_ask_is_met_whole_or_not_at_all(world):
    ample, scarce = world.limit(), world.limit()
    world.store.limits.change(world.change(), scarce.id, amount=Decimal(10))
    tally = Tally(world.folder / "tallies", f"holder-{next(world.lives)}")
    parts = []
    for turn, limit in ((1, ample), (2, scarce)):
        account = Account(limit, (limit.id, "", FOREVER), None, turn, tally, now=0)
        parts.append(account.word(0, world.now, 1.0))
    for number, (need, met) in enumerate([(11, False), (10, True)], 1):
        message = Message(holder="both", number=number, slices=tuple(parts), asks=(Ask(((1, 30), (2, need))),))
        reply = world.store.leases.exchange(message, world.now)
        assert reply.met == (met,)
        assert [word.granted for word in reply.slices] == ([30, 10] if met else [0, 0])
    tally.close()
