"""Who may send under which limits: a bank before a real state store, with a clock that stands still."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from farthing.app.leasing import bury_the_dead
from farthing.core.errors import LimitError, UnavailableError
from farthing.core.facts import Operation, RequestFact, Status
from farthing.core.limits import EACH, Limit, Measure, Span, dollars
from farthing.core.nouns import Decision, Scope
from farthing.core.units import INPUT, OUTPUT, Usage
from farthing.gateway.limits.account import Tally
from farthing.gateway.limits.bank import Bank
from farthing.gateway.ports import Call, Caller, Grant, Route, Target
from farthing.state.audit import Change
from farthing.state.pots import Pot
from farthing.state.store import Store
from support.loop import in_loop
from support.spender import OFFER, PROVIDER, ROUTE, TARGET, pieces

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
READ = 100
DEAR = pieces(READ, 100)
"""The worst case of a request that may write 100 tokens: 1,100,000 nano-dollars."""

MYSTERY = Target(provider=PROVIDER, model="mystery", offer_id="")
UNPRICED = Route(targets=(MYSTERY,), decision=Decision(asked="mystery", chosen="", reason="the only one"))


class House:
    """A store with limits, and banks of workers before it. Their time is ``seconds`` after noon."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(f"sqlite:///{folder / 'state.db'}")
        self.seconds = 0.0
        self.away = False
        self.banks: dict[str, tuple[Bank, Tally]] = {}

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def limit(self, name: str, amount: int | Decimal, measure: Measure = Measure.COST, **rest) -> Limit:
        """A limit that was made long ago; money is given in counted pieces."""
        size = dollars(int(amount)) if measure is Measure.COST else Decimal(amount)
        made = Limit(id="", name=name, measure=measure, amount=size, **{"per": Span.ONCE, **rest})
        return self.store.limits.create(Change(actor="test", at=NOON - timedelta(days=400)), made)

    async def tell(self, message):
        if self.away:
            raise UnavailableError("the store is away")
        return self.store.leases.exchange(message, self.now())

    def bank(self, *, patience: float = 5) -> Bank:
        """A worker's bank, which knows the limits that there are."""
        name = f"worker-{len(self.banks)}"
        tally = Tally(self.folder / "tallies", name)
        bank = Bank(
            self.store.limits.list(), holder=name, tally=tally, teller=self.tell, clock=lambda: self.seconds,
            now=self.now, patience=patience, where=lambda limit: f"Ask for more of {limit}.",
        )  # fmt: skip
        self.banks[name] = bank, tally
        return bank

    def call(self, *, output: int = 100, read: int = READ, user: str = "ada", **rest) -> Call:
        body = json.dumps({"model": "model", "messages": [], "max_tokens": output}).encode()
        chat = {"operation": Operation.CHAT, "model": "model", "body": body, "output_limit": output}
        return Call(
            request_id="req_1", at=self.now(), dialect="openai", path="/v1/chat/completions", input_estimate=read,
            caller=Caller(key_id="key_1", scope=Scope(org="acme", team="search", user=user)),
            labels={"category": "inference"}, **{**chat, **rest},
        )  # fmt: skip

    async def ask(self, bank: Bank, call: Call, route: Route = ROUTE) -> Grant:
        """Admit a call as the pipeline does, while its bank talks with the store."""
        grant = bank.admit(call, route)
        return grant if grant is not None else await self.talk(await self.waits(bank, call, route), bank)

    async def waits(self, bank: Bank, call: Call, route: Route = ROUTE) -> "asyncio.Future[Grant]":
        """A call that is about to wait, and goes on waiting after a word with the store."""
        assert bank.admit(call, route) is None
        waiting = asyncio.ensure_future(bank.wait(call, route))
        await asyncio.sleep(0)
        await bank.exchange()
        return waiting

    async def talk(self, waiting: "asyncio.Future[Grant]", *banks: Bank) -> Grant:
        """Let banks talk with the store a few times, as they would by themselves, for a call that waits."""
        for _ in range(4):
            for bank in banks:
                await asyncio.sleep(0)
                if not waiting.done():
                    await bank.exchange()
        return await waiting

    async def pay(self, bank: Bank, call: Call, cost: int, **about) -> None:
        grant = await self.ask(bank, call)
        end(grant, cost, **about)

    def pot(self, limit: Limit) -> Pot:
        (pot,) = self.store.pots.list(self.now(), [limit.id])
        return pot

    async def close(self) -> None:
        self.away = False
        for bank, tally in self.banks.values():
            assert await bank.close()
            tally.close()
        self.store.close()


