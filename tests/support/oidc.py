"""A small OpenID Connect provider on a loopback port, with real keys; it can misbehave in many ways."""

import base64
import hashlib
import hmac
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT, SECRET = "farthing", "the-client's secret"


class Idp:
    """The provider. ``user`` is who is logged in there; ``wrong`` is merged into the next ID tokens' claims, ``how``
    names a fault of the whole: ``none`` (alg none), ``hmac`` (signed with the public key as a password), ``stranger``
    (signed with an unpublished key), ``garbage``, ``refuse``.
    """

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.keys = [
            RSAKey.generate_key(2048, parameters={"kid": "r1"}),
            ECKey.generate_key("P-256", parameters={"kid": "e1"}),
        ]
        self.signs = 0
        self.user = {"sub": "u-1", "email": "ann@example.com", "email_verified": True, "name": "Ann", "groups": []}
        self.wrong: dict[str, object] = {}
        self.how = ""
        self.metadata: dict[str, object] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []

    def discovery(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            **self.metadata,
        }

    def authorize(self, address: str) -> str:
        """What the browser is sent back with, for the address that it was sent to."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        answer = {"state": query["state"], **({"error": "access_denied"} if self.how == "refuse" else {"code": code})}
        return f"{query['redirect_uri']}?{urllib.parse.urlencode(answer)}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, object]]:
        """An ID token for a code, once, for who knows the client's secret and the verifier."""
        asked = self.codes.pop(form.get("code", ""), None)
        quoted = ":".join(map(urllib.parse.quote_plus, (CLIENT, SECRET)))
        right = authorization == "Basic " + base64.b64encode(quoted.encode()).decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).decode()
        if asked is None or not right or asked["code_challenge"] != challenge.rstrip("="):
            return 400, {"error": "invalid_grant"}
        if form.get("redirect_uri") != asked["redirect_uri"] or asked["code_challenge_method"] != "S256":
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            **self.user, **self.wrong,
        }  # fmt: skip
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": self.signed(claims)}

    def signed(self, claims: dict[str, object]) -> str:
        key = self.keys[self.signs]
        header = {"alg": "RS256" if isinstance(key, RSAKey) else "ES256", "kid": key.kid}
        if self.how == "none":
            parts = [json.dumps({"alg": "none", "kid": key.kid}).encode(), json.dumps(claims).encode(), b""]
            return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
        if self.how == "hmac":
            parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "kid": "r1"}, claims)]
            text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
            mac = hmac.digest(self.keys[0].as_pem(private=False), text.encode(), "sha256")
            return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
        if self.how == "stranger":
            key = RSAKey.generate_key(2048, parameters={"kid": key.kid})
        if self.how == "garbage":
            return "not.a.token"
        return jwt.encode(header, claims, key, algorithms=["RS256", "ES256"])

    def answer(self, path: str) -> dict[str, object] | None:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return self.discovery()
        if path == "/jwks":
            odd = [{"kty": "OKP", "crv": "X25519", "x": "AAAA"}, {"kty": "RSA", "n": "AQAB"}, "nonsense"]
            return {"keys": [*odd, *(key.as_dict(private=False) for key in self.keys)]}
        return None


@contextmanager
def provider() -> Iterator[Idp]:
    """A provider that runs until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = idp.answer(self.path)
            self._send(404 if body is None else 200, body or {})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            self._send(*idp.token(dict(urllib.parse.parse_qsl(text)), self.headers.get("authorization", "")))

        def _send(self, status: int, body: object) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    idp = Idp(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield idp
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
