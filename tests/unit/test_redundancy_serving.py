"""Retries, failovers and hedges through a whole gateway: what the client gets, what is settled, what is tagged."""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from farthing.core.facts import ErrorKind, Status
from farthing.gateway.admit import Free
from farthing.gateway.breaker import State
from farthing.gateway.retry import Retries
from farthing.gateway.settings import HedgeSettings
from support.gateway import (
    ANSWER,
    CHAT,
    COST,
    DONE,
    STREAM_HEAD,
    answers,
    chat,
    chunk,
    connection,
    event,
    gateway,
    reply,
    request,
    send,
    upstream,
)

BUSY = reply(b'{"error": {"type": "server_error", "message": "busy"}}', status="503 Busy")
HEDGE = HedgeSettings(after_ms=60, max_extra_cost=1, max_requests=1)


class Ledgerly:
    """An admission that counts: what was held, what was settled, and whether it was closed."""

    def __init__(self, room: int = 99) -> None:
        self.room = room
        self.extended = 0
        self.settled: list = []
        self.closed = 0

    def admit(self, call, route):
        grant = Free(call)
        counts = self

        class Counting(type(grant)):
            __slots__ = ()

            def extend(self, target):
                counts.extended += 1
                return counts.extended <= counts.room

            def settle(self, fact):
                counts.settled.append((fact.attempt, fact.status))

            def close(self):
                counts.closed += 1

        return Counting(call)

    async def wait(self, call, route):
        return self.admit(call, route)


@asynccontextmanager
async def gatewayed(folder, *scripts, room=99, **more):
    """A gateway before upstreams that follow these scripts, with an admission that counts."""
    async with AsyncExitStack() as stack:
        ups = [await stack.enter_async_context(upstream(script)) for script in scripts]
        lab = await stack.enter_async_context(gateway(folder, {f"u{i}": up.url for i, up in enumerate(ups)}, **more))
        lab.app.parts.admission = Ledgerly(room)
        yield lab, ups


def then(*data):
    """A script that says these in turn, and answers well from then on."""

    async def script(heard, writer):
        if heard.number <= len(data):
            writer.write(data[heard.number - 1])
        else:
            await answers(heard, writer)

    return script


async def silent(heard, writer):
    await heard.reader.read(1)
    raise ConnectionError


def slowly(seconds):
    async def script(heard, writer):
        await asyncio.sleep(seconds)
        await answers(heard, writer)

    return script


def roles(facts):
    ordered = sorted(facts, key=lambda fact: fact.attempt)
    return [(f.attempt, f.provider, f.tags.get("farthing.role", ""), f.status) for f in ordered]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "first",
    [
        BUSY,
        reply(b"{}", status="500 Oops"),
        reply(b"{}", status="429 Slow"),
        reply(b"{}", status="429 Slow", headers="retry-after-ms: 50\r\n"),
    ],
)
def test_the_only_target_is_tried_again(tmp_path, first, stream):
    async def run():
        async with gatewayed(tmp_path, then(first)) as (lab, _):
            got = await send(lab.port, CHAT, chat(stream=stream))
            return got, await lab.settled(2), lab.app.parts.admission

    got, facts, counts = asyncio.run(run())
    assert (got.status, got.whole) == (200, True)
    assert roles(facts) == [(1, "u0", "", Status.ERROR), (2, "u0", "retry", Status.OK)]
    assert (counts.extended, counts.closed) == (1, 1)
    assert counts.settled == [(1, Status.ERROR), (2, Status.OK)]


def test_no_room_means_no_further_attempt(tmp_path):
    async def run():
        async with gatewayed(tmp_path, then(BUSY), answers, room=0) as (lab, ups):
            return await send(lab.port, CHAT, chat()), lab.facts(), len(ups[1].heard)

    got, facts, other = asyncio.run(run())
    assert (got.status, len(facts), other) == (503, 1, 0)


def test_a_target_that_asks_for_too_long_a_rest_is_not_waited_for(tmp_path):
    limited = reply(b"{}", status="429 Slow", headers="retry-after: 30\r\n")

    async def run():
        async with gatewayed(tmp_path, then(limited), retries=Retries(patience=1)) as (lab, _):
            return await send(lab.port, CHAT, chat()), lab.facts()

    got, facts = asyncio.run(run())
    assert (got.status, got.headers["retry-after"], len(facts)) == (429, "30", 1)


def test_a_target_without_requests_left_is_left_alone_before_it_refuses(tmp_path):
    spent = reply(
        json.dumps(ANSWER).encode(),
        headers="content-type: application/json\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 5m\r\n",
    )

    async def run():
        async with gatewayed(tmp_path, then(spent), answers) as (lab, ups):
            got = [(await send(lab.port, CHAT, chat())).status for _ in range(4)]
            return got, [len(up.heard) for up in ups], lab.facts()

    got, heard, facts = asyncio.run(run())
    assert (got, heard) == ([200] * 4, [1, 3])
    assert all(fact.attempt == 1 for fact in facts)


@pytest.mark.parametrize("stream", [False, True])
def test_a_hedge_answers_where_the_first_is_silent(tmp_path, stream):
    async def run():
        async with gatewayed(tmp_path, then(), silent, hedge=HEDGE) as (lab, ups):
            await send(lab.port, CHAT, chat())
            ups[0].script, ups[1].script = silent, answers
            got = await send(lab.port, CHAT, chat(stream=stream))
            return got, await lab.settled(3), lab.app.parts

    got, facts, parts = asyncio.run(run())
    assert (got.status, got.whole) == (200, True)
    assert got.body.count(b"Hel") == 1
    assert roles(facts[1:]) == [(1, "u0", "", Status.CANCELLED), (2, "u1", "hedge", Status.OK)]
    loser = next(fact for fact in facts if fact.status is Status.CANCELLED)
    assert (loser.cost, loser.error) == (None, "another attempt answered first")
    assert sorted(parts.admission.settled[1:]) == [(1, Status.CANCELLED), (2, Status.OK)]
    assert parts.admission.extended == 1


