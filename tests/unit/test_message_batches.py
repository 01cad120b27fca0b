"""Anthropic's batches at the gateway: what is read of an order, where it goes, who sees it, and what stays when things
fail.
"""

import json
from datetime import UTC, datetime

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
from tests.support.spender import OFFER

from farthing.core.batches import Holding, digest
from farthing.core.errors import InputError, UnavailableError
from farthing.core.facts import Operation
from farthing.gateway.batchmessages import MOST_REQUESTS, read_messages
from farthing.gateway.limits.bound import UNKNOWN_CONTEXT, Bounds
from farthing.gateway.messagebatches import MessageBatches
from farthing.gateway.ports import Call, Part, Provider, Target
from farthing.gateway.settings import ProviderSettings
from farthing.gateway.uploads import Uploads

ROOT = "/v1/messages/batches"
SEEN = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress", "results_url": None}
ENDED = {**SEEN, "processing_status": "ended", "results_url": "https://api.anthropic.com/v1/messages/batches/x/results"}


def ask(custom_id: str = "a", **params: object) -> dict:
    said = {"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}], **params}
    return {"custom_id": custom_id, "params": said}


def order(*asks: dict) -> bytes:
    return json.dumps({"requests": asks or (ask(),)}).encode()


def test_an_order_is_summed_up_by_model():
    small, picture = ask("a", max_tokens=7), {"type": "image", "source": {"type": "url", "url": "https://x.example/y"}}
    large = ask("b", model="large", messages=[{"role": "user", "content": [picture]}])
    del large["params"]["max_tokens"]
    batch = read_messages(order(small, large, ask("c", max_tokens=5, stream=False)))
    tiny, big = batch.lots
    assert (tiny.requests, tiny.output_limit, tiny.uncapped, tiny.referring) == (2, 12, 0, 0)
    assert (big.requests, big.output_limit, big.uncapped, big.referring) == (1, 0, 1, 1)
    assert big.input_tokens == len(json.dumps(large["params"]))
    assert batch.places == (0, 1)
    assert batch.digest == digest(["c", "a", "b"])


def test_text_about_an_address_refers_to_nothing():
    [lot] = read_messages(order(ask(messages=[{"role": "user", "content": '{"type": "url", "file_id": 1}'}]))).lots
    assert lot.referring == 0


@pytest.mark.parametrize(
    ("body", "field", "remedy"),
    [
        (b"", "body", ""),
        (b"[]", "body", ""),
        (b'{"requests": []}', "requests", ""),
        (order({"custom_id": "a"}), "requests[0]", ""),
        (order(ask(), ask("")), "requests[1].custom_id", ""),
        (order(ask(), ask("b", model="")), "requests.1.params.model", ""),
        (order(ask(), ask("b", max_tokens=-1)), "requests.1.params.max_tokens", ""),
        (order(ask(), ask("b", stream=True)), "requests.1.params.stream", "Leave it out"),
        (order(ask(), ask("b"), ask()), "requests.2.custom_id", "an id of its own"),
        (order(*[ask()] * (MOST_REQUESTS + 1)), "requests", "Order batches of 100,000 requests"),
    ],
)
def test_what_is_no_order_is_refused_by_name(body, field, remedy):
    with pytest.raises(InputError) as refused:
        read_messages(body)
    assert refused.value.field == field
    assert remedy in refused.value.remedy


def test_a_batch_whose_provider_uses_tools_of_its_own_has_no_worst_case():
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}
    [lot] = read_messages(order(ask(tools=[search]), ask("b", tools=[{"name": "mine", "input_schema": {}}]))).lots
    assert (lot.requests, lot.unbounded) == (2, 1)
    provider = Provider(name="c", vendor="anthropic", dialect="anthropic", base_url="")
    part = Part(model="m", requests=2, input_tokens=9, output_limit=9, uncapped=0, unbounded=1, offers=(OFFER,))
    call = Call(
        request_id="r", at=datetime(2026, 11, 1, tzinfo=UTC), operation=Operation.BATCH, dialect="anthropic", path="",
        model="m", body=b"", parts=(part,),
    )  # fmt: skip
    worst = Bounds().worst(call, Target(provider=provider, model="m", offer_id="m"))
    assert worst.cost is None
    assert "own tools" in worst.unpriced


