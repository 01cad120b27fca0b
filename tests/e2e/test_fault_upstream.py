"""Providers in every state of disorder, before the running product: what the client is told, what the ledger keeps."""

import asyncio
import itertools
import json
import time
from decimal import Decimal

import msgspec
import pytest
from tests.support.faulty import ABSURD, COST, PATH, Faulty, ask, facts_in
from tests.support.gateway import Response, connection, request, send
from tests.support.product import Product

from farthing.core.facts import ErrorKind, RequestFact, Source, Status

DIALECTS = ("openai", "anthropic")
TIMES = {
    "FARTHING_GATEWAY_FIRST_BYTE_TIMEOUT": "1",
    "FARTHING_GATEWAY_READ_TIMEOUT": "1",
    "FARTHING_GATEWAY_ATTEMPTS": "1",
}


class Expected(msgspec.Struct, frozen=True):
    """``statuses``: what a client may be told, by dialect; 200 for a stream whose head is out before it breaks."""

    whole: tuple[int, ...]
    stream: tuple[int, ...]
    kinds: tuple[ErrorKind, ...]
    ends: tuple[Status, ...] = (Status.ERROR, Status.TRUNCATED)


GOOD = Expected((200,), (200,), (ErrorKind.NONE,), (Status.OK,))
BROKEN = (ErrorKind.RESET, ErrorKind.PROTOCOL)
EXPECTED = {
    "ok": GOOD,
    "drip": GOOD,
    "interim": GOOD,
    "long_head": GOOD,
    "closes_idle": GOOD,
    "hang_before": Expected((504,), (504,), (ErrorKind.TIMEOUT,)),
    "hang_within": Expected((504,), (200,), (ErrorKind.TIMEOUT,)),
    "reset_before": Expected((502,), (502,), BROKEN),
    "reset_within": Expected((502,), (200,), BROKEN),
    "close_before": Expected((502,), (502,), BROKEN),
    "close_within": Expected((502,), (200,), BROKEN),
    "half_chunk": Expected((502,), (200, 502), BROKEN),
    "no_http": Expected((502,), (502,), (ErrorKind.PROTOCOL,)),
    "too_long": Expected((502,), (502,), BROKEN),
    "too_short": Expected((502,), (502,), (ErrorKind.BAD_BODY, ErrorKind.PROTOCOL)),
    "bad_json": Expected((502,), (502,), (ErrorKind.BAD_BODY,)),
    "html": Expected((502,), (502,), (ErrorKind.BAD_BODY,)),
    "empty": Expected((502,), (502,), (ErrorKind.BAD_BODY,)),
    "no_content": Expected((502,), (502,), (ErrorKind.BAD_BODY,)),
    "error_under_200": Expected((502,), (502,), (ErrorKind.SERVER, ErrorKind.BAD_BODY)),
    "error_500": Expected((502, 500), (502, 500), (ErrorKind.SERVER,)),
    "limited": Expected((429,), (429,), (ErrorKind.RATE_LIMIT,)),
    "moved": Expected((502,), (502,), (ErrorKind.SERVER, ErrorKind.PROTOCOL, ErrorKind.BAD_BODY)),
    "switched": Expected((502, 504), (502, 504), (ErrorKind.PROTOCOL, ErrorKind.TIMEOUT)),
    "packed": Expected((502,), (502,), (ErrorKind.PROTOCOL,)),
    "endless_head": Expected((502,), (502,), (ErrorKind.PROTOCOL,)),
}
CASES = list(itertools.product(EXPECTED, DIALECTS, (False, True)))
ABSURD_CASES = list(itertools.product(ABSURD, DIALECTS, (False, True)))


class Asked(msgspec.Struct):
    """What became of each case: the client's response and the ledger's facts."""

    upstream: Faulty
    product: Product
    key: str
    marks: dict[tuple[str, str, bool], str]
    responses: dict[str, Response]
    facts: dict[str, list[RequestFact]]


async def asked(
    product: Product, key: str, dialect: str, fault: str, mark: str, *, stream: bool, model: str = ""
) -> Response:
    headers = {"authorization": f"Bearer {key}", "x-farthing-label-mark": mark}
    return await send(
        product.port, PATH[dialect], ask(dialect, fault, mark, stream=stream, model=model), headers=headers
    )


