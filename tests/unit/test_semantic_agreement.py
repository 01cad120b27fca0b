"""Whether two answers say the same: by value, by what they state, or not to be told."""

import json

import pytest

from farthing.cache.semantic.agreement import agrees

STEPS = (
    "Open the garden app, choose Zones, then tap Schedule. Pick the days you want, set the start to six in the morning "
    "and save; the valve closes by itself after 20 minutes."
)
STEPS_AGAIN = (
    "In the garden app choose Zones and tap Schedule. Set the start to six in the morning, pick the days you want and "
    "save. After 20 minutes the valve closes by itself."
)
OTHER = (
    "The committee met in Tromsø, heard the treasurer's report and postponed the vote. Members will get the minutes by "
    "post, along with the ballot papers and a stamped envelope."
)

SAME = [
    ("Oslo", "oslo."),
    ("**Oslo**", "Oslo"),
    ("Sure! Oslo.", "Oslo"),
    ("42", "42.0"),
    ("1,500", "1500"),
    ("The answer is: 42", "42"),
    ("Oslo", "The capital of Norway is Oslo."),
    ("$18.50", "The total is $18.50"),
    ("The capital of Norway is Oslo.", "Oslo is the capital of Norway."),
    ("Yes", "Yes, it floats on water."),
    ('{"label": "billing", "score": 1}', '```json\n{"score": 1.0, "label": "Billing"}\n```'),
    ('["a", "b"]', '[ "a", "b" ]'),
    ("It takes 2 hours.", "It takes 120 minutes."),
    (STEPS, STEPS_AGAIN),
]

OTHERWISE = [
    ("Oslo", "Bergen"),
    ("41", "42"),
    ("Yes, it floats.", "No, it sinks."),
    ("true", "false"),
    ("billing", "not billing"),
    ("Oslo", ""),
    ("It is safe.", "It is not safe."),
    ("You have 14 days to appeal.", "You have 28 days to appeal."),
    ('{"label": "billing"}', '{"label": "returns"}'),
    ('{"label": "billing"}', '{"label": "billing", "score": 1}'),
    ('{"done": true}', '{"done": 1}'),
    ("[1, 2]", "[1, 2, 3]"),
    ('{"a": 1}', "It is one."),
    (STEPS, STEPS_AGAIN.replace("20", "45")),
    (STEPS, OTHER),
]

UNKNOWN = [
    ("Oslo", "Oslo or Bergen"),
    ("billing", "Category: billing"),
    (STEPS, "Choose Zones in the garden app. The days and the start are set under Schedule, where you also save them."),
    ("x" * 30_000, "y" * 30_000),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_the_same_however_it_is_written(a, b):
    assert agrees(a, b) is True
    assert agrees(b, a) is True


@pytest.mark.parametrize(("a", "b"), OTHERWISE)
def test_what_contradicts(a, b):
    assert agrees(a, b) is False
    assert agrees(b, a) is False


@pytest.mark.parametrize(("a", "b"), UNKNOWN)
def test_what_cannot_be_told(a, b):
    assert agrees(a, b) is None
    assert agrees(b, a) is None


def test_json_is_the_same_only_when_all_of_it_is():
    told = {"label": "billing", "why": STEPS}
    assert agrees(json.dumps(told), json.dumps({**told, "why": STEPS_AGAIN})) is True
    assert agrees(json.dumps(told), json.dumps({**told, "why": OTHER})) is False
    assert agrees(json.dumps(told), json.dumps({"label": "returns", "why": STEPS})) is False


def test_prose_whose_embeddings_are_far_apart_is_not_taken_for_the_same():
    assert agrees(STEPS, STEPS_AGAIN, lambda _a, _b: 0.9) is True
    assert agrees(STEPS, STEPS_AGAIN, lambda _a, _b: 0.5) is None
    assert agrees(STEPS, OTHER, lambda _a, _b: 0.8) is None


def test_embeddings_are_not_asked_where_the_words_decide():
    def never(_a: str, _b: str) -> float:
        raise AssertionError

    assert agrees("Oslo", "Bergen", never) is False
    assert agrees("You have 14 days.", "You have 28 days.", never) is False
    assert agrees(STEPS, STEPS, never) is True


@pytest.mark.parametrize("odd", ["", "{", "[", "```\n```", "{}", "null", "\x00", "1e999", '{"a": ' * 2000, "“”"])
def test_any_answer_agrees_with_itself_and_with_nothing_else(odd):
    assert agrees(odd, odd) is True
    assert agrees(odd, "The valve closes after twenty minutes.") is not True
