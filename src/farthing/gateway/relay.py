"""Exchanges that go to a provider as they are: a method, an address, headers and bytes, metered where they can be.

A ``Relay`` is the ``Dialect`` of one such exchange. It takes the client's key out and puts the provider's in, keeps
headers that are between two hops or about the client's own network from travelling on in either direction, and
reads along what the provider says of usage.
"""

from collections.abc import Mapping

from farthing.catalog.usage import usage_and_cost
from farthing.core.errors import InputError
from farthing.core.facts import ErrorKind, Source
from farthing.gateway.ports import Ask, Call, Headers, Meter, Provider, Target
from farthing.gateway.providers import _fault
from farthing.gateway.providers._passthrough import EVENT_STREAM, OK, Gauge, Refused
from farthing.gateway.providers._sigv4 import signed
from farthing.gateway.providers._upstream import key_headers
from farthing.gateway.wire.sse import Splitter, data_of

MEASURED_BYTES = 16 * 1024 * 1024
"""Of an answer that is longer no usage is read, so that memory stays bounded."""

_HOPS = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
    )
)
"""Headers of one hop (RFC 9110, section 7.6.1), and those that frame a body, which each hop writes itself."""

_PRIVATE = frozenset(
    (
        b"authorization",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"cookie",
        b"host",
        b"expect",
        b"accept-encoding",
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"openai-organization",
        b"openai-project",
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-amz-content-sha256",
    )
)
"""The client's key for Farthing, what would choose another account with the provider's, and the client's network."""

_PRIVATE_PREFIXES = (b"x-farthing-", b"x-forwarded-", b"cf-", b"x-envoy-")
_NOT_BACK = frozenset(
    (
        b"set-cookie",
        b"alt-svc",
        b"strict-transport-security",
        b"content-type",
        b"date",
        b"server",
        b"request-id",
        b"x-request-id",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
    )
)
"""What a provider says to its own client, which is the gateway, and what the gateway writes itself."""


class Relay:
    """One exchange below a provider's address. ``suffix`` follows the address, ``gauge`` reads usage if it can.

    ``whole``: the answer is a small JSON document that is held until its end, in ``reading.body``.
    """

    name = "relay"

    def __init__(self, method: str, suffix: str, *, gauge: Gauge | None = None, whole: bool = False) -> None:
        self.method = method
        self.suffix = suffix
        self._gauge = gauge
        self._whole = whole

    def ask(self, call: Call, target: Target) -> Ask:
        """The client's request, with the provider's key in place of the client's."""
        provider = target.provider
        headers = [*forwarded(call.headers, provider), *provider.headers, *key_headers(provider)]
        url = provider.base_url + self.suffix
        ask = Ask(method=self.method, url=url, headers=headers, body=call.body, once=self._whole)
        if provider.auth != "sigv4":
            return ask
        return signed(ask, provider.api_key, region=provider.region, service="bedrock", at=call.at)

    def reading(self, call: Call, target: Target, status: int, headers: Mapping[bytes, bytes]) -> "Relayed":
        """The answer as it comes."""
        if self._whole:
            return Held(call, target, status, headers)
        return Relayed(status, headers, gauge=self._gauge if status in OK else None)


