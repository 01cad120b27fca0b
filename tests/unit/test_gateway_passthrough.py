"""Pass-through: what travels, what does not, and what is refused before anything does."""

import json
from decimal import Decimal

import pytest
from tests.support.gateway import (
    ANSWER,
    MODEL,
    TOKEN,
    connection,
    gateway,
    read_response,
    reply,
    request,
    send,
    upstream,
)
from tests.support.loop import in_loop

from farthing.core.errors import InputError
from farthing.gateway.passthrough import PassThrough
from farthing.gateway.settings import GatewaySettings
from farthing.gateway.wire.target import read_place

DOOR = (PassThrough(("a",)),)
PATH = "/passthrough/a/chat/completions"


@pytest.mark.parametrize(
    "path",
    [
        b"/passthrough/a/../admin",
        b"/passthrough/a/v1/../../admin",
        b"/passthrough/a/.",
        b"/passthrough/a/..",
        b"/passthrough/a/%2e%2e/admin",
        b"/passthrough/a/%2E%2e/admin",
        b"/passthrough/a/.%2e/admin",
        b"/passthrough/a/%252e%252e/admin",
        b"/passthrough/a/x%2fy",
        b"/passthrough/a/x%2Fy",
        b"/passthrough/a/..%2fadmin",
        b"/passthrough/a/..%5cadmin",
        b"/passthrough/a/..\\admin",
        b"/passthrough/a/..;/admin",
        b"/passthrough/a/.;x=y/admin",
        b"/passthrough/a//evil.example/x",
        b"/passthrough/a/x//y",
        b"/passthrough/a/",
        b"/passthrough/a",
        b"/passthrough//a/x",
        b"/passthrough/",
        b"/passthrough/%61/x",
        b"/passthrough/a@evil.example/x",
        b"/passthrough/a/x%0d%0aHost:evil",
        b"/passthrough/a/x%00",
        b"/passthrough/a/x\r\ny",
        b"/passthrough/a/x#fragment",
        b"/passthrough/a/x y",
        b"/passthrough/a/\xe2\x80\xae",
        b"/passthrough/a/x%zz",
        b"/passthrough/a/x?a=b#c",
        b"/passthrough/a/x?a=b\r\nc",
        b"/passthrough/a/x?key=stolen",
        b"/passthrough/a/x?a=1&API_KEY=stolen",
        b"/passthrough/a/x?%6bey=stolen",
        b"http://evil.example/passthrough/a/x",
        b"//evil.example/passthrough/a/x",
        b"/v1/../passthrough/a/x",
        b"*",
    ],
)
def test_no_path_leaves_the_provider_s_address(path):
    with pytest.raises(InputError):
        read_place(path)


def test_plain_paths_pass_as_they_are():
    place = read_place(b"/passthrough/gemini/models/gemini-2.5-flash:streamGenerateContent?alt=sse&q=a%20b")
    assert (place.provider, place.suffix) == (
        "gemini",
        "/models/gemini-2.5-flash:streamGenerateContent?alt=sse&q=a%20b",
    )
    assert (
        read_place(b"/passthrough/b/model/anthropic.claude%3A0/converse").path == "model/anthropic.claude%3A0/converse"
    )


async def ok(heard, writer):
    headers = (
        "content-type: application/json\r\nx-ratelimit-remaining-requests: 7\r\nset-cookie: tracker=1\r\n"
        "connection: x-hop\r\nx-hop: 1\r\nx-farthing-cost: 0\r\nx-farthing-request-id: forged\r\n"
    )
    writer.write(reply(json.dumps(ANSWER).encode(), headers=headers))


@in_loop
async def test_the_client_s_key_stays_here_and_nothing_of_one_hop_travels(tmp_path):
    async with upstream(ok) as server, gateway(tmp_path, {"a": server.url}, doors=DOOR) as lab:
        body = json.dumps({"model": MODEL, "messages": []}, indent=3).encode()
        sent = {
            "x-api-key": TOKEN,
            "cookie": "a=b",
            "connection": "x-mine, close",
            "x-mine": "1",
            "x-forwarded-for": "10.0.0.1",
            "openai-organization": "org-of-somebody-else",
            "x-farthing-team": "mine",
            "x-custom": "kept",
            "content-type": "application/json",
        }
        answer = await send(lab.port, f"{PATH}?trace=1", body, headers=sent)
        heard = server.heard[0]
        head = heard.head.decode().lower()
        assert heard.body == body
        assert head.startswith("post /v1/chat/completions?trace=1 http/1.1\r\n")
        assert "x-custom: kept" in head
        for secret in (TOKEN, "cookie", "x-mine", "x-forwarded-for", "openai-organization", "x-farthing"):
            assert secret.lower() not in head
        assert answer.status == 200
        assert answer.headers["x-ratelimit-remaining-requests"] == "7"
        assert not {"set-cookie", "x-hop"} & answer.headers.keys()
        assert answer.headers["x-farthing-request-id"].startswith("req_")
        assert Decimal(answer.headers["x-farthing-cost"]) == Decimal("0.00045")
        [fact] = await lab.settled(1)
        assert (fact.operation, fact.cost, fact.model) == ("passthrough", Decimal("0.00045"), MODEL)


