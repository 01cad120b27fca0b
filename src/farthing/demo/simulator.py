"""Simulated providers on one loopback port, with realistic latency, errors and rate limits.

``/openai/v1/…``, ``/anthropic/v1/…``, ``/gemini/v1beta/…``, ``/groq/openai/v1/…`` and so on each behave like
that provider. Run it with ``python -m farthing.demo.simulator --port 0``; it prints its address.
"""

import argparse
import asyncio
import random
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec

from farthing.demo.anthropic import Anthropic
from farthing.demo.filing import Asked, Filing, Solve
from farthing.demo.gemini import Gemini
from farthing.demo.messagebatches import MessageBatches
from farthing.demo.mind import Mind
from farthing.demo.openai import OpenAI
from farthing.demo.wire import Refusal, Wire

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

VENDORS: Mapping[str, tuple[type[Wire], tuple[str, ...]]] = {
    "openai": (
        OpenAI,
        ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini", "gpt-3.5-turbo-instruct",
         "text-embedding-3-small", "text-embedding-3-large", "gpt-image-1", "dall-e-3"),
    ),
    "anthropic": (Anthropic, ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-3-5-haiku-latest", "claude-opus-4-1")),
    "gemini": (Gemini, ("gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro")),
    "groq": (OpenAI, ("llama-3.3-70b-versatile", "llama-3.1-8b-instant")),
    "together": (OpenAI, ("meta-llama/Llama-3.3-70B-Instruct-Turbo",)),
}  # fmt: skip
"""The providers of the demo: wire dialect, and the models each serves under its catalogue name."""


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider behaves. Shares are of requests; times in seconds, multiplied by ``pace``.

    The defaults are in the range of public status pages and latency trackers: a first token after a
    few hundred milliseconds, fifty to a hundred tokens a second, one request in a hundred limited.
    """

    first_token: float = 0.28
    spread: float = 0.35
    per_token: float = 0.012
    limited: float = 0.008
    failed: float = 0.004
    overloaded: float = 0.002
    cut: float = 0.001
    pace: float = 1.0


CALM = Weather(limited=0, failed=0, overloaded=0, cut=0, pace=0)
"""No latency and no faults, for tests that need the wire alone."""


class Simulator:
    """A raw ASGI application that is all the vendors at once."""

    def __init__(self, weather: Weather, *, dice: random.Random, clock: Callable[[], float]) -> None:
        mind = Mind()
        self._wires = {name: wire(name, models, mind) for name, (wire, models) in VENDORS.items()}
        openai, anthropic = self._wires["openai"], self._wires["anthropic"]
        self._kept: Mapping[str, Filing | MessageBatches] = {
            "openai": Filing(self._solve(openai)),
            "anthropic": MessageBatches(self._solve(anthropic), anthropic.refuse),
        }
        self._weather = weather
        self._dice = dice
        self._clock = clock
        self.served = 0

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read(receive)
        vendor, _, path = scope["path"].lstrip("/").partition("/")
        wire = self._wires.get(vendor)
        if wire is None:
            await _json(send, 404, {"error": {"message": f"no simulated provider {vendor!r}"}})
            return
        try:
            await self._answer(wire, scope, path, body, send)
        except Refusal as refusal:
            headers = [(b"retry-after", b"1")] if refusal.status == 429 else []  # noqa: PLR2004
            await _json(send, refusal.status, wire.refuse(refusal), headers)

    async def _answer(self, wire: Wire, scope: Mapping[str, Any], path: str, body: bytes, send: Send) -> None:
        self._authorized(scope)
        self._whims()
        keeper = self._kept.get(wire.vendor)
        if keeper is not None:
            named = dict(scope["headers"])
            kept = keeper.handle(
                Asked(
                    method=scope["method"],
                    path="/" + path,
                    query=scope["query_string"].decode(),
                    content_type=named.get(b"content-type", b"").decode(),
                    body=body,
                    now=int(self._clock()),
                )
            )
            if kept is not None:
                await _send(send, 200, *kept)
                return
        try:
            asked: Any = msgspec.json.decode(body) if body else {}
        except msgspec.DecodeError:
            raise Refusal(400, "invalid_request_error", "We could not parse the JSON body of your request.") from None
        answer = wire.handle("/" + path, asked, int(self._clock()))
        self.served += 1
        await self._pause(self._weather.first_token)
        if isinstance(answer, Mapping):
            await self._pause(self._weather.per_token * 20)
            await _json(send, 200, answer)
        else:
            await self._stream(send, answer)

    def _solve(self, wire: Wire) -> Solve:
        def solve(path: str, body: dict[str, Any]) -> dict[str, Any]:
            answer = wire.handle(path, {**body, "stream": False}, int(self._clock()))
            return dict(answer) if isinstance(answer, Mapping) else {}

        return solve

    async def _stream(self, send: Send, events: Iterator[bytes]) -> None:
        await send(_start(200, [(b"content-type", b"text/event-stream; charset=utf-8")]))
        cut = self._dice.random() < self._weather.cut
        for i, event in enumerate(events):
            if cut and i == 5:  # noqa: PLR2004
                raise ConnectionResetError("the simulated provider cuts this stream")
            await send({"type": "http.response.body", "body": event, "more_body": True})
            if self._weather.pace:
                await asyncio.sleep(self._weather.per_token * self._weather.pace)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _authorized(self, scope: Mapping[str, Any]) -> None:
        names = {b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key"}
        if not any(name in names and value for name, value in scope["headers"]):
            raise Refusal(401, "invalid_request_error", "You didn't provide an API key.")

    def _whims(self) -> None:
        """Sometimes a provider is busy, broken or overloaded."""
        weather, throw = self._weather, self._dice.random()
        for share, refusal in (
            (weather.limited, Refusal(429, "requests", "Rate limit reached for requests per minute.")),
            (weather.failed, Refusal(500, "server_error", "The server had an error while processing your request.")),
            (weather.overloaded, Refusal(503, "overloaded", "The engine is currently overloaded.")),
        ):
            if throw < share:
                raise refusal
            throw -= share

    async def _pause(self, seconds: float) -> None:
        if self._weather.pace:
            await asyncio.sleep(seconds * self._weather.pace * self._dice.lognormvariate(0, self._weather.spread))


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _json(
    send: Send, status: int, data: Mapping[str, Any], headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    await _send(send, status, b"application/json", msgspec.json.encode(data), headers)


async def _send(
    send: Send, status: int, content_type: bytes, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send(_start(status, [(b"content-type", content_type), length, *(headers or [])]))
    await send({"type": "http.response.body", "body": body})


def main(arguments: list[str] | None = None) -> None:
    """Serve until told to stop; the first line on stdout is the address."""
    import time  # noqa: PLC0415

    import uvicorn  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m farthing.demo.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--pace", type=float, default=1.0, help="1 is realistic latency, 0 is none")
    parser.add_argument("--calm", action="store_true", help="no latency and no errors")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--leash", action="store_true", help="end when standard input closes")
    chosen = parser.parse_args(arguments)
    weather = CALM if chosen.calm else Weather(pace=chosen.pace)
    simulator = Simulator(weather, dice=random.Random(chosen.seed), clock=time.time)  # noqa: S311, TID251 - a process edge
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", chosen.port))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201 - the address is the output
    config = uvicorn.Config(simulator, log_level="critical", access_log=False, lifespan="off", timeout_keep_alive=75)
    server = uvicorn.Server(config)
    if chosen.leash:
        threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    asyncio.run(server.serve(sockets=[listener]))


def _end_with_parent(server: Any) -> None:
    sys.stdin.read()
    server.should_exit = True


if __name__ == "__main__":
    main()