def in_ledger(product: Product, marks: set[str], seconds: float = 30) -> dict[str, list[RequestFact]]:
    """The facts of each mark, once all of them have some."""
    until = time.monotonic() + seconds
    facts: dict[str, list[RequestFact]] = {}
    while not marks <= facts.keys() and time.monotonic() < until:
        time.sleep(0.1)
        facts = {}
        for fact in facts_in(product.home):
            facts.setdefault(fact.tags.get("mark", ""), []).append(fact)
    assert all(facts.values()), (
        f"{[m for m, f in facts.items() if not f]} are missing:\n{product.log.read_text()[-3000:]}"
    )
    return facts


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Every case, asked of one running product."""
    with Faulty() as upstream:
        product = Product(tmp_path_factory.mktemp("faults"), upstream.settings())
        product.env.update(TIMES)
        with product:
            key = product.key()
            marks = {case: f"m{number}" for number, case in enumerate(CASES)}

            async def run() -> dict[str, Response]:
                calls = [asked(product, key, d, fault, mark, stream=s) for (fault, d, s), mark in marks.items()]
                return dict(zip(marks.values(), await asyncio.gather(*calls), strict=True))

            responses = asyncio.run(run())
            yield Asked(upstream, product, key, marks, responses, in_ledger(product, set(marks.values())))


def error_of(dialect: str, response: Response) -> dict:
    """The error in a response, which must have its dialect's own shape, whole or as an event of a stream."""
    text = response.body.decode()
    if response.headers["content-type"].startswith("text/event-stream"):
        lines = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
        shape = json.loads(lines[-1])
        if dialect == "anthropic":
            assert "event: error\n" in text
    else:
        shape = json.loads(text)
    if dialect == "anthropic":
        assert shape["type"] == "error"
        assert shape["request_id"] == response.headers["request-id"]
    else:
        assert set(shape["error"]) >= {"message", "type", "param", "code"} or response.status == 429
    assert shape["error"]["message"]
    assert shape["error"]["type"]
    return shape["error"]


@pytest.mark.parametrize(("fault", "dialect", "stream"), CASES)
def test_each_fault_is_told_clearly_and_kept_once(lab, fault, dialect, stream):
    mark, expected = lab.marks[fault, dialect, stream], EXPECTED[fault]
    got, facts = lab.responses[mark], lab.facts[mark]
    assert lab.upstream.begun.count(mark) == 1
    (fact,) = facts
    allowed = {
        529 if s == 503 and dialect == "anthropic" else s for s in (expected.stream if stream else expected.whole)
    }
    assert got.status in allowed, got.body
    assert fact.error_kind in expected.kinds, (fact.error_kind, fact.error)
    assert fact.status in expected.ends
    assert fact.attempt == 1
    assert got.headers["x-farthing-request-id"] == fact.request_id
    if fact.status is Status.OK:
        assert got.whole
        assert (fact.cost, fact.cost_source, fact.unpriced) == (COST[dialect], Source.CATALOG, "")
    else:
        assert error_of(dialect, got)
        assert fact.error
        assert (fact.cost is None) == bool(fact.unpriced), "no price without a reason"
        if fact.cost:
            assert fact.cost_source == {Source.PROVIDER: Source.CATALOG}.get(fact.usage_source, fact.usage_source)
            assert fact.input_tokens + fact.output_tokens > 0


def test_the_sum_of_all_is_what_their_facts_say(lab):
    until = time.monotonic() + 20
    shown, facts = Decimal(-1), []
    while shown != sum((f.cost or Decimal(0) for f in facts), Decimal(0)) and time.monotonic() < until:
        facts = facts_in(lab.product.home)
        shown = Decimal(lab.product.spend()["total"]["cost"])
    assert shown == sum((f.cost or Decimal(0) for f in facts), Decimal(0)), "once everything has landed"
    assert len({(f.request_id, f.attempt) for f in facts}) == len(facts) >= len(CASES)


def test_a_limits_own_words_and_waiting_time_reach_the_client(lab):
    got = lab.responses[lab.marks["limited", "openai", False]]
    assert got.headers["retry-after"] == "0"
    assert "slow down" in got.json()["error"]["message"]


@pytest.fixture(scope="module")
def broken_counts(lab):
    """Answers whose usage objects make no sense, one of each for both dialects and kinds of answer."""
    cases = {(name, d, s): f"u{n}" for n, (name, d, s) in enumerate(ABSURD_CASES)}

    async def run() -> dict[str, Response]:
        return {
            mark: await asked(lab.product, lab.key, d, f"absurd:{name}", mark, stream=s)
            for (name, d, s), mark in cases.items()
        }

    responses = asyncio.run(run())
    return cases, responses, in_ledger(lab.product, {*lab.marks.values(), *cases.values()})


