"""Names, terms, weights, keys and learning: what the router answers in single cases."""

import json
import random
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.catalog.sources import Rule
from farthing.core.errors import DeniedError, InputError, NotFoundError
from farthing.core.facts import ErrorKind, Operation, RequestFact, Source, Status
from farthing.core.money import Money, Rate, Unpriced
from farthing.core.nouns import Capability, Kind, Objective, Offer, Price, Rejection, Scope, Terms
from farthing.core.time import DailyHours, Window
from farthing.core.units import INPUT, OUTPUT, REQUEST, Unit
from farthing.gateway.ports import Call, Caller, Provider
from farthing.gateway.route import KEPT, SnapshotRouter, rounded
from farthing.gateway.settings import ModelSettings, ProviderSettings, TargetSettings
from farthing.gateway.snapshot import Snapshot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


DIALECTS = {"aws": "bedrock", "google": "gemini", "anthropic": "anthropic"}


def price(amount, unit=INPUT, **more):
    return Price(unit=unit, rate=Rate(Decimal(amount), per=1_000_000), **more)


def offer(prices, product, cost="1", **more):
    both = (price(cost), price(str(2 * Decimal(cost)), OUTPUT))
    return Offer(
        **{"id": f"{prices}/{product}", "prices": both} | more, kind=Kind.TOKENS, provider=prices, product=product
    )


OFFERS = (
    offer("openai", "gpt-4o-mini", "0.15"),
    offer("openai", "gpt-5", "1.25"),
    offer("openai", "gpt-5", "0.6", id="openai/gpt-5:flex", terms=Terms.FLEX),
    offer("azure", "gpt-4o-mini", "0.165"),
    offer("aws", "anthropic.claude-haiku-4-5-v1:0", "1.1"),
    offer("anthropic", "claude-haiku-4-5", "1"),
    offer("groq", "openai/gpt-oss-120b", "0.15"),
)


def world(models=None, offers=OFFERS, accounts=None, draw=lambda: 0.5, rules=(), **listed):
    accounts = accounts or {"openai": "openai", "azure": "azure", "anthropic": "anthropic"}
    rows = {name: ProviderSettings(vendor="openai", models=listed.get(name, ())) for name in accounts}
    ready = {
        name: Provider(
            name=name, vendor=name, dialect=DIALECTS.get(prices, "openai"), base_url="http://x", prices=prices
        )
        for name, prices in accounts.items()
    }
    snapshot = Snapshot(made=NOW, providers=rows, models=models or {}, offers=offers, rules=rules)
    return SnapshotRouter(snapshot, ready, draw=draw)


def alias(*places, **more):
    return ModelSettings(targets=tuple(TargetSettings(provider=p, model=m) for p, m in places), **more)


def call(model, **more):
    base = {"request_id": "r1", "at": NOW, "operation": Operation.CHAT, "dialect": "openai", "path": "/", "body": b"{}"}
    return Call(**base | {"input_estimate": 4000, "output_limit": 100, "model": model} | more)


def outcome(request_id="r1", provider="openai", model="gpt-4o-mini", **more):
    base = {
        "request_id": request_id, "attempt": 1, "at": NOW, "operation": Operation.CHAT, "dialect": "openai",
        "scope": Scope(), "requested_model": model, "status": Status.OK, "worker": "w", "provider": provider,
        "model": model, "offer": f"{provider}/{model}", "usage_source": Source.PROVIDER, "total_ms": 100.0,
        "upstream_ms": 100.0,
    }  # fmt: skip
    return RequestFact(**base | more)


def names(route):
    return [f"{t.provider.name}/{t.model}" for t in route.targets]


# names


def test_a_catalogue_model_goes_to_every_provider_that_has_it_cheapest_first():
    route = world().route(call("gpt-4o-mini"))
    assert names(route) == ["openai/gpt-4o-mini", "azure/gpt-4o-mini"]
    assert route.decision.rejected == (
        Rejection("azure/gpt-4o-mini", "cost", "0.000198000 USD is expected, 0.000018000 USD more"),
    )


def test_provider_and_model_pins_the_provider():
    assert names(world().route(call("azure/gpt-4o-mini"))) == ["azure/gpt-4o-mini"]


def test_an_alias_hides_a_model_of_the_same_name():
    routing = world({"gpt-4o-mini": alias(("azure", "gpt-4o-mini"))})
    assert names(routing.route(call("gpt-4o-mini"))) == ["azure/gpt-4o-mini"]


