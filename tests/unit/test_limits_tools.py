"""The worst case of a request whose provider may use tools of its own: searches cost, and each of them reads anew."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from farthing.catalog.usage.reading import FILE_SEARCH, WEB_SEARCH
from farthing.core.facts import Operation
from farthing.core.money import Rate
from farthing.core.nouns import Price
from farthing.gateway.limits.bound import Bounds
from farthing.gateway.limits.shorten import can_shorten
from farthing.gateway.ports import Call, OwnTools
from support.spender import OFFER, TARGET, pieces

CONTEXT = OFFER.capability.context_tokens
CENT = 10_000_000
"""In nano-dollars: what a web search costs here."""


def worst(tools: OwnTools | None, *, priced: bool = True):
    """The worst case of a short request for 10 tokens, with web searches at ten dollars a thousand."""
    search = Price(unit=WEB_SEARCH, rate=Rate(Decimal(10), per=1_000))
    offer = msgspec.structs.replace(OFFER, prices=(*OFFER.prices, search)) if priced else OFFER
    call = Call(
        request_id="r", at=datetime(2026, 3, 1, tzinfo=UTC), operation=Operation.MESSAGE, dialect="anthropic", path="",
        model="model", body=b"{}", input_estimate=100, output_limit=10, own_tools=tools,
    )  # fmt: skip
    assert can_shorten(call) is (tools is None)
    return Bounds().worst(call, msgspec.structs.replace(TARGET, offers=(offer,)))


def test_without_tools_the_bytes_bound_it():
    assert worst(None).cost == pieces(100, 10)


def test_each_search_costs_and_reads_all_over_again():
    found = worst(OwnTools(uses=2, units=(WEB_SEARCH,)))
    assert (found.input, found.output, found.tokens) == (3 * CONTEXT, 10, 3 * CONTEXT + 10)
    assert found.cost == pieces(3 * CONTEXT, 10) + 2 * CENT


def test_tools_without_a_fee_read_all_the_same():
    assert worst(OwnTools(uses=1)).cost == pieces(2 * CONTEXT, 10)


def test_searches_that_nobody_bounds_have_no_worst_case():
    found = worst(OwnTools(uses=None, units=(WEB_SEARCH,)))
    assert found.cost is None
    assert "max_uses" in found.unpriced


def test_a_search_without_a_price_has_no_worst_case():
    for tools, priced in (
        (OwnTools(uses=1, units=(WEB_SEARCH,)), False),
        (OwnTools(uses=1, units=(FILE_SEARCH,)), True),
    ):
        found = worst(tools, priced=priced)
        assert found.cost is None
        assert "search" in found.unpriced
    assert worst(OwnTools(uses=0, units=(WEB_SEARCH,)), priced=False).cost == pieces(CONTEXT, 10)