def test_what_a_batch_refers_to_is_bounded_by_what_the_model_can_read():
    provider = Provider(name="c", vendor="anthropic", dialect="anthropic", base_url="")
    part = Part(model="m", requests=3, input_tokens=100, output_limit=30, uncapped=0, referring=2)
    call = Call(
        request_id="r", at=datetime(2026, 11, 1, tzinfo=UTC), operation=Operation.BATCH, dialect="anthropic", path="",
        model="m", body=b"", parts=(part,),
    )  # fmt: skip
    worst = Bounds().worst(call, Target(provider=provider, model="m", offer_id="m"))
    assert (worst.input, worst.output) == (100 + 2 * UNKNOWN_CONTEXT, 30)


async def provides(heard, writer):
    line = heard.head.partition(b"\r\n")[0]
    if b"/results" in line:
        body = b'{"custom_id": "a", "result": {"type": "expired"}}\n' * 3
        writer.write(reply(body, headers="content-type: application/x-jsonl\r\n"))
    elif line.startswith(b"DELETE"):
        writer.write(reply(b'{"id": "msgbatch_1", "type": "message_batch_deleted"}'))
    else:
        writer.write(reply(json.dumps(SEEN if line.startswith(b"POST /v1/messages/batches ") else ENDED).encode()))


class Desk:
    """The gateway before one upstream that Anthropic's and OpenAI's accounts lead to."""

    def __init__(self, folder, script=provides, *, limit: int = 10_000) -> None:
        self.shelf = Memory()
        self.charged = 0
        self._folder, self._script, self._limit = folder, script, limit

    async def __aenter__(self):
        self._upstream = upstream(self._script)
        self.server = await self._upstream.__aenter__()
        claude = ProviderSettings(vendor="anthropic", base_url=self.server.url, prices="openai")
        doors = (MessageBatches(self.shelf, self, Uploads(self._limit)),)
        accounts = {"claude": claude, "plain": ProviderSettings(vendor="openai-compatible", base_url="http://127.0.0.1:1", models=("own",))}  # fmt: skip
        self._gateway = gateway(self._folder, {"a": self.server.url}, doors=doors, providers=accounts)
        self.lab = await self._gateway.__aenter__()
        return self

    async def __aexit__(self, *problem):
        await self._gateway.__aexit__(*problem)
        await self._upstream.__aexit__(*problem)

    def charge(self, grant):
        """Stands for the limits' ``Charging``."""
        self.charged += 1
        return ({"charge": self.charged},)

    async def asks(self, method: str, path: str = ROOT, body: bytes = b"", **headers: str):
        return await send(self.lab.port, path, body, method=method, headers=headers)


