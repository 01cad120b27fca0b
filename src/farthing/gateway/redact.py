"""Takes an account's key out of what its provider answers: some repeat it when they refuse it, and the client, the
journal and the log must not learn it.
"""

from collections.abc import AsyncIterator

from farthing.gateway.ports import Answer

HIDDEN = b"[redacted]"
_REFUSED = 400
_LEAST = 6
"""Shorter words are no secrets, and stand in ordinary text."""


def chunks(answer: Answer, api_key: str) -> AsyncIterator[bytes]:
    """The body of an answer, without the key where it is a refusal. Answers of models pass as they are: a model never
    sees the key.
    """
    if answer.status < _REFUSED:
        return answer.chunks()
    words = secret_words(api_key)
    return _without(answer.chunks(), words) if words else answer.chunks()


def secret_words(api_key: str) -> tuple[bytes, ...]:
    """What must not be seen of a key: Amazon's has a secret half and a session beside its public one."""
    parts = (api_key, *api_key.split(":")[1:])
    return tuple(sorted({part.encode() for part in parts if len(part) >= _LEAST}, key=len, reverse=True))


async def _without(body: AsyncIterator[bytes], words: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    """The body with each word replaced, also where it is cut in two: as much as a word may begin with is held back."""
    held = b""
    async for data in body:
        held = _replaced(held + data, words)
        begun = max((_begun(held, word) for word in words), default=0)
        out, held = held[: len(held) - begun], held[len(held) - begun :]
        if out:
            yield out
    if held:
        yield held


def _replaced(text: bytes, words: tuple[bytes, ...]) -> bytes:
    for word in words:
        text = text.replace(word, HIDDEN)
    return text


def _begun(text: bytes, word: bytes) -> int:
    """How much of a word stands at the end of a text."""
    longest = min(len(text), len(word) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(word[:size])), 0)
