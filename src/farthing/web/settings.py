"""The settings the control plane owns: ``[web]`` and ``[login]``."""

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

import msgspec


class WebSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the API and the dashboard listen, and how they report.

    ``host`` other than loopback lets other machines reach the login. ``hosts`` are further names under which
    browsers may address this control plane (a ``Host`` header outside them is refused, which stops DNS
    rebinding). ``zone`` is the one reporting time zone (IANA name) and ``basis`` the one cost basis that pages
    begin with. ``secure_cookie``: switch on behind TLS.
    """

    host: str = "127.0.0.1"
    port: int = 4181
    hosts: tuple[str, ...] = ()
    zone: str = "UTC"
    basis: str = "effective"
    secure_cookie: bool = False


class TenantSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant: everything that belongs to these. Empty fields do not confine."""

    org: str = ""
    team: str = ""
    project: str = ""
    environment: str = ""
    feature: str = ""
    customer: str = ""
    user: str = ""


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenID Connect provider that people log in with.

    ``issuer`` is its address as its tokens name it (empty: there is none), ``client_id`` and ``client_secret``
    (``env:NAME``, ``file:PATH`` or ``secret:NAME``; empty for a public client) what it knows this Farthing by.
    Register ``https://HOST/api/v1/login/oidc/callback`` there.

    Somebody who is known here by e-mail gets in. Others do when ``default_role`` or ``roles`` give them a role:
    ``roles`` goes from a value of the ``groups`` claim to a role, the first that fits counts, and then the provider
    rules: at every login the role is set anew, and who has lost all groups gets ``default_role``, or is not let in
    where that is empty. ``domains`` are e-mail domains that may log in, all when empty. ``tenant`` confines those who
    are new. ``label`` is what the login button says.
    """

    issuer: str = ""
    client_id: str = ""
    client_secret: str = ""
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    groups: str = "groups"
    roles: dict[str, Literal["admin", "finance", "engineer", "viewer"]] = {}
    default_role: Literal["", "admin", "finance", "engineer", "viewer"] = ""
    domains: tuple[str, ...] = ()
    tenant: TenantSettings = TenantSettings()
    label: str = "Single sign-on"


class LoginSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How people log in: ``[login]``, and ``[login.oidc]`` for single sign-on.

    ``admin_token``: the token of the first run opens everything; switch it off once an admin is there.
    ``session_hours`` is how long a login lasts. A login is refused after ``email_attempts`` wrong passwords for one
    e-mail, or ``address_attempts`` from one address, within a quarter of an hour.
    """

    admin_token: bool = True
    session_hours: float = 24 * 7
    email_attempts: int = 10
    address_attempts: int = 100
    oidc: OidcSettings = OidcSettings()


def is_trustworthy(url: str) -> bool:
    """Whether nobody in between can change what this address answers: TLS, or this very machine."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return parts.scheme == "https" and bool(parts.hostname)
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"