@pytest.mark.parametrize("root", [ROOT, "/anthropic" + ROOT])
@in_loop
async def test_an_order_travels_untouched_and_its_results_come_through_the_gateway(tmp_path, root):
    async with Desk(tmp_path) as desk:
        picture = {"type": "image", "source": {"type": "url", "url": "https://x.example/y"}}
        body = order(ask("a"), ask("b", messages=[{"role": "user", "content": [picture]}]))
        headers = {"anthropic-beta": "output-300k-2026-03-24", "anthropic-workspace-id": "wrkspc_1"}
        assert (await desk.asks("POST", root, body, **headers)).json() == SEEN
        [heard] = desk.server.heard
        assert heard.body == body
        assert TOKEN.encode() not in heard.head
        assert b"anthropic-version: 2023-06-01" in heard.head
        assert b"anthropic-beta: output-300k-2026-03-24" in heard.head
        assert b"workspace" not in heard.head
        [batch] = desk.shelf.kept.values()
        assert (batch.kind, batch.provider, batch.input) == ("message_batch", "claude", digest(["a", "b"]))
        [lot] = batch.lots
        assert (lot.model, lot.requests, lot.referring, lot.output_limit) == (MODEL, 2, 1, 20)
        assert batch.charges == ({"charge": 1},)
        now = (await desk.asks("GET", f"{root}/msgbatch_1")).json()
        assert now == {**ENDED, "results_url": f"{ROOT}/msgbatch_1/results"}
        results = await desk.asks("GET", f"{root}/msgbatch_1/results")
        assert (results.headers["content-type"], results.body.count(b"expired")) == ("application/x-jsonl", 3)
        assert [(fact.operation, fact.dialect, fact.cost) for fact in await desk.lab.settled(1)] == [
            ("batch", "anthropic", 0)
        ]


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        (f"{ROOT}/..%2ffiles", "GET", 404),
        (f"{ROOT}/msgbatch_1/results/x", "GET", 404),
        (f"{ROOT}/nobody", "GET", 404),
        (f"{ROOT}/nobody/results", "GET", 404),
        (f"{ROOT}/nobody/cancel", "POST", 404),
        (f"{ROOT}/nobody", "DELETE", 404),
        (f"{ROOT}?limit=0", "GET", 400),
        (f"{ROOT}?limit=1001", "GET", 400),
        (f"{ROOT}?after=x", "GET", 400),
        (f"{ROOT}?before_id=x&after_id=y", "GET", 400),
        (ROOT, "PUT", 400),
        (f"{ROOT}/nobody/cancel", "GET", 400),
        (f"{ROOT}/nobody/results", "DELETE", 400),
    ],
)
@in_loop
async def test_other_paths_and_methods_lead_nowhere(tmp_path, target, method, status):
    async with Desk(tmp_path) as desk:
        refused = await desk.asks(method, target, **{"anthropic-version": "2023-06-01"})
        assert (refused.status, refused.json()["type"]) == (status, "error")
        assert not desk.server.heard


@pytest.mark.parametrize(
    ("asks", "headers", "told"),
    [
        ((ask(), ask("b", model="own")), {}, ("requests.1.params.model", "plain serves it")),
        ((ask(model="claude/tiny"),), {}, ("requests.0.params.model", "Write tiny")),
        ((ask(),), {"x-farthing-provider": "a"}, ("x-farthing-provider", "Name one of claude")),
        ((ask(),), {"x-farthing-typo": "a"}, ("x-farthing-typo", "unknown header")),
    ],
)
@in_loop
async def test_an_order_goes_to_one_provider_or_nowhere(tmp_path, asks, headers, told):
    async with Desk(tmp_path) as desk:
        refused = await desk.asks("POST", ROOT, order(*asks), **headers)
        assert refused.status in (400, 404)
        assert all(words in refused.json()["error"]["message"] for words in told)
        assert not desk.server.heard
        assert not desk.shelf.kept


@in_loop
async def test_an_order_of_any_length_is_read_and_too_large_a_one_refused_as_soon_as_that_is_known(tmp_path):
    async with Desk(tmp_path, limit=500) as desk:
        async with connection(desk.lab.port) as (reader, writer):
            writer.write(request(ROOT, b"", headers={"content-length": str(2**30)}))
            assert (await read_response(reader)).status == 413
        pieces = {"content-length": "", "transfer-encoding": "chunked"}
        async with connection(desk.lab.port) as (reader, writer):
            writer.write(request(ROOT, b"", headers=pieces) + chunk(b"x" * 501))
            assert (await read_response(reader)).status == 413
        stranger = {"authorization": "Bearer nobody", "content-length": "400"}
        async with connection(desk.lab.port) as (reader, writer):
            writer.write(request(ROOT, b"", headers=stranger))
            assert (await read_response(reader)).status == 401
        assert not desk.server.heard
        async with connection(desk.lab.port) as (reader, writer):
            writer.write(request(ROOT, b"", headers=pieces) + chunk(order()) + b"0\r\n\r\n")
            assert (await read_response(reader)).json() == SEEN


