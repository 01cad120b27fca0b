"""Reading usage objects: where they are found, and what is made of odd ones."""

import pytest

from farthing.catalog.usage import FLAVORS, read_usage, usage_in
from farthing.core.errors import InputError
from farthing.core.units import CACHE_READ, CACHE_WRITE, CACHE_WRITE_5M, INPUT, OUTPUT, REASONING, Unit, Usage


@pytest.mark.parametrize("flavor", sorted(FLAVORS))
@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"{", b"\xff\xfe", b'"usage"', b"{}", b'{"usage":5}', b'{"prompt_tokens":"many"}'],
)
def test_what_is_no_usage_object_reads_as_nothing(flavor, payload):
    assert read_usage(flavor, payload) is None
    assert usage_in(flavor, payload) is None


@pytest.mark.parametrize(
    ("flavor", "payload"),
    [
        ("openai_chat", b'{"prompt_tokens":-1,"completion_tokens":2}'),
        ("anthropic", b'{"input_tokens":5,"output_tokens":-3}'),
        ("gemini", b'{"promptTokenCount":-5}'),
    ],
)
def test_negative_counts_read_as_nothing(flavor, payload):
    assert read_usage(flavor, payload) is None


def test_an_unknown_flavor_is_named_with_the_known_ones():
    with pytest.raises(InputError, match="openai_chat"):
        read_usage("smoke_signals", b"{}")


def test_whole_floats_are_counts_and_fractions_are_not():
    assert read_usage("openai_chat", b'{"prompt_tokens":12.0,"completion_tokens":3}') == Usage({INPUT: 12, OUTPUT: 3})
    assert read_usage("openai_chat", b'{"prompt_tokens":12.5,"completion_tokens":3}') is None


def test_unknown_fields_are_ignored():
    assert read_usage("groq", b'{"prompt_tokens":1,"completion_tokens":2,"queue_time":0.1,"x":{"y":[1]}}') == Usage(
        {INPUT: 1, OUTPUT: 2}
    )


def test_contradictions_are_kept_for_pricing_to_explain():
    usage = read_usage("openai_chat", b'{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":5}}')
    assert usage is not None
    assert usage[CACHE_READ] == 5
    assert usage[INPUT] == 1


def test_reasoning_inside_and_beside_the_completion_are_told_apart_by_the_total():
    details = {"completion_tokens_details": {"reasoning_tokens": 50}, "prompt_tokens": 10, "completion_tokens": 60}
    inside = read_usage("openai_chat", {**details, "total_tokens": 70})
    beside = read_usage("openai_chat", {**details, "total_tokens": 120})
    assert inside is not None
    assert beside is not None
    assert (inside[OUTPUT], inside[REASONING]) == (60, 50)
    assert (beside[OUTPUT], beside[REASONING]) == (110, 50)


def test_xai_counts_reasoning_beside_unless_the_total_denies_it():
    details = {"completion_tokens_details": {"reasoning_tokens": 50}, "prompt_tokens": 10, "completion_tokens": 60}
    without_total, denied = read_usage("xai", details), read_usage("xai", {**details, "total_tokens": 70})
    assert without_total is not None
    assert denied is not None
    assert without_total[OUTPUT] == 110
    assert denied[OUTPUT] == 60


@pytest.mark.parametrize(
    ("flavor", "answer"),
    [
        ("openai_chat", {"id": "c", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        ("groq", {"choices": [], "x_groq": {"id": "r", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}}),
        ("anthropic", {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 4}}}),
        ("anthropic", {"type": "message_delta", "usage": {"input_tokens": 3, "output_tokens": 4}}),
        ("gemini", {"candidates": [], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4}}),
        ("bedrock_converse", {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}}}),
        (
            "cohere",
            {"type": "message-end", "delta": {"usage": {"billed_units": {"input_tokens": 3, "output_tokens": 4}}}},
        ),
        ("openai_responses", {"response": {"usage": {"input_tokens": 3, "output_tokens": 4}}}),
    ],
)
def test_the_object_is_found_in_answers_and_events(flavor, answer):
    assert usage_in(flavor, answer) == Usage({INPUT: 3, OUTPUT: 4})


def test_anthropic_split_without_a_sum_still_adds_up():
    usage = read_usage(
        "anthropic", {"input_tokens": 1, "output_tokens": 2, "cache_creation": {"ephemeral_5m_input_tokens": 7}}
    )
    assert usage == Usage({INPUT: 8, OUTPUT: 2, CACHE_WRITE: 7, CACHE_WRITE_5M: 7})


def test_gemini_images_are_not_split_where_their_cached_part_is_unknown():
    usage = read_usage(
        "gemini",
        {
            "promptTokenCount": 1000,
            "cachedContentTokenCount": 900,
            "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 800}],
        },
    )
    assert usage == Usage({INPUT: 1000, OUTPUT: 0, CACHE_READ: 900})
    assert usage.leaves() == {CACHE_READ: 900, INPUT: 100}


def test_rerank_searches_are_counted():
    usage = usage_in("cohere", {"results": [], "meta": {"billed_units": {"search_units": 2}}})
    assert usage is not None
    assert usage[Unit(measure="search", kind="rerank")] == 2


def test_server_side_tools_of_xai_are_counted():
    usage = read_usage(
        "openai_responses",
        {
            "input_tokens": 1,
            "output_tokens": 1,
            "server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 3, "code_interpreter_calls": 1},
        },
    )
    assert usage is not None
    assert usage[Unit(measure="search", kind="web")] == 2
    assert usage[Unit(measure="search", kind="social")] == 3
    assert usage[Unit(measure="execution")] == 1
