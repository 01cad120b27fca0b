"""What a simulated model answers: plausible text of plausible length, with the counts a provider would bill.

Deterministic in the request, so that a replay gives the same answer; a prompt prefix seen before
counts as cached, the way providers cache prompts of 1,024 tokens and more.
"""

import hashlib
import random
from collections import OrderedDict
from typing import Any, cast

import msgspec

from farthing.demo.faq import faq

CACHE_BLOCK = 128
CACHE_FLOOR = 1024
"""Prompt caching starts at 1,024 tokens and grows in blocks of 128 (OpenAI, prompt caching guide, 2026)."""

_WORDS = tuple(
    "the order was checked against the ledger and the refund is on its way because the parcel came late we have "  # noqa: SIM905
    "credited the shipping cost as well please let us know whether the replacement fits a summary follows with "
    "three main points first costs fell by a third second latency stayed flat third no incident was reported".split()
)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A request in no dialect: ``prompt`` is all text of the input, ``tool`` a function the model may call."""

    model: str
    prompt: str
    limit: int = 0
    tool: str = ""
    reasons: bool = False
    caches: bool = True


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer in no dialect. ``pieces`` are the deltas of a stream, one token each.

    ``input_tokens`` includes ``cached_tokens``; ``output_tokens`` includes ``reasoning_tokens``.
    """

    id: str
    pieces: tuple[str, ...]
    finish: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0
    tool: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def tokens_of(text: str) -> int:
    """Four characters a token, at least one: the usual rule of thumb for English."""
    return max(1, -(-len(text) // 4))


class Mind:
    """The memory of simulated models: which prompt prefixes they have seen, the oldest forgotten first."""

    def __init__(self, *, remembered: int = 4096) -> None:
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._remembered = remembered

    def answer(self, turn: Turn) -> Reply:
        """The reply to a turn; reading it puts the turn's prompt into the prompt cache."""
        digest = hashlib.sha256(f"{turn.model}\0{turn.prompt}\0{turn.limit}".encode()).digest()
        dice = random.Random(digest)  # noqa: S311 - a simulation, not a secret
        wanted = max(4, int(dice.lognormvariate(4.1, 0.6)))
        length = min(wanted, turn.limit or wanted)
        reasoning = int(dice.lognormvariate(4.6, 0.5)) if turn.reasons else 0
        known = faq().answer(turn.prompt).split()
        if known:
            wanted = length = len(known)
        pieces = tuple(f"{' ' if i else ''}{known[i] if known else dice.choice(_WORDS)}" for i in range(length))
        return Reply(
            id=digest.hex()[:24],
            pieces=() if turn.tool else pieces,
            finish="tool" if turn.tool else ("length" if wanted > length else "stop"),
            input_tokens=tokens_of(turn.prompt),
            cached_tokens=self._cached(turn) if turn.caches else 0,
            output_tokens=(12 if turn.tool else length) + reasoning,
            reasoning_tokens=reasoning,
            tool=turn.tool,
        )

    def _cached(self, turn: Turn) -> int:
        """Tokens of the longest prefix seen before, and remember every block of this prompt."""
        blocks = range(CACHE_FLOOR, tokens_of(turn.prompt) + 1, CACHE_BLOCK)
        hit = 0
        rolling = hashlib.sha256(turn.model.encode())
        done = 0
        for size in blocks:
            rolling.update(turn.prompt[done : size * 4].encode())
            done = size * 4
            prefix = rolling.digest()
            if prefix in self._seen:
                hit = size
            self._seen[prefix] = size
            self._seen.move_to_end(prefix)
        while len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        return hit


_TEXTUAL = (
    "system", "instructions", "systemInstruction", "messages", "input", "prompt", "contents", "content", "parts",
    "text",
)  # fmt: skip


def as_text(content: Any) -> str:
    """All text inside a message's content, whatever the dialect nests it in."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(map(as_text, cast("list[Any]", content)))
    if isinstance(content, dict):
        fields = cast("dict[str, Any]", content)
        return "\n".join(as_text(fields[k]) for k in _TEXTUAL if k in fields)
    return ""