def kept(desk: Desk, id: str, owner: str, **more: object) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    fields = {"kind": "message_batch", "provider": "claude", "endpoint": "/v1/messages", "created": at, **more}
    desk.shelf.kept[id] = Holding(id=id, owner=owner, seen={**ENDED, "id": id}, **fields)


@in_loop
async def test_a_list_has_pages_both_ways_and_only_one_s_own(tmp_path):
    async with Desk(tmp_path) as desk:
        await desk.asks("POST", ROOT, order())
        [mine] = desk.shelf.kept.values()
        for number in range(2, 6):
            kept(desk, f"msgbatch_{number}", mine.owner)
        kept(desk, "msgbatch_6", "another")
        pages = {}
        for query in ("?limit=2", "?limit=2&after_id=msgbatch_4", "?limit=2&before_id=msgbatch_2", "?beta=true"):
            page = (await desk.asks("GET", ROOT + query)).json()
            pages[query] = ([int(row["id"][-1]) for row in page["data"]], page["has_more"])
            assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        assert pages == {
            "?limit=2": ([5, 4], True),
            "?limit=2&after_id=msgbatch_4": ([3, 2], True),
            "?limit=2&before_id=msgbatch_2": ([4, 3], True),
            "?beta=true": ([5, 4, 3, 2, 1], False),
        }
        assert (await desk.asks("GET", f"{ROOT}?after_id=msgbatch_1")).json()["first_id"] is None
        assert (await desk.asks("GET", f"{ROOT}/msgbatch_6")).status == 404


@in_loop
async def test_a_batch_is_deleted_when_it_is_settled(tmp_path):
    async with Desk(tmp_path) as desk:
        await desk.asks("POST", ROOT, order())
        refused = await desk.asks("DELETE", f"{ROOT}/msgbatch_1")
        assert (refused.status, len(desk.server.heard)) == (409, 1)
        kept(desk, "msgbatch_1", desk.shelf.kept["msgbatch_1"].owner, settled=datetime(2026, 11, 2, tzinfo=UTC))
        assert (await desk.asks("DELETE", f"{ROOT}/msgbatch_1")).json()["type"] == "message_batch_deleted"
        assert desk.shelf.kinds == []


@pytest.mark.parametrize(("fails", "status", "asked"), [("order", 529, 0), ("message_batch", 200, 1)])
@in_loop
async def test_a_store_that_fails_orders_nothing_or_leaves_the_order_noted(tmp_path, fails, status, asked):
    async with Desk(tmp_path) as desk:
        desk.shelf.fails.add(fails)
        assert (await desk.asks("POST", ROOT, order())).status == status
        assert len(desk.server.heard) == asked
        assert desk.shelf.kinds == ["order"] * asked


@pytest.mark.parametrize(("said", "kinds"), [("400 Bad Request", []), ("500 Oops", ["order"]), ("", ["order"])])
@in_loop
async def test_an_order_is_forgotten_only_when_it_was_certainly_declined(tmp_path, said, kinds):
    async def declines(heard, writer):
        if said:
            writer.write(reply(b'{"type": "error", "error": {"type": "x", "message": "no"}}', status=said))
        else:
            writer.close()

    async with Desk(tmp_path, declines) as desk:
        assert (await desk.asks("POST", ROOT, order())).status >= 400
        assert desk.shelf.kinds == kinds
        assert (len(desk.server.heard), desk.charged) == (1, len(kinds))


@in_loop
async def test_an_order_that_never_left_is_forgotten(tmp_path, monkeypatch):
    async with Desk(tmp_path) as desk:

        def full(fact):
            raise UnavailableError("no room in the journal")

        monkeypatch.setattr(desk.lab.journal, "intend", full)
        assert (await desk.asks("POST", ROOT, order())).status == 529
        assert desk.shelf.kinds == []
        assert not desk.server.heard
        assert not desk.charged
