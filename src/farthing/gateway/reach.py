"""Where the gateway may connect to: no metadata service ever, no private network unless the settings file says so.

An address that somebody adds at run time could otherwise make the gateway fetch what only the gateway can see
(server-side request forgery, OWASP Top 10 2021, A10). Names are looked up here and the connection goes to the very
addresses that were checked, so that a name which changes its meaning in between gains nothing.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from farthing.core.errors import InputError

Address = IPv4Address | IPv6Address
Place = tuple[str, int]
"""A host in lower case, and a port."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Looks a name up: its addresses as text. Raises ``OSError`` when there are none."""

METADATA_NAMES = frozenset(
    (
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.azure.internal",
        "metadata.tencentyun.com",
    )
)
"""Names under which clouds answer questions about the machine itself."""

_NEVER = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",
            "168.63.129.16/32",
            "100.100.100.200/32",
            "192.0.0.192/32",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/128",
            "fe80::/10",
            "fd00:ec2::/32",
            "fd20:ce::/32",
            "ff00::/8",
        ),
    )
)
"""Link-local, multicast and reserved networks, and the metadata services of AWS, Azure, Alibaba, Oracle and Google
(their documentation, November 2026)."""

_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_SITE_LOCAL = IPv6Network("fec0::/10")
_LAST_32_BITS = 0xFFFFFFFF
_REMEDY = "Write it into the settings file, or set private_upstreams = true under [gateway]"


def objection(address: Address, *, private: bool) -> str:
    """Why the gateway may not connect there; empty when it may. ``private``: private networks are allowed."""
    for meant in _meanings(address):
        if any(meant in network for network in _NEVER if network.version == meant.version):
            return f"{address} is a link-local, metadata or reserved address"
        if not private and (not meant.is_global or meant in _SITE_LOCAL):
            return f"{address} is in a private network"
    return ""


def check_address(url: str, *, private: bool, field: str = "base_url") -> None:
    """Look at a provider's address before it is added. Raises ``InputError``.

    A name that cannot be looked up now passes: whatever it means later is checked when it is connected to.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port or 443
    except ValueError:
        raise InputError("not an http address", field=field, value=url, remedy="Begin it with https://") from None
    if parts.username is not None or parts.password is not None:
        remedy = "Give the key with --api-key"
        raise InputError("an address holds no user or password", field=field, value=host, remedy=remedy)
    if host.lower() in METADATA_NAMES:
        raise InputError("the gateway may not connect there", field=field, value=url, remedy=_REMEDY)
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError:
        return
    for text in found:
        if why := objection(_parsed(text), private=private):
            raise InputError(f"the gateway may not connect there: {why}", field=field, value=url, remedy=_REMEDY)


class Guard:
    """Looks names up for a worker, and hands out only addresses that it may connect to.

    ``trusted`` are places that the settings file names; they may be private. ``private``: all may.
    """

    def __init__(self, *, private: bool = False, resolve: Resolve | None = None) -> None:
        self.trusted: frozenset[Place] = frozenset()
        self._private = private
        self._resolve = resolve or _look_up

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be connected to, in the order of its name service.

        Raises ``OSError`` for a host without any.
        """
        name = host.rstrip(".").lower()
        if name in METADATA_NAMES:
            raise ConnectionRefusedError(f"{host} is the name of a metadata service")
        private = self._private or (host.lower(), port) in self.trusted
        found = [host] if _is_address(host) else await self._resolve(host, port)
        reasons = {text: objection(_parsed(text), private=private) for text in found}
        allowed = [text for text, why in reasons.items() if not why]
        if not allowed:
            raise ConnectionRefusedError("; ".join(filter(None, reasons.values())) or f"{host} has no address")
        return allowed


def places(urls: Iterable[str]) -> frozenset[Place]:
    """Hosts and ports of http addresses."""
    found: set[Place] = set()
    for url in urls:
        parts = urlsplit(url)
        if parts.hostname:
            found.add((parts.hostname.lower(), parts.port or (443 if parts.scheme == "https" else 80)))
    return frozenset(found)


def _meanings(address: Address) -> Iterable[Address]:
    """An address, or the IPv4 addresses that an IPv6 one carries: mapped, compatible, NAT64, 6to4 or Teredo."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo
    elif address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        yield IPv4Address(int(address) & _LAST_32_BITS)
    else:
        yield address


def _parsed(text: str) -> Address:
    return ip_address(text.partition("%")[0])


def _is_address(host: str) -> bool:
    try:
        _parsed(host)
    except ValueError:
        return False
    return True


async def _look_up(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


__all__ = ["METADATA_NAMES", "Guard", "check_address", "objection", "places"]
