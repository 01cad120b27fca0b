"""The exact cache through the whole product: real processes, official SDKs, simulated providers."""

import base64
import json
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest
from tests.support.product import Product, post, simulated_settings, simulator

CACHED = """
[cache.namespaces.default]
exact = "on"
embeddings = "on"

[cache.namespaces.counted]
where = { team = "counted" }
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    home = tmp_path_factory.mktemp("cache")
    with simulator() as address, Product(home, simulated_settings(address, more=CACHED), workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def key(product):
    return product.key("--team", "search")


def ask(client: openai.OpenAI, text: str, **more):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.with_raw_response.create(
        **{"model": "gpt-4o-mini", "messages": messages, "max_tokens": 200, "temperature": 0, **more}
    )


def test_the_same_request_is_answered_from_the_cache_whichever_worker_gets_it(product):
    token = product.key("--team", "rivers")
    with openai.OpenAI(base_url=f"{product.url}/v1", api_key=token) as client:
        first = ask(client, "Which rivers flow through Cologne?")
        again = [ask(client, "Which rivers flow through Cologne?") for _ in range(8)]
    assert "x-farthing-cache" not in first.headers
    assert {answer.headers["x-farthing-cache"] for answer in again} == {"exact"}
    assert {answer.parse().choices[0].message.content for answer in again} == {first.parse().choices[0].message.content}
    rows = product.requests(at_least=9, team="rivers")
    hits = [row for row in rows if row.status == "cache_hit"]
    paid = next(row for row in rows if row.status == "ok")
    assert len(hits) == 8
    assert {row.cost for row in hits} == {0}
    assert {row.baseline_cost for row in hits} == {paid.cost}


def test_a_stream_is_replayed_as_a_stream(product, key):
    with openai.OpenAI(base_url=f"{product.url}/v1", api_key=key) as client:

        def told() -> tuple[str | None, str, int]:
            with client.chat.completions.with_streaming_response.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Sing of the Rhine"}], stream=True
            ) as answer:
                chunks = list(answer.parse())
                text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
                return answer.headers.get("x-farthing-cache"), text, len(chunks)

        first, second = told(), told()
    assert first[0] is None
    assert second == ("exact", first[1], first[2])
    assert first[2] > 2


def test_anthropic_hits_too_and_not_across_another_system_prompt(product, key):
    with anthropic.Anthropic(base_url=product.url, api_key=key) as client:

        def kind(system: str) -> str | None:
            answer = client.messages.with_raw_response.create(
                model="claude-haiku-4-5",
                max_tokens=1000,
                system=system,
                messages=[{"role": "user", "content": "Who are you?"}],
            )
            return answer.headers.get("x-farthing-cache")

        assert [kind("Be brief"), kind("Be brief"), kind("Be long")] == [None, "exact", None]


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 1.2},
        {"model": "gpt-4o"},
        {"max_tokens": 60},
        {"tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]},
        {"response_format": {"type": "json_object"}},
        {"seed": 7},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "Name a bridge"}]},
    ],
)
def test_whatever_changes_the_answer_changes_the_key(product, key, more):
    with openai.OpenAI(base_url=f"{product.url}/v1", api_key=key) as client:
        ask(client, "Name a bridge")
        assert ask(client, "Name a bridge").headers.get("x-farthing-cache") == "exact"
        assert "x-farthing-cache" not in ask(client, "Name a bridge", **more).headers


def test_another_customer_or_team_never_gets_it(product, key):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Between us"}]}
    other = product.key("--team", "rivals")

    def kind(token: str, **headers: str) -> str | None:
        status, found, _ = post(
            f"{product.url}/v1/chat/completions", body, {"authorization": f"Bearer {token}", **headers}
        )
        assert status == 200
        return found.get("x-farthing-cache")

    assert kind(key) is None
    assert kind(key) == "exact"
    assert kind(other) is None
    assert kind(key, **{"x-farthing-customer": "acme"}) is None
    assert kind(key, **{"x-farthing-customer": "acme"}) == "exact"
    assert kind(key, **{"x-farthing-customer": "bolt"}) is None


def test_a_client_may_refuse_the_cache_or_renew_its_answer(product, key):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Renew me"}]}

    def kind(word: str) -> str | None:
        headers = {"authorization": f"Bearer {key}", "x-farthing-cache": word}
        return post(f"{product.url}/v1/chat/completions", body, headers)[1].get("x-farthing-cache")

    assert [kind("off"), kind("off"), kind("refresh"), kind("on"), kind("off")] == [None, None, None, "exact", None]
    headers = {"authorization": f"Bearer {key}", "x-farthing-cache": "sometimes"}
    status, _, refusal = post(f"{product.url}/v1/chat/completions", body, headers)
    assert (status, b"x-farthing-cache" in refusal) == (400, True)


def test_identical_requests_at_the_same_time_run_once(product, key):
    start = threading.Barrier(16)

    def one(_: int) -> str | None:
        with openai.OpenAI(base_url=f"{product.url}/v1", api_key=key) as client:
            start.wait(30)
            return ask(client, "All at once, please").headers.get("x-farthing-cache")

    with ThreadPoolExecutor(16) as pool:
        kinds = list(pool.map(one, range(16)))
    assert sorted(map(str, kinds)) == ["None", *["exact"] * 15]


def test_what_a_cache_would_save_is_measured_where_it_is_not_switched_on(product):
    token = product.key("--team", "counted")
    with openai.OpenAI(base_url=f"{product.url}/v1", api_key=token) as client:
        answers = [ask(client, "How long is the Rhine?") for _ in range(6)]
    assert not any("x-farthing-cache" in answer.headers for answer in answers)
    product.requests(at_least=6, team="counted", status="ok")
    would = [f for f in facts_of(product, "counted") if f.tags.get("farthing.cache") == "would_exact"]
    assert 4 <= len(would) <= 5
    assert {fact.tags["farthing.cache.namespace"] for fact in would} == {"counted"}


def facts_of(product: Product, team: str):
    ledger = product.ledger()
    rows = product.requests(at_least=1, team=team)
    return [fact for row in rows for fact in ledger.request(row.request_id)]


def vectors(product: Product, token: str, texts: list[str] | str, **more) -> tuple[dict[str, str], list]:
    body = {"model": "text-embedding-3-small", "input": texts, **more}
    status, headers, answer = post(f"{product.url}/v1/embeddings", body, {"authorization": f"Bearer {token}"})
    assert status == 200, answer
    told = json.loads(answer)
    assert [item["index"] for item in told["data"]] == list(range(len(told["data"])))
    time.sleep(0.2)  # vectors are kept beside the answer, which does not wait for that
    return {k.lower(): v for k, v in headers.items()}, [told["usage"]["prompt_tokens"], *told["data"]]


def test_texts_whose_vectors_are_known_are_not_asked_for_again(product):
    token = product.key("--team", "library")
    _, (paid, first, second) = vectors(product, token, ["a river", "a bridge"])
    headers, (nothing, *again) = vectors(product, token, ["a bridge", "a river", "a bridge"])
    assert headers["x-farthing-cache"] == "embeddings"
    assert nothing == 0 < paid
    kept = [again[0]["embedding"], again[1]["embedding"]]
    assert kept[0] == again[2]["embedding"] == pytest.approx(second["embedding"], rel=1e-6)
    assert kept[1] == pytest.approx(first["embedding"], rel=1e-6)
    _, (less, *mixed) = vectors(product, token, ["a river", "a very much longer text about ferries", "a river"])
    assert mixed[0]["embedding"] == mixed[2]["embedding"] == kept[1]
    assert mixed[1]["embedding"] not in kept
    rows = product.requests(at_least=3, team="library")
    assert [row.status for row in rows] == ["ok", "cache_hit", "ok"]
    assert rows[0].baseline_cost > rows[0].cost > 0
    assert rows[1].baseline_cost > rows[1].cost == 0
    assert less > 0


def test_vectors_come_in_the_form_that_was_asked_for(product, key):
    _, (_, floats) = vectors(product, key, "one form")
    headers, (_, packed) = vectors(product, key, "one form", encoding_format="base64")
    assert headers["x-farthing-cache"] == "embeddings"
    raw = base64.b64decode(packed["embedding"])
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(floats["embedding"], rel=1e-6)
    headers, _ = vectors(product, key, "one form", dimensions=256)
    assert "x-farthing-cache" not in headers


def test_four_of_five_texts_repeated_cost_a_quarter_at_most(product):
    token = product.key("--team", "indexers")
    texts = [f"passage number {i} of the handbook" for i in range(100)]
    for at in range(0, 500, 50):
        vectors(product, token, [texts[(at + i) % 100] for i in range(50)])
    rows = product.requests(at_least=10, team="indexers")
    assert sum(row.cost for row in rows) <= sum(row.baseline_cost for row in rows) / 4
    assert sum(row.input_tokens for row in rows) > 0
