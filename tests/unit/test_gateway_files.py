"""Uploads that are too large, too slow or nobody's; and batches whose provider or store fails in the middle."""

import asyncio
import json

import pytest
from tests.support.gateway import (
    MODEL,
    TOKEN,
    chunk,
    connection,
    gateway,
    read_response,
    reply,
    request,
    send,
    upstream,
)
from tests.support.loop import in_loop
from tests.support.shelf import Memory

from farthing.gateway import uploads
from farthing.gateway.batches import Batches
from farthing.gateway.files import Files
from farthing.gateway.shelf import Uncharged
from farthing.gateway.uploads import Uploads

KIND = {"content-type": "multipart/form-data; boundary=XX"}
LINE = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": MODEL}}
ORDER = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}


def form(content: bytes) -> bytes:
    purpose = b'--XX\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    file = b'--XX\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n%b\r\n--XX--\r\n'
    return purpose + file % content


UPLOAD = form(json.dumps(LINE).encode())


async def provides(heard, writer):
    if heard.head.startswith(b"POST /v1/files"):
        writer.write(reply(b'{"id": "file-1", "object": "file", "created_at": 1}'))
    else:
        writer.write(reply(b'{"id": "batch_1", "object": "batch", "status": "validating"}'))


def doors(shelf: Memory, limit: int = 10_000):
    return (Files(shelf, Uploads(limit)), Batches(shelf, Uncharged()))


@in_loop
async def test_an_upload_travels_untouched_and_a_batch_of_it_is_its_owner_s(tmp_path):
    shelf = Memory()
    async with upstream(provides) as server, gateway(tmp_path, {"a": server.url}, doors=doors(shelf)) as lab:
        assert (await send(lab.port, "/v1/files", UPLOAD, headers=KIND)).json()["id"] == "file-1"
        assert server.heard[0].body == UPLOAD
        assert TOKEN.encode() not in server.heard[0].head
        assert (await send(lab.port, "/v1/batches", json.dumps(ORDER).encode())).json()["id"] == "batch_1"
        assert shelf.kinds == ["file", "batch"]
        assert [(fact.operation, fact.cost) for fact in await lab.settled(2)] == [("file", 0), ("batch", 0)]


@in_loop
async def test_too_large_an_upload_is_refused_as_soon_as_that_is_known(tmp_path):
    async with upstream(provides) as server, gateway(tmp_path, {"a": server.url}, doors=doors(Memory(), 500)) as lab:
        async with connection(lab.port) as (reader, writer):
            writer.write(request("/v1/files", b"", headers={**KIND, "content-length": "501"}))
            assert (await read_response(reader)).status == 413
        async with connection(lab.port) as (reader, writer):
            headers = {**KIND, "content-length": "", "transfer-encoding": "chunked"}
            writer.write(request("/v1/files", b"", headers=headers) + chunk(b"x" * 501))
            assert (await read_response(reader)).status == 413
        assert not server.heard


@in_loop
async def test_slow_uploads_do_not_keep_others_waiting_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "UPLOAD_SECONDS", 0.3)
    async with upstream(provides) as server, gateway(tmp_path, {"a": server.url}, doors=doors(Memory())) as lab:
        slow = [await asyncio.open_connection("127.0.0.1", lab.port) for _ in range(uploads.UPLOADS)]
        for _, writer in slow:
            writer.write(request("/v1/files", UPLOAD[:40], headers={**KIND, "content-length": str(len(UPLOAD))}))
        await asyncio.sleep(0.05)
        assert (await send(lab.port, "/v1/files", UPLOAD, headers=KIND)).status == 200
        for reader, writer in slow:
            assert (await read_response(reader)).status == 400
            writer.close()
        assert len(server.heard) == 1


@in_loop
async def test_strangers_upload_nothing(tmp_path):
    async with upstream(provides) as server, gateway(tmp_path, {"a": server.url}, doors=doors(Memory())) as lab:
        stranger = {**KIND, "authorization": "Bearer nobody", "content-length": "400"}
        async with connection(lab.port) as (reader, writer):
            writer.write(request("/v1/files", b"", headers=stranger))
            assert (await read_response(reader)).status == 401
        assert not server.heard


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/v1/files/%2e%2e", "GET", 404),
        ("/v1/files/..%2fbatches", "GET", 404),
        ("/v1/files/file-1/content/x", "GET", 404),
        ("/v1/batches/nobody", "GET", 404),
        ("/v1/files?limit=0", "GET", 400),
        ("/v1/batches?limit=1&filter=all", "GET", 400),
        ("/v1/files", "PUT", 400),
        ("/v1/batches/batch_1", "DELETE", 400),
    ],
)
@in_loop
async def test_other_paths_and_methods_lead_nowhere(tmp_path, target, method, status):
    async with upstream(provides) as server, gateway(tmp_path, {"a": server.url}, doors=doors(Memory())) as lab:
        assert (await send(lab.port, target, method=method)).status == status
        assert not server.heard


async def ordered(lab, shelf: Memory):
    await send(lab.port, "/v1/files", UPLOAD, headers=KIND)
    return await send(lab.port, "/v1/batches", json.dumps(ORDER).encode())


@in_loop
async def test_a_batch_is_not_ordered_while_the_store_cannot_note_it(tmp_path):
    shelf = Memory()
    shelf.fails.add("order")
    async with upstream(provides) as server, gateway(tmp_path, {"a": server.url}, doors=doors(shelf)) as lab:
        assert (await ordered(lab, shelf)).status == 503
        assert len(server.heard) == 1


@in_loop
async def test_an_order_stays_noted_when_the_store_fails_after_the_provider_took_it(tmp_path):
    shelf = Memory()
    shelf.fails.add("batch")
    async with upstream(provides) as server, gateway(tmp_path, {"a": server.url}, doors=doors(shelf)) as lab:
        assert (await ordered(lab, shelf)).json()["id"] == "batch_1"
        assert shelf.kinds == ["file", "order"]


@pytest.mark.parametrize(("status", "kinds"), [("400 Bad Request", ["file"]), ("500 Oops", ["file", "order"])])
@in_loop
async def test_an_order_is_forgotten_only_when_it_was_certainly_declined(tmp_path, status, kinds):
    shelf = Memory()

    async def declines(heard, writer):
        if heard.head.startswith(b"POST /v1/batches"):
            writer.write(reply(b'{"error": {"message": "no", "type": "x"}}', status=status))
        else:
            await provides(heard, writer)

    async with upstream(declines) as server, gateway(tmp_path, {"a": server.url}, doors=doors(shelf)) as lab:
        assert (await ordered(lab, shelf)).status in (400, 500, 502)
        assert shelf.kinds == kinds
        assert len(server.heard) == 2


@in_loop
async def test_a_provider_that_breaks_off_is_not_asked_for_a_second_batch(tmp_path):
    shelf = Memory()

    async def breaks(heard, writer):
        if heard.head.startswith(b"POST /v1/batches"):
            writer.close()
        else:
            await provides(heard, writer)

    async with upstream(breaks) as server, gateway(tmp_path, {"a": server.url}, doors=doors(shelf)) as lab:
        await ordered(lab, shelf)
        assert shelf.kinds == ["file", "order"]
        assert sum(heard.head.startswith(b"POST /v1/batches") for heard in server.heard) == 1