@in_loop
async def test_what_cannot_be_counted_is_unpriced_and_says_why(tmp_path):
    async def audio(heard, writer):
        writer.write(reply(b"RIFF" * 1000, headers="content-type: audio/wav\r\n"))

    async with upstream(audio) as server, gateway(tmp_path, {"a": server.url}, doors=DOOR) as lab:
        answer = await send(lab.port, "/passthrough/a/audio/speech", b'{"model": "tts"}')
        assert answer.body == b"RIFF" * 1000
        [fact] = await lab.settled(1)
        assert fact.cost is None
        assert fact.unpriced


@in_loop
async def test_a_provider_s_refusal_arrives_as_it_is_and_costs_nothing(tmp_path):
    async def refuses(heard, writer):
        writer.write(reply(b'{"error":{"message":"slow down","type":"requests"}}', status="429 Too Many Requests",
                           headers="content-type: application/json\r\nretry-after: 3\r\n"))  # fmt: skip

    async with upstream(refuses) as server, gateway(tmp_path, {"a": server.url}, doors=DOOR) as lab:
        answer = await send(lab.port, PATH, b'{"model": "tiny"}')
        assert (answer.status, answer.headers["retry-after"]) == (429, "3")
        assert answer.json()["error"]["message"] == "slow down"
        [fact] = await lab.settled(1)
        assert fact.cost == 0
        assert len(server.heard) == 1


@pytest.mark.parametrize("target", ["/passthrough/a/%2e%2e/admin", "/passthrough/a//x", "/passthrough/a/x%2fy"])
@in_loop
async def test_traversal_over_the_wire_reaches_nobody(tmp_path, target):
    async with upstream(ok) as server, gateway(tmp_path, {"a": server.url}, doors=DOOR) as lab:
        answer = await send(lab.port, target, b"{}")
        assert answer.status == 400
        assert not server.heard


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/passthrough/b/chat/completions", "POST", 404),
        ("/passthrough/nobody/chat/completions", "POST", 404),
        ("/passthrough/a/files", "GET", 400),
        ("/passthrough/a/Files/file-1/content", "GET", 400),
        ("/passthrough/a/batches", "POST", 400),
        ("/passthrough/a/chat/completions", "HEAD", 400),
        ("/passthrough/a/chat/completions", "OPTIONS", 400),
    ],
)
@in_loop
async def test_what_is_not_let_through(tmp_path, target, method, status):
    async with upstream(ok) as server, gateway(tmp_path, {"a": server.url, "b": server.url}, doors=DOOR) as lab:
        async with connection(lab.port) as (reader, writer):
            writer.write(request(target, b"", method=method))
            head = await reader.readuntil(b"\r\n\r\n")
        assert int(head.split()[1]) == status
        assert not server.heard


@in_loop
async def test_a_header_with_a_line_break_never_becomes_two(tmp_path):
    async with upstream(ok) as server, gateway(tmp_path, {"a": server.url}, doors=DOOR) as lab:
        for value in (b"a\rx-injected: 1", b"a\nx-injected: 1", b"a\x00b"):
            async with connection(lab.port) as (reader, writer):
                head = b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\nx-note: %b\r\ncontent-length: 0\r\n\r\n"
                writer.write(head % (PATH.encode(), TOKEN.encode(), value))
                await reader.read(4096)
        assert not any(b"\nx-injected" in heard.head.lower() for heard in server.heard)


@in_loop
async def test_too_large_a_body_is_refused_before_it_is_sent_on(tmp_path):
    settings = GatewaySettings(max_body_bytes=1000)
    async with upstream(ok) as server, gateway(tmp_path, {"a": server.url}, settings=settings, doors=DOOR) as lab:
        async with connection(lab.port) as (reader, writer):
            writer.write(request(PATH, b"", headers={"content-length": "1000000"}))
            assert (await read_response(reader)).status == 413
        assert (await send(lab.port, PATH, b"x" * 1001)).status == 413
        assert not server.heard


@in_loop
async def test_strangers_are_not_let_through(tmp_path):
    async with upstream(ok) as server, gateway(tmp_path, {"a": server.url}, doors=DOOR) as lab:
        assert (await send(lab.port, PATH, b"{}", headers={"authorization": "Bearer nobody"})).status == 401
        assert not server.heard
