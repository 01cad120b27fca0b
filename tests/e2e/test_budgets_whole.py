"""A budget through the whole product: spent by requests, refused, reconciled with the ledger, and told."""

import json
import time
from decimal import Decimal

import pytest
from tests.support.product import Product, post, simulated_settings, simulator
from tests.support.receivers import Webhook, running

ASK = {"model": "gpt-4o-mini", "max_tokens": 200, "messages": [{"role": "user", "content": "hello " * 50}]}
TARGET = '\n[[alerts.targets]]\nurl = "env:HOOK"\nevents = ["budget"]\n'


def ask(product: Product, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return post(f"{product.url}/v1/chat/completions", ASK, headers)[0]


def shown(product: Product, name: str) -> dict:
    return json.loads(product.cli("budget", "show", name, "-o", "json").stdout)


@pytest.fixture
def hook():
    with running(Webhook()) as hook:
        yield hook


def test_what_is_spent_is_counted_refused_reconciled_and_told(tmp_path, hook):
    with simulator() as address:
        product = Product(tmp_path, simulated_settings(address, more=TARGET))
        product.env["HOOK"] = hook.url
        with product:
            token = product.key("--team", "search", "--user", "ann")
            assert [ask(product, token) for _ in range(5)] == [200] * 5
            product.requests(at_least=5)
            product.cli("budget", "set", "search", "--team", "search", "--user", "each", "--amount", "0.0015")
            statuses = [ask(product, token) for _ in range(80)]
            assert statuses[0] == 200
            assert statuses[-1] == 429
            refused = statuses.count(429)
            product.requests(at_least=85)
            until = time.monotonic() + 60
            while time.monotonic() < until and not any("refused" in title for title in hook.took()):
                time.sleep(0.5)
            detail = shown(product, "search")
            titles = hook.took()
        [pot] = detail["budget"]["pots"]
        assert pot["subject"] == {"user": "ann"}
        assert Decimal(pot["seeded"]) > 0
        assert Decimal(pot["used"]) <= Decimal(pot["amount"])
        assert (pot["ledger"]["reconciled"], pot["ledger"]["requests"], pot["refused"]) == (True, 85 - refused, refused)
        assert sum("requests are refused" in title for title in titles) == 1
        assert len(titles) == len(set(titles))
