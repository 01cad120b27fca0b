"""Signing requests to Amazon by Signature Version 4.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. Every service but S3
encodes the path twice: once for the wire, once more for the signature.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from farthing.core.errors import InputError
from farthing.gateway.ports import Ask, Headers

_ALGORITHM = "AWS4-HMAC-SHA256"
_PARTS = (2, 3)


def signed(ask: Ask, secret: str, *, region: str, service: str, at: datetime) -> Ask:
    """The request with its ``authorization`` and date. ``secret`` is ``ACCESS_KEY_ID:SECRET_KEY[:SESSION_TOKEN]``.

    Raises ``InputError`` when the secret has another form; the message never holds it.
    """
    parts = secret.split(":")
    if len(parts) not in _PARTS or not all(parts):
        raise InputError(
            "not an Amazon key",
            field="api_key",
            value="(secret)",
            remedy="Write ACCESS_KEY_ID:SECRET_KEY[:SESSION_TOKEN], or a Bedrock API key without colons",
        )
    access, key, *session = parts
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = [*ask.headers, (b"host", urlsplit(ask.url).netloc.encode()), (b"x-amz-date", stamp.encode())]
    if session:
        headers.append((b"x-amz-security-token", session[0].encode()))
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    names, request = _canonical(ask, headers)
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.new(_signing_key(key, scope), text.encode(), hashlib.sha256).hexdigest()
    value = f"{_ALGORITHM} Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    headers.append((b"authorization", value.encode()))
    return Ask(method=ask.method, url=ask.url, headers=headers, body=ask.body)


def _canonical(ask: Ask, headers: Headers) -> tuple[str, str]:
    """The names of the signed headers, and the request in the one form that both sides sign."""
    url = urlsplit(ask.url)
    query = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(url.query, True))
    lines = sorted((name.decode(), b" ".join(value.split()).decode()) for name, value in headers)
    names = ";".join(name for name, _ in lines)
    request = (
        ask.method,
        quote(url.path or "/", safe="/-_.~"),
        "&".join(f"{key}={value}" for key, value in query),
        "".join(f"{name}:{value}\n" for name, value in lines),
        names,
        hashlib.sha256(ask.body).hexdigest(),
    )
    return names, "\n".join(request)


def _signing_key(secret: str, scope: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key