def test_a_provider_serves_only_what_it_lists():
    routing = world(azure=("my-deployment",))
    assert names(routing.route(call("gpt-4o-mini"))) == ["openai/gpt-4o-mini"]
    assert names(routing.route(call("my-deployment"))) == ["azure/my-deployment"]
    with pytest.raises(NotFoundError):
        routing.route(call("azure/gpt-4o-mini"))


def test_a_messy_name_is_sent_in_the_providers_own_words():
    rules = (Rule("aws", "contains", "claude-haiku-4-5", "anthropic.claude-haiku-4-5-v1:0"),)
    routing = world(accounts={"bedrock": "aws", "openai": "openai"}, rules=rules)
    assert names(routing.route(call("claude-haiku-4.5"))) == ["bedrock/anthropic.claude-haiku-4-5-v1:0"]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini-2024-07-18"),
        ("us.anthropic.claude-haiku-4-5-v1:0", "bedrock/us.anthropic.claude-haiku-4-5-v1:0"),
        ("GPT-4o-Mini", "openai/gpt-4o-mini"),
    ],
)
def test_a_name_that_says_more_than_the_product_is_sent_as_asked(asked, sent):
    route = world(accounts={"bedrock": "aws", "openai": "openai"}).route(call(asked))
    assert names(route) == [sent]
    assert isinstance(route.decision.expected_cost, Money)


def test_another_makers_model_at_a_cloud_has_the_makers_price_but_must_be_named_or_listed():
    routing = world(accounts={"azure": "azure"}, offers=OFFERS)
    with pytest.raises(NotFoundError):
        routing.route(call("claude-haiku-4-5"))
    named = routing.route(call("azure/claude-haiku-4-5"))
    assert (names(named), named.targets[0].offer_id) == (["azure/claude-haiku-4-5"], "anthropic/claude-haiku-4-5")
    listed = world(accounts={"azure": "azure"}, azure=("claude-haiku-4-5",))
    assert listed.route(call("claude-haiku-4-5")).targets[0].offer_id == "anthropic/claude-haiku-4-5"


def test_a_slash_in_a_model_name_is_not_taken_for_a_provider():
    routing = world(accounts={"openai": "openai", "groq": "groq"})
    assert names(routing.route(call("openai/gpt-oss-120b"))) == ["groq/openai/gpt-oss-120b"]


def test_a_provider_that_is_switched_off_is_not_replaced_by_another():
    ready = {"openai": Provider(name="openai", vendor="openai", dialect="openai", base_url="http://x", prices="openai")}
    rows = {"openai": ProviderSettings(vendor="openai"), "azure": ProviderSettings(vendor="azure", enabled=False)}
    routing = SnapshotRouter(Snapshot(made=NOW, providers=rows, offers=OFFERS), ready, draw=lambda: 0.5)
    with pytest.raises(InputError, match="provider azure is switched off"):
        routing.route(call("azure/gpt-4o-mini"))


def test_an_unlisted_model_of_a_named_provider_passes_unpriced():
    decision = world().route(call("openai/ft:my-own")).decision
    assert decision.chosen == "openai/ft:my-own"
    assert decision.expected_cost == Unpriced("no price is known for ft:my-own")


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(NotFoundError) as problem:
        world().route(call("gpt-4o-mni"))
    assert problem.value.nearest[0] == "gpt-4o-mini"


def test_the_nearest_names_are_those_of_the_key():
    caller = Caller(models=frozenset({"gpt-5"}))
    with pytest.raises(NotFoundError) as problem:
        world().route(call("gpt-4o-mni", caller=caller))
    assert problem.value.nearest == ("gpt-5",)


def test_models_are_listed_sorted_and_only_those_of_the_key():
    routing = world({"fast": alias(("openai", "gpt-4o-mini"))}, azure=("my-deployment",))
    assert routing.models(Caller()) == ["claude-haiku-4-5", "fast", "gpt-4o-mini", "gpt-5", "my-deployment"]
    assert routing.models(Caller(models=frozenset({"gpt-5", "fast", "gone"}))) == ["fast", "gpt-5"]


# what is refused


def test_a_key_may_use_only_its_models():
    routing = world()
    caller = Caller(models=frozenset({"gpt-5"}))
    with pytest.raises(DeniedError) as problem:
        routing.route(call("gpt-4o-mini", caller=caller))
    assert problem.value.reason == "model_not_allowed"
    assert names(routing.route(call("gpt-5", caller=caller))) == ["openai/gpt-5"]


