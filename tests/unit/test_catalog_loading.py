"""The catalogue as a whole: loading, caching, refreshing, finding, comparing."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from farthing.catalog.catalog import Catalog, Query, headline, is_stale
from farthing.catalog.compare import compare
from farthing.catalog.price import price_at
from farthing.catalog.refresh import refresh, stored
from farthing.catalog.sources import FEEDS
from farthing.core.errors import ConfigError, ConflictError, InputError, NotFoundError, UnavailableError
from farthing.core.money import Money
from farthing.core.nouns import Kind, Terms
from farthing.core.units import CACHE_READ, HOUR, INPUT, OUTPUT, Usage

NOW = datetime(2026, 11, 15, tzinfo=UTC)
LITELLM = {
    "sample_spec": {"input_cost_per_token": 0.0, "litellm_provider": "one of …", "mode": "one of: chat"},
    "gpt-4o": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1.2e-05,
        "cache_read_input_token_cost": 1.25e-06,
        "input_cost_per_token_batches": 1.25e-06,
        "output_cost_per_token_batches": 5e-06,
        "max_input_tokens": 128000,
        "supports_function_calling": True,
        "supports_vision": True,
    },
    "gemini/gemini-2.5-pro": {
        "litellm_provider": "gemini",
        "mode": "chat",
        "input_cost_per_token": 1.25e-06,
        "input_cost_per_token_above_200k_tokens": 2.5e-06,
        "output_cost_per_token": 1e-05,
    },
    "acme/rocket": {
        "litellm_provider": "acme",
        "mode": "chat",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
    },
    "dall-e-3": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04},
}
HISTORY = {
    "updated_at": "2026-10-26T18:46:35Z",
    "prices": {
        "xai": {
            "grok-x": {
                "standard": [
                    {"rates": {"input": 2.0, "output": 10.0, "source": "page 1"}, "start": None},
                    {
                        "rates": {
                            "input": 0.32000000000000006,
                            "output": 8.0,
                            "cache_read": 0.1,
                            "cache_write_1h_multiple": 2,
                            "tiers": [{"above": 200000, "input": 4.0, "output": 16.0}],
                        },
                        "start": "2026-06-01T12:00:00Z",
                    },
                ],
                "batch": [{"rates": None, "start": None}],
            }
        }
    },
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(now=NOW)


def written(path: Path, value: object) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def test_the_shipped_catalog_covers_every_kind_of_supply(catalog):
    kinds = {kind: [o for o in catalog.offers if o.kind is kind] for kind in Kind}
    assert len(kinds[Kind.TOKENS]) > 2500
    assert len(kinds[Kind.MACHINE]) > 2500
    assert {o.provider for o in kinds[Kind.SERVERLESS]} >= {"modal", "runpod", "replicate", "cloudrun"}
    assert {o.provider for o in kinds[Kind.MACHINE]} >= {
        "aws",
        "azure",
        "gcp",
        "oci",
        "lambda",
        "coreweave",
        "vast",
        "akash",
    }


def test_an_id_is_unique_among_offers_that_hold_at_the_same_instant(catalog):
    for offer_id, variants in catalog.by_id.items():
        for i, one in enumerate(variants):
            for other in variants[i + 1 :]:
                assert one.daily != other.daily or not one.effective.overlaps(other.effective), offer_id


def test_every_machine_says_what_it_is_and_who_says_so(catalog):
    for offer in catalog.offers:
        assert offer.source, offer.id
        if offer.kind is not Kind.TOKENS:
            assert offer.capability.accelerator, offer.id
            assert offer.capability.accelerators >= 1, offer.id
            assert offer.capability.accelerator_memory_gb > 0, offer.id
            assert headline(offer)[HOUR] > 0, offer.id


def test_estimates_are_labelled_and_cheaper_than_on_demand(catalog):
    for offer in catalog.offers:
        if "rule-of-thumb" in offer.tags and offer.terms is not Terms.ON_DEMAND:
            base = catalog.variants(offer.id.removesuffix(f":{offer.terms}"))
            assert headline(offer)[HOUR] < headline(base[-1])[HOUR], offer.id
            assert "ule of thumb" in offer.source, offer.id


def test_facts_of_the_tables(catalog):
    assert headline(catalog.get("aws/p5.48xlarge@us-east-1")[0]) == {HOUR: Decimal("55.04")}
    assert headline(catalog.get("azure/Standard_ND96isr_H100_v5@eastus:spot")[0]) == {HOUR: Decimal("18.169536")}
    assert headline(catalog.get("aws/p5.48xlarge@us-east-1:reserved_1y")[0]) == {HOUR: Decimal("37.4272")}
    assert headline(catalog.get("modal/h100")[0]) == {HOUR: Decimal("3.9492")}


def test_a_machine_price_may_be_dated(catalog):
    variants = catalog.variants("nebius/gpu-h100-sxm")
    hour = Usage({HOUR: 1})
    assert price_at(hour, variants, datetime(2026, 9, 30, 23, tzinfo=UTC)).total == Money.of("3.85")
    assert price_at(hour, variants, datetime(2026, 10, 1, tzinfo=UTC)).total == Money.of("4.50")


def test_the_cache_holds_the_same_offers(tmp_path, catalog):
    cold = Catalog.load(tmp_path, now=NOW)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".compiled"] * len(FEEDS.load())
    warm = Catalog.load(tmp_path, now=NOW)
    assert warm.offers == cold.offers == catalog.offers
    assert warm.rules == cold.rules


def test_a_damaged_cache_is_made_again(tmp_path, catalog):
    Catalog.load(tmp_path, now=NOW)
    (tmp_path / "genai_prices.compiled").write_bytes(b"\x00garbage")
    assert Catalog.load(tmp_path, now=NOW).offers == catalog.offers


def test_a_folder_that_cannot_be_written_only_costs_the_cache(tmp_path, catalog):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert Catalog.load(blocked / "prices", now=NOW).offers == catalog.offers


def test_find_combines_all_filters(catalog):
    found = catalog.find(
        Query(kind=Kind.MACHINE, accelerator="h100", region="eastus", terms=Terms.SPOT, max_price=Decimal(20)), NOW
    )
    assert [o.id for o in found] == [
        "azure/Standard_NC40ads_H100_v5@eastus:spot",
        "azure/Standard_NC80adis_H100_v5@eastus:spot",
        "azure/Standard_ND96isr_H100_v5@eastus:spot",
    ]
    assert {o.provider for o in catalog.find(Query(tags=frozenset({"decentralized"})), NOW)} == {
        "akash",
        "ionet",
        "sfcompute",
        "vast",
    }
    assert catalog.find(Query(text="no such thing"), NOW) == []


def test_find_shows_the_price_of_the_time(catalog):
    query = Query(text="nebius/gpu-h100-sxm", terms=Terms.ON_DEMAND)
    before, after = catalog.find(query, datetime(2026, 9, 1, tzinfo=UTC)), catalog.find(query, NOW)
    assert [headline(o)[HOUR] for o in (*before, *after)] == [Decimal("3.85"), Decimal("4.50")]


def test_other_terms_of_the_same_product(catalog):
    terms = catalog.terms_of("openai/gpt-4.1")
    assert headline(terms[Terms.ON_DEMAND][0])[INPUT] == 2
    assert headline(terms[Terms.BATCH][0])[INPUT] == 1
    assert catalog.terms_of("nobody/nothing") == {}


def test_an_unknown_offer_names_the_nearest(catalog):
    with pytest.raises(NotFoundError) as caught:
        catalog.get("gpt-4oo")
    assert "openai/gpt-4o" in caught.value.nearest


@pytest.mark.parametrize(("days", "stale"), [(0, False), (30, False), (31, True)])
def test_prices_grow_stale_after_thirty_days(catalog, days, stale):
    offer = catalog.get("openai/gpt-4o")[0]
    assert offer.checked is not None
    assert is_stale(offer, offer.checked + timedelta(days=days)) is stale


def test_an_undated_price_is_stale(catalog):
    undated = next(o for o in catalog.offers if o.checked is None)
    assert is_stale(undated, date(1970, 1, 1))


def test_litellm_keys_become_units_bands_and_terms():
    offers = {o.id: o for o in FEEDS.get("litellm").read(json.dumps(LITELLM).encode()).offers}
    assert set(offers) == {"openai/gpt-4o", "openai/gpt-4o:batch", "google/gemini-2.5-pro", "acme/rocket"}
    assert {p.unit: p.rate.amount for p in offers["openai/gpt-4o"].prices} == {
        INPUT: Decimal("2.5"), OUTPUT: Decimal(12), CACHE_READ: Decimal("1.25"),
    }  # fmt: skip
    assert offers["openai/gpt-4o:batch"].terms is Terms.BATCH
    assert offers["openai/gpt-4o"].capability.features == {"chat", "tools"}
    assert offers["openai/gpt-4o"].capability.input_modalities == {"image", "text"}
    assert {(p.above, p.rate.amount) for p in offers["google/gemini-2.5-pro"].prices if p.unit == INPUT} == {
        (0, Decimal("1.25")), (200_000, Decimal("2.5")),
    }  # fmt: skip


def test_a_history_becomes_dated_variants():
    offers = FEEDS.get("history").read(json.dumps(HISTORY).encode()).offers
    usage = Usage.tokens(1_000_000, 0)
    assert [o.id for o in offers] == ["x-ai/grok-x", "x-ai/grok-x"]
    assert price_at(Usage.tokens(100_000), offers, datetime(2026, 6, 1, 11, 59, tzinfo=UTC)).total == Money.of("0.2")
    assert price_at(Usage.tokens(100_000), offers, datetime(2026, 6, 1, 12, tzinfo=UTC)).total == Money.of("0.032")
    assert price_at(usage, offers, NOW).total == Money.of("4")
    assert offers[0].checked == date(2026, 10, 26)


def test_refreshed_prices_are_used_where_nobody_else_knows_better(tmp_path, catalog):
    source = written(tmp_path / "litellm.json", LITELLM)
    done = refresh(FEEDS.get("litellm"), tmp_path / "prices", NOW, location=source)
    assert (done.before, done.after, done.changed) == (0, 4, True)
    refreshed = Catalog.load(tmp_path / "prices", now=NOW)
    assert headline(refreshed.get("acme/rocket")[0]) == {INPUT: 1, OUTPUT: 2}
    assert refreshed.get("openai/gpt-4o") == catalog.get("openai/gpt-4o")
    assert refresh(FEEDS.get("litellm"), tmp_path / "prices", NOW, location=source).changed is False


def test_a_broken_list_keeps_the_last_good_one(tmp_path):
    feed, folder = FEEDS.get("litellm"), tmp_path / "prices"
    refresh(feed, folder, NOW, location=written(tmp_path / "good.json", LITELLM))
    kept = stored("litellm", folder)
    with pytest.raises(InputError, match="not LiteLLM"):
        refresh(feed, folder, NOW, location=written(tmp_path / "list.json", [1, 2]))
    with pytest.raises(InputError):
        refresh(feed, folder, NOW, location=written(tmp_path / "cut.json", "{"))
    with pytest.raises(InputError, match="no offers"):
        refresh(feed, folder, NOW, location=written(tmp_path / "empty.json", {}), force=True)
    with pytest.raises(UnavailableError):
        refresh(feed, folder, NOW, location=str(tmp_path / "missing.json"))
    with pytest.raises(InputError, match="https"):
        refresh(feed, folder, NOW, location="http://example.com/prices.json")
    assert stored("litellm", folder) == kept


def test_a_shrunken_list_is_refused_unless_forced(tmp_path):
    feed, folder = FEEDS.get("litellm"), tmp_path / "prices"
    refresh(feed, folder, NOW, location=written(tmp_path / "good.json", LITELLM))
    short = written(tmp_path / "short.json", {"acme/rocket": LITELLM["acme/rocket"]})
    with pytest.raises(ConflictError, match="1 offers where the last had 4"):
        refresh(feed, folder, NOW, location=short)
    assert refresh(feed, folder, NOW, location=short, force=True).after == 1


def test_no_draft_is_left_behind(tmp_path):
    refresh(FEEDS.get("litellm"), tmp_path / "prices", NOW, location=written(tmp_path / "good.json", LITELLM))
    assert [p.name for p in (tmp_path / "prices").iterdir()] == ["litellm.feed"]


TABLE = """
provider = "acme"
tags = ["own"]
[shapes]
"box" = { accelerator = "H100-80GB", count = 2 }
[[prices]]
terms = "on_demand"
source = "our contract"
checked = 2026-11-01
[prices.usd."box"]
"3.50" = ["cellar", "attic/left"]
[[rules]]
terms = "reserved_1y"
discount = "0.30"
source = "our rule"
checked = 2026-11-01
"""


def test_own_tables_join_the_catalog(tmp_path):
    (tmp_path / "own.toml").write_text(TABLE)
    own = Catalog.load(tmp_path, now=NOW)
    assert headline(own.get("acme/box@cellar")[0]) == {HOUR: Decimal("3.50")}
    left = own.get("acme/box@attic/left:reserved_1y")[0]
    assert headline(left) == {HOUR: Decimal("2.45")}
    assert (left.region, left.zone) == ("attic", "left")
    assert left.tags == {"own", "rule-of-thumb"}


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (TABLE.replace('discount = "0.30"', "discount = 0.3"), "discount"),
        (TABLE.replace('"3.50"', '"cheap"'), "price of box"),
        (TABLE.replace("checked = 2026-11-01", "seen = 2026-11-01", 1), "seen"),
        (TABLE.replace('[prices.usd."box"]', '[prices.usd."crate"]'), "crate"),
        ("provider = ", "own.toml"),
    ],
)
def test_a_table_that_cannot_be_read_names_file_and_field(tmp_path, broken, named):
    (tmp_path / "own.toml").write_text(broken)
    with pytest.raises(ConfigError) as caught:
        Catalog.load(tmp_path, now=NOW)
    assert "own.toml" in str(caught.value)
    assert named in str(caught.value)


def test_sources_are_compared_unit_by_unit(catalog):
    other = FEEDS.get("litellm").read(json.dumps(LITELLM).encode()).offers
    found = compare(catalog.token_offers, other, "litellm", NOW)
    assert (found.models, found.prices) == (2, 6)
    (difference,) = found.differences
    assert (difference.offer, difference.unit) == ("openai/gpt-4o", OUTPUT)
    assert (difference.primary, difference.other) == (Decimal(10), Decimal(12))
    assert difference.percent == pytest.approx(20)


def test_a_source_agrees_with_itself(catalog):
    found = compare(catalog.token_offers, catalog.token_offers, "itself", NOW)
    assert found.models > 1500
    assert found.differences == ()
