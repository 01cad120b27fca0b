"""What providers say about their rate limits, in the headers of every answer and in those of a refusal.

OpenAI and those who follow it send ``x-ratelimit-remaining-{requests,tokens}`` with resets such as ``6m0s`` or
``20ms`` (platform.openai.com/docs/guides/rate-limits); Anthropic sends ``anthropic-ratelimit-*`` with resets as
RFC 3339 times (docs.anthropic.com/en/api/rate-limits); a refusal carries ``retry-after`` in seconds or as a date
(RFC 9110, section 10.2.3) or ``retry-after-ms``. All November 2026.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import NamedTuple

LONGEST_S = 3600.0
"""No header makes a target wait longer than this."""

_DURATION = re.compile(rb"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_SECONDS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_EPOCH_S = 1e9
_EPOCH_MS = 1e12
_LENGTH = 40
_PLENTY = 1 << 62


class _Names(NamedTuple):
    requests: bytes
    requests_reset: bytes
    tokens: bytes
    tokens_reset: bytes


_OPENAI = _Names(
    b"x-ratelimit-remaining-requests",
    b"x-ratelimit-reset-requests",
    b"x-ratelimit-remaining-tokens",
    b"x-ratelimit-reset-tokens",
)
_ANTHROPIC = _Names(
    b"anthropic-ratelimit-requests-remaining",
    b"anthropic-ratelimit-requests-reset",
    b"anthropic-ratelimit-tokens-remaining",
    b"anthropic-ratelimit-tokens-reset",
)


class Pace:
    """What one target has left. Times are seconds since 1970, as providers' resets are.

    ``limited``: it has no request left, or asked to be left alone. ``tokens_left`` matters to a call that needs more.
    """

    __slots__ = ("_empty_until", "_heard", "_reset", "_wish", "limited", "tokens_left")

    def __init__(self) -> None:
        self.limited = False
        self.tokens_left = _PLENTY
        self._empty_until = 0.0
        self._wish = 0.0
        self._reset = b""
        self._heard = 0.0

    def heard(self, headers: Mapping[bytes, bytes], clock: Callable[[], float]) -> None:
        """Read an answer's headers; most say nothing, or that there is plenty left."""
        names = _OPENAI if _OPENAI.requests in headers or _OPENAI.tokens in headers else _ANTHROPIC
        left = headers.get(names.tokens)
        if left is not None and len(left) <= _LENGTH and left.isdigit():
            self.tokens_left = int(left)
            self._reset = headers.get(names.tokens_reset, b"")
            self._heard = clock()
        if headers.get(names.requests) == b"0":
            now = clock()
            self._empty_until = now + until(headers.get(names.requests_reset, b""), now)
            self.limited = True

    def hold(self, until: float) -> None:
        """The provider asked to be left alone until then."""
        self._wish = max(self._wish, until)
        self.limited = True

    def release(self) -> None:
        """It answered all the same."""
        self._wish = 0.0

    def free_at(self, now: float, tokens: int = 1) -> float:
        """When a call of so many tokens may be sent; ``now`` when at once."""
        at = max(self._empty_until, self._wish)
        if at <= now:
            self.limited = False
        if tokens > self.tokens_left:
            at = max(at, self._heard + until(self._reset, self._heard))
        return max(now, at)


def until(reset: bytes, now: float) -> float:
    """Seconds to a reset: a duration, a number of seconds, a time since 1970 or an RFC 3339 time; else 0."""
    text = reset.strip()
    if not text or len(text) > _LENGTH:
        return 0.0
    seconds = _number(text)
    if seconds is None:
        found = _DURATION.fullmatch(text)
        if found is not None:
            seconds = sum(float(part) * unit for part, unit in zip(found.groups(), _SECONDS, strict=True) if part)
        else:
            seconds = _rfc3339(text, now)
    elif seconds >= _EPOCH_MS:
        seconds = seconds / 1000 - now
    elif seconds >= _EPOCH_S:
        seconds -= now
    return min(max(0.0, seconds), LONGEST_S)


def retry_after(headers: Mapping[bytes, bytes], now: float) -> float:
    """Seconds for which a provider asked to be left alone, 0 if it did not say or makes no sense."""
    wish = _number(headers.get(b"retry-after-ms", b""))
    if wish is not None:
        return min(wish / 1000, LONGEST_S)
    told = headers.get(b"retry-after", b"").strip()
    wish = _number(told)
    if wish is not None:
        return min(wish, LONGEST_S)
    return min(max(0.0, _http_date(told) - now), LONGEST_S) if told else 0.0


def _number(text: bytes) -> float | None:
    """A plain decimal number of any length; ``None`` for anything else."""
    whole, _, part = text.strip().partition(b".")
    if not whole.isdigit() or not (part.isdigit() or not part):
        return None
    number = float(text)
    return number if isfinite(number) else LONGEST_S


def _rfc3339(text: bytes, now: float) -> float:
    try:
        at = datetime.fromisoformat(text.decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        return 0.0
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now


def _http_date(text: bytes) -> float:
    try:
        at = parsedate_to_datetime(text[:_LENGTH].decode("ascii"))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, UnicodeDecodeError, OverflowError):
        return 0.0
