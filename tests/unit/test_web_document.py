"""The OpenAPI document that clients are generated from."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from farthing.web.openapi import printed

PUBLISHED = Path(__file__).parents[2] / "ui" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict:
    return msgspec.json.decode(printed())


def test_the_published_document_is_the_codes():
    assert PUBLISHED.read_bytes() == printed(), "run: python -m farthing.web.openapi > ui/openapi.json"


def test_the_module_prints_it():
    done = subprocess.run([sys.executable, "-m", "farthing.web.openapi"], capture_output=True, check=True, timeout=60)
    assert done.stdout == printed()


def test_answers_promise_all_of_their_fields(document):
    schemas = document["components"]["schemas"]
    assert schemas["SpendRow"]["required"] == list(schemas["SpendRow"]["properties"])
    assert schemas["KeyDraft"]["required"] == ["name"]
    assert schemas["KeyDraft"]["additionalProperties"] is False


def test_money_is_a_decimal_string(document):
    cost = document["components"]["schemas"]["Totals"]["properties"]["cost"]
    assert (cost["type"], cost["format"]) == ("string", "decimal")


def test_every_operation_says_how_it_refuses(document):
    operations = [o for path in document["paths"].values() for o in path.values()]
    assert len({o["operationId"] for o in operations}) == len(operations) > 50
    for operation in operations:
        for status in ("400", "401"):
            assert list(operation["responses"][status]["content"]) == ["application/problem+json"]