def test_a_key_that_may_use_one_target_gets_that_one():
    caller = Caller(models=frozenset({"azure/gpt-4o-mini"}))
    route = world().route(call("gpt-4o-mini", caller=caller))
    assert names(route) == ["azure/gpt-4o-mini"]
    assert route.decision.rejected == (
        Rejection("openai/gpt-4o-mini", "key", "the key may use azure/gpt-4o-mini only"),
    )


def test_missing_providers_are_named_in_the_refusal():
    routing = world({"lost": alias(("gone", "m"))})
    with pytest.raises(InputError, match="no provider gone is configured"):
        routing.route(call("lost"))


def test_regions_of_call_and_alias_must_meet():
    routing = world({"a": alias(("openai", "gpt-5"), regions=frozenset({"eu"}))})
    with pytest.raises(InputError, match="exclude each other"):
        routing.route(call("a", regions=frozenset({"us"})))
    with pytest.raises(InputError, match="its region is not known, and eu is required"):
        routing.route(call("a"))


def test_images_go_where_images_are_taken():
    blind = offer("openai", "m", "1", capability=Capability(input_modalities=frozenset({"text"})))
    seeing = offer("azure", "m", "9", capability=Capability(input_modalities=frozenset({"text", "image"})))
    route = world(offers=(blind, seeing)).route(call("m", needs=frozenset({"image"})))
    assert names(route) == ["azure/m"]
    assert route.decision.rejected == (Rejection("openai/m", "capability", "it does not take image, only text"),)


def test_a_lack_of_ability_is_overruled_when_everybody_lacks_it():
    blind = offer("openai", "m", "1", capability=Capability(input_modalities=frozenset({"text"})))
    decision = world(offers=(blind,)).route(call("m", needs=frozenset({"image"}))).decision
    assert decision.chosen == "openai/m"
    assert "capability was overruled, as it speaks against every target: it does not take image" in decision.reason


def test_what_vertex_resells_is_not_asked_of_the_gemini_api():
    offers = (*OFFERS, offer("google", "claude-haiku-4-5", "0.1"), offer("google", "gemini-2.5-pro", "1"))
    routing = world(accounts={"gemini": "google", "anthropic": "anthropic"}, offers=offers)
    assert names(routing.route(call("claude-haiku-4-5"))) == ["anthropic/claude-haiku-4-5"]
    assert names(routing.route(call("gemini-2.5-pro"))) == ["gemini/gemini-2.5-pro"]
    assert routing.models(Caller()) == ["claude-haiku-4-5", "gemini-2.5-pro"]


def test_a_bedrock_id_goes_to_bedrock_only():
    routing = world(accounts={"anthropic": "anthropic", "bedrock": "aws"})
    asked = "eu.anthropic.claude-haiku-4-5-v1:0"
    assert names(routing.route(call(asked))) == [f"bedrock/{asked}"]
    with pytest.raises(NotFoundError):
        world().route(call(asked))


# terms, variants, bands


def test_flex_terms_are_cheaper_and_the_baseline_is_on_demand():
    place = TargetSettings(provider="openai", model="gpt-5", terms="flex")
    route = world({"slow": ModelSettings(targets=(place,))}).route(call("slow"))
    assert route.targets[0].offer_id == "openai/gpt-5:flex"
    assert route.decision.chosen == "openai/gpt-5:flex"
    assert route.decision.baseline == route.baseline.offer_id == "openai/gpt-5"
    assert route.decision.expected_cost == Money(Decimal("0.00072"))
    assert route.decision.baseline_cost == Money(Decimal("0.0015"))


def test_of_two_offers_on_the_same_terms_the_one_named_after_them_holds():
    more = [offer("openai", "gpt-5", "3", id=f"openai/gpt-5:{t}", terms=Terms.PRIORITY) for t in ("fast", "priority")]
    target = world(offers=(*OFFERS, *more)).route(call("gpt-5")).targets[0]
    assert [o.id for o in target.other_terms[Terms.PRIORITY]] == ["openai/gpt-5:priority"]
    assert [o.id for o in target.other_terms[Terms.FLEX]] == ["openai/gpt-5:flex"]


def test_offers_of_the_accounts_region_come_before_those_of_none():
    offers = (offer("openai", "m", "1"), offer("openai", "m", "2", id="openai/m@eu", region="eu"))
    rows = {n: ProviderSettings(vendor="openai", region=n) for n in ("eu", "us")}
    ready = {
        n: Provider(name=n, vendor="openai", dialect="openai", base_url="http://x", prices="openai", region=n)
        for n in rows
    }
    routing = SnapshotRouter(Snapshot(made=NOW, providers=rows, offers=offers), ready, draw=lambda: 0.5)
    assert [t.offer_id for t in routing.route(call("m")).targets] == ["openai/m", "openai/m@eu"]
    assert names(routing.route(call("m", regions=frozenset({"eu"})))) == ["eu/m"]