def fact(call: Call, cost: int | None, *, tokens: int = 0, status: Status = Status.OK, attempt: int = 1) -> RequestFact:
    price = None if cost is None else dollars(cost)
    return RequestFact(
        request_id=call.request_id, attempt=attempt, at=call.at, operation=call.operation, dialect="openai",
        scope=call.caller.scope, requested_model=call.model, status=status, worker="w", cost=price,
        usage={"token.output": tokens} if tokens else {}, output_tokens=tokens,
    )  # fmt: skip


def end(grant: Grant, cost: int | None, **about) -> None:
    """An attempt ends at this cost, and with it the request."""
    grant.settle(fact(grant.call, cost, **about))
    grant.close()


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[House]:
    house = House(folder)
    try:
        yield house
    finally:
        await house.close()


@in_loop
async def test_what_is_held_is_the_worst_case_and_what_is_used_what_it_came_to(tmp_path):
    async with opened(tmp_path) as house:
        budget = house.limit("budget", 10 * DEAR)
        bank = house.bank()
        grant = await house.ask(bank, house.call())
        await bank.exchange()
        assert house.pot(budget).used == 0
        assert house.pot(budget).leased >= DEAR
        end(grant, 7)
        assert await bank.close()
        assert (house.pot(budget).used, house.pot(budget).leased, house.pot(budget).doubt) == (7, 0, 0)


@in_loop
async def test_what_does_not_fit_is_refused_with_what_is_left_and_where_to_ask(tmp_path):
    async with opened(tmp_path) as house:
        budget = house.limit("search", DEAR, per=Span.DAY, cap_output=False)
        bank = house.bank()
        await house.pay(bank, house.call(), DEAR)
        with pytest.raises(LimitError) as refusal:
            await house.ask(bank, house.call())
        error = refusal.value
        assert (error.limit, error.reason) == (budget.id, "budget")
        assert error.retry_after == (datetime(2026, 3, 2, tzinfo=UTC) - NOON).total_seconds()
        assert "Budget 'search' does not cover this request: it may take $0.001100" in str(error)
        assert "$0.000000 of $0.001100 per day are left" in str(error)
        assert f"Ask for more of {budget.id}." in error.remedy
        assert bank.counts.refused == 1


@in_loop
async def test_the_next_day_has_a_pot_of_its_own(tmp_path):
    async with opened(tmp_path) as house:
        budget = house.limit("search", DEAR, per=Span.DAY, cap_output=False)
        bank = house.bank()
        await house.pay(bank, house.call(), DEAR)
        house.seconds += 12 * 3600
        await house.pay(bank, house.call(), DEAR - 1)
        assert await bank.close()
        assert house.pot(budget).used == DEAR - 1


@in_loop
async def test_an_answer_is_shortened_to_what_is_left(tmp_path):
    async with opened(tmp_path) as house:
        house.limit("budget", pieces(READ, 40))
        bank = house.bank()
        grant = await house.ask(bank, house.call(output=100))
        assert json.loads(grant.call.body)["max_tokens"] == 40
        assert grant.call.output_limit == 40
        assert dict(grant.headers)[b"x-farthing-output-capped"] == b"40"
        assert bank.counts.shortened == 1
        end(grant, pieces(READ, 40))


