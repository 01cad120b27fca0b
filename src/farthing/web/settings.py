"""The settings the control plane owns: ``[web]``."""

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