def test_the_baseline_is_the_first_target_that_may_serve():
    places = (("azure", "gpt-4o-mini"), ("openai", "gpt-4o-mini"))
    assert world({"a": alias(*places)}).route(call("a")).decision.baseline == "azure/gpt-4o-mini"


def test_a_new_price_holds_from_its_first_instant():
    soon = NOW + timedelta(hours=1)
    offers = (
        offer("openai", "m", "1", effective=Window(end=soon)),
        offer("openai", "m", "5", effective=Window(start=soon)),
        offer("azure", "m", "3"),
    )
    routing = world(offers=offers)
    assert names(routing.route(call("m")))[0] == "openai/m"
    assert names(routing.route(call("m", at=soon - timedelta(microseconds=1))))[0] == "openai/m"
    assert names(routing.route(call("m", at=soon)))[0] == "azure/m"
    assert names(routing.route(call("m", at=NOW)))[0] == "openai/m"


def test_daily_hours_come_and_go():
    night = DailyHours(start=time(16, 30), end=time(0, 30))
    offers = (offer("openai", "m", "4"), offer("openai", "m", "1", daily=night), offer("azure", "m", "3"))
    routing = world(offers=offers)
    first = [names(routing.route(call("m", at=NOW + timedelta(hours=h))))[0] for h in (0, 5, 12, 13, 29)]
    assert first == ["azure/m", "openai/m", "openai/m", "azure/m", "openai/m"]


def test_a_context_band_can_turn_the_order():
    cliff = Offer(
        id="openai/m", kind=Kind.TOKENS, provider="openai", product="m",
        prices=(price("1"), price("2", OUTPUT), price("10", above=200_000), price("20", OUTPUT, above=200_000)),
    )  # fmt: skip
    routing = world(offers=(cliff, offer("azure", "m", "3")))
    assert names(routing.route(call("m", input_estimate=800_000)))[0] == "openai/m"
    assert names(routing.route(call("m", input_estimate=800_004)))[0] == "azure/m"


def test_a_fee_per_request_counts():
    fee = Offer(
        id="openai/m", kind=Kind.TOKENS, provider="openai", product="m",
        prices=(price("0.1"), price("0.1", OUTPUT), Price(unit=REQUEST, rate=Rate(Decimal("0.005")))),
    )  # fmt: skip
    routing = world(offers=(fee, offer("azure", "m", "1")))
    assert routing.route(call("m")).decision.chosen == "azure/m"


def test_unpriced_targets_come_last_and_say_why():
    odd = Offer(
        id="openai/m", kind=Kind.TOKENS, provider="openai", product="m", prices=(price("1", Unit(measure="image")),)
    )
    route = world(offers=(odd, offer("azure", "m", "50"))).route(call("m"))
    assert names(route) == ["azure/m", "openai/m"]
    assert "cannot be compared: openai/m has no price for token.input" in route.decision.rejected[0].reason


# weights


def test_weights_are_kept_in_the_long_run():
    targets = (
        TargetSettings(provider="openai", model="gpt-4o-mini", weight=3),
        TargetSettings(provider="azure", model="gpt-4o-mini", weight=1),
    )
    routing = world({"a": ModelSettings(targets=targets, strategy="weighted")}, draw=random.Random(3).random)
    first = [names(routing.route(call("a")))[0] for _ in range(10_000)]
    assert first.count("openai/gpt-4o-mini") == pytest.approx(7500, abs=130)


def test_weight_zero_is_a_standby():
    targets = (
        TargetSettings(provider="openai", model="gpt-4o-mini", weight=0),
        TargetSettings(provider="azure", model="gpt-4o-mini"),
    )
    for drawn in (0.0, 0.5, 0.999):
        routing = world({"a": ModelSettings(targets=targets, strategy="weighted")}, draw=lambda d=drawn: d)
        route = routing.route(call("a"))
        assert names(route) == ["azure/gpt-4o-mini", "openai/gpt-4o-mini"]
    assert route.decision.rejected[0].stage == "weight"


# learning