@pytest.mark.parametrize("forbidden", ["by the client", "by the limit"])
@in_loop
async def test_it_is_not_shortened_where_somebody_forbids_that(tmp_path, forbidden):
    async with opened(tmp_path) as house:
        house.limit("budget", pieces(READ, 40), cap_output=forbidden == "by the client")
        bank = house.bank()
        with pytest.raises(LimitError):
            await house.ask(bank, house.call(output=100, whole=forbidden == "by the client"))


@in_loop
async def test_an_answer_too_short_to_be_of_use_is_refused(tmp_path):
    async with opened(tmp_path) as house:
        house.limit("budget", pieces(READ, 15))
        with pytest.raises(LimitError):
            await house.ask(house.bank(), house.call(output=100))


@in_loop
async def test_what_has_no_price_is_refused_under_a_hard_budget(tmp_path):
    async with opened(tmp_path) as house:
        budget = house.limit("budget", DEAR)
        bank = house.bank()
        with pytest.raises(LimitError) as refusal:
            bank.admit(house.call(model="mystery"), UNPRICED)
        assert refusal.value.limit == budget.id
        assert "no price is known for mystery" in str(refusal.value)
        assert "allow 'mystery' under the budget as unpriced" in refusal.value.remedy


@pytest.mark.parametrize(
    "limit",
    [
        {"amount": DEAR, "unpriced": frozenset({"mystery"})},
        {"amount": DEAR, "hard": False},
        {"amount": 1000, "measure": Measure.TOKENS},
    ],
    ids=["allowed by name", "soft", "not about money"],
)
@in_loop
async def test_what_has_no_price_may_go_where_no_money_is_promised(tmp_path, limit):
    async with opened(tmp_path) as house:
        house.limit("limit", **limit)
        grant = await house.ask(house.bank(), house.call(model="mystery"), UNPRICED)
        end(grant, None)


@in_loop
async def test_a_soft_limit_counts_and_never_refuses(tmp_path):
    async with opened(tmp_path) as house:
        watched = house.limit("watched", DEAR, hard=False)
        bank = house.bank()
        for _ in range(3):
            grant = bank.admit(house.call(), ROUTE)
            end(grant, DEAR)
        await bank.exchange()
        assert house.pot(watched).used == 3 * DEAR


@in_loop
async def test_of_nested_limits_the_one_that_is_used_up_is_named_and_the_others_are_not_touched(tmp_path):
    async with opened(tmp_path) as house:
        org = house.limit("org", 100 * DEAR, scope={"org": "acme"})
        each = house.limit("each", DEAR, scope={"user": EACH}, cap_output=False)
        house.limit("other", 1, scope={"team": "finance"})
        bank = house.bank()
        await house.pay(bank, house.call(user="ada"), DEAR)
        with pytest.raises(LimitError) as refusal:
            await house.ask(bank, house.call(user="ada"))
        assert refusal.value.limit == each.id
        await house.pay(bank, house.call(user="bob"), DEAR)
        assert await bank.close()
        assert house.pot(org).used == 2 * DEAR
        users = house.store.pots.list(house.now(), [each.id])
        assert [(pot.subject, pot.used) for pot in users] == [("ada", DEAR), ("bob", DEAR)]


@in_loop
async def test_as_many_at_a_time_as_may_be(tmp_path):
    async with opened(tmp_path) as house:
        house.limit("at a time", 2, Measure.PARALLEL)
        bank = house.bank()
        first, second = [await house.ask(bank, house.call()) for _ in range(2)]
        third = await house.waits(bank, house.call())
        assert not third.done()
        end(first, 1)
        end(await third, 1)
        end(second, 1)


