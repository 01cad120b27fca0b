"""The router against brute force: no regret, every loser explained once, filters only narrow."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.catalog.price import price_at
from farthing.core.errors import InputError
from farthing.core.facts import ErrorKind, Operation, RequestFact, Source, Status
from farthing.core.money import Money, Rate
from farthing.core.nouns import Capability, Kind, Objective, Offer, Price, Scope
from farthing.core.units import INPUT, OUTPUT, Usage
from farthing.gateway.eligibility import HARD
from farthing.gateway.experience import OUTPUT_TOKENS
from farthing.gateway.ports import Call, Provider
from farthing.gateway.route import SnapshotRouter
from farthing.gateway.settings import ModelSettings, ProviderSettings, TargetSettings
from farthing.gateway.snapshot import Snapshot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TAGS = ("eu-only", "hipaa", "zdr")
REGIONS = ("eu-west-1", "us-east-1", "")
WORDS = ("image", "tools")


@st.composite
def places(draw):
    """One provider with its only model: price, place, abilities, latency."""
    subset = lambda words: draw(st.frozensets(st.sampled_from(words)))  # noqa: E731
    return {
        "in": Decimal(draw(st.integers(1, 50))),
        "out": Decimal(draw(st.integers(1, 50))),
        "long": draw(st.sampled_from([0, 500, 2000])),
        "tags": subset(TAGS),
        "region": draw(st.sampled_from(REGIONS)),
        "modalities": subset(("image", "text")),
        "features": subset(("tools", "stream")),
        "context": draw(st.sampled_from([0, 600, 4000])),
        "ms": draw(st.sampled_from([50.0, 400.0, 3000.0])),
    }


worlds = st.lists(places(), min_size=1, max_size=6)


@st.composite
def calls(draw):
    return Call(
        request_id="r",
        at=NOW,
        operation=Operation.CHAT,
        dialect="openai",
        path="/v1/chat/completions",
        model="alias",
        body=b"{}",
        input_estimate=draw(st.sampled_from([0, 800, 2400, 12_000])),
        output_limit=draw(st.sampled_from([0, 10, 1000])),
        needs=draw(st.frozensets(st.sampled_from(WORDS))),
        tags=draw(st.frozensets(st.sampled_from(TAGS), max_size=2)),
        regions=draw(st.sampled_from([frozenset(), frozenset({"eu"}), frozenset({"us-east-1", "eu-west-1"})])),
        objective=draw(st.sampled_from([Objective(), Objective(p95_ms=500)])),
    )


def offer(i, place):
    def price(unit, amount, above=0):
        return Price(unit=unit, rate=Rate(amount, per=1_000_000), above=above)

    prices = [price(INPUT, place["in"]), price(OUTPUT, place["out"])]
    if place["long"]:
        prices += [price(INPUT, 2 * place["in"], place["long"]), price(OUTPUT, 3 * place["out"], place["long"])]
    can = Capability(context_tokens=place["context"], input_modalities=place["modalities"], features=place["features"])
    return Offer(
        id=f"list{i}/m", kind=Kind.TOKENS, provider=f"list{i}", product="m", prices=tuple(prices), capability=can
    )


def router(world):
    providers = {
        f"p{i}": Provider(
            name=f"p{i}",
            vendor="openai",
            dialect="openai",
            base_url="http://x",
            prices=f"list{i}",
            region=place["region"],
            tags=place["tags"],
        )
        for i, place in enumerate(world)
    }
    snapshot = Snapshot(
        made=NOW,
        providers={name: ProviderSettings(vendor="openai") for name in providers},
        models={"alias": ModelSettings(targets=tuple(TargetSettings(provider=name, model="m") for name in providers))},
        offers=tuple(offer(i, place) for i, place in enumerate(world)),
    )
    routing = SnapshotRouter(snapshot, providers, draw=lambda: 0.5)
    for i, place in enumerate(world):
        seen = attempt(f"seen{i}", i, upstream_ms=place["ms"])
        for _ in range(21):
            routing.observe(seen)
    return routing


def attempt(request_id, i, *, upstream_ms=100.0, status=Status.OK, kind=ErrorKind.NONE, ago=10.0):
    return RequestFact(
        request_id=request_id,
        attempt=1,
        at=NOW - timedelta(seconds=ago),
        operation=Operation.CHAT,
        dialect="openai",
        scope=Scope(),
        requested_model="alias",
        status=status,
        worker="w",
        provider=f"p{i}",
        model="m",
        offer=f"list{i}/m",
        error_kind=kind,
        total_ms=upstream_ms,
        upstream_ms=upstream_ms,
        usage_source=Source.PROVIDER,
    )


def tokens(call):
    return call.input_estimate // 4, min(OUTPUT_TOKENS, call.output_limit or OUTPUT_TOKENS)


def cost(i, place, call):
    total = price_at(Usage.tokens(*tokens(call)), [offer(i, place)], NOW).total
    assert isinstance(total, Money)
    return total.amount


def passes_hard(place, call):
    return call.tags <= place["tags"] and (
        not call.regions or any(place["region"] in (r, f"{r}-west-1") for r in call.regions)
    )


def able(place, call):
    return ("image" not in call.needs or not place["modalities"] or "image" in place["modalities"]) and (
        "tools" not in call.needs or not place["features"] or "tools" in place["features"]
    )


def narrowed(places, keep):
    """A soft filter: overruled when it would leave nothing."""
    return [p for p in places if keep(p[1])] or places


def eligible(world, call):
    """What brute force says may serve, cheapest first; equals by latency, then by order."""
    left = [(i, place) for i, place in enumerate(world) if passes_hard(place, call)]
    left = narrowed(left, lambda p: able(p, call))
    left = narrowed(left, lambda p: not p["context"] or tokens(call)[0] + call.output_limit <= p["context"])
    if call.objective.p95_ms:
        left = narrowed(left, lambda p: p["ms"] <= call.objective.p95_ms)
    return [i for i, _ in sorted(left, key=lambda p: (cost(*p, call), p[1]["ms"], p[0]))]


@given(worlds, calls())
def test_the_route_is_what_brute_force_finds(world, call):
    wanted = eligible(world, call)
    if not wanted:
        with pytest.raises(InputError) as refusal:
            router(world).route(call)
        assert all(f"p{i}/m" in str(refusal.value) for i in range(len(world)))
        return
    route = router(world).route(call)
    assert [t.provider.name for t in route.targets] == [f"p{i}" for i in wanted]
    assert route.decision.chosen == f"p{wanted[0]}/m"
    assert route.decision.expected_cost == Money(cost(wanted[0], world[wanted[0]], call))


@given(worlds, calls())
def test_every_loser_is_explained_exactly_once(world, call):
    try:
        decision = router(world).route(call).decision
    except InputError:
        return
    names = Counter([decision.chosen, *(r.offer for r in decision.rejected)])
    assert names == Counter(f"p{i}/m" for i in range(len(world)))
    assert all(r.stage and r.reason for r in decision.rejected)


def survivors(routing, call):
    """Targets that no hard filter refused."""
    hard = {stage.stage for stage in HARD}
    try:
        decision = routing.route(call).decision
    except InputError:
        return set()
    lost = {r.offer for r in decision.rejected if r.stage in hard}
    return {decision.chosen, *(r.offer for r in decision.rejected)} - lost


@given(worlds, calls(), st.sampled_from(TAGS), st.sampled_from(["eu", "us-east-1"]))
def test_another_demand_never_adds_a_target(world, call, tag, region):
    routing = router(world)
    before = survivors(routing, call)
    assert survivors(routing, msgspec.structs.replace(call, tags=call.tags | {tag})) <= before
    if not call.regions or region in call.regions:
        assert survivors(routing, msgspec.structs.replace(call, regions=frozenset({region}))) <= before


@given(worlds, calls())
def test_routing_twice_gives_the_same_route(world, call):
    routing = router(world)
    try:
        first = routing.route(call)
    except InputError:
        return
    assert routing.route(call) == first
    assert router(world).route(call) == first


@given(worlds, calls(), st.data())
def test_what_fails_repeatedly_is_not_first_while_others_are_well(world, call, data):
    call = msgspec.structs.replace(call, objective=Objective())
    wanted = eligible(world, call)
    if len(wanted) < 2:
        return
    routing = router(world)
    sick = set(data.draw(st.lists(st.sampled_from(wanted), min_size=1, unique=True)))
    for i in sick:
        failed = attempt(f"bad{i}", i, status=Status.ERROR, kind=ErrorKind.SERVER, ago=0.5)
        for _ in range(12):
            routing.observe(failed)
    route = routing.route(call)
    left = [i for i in wanted if i not in sick]
    if left:
        assert [t.provider.name for t in route.targets] == [f"p{i}" for i in left]
        reasons = {r.offer: r for r in route.decision.rejected}
        assert all(reasons[f"p{i}/m"].stage == "health" for i in sick)
    else:
        assert "overruled" in route.decision.reason
        assert len(route.targets) == len(wanted)
