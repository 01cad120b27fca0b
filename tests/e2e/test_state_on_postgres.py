"""The product with its state in a real PostgreSQL: a key, a request, the ledger, the bill."""

import json
from datetime import datetime
from decimal import Decimal

import pytest
from tests.support.postgres import serve
from tests.support.product import Product, post, simulated_settings

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def product(providers, tmp_path):
    settings = simulated_settings(providers, more='\n[state]\nurl = "env:FARTHING_DATABASE"\n')
    with serve() as postgres:
        made = Product(tmp_path, settings)
        made.env["FARTHING_DATABASE"] = postgres.database()
        with made:
            yield made


def keys(product: Product, *options: str) -> list[dict]:
    return json.loads(product.cli("key", "list", *options, "-o", "json").stdout)["rows"]


def test_a_key_a_request_and_its_cost_with_state_in_postgres(product):
    token = product.key("--team", "search")
    (key,) = keys(product)
    assert not key.get("last_used")
    headers = {"authorization": f"Bearer {token}"}
    status, said, _ = post(f"{product.url}/v1/chat/completions", ASK, headers)
    assert status == 200
    (row,) = product.requests(at_least=1)
    assert (row.request_id, row.scope.team) == (said["x-request-id"], "search")
    (spent,) = product.spend("--by", "team")["rows"]
    assert spent["team"] == "search"
    assert Decimal(spent["cost"]) == row.cost > 0
    product.cli("key", "revoke", key["id"])
    assert post(f"{product.url}/v1/chat/completions", ASK, headers)[0] == 401
    product.stop()
    (key,) = keys(product, "--dead")
    assert key["status"] == "revoked"
    assert datetime.fromisoformat(key["last_used"]) == row.at
    assert not (product.home / "state.db").exists()