@in_loop
async def test_what_another_worker_does_not_need_comes_to_whoever_waits(tmp_path):
    async with opened(tmp_path) as house:
        house.limit("budget", 3 * DEAR, cap_output=False)
        idle, busy = house.bank(), house.bank()
        await house.pay(idle, house.call(), 1)
        await idle.exchange()
        waiting = await house.waits(busy, house.call(output=250))
        assert not waiting.done()
        end(await house.talk(waiting, idle, busy), 1)


@in_loop
async def test_what_a_request_did_not_use_lets_the_next_one_go(tmp_path):
    async with opened(tmp_path) as house:
        house.limit("budget", DEAR + 5, cap_output=False)
        bank = house.bank()
        grant = await house.ask(bank, house.call())
        waiting = await house.waits(bank, house.call())
        assert not waiting.done()
        end(grant, 5)
        end(await house.talk(waiting, bank), 5)


@in_loop
async def test_patience_ends_in_a_refusal(tmp_path):
    async with opened(tmp_path) as house:
        house.limit("budget", DEAR, cap_output=False)
        bank = house.bank(patience=0.01)
        grant = await house.ask(bank, house.call())
        waiting = await house.waits(bank, house.call())
        with pytest.raises(LimitError):
            await waiting
        end(grant, 5)
        await house.pay(bank, house.call(output=50), 5)


@in_loop
async def test_without_the_store_nobody_is_told_that_a_budget_is_used_up(tmp_path):
    async with opened(tmp_path) as house:
        house.limit("budget", DEAR)
        house.away = True
        with pytest.raises(UnavailableError, match="the store is away"):
            await house.ask(house.bank(patience=0.01), house.call())


@in_loop
async def test_what_nobody_knows_is_charged_at_its_worst_and_in_doubt(tmp_path):
    async with opened(tmp_path) as house:
        budget = house.limit("budget", 10 * DEAR)
        tokens = house.limit("tokens", 1000, Measure.TOKENS)
        bank = house.bank()
        await house.pay(bank, house.call(), None)
        assert await bank.close()
        assert (house.pot(budget).used, house.pot(budget).doubt) == (DEAR, DEAR)
        assert (house.pot(tokens).used, house.pot(tokens).doubt) == (200, 200)


@in_loop
async def test_an_attempt_that_was_given_up_costs_nothing(tmp_path):
    async with opened(tmp_path) as house:
        budget = house.limit("budget", 10 * DEAR)
        requests = house.limit("requests", 10, Measure.REQUESTS)
        bank = house.bank()
        await house.pay(bank, house.call(), None, status=Status.ABANDONED)
        assert await bank.close()
        assert house.pot(budget).used == 0
        assert house.pot(requests).used == 1


@in_loop
async def test_what_a_provider_bills_beyond_its_worst_case_counts_too(tmp_path):
    async with opened(tmp_path) as house:
        budget = house.limit("budget", 10 * DEAR)
        bank = house.bank()
        await house.pay(bank, house.call(), 2 * DEAR)
        assert await bank.close()
        assert house.pot(budget).used == 2 * DEAR


@pytest.mark.parametrize(("amount", "fits"), [(20 * DEAR, True), (DEAR, False)])
@in_loop
async def test_a_second_attempt_is_made_only_if_its_worst_case_fits_as_well(tmp_path, amount, fits):
    async with opened(tmp_path) as house:
        budget = house.limit("budget", amount)
        bank = house.bank()
        grant = await house.ask(bank, house.call())
        await bank.exchange()
        assert not grant.extend(MYSTERY)
        assert grant.extend(TARGET) == fits
        await bank.exchange()
        assert house.pot(budget).leased >= (2 if fits else 1) * DEAR
        if fits:
            grant.settle(fact(grant.call, 3))
        end(grant, 4, attempt=2 if fits else 1)
        assert await bank.close()
        assert house.pot(budget).used == (7 if fits else 4)


