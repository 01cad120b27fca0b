"""What every response of the control plane carries, and what every request must name: the right host.

A page of another site can make a browser resolve its own name to 127.0.0.1 (DNS rebinding); it cannot forge the
``Host`` header, so only known names are served.
"""

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Message, Receive, Send
from litestar.types import Scope as Connection

from farthing.web.views import Problem
from farthing.web.wire import encode

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
BODY_SECONDS = 20.0
"""How long a body may take; bodies are small here."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            b"font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
            b"frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Shield:
    """Wraps the application: refuses unknown hosts and slow bodies, and adds the security headers to every response."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], body_seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._body_seconds = body_seconds
        self._hosts = frozenset(h.lower() for h in hosts) | frozenset(LOOPBACK)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """One ASGI connection."""

        async def shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif hostname(scope) in self._hosts:
            await self._app(scope, in_time(receive, self._body_seconds), shielded)
        else:
            await _refuse(hostname(scope), shielded)


def in_time(receive: Receive, seconds: float) -> Receive:
    """What is received, where all of the body must come within some seconds; what comes after it may take longer.

    Raises ``HTTPException`` 408 inside of the application, which tells the client so.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    whole = False

    async def hurried() -> Any:
        nonlocal whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException("The body took too long", status_code=408, headers={"Connection": "close"}) from None
        whole = not message.get("more_body", False)
        return message

    return hurried


def hostname(scope: Any) -> str:
    """The name in the one ``Host`` header, without its port; empty when there is none, or more than one."""
    named = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    match = _HOST.fullmatch(named[0]) if len(named) == 1 else None
    return match["name"].strip("[]").lower() if match else ""


async def _refuse(host: str, send: Send) -> None:
    body = encode(
        Problem(
            type="denied",
            title="Unknown host",
            status=421,
            detail="The control plane does not go by this name",
            field="Host",
            value=host[:200],
            remedy="Use 127.0.0.1 or localhost, or add the name to hosts under [web] in farthing.toml",
        )
    )
    head = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 421, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})
