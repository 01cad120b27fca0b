"""Requests through the gateway to providers in all states of health: what the client gets, and what is journaled."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest

from farthing.core.facts import ErrorKind, Source, Status
from farthing.gateway.retry import Retries
from farthing.gateway.settings import GatewaySettings
from farthing.gateway.upstream import Limits
from support.gateway import (
    ANSWER,
    CHAT,
    COST,
    DONE,
    MODEL,
    STREAM_HEAD,
    TOKEN,
    Heard,
    Lab,
    Response,
    answers,
    chat,
    chunk,
    connection,
    event,
    facts,
    gateway,
    reply,
    request,
    send,
    upstream,
    usage_event,
)

QUICK = Limits(connect=1, first_byte=0.4, read=0.4)


def writes(data: bytes, *, close: bool = False):
    async def script(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if close:
            await writer.drain()
            writer.close()

    return script


def asked(tmp_path: Path, script, body: bytes, *, path: str = CHAT, headers=None, then=None):
    """One request that is tried once: the client's response and the journaled facts."""

    async def run():
        async with (
            upstream(script) as server,
            gateway(tmp_path, {"up": server.url}, limits=QUICK, retries=Retries(attempts=1)) as lab,
        ):
            return await send(lab.port, path, body, headers=headers), lab.facts(), server

    return asyncio.run(run())


def test_a_whole_answer_is_priced_in_its_head_and_in_the_journal(tmp_path):
    got, noted, _ = asked(tmp_path, answers, chat())
    (fact,) = noted
    assert (got.status, got.json()) == (200, ANSWER)
    assert got.headers["x-farthing-cost"] == f"{COST:f}"
    assert got.headers["x-farthing-offer"] == fact.offer == "openai/tiny"
    assert got.headers["x-farthing-request-id"] == got.headers["x-request-id"] == fact.request_id
    assert (fact.cost, fact.cost_source, fact.usage_source) == (COST, Source.CATALOG, Source.PROVIDER)
    assert (fact.attempt, fact.status, fact.scope.team, fact.key_id) == (1, Status.OK, "search", "k1")
    assert fact.ttft_ms is not None
    assert fact.total_ms >= fact.ttft_ms


def test_a_stream_passes_unchanged_and_is_metered(tmp_path):
    got, noted, server = asked(tmp_path, answers, chat(stream=True))
    (fact,) = noted
    assert got.body == event("Hel") + event("lo!") + event(finish="stop") + DONE
    assert json.loads(server.heard[0].body)["stream_options"] == {"include_usage": True}
    assert (fact.status, fact.cost, fact.stream, fact.finish_reason) == (Status.OK, COST, True, "stop")


def test_a_stream_with_usage_asked_for_keeps_its_usage_event(tmp_path):
    got, noted, _ = asked(tmp_path, answers, chat(stream=True, stream_options={"include_usage": True}))
    assert usage_event() in got.body
    assert noted[0].cost == COST


def test_events_are_passed_on_as_they_come(tmp_path):
    async def run() -> bytes:
        gate = asyncio.Event()

        async def script(_heard: Heard, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + chunk(event("first")))
            await writer.drain()
            await gate.wait()
            writer.write(chunk(usage_event()) + chunk(DONE) + b"0\r\n\r\n")

        async with (
            upstream(script) as server,
            gateway(tmp_path, {"up": server.url}) as lab,
            connection(lab.port) as (reader, writer),
        ):
            writer.write(request(CHAT, chat(stream=True)))
            first = await asyncio.wait_for(reader.readuntil(b"first"), 5)
            gate.set()
            rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
            return first + rest

    assert DONE in asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_the_outcome_is_journaled_before_the_client_has_it_all(tmp_path, stream):
    async def run() -> list[Status]:
        async with (
            upstream(answers) as server,
            gateway(tmp_path, {"up": server.url}) as lab,
            connection(lab.port) as (reader, writer),
        ):
            writer.write(request(CHAT, chat(stream=stream)))
            await reader.readuntil(b"[DONE]" if stream else b"Hello!")
            return [fact.status for fact in lab.facts()]

    assert asyncio.run(run()) == [Status.OK]


