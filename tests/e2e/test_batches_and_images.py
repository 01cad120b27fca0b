"""Pictures, files and batches with OpenAI's own SDK, through a whole running installation."""

import io
import json
import time
from decimal import Decimal

import openai
import pytest
from tests.support.product import Product, simulated_settings

PIXEL = b"\x89PNG\r\n\x1a\n" + b"0" * 60


@pytest.fixture(scope="module")
def running(providers, tmp_path_factory):
    product = Product(tmp_path_factory.mktemp("batches"), simulated_settings(providers), workers=2)
    product.env["FARTHING_GATEWAY_PASSTHROUGH"] = "openai,anthropic"
    with product:
        yield product


@pytest.fixture(scope="module")
def acme(running):
    return client(running, running.key("--org", "acme"))


@pytest.fixture(scope="module")
def globex(running):
    return client(running, running.key("--org", "globex"))


def client(product, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{product.url}/v1", api_key=key, max_retries=0)


def requests_of(*bodies: dict, url: str = "/v1/chat/completions") -> bytes:
    lines = [
        {"custom_id": f"line-{number}", "method": "POST", "url": url, "body": body}
        for number, body in enumerate(bodies)
    ]
    return "\n".join(map(json.dumps, lines)).encode()


def chat(model: str, text: str, **more: object) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def upload(sdk: openai.OpenAI, content: bytes) -> str:
    return sdk.files.create(file=("asks.jsonl", content), purpose="batch").id


def finished(sdk: openai.OpenAI, batch_id: str) -> object:
    for _ in range(20):
        batch = sdk.batches.retrieve(batch_id)
        if batch.status in ("completed", "cancelled", "failed", "expired"):
            return batch
        time.sleep(0.1)
    raise AssertionError(batch)


def of_batch(product: Product, batch_id: str, *, at_least: int) -> list:
    """The ledger's facts of a batch's requests."""
    rows = product.requests(at_least=1, provider="openai")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        rows = [r for r in product.requests(at_least=1, provider="openai") if r.request_id.startswith(batch_id)]
        if len(rows) >= at_least:
            return rows
        time.sleep(0.3)
    raise AssertionError(f"{len(rows)} of {at_least}: {product.log.read_text()[-3000:]}")


def test_pictures_are_priced_by_the_tokens_that_the_provider_counts(running, acme):
    answer = acme.images.with_raw_response.generate(model="gpt-image-1", prompt="a farthing", quality="low")
    picture = answer.parse()
    assert picture.data[0].b64_json
    assert picture.usage.output_tokens == 272
    reads = Decimal(picture.usage.input_tokens) * 5 / 1_000_000
    assert Decimal(answer.headers["x-farthing-cost"]) == reads + Decimal(272) * 40 / 1_000_000


def test_a_picture_is_edited_by_a_form_that_arrives_untouched(running, acme):
    answer = acme.images.with_raw_response.edit(
        model="gpt-image-1", image=("coin.png", io.BytesIO(PIXEL), "image/png"), prompt="polish it", n=2
    )
    picture = answer.parse()
    assert len(picture.data) == 2
    assert picture.usage.input_tokens_details.image_tokens == 323
    assert Decimal(answer.headers["x-farthing-cost"]) > 0


def test_streamed_pictures_are_counted_at_their_last_event(running, acme):
    kinds = [
        event.type
        for event in acme.images.generate(model="gpt-image-1", prompt="a coin", stream=True, partial_images=1)
    ]
    assert kinds == ["image_generation.partial_image", "image_generation.completed"]
    for _ in range(50):
        rows = running.requests(at_least=1, operation="image_generation", offer="openai/gpt-image-1")
        if any(row.cost and row.cost > Decimal("0.04") for row in rows):
            return
        time.sleep(0.2)
    raise AssertionError(rows)


def test_pictures_without_a_known_price_say_so(running, acme):
    answer = acme.images.with_raw_response.generate(model="openai/dall-e-3", prompt="a farthing")
    assert answer.headers["x-farthing-cost"] == "unpriced"
    assert "dall-e-3" in answer.headers["x-farthing-unpriced"]


def test_a_batch_is_settled_at_half_price_line_by_line(running, acme):
    file_id = upload(acme, requests_of(chat("gpt-4o-mini", "one"), chat("gpt-4.1-mini", "two", max_tokens=5)))
    batch = acme.batches.create(
        input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"job": "night"}
    )
    assert batch.id in [b.id for b in acme.batches.list().data]
    done = finished(acme, batch.id)
    content = acme.files.content(done.output_file_id).text.splitlines()
    said = {json.loads(line)["custom_id"]: json.loads(line)["response"]["body"]["usage"] for line in content}
    rows = of_batch(running, batch.id, at_least=2)
    by_offer = {row.offer: row for row in rows}
    assert set(by_offer) == {"openai/gpt-4o-mini:batch", "openai/gpt-4.1-mini:batch"}
    mini = said["line-0"]
    expected = Decimal(mini["prompt_tokens"]) * 75 / 10**9 + Decimal(mini["completion_tokens"]) * 3 / 10**7
    assert by_offer["openai/gpt-4o-mini:batch"].cost == expected
    assert {row.scope.org for row in rows} == {"acme"}
    finished(acme, batch.id)
    time.sleep(6)
    assert len(of_batch(running, batch.id, at_least=2)) == 2