@in_loop
async def test_a_dead_worker_is_charged_for_what_it_spent_and_what_was_under_way(tmp_path):
    async with opened(tmp_path) as house:
        budget = house.limit("budget", 10 * DEAR)
        bank = house.bank()
        await house.pay(bank, house.call(), 3)
        await house.ask(bank, house.call())
        house.banks.pop("worker-0")[1].abandon()
        assert bury_the_dead(house.store.leases, tmp_path / "tallies", house.now()) == 1
        assert bury_the_dead(house.store.leases, tmp_path / "tallies", house.now()) == 0
        pot = house.pot(budget)
        assert (pot.used, pot.doubt, pot.leased) == (3 + DEAR, DEAR, 0)


@in_loop
async def test_a_limit_that_is_raised_lets_the_next_request_go(tmp_path):
    async with opened(tmp_path) as house:
        budget = house.limit("budget", DEAR, cap_output=False)
        bank = house.bank()
        await house.pay(bank, house.call(), DEAR)
        with pytest.raises(LimitError):
            await house.ask(bank, house.call())
        house.store.limits.change(Change(actor="test", at=NOON), budget.id, amount=dollars(2 * DEAR))
        bank.use(house.store.limits.list())
        await house.pay(bank, house.call(), DEAR)


@in_loop
async def test_a_limit_that_is_removed_frees_whoever_waits_for_it(tmp_path):
    async with opened(tmp_path) as house:
        limit = house.limit("at a time", 1, Measure.PARALLEL)
        bank = house.bank()
        grant = await house.ask(bank, house.call())
        waiting = await house.waits(bank, house.call())
        house.store.limits.remove(Change(actor="test", at=NOON), limit.id)
        bank.use(())
        end(await waiting, 1)
        end(grant, 1)


@pytest.mark.parametrize(
    ("call", "worst"),
    [
        ({"output": 100}, pieces(READ, 100)),
        ({"output": 300, "choices": 3}, pieces(READ, 300)),
        ({"output": 0}, pieces(READ, 8_000)),
        ({"operation": Operation.EMBEDDING, "output": 0}, pieces(READ, 0)),
        ({"operation": Operation.COUNT_TOKENS, "output": 0}, 0),
        ({"operation": Operation.IMAGE, "most": Usage({INPUT: 50, OUTPUT: 4_000})}, pieces(50, 4_000)),
        (
            {"operation": Operation.RESPONSE, "refers": True, "output": 10},
            pieces(128_000, 10),
        ),
    ],
    ids=["chat", "choices", "uncapped", "embedding", "counting", "image", "a conversation kept by the provider"],
)
@in_loop
async def test_worst_cases(tmp_path, call, worst):
    """One piece less than its worst case, and a request that cannot be shortened is refused."""
    async with opened(tmp_path) as house:
        budget = house.limit("budget", max(0, worst - 1), cap_output=False)
        bank = house.bank()
        if worst:
            with pytest.raises(LimitError):
                await house.ask(bank, house.call(**call))
        house.store.limits.change(Change(actor="test", at=NOON), budget.id, amount=dollars(worst))
        bank.use(house.store.limits.list())
        end(await house.ask(bank, house.call(**call)), worst)


@in_loop
async def test_a_model_of_unknown_limits_is_told_how_long_its_answer_may_be(tmp_path):
    """Where the provider would keep to no bound by itself, the request carries one."""
    offer = msgspec.structs.replace(OFFER, capability=msgspec.structs.replace(OFFER.capability, output_tokens=0))
    vague = msgspec.structs.replace(offer, capability=msgspec.structs.replace(offer.capability, context_tokens=0))
    target = msgspec.structs.replace(TARGET, offers=(vague,))
    route = msgspec.structs.replace(ROUTE, targets=(target,))
    async with opened(tmp_path) as house:
        house.limit("budget", pieces(READ, 1_000_000))
        call = house.call(output=0, body=b'{"model":"model","messages":[]}')
        grant = await house.ask(house.bank(), call, route)
        assert json.loads(grant.call.body)["max_completion_tokens"] == 131_072
        end(grant, 1)