def test_expected_tokens_follow_what_was_observed():
    routing = world()
    for i in range(40):
        routing.route(call("gpt-4o-mini", request_id=f"r{i}", input_estimate=1000))
        routing.observe(outcome(f"r{i}", usage={"token.input": 300}, input_tokens=300, output_tokens=50))
    route = routing.route(call("gpt-4o-mini", input_estimate=2000, output_limit=0))
    assert "600 + 50 expected tokens" in route.decision.reason


def test_the_output_cap_caps_the_expectation():
    assert "1,000 + 7 expected" in world().route(call("gpt-5", output_limit=7)).decision.reason


def test_embeddings_expect_no_output():
    small = Offer(id="openai/e", kind=Kind.TOKENS, provider="openai", product="e", prices=(price("0.02"),))
    decision = world(offers=(small,)).route(call("e", operation=Operation.EMBEDDING)).decision
    assert decision.expected_cost == Money(Decimal("0.00002"))


def test_a_slow_target_loses_to_a_dearer_one_that_keeps_the_promise():
    routing = world({"a": alias(("openai", "gpt-4o-mini"), ("azure", "gpt-4o-mini"), objective=Objective(p95_ms=500))})
    for i in range(30):
        routing.observe(outcome(f"r{i}", upstream_ms=2000.0))
    route = routing.route(call("a"))
    assert names(route) == ["azure/gpt-4o-mini"]
    [rejection] = route.decision.rejected
    assert rejection.stage == "latency"
    assert "over 30 requests, 500 ms is the limit" in rejection.reason


def test_few_samples_are_not_held_against_a_target():
    routing = world()
    for i in range(15):
        routing.observe(outcome(f"r{i}", upstream_ms=2000.0))
    assert len(routing.route(call("gpt-4o-mini", objective=Objective(p95_ms=500))).targets) == 2
    assert len(routing.route(call("gpt-4o-mini", objective=Objective(p50_ms=500))).targets) == 1


def test_the_stricter_of_two_promises_holds():
    routing = world({"a": alias(("openai", "gpt-4o-mini"), ("azure", "gpt-4o-mini"), objective=Objective(p50_ms=9000))})
    for i in range(30):
        routing.observe(outcome(f"r{i}", upstream_ms=2000.0))
    assert len(routing.route(call("a")).targets) == 2
    assert len(routing.route(call("a", objective=Objective(p50_ms=1000))).targets) == 1


def test_time_to_first_token_is_the_upstreams_own():
    routing = world()
    for i in range(30):
        routing.observe(outcome(f"r{i}", total_ms=1000.0, upstream_ms=200.0, ttft_ms=850.0))
    ask = call("gpt-4o-mini", objective=Objective(ttft_p95_ms=60))
    assert len(routing.route(ask).targets) == 2
    ask = call("gpt-4o-mini", objective=Objective(ttft_p95_ms=40))
    assert len(routing.route(ask).targets) == 1


def test_a_rate_limited_target_rests_as_long_as_it_asked():
    routing = world()
    limited = outcome(status=Status.ERROR, error_kind=ErrorKind.RATE_LIMIT, total_ms=0.0, upstream_ms=0.0)
    routing.observe(limited, retry_after=20)
    during = routing.route(call("gpt-4o-mini", at=NOW + timedelta(seconds=19)))
    assert names(during) == ["azure/gpt-4o-mini"]
    assert during.decision.rejected[0].stage == "health"
    assert len(routing.route(call("gpt-4o-mini", at=NOW + timedelta(seconds=21))).targets) == 2


def test_two_failures_are_forgiven_three_are_not_and_one_success_heals():
    routing = world()
    failed = outcome(status=Status.ERROR, error_kind=ErrorKind.SERVER)
    routing.observe(failed)
    routing.observe(failed)
    assert len(routing.route(call("gpt-4o-mini")).targets) == 2
    routing.observe(failed)
    assert len(routing.route(call("gpt-4o-mini")).targets) == 1
    routing.observe(outcome())
    assert len(routing.route(call("gpt-4o-mini")).targets) == 1, "that answer was under way before it failed"
    routing.observe(outcome(at=NOW + timedelta(seconds=1)))
    assert len(routing.route(call("gpt-4o-mini")).targets) == 2


def test_a_senders_mistake_is_not_the_targets():
    routing = world()
    for _ in range(10):
        routing.observe(outcome(status=Status.ERROR, error_kind=ErrorKind.BAD_REQUEST))
        routing.observe(outcome(status=Status.CANCELLED, total_ms=9999.0, upstream_ms=9999.0))
    route = routing.route(call("gpt-4o-mini", objective=Objective(p50_ms=100)))
    assert len(route.targets) == 2


