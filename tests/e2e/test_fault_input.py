"""What people get wrong, told to them: names, keys, prices, sizes, settings."""

import json
from decimal import Decimal

import pytest
from tests.support.faulty import COST, Faulty
from tests.support.product import Product, post

LIMIT = 20_000
UNPRICED = """
[models.house-blend]
targets = [{ provider = "openai", model = "our-own-tune-7" }]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A product and a working key."""
    with Faulty() as upstream:
        product = Product(tmp_path_factory.mktemp("input"), upstream.settings() + UNPRICED)
        product.env["FARTHING_GATEWAY_MAX_BODY_BYTES"] = str(LIMIT)
        with product:
            yield product, product.key(), upstream


def asked(served, path: str, key: str = "", **body: object) -> tuple[int, dict[str, str], dict]:
    product, good, _ = served
    shape = {"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], **body}
    status, headers, data = post(f"{product.url}{path}", shape, {"authorization": f"Bearer {key or good}"})
    return status, {name.lower(): value for name, value in headers.items()}, json.loads(data)


OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"


def test_an_unknown_model_names_the_nearest(served):
    status, _, told = asked(served, OPENAI, model="gpt-4o-minny")
    assert (status, told["error"]["code"], told["error"]["param"]) == (404, "model_not_found", "model")
    assert "gpt-4o-minny" in told["error"]["message"]
    assert "gpt-4o-mini" in told["error"]["message"].replace("gpt-4o-minny", "")
    status, _, told = asked(served, ANTHROPIC, model="claude-hiku-4-5")
    assert (status, told["type"], told["error"]["type"]) == (404, "error", "not_found_error")
    assert "claude-haiku-4-5" in told["error"]["message"]


def test_a_model_without_a_price_is_served_and_shown_as_unpriced(served):
    product, _, _ = served
    status, headers, told = asked(served, OPENAI, model="house-blend")
    assert (status, told["choices"][0]["message"]["content"]) == (200, "Hello!")
    assert headers["x-farthing-cost"] == "unpriced"
    assert "our-own-tune-7" in headers["x-farthing-unpriced"]
    (row,) = product.requests(at_least=1, requested_model="house-blend")
    (fact,) = product.ledger().request(headers["x-farthing-request-id"])
    assert row.cost is None
    assert fact.cost is None
    assert fact.unpriced == headers["x-farthing-unpriced"]
    total = product.spend("--where", "requested_model=house-blend")["total"]
    assert total["unpriced_requests"] == 1
    assert Decimal(total["cost"] or 0) == 0


def test_a_priced_request_beside_it_costs_what_it_costs(served):
    _, headers, _ = asked(served, OPENAI, model="gpt-4o-mini")
    assert Decimal(headers["x-farthing-cost"]) == COST["openai"]


@pytest.mark.parametrize("key", ["fk_wrong", "sk-ant-of-somebody-else", "x" * 5000])
def test_a_wrong_key_is_refused_in_the_dialects_own_shape(served, key):
    before = len(served[2].begun)
    status, _, told = asked(served, OPENAI, key, model="gpt-4o-mini")
    assert (status, told["error"]["code"], told["error"]["type"]) == (401, "invalid_api_key", "authentication_error")
    assert "farthing key create" in told["error"]["message"]
    assert key not in told["error"]["message"]
    status, _, told = asked(served, ANTHROPIC, key, model="claude-haiku-4-5")
    assert (status, told["type"], told["error"]["type"]) == (401, "error", "authentication_error")
    assert len(served[2].begun) == before


def test_a_body_over_the_limit_is_refused_unread(served):
    before = len(served[2].begun)
    long = [{"role": "user", "content": "x" * LIMIT}]
    for path, model, words in (
        (OPENAI, "gpt-4o-mini", "request_too_large"),
        (ANTHROPIC, "claude-haiku-4-5", "request_too_large"),
    ):
        status, headers, told = asked(served, path, model=model, messages=long)
        assert status == 413
        assert words in (told["error"].get("code"), told["error"]["type"])
        assert f"{LIMIT:,}" in told["error"]["message"]
        assert headers["connection"] == "close"
    assert len(served[2].begun) == before


def test_the_world_is_not_served_without_keys(tmp_path):
    product = Product(tmp_path, "")
    product.config.write_text('[gateway]\nhost = "0.0.0.0"\nrequire_keys = false\n')
    for command in (("up",), ("config", "check")):
        refused = product.cli(*command, check=False)
        assert refused.returncode != 0, command
        told = refused.stderr + refused.stdout
        assert "require_keys" in told
        assert "127.0.0.1" in told


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ('[gateway]\nport = "many"\n', 2, ["gateway.port", "many"]),
        ("[gateway]\nhost = '127.0.0.1'\nprot = 4180\n", 3, ["prot", "port"]),
        ('[providers.a]\nvendor = "opnai"\n', 2, ["providers.a.vendor", "opnai", "openai"]),
        ('[providers.a]\nvendor = "openai"\napi_key = "sk-123"\n', 3, ["providers.a.api_key", "env:"]),
        ("[gateway\n", 1, []),
    ],
)
def test_a_wrong_setting_is_named_with_file_line_field_value_and_remedy(tmp_path, text, line, parts):
    product = Product(tmp_path, "")
    product.config.write_text(text)
    refused = product.cli("up", check=False)
    assert refused.returncode == 2
    assert f"{product.config.name}:{line}" in refused.stderr
    assert all(part in refused.stderr for part in parts), refused.stderr
    assert "Traceback" not in refused.stderr
    assert "sk-123" not in refused.stderr
    assert not (tmp_path / "run").exists(), "nothing was begun"
