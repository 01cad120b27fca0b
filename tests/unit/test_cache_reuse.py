"""What a worker does with its caches: what it serves, keeps, teaches, and never serves."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from farthing.cache.entry import Entry, Purge
from farthing.cache.flights import Flights
from farthing.cache.memory import Memory
from farthing.cache.semantic.ports import Action
from farthing.cache.semantic.wire import Found
from farthing.cache.settings import CacheSettings, NamespaceSettings
from farthing.cache.sharing import OnDisk
from farthing.core.facts import Operation, RequestFact, Status
from farthing.core.nouns import Decision, Scope
from farthing.gateway.caching.hit import Hit
from farthing.gateway.caching.question import asked
from farthing.gateway.caching.reuse import Reuse
from farthing.gateway.ports import Call, Caller, Route

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROUTE = Route(targets=(), decision=Decision(asked="m", chosen="", reason=""), models=("openai/tiny",))
ANSWER = json.dumps({"choices": [{"index": 0, "message": {"content": "Yes."}, "finish_reason": "stop"}]}).encode()


class Process:
    """A semantic cache that says what it is told to say, and remembers what it was told."""

    def __init__(self, found: Found | None = None) -> None:
        self.found = found
        self.asked: list[str] = []
        self.learned: list[bytes] = []
        self.dropped: list[int] = []

    async def lookup(self, *, text: str, **_: object) -> Found | None:
        self.asked.append(text)
        return self.found

    def learn(self, message) -> None:
        self.learned.append(message.key)

    def served(self, ticket: int, saved: str) -> None:
        pass

    def drop(self, ticket: int) -> None:
        self.dropped.append(ticket)


def call(text: str = "Is it so?", team: str = "a", **more) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    return Call(
        request_id="r", at=NOW, operation=Operation.CHAT, dialect="openai", path="/", model="m",
        body=json.dumps(body).encode(), caller=Caller(key_id="k", scope=Scope(team=team)), **more,
    )  # fmt: skip


def fact(**more) -> RequestFact:
    fields = {"status": Status.OK, "http_status": 200, "served_model": "tiny-1", "provider": "one", "model": "tiny"}
    return RequestFact(
        request_id="r", attempt=1, at=NOW, operation=Operation.CHAT, dialect="openai", scope=Scope(),
        requested_model="m", worker="w", cost=Decimal("0.001"), **{**fields, **more},
    )  # fmt: skip


def reuse(folder, rules: NamespaceSettings, process: Process | None = None) -> Reuse:
    return Reuse(
        CacheSettings(namespaces={"default": rules}),
        memory=Memory(10**6),
        flights=Flights(folder / "flights"),
        shared=OnDisk(folder / "answers.db", limit=10**7, clock=lambda: NOW),
        semantic=process,
        clock=lambda: NOW,
    )


def answered(filling, wanted: Call, *, body: bytes = ANSWER, left: bool = False, **more) -> None:
    """The provider answered, and the client got it."""
    filling.copy.begin(200, b"application/json")
    filling.copy.add(body)
    filling.copy.fact = fact(**more)
    filling.end(wanted, left=left)


async def done(caches: Reuse) -> None:
    while caches._tasks:
        await asyncio.sleep(0.005)


def run(folder, rules, work, process=None):
    async def whole():
        caches = reuse(folder, rules, process)
        try:
            return await work(caches)
        finally:
            await caches.aclose()

    return asyncio.run(whole())


EXACT = NamespaceSettings(exact="on")
BOTH = NamespaceSettings(exact="on", semantic="on")


def test_what_was_answered_is_served_again(tmp_path):
    async def work(caches):
        first = call()
        answered(await caches.find(first, ROUTE), first)
        await done(caches)
        hit = await caches.find(call(), ROUTE)
        assert isinstance(hit, Hit)
        assert (hit.kind, hit.entry.body) == ("exact", ANSWER)

    run(tmp_path, EXACT, work)


def test_a_stream_that_arrived_in_one_piece_is_kept_as_a_stream(tmp_path):
    async def work(caches):
        first = call(stream=True)
        filling = await caches.find(first, ROUTE)
        chunk = {"choices": [{"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}]}
        filling.copy.begin(200, b"text/event-stream; charset=utf-8")
        filling.copy.add(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")
        filling.copy.fact = fact()
        filling.end(first, left=False)
        await done(caches)
        hit = await caches.find(call(stream=True), ROUTE)
        assert isinstance(hit, Hit)
        assert hit.entry.stream

    run(tmp_path, EXACT, work)


@pytest.mark.parametrize(
    "how",
    [
        {"status": Status.TRUNCATED},
        {"status": Status.ERROR, "http_status": 500},
        {"body": b"half of an ans"},
        {"body": b'{"error": {"message": "no"}}'},
    ],
)
def test_what_failed_or_broke_off_is_not_kept(tmp_path, how):
    async def work(caches):
        first = call()
        answered(await caches.find(first, ROUTE), first, **how)
        await done(caches)
        assert not isinstance(await caches.find(call(), ROUTE), Hit)

    run(tmp_path, EXACT, work)


def test_an_answer_that_a_budget_shortened_is_not_kept(tmp_path):
    async def work(caches):
        first = call()
        answered(await caches.find(first, ROUTE), call())
        await done(caches)
        assert not isinstance(await caches.find(call(), ROUTE), Hit)

    run(tmp_path, EXACT, work)


def test_what_was_under_way_during_a_purge_is_not_kept(tmp_path):
    async def work(caches):
        first = call()
        filling = await caches.find(first, ROUTE)
        caches.kept._shared._writes.purge(Purge())
        answered(filling, first)
        await done(caches)
        assert not isinstance(await caches.find(call(), ROUTE), Hit)

    run(tmp_path, EXACT, work)


def test_a_purge_empties_the_memory_at_once(tmp_path):
    async def work(caches):
        first = call()
        answered(await caches.find(first, ROUTE), first)
        await done(caches)
        assert len(caches.kept.memory) == 1
        caches.kept._shared._writes.purge(Purge(scope={"team": "a"}))
        assert not isinstance(await caches.find(call(), ROUTE), Hit)
        assert len(caches.kept.memory) == 0

    run(tmp_path, EXACT, work)


def test_another_version_of_the_model_is_another_answer(tmp_path):
    async def work(caches):
        for text, served in (("one", "tiny-1"), ("two", "tiny-2")):
            wanted = call(text)
            answered(await caches.find(wanted, ROUTE), wanted, served_model=served)
            await done(caches)
        assert not isinstance(await caches.find(call("one"), ROUTE), Hit)
        assert isinstance(await caches.find(call("two"), ROUTE), Hit)

    run(tmp_path, EXACT, work)


def test_a_client_that_leaves_makes_way_for_one_that_waits(tmp_path):
    async def work(caches):
        first = call()
        filling = await caches.find(first, ROUTE)
        waiting = asyncio.create_task(caches.find(call(), ROUTE))
        await asyncio.sleep(0.01)
        filling.end(first, left=True)
        assert not isinstance(await waiting, Hit)
        (await waiting).end(call(), left=False)

    run(tmp_path, EXACT, work)


def found(action: Action, key: bytes = b"", **more) -> Found:
    return Found(1, action, 7, key=key, matched="Is it not so?", probability=0.99, similarity=0.98, **more)


def kept(text: str, team: str = "a", **more) -> Entry:
    """What a worker would keep of a question."""
    wanted = asked(call(text, team), ROUTE, "default", BOTH)
    fields = {"namespace": "default", "tenant": wanted.tenant, "made": NOW.timestamp(), "body": ANSWER}
    return Entry(key=wanted.key, **{**fields, **more})


def test_the_answer_to_a_question_that_means_the_same_is_served(tmp_path):
    entry = kept("Is it thus?")
    process = Process(found(Action.SERVE, entry.key))

    async def work(caches):
        await caches.kept.put((entry,), since=caches.kept.generation)
        hit = await caches.find(call(), ROUTE)
        assert isinstance(hit, Hit)
        assert (hit.kind, hit.confidence, hit.ticket) == ("semantic", 0.99, 7)

    run(tmp_path, BOTH, work, process)


@pytest.mark.parametrize(
    "entry",
    [None, kept("Is it thus?", team="b"), kept("Is it thus?", namespace="other"), kept("Is it thus?", expires=1.0)],
    ids=["gone", "tenant", "namespace", "expired"],
)
def test_whatever_the_process_says_nobody_elses_answer_is_served(tmp_path, entry):
    key = kept("Is it thus?").key if entry is None else entry.key
    process = Process(found(Action.SERVE, key))

    async def work(caches):
        if entry is not None:
            await caches.kept.put((entry,), since=caches.kept.generation)
        wanted = call()
        filling = await caches.find(wanted, ROUTE)
        assert not isinstance(filling, Hit)
        answered(filling, wanted)
        await done(caches)
        assert len(process.learned) == 1

    run(tmp_path, BOTH, work, process)


def test_samples_and_shadow_are_asked_and_marked(tmp_path):
    entry = kept("Is it thus?")

    async def work(caches):
        await caches.kept.put((entry,), since=caches.kept.generation)
        wanted = call()
        assert not isinstance(await caches.find(wanted, ROUTE), Hit)
        return wanted.labels["farthing.cache"]

    assert run(tmp_path, BOTH, work, Process(found(Action.SAMPLE, entry.key))) == "sampled"
    shadow = NamespaceSettings(exact="off", semantic="shadow")
    assert run(tmp_path, shadow, work, Process(found(Action.SERVE, entry.key))) == "would_semantic"
    assert run(tmp_path, BOTH, work, Process(found(Action.MISS))) == "miss"


def test_nothing_is_learned_of_an_answer_that_may_not_be_kept(tmp_path):
    process = Process(found(Action.MISS))

    async def work(caches):
        wanted = call()
        answered(await caches.find(wanted, ROUTE), wanted, body=ANSWER.replace(b"Yes.", b"I'm sorry, I can't help."))
        await done(caches)

    run(tmp_path, BOTH, work, process)
    assert (process.learned, process.dropped) == ([], [7])


def test_who_wants_no_cache_gets_none(tmp_path):
    async def work(caches):
        first = call()
        answered(await caches.find(first, ROUTE), first)
        await done(caches)
        assert await caches.find(call(reuse="off"), ROUTE) is None
        assert not isinstance(await caches.find(call(reuse="refresh"), ROUTE), Hit)
        assert isinstance(await caches.find(call(), ROUTE), Hit)

    run(tmp_path, EXACT, work)


def test_shadow_keeps_a_digest_and_nothing_else(tmp_path):
    async def work(caches):
        labels = []
        for _ in range(2):
            wanted = call()
            filling = await caches.find(wanted, ROUTE)
            labels.append(wanted.labels["farthing.cache"])
            if filling is not None:
                answered(filling, wanted)
                assert filling.copy.body is None
        await done(caches)
        assert len(caches.kept.memory) == 0
        return labels

    assert run(tmp_path, NamespaceSettings(), work) == ["miss", "would_exact"]
    assert not any(b"Is it so?" in file.read_bytes() for file in tmp_path.iterdir())
