"""The demo's parts: deterministic minds, a past that adds up, a bill that adds up, simulated faults."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from farthing.catalog.catalog import Catalog
from farthing.cli.demo import has_screen
from farthing.core.facts import Status
from farthing.demo.company import FEATURES
from farthing.demo.history import past, places_of
from farthing.demo.mind import Mind, Turn, as_text, tokens_of
from farthing.demo.traffic import body_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def offers():
    catalog = Catalog.load(now=NOW)
    lists = {"gemini": "google"}
    found = {}
    for feature in FEATURES:
        for provider, model in places_of(feature.model):
            offer = catalog.match(model, lists.get(provider, provider))
            assert offer is not None, model
            found[provider, model] = catalog.variants(offer)
    return found


def test_a_mind_answers_the_same_question_the_same_way():
    turn = Turn(model="m", prompt="Where is my order?", limit=20)
    assert Mind().answer(turn) == Mind().answer(turn)
    assert Mind().answer(turn).output_tokens <= 20


def test_a_prompt_prefix_that_was_seen_is_cached_in_blocks():
    mind = Mind()
    first = mind.answer(Turn(model="m", prompt="x" * 8000 + " one"))
    second = mind.answer(Turn(model="m", prompt="x" * 8000 + " two"))
    other = mind.answer(Turn(model="other", prompt="x" * 8000 + " two"))
    assert (first.cached_tokens, other.cached_tokens) == (0, 0)
    assert 1024 <= second.cached_tokens <= second.input_tokens


def test_short_prompts_are_never_cached():
    mind = Mind()
    for _ in range(2):
        assert mind.answer(Turn(model="m", prompt="x" * 400)).cached_tokens == 0


def test_the_past_is_priced_and_every_cost_is_the_sum_of_its_lines(offers):
    facts = list(past(offers, until=NOW, days=2, per_day=300, dice=random.Random(1)))
    assert facts == list(past(offers, until=NOW, days=2, per_day=300, dice=random.Random(1)))
    assert len({f.request_id for f in facts}) == len(facts) > 200
    for fact in facts:
        assert NOW - timedelta(days=2) <= fact.at < NOW
        assert fact.cost is not None
        assert fact.baseline_cost >= fact.cost
        if fact.status is Status.OK:
            assert sum(Decimal(line[4]) for line in fact.lines) == fact.cost


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name or "unallocated")
def test_every_feature_asks_in_its_own_dialect(feature):
    body = body_of(feature, random.Random(1))
    assert body["model"] == feature.model
    assert tokens_of(as_text(body)) > feature.system
    assert msgspec.json.encode(body)


@pytest.mark.parametrize(("env", "screen"), [({}, False), ({"DISPLAY": ":0"}, True), ({"WAYLAND_DISPLAY": "w"}, True)])
def test_a_browser_opens_only_where_there_is_a_screen(env, screen, monkeypatch):
    monkeypatch.setattr("farthing.cli.demo.sys.platform", "linux")
    assert has_screen(env) is screen
