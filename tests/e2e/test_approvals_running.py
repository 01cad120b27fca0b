"""Approvals in a running Farthing, with its state in SQLite and in a real PostgreSQL."""

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.postgres import serve
from tests.support.product import Product, post, simulated_settings

from farthing.state.audit import Change
from farthing.state.store import Store

ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(params=["sqlite", "postgres"])
def product(request, providers, tmp_path):
    more = "" if request.param == "sqlite" else '\n[state]\nurl = "env:FARTHING_DATABASE"\n'
    made = Product(tmp_path, simulated_settings(providers, more=more))
    if request.param == "sqlite":
        made.database = f"sqlite:///{tmp_path / 'state.db'}"
        with made:
            yield made
        return
    with serve() as postgres:
        made.database = made.env["FARTHING_DATABASE"] = postgres.database()
        with made:
            yield made


def token_of(product: Product, email: str, role: str, *duties: str) -> dict[str, str]:
    """Headers of somebody who is logged in."""
    by = Change(actor="test", at=datetime.now(UTC))
    with Store.open(product.database) as store:
        made = store.people.create(by, email=email, role=role, duties=duties)
        _, token = store.sessions.begin(by, made, "login", life=timedelta(hours=1))
    request = urllib.request.Request(
        f"{product.web_url}/api/v1/session", json.dumps({"token": product.admin_token}).encode(),
        {"content-type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=10) as answer:
        name = answer.headers["set-cookie"].partition("=")[0]
    return {"cookie": f"{name}={token}", "sec-fetch-site": "same-origin", "origin": product.web_url}


def call(product: Product, who: dict[str, str], path: str, body: object) -> tuple[int, dict]:
    status, _, text = post(f"{product.web_url}/api/v1{path}", body, who)
    return status, json.loads(text)


def test_a_key_with_a_large_budget_needs_the_right_yes_and_then_works(product):
    product.cli("budget", "set", "search", "--amount", "5000", "--per", "month", "--team", "search")
    eve = token_of(product, "eve@example.com", "engineer")
    lead = token_of(product, "lee@example.com", "engineer", "infrastructure-lead")
    wanted = {"name": "bot", "scope": {"team": "search"}}
    status, problem = call(product, eve, "/keys", wanted)
    assert status == 403
    path = f"/approvals/{problem['approval']}"
    assert problem["url"].endswith(path)
    assert call(product, eve, f"{path}/vote", {"verdict": "approve"})[0] == 403
    assert call(product, lead, f"{path}/vote", {"verdict": "approve"})[1]["state"] == "approved"
    status, got = call(product, eve, f"{path}/collect", {})
    assert status == 201
    bearer = {"authorization": f"Bearer {got['result']['token']}"}
    for _ in range(100):
        if post(f"{product.url}/v1/chat/completions", ASK, bearer)[0] == 200:
            break
        time.sleep(0.1)
    (row,) = product.requests(at_least=1)
    assert row.scope.team == "search"
    assert call(product, eve, f"{path}/collect", {})[0] == 409
    done = json.loads(product.cli("audit", "--subject", problem["approval"], "-o", "json").stdout)["rows"]
    assert [entry["action"] for entry in done] == [
        "approval.done", "approval.begin", "approval.approve", "approval.ask"
    ]  # fmt: skip
    assert json.loads(product.cli("audit", "verify", "-o", "json").stdout)["whole"]


def test_a_raise_of_a_limit_happens_with_the_yes_from_a_signed_link(product):
    product.cli("budget", "set", "search", "--amount", "500", "--per", "month", "--team", "search")
    eve = token_of(product, "eve@example.com", "engineer")
    fin = token_of(product, "fin@example.com", "finance")
    limit = json.loads(product.cli("budget", "list", "-o", "json").stdout)["rows"][0]["name"]

    def amount() -> str:
        with Store.open(product.database) as store:
            return f"{store.limits.get(limit).amount:f}"

    request = urllib.request.Request(
        f"{product.web_url}/api/v1/budgets/{limit}", b'{"amount": "2000"}', {"content-type": "application/json", **eve},
        method="PATCH",
    )  # fmt: skip
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as answer:
        problem = json.loads(answer.read())
    assert (answer.code, amount()) == (403, "500")
    with urllib.request.urlopen(urllib.request.Request(f"{product.web_url}/api/v1/approvals/{problem['approval']}",
                                                       headers=eve), timeout=10) as shown:  # fmt: skip
        assert {"field": "amount", "before": "500", "after": "2000"} in json.loads(shown.read())["changes"]
    link = call(product, fin, f"/approvals/{problem['approval']}/links", {})[1]["approve"]
    with urllib.request.urlopen(link, timeout=10) as page:
        assert b"500" in page.read()
    assert amount() == "500"
    base, _, sign = link.partition("?")
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert post(base, sign.encode(), form)[0] == 200
    assert amount() == "2000"
    assert post(base, sign.encode(), form)[0] in (403, 409)