def test_the_first_may_still_win_and_the_hedge_is_stopped(tmp_path):
    async def run():
        async with gatewayed(tmp_path, then(), silent, hedge=HEDGE) as (lab, ups):
            await send(lab.port, CHAT, chat())
            ups[0].script = slowly(0.25)
            got = await send(lab.port, CHAT, chat())
            await asyncio.wait_for(ups[1].left.wait(), 5)
            return got, await lab.settled(3)

    got, facts = asyncio.run(run())
    assert (got.status, got.json()) == (200, ANSWER)
    assert roles(facts[1:]) == [(1, "u0", "", Status.OK), (2, "u1", "hedge", Status.CANCELLED)]


def test_when_both_fail_the_next_target_is_tried(tmp_path):
    async def busy_later(heard, writer):
        await asyncio.sleep(0.15)
        writer.write(BUSY)

    async def run():
        async with gatewayed(tmp_path, then(), busy_later, then(), hedge=HEDGE) as (lab, ups):
            await send(lab.port, CHAT, chat())
            ups[0].script = busy_later
            return await send(lab.port, CHAT, chat()), await lab.settled(4)

    got, facts = asyncio.run(run())
    assert got.status == 200
    assert roles(facts[1:]) == [
        (1, "u0", "", Status.ERROR),
        (2, "u1", "hedge", Status.ERROR),
        (3, "u2", "failover", Status.OK),
    ]


@pytest.mark.parametrize("hedge", [None, HedgeSettings(after_ms=60, max_extra_cost=0, max_requests=1)])
def test_nothing_is_hedged_unasked_or_beyond_the_cap(tmp_path, hedge):
    async def run():
        async with gatewayed(tmp_path, slowly(0.2), answers, hedge=hedge) as (lab, ups):
            await send(lab.port, CHAT, chat())
            return len(ups[1].heard), lab.facts()

    heard, facts = asyncio.run(run())
    assert (heard, len(facts), facts[0].cost) == (0, 1, COST)


def test_a_client_that_leaves_a_race_leaves_two_outcomes(tmp_path):
    async def run():
        async with gatewayed(tmp_path, then(), silent, hedge=HEDGE) as (lab, ups):
            await send(lab.port, CHAT, chat())
            ups[0].script = silent
            async with connection(lab.port) as (_, writer):
                writer.write(request(CHAT, chat()))
                while not ups[1].heard:
                    await asyncio.sleep(0.01)
            facts = await lab.settled(3)
            return facts, lab.app.parts.admission

    facts, counts = asyncio.run(run())
    assert [(f.attempt, f.status, f.error) for f in sorted(facts[1:], key=lambda f: f.attempt)] == [
        (1, Status.CANCELLED, ""),
        (2, Status.CANCELLED, ""),
    ]
    assert sorted(counts.settled[1:]) == [(1, Status.CANCELLED), (2, Status.CANCELLED)]
    assert counts.closed == 2


def test_once_a_byte_was_seen_nobody_races(tmp_path):
    async def begins(heard, writer):
        writer.write(STREAM_HEAD + chunk(event("Hel")))
        await asyncio.sleep(0.2)
        writer.write(chunk(event("lo!")) + chunk(event(finish="stop")) + chunk(DONE) + b"0\r\n\r\n")

    async def run():
        async with gatewayed(tmp_path, then(), answers, hedge=HEDGE) as (lab, ups):
            await send(lab.port, CHAT, chat())
            ups[0].script = begins
            return await send(lab.port, CHAT, chat(stream=True)), len(ups[1].heard)

    got, heard = asyncio.run(run())
    assert (got.whole, got.body.count(b"Hel"), heard) == (True, 1, 0)


def test_a_provider_that_drains_is_never_hedged(tmp_path):
    async def run():
        async with gatewayed(tmp_path, slowly(0.2), answers, hedge=HEDGE, drains=True) as (lab, _ups):
            await send(lab.port, CHAT, chat())
            await send(lab.port, CHAT, chat())
            return lab.facts()

    assert all(fact.attempt == 1 for fact in asyncio.run(run()))


def test_metrics_count_what_was_sent_again_and_show_breakers(tmp_path):
    async def run():
        async with gatewayed(tmp_path, then(BUSY, BUSY, BUSY), answers, retries=Retries(attempts=2)) as (lab, _):
            router = lab.app.parts.world.router
            lab.app.metrics.breakers = lambda: router.breakers(lab.app.parts.clock().timestamp())
            for _ in range(4):
                assert (await send(lab.port, CHAT, chat())).status == 200
            return (await send(lab.port, "/metrics", method="GET")).body.decode(), lab.facts()

    text, facts = asyncio.run(run())
    again = sum(fact.attempt > 1 for fact in facts)
    assert f'farthing_further_attempts_total{{worker="0",role="failover",provider="u1"}} {again}' in text
    assert f'farthing_breaker_state{{worker="0",provider="u1",model="tiny"}} {State.CLOSED:d}' in text
    assert all(fact.error_kind in (ErrorKind.NONE, ErrorKind.OVERLOADED) for fact in facts)
