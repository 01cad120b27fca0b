"""Vendors are rows of data: ``vendors.toml`` says how each differs from the dialect it speaks."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from farthing.core.decode import convert
from farthing.core.errors import InputError, NotFoundError
from farthing.gateway.ports import Provider, Timeouts
from farthing.gateway.settings import ProviderSettings


class Vendor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the table, whose head explains the columns."""

    dialect: Literal["openai", "anthropic", "gemini", "bedrock"]
    base_url: str
    auth: Literal["bearer", "api-key", "x-api-key", "x-goog-api-key", "sigv4", "none"] = "bearer"
    prices: str = ""
    usage: str = ""
    responses: bool = False
    include_usage: bool = True
    max_tokens: Literal["", "max_tokens", "max_completion_tokens"] = ""
    strip: frozenset[str] = frozenset()
    paths: Literal["", "azure"] = ""
    files: bool = False
    message_batches: bool = False
    on_disconnect: Literal["cancel", "drain"] = "cancel"


@cache
def table() -> Mapping[str, Vendor]:
    """All vendors by name."""
    text = files("farthing.gateway").joinpath("vendors.toml").read_text(encoding="utf-8")
    return convert(tomllib.loads(text), dict[str, Vendor], what="vendors.toml")


def vendor(name: str) -> Vendor:
    """One vendor. Raises ``NotFoundError`` naming the nearest."""
    rows = table()
    if name not in rows:
        raise NotFoundError(
            "vendor", name, known=rows, remedy='Use "openai-compatible" and a base_url for servers that speak OpenAI'
        )
    return rows[name]


def provider(name: str, settings: ProviderSettings, secret: str) -> Provider:
    """A configured account with its vendor's row applied; settings win over the row.

    Raises ``NotFoundError`` for an unknown vendor, ``InputError`` when an address is needed and missing.
    """
    row = vendor(settings.vendor)
    base_url = (settings.base_url or row.base_url).rstrip("/")
    if not base_url:
        raise InputError(
            f"the vendor {settings.vendor!r} has no common address",
            field=f"providers.{name}.base_url",
            value="",
            remedy="Write the address of your account or server",
        )
    if "{region}" in base_url and not settings.region:
        raise InputError(
            "the address depends on the region",
            field=f"providers.{name}.region",
            value="",
            remedy='Write the region, such as "us-east-1"',
        )
    return Provider(
        name=name,
        vendor=settings.vendor,
        dialect=settings.dialect or row.dialect,
        base_url=base_url.replace("{region}", settings.region),
        auth=_auth(row, secret),
        api_key=secret,
        prices=settings.prices or row.prices,
        region=settings.region,
        tags=settings.tags,
        headers=[(key.lower().encode(), value.encode()) for key, value in settings.headers.items()],
        on_disconnect=settings.on_disconnect if settings.on_disconnect != "cancel" else row.on_disconnect,
        timeouts=_timeouts(settings),
    )


def _timeouts(settings: ProviderSettings) -> Timeouts | None:
    """The account's own timeouts; ``None`` when it has none."""
    own = Timeouts(connect=settings.connect_timeout, first_byte=settings.first_byte_timeout, read=settings.read_timeout)
    return own if own != Timeouts() else None


def _auth(row: Vendor, secret: str) -> str:
    """Amazon's keys come as ``ACCESS:SECRET[:SESSION]`` to sign with, or as one bearer token."""
    if not secret:
        return "none"
    if row.auth == "sigv4" and ":" not in secret:
        return "bearer"
    return row.auth
