"""Usage as each client dialect reports it, from the one nested ``Usage``."""

from typing import Any

from farthing.core.units import CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H, CACHE_WRITE_5M, INPUT, OUTPUT, REASONING, Usage

_NONE = Usage.tokens()


def chat_usage(usage: Usage | None) -> dict[str, Any]:
    """The ``usage`` object of OpenAI's chat completions; cached and reasoning tokens are parts of the whole."""
    read, said, cached, reasoning = _four(usage)
    return {
        "prompt_tokens": read,
        "completion_tokens": said,
        "total_tokens": read + said,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def response_usage(usage: Usage | None) -> dict[str, Any]:
    """The ``usage`` object of OpenAI's Responses API."""
    read, said, cached, reasoning = _four(usage)
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": read + said,
    }


def message_usage(usage: Usage | None) -> dict[str, Any]:
    """The ``usage`` object of Anthropic's messages, whose ``input_tokens`` leave out cached ones."""
    counts = usage or _NONE
    cached, written = int(counts[CACHE_READ]), int(counts[CACHE_WRITE])
    shape: dict[str, Any] = {
        "input_tokens": max(int(counts[INPUT]) - cached - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": int(counts[OUTPUT]),
    }
    by_ttl = {"ephemeral_5m_input_tokens": CACHE_WRITE_5M, "ephemeral_1h_input_tokens": CACHE_WRITE_1H}
    if any(counts[unit] for unit in by_ttl.values()):
        shape["cache_creation"] = {name: int(counts[unit]) for name, unit in by_ttl.items()}
    return shape


def _four(usage: Usage | None) -> tuple[int, int, int, int]:
    counts = usage or _NONE
    return int(counts[INPUT]), int(counts[OUTPUT]), int(counts[CACHE_READ]), int(counts[REASONING])
