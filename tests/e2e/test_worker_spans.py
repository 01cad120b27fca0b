"""Spans of a real worker, as a real OTLP/HTTP receiver decodes them; and a worker whose collector is gone."""

import asyncio
import json
import socket
import time
from datetime import UTC, datetime

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from farthing.core.facts import Status as Outcome
from farthing.gateway.otel import QUEUE, spans_to
from support.collector import attributes, collector
from support.gateway import CHAT, COST, TOKEN, answers, chat, reply, send, upstream
from support.journals import fact
from support.workers import free_port, worker

SECRET = "the-words-of-a-prompt"


async def refuses(heard, writer) -> None:
    body = {"error": {"message": f"no such thing: {SECRET}", "type": "invalid_request_error", "code": None}}
    writer.write(reply(json.dumps(body).encode(), status="400 Bad Request"))


def test_one_request_is_one_span_with_the_attributes_of_the_convention(tmp_path):
    began = time.time_ns()

    async def run(url: str) -> str:
        async with upstream(answers) as server:
            with worker(tmp_path, {"up": server.url}, otel_endpoint=f'"{url}"') as process:
                said = {"role": "user", "content": SECRET}
                answer = await send(process.port, CHAT, chat(messages=[said]))
                process.stop()
                return answer.headers["x-request-id"]

    with collector() as receiver:
        request_id = asyncio.run(run(receiver.url))
        (span,) = receiver.wait(1)
        assert receiver.paths == ["/v1/traces"]
    assert span.name == "chat tiny"
    assert span.kind == Span.SPAN_KIND_CLIENT
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert began <= span.start_time_unix_nano <= span.end_time_unix_nano <= time.time_ns()
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "tiny",
        "gen_ai.response.model": "tiny-2026",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 500,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "http.response.status_code": 200,
        "farthing.request_id": request_id,
        "farthing.attempt": 1,
        "farthing.account": "up",
        "farthing.offer": "openai/tiny",
        "farthing.team": "search",
        "farthing.cost_usd": str(COST),
    }
    resource = receiver.resources[0].resource_spans[0].resource
    assert attributes(resource)["service.name"] == "farthing-gateway"
    assert not any(word in b"".join(receiver.bodies) for word in (SECRET.encode(), b"Hello!", TOKEN.encode()))


def test_a_failure_is_named_by_its_kind_and_quotes_nobody(tmp_path):
    async def run(url: str) -> int:
        async with upstream(refuses) as server:
            with worker(tmp_path, {"up": server.url}, otel_endpoint=f'"{url}"') as process:
                answer = await send(process.port, CHAT, chat())
                process.stop()
                return answer.status

    with collector() as receiver:
        assert asyncio.run(run(receiver.url)) == 400
        (span,) = receiver.wait(1)
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "bad_request")
    told = attributes(span)
    assert (told["error.type"], told["http.response.status_code"]) == ("bad_request", 400)
    assert SECRET.encode() not in b"".join(receiver.bodies)


def test_a_collector_that_never_answers_holds_up_nobody(tmp_path):
    """It takes connections and says nothing: the worst kind of being down."""

    async def run(url: str) -> tuple[list[int], int]:
        async with upstream(answers) as server:
            with worker(tmp_path, {"up": server.url}, otel_endpoint=f'"{url}"') as process:
                got = [(await send(process.port, CHAT, chat())).status for _ in range(100)]
                code = await asyncio.to_thread(process.stop)
                return got, code, len(process.drained().facts)

    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        statuses, code, journaled = asyncio.run(run(f"http://127.0.0.1:{mute.getsockname()[1]}/v1/traces"))
    assert statuses == [200] * 100
    assert (code, journaled) == (0, 100)


def test_spans_that_nobody_takes_do_not_pile_up(monkeypatch):
    monkeypatch.setattr("farthing.gateway.otel.SEND_SECONDS", 0.1)
    spans = spans_to(f"http://127.0.0.1:{free_port()}/v1/traces", worker="0-1")
    (processor,) = spans._provider._active_span_processor._span_processors
    longest = 0
    for number in range(2 * QUEUE):
        spans.observe(fact(f"r{number}"))
        longest = max(longest, len(processor._batch_processor._queue))
    assert 0 < longest <= QUEUE
    spans.close()


def test_a_client_that_left_is_a_failure_and_a_cached_answer_is_none():
    at = datetime(2026, 11, 1, tzinfo=UTC)
    with collector() as receiver:
        spans = spans_to(receiver.url, worker="0-1")
        for status in (Outcome.CANCELLED, Outcome.CACHE_HIT):
            spans.observe(fact("r", status))
        spans.close()
        left, cached = receiver.wait(2)
    assert attributes(left)["error.type"] == "cancelled"
    assert left.status.code == Status.STATUS_CODE_ERROR
    assert "error.type" not in attributes(cached)
    assert cached.status.code == Status.STATUS_CODE_UNSET
    assert left.start_time_unix_nano == int(at.timestamp()) * 10**9
