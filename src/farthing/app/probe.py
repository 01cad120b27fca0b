"""Asks a provider for its list of models: the cheapest question that needs address and key to be right.

It is asked as the gateway would ask it, by the same client behind the same guard (``gateway/reach.py``).
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, cast

import msgspec

from farthing.app.local import Local
from farthing.core.errors import InputError, NotFoundError, UnavailableError, UpstreamError
from farthing.gateway.ports import Answer, Ask, Headers, Provider
from farthing.gateway.reach import Guard, places
from farthing.gateway.settings import ProviderSettings
from farthing.gateway.upstream import HttpUpstream, Limits
from farthing.gateway.vendors import provider as made

_KEY_HEADERS: Mapping[str, bytes] = {
    "bearer": b"authorization",
    "api-key": b"api-key",
    "x-api-key": b"x-api-key",
    "x-goog-api-key": b"x-goog-api-key",
}
_ANTHROPIC = (b"anthropic-version", b"2023-06-01")
_LIMIT = 8 * 1024 * 1024
_UNAUTHORIZED = (401, 403)
_OK = 200
_STATUSES = frozenset(HTTPStatus)


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider answered. ``status`` 0 means that it did not; ``error`` says why.

    ``date`` is the provider's clock and ``asked`` ours, half-way through the exchange.
    """

    status: int = 0
    ms: float = 0
    models: tuple[str, ...] = ()
    date: datetime | None = None
    asked: datetime | None = None
    error: str = ""
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether address and key are right."""
        return self.status == _OK


async def probe(provider: Provider, upstream: HttpUpstream, now: datetime, *, seconds: float) -> Probe:
    """Ask once. Follows no redirect, so that the key goes nowhere else. ``now`` is when asking began, ``seconds`` how
    long an answer may take, to its end.
    """
    began = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            ask = Ask(method="GET", url=_url(provider), headers=_headers(provider), body=b"", once=True)
            answer = await upstream.open(ask)
            try:
                body = await _body(answer)
            finally:
                await answer.aclose()
    except (UpstreamError, InputError, TimeoutError) as problem:
        text = f"nothing in {seconds:g} s" if isinstance(problem, TimeoutError) else problem.message
        return Probe(error=f"no answer: {text}", remedy=f"Check {provider.base_url} and the network")
    elapsed = time.perf_counter() - began
    asked = datetime.fromtimestamp(now.timestamp() + elapsed / 2, UTC)
    return _judged(provider, answer, body, Probe(status=answer.status, ms=elapsed * 1000, asked=asked))


def survey(accounts: Mapping[str, ProviderSettings], local: Local, *, timeout: float) -> dict[str, Probe]:
    """How each account answers, all asked at once. A missing secret or address counts as no answer.

    As for the gateway, only addresses that the settings file names may be private.
    """
    found: dict[str, Probe] = {}
    ready: dict[str, Provider] = {}
    for name, account in accounts.items():
        try:
            ready[name] = made(name, account, local.secret(account.api_key))
        except (InputError, NotFoundError, UnavailableError) as problem:
            found[name] = Probe(error=problem.message, remedy=problem.remedy)
    own = local.settings.providers
    guard = Guard(private=local.settings.gateway.private_upstreams)
    guard.trusted = places(each.base_url for name, each in ready.items() if own.get(name) == accounts[name])
    found.update(asyncio.run(_asked(ready, guard, local.now(), timeout)))
    return {name: found[name] for name in accounts}


async def _asked(ready: Mapping[str, Provider], guard: Guard, now: datetime, seconds: float) -> dict[str, Probe]:
    upstream = HttpUpstream(Limits(connect=seconds), guard=guard)
    try:
        probes = await asyncio.gather(*(probe(each, upstream, now, seconds=seconds) for each in ready.values()))
        return dict(zip(ready, probes, strict=True))
    finally:
        await upstream.aclose()


async def _body(answer: Answer) -> bytes:
    """The beginning of a body; nobody's list of models is longer."""
    body = bytearray()
    async for data in answer.chunks():
        body += data
        if len(body) > _LIMIT:
            break
    return bytes(body[:_LIMIT])


def _url(provider: Provider) -> str:
    base = provider.base_url.rstrip("/")
    return f"{base}/openai/models?api-version=2024-10-21" if provider.vendor == "azure" else f"{base}/models"


def _headers(provider: Provider) -> Headers:
    """What the account's settings add, the dialect's own, and the key."""
    headers = {b"accept": b"application/json", b"user-agent": b"farthing", **dict(provider.headers)}
    if provider.dialect == "anthropic":
        headers.update([_ANTHROPIC])
    if provider.auth in _KEY_HEADERS:
        prefix = "Bearer " if provider.auth == "bearer" else ""
        headers[_KEY_HEADERS[provider.auth]] = (prefix + provider.api_key).encode()
    return list(headers.items())


def _judged(provider: Provider, answer: Answer, body: bytes, bare: Probe) -> Probe:
    told = msgspec.structs.replace(bare, date=_date(dict(answer.headers).get(b"date", b"").decode("latin-1")))
    if answer.status == _OK:
        models = _models(body)
        if models is None:
            remedy = "Check that base_url is the API's address, not a web page's"
            return msgspec.structs.replace(told, status=0, error="the answer is no list of models", remedy=remedy)
        return msgspec.structs.replace(told, models=models)
    if answer.status in _UNAUTHORIZED:
        remedy = f"Check the key of provider {provider.name}"
        return msgspec.structs.replace(told, error=f"the key was refused ({answer.status})", remedy=remedy)
    reason = HTTPStatus(answer.status).phrase if answer.status in _STATUSES else ""
    error = f"answered {answer.status} {reason}".rstrip()
    return msgspec.structs.replace(told, error=error, remedy="Check base_url; it may have no list of models")


def _models(body: bytes) -> tuple[str, ...] | None:
    """Names in ``{"data": [{"id": …}]}`` or ``{"models": [{"name": …}]}``; ``None`` for anything else."""
    try:
        decoded: Any = msgspec.json.decode(body)
        if isinstance(decoded, dict):
            table = cast("dict[str, Any]", decoded)
            decoded = table.get("data", table.get("models"))
        rows = cast("list[dict[str, Any]]", decoded)
        return tuple(str(row.get("id") or row.get("name")).removeprefix("models/") for row in rows)
    except (msgspec.DecodeError, TypeError, AttributeError):
        return None


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None
