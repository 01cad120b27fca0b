"""Usage as providers really report it, priced to the cent fraction their price pages give.

Each expected amount is written out by hand: counts of the payload times dollars per million of the page named
beside it, as published in November 2026. The catalogue must come to the same number, exactly.
"""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from farthing.catalog.catalog import Catalog
from farthing.catalog.price import price_at
from farthing.catalog.usage import read_usage, reported_cost, usage_in
from farthing.core.money import Money

AT = datetime(2026, 11, 15, 12, tzinfo=UTC)
D = Decimal
M = 1_000_000


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(now=AT)


CASES = [
    pytest.param(
        "openai_chat",
        "openai/gpt-4o",
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        # openai.com pricing: gpt-4o 2.50 in, 1.25 cached, 10.00 out. Cached tokens are part of the prompt.
        D(86) * D("2.50") / M + D(1920) * D("1.25") / M + D(300) * D(10) / M,
        id="openai chat: cached input",
    ),
    pytest.param(
        "openai_chat",
        "openai/gpt-5",
        {
            "prompt_tokens": 75,
            "completion_tokens": 1186,
            "total_tokens": 1261,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 1024},
        },
        # gpt-5: 1.25 in, 10.00 out; reasoning is billed as output and is part of completion_tokens.
        D(75) * D("1.25") / M + D(1186) * D(10) / M,
        id="openai chat: reasoning",
    ),
    pytest.param(
        "openai_chat",
        "openai/gpt-4o",
        {
            "prompt_tokens": 500,
            "completion_tokens": 120,
            "total_tokens": 620,
            "completion_tokens_details": {"accepted_prediction_tokens": 60, "rejected_prediction_tokens": 20},
        },
        # Predicted Outputs guide: rejected prediction tokens are billed at completion rates; they are in the total.
        D(500) * D("2.50") / M + D(120) * D(10) / M,
        id="openai chat: predictions",
    ),
    pytest.param(
        "openai_chat",
        "openai/gpt-audio",
        {
            "prompt_tokens": 120,
            "completion_tokens": 240,
            "total_tokens": 360,
            "prompt_tokens_details": {"text_tokens": 20, "audio_tokens": 100, "cached_tokens": 0},
            "completion_tokens_details": {"text_tokens": 40, "audio_tokens": 200, "reasoning_tokens": 0},
        },
        # gpt-audio: text 2.50/10.00, audio 32.00/64.00.
        D(20) * D("2.50") / M + D(100) * D(32) / M + D(40) * D(10) / M + D(200) * D(64) / M,
        id="openai chat: audio",
    ),
    pytest.param(
        "openai_completion",
        "openai/gpt-3.5-turbo-instruct",
        {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
        D(5) * D("1.50") / M + D(7) * D("2.00") / M,
        id="openai completion",
    ),
    pytest.param(
        "openai_embedding",
        "openai/text-embedding-3-small",
        {"prompt_tokens": 8191, "total_tokens": 8191},
        D(8191) * D("0.02") / M,
        id="openai embedding",
    ),
    pytest.param(
        "openai_responses",
        "openai/gpt-5.6-sol",
        {
            "input_tokens": 300_000,
            "input_tokens_details": {"cached_tokens": 200_000, "cache_write_tokens": 50_000},
            "output_tokens": 2000,
            "output_tokens_details": {"reasoning_tokens": 1500},
            "total_tokens": 302_000,
        },
        # gpt-5.6 above 272k tokens of context: 8.00 in, 0.80 cached, 10.00 cache write, 30.00 out, for the whole request.
        D(50_000) * 8 / M + D(200_000) * D("0.80") / M + D(50_000) * 10 / M + D(2000) * 30 / M,
        id="openai responses: cache write in the long-context band",
    ),
    pytest.param(
        "openai_realtime",
        "openai/gpt-realtime",
        {
            "total_tokens": 1353,
            "input_tokens": 1253,
            "output_tokens": 100,
            "input_token_details": {
                "text_tokens": 119,
                "audio_tokens": 934,
                "image_tokens": 200,
                "cached_tokens": 448,
                "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 384, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": 30, "audio_tokens": 70},
        },
        # gpt-realtime: text 4.00 (cached 0.40) / 16.00, audio 32.00 (cached 0.40) / 64.00, image in 5.00.
        D(119 - 64) * 4 / M
        + D(64) * D("0.4") / M
        + D(934 - 384) * 32 / M
        + D(384) * D("0.4") / M
        + D(200) * 5 / M
        + D(30) * 16 / M
        + D(70) * 64 / M,
        id="openai realtime: cached audio and images",
    ),
    pytest.param(
        "openai_image",
        "openai/gpt-image-1",
        {
            "total_tokens": 4500,
            "input_tokens": 340,
            "output_tokens": 4160,
            "input_tokens_details": {"text_tokens": 17, "image_tokens": 323},
        },
        # gpt-image-1: text in 5.00, image in 10.00, image out 40.00.
        D(17) * 5 / M + D(323) * 10 / M + D(4160) * 40 / M,
        id="openai images",
    ),
    pytest.param(
        "anthropic",
        "anthropic/claude-opus-4-8",
        {
            "input_tokens": 2048,
            "cache_read_input_tokens": 1800,
            "cache_creation_input_tokens": 248,
            "output_tokens": 503,
            "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
            "service_tier": "standard",
        },
        # anthropic.com/pricing, Opus 4.8: 5.00 in, 0.50 read, 6.25 write 5m, 10.00 write 1h, 25.00 out;
        # input_tokens excludes both cache classes (docs, Prompt caching).
        D(2048) * 5 / M + D(1800) * D("0.5") / M + D(148) * D("6.25") / M + D(100) * 10 / M + D(503) * 25 / M,
        id="anthropic: cache read, write 5m and 1h",
    ),
    pytest.param(
        "anthropic",
        "anthropic/claude-opus-4-8:batch",
        {
            "input_tokens": 1000,
            "output_tokens": 1000,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": None,
        },
        # Message Batches: half price.
        D(1000) * D("2.5") / M + D(1000) * D("12.5") / M,
        id="anthropic: batch",
    ),
    pytest.param(
        "anthropic",
        "anthropic/claude-sonnet-4-5",
        {
            "input_tokens": 150_000,
            "cache_read_input_tokens": 60_000,
            "cache_creation_input_tokens": 0,
            "output_tokens": 1000,
            "server_tool_use": {"web_search_requests": 3},
        },
        # Sonnet 4.5 above 200k input tokens, cached ones included: 6.00 in, 0.60 read, 22.50 out; searches 10 per 1,000.
        D(150_000) * 6 / M + D(60_000) * D("0.6") / M + D(1000) * D("22.5") / M + D(3) * 10 / 1000,
        id="anthropic: long context and web search",
    ),
    pytest.param(
        "anthropic",
        "anthropic/claude-opus-4-8",
        {"input_tokens": 40, "output_tokens": 900, "output_tokens_details": {"thinking_tokens": 700}},
        # Thinking is output.
        D(40) * 5 / M + D(900) * 25 / M,
        id="anthropic: thinking",
    ),
    pytest.param(
        "gemini",
        "google/gemini-2.5-flash",
        {
            "promptTokenCount": 1000,
            "cachedContentTokenCount": 400,
            "candidatesTokenCount": 200,
            "thoughtsTokenCount": 700,
            "toolUsePromptTokenCount": 50,
            "totalTokenCount": 1950,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 700}, {"modality": "AUDIO", "tokenCount": 300}],
            "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 300}, {"modality": "AUDIO", "tokenCount": 100}],
            "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 200}],
            "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 50}],
        },
        # ai.google.dev pricing, 2.5 Flash: text in 0.30 (cached 0.03), audio in 1.00 (cached 0.10), out 2.50;
        # thoughts are billed as output and stand beside the candidates, tool prompts beside the prompt.
        D(400 + 50) * D("0.3") / M
        + D(300) * D("0.03") / M
        + D(200) * 1 / M
        + D(100) * D("0.1") / M
        + D(900) * D("2.5") / M,
        id="gemini: cached audio, thoughts, tool prompt",
    ),
    pytest.param(
        "gemini",
        "google/gemini-2.5-pro",
        {"promptTokenCount": 250_000, "candidatesTokenCount": 1000, "totalTokenCount": 251_000},
        # 2.5 Pro above 200k: 2.50 in, 15.00 out.
        D(250_000) * D("2.5") / M + D(1000) * 15 / M,
        id="gemini: long context",
    ),
    pytest.param(
        "gemini",
        "google/gemini-2.5-flash-image",
        {
            "promptTokenCount": 270,
            "candidatesTokenCount": 1310,
            "totalTokenCount": 1580,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}, {"modality": "IMAGE", "tokenCount": 258}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
        },
        # Flash Image: 0.30 in (text and image), 2.50 text out, 30.00 image out.
        D(270) * D("0.3") / M + D(20) * D("2.5") / M + D(1290) * 30 / M,
        id="gemini: image output",
    ),
    pytest.param(
        "bedrock_converse",
        "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0",
        {
            "inputTokens": 20,
            "outputTokens": 400,
            "totalTokens": 5420,
            "cacheReadInputTokens": 3000,
            "cacheWriteInputTokens": 2000,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 500}, {"ttl": "5m", "inputTokens": 1500}],
        },
        # aws.amazon.com/bedrock/pricing, regional Sonnet 4.5: 3.30, read 0.33, write 4.125 (1h 6.60), out 16.50.
        D(20) * D("3.3") / M
        + D(3000) * D("0.33") / M
        + D(1500) * D("4.125") / M
        + D(500) * D("6.6") / M
        + D(400) * D("16.5") / M,
        id="bedrock converse: cache by ttl",
    ),
    pytest.param(
        "bedrock_converse",
        "aws/amazon.nova-pro-v1:0",
        {"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200},
        D(1000) * D("0.8") / M + D(200) * D("3.2") / M,
        id="bedrock converse: plain",
    ),
    pytest.param(
        "mistral",
        "mistral/mistral-large",
        {"prompt_tokens": 24, "total_tokens": 51, "completion_tokens": 27, "prompt_audio_seconds": None},
        # mistral.ai/pricing, Large: 2.00 / 6.00.
        D(24) * 2 / M + D(27) * 6 / M,
        id="mistral",
    ),
    pytest.param(
        "mistral",
        "mistral/voxtral-small-24b-2507",
        {"prompt_tokens": 35, "total_tokens": 90, "completion_tokens": 55, "prompt_audio_seconds": 120},
        # Voxtral Small: 0.10 / 0.40 and 0.004 per minute of audio.
        D(35) * D("0.1") / M + D(55) * D("0.4") / M + D(2) * D("0.004"),
        id="mistral: audio seconds",
    ),
    pytest.param(
        "groq",
        "groq/openai/gpt-oss-120b",
        {
            "queue_time": 0.05,
            "prompt_tokens": 4641,
            "prompt_time": 0.009,
            "completion_tokens": 1817,
            "completion_time": 5.57,
            "total_tokens": 6458,
            "total_time": 5.58,
            "prompt_tokens_details": {"cached_tokens": 4608},
        },
        # groq.com/pricing, GPT OSS 120B: 0.15 in, 0.075 cached, 0.60 out.
        D(33) * D("0.15") / M + D(4608) * D("0.075") / M + D(1817) * D("0.6") / M,
        id="groq: cached input",
    ),
    pytest.param(
        "xai",
        "x-ai/grok-4-0709",
        {
            "prompt_tokens": 199,
            "completion_tokens": 1,
            "total_tokens": 518,
            "prompt_tokens_details": {"text_tokens": 199, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 163},
            "completion_tokens_details": {"reasoning_tokens": 318, "audio_tokens": 0},
            "num_sources_used": 0,
        },
        # docs.x.ai models, Grok 4: 3.00 in, 0.75 cached, 15.00 out; reasoning is billed as output and counted beside it.
        D(36) * 3 / M + D(163) * D("0.75") / M + D(1 + 318) * 15 / M,
        id="xai: reasoning beside the completion",
    ),
    pytest.param(
        "deepseek",
        "deepseek/deepseek-v4-pro",
        {
            "prompt_tokens": 3000,
            "completion_tokens": 500,
            "total_tokens": 3500,
            "prompt_cache_hit_tokens": 2048,
            "prompt_cache_miss_tokens": 952,
            "completion_tokens_details": {"reasoning_tokens": 300},
        },
        # api-docs.deepseek.com pricing at an hour without surcharge: miss 0.66, hit 0.022, out 1.98.
        D(952) * D("0.66") / M + D(2048) * D("0.022") / M + D(500) * D("1.98") / M,
        id="deepseek: cache hits and misses",
    ),
    pytest.param(
        "cohere",
        "cohere/command-a",
        {
            "billed_units": {"input_tokens": 10.0, "output_tokens": 200.0},
            "tokens": {"input_tokens": 507.0, "output_tokens": 205.0},
        },
        # cohere.com/pricing, Command A: 2.50 / 10.00 on billed units, not on what the template adds.
        D(10) * D("2.5") / M + D(200) * 10 / M,
        id="cohere: billed units",
    ),
    pytest.param(
        "moonshotai",
        "moonshotai/kimi-k2-0905-preview",
        {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, "cached_tokens": 600},
        # platform.kimi.ai, K2 0905: miss 0.60, hit 0.15, out 2.50.
        D(400) * D("0.6") / M + D(600) * D("0.15") / M + D(100) * D("2.5") / M,
        id="moonshot: cached tokens at the top",
    ),
    pytest.param(
        "perplexity",
        "perplexity/sonar-deep-research",
        {
            "prompt_tokens": 33,
            "completion_tokens": 7163,
            "total_tokens": 7196,
            "citation_tokens": 20016,
            "num_search_queries": 18,
            "reasoning_tokens": 73997,
        },
        # docs.perplexity.ai pricing, Deep Research: 2.00 in, 8.00 out, citations 2.00, reasoning 3.00, searches 5 per 1,000.
        D(33) * 2 / M + D(7163) * 8 / M + D(20016) * 2 / M + D(73997) * 3 / M + D(18) * 5 / 1000,
        id="perplexity: citations, reasoning, searches",
    ),
    pytest.param(
        "perplexity",
        "perplexity/sonar-pro",
        {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "search_context_size": "high"},
        # Sonar Pro: 3.00 / 15.00 and 14 per 1,000 requests.
        D(100) * 3 / M + D(50) * 15 / M + D(14) / 1000,
        id="perplexity: request fee",
    ),
    pytest.param(
        "openrouter",
        "openrouter/anthropic/claude-3.5-sonnet",
        {
            "prompt_tokens": 194,
            "completion_tokens": 2,
            "total_tokens": 196,
            "cost": 0.000612,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        # openrouter.ai models: 3.00 / 15.00.
        D(194) * 3 / M + D(2) * 15 / M,
        id="openrouter",
    ),
]


@pytest.mark.parametrize(("flavor", "offer", "payload", "expected"), CASES)
def test_reported_usage_costs_what_the_price_page_says(catalog, flavor, offer, payload, expected):
    usage = read_usage(flavor, payload)
    assert usage is not None
    variants = catalog.variants(offer)
    assert variants, offer
    quote = price_at(usage, variants, AT)
    assert quote.total == Money(expected)


@pytest.mark.parametrize(("flavor", "payload"), [p.values[0:3:2] for p in CASES])
def test_bytes_and_mappings_read_the_same(flavor, payload):
    import json

    assert read_usage(flavor, json.dumps(payload).encode()) == read_usage(flavor, payload)


def test_the_peak_hours_of_deepseek_cost_twice(catalog):
    usage = read_usage("deepseek", {"prompt_tokens": 1_000_000, "completion_tokens": 0})
    assert usage is not None
    variants = catalog.variants("deepseek/deepseek-v4-pro")
    # api-docs.deepseek.com: 1.32 per million input tokens between 01:00 and 04:00 UTC, 0.66 otherwise.
    assert price_at(usage, variants, AT.replace(hour=2)).total == Money(D("1.32"))
    assert price_at(usage, variants, AT.replace(hour=4)).total == Money(D("0.66"))


def test_tool_calls_of_a_responses_answer_are_charged(catalog):
    answer = {
        "id": "resp_1",
        "output": [
            {"type": "reasoning"},
            {"type": "web_search_call", "status": "completed"},
            {"type": "web_search_call", "status": "completed"},
            {"type": "file_search_call"},
            {"type": "message", "content": []},
        ],
        "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100},
    }
    usage = usage_in("openai_responses", {"type": "response.completed", "response": answer})
    assert usage == usage_in("openai_responses", answer)
    assert usage is not None
    # gpt-4.1: 2.00 / 8.00; web search 10 per 1,000 calls, file search 2.50 per 1,000.
    expected = D(1000) * 2 / M + D(100) * 8 / M + D(2) * 10 / 1000 + D(1) * D("2.5") / 1000
    assert price_at(usage, catalog.variants("openai/gpt-4.1"), AT).total == Money(expected)


@pytest.mark.parametrize(
    ("flavor", "payload", "expected"),
    [
        ("openrouter", b'{"cost":0.00014}', "0.00014"),
        ("openrouter", {"cost": 0.00014}, "0.00014"),
        ("openrouter", b'{"cost":1e-7,"is_byok":true,"cost_details":{"upstream_inference_cost":0.002}}', "0.0020001"),
        ("openrouter", b'{"cost":0.5,"is_byok":false,"cost_details":{"upstream_inference_cost":0.4}}', "0.5"),
        # docs.x.ai, Cost Tracking: 37,756,000 ticks are $0.0037756.
        ("xai", b'{"cost_in_usd_ticks":37756000}', "0.0037756"),
        ("perplexity", b'{"cost":{"input_tokens_cost":0.001,"total_cost":0.006}}', "0.006"),
    ],
)
def test_reported_costs_are_exact(flavor, payload, expected):
    assert reported_cost(flavor, payload) == Money(D(expected))


@pytest.mark.parametrize("payload", [b"{}", b'{"cost":null}', b'{"prompt_tokens":3}', b"nonsense"])
def test_no_reported_cost_is_none_not_zero(payload):
    assert reported_cost("openrouter", payload) is None