@pytest.mark.parametrize(("name", "dialect", "stream"), ABSURD_CASES)
def test_counts_that_make_no_sense_are_no_money_and_do_no_harm(lab, broken_counts, name, dialect, stream):
    cases, responses, facts = broken_counts
    mark = cases[name, dialect, stream]
    (fact,) = facts[mark]
    if (name, dialect, stream) == ("a_list", "anthropic", False):
        assert (responses[mark].status, fact.error_kind) == (502, ErrorKind.BAD_BODY)
    else:
        assert responses[mark].status == 200, responses[mark].body
        assert b"Hel" in responses[mark].body
        assert fact.status is Status.OK
    assert (fact.cost is None) == bool(fact.unpriced)
    assert fact.cost is None or fact.cost >= 0
    assert fact.input_tokens >= 0


def test_another_target_takes_over_and_both_attempts_are_kept(tmp_path):
    with Faulty() as one, Faulty() as other:
        settings = (
            f'[providers.first]\nvendor = "openai"\nbase_url = "http://127.0.0.1:{one.port}/openai/v1"\n'
            f'[providers.second]\nvendor = "openai"\nbase_url = "http://127.0.0.1:{other.port}/openai/v1"\n'
            '[models.both]\nstrategy = "weighted"\ntargets = ['
            '{ provider = "first", model = "gpt-4o-mini", weight = 1e9 }, '
            '{ provider = "second", model = "gpt-4o-mini", weight = 1e-9 }]\n'
        )
        one.always = "reset_before"
        with Product(tmp_path, settings) as product:
            key = product.key()
            got = asyncio.run(asked(product, key, "openai", "ok", "one", stream=False, model="both"))
            facts = in_ledger(product, {"one"})["one"]
    assert got.status == 200
    assert [(f.attempt, f.provider, f.status) for f in sorted(facts, key=lambda f: f.attempt)] == [
        (1, "first", Status.ERROR),
        (2, "second", Status.OK),
    ]
    assert (one.begun, other.begun) == (["one"], ["one"])
    assert [f.cost for f in sorted(facts, key=lambda f: f.attempt)] == [None, COST["openai"]]


def test_connections_that_a_provider_closes_while_idle_cost_no_request(lab):
    async def run() -> list[int]:
        statuses = []
        for number in range(12):
            got = await asked(lab.product, lab.key, "openai", "closes_idle", f"i{number}", stream=number % 2 == 0)
            statuses.append(got.status)
            await asyncio.sleep(0.02)
        return statuses

    assert asyncio.run(run()) == [200] * 12
    assert all(lab.upstream.begun.count(f"i{n}") == 1 for n in range(12))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", ["hang_before", "hang_within"])
def test_a_client_that_leaves_stops_the_provider_and_is_kept_as_cancelled(lab, fault, dialect, stream):
    mark = f"left{fault[5]}{dialect}{stream:d}"
    asyncio.run(
        leave(lab, dialect, fault, mark, stream=stream, after=b"Hel" if stream and fault == "hang_within" else b"")
    )
    (fact,) = in_ledger(lab.product, {mark})[mark]
    assert fact.status is Status.CANCELLED
    assert mark in lab.upstream.left, "the provider is told to stop"
    assert (fact.cost is None) == bool(fact.unpriced)
    if stream and fault == "hang_within":
        assert fact.output_tokens > 0, "what the client got is metered"
        assert fact.cost > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_client_that_leaves_a_drained_provider_is_metered_to_the_end(lab, dialect, stream):
    mark = f"drain{dialect}{stream:d}"
    asyncio.run(leave(lab, dialect, "slow", mark, stream=stream, model=f"drained-{dialect}"))
    (fact,) = in_ledger(lab.product, {mark})[mark]
    assert mark in lab.upstream.finished
    assert (fact.status, fact.cost, fact.usage_source) == (Status.CANCELLED, COST[dialect], Source.PROVIDER)


async def leave(
    lab: Asked, dialect: str, fault: str, mark: str, *, stream: bool, after: bytes = b"", model: str = ""
) -> None:
    """Ask, leave once the provider has been called (and ``after`` was read), and wait until it noticed or ended."""
    headers = {"authorization": f"Bearer {lab.key}", "x-farthing-label-mark": mark}
    async with connection(lab.product.port) as (reader, writer):
        writer.write(request(PATH[dialect], ask(dialect, fault, mark, stream=stream, model=model), headers=headers))
        async with asyncio.timeout(10):
            if after:
                await reader.readuntil(after)
            while mark not in lab.upstream.begun:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        while mark not in lab.upstream.left | lab.upstream.finished:
            await asyncio.sleep(0.01)


def test_a_provider_cannot_make_a_target_rest_for_ever(lab):
    async def run() -> Response:
        await asked(lab.product, lab.key, "openai", "limited_forever", "f1", stream=False)
        return await asked(lab.product, lab.key, "openai", "ok", "f2", stream=False)

    assert asyncio.run(run()).status == 200
