"""What every dialect's upstream request has: address, key, and the few client headers that travel on."""

from farthing.core.errors import InputError
from farthing.gateway.ports import Ask, Call, Headers, Provider

_BEARER = (b"authorization", b"Bearer %b")
_KEY_HEADERS = {
    "bearer": _BEARER,
    "api-key": (b"api-key", b"%b"),
    "x-api-key": (b"x-api-key", b"%b"),
    "x-goog-api-key": (b"x-goog-api-key", b"%b"),
}
_JSON = b"application/json"


def post(
    provider: Provider, path: str, body: bytes, *, forward: Headers | None = None, content_type: bytes = _JSON
) -> Ask:
    """A POST below the provider's address. ``forward`` are headers of the client that travel on."""
    headers = [(b"content-type", content_type), *(forward or ()), *provider.headers, *key_headers(provider)]
    return Ask(method="POST", url=provider.base_url + path, headers=headers, body=body)


def key_headers(provider: Provider) -> Headers:
    """The provider's key as it wants it; empty where it wants none, or a signature instead."""
    if provider.auth not in _KEY_HEADERS:
        return []
    name, form = _KEY_HEADERS[provider.auth]
    return [(name, form % provider.api_key.encode())]


def content_type_of(call: Call) -> bytes:
    """What a form's body is, boundary and all; any other body is JSON."""
    given = dict(call.headers).get(b"content-type", b"")
    return given if given.lower().startswith(b"multipart/form-data") else _JSON


def picked(call: Call, names: frozenset[bytes]) -> Headers:
    """The client's headers with these names."""
    return [(name, value) for name, value in call.headers if name in names]


def cannot(call: Call, dialect: str, field: str = "model") -> InputError:
    """The refusal of an operation that a dialect does not have."""
    return InputError(
        f"{call.operation} is not available from a provider that speaks {dialect}",
        field=field,
        value=call.model,
        remedy="Route this model to a provider that offers it",
    )