class Relayed:
    """An answer that the client gets byte by byte, read along with for its usage.

    ``headers`` are the provider's that travel on. An error, and an answer whose usage can be read in one piece, is held
    until its end unless it is very long, so that the gateway's own headers can tell its cost.
    """

    def __init__(self, status: int, headers: Mapping[bytes, bytes], *, gauge: Gauge | None = None) -> None:
        self.meter = Meter()
        self.status = status
        self.content_type = headers.get(b"content-type", b"application/octet-stream")
        self.headers = returned(headers)
        self._gauge = gauge
        self._events = Splitter() if EVENT_STREAM in self.content_type else None
        self._seen = Meter()
        self._kept: list[bytes] = []
        self._size = 0
        self._refused = status not in OK
        self._room = MEASURED_BYTES if self._refused or gauge is not None else 0

    @property
    def body(self) -> bytes:
        """What is held of the answer, all of it unless it is very long."""
        return b"".join(self._kept)

    def feed(self, data: bytes) -> bytes:
        self._size += len(data)
        if self._events is not None and self._gauge is not None:
            for block in self._events.feed(data):
                self._read(block)
            return data
        self._kept.append(data)
        if self._size <= self._room:
            return b""
        out = self.body
        self._kept.clear()
        return out

    def close(self) -> bytes:
        meter = self.meter
        meter.complete = True
        if self._refused:
            meter.error_kind, meter.error = _fault.failure(self.status, self.body)
        elif self._gauge is not None:
            self._measure(self._gauge)
        return self.body

    def _read(self, block: bytes) -> None:
        data = data_of(block)
        if data and self._gauge is not None:
            self._gauge.event(data, self._seen)

    def _measure(self, gauge: Gauge) -> None:
        if self._events is not None:
            self._read(self._events.rest())
        elif self._size > MEASURED_BYTES or not gauge.body(self.body, self._seen):
            return
        meter, seen = self.meter, self._seen
        meter.served_model, meter.upstream_id = seen.served_model, seen.upstream_id
        meter.finish_reason, meter.service_tier = seen.finish_reason, seen.service_tier
        if seen.error_kind is not ErrorKind.NONE:
            meter.error_kind, meter.error = seen.error_kind, seen.error
        if not gauge.usage:
            meter.usage = seen.usage
            meter.usage_source = Source.PROVIDER if seen.usage is not None else Source.NONE
            return
        try:
            meter.usage, meter.reported_cost = usage_and_cost(gauge.flavor, gauge.usage)
        except InputError:
            return
        meter.usage_source = Source.PROVIDER if meter.usage is not None else Source.NONE


class Held(Relayed):
    """A JSON document that the gateway reads before the client gets it; errors in the client's own dialect."""

    def __init__(self, call: Call, target: Target, status: int, headers: Mapping[bytes, bytes]) -> None:
        super().__init__(status, headers)
        self._call, self._target = call, target
        self._room = MEASURED_BYTES

    def feed(self, data: bytes) -> bytes:
        super().feed(data)
        return b""

    def close(self) -> bytes:
        super().close()
        if self.status in OK and self._size <= self._room:
            return self.body
        refused = Refused(self._call, self._target, self.status, native=True, content_type=self.content_type)
        refused.feed(self.body)
        answer = refused.close()
        self.meter.error_kind, self.meter.error = refused.meter.error_kind, refused.meter.error
        self.status, self.content_type = refused.status, refused.content_type
        return answer


def forwarded(headers: Headers, provider: Provider) -> Headers:
    """The client's headers that travel on; those that the settings give this provider come instead of its own."""
    named = {word.strip().lower() for name, value in headers if name == b"connection" for word in value.split(b",")}
    withheld = _HOPS | _PRIVATE | named | {name for name, _ in provider.headers}
    return [(n, v) for n, v in headers if n not in withheld and not n.startswith(_PRIVATE_PREFIXES)]


def returned(headers: Mapping[bytes, bytes]) -> Headers:
    """The provider's headers that travel back, without any that would read as one of the gateway's own."""
    named = {word.strip().lower() for word in headers.get(b"connection", b"").split(b",")}
    withheld = _HOPS | _NOT_BACK | named
    return [
        (name, value)
        for name, value in headers.items()
        if name not in withheld and not name.startswith(b"x-farthing-") and _plain(value)
    ]


def _plain(value: bytes) -> bool:
    """Whether a header's value is one line."""
    return not any(byte in value for byte in (b"\r", b"\n", b"\0"))


__all__ = ["MEASURED_BYTES", "Held", "Relay", "Relayed", "forwarded", "returned"]
