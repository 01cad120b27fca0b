"""Asks a provider for its list of models: the cheapest question that needs address and key to be right."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from farthing.app.local import Local
from farthing.core.errors import InputError, NotFoundError, UnavailableError
from farthing.gateway.ports import Provider
from farthing.gateway.settings import ProviderSettings
from farthing.gateway.vendors import provider as upstream

_KEY_HEADERS: Mapping[str, str] = {
    "bearer": "authorization",
    "api-key": "api-key",
    "x-api-key": "x-api-key",
    "x-goog-api-key": "x-goog-api-key",
}
_ANTHROPIC = {"anthropic-version": "2023-06-01"}
_LIMIT = 8 * 1024 * 1024
_UNAUTHORIZED = (401, 403)
_OK = 200


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


def probe(provider: Provider, now: datetime, *, timeout: float = 5) -> Probe:
    """Ask once. Follows no redirect, so that the key goes nowhere else. ``now`` is when asking began."""
    address = urlsplit(provider.base_url)
    secure = address.scheme == "https"
    host, port = address.hostname or "", address.port
    began = time.perf_counter()
    connection = HTTPSConnection(host, port, timeout=timeout) if secure else HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", _path(provider, address.path), headers=_headers(provider))
        answer = connection.getresponse()
        body = answer.read(_LIMIT)
    except (OSError, HTTPException, ValueError) as problem:
        text = str(problem) or type(problem).__name__
        return Probe(error=f"no answer: {text}", remedy=f"Check {provider.base_url} and the network")
    finally:
        connection.close()
    elapsed = time.perf_counter() - began
    asked = datetime.fromtimestamp(now.timestamp() + elapsed / 2, UTC)
    return _judged(provider, answer, body, Probe(status=answer.status, ms=elapsed * 1000, asked=asked))


def survey(accounts: Mapping[str, ProviderSettings], local: Local, *, timeout: float) -> dict[str, Probe]:
    """How each account answers, all asked at once. A missing secret or address counts as no answer."""

    def ask(name: str) -> Probe:
        account = accounts[name]
        try:
            ready = upstream(name, account, local.secret(account.api_key))
        except (InputError, NotFoundError, UnavailableError) as problem:
            return Probe(error=problem.message, remedy=problem.remedy)
        return probe(ready, local.now(), timeout=timeout)

    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(accounts, pool.map(ask, accounts), strict=True))


def _path(provider: Provider, base: str) -> str:
    if provider.vendor == "azure":
        return f"{base.rstrip('/')}/openai/models?api-version=2024-10-21"
    return f"{base.rstrip('/')}/models"


def _headers(provider: Provider) -> dict[str, str]:
    headers = {
        "accept": "application/json",
        "user-agent": "farthing",
        **{k.decode(): v.decode() for k, v in provider.headers},
    }
    if provider.dialect == "anthropic":
        headers.update(_ANTHROPIC)
    if provider.auth in _KEY_HEADERS:
        prefix = "Bearer " if provider.auth == "bearer" else ""
        headers[_KEY_HEADERS[provider.auth]] = prefix + provider.api_key
    return headers


def _judged(provider: Provider, answer: HTTPResponse, body: bytes, bare: Probe) -> Probe:
    told = msgspec.structs.replace(bare, date=_date(answer.getheader("date")))
    if answer.status == _OK:
        models = _models(body)
        if models is None:
            remedy = "Check that base_url is the API's address, not a web page's"
            return msgspec.structs.replace(told, status=0, error="the answer is no list of models", remedy=remedy)
        return msgspec.structs.replace(told, models=models)
    if answer.status in _UNAUTHORIZED:
        remedy = f"Check the key of provider {provider.name}"
        return msgspec.structs.replace(told, error=f"the key was refused ({answer.status})", remedy=remedy)
    error = f"answered {answer.status} {answer.reason}"
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


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None
