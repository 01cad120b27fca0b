"""Vectors computed beforehand: texts are sent through the gateway, so that its embedding cache knows them.

The cache itself knows what is done: a job that was broken off is begun again, and pays for what is new only.
"""

import http.client
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from farthing.cache.schedules import Hours
from farthing.core.errors import DeniedError, InputError, UnavailableError

LARGEST_BATCH = 2048
"""Texts that OpenAI takes in one request (its API reference, Embeddings, November 2026)."""

TIMEOUT_SECONDS = 660.0
TURNS = 6
"""So often a request is made when the gateway has no room for it."""

LONGEST_PAUSE = 60.0
_ENDS = 4
_PROBE = "farthing"
_SETTLE = (0.5, 3.0)
"""Seconds after which a vector that was just computed has to be known."""

_BUSY = frozenset({429, 502, 503, 504})
_DENIED = frozenset({401, 402, 403})
_OK = 200


class Vectors(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway said of a batch: ``known`` texts were not asked for again; ``cost`` is ``None``: unpriced."""

    tokens: int
    cost: Decimal | None
    known: int


class Embeds(Protocol):
    """Asks for the vectors of texts, which a cache keeps, or with ``keep`` off does not."""

    def __call__(self, texts: Sequence[str], *, keep: bool = True) -> Vectors: ...


class Sums(msgspec.Struct, kw_only=True):
    """How far a job is. ``stopped`` says why it ended before its texts did."""

    texts: int = 0
    known: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    stopped: str = ""

    def add(self, texts: int, found: Vectors) -> None:
        """Count a batch."""
        self.texts += texts
        self.known += found.known
        self.tokens += found.tokens
        self.cost += found.cost or 0
        self.unpriced += texts - found.known if found.cost is None else 0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """How texts are embedded: so many at a time, within the hours if there are any, for so much USD at most."""

    batch: int = 256
    hours: Hours | None = None
    most_cost: Decimal | None = None


def embed(
    texts: Iterable[str],
    ask: Embeds,
    job: Job,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
    tell: Callable[[Sums, float], None],
) -> Sums:
    """Embed texts until there are no more, or the cost bound is reached. ``now`` has the zone of the job's hours.

    ``tell`` hears of each batch, and of the seconds that are waited for the hours. Raises ``InputError`` when the cache
    does not keep what is computed, or nothing can be bounded because the model has no known price.
    """
    sums = Sums()
    price = None if job.most_cost is None else _price(ask, sums)
    left = iter(texts)
    checked = False
    while batch := _fitting(left, job, price, sums):
        _wait(job, sums, now, sleep, tell)
        found = ask(batch)
        sums.add(len(batch), found)
        tell(sums, 0.0)
        if not checked and found.known < len(batch):
            checked = True
            _check(batch[0], ask, sleep)
    return sums


def most_tokens(texts: Iterable[str]) -> int:
    """More tokens than texts can have: one for each byte, and some for each beginning and end."""
    return sum(len(text.encode()) + _ENDS for text in texts)


def _price(ask: Embeds, sums: Sums) -> Decimal:
    """USD per token, learned from a word that is asked for afresh and not kept; it counts as spent."""
    found = ask((_PROBE,), keep=False)
    if found.cost is None or not found.tokens:
        raise InputError(
            "the model has no known price, so no bound can be kept", field="--max-cost", value="",
            remedy="Leave --max-cost out, or see farthing prices for models with a price",
        )  # fmt: skip
    sums.tokens, sums.cost = found.tokens, found.cost
    return found.cost / found.tokens


def _fitting(left: Iterator[str], job: Job, price: Decimal | None, sums: Sums) -> list[str]:
    """The next texts, as many as fit into the bound at their worst; what does not fit ends the job."""
    if sums.stopped:
        return []
    room = None if job.most_cost is None or price is None else job.most_cost - sums.cost
    batch: list[str] = []
    for text in islice(left, job.batch):
        if room is not None and price is not None:
            room -= price * most_tokens((text,))
            if room < 0:
                sums.stopped = "the next text might cost more than is left of --max-cost"
                break
        batch.append(text)
    return batch


def _wait(
    job: Job,
    sums: Sums,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
    tell: Callable[[Sums, float], None],
) -> None:
    while job.hours is not None and (pause := job.hours.left(now())) > 0:
        tell(sums, pause)
        sleep(pause)


def _check(text: str, ask: Embeds, sleep: Callable[[float], None]) -> None:
    """Whether it is known now. Asking once costs a text; not asking might cost all of them."""
    for pause in _SETTLE:
        sleep(pause)
        if ask((text,)).known:
            return
    raise InputError(
        "the cache does not keep the vectors of this key's requests", field="embeddings", value="",
        remedy='Set embeddings = "on" in their namespace under [cache.namespaces]',
    )  # fmt: skip


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Answer(msgspec.Struct):
    usage: _Usage = msgspec.field(default_factory=_Usage)


class _Error(msgspec.Struct):
    message: str = ""


class _Refusal(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


class GatewayEmbeddings:
    """The gateway's own ``/v1/embeddings``, over one connection."""

    def __init__(self, url: str, *, model: str, token: str, sleep: Callable[[float], None]) -> None:
        place = urlsplit(url)
        self._url = url
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT_SECONDS)
        self._model = model
        self._headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        self._sleep = sleep

    def __call__(self, texts: Sequence[str], *, keep: bool = True) -> Vectors:
        """Their vectors, which stay where they are. Waits while the gateway is busy.

        Raises ``DeniedError``, ``InputError`` for texts that it refuses, ``UnavailableError`` when it stays busy.
        """
        body = msgspec.json.encode({"model": self._model, "input": list(texts), "encoding_format": "base64"})
        headers = self._headers if keep else {**self._headers, "x-farthing-cache": "off"}
        for turn in range(1, TURNS + 1):
            status, told, answer = self._post(body, headers)
            if status == _OK:
                return _vectors(told, answer, len(texts))
            if status not in _BUSY or turn == TURNS:
                raise _problem(status, answer, len(texts))
            self._sleep(_pause(told, turn))
        raise AssertionError

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
        try:
            self._connection.request("POST", "/v1/embeddings", body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as problem:
            self._connection.close()
            raise UnavailableError(
                f"The gateway at {self._url} does not answer: {problem or type(problem).__name__}",
                remedy="Start it with farthing up; what is done is not paid for again",
            ) from problem


def _vectors(told: http.client.HTTPMessage, answer: bytes, texts: int) -> Vectors:
    known = texts if told["x-farthing-cache"] else int(told["x-farthing-cache-texts"] or 0)
    cost = told["x-farthing-cost"] or "unpriced"
    tokens = msgspec.json.decode(answer, type=_Answer).usage.prompt_tokens
    return Vectors(tokens=tokens, cost=None if cost == "unpriced" else Decimal(cost), known=known)


def _pause(told: http.client.HTTPMessage, turn: int) -> float:
    said = told["retry-after"] or ""
    return min(float(said) if said.isdigit() else 2.0**turn, LONGEST_PAUSE)


def _problem(status: int, answer: bytes, texts: int) -> Exception:
    try:
        said = msgspec.json.decode(answer, type=_Refusal).error.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = ""
    said = said or f"status {status}"
    remedy = "Run the same command again: what is done is not paid for again"
    if status in _DENIED:
        return DeniedError(said, reason="refused", remedy="Give a key that may ask for the model with --key")
    if status in _BUSY:
        return UnavailableError(f"The gateway has no room: {said}", remedy=remedy)
    return InputError(said, field="batch", value=f"{texts:,} texts, status {status}", remedy="Correct the input")


def distinct(texts: Iterable[str]) -> tuple[int, int, int]:
    """How many texts there are, how many different ones, and the tokens those can have at most."""
    count, tokens, seen = 0, 0, set[Any]()
    for text in texts:
        count += 1
        if (mark := hash(text)) not in seen:
            seen.add(mark)
            tokens += most_tokens((text,))
    return count, len(seen), tokens