def test_requests_of_a_batch_that_fail_cost_nothing(running, acme):
    file_id = upload(acme, requests_of(chat("gpt-4o-mini", "fine"), chat("gpt-4o-mini-nobody-has", "not fine")))
    batch = acme.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")
    done = finished(acme, batch.id)
    assert done.request_counts.failed == 1
    assert json.loads(acme.files.content(done.error_file_id).text)["response"]["status_code"] == 404
    rows = of_batch(running, batch.id, at_least=2)
    assert sorted(row.status for row in rows) == ["error", "ok"]
    assert next(row.cost for row in rows if row.status == "error") == 0


def test_a_batch_can_be_cancelled(running, acme):
    file_id = upload(acme, requests_of(chat("gpt-4o-mini", "never mind")))
    batch = acme.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")
    assert acme.batches.cancel(batch.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="endpoint"):
        acme.batches.create(input_file_id=file_id, endpoint="/v1/embeddings", completion_window="24h")


def test_files_are_listed_described_and_deleted(running, globex):
    first, second = (upload(globex, requests_of(chat("gpt-4o-mini", text))) for text in ("a", "b"))
    assert [file.id for file in globex.files.list(limit=1)] == [second, first]
    assert [file.id for file in globex.files.list(purpose="vision").data] == []
    assert globex.files.retrieve(first).purpose == "batch"
    assert globex.files.content(first).read() == requests_of(chat("gpt-4o-mini", "a"))
    assert globex.files.delete(first).deleted
    with pytest.raises(openai.NotFoundError):
        globex.files.retrieve(first)


def test_nobody_sees_or_uses_what_belongs_to_another_tenant(running, acme, globex):
    file_id = upload(acme, requests_of(chat("gpt-4o-mini", "secret")))
    batch = acme.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")
    forged = {"x-farthing-org": "acme"}
    for attack in (
        lambda: globex.files.retrieve(file_id, extra_headers=forged),
        lambda: globex.files.content(file_id, extra_headers=forged),
        lambda: globex.files.delete(file_id, extra_headers=forged),
        lambda: globex.batches.retrieve(batch.id, extra_headers=forged),
        lambda: globex.batches.cancel(batch.id, extra_headers=forged),
        lambda: globex.batches.create(
            input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h", extra_headers=forged
        ),
    ):
        with pytest.raises(openai.NotFoundError):
            attack()
    assert file_id not in [file.id for file in globex.files.list(extra_headers=forged)]
    assert batch.id not in [b.id for b in globex.batches.list(extra_headers=forged)]
    colleague = client(running, running.key("--org", "acme"))
    assert colleague.batches.retrieve(batch.id).id == batch.id


def test_what_is_no_batch_is_refused_with_its_line(running, acme):
    broken = requests_of(chat("gpt-4o-mini", "one")) + b'\n{"custom_id": "x", "method": "POST"}'
    with pytest.raises(openai.BadRequestError, match="line 2"):
        upload(acme, broken)
    with pytest.raises(openai.BadRequestError, match="one of"):
        upload(acme, requests_of({"model": "gpt-4o-mini"}, url="/v1/organization/admin_api_keys"))


def test_passed_through_requests_keep_the_sdk_and_are_priced(running):
    key = running.key("--org", "acme")
    sdk = openai.OpenAI(base_url=f"{running.url}/passthrough/openai", api_key=key, max_retries=0)
    answer = sdk.chat.completions.with_raw_response.create(**chat("gpt-4o-mini", "hello"))
    assert answer.parse().choices
    assert Decimal(answer.headers["x-farthing-cost"]) > 0
    assert [model.id for model in sdk.models.list()]
    for _ in sdk.chat.completions.create(**chat("gpt-4o-mini", "hello"), stream=True):
        pass
    limited = openai.OpenAI(
        base_url=f"{running.url}/passthrough/openai", api_key=running.key("--model", "gpt-4o-mini"), max_retries=0
    )
    with pytest.raises(openai.PermissionDeniedError):
        limited.models.list()
    with pytest.raises(openai.BadRequestError, match="files"):
        sdk.files.list()
    elsewhere = openai.OpenAI(base_url=f"{running.url}/passthrough/groq", api_key=key, max_retries=0)
    with pytest.raises(openai.NotFoundError):
        elsewhere.models.list()


def test_a_hard_budget_holds_batches_pictures_and_pass_through(running):
    running.cli("budget", "set", "frugal", "--amount", "0.05", "--per", "day", "--org", "frugal")
    sdk = client(running, running.key("--org", "frugal"))
    raw = openai.OpenAI(base_url=f"{running.url}/passthrough/openai", api_key=sdk.api_key, max_retries=0)
    capped = [chat("gpt-4o-mini", f"{n}", max_tokens=1000) for n in range(100)]
    small, large = upload(sdk, requests_of(*capped)), upload(sdk, requests_of(*capped * 3))

    def order(file_id: str):
        return sdk.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")

    with pytest.raises(openai.RateLimitError, match="frugal"):
        order(large)
    first = order(small)
    with pytest.raises(openai.RateLimitError, match="frugal"):
        order(small)
    with pytest.raises(openai.RateLimitError, match="frugal"):
        sdk.images.generate(model="gpt-image-1", prompt="a coin")
    with pytest.raises(openai.RateLimitError, match="frugal"):
        raw.moderations.create(input="fine?")
    finished(sdk, first.id)
    of_batch(running, first.id, at_least=100)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            order(small)
            break
        except openai.RateLimitError:
            time.sleep(0.5)
    else:
        raise AssertionError("what the batch did not use was not given back")


def test_an_account_added_at_run_time_cannot_lead_into_the_private_network(running, providers):
    refused = running.cli("provider", "add", "inside", "--vendor", "openai", "--base-url", providers, check=False)
    assert refused.returncode == 2
    assert "private" in refused.stderr
    assert "inside" not in running.cli("provider", "list").stdout