def test_experience_survives_a_new_snapshot():
    old = world()
    for _ in range(3):
        old.observe(outcome(status=Status.ERROR, error_kind=ErrorKind.SERVER))
    fresh = world()
    renewed = SnapshotRouter(
        Snapshot(made=NOW, providers={"openai": ProviderSettings(vendor="openai")}, offers=OFFERS),
        {"openai": Provider(name="openai", vendor="openai", dialect="openai", base_url="http://x", prices="openai")},
        draw=lambda: 0.5,
        experience=old.experience,
    )
    assert "overruled" not in fresh.route(call("gpt-4o-mini")).decision.reason
    assert "overruled" in renewed.route(call("gpt-4o-mini")).decision.reason


def test_memory_stays_bounded_whatever_is_asked():
    routing = world()
    for i in range(9000):
        routing.route(call(f"openai/private-{i}", request_id=f"r{i}"))
        routing.observe(outcome(f"x{i}", model=f"private-{i}"))
    learned = routing.experience
    assert len(learned._tracks) <= 4096
    assert len(learned._expected) <= 4096
    assert len(learned._pending) <= 8192
    assert len(routing._plans) <= 2048


# routes that are kept


@given(st.integers(0, 10**12))
def test_expected_tokens_are_rounded_by_a_fortieth_at_most(tokens):
    assert abs(rounded(tokens) - tokens) * 40 <= tokens
    assert rounded(rounded(tokens)) == rounded(tokens)


def test_rounding_keeps_the_order():
    found = [rounded(tokens) for tokens in range(25_000)]
    assert found == sorted(found)


def test_equal_calls_share_a_route_for_a_moment():
    routing = world()
    first = routing.route(call("gpt-4o-mini", request_id="a", input_estimate=4000))
    assert routing.route(call("gpt-4o-mini", request_id="b", input_estimate=4040)) is first
    assert routing.route(call("gpt-4o-mini", request_id="c", input_estimate=4400)) is not first
    assert routing.route(call("gpt-4o-mini", request_id="d", output_limit=50)) is not first
    assert routing.route(call("gpt-4o-mini", request_id="e", at=NOW + KEPT)) is not first


def test_a_kept_route_ends_with_a_failure():
    routing = world()
    assert names(routing.route(call("gpt-4o-mini")))[0] == "openai/gpt-4o-mini"
    routing.observe(outcome(status=Status.ERROR, error_kind=ErrorKind.RATE_LIMIT), retry_after=5.0)
    assert names(routing.route(call("gpt-4o-mini")))[0] == "azure/gpt-4o-mini"
    routing.observe(outcome(at=NOW + timedelta(seconds=1)))
    assert names(routing.route(call("gpt-4o-mini")))[0] == "openai/gpt-4o-mini"


def test_a_kept_route_ends_with_its_price():
    change = NOW + KEPT / 2
    cheap = offer("openai", "m", "1", effective=Window(end=change))
    dear = offer("openai", "m", "9", effective=Window(start=change))
    routing = world(offers=(cheap, dear, offer("azure", "m", "3")))
    assert names(routing.route(call("m")))[0] == "openai/m"
    assert names(routing.route(call("m", at=change)))[0] == "azure/m"


def test_what_is_drawn_is_drawn_anew():
    draws = iter([0.9, 0.1, 0.1, 0.9])
    models = {"a": alias(("openai", "gpt-4o-mini"), ("azure", "gpt-4o-mini"), strategy="weighted")}
    routing = world(models, draw=lambda: next(draws))
    assert [names(routing.route(call("a")))[0] for _ in range(2)] == ["openai/gpt-4o-mini", "azure/gpt-4o-mini"]


# the record


def test_the_record_is_the_decision_in_fixed_point_json():
    route = world(offers=(offer("openai", "m", "0.001"),)).route(call("m", input_estimate=4, output_limit=1))
    assert json.loads(route.record) == {
        "asked": "m",
        "chosen": "openai/m",
        "reason": "the only eligible target, for 1 + 1 expected tokens",
        "rejected": [],
        "expected_cost": {"amount": "0.000000003", "currency": "USD"},
        "expected_ms": None,
        "baseline": "openai/m",
        "baseline_cost": {"amount": "0.000000003", "currency": "USD"},
    }


def test_the_record_of_an_unpriced_choice_says_why():
    record = json.loads(world().route(call("openai/new")).record)
    assert record["expected_cost"] == {"reason": "no price is known for new"}
