"""What an attempt cost, and how honest the fact is about it."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from farthing.core.facts import ErrorKind, Operation, Source, Status
from farthing.core.money import Money, Rate
from farthing.core.nouns import Decision, Kind, Offer, Price, Scope, Terms
from farthing.core.units import (
    CACHE_READ,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    INPUT,
    OUTPUT,
    REASONING,
    Unit,
    Usage,
)
from farthing.gateway.meter import begin, finish
from farthing.gateway.ports import Call, Caller, Meter, Provider, Route, Target

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PROVIDER = Provider(name="acme", vendor="openai", dialect="openai", base_url="http://x", prices="acme")


def offer(cost="2", id="acme/m", currency="USD", **more):
    rates = {INPUT: cost, OUTPUT: str(4 * Decimal(cost)), CACHE_READ: "0.2"}
    prices = tuple(Price(unit=u, rate=Rate(Decimal(r), currency, 1_000_000)) for u, r in rates.items())
    return Offer(id=id, kind=Kind.TOKENS, provider="acme", product="m", prices=prices, **more)


def target(*offers, **more):
    offer_id = offers[0].id if offers else "acme/m"
    return Target(provider=PROVIDER, model="m", offer_id=offer_id, offers=offers, **more)


def call(**more):
    base = {
        "request_id": "r1", "at": NOW, "operation": Operation.CHAT, "dialect": "openai", "path": "/", "model": "m",
        "body": b"{}", "caller": Caller(key_id="k1", scope=Scope(team="search")), "labels": {"job": "nightly"},
    }  # fmt: skip
    return Call(**base | more)


def opened(place=None, **more):
    place = place or target(offer())
    decision = Decision(asked="m", chosen="acme/m", reason="only one", baseline="acme/m")
    return begin(
        call(**more), Route(targets=(place,), decision=decision, record='{"asked":"m"}'), place, 1, worker="w1"
    )


def metered(
    usage=None, *, place=None, status=Status.OK, http_status=200, baseline=None, operation=Operation.CHAT, **said
):
    place = place or target(offer())
    source = said.pop("usage_source", Source.PROVIDER if usage is not None else Source.NONE)
    meter = Meter(usage=usage, usage_source=source, **{"complete": True} | said)
    return finish(
        opened(place, operation=operation), meter, place, status=status, http_status=http_status, baseline=baseline
    )


# what is known before the answer


def test_an_opened_fact_is_what_remains_when_the_worker_dies():
    fact = opened()
    assert (fact.request_id, fact.attempt, fact.worker) == ("r1", 1, "w1")
    assert fact.status is Status.ABANDONED
    assert fact.cost is None
    assert "not known" in fact.unpriced
    assert (fact.provider, fact.model, fact.offer) == ("acme", "m", "acme/m")
    assert (fact.key_id, fact.scope.team, fact.tags) == ("k1", "search", {"job": "nightly"})
    assert fact.decision == '{"asked":"m"}'


# prices


def test_usage_is_priced_line_by_line_at_the_catalogue():
    fact = metered(Usage.tokens(1000, 100, cache_read=400))
    assert fact.cost == Decimal("0.00208")
    assert fact.cost_source is Source.CATALOG
    assert fact.unpriced == ""
    assert sorted(fact.lines) == [
        ("token.input", "600", "2", 1_000_000, "0.001200"),
        ("token.input.cache_read", "400", "0.2", 1_000_000, "0.0000800"),
        ("token.output", "100", "8", 1_000_000, "0.000800"),
    ]
    assert sum(Decimal(line[4]) for line in fact.lines) == fact.cost


def test_counts_are_kept_as_reported_and_classes_are_disjoint():
    usage = Usage(
        {INPUT: 1000, CACHE_READ: 400, CACHE_WRITE_5M: 50, CACHE_WRITE_1H: 30, OUTPUT: 100, REASONING: 60,
         Unit(direction="input", modality="audio"): 20}
    )  # fmt: skip
    fact = metered(usage)
    assert fact.usage["token.input"] == 1000
    assert fact.usage["token.input.cache_write.1h"] == 30
    assert (fact.input_tokens, fact.cache_read_tokens, fact.cache_write_tokens) == (520, 400, 80)
    assert (fact.output_tokens, fact.reasoning_tokens) == (40, 60)


def test_classes_are_the_same_whether_or_not_there_is_a_price():
    usage = Usage.tokens(1000, 100, cache_read=400, cache_write=10, reasoning=60)
    fields = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
    priced, unpriced = metered(usage), metered(usage, place=target())
    assert unpriced.cost is None
    assert [getattr(priced, f) for f in fields] == [getattr(unpriced, f) for f in fields] == [590, 400, 10, 40, 60]


def test_the_ledgers_twelve_decimals_round_half_to_even_once():
    fact = metered(Usage.tokens(1, 0), place=target(offer("0.0000025")))
    assert fact.cost == Decimal("2E-12")
    assert fact.lines[0][4] == "0.0000000000025"


def test_farthings_own_counts_are_marked_as_estimated():
    fact = metered(Usage.tokens(10, 5), usage_source=Source.ESTIMATED)
    assert fact.cost_source is Source.ESTIMATED
    assert fact.cost == Decimal("0.00006")


def test_what_the_provider_says_it_charged_wins():
    fact = metered(Usage.tokens(1000, 100), reported_cost=Money.of("0.0012345678901234"))
    assert fact.cost == Decimal("0.001234567890")
    assert fact.cost_source is Source.PROVIDER
    assert fact.lines == ()
    assert (fact.input_tokens, fact.output_tokens) == (1000, 100)


def test_a_zero_that_the_provider_reports_is_a_cost():
    fact = metered(reported_cost=Money.zero())
    assert (fact.cost, fact.cost_source) == (Decimal(0), Source.PROVIDER)


# unpriced, with reasons


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        (lambda: metered(Usage.tokens(1, 1), place=target()), "no price is known for m at acme"),
        (metered, "acme reported no usage"),
        (lambda: metered(Usage.tokens(5, 1, cache_read=9)), "9 cannot exceed token.input of 5"),
        (lambda: metered(Usage.tokens(5, 1), reported_cost=Money.of("1", "EUR")), "acme reported 1 EUR"),
        (lambda: metered(Usage.tokens(5, 1), place=target(offer(currency="EUR"))), "priced in EUR"),
        (lambda: metered(Usage.tokens(5, 1), service_tier="premium-x"), "tier 'premium-x', whose price is not known"),
        (lambda: metered(Usage.tokens(5, 1), service_tier="flex"), "no flex price is known for m"),
        (
            lambda: metered(status=Status.TRUNCATED, complete=False),
            "the answer of acme ended before it was complete",
        ),
        (
            lambda: metered(status=Status.ERROR, http_status=0, error_kind=ErrorKind.TIMEOUT, complete=False),
            "broke off (timeout)",
        ),
        (lambda: metered(status=Status.ERROR, http_status=504, error_kind=ErrorKind.SERVER), "broke off (server)"),
    ],
)
def test_what_is_not_known_is_none_with_a_reason(fact, reason):
    fact = fact()
    assert fact.cost is None
    assert fact.cost_source is Source.NONE
    assert fact.baseline_cost is None
    assert reason in fact.unpriced


def test_contradictory_counts_are_kept_unsplit():
    fact = metered(Usage.tokens(5, 1, cache_read=9))
    assert fact.usage == {"token.input": 5, "token.output": 1, "token.input.cache_read": 9}
    assert (fact.input_tokens, fact.cache_read_tokens, fact.output_tokens) == (5, 0, 1)


# zero is written where providers do not bill


@pytest.mark.parametrize(
    "ended",
    [
        {"http_status": 400, "error_kind": ErrorKind.BAD_REQUEST},
        {"http_status": 401, "error_kind": ErrorKind.AUTH},
        {"http_status": 429, "error_kind": ErrorKind.RATE_LIMIT},
        {"http_status": 500, "error_kind": ErrorKind.SERVER},
        {"http_status": 0, "error_kind": ErrorKind.CONNECT},
    ],
)
def test_a_refused_request_costs_nothing(ended):
    fact = metered(status=Status.ERROR, **ended)
    assert (fact.cost, fact.cost_source, fact.unpriced) == (Decimal(0), Source.CATALOG, "")
    assert fact.baseline_cost == Decimal(0)
    assert fact.usage == {}


def test_counting_tokens_is_free_but_only_when_it_answered():
    assert metered(operation=Operation.COUNT_TOKENS).cost == Decimal(0)
    lost = metered(operation=Operation.COUNT_TOKENS, status=Status.ERROR, http_status=504, error_kind=ErrorKind.TIMEOUT)
    assert lost.cost is None


def test_an_error_after_tokens_were_counted_still_costs_them():
    fact = metered(Usage.tokens(10, 5), status=Status.CANCELLED, usage_source=Source.ESTIMATED, complete=False)
    assert fact.cost == Decimal("0.00006")


# tiers and baselines

FLEX = offer("1", "acme/m:flex", terms=Terms.FLEX)


def test_the_tier_that_served_sets_the_price():
    place = target(offer(), other_terms={Terms.FLEX: (FLEX,)})
    fact = metered(Usage.tokens(1000, 0), place=place, service_tier="flex", baseline=place)
    assert (fact.offer, fact.cost) == ("acme/m:flex", Decimal("0.001"))
    assert (fact.baseline_offer, fact.baseline_cost) == ("acme/m", Decimal("0.002"))


def test_flex_that_fell_back_to_default_is_priced_on_demand():
    place = target(FLEX, other_terms={Terms.ON_DEMAND: (offer(),)})
    fact = metered(Usage.tokens(1000, 0), place=place, service_tier="default")
    assert (fact.offer, fact.cost) == ("acme/m", Decimal("0.002"))


@pytest.mark.parametrize("tier", ["default", "standard", "on_demand", "auto", ""])
def test_words_for_the_usual_tier_are_the_usual_price(tier):
    assert metered(Usage.tokens(1000, 0), service_tier=tier).cost == Decimal("0.002")


def test_the_baseline_is_the_named_offer_at_the_same_usage():
    named = target(offer("10", "acme/big"))
    fact = metered(Usage.tokens(1000, 100, cache_read=400), baseline=named)
    assert fact.baseline_offer == "acme/big"
    assert fact.baseline_cost == Decimal("0.01008")
    assert fact.cost == Decimal("0.00208")


def test_a_discount_the_provider_reports_is_no_saving():
    place = target(offer())
    fact = metered(Usage.tokens(1000, 0), place=place, baseline=place, reported_cost=Money.of("0.0005"))
    assert fact.baseline_cost == fact.cost == Decimal("0.0005")


def test_an_unpriced_baseline_is_unknown_not_zero():
    assert (
        metered(Usage.tokens(1000, 0), baseline=Target(provider=PROVIDER, model="x", offer_id="x/x")).baseline_cost
        is None
    )


# the fact as a whole


def test_finishing_changes_the_outcome_and_nothing_else():
    fact = opened()
    done = finish(
        fact,
        Meter(
            usage=Usage.tokens(1, 1), usage_source=Source.PROVIDER, served_model="m-1", upstream_id="u1",
            finish_reason="stop", complete=True,
        ),
        target(offer()),
        status=Status.OK, http_status=200, total_ms=12.5, ttft_ms=3.5, upstream_ms=11.0, request_bytes=7, response_bytes=9,
    )  # fmt: skip
    assert (done.served_model, done.upstream_id, done.finish_reason) == ("m-1", "u1", "stop")
    assert (done.total_ms, done.ttft_ms, done.upstream_ms) == (12.5, 3.5, 11.0)
    assert (done.request_bytes, done.response_bytes) == (7, 9)
    for kept in ("request_id", "attempt", "at", "scope", "key_id", "decision", "tags", "requested_model", "worker"):
        assert getattr(done, kept) == getattr(fact, kept)


def test_a_fact_survives_the_journals_encoding():
    fact = metered(Usage.tokens(1000, 100, cache_read=400))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(fact), type=type(fact)) == fact


def test_fractional_counts_stay_exact_in_the_lines():
    seconds = Unit(measure="second", direction="input", modality="audio")
    listening = Offer(
        id="acme/ear", kind=Kind.TOKENS, provider="acme", product="m",
        prices=(Price(unit=seconds, rate=Rate(Decimal("0.0001"))),),
    )  # fmt: skip
    fact = metered(Usage({seconds: Decimal("12.4")}), place=target(listening))
    assert fact.lines == (("second.input.audio", "12.4", "0.0001", 1, "0.00124"),)
    assert fact.cost == Decimal("0.00124")
    assert fact.usage == {"second.input.audio": 12}
