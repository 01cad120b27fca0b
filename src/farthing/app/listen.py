"""Ports: taking one, or saying clearly who should give way."""

import socket

from farthing.core.errors import UnavailableError

_WILDCARD = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def bound(host: str, port: int, *, setting: str) -> socket.socket:
    """A socket on a port that nobody else listens on; port 0 picks a free one.

    Raises ``UnavailableError`` naming the port, why it cannot be had, and the setting to change.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as problem:
        raise UnavailableError(f"Cannot listen on {host} ({problem.strerror})", remedy="Correct the host") from problem
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(place)
        sock.listen(128)
    except OSError as problem:
        sock.close()
        raise UnavailableError(
            f"Cannot listen on {host}:{port} ({problem.strerror})",
            remedy=f"Stop what uses port {port}, or choose another one: {setting}",
        ) from problem
    sock.setblocking(False)
    return sock


def free_port(host: str, port: int, *, setting: str) -> int:
    """The port itself when nobody listens on it, or a free one for 0. Raises ``UnavailableError`` as ``bound``."""
    with bound(host, port, setting=setting) as sock:
        return int(sock.getsockname()[1])


def url(host: str, port: int) -> str:
    """Where a client on this machine finds a server."""
    name = _WILDCARD.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