BREAKS = [
    (writes(b"", close=True), 502, ErrorKind.RESET, Status.ERROR),
    (writes(b"no http at all\r\n\r\n", close=True), 502, ErrorKind.PROTOCOL, Status.ERROR),
    (writes(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{", close=True), 502, ErrorKind.PROTOCOL, Status.TRUNCATED),
    (writes(STREAM_HEAD + b"ff\r\nhalf", close=True), 502, ErrorKind.PROTOCOL, Status.TRUNCATED),
    (writes(reply(b'{"choices": [')), 502, ErrorKind.BAD_BODY, Status.ERROR),
    (writes(reply(b'{"error": {"message": "broken", "type": "server_error"}}')), 502, ErrorKind.SERVER, Status.ERROR),
    (writes(reply(b"<html>", status="500 Oops")), 502, ErrorKind.SERVER, Status.ERROR),
    (writes(reply(b"{}", status="429 Slow", headers="retry-after: 7\r\n")), 429, ErrorKind.RATE_LIMIT, Status.ERROR),
]


@pytest.mark.parametrize(("script", "status", "kind", "ended"), BREAKS)
def test_a_broken_provider_is_a_clear_error_and_one_fact(tmp_path, script, status, kind, ended):
    got, noted, server = asked(tmp_path, script, chat())
    (fact,) = noted
    assert (got.status, fact.error_kind, fact.status) == (status, kind, ended)
    assert "up" in got.json()["error"]["message"]
    assert len(server.heard) == 1
    assert got.headers.get("retry-after") == ("7" if status == 429 else None)
    assert fact.cost in (None, Decimal(0))
    assert bool(fact.unpriced) == (fact.cost is None)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"])
def test_a_provider_that_hangs_times_out(tmp_path, start):
    async def hangs(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await asyncio.sleep(3)

    got, (fact,), _ = asked(tmp_path, hangs, chat())
    assert (got.status, fact.error_kind) == (504, ErrorKind.TIMEOUT)


def test_a_slow_drip_is_waited_for(tmp_path):
    async def drips(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        for byte in reply(json.dumps(ANSWER).encode()):
            writer.write(bytes([byte]))
            await writer.drain()

    got, (fact,), _ = asked(tmp_path, drips, chat())
    assert (got.json(), fact.cost) == (ANSWER, COST)


@pytest.mark.parametrize("tail", [b"", chunk(event("more")) + b"zz\r\n"])
def test_a_stream_that_breaks_off_ends_with_an_error_event(tmp_path, tail):
    async def breaks(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(event("Hel")))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(tail)
        await writer.drain()
        writer.close()

    got, (fact,), _ = asked(tmp_path, breaks, chat(stream=True))
    last = json.loads(got.body.strip().rpartition(b"data: ")[2])
    assert "up" in last["error"]["message"]
    assert (fact.status, fact.error_kind) == (Status.TRUNCATED, ErrorKind.PROTOCOL)
    assert (fact.usage_source, fact.cost_source) == (Source.ESTIMATED, Source.ESTIMATED)


def test_a_stream_without_an_end_is_truncated(tmp_path):
    got, (fact,), _ = asked(tmp_path, writes(STREAM_HEAD + chunk(event("Hel")) + b"0\r\n\r\n"), chat(stream=True))
    assert got.status == 200
    assert fact.status is Status.TRUNCATED


def two(tmp_path: Path, first, second, body: bytes) -> tuple[Response, Lab, list, list]:
    async def run():
        async with (
            upstream(first) as one,
            upstream(second) as other,
            gateway(tmp_path, {"one": one.url, "other": other.url}, limits=QUICK) as lab,
        ):
            got = await send(lab.port, CHAT, body)
            return got, lab.facts(), len(one.heard), len(other.heard)

    return asyncio.run(run())


@pytest.mark.parametrize("script", [b[0] for b in BREAKS])
@pytest.mark.parametrize("stream", [False, True])
def test_another_target_answers_where_one_fails(tmp_path, script, stream):
    got, noted, *_ = two(tmp_path, script, answers, chat(stream=stream))
    assert got.status == 200
    assert b"error" not in got.body
    assert [(f.attempt, f.provider, f.status is Status.OK) for f in noted] == [(1, "one", False), (2, "other", True)]
    assert len({f.request_id for f in noted}) == 1


def test_a_stream_that_begins_with_an_error_is_tried_elsewhere(tmp_path):
    bad = chunk(b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n') + b"0\r\n\r\n"
    got, noted, *_ = two(tmp_path, writes(STREAM_HEAD + bad), answers, chat(stream=True))
    assert DONE in got.body
    assert [f.status for f in noted] == [Status.ERROR, Status.OK]


def test_what_the_client_did_wrong_is_not_tried_elsewhere(tmp_path):
    bad = reply(b'{"error": {"message": "no such role", "type": "invalid_request_error"}}', status="400 Bad")
    got, noted, _, elsewhere = two(tmp_path, writes(bad), answers, chat())
    assert (got.status, len(noted), elsewhere) == (400, 1, 0)


def test_nothing_is_tried_again_once_the_client_saw_a_byte(tmp_path):
    async def breaks(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(event("Hel")))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()

    got, noted, _, elsewhere = two(tmp_path, breaks, answers, chat(stream=True))
    assert (got.status, len(noted), elsewhere) == (200, 1, 0)


async def leave_midway(port: int, *, stream: bool, after: bytes) -> None:
    async with connection(port) as (reader, writer):
        writer.write(request(CHAT, chat(stream=stream)))
        await writer.drain()
        if after:
            await asyncio.wait_for(reader.readuntil(after), 5)
        else:
            await asyncio.sleep(0.15)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_the_provider(tmp_path, stream):
    async def endless(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if stream:
            writer.write(STREAM_HEAD + chunk(event("first")))
            await writer.drain()
        await heard.reader.readexactly(1)

    async def run():
        async with upstream(endless) as server, gateway(tmp_path, {"up": server.url}) as lab:
            await leave_midway(lab.port, stream=stream, after=b"first" if stream else b"")
            await asyncio.wait_for(server.left.wait(), 5)
            return await lab.settled(1)

    (fact,) = asyncio.run(run())
    assert fact.status is Status.CANCELLED
    assert fact.error_kind is ErrorKind.NONE
    assert (fact.usage_source is Source.ESTIMATED) == stream


def test_a_provider_may_be_drained_instead(tmp_path):
    async def slow(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(event("first")))
        await writer.drain()
        await asyncio.sleep(0.4)
        writer.write(chunk(usage_event()) + chunk(DONE) + b"0\r\n\r\n")

    async def run():
        async with upstream(slow) as server, gateway(tmp_path, {"up": server.url}, drains=True) as lab:
            await leave_midway(lab.port, stream=True, after=b"first")
            return await lab.settled(1)

    (fact,) = asyncio.run(run())
    assert (fact.status, fact.cost, fact.usage_source) == (Status.CANCELLED, COST, Source.PROVIDER)


def test_a_full_disk_refuses_before_anything_is_begun(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def run():
        async with upstream(answers) as server:
            settings = GatewaySettings(journal_segment_bytes=32_000)
            async with gateway(tmp_path, {"up": server.url}, settings=settings) as lab:
                monkeypatch.setattr("os.posix_fallocate", full)
                got = [await send(lab.port, CHAT, chat()) for _ in range(30)]
                ready = await send(lab.port, "/readyz", method="GET")
                return got, ready, len(server.heard), lab.facts()

    got, ready, heard, noted = asyncio.run(run())
    answered = [r for r in got if r.status == 200]
    refused = [r for r in got if r.status != 200]
    assert answered
    assert refused
    assert {r.status for r in refused} == {503}
    assert "disk" in refused[0].json()["error"]["message"]
    assert heard == len(answered)
    assert [f.request_id for f in noted if f.attempt] == [r.headers["x-request-id"] for r in answered]
    assert ready.status == 503


REFUSALS = [
    ("POST", CHAT, chat(), {"authorization": ""}, 401),
    ("POST", CHAT, chat(), {"authorization": "Bearer fk_wrong"}, 401),
    ("POST", CHAT, b"{", {}, 400),
    ("POST", CHAT, b'{"model": 5, "messages": []}', {}, 400),
    ("POST", CHAT, b"x" * 70_000, {}, 413),
    ("GET", CHAT, b"", {}, 405),
    ("DELETE", "/v1/models", b"", {}, 405),
    ("POST", "/v1/assistants", b"{}", {}, 404),
    ("GET", "/v1/models/tinny", b"", {}, 404),
    ("GET", "/v1/models", b"", {"authorization": ""}, 401),
    ("POST", CHAT, json.dumps({"model": "tinny", "messages": [], "max_tokens": 5}).encode(), {}, 404),
    ("POST", CHAT, chat(), {"x-farthing-regions": "mars"}, 400),
]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REFUSALS)
def test_refusals_have_the_shape_of_the_clients_dialect(tmp_path, dialect, method, path, body, headers, status):
    async def run() -> tuple[Response, int]:
        settings = GatewaySettings(max_body_bytes=65_536)
        async with upstream(answers) as server, gateway(tmp_path, {"up": server.url}, settings=settings) as lab:
            spoken = {"anthropic-version": "2023-06-01"} if dialect == "anthropic" else {}
            place = path.replace("/chat/completions", "/messages") if spoken else path
            got = await send(lab.port, place, body, method=method, headers={**headers, **spoken})
            return got, len(server.heard)

    got, heard = asyncio.run(run())
    assert (got.status, heard) == (status, 0)
    error = got.json()["error"]
    assert error["message"]
    assert ("code" in error) == (dialect == "openai")
    assert (got.json().get("type") == "error") == (dialect == "anthropic")


@pytest.mark.parametrize(("headers", "body", "status"), [({"authorization": ""}, chat(), 401), ({}, b"{", 400)])
def test_a_request_that_was_never_read_is_counted_all_the_same(tmp_path, headers, body, status):
    async def run() -> str:
        async with upstream(answers) as server, gateway(tmp_path, {"up": server.url}) as lab:
            await send(lab.port, CHAT, body, headers=headers)
            return (await send(lab.port, "/metrics", b"", method="GET")).body.decode()

    line = next(line for line in asyncio.run(run()).splitlines() if "refus" in line and f'"{status}"' in line)
    assert float(line.split()[-1]) == 1


def test_an_unknown_model_is_named_with_the_nearest_and_noted(tmp_path):
    got, (fact,), _ = asked(tmp_path, answers, chat(model="tinny"))
    assert (got.status, fact.attempt, fact.http_status, fact.cost) == (404, 0, 404, Decimal(0))
    assert MODEL in got.json()["error"]["message"]
    assert fact.requested_model == "tinny"


def test_a_body_without_announced_length_is_limited_too(tmp_path):
    async def run() -> tuple[int, int]:
        settings = GatewaySettings(max_body_bytes=1000)
        async with (
            upstream(answers) as server,
            gateway(tmp_path, {"up": server.url}, settings=settings) as lab,
            connection(lab.port) as (reader, writer),
        ):
            head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head.encode() + chunk(b"x" * 600) + chunk(b"x" * 600))
            line = await asyncio.wait_for(reader.readline(), 5)
            return int(line.split()[1]), len(server.heard)

    assert asyncio.run(run()) == (413, 0)


def test_strangers_are_not_listened_to(tmp_path):
    async def run() -> bytes:
        async with (
            upstream(answers) as server,
            gateway(tmp_path, {"up": server.url}) as lab,
            connection(lab.port) as (reader, writer),
        ):
            writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n".encode())
            return await asyncio.wait_for(reader.readline(), 5)

    assert b"401" in asyncio.run(run())


def test_anthropics_key_header_is_a_key(tmp_path):
    got, *_ = asked(tmp_path, answers, chat(), headers={"authorization": "", "x-api-key": TOKEN})
    assert got.status == 200


def test_headers_narrow_the_scope_and_never_replace_it(tmp_path):
    headers = {"x-farthing-team": "somebody-else", "x-farthing-feature": "autocomplete"}
    _, (fact,), server = asked(tmp_path, answers, chat(), headers=headers)
    assert (fact.scope.team, fact.scope.feature) == ("search", "autocomplete")
    assert b"x-farthing" not in server.heard[0].head.lower()
    assert TOKEN.encode() not in server.heard[0].head


def test_models_health_and_metrics(tmp_path):
    async def run() -> dict[str, Response]:
        async with upstream(answers) as server, gateway(tmp_path, {"up": server.url}) as lab:
            await send(lab.port, CHAT, chat())
            paths = ("/v1/models", f"/v1/models/{MODEL}", "/healthz", "/readyz", "/metrics")
            return {path: await send(lab.port, path, method="GET") for path in paths}

    got = asyncio.run(run())
    assert {r.status for r in got.values()} == {200}
    assert MODEL in [m["id"] for m in got["/v1/models"].json()["data"]]
    assert got[f"/v1/models/{MODEL}"].json()["id"] == MODEL
    metrics = got["/metrics"].body.decode()
    labels = 'worker="0",operation="chat",provider="up",offer="openai/tiny",status="ok",error=""'
    assert f"farthing_attempts_total{{{labels}}} 1" in metrics
    assert f"farthing_cost_usd_total{{{labels}}} {COST:f}" in metrics
    assert f'farthing_tokens_total{{{labels},class="output"}} 500' in metrics
    assert f'farthing_duration_seconds_bucket{{{labels},le="+Inf"}} 1' in metrics


def test_many_clients_at_once_each_get_their_own_answer(tmp_path):
    async def echoes(heard: Heard, writer: asyncio.StreamWriter) -> None:
        said = json.loads(heard.body)["messages"][0]["content"]
        await asyncio.sleep(0.01)
        writer.write(reply(json.dumps({**ANSWER, "id": said}).encode()))

    async def run() -> list[Response]:
        async with upstream(echoes) as server, gateway(tmp_path, {"up": server.url}) as lab:
            bodies = [chat(messages=[{"role": "user", "content": f"n{i}"}]) for i in range(100)]
            return await asyncio.gather(*(send(lab.port, CHAT, body) for body in bodies))

    got = asyncio.run(run())
    assert [r.json()["id"] for r in got] == [f"n{i}" for i in range(100)]
    noted = facts(tmp_path)
    assert sorted(f.request_id for f in noted) == sorted(r.headers["x-request-id"] for r in got)
    assert {f.upstream_id for f in noted} == {f"n{i}" for i in range(100)}
