"""The models that the semantic cache may ask over HTTP: an embedding, and the judge of pairs that nobody else can tell."""

import asyncio
import json
from contextlib import asynccontextmanager

import numpy as np
import pytest
from aiohttp import web

from farthing.cache.semantic.endpoint import Endpoint
from farthing.cache.semantic.judge import QUEUE, ModelJudge, said
from farthing.cache.semantic.ports import Action
from farthing.cache.semantic.wire import Learn, Purge, Status
from farthing.core.errors import UnavailableError
from support.loop import in_loop
from support.semantic import NAME, Letters, cache, digest

QUESTION = "How do I reset the password of my account?"
LIKE_IT = "How do I reset the password of my account"


@asynccontextmanager
async def answering(path: str, answer):
    """A server that answers with what ``answer`` makes of a request; yields its address and what was asked."""
    asked: list[dict] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append({"body": await request.json(), "headers": dict(request.headers)})
        made = answer(asked[-1]["body"])
        return made if isinstance(made, web.Response) else web.json_response(made)

    app = web.Application()
    app.router.add_post(path, handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def until(true) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


def embedded(body: dict) -> dict:
    rows = [{"index": i, "embedding": [float(len(text)), 1.0, 0.0]} for i, text in enumerate(body["input"])]
    return {"data": rows[::-1], "model": body["model"]}


@in_loop
async def test_an_endpoint_embeds_in_the_order_of_the_texts():
    async with answering("/v1/embeddings", embedded) as (address, asked):
        model = await Endpoint.opened(address, model="small", key="frt-1")
        assert (model.name, model.dimensions) == ("endpoint-small-3", 3)
        rows = await model.embed(["a", "long text"])
        assert np.allclose(np.linalg.norm(rows, axis=1), 1)
        assert rows[1][0] > rows[0][0]
        assert asked[-1]["headers"]["Authorization"] == "Bearer frt-1"
        assert asked[-1]["body"] == {"model": "small", "input": ["a", "long text"], "encoding_format": "float"}
        await model.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=429),
        {"data": []},
        {"data": [{"index": 0, "embedding": []}]},
        {"error": "no"},
        web.Response(body=b"<html>"),
    ],
)
@in_loop
async def test_an_endpoint_that_does_not_answer_as_it_should_is_said(answer):
    async with answering("/v1/embeddings", lambda _: answer) as (address, _):
        with pytest.raises(UnavailableError, match="embedding_model"):
            await Endpoint.opened(address, model="small", key="")
    with pytest.raises(UnavailableError, match="cannot be asked"):
        await Endpoint.opened(address, model="small", key="")


@in_loop
async def test_vectors_that_change_their_length_are_refused():
    lengths = iter([3, 4])

    def answer(body):
        return {"data": [{"index": 0, "embedding": [1.0] * next(lengths)}]}

    async with answering("/v1/embeddings", answer) as (address, _):
        model = await Endpoint.opened(address, model="small", key="")
        with pytest.raises(UnavailableError, match="length"):
            await model.embed(["a"])
        await model.aclose()


@in_loop
async def test_a_model_that_fails_is_a_miss(tmp_path, monkeypatch):
    async def fail(*_):
        raise UnavailableError("gone")

    async with cache(tmp_path) as running:
        monkeypatch.setattr(Letters, "embed", fail)
        found = await running.ask(QUESTION)
        assert (found.action, found.reason, found.ticket) == (Action.MISS, "no_embedding", 0)


def completion(word: str) -> dict:
    return {"choices": [{"message": {"role": "assistant", "content": word}}]}


@asynccontextmanager
async def judging(running, address: str, *, per_hour: int = 3_600_000, sleep=asyncio.sleep):
    judge = ModelJudge(
        address, model="judge", key="frt-2", per_hour=per_hour, judged=running.service.judged, sleep=sleep
    )
    running.service.judge = judge
    task = asyncio.create_task(judge.run())
    try:
        yield judge
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await judge.aclose()


async def _doubtful(running) -> bytes:
    """Two questions whose answers nobody can compare; the second's key."""
    await running.teach(QUESTION, "Is it on the profile page?")
    found = await running.ask("How do I reset the password of my account now and then, before I travel abroad?")
    await running.service.learn(Learn(found.ticket, digest("second"), "You find it there?"))
    return digest("second")


@pytest.mark.parametrize(("word", "label"), [('{"same": true}', True), ('{"same": false}', False), ("perhaps", None)])
@in_loop
async def test_the_judge_labels_what_nobody_else_can_tell(tmp_path, word, label):
    async with (
        answering("/v1/chat/completions", lambda _: completion(word)) as (address, asked),
        cache(tmp_path) as running,
        judging(running, address),
    ):
        key = await _doubtful(running)
        await until(lambda: running.rule.labels)
        assert running.rule.labels == [label]
        shown = asked[0]["body"]["messages"][1]["content"]
        assert all(text in shown for text in (QUESTION, "profile page?", "now and then,", "You find it there?")), shown
        assert asked[0]["headers"]["Authorization"] == "Bearer frt-2"
        assert asked[0]["headers"]["x-farthing-cache"] == "off", "what is shown to the judge is not kept in turn"
        assert asked[0]["body"]["temperature"] == 0
        await running.ask(QUESTION)
        groups = {one.key: one.group for one in running.rule.neighbours}
        assert (len(set(groups.values())) == 1) is (label is True)
        assert key in groups


@in_loop
async def test_without_a_judge_it_stays_unknown(tmp_path):
    async with cache(tmp_path) as running:
        await _doubtful(running)
        assert running.rule.labels == [None]


@in_loop
async def test_the_judge_is_asked_so_often_an_hour_and_no_more(tmp_path):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    async with (
        answering("/v1/chat/completions", lambda _: completion('{"same": true}')) as (address, asked),
        cache(tmp_path) as running,
        judging(running, address, per_hour=60, sleep=sleep),
    ):
        for i in range(3):
            await running.teach(f"{QUESTION} {'abc'[i] * 20}", "Is it?")
        await until(lambda: len(running.rule.labels) == 2)
        assert len(asked) == 2
        assert pauses == [60.0, 60.0]


@in_loop
async def test_a_judge_that_cannot_be_asked_leaves_it_unknown(tmp_path):
    async with cache(tmp_path) as running, judging(running, "http://127.0.0.1:9"):
        await _doubtful(running)
        await until(lambda: running.rule.labels)
        assert running.rule.labels == [None]


@in_loop
async def test_what_waits_for_the_judge_is_bounded_and_purged(tmp_path):
    async with cache(tmp_path) as running:
        judge = ModelJudge("http://127.0.0.1:9", model="m", key="", per_hour=1, judged=running.service.judged)
        running.service.judge = judge
        await _doubtful(running)
        assert (await running.service.status(Status(1))).judging == 1
        pair = judge._pairs[0]
        assert [judge.take(pair) for _ in range(QUEUE)] == [True] * (QUEUE - 1) + [False]
        await running.service.purge(Purge(1, "namespace", NAME))
        assert len(judge) == 0
        assert running.rule.labels == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"choices": []}',
        json.dumps(completion("yes")).encode(),
        json.dumps(completion('{"same": "yes"}')).encode(),
        json.dumps(completion('{"same": true, "why": "because"}')).encode(),
        json.dumps({"choices": [{"message": {"content": None}}]}).encode(),
    ],
)
def test_only_the_word_that_was_asked_for_counts(body):
    assert said(body) is None
