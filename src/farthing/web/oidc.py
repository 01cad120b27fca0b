"""Single sign-on: the relying party of OpenID Connect's authorization code flow, with PKCE.

OpenID Connect Core 1.0 and Discovery 1.0, PKCE (RFC 7636, S256 only), the issuer in the response (RFC 9207), and the
advice of RFC 9700. Only ID tokens signed with RS256 or ES256 by a key that the issuer publishes are believed, and only
for this client, this login and a verified e-mail. ``joserfc`` checks signatures; what a token claims is checked here.
"""

import base64
import hashlib
import hmac
import math
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote_plus, urlencode

import msgspec

from farthing.core.errors import DeniedError, UnavailableError
from farthing.web.logins import Identity
from farthing.web.settings import OidcSettings, is_trustworthy

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

ALGORITHMS = ["RS256", "ES256"]
LOGIN_TIME = timedelta(minutes=10)
LEEWAY = timedelta(seconds=60)
"""By how much the provider's clock and ours may differ."""
OLDEST_TOKEN = timedelta(minutes=10)
KEYS_KEPT = timedelta(hours=1)
KEYS_AGAIN = timedelta(seconds=30)
"""An unknown key is looked for at most this often."""
_TIMEOUT_SECONDS = 10.0
_LARGEST_ANSWER = 1 << 20
_RANDOM_BYTES = 32
_MOST_GROUPS = 1000


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A login that was begun and waits for its answer. It travels in a signed cookie of the browser that began it."""

    state: str
    nonce: str
    verifier: str
    next: str
    until: datetime


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What the discovery document says, as far as it is needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider sends the browser back with."""

    code: str = ""
    state: str = ""
    iss: str = ""
    error: str = ""


class Oidc:
    """One identity provider. Belongs to one event loop; what it publishes is kept for an hour."""

    def __init__(self, settings: OidcSettings, client_secret: Callable[[], str], clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._client_secret = client_secret
        self._clock = clock
        self._sign = secrets.token_bytes(_RANDOM_BYTES)
        self._metadata: tuple[datetime, Metadata] | None = None
        self._keys: tuple[datetime, KeySet] | None = None
        self._used: dict[str, datetime] = {}

    async def begin(self, callback: str, after: str) -> tuple[str, str]:
        """The provider's address to send a browser to, and the cookie that ties the answer to this browser."""
        metadata = await self._discovered()
        pending = Pending(
            state=secrets.token_urlsafe(_RANDOM_BYTES),
            nonce=secrets.token_urlsafe(_RANDOM_BYTES),
            verifier=secrets.token_urlsafe(_RANDOM_BYTES),
            next=local_path(after),
            until=self._clock() + LOGIN_TIME,
        )
        question = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": callback,
            "scope": " ".join(self._settings.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": _challenge(pending.verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(question)}", self._packed(pending)

    async def finish(self, cookie: str, answer: Answer, callback: str) -> tuple[Identity, str]:
        """Who came back, and where they wanted to go. Raises ``DeniedError`` for anything that does not fit."""
        pending = self._unpacked(cookie)
        if pending is None or not hmac.compare_digest(pending.state.encode(), answer.state.encode()):
            raise refused("This login was not begun in this browser, or took too long")
        metadata = await self._discovered()
        if answer.iss != metadata.issuer and (answer.iss or metadata.authorization_response_iss_parameter_supported):
            raise refused("The answer comes from another identity provider")
        self._use(pending)
        if answer.error or not answer.code:
            raise refused(f"The identity provider refused: {answer.error[:100] or 'no code'}")
        token = await self._exchanged(metadata, answer.code, pending.verifier, callback)
        claims = await self._verified(metadata, token)
        check_claims(claims, metadata.issuer, self._settings.client_id, pending.nonce, self._clock())
        return identity_of(claims, self._settings), pending.next

    def _use(self, pending: Pending) -> None:
        """An answer counts once. Only states that were really begun here are remembered, until they are too old."""
        now = self._clock()
        self._used = {state: until for state, until in self._used.items() if until > now}
        if pending.state in self._used:
            raise refused("This login was answered already")
        self._used[pending.state] = pending.until

    async def _exchanged(self, metadata: Metadata, code: str, verifier: str, callback: str) -> str:
        """The ID token for a code."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
        secret, client = self._client_secret(), self._settings.client_id
        basic: tuple[str, str] | None = None
        if secret and "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            basic = client, secret
        else:
            form |= {"client_id": client, **({"client_secret": secret} if secret else {})}
        status, body = await fetched(metadata.token_endpoint, form=form, basic=basic)
        token = body.get("id_token")
        if status != 200 or not isinstance(token, str):  # noqa: PLR2004 - the HTTP status
            raise refused("The identity provider does not take this code")
        return token

    async def _verified(self, metadata: Metadata, token: str) -> Mapping[str, Any]:
        """The claims of a token with a good signature. Keys are fetched again when none of the known ones fits."""
        known = self._keys
        claims = None if known is None or known[0] < self._clock() - KEYS_KEPT else signed_claims(token, known[1])
        if claims is None and (known is None or known[0] < self._clock() - KEYS_AGAIN):
            _, body = await fetched(metadata.jwks_uri)
            self._keys = self._clock(), key_set(body)
            claims = signed_claims(token, self._keys[1])
        if claims is None:
            raise refused("The signature of the identity provider's token is not good")
        return claims

    async def _discovered(self) -> Metadata:
        if self._metadata is not None and self._metadata[0] > self._clock() - KEYS_KEPT:
            return self._metadata[1]
        issuer = self._settings.issuer
        _, body = await fetched(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        try:
            metadata = msgspec.convert(body, Metadata, strict=True)
        except msgspec.ValidationError as problem:
            raise _unusable(f"its configuration cannot be read ({problem})") from None
        if metadata.issuer != issuer:
            raise _unusable(f"it calls itself {metadata.issuer[:200]!r}, not {issuer!r}")
        for url in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri):
            if not is_trustworthy(url):
                raise _unusable("one of its addresses is not https")
        self._metadata = self._clock(), metadata
        return metadata

    def _packed(self, pending: Pending) -> str:
        body = base64.urlsafe_b64encode(msgspec.json.encode(pending)).decode()
        return f"{body}.{self._signature(body)}"

    def _unpacked(self, cookie: str) -> Pending | None:
        body, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(body).encode()):
            return None
        pending = msgspec.json.decode(base64.urlsafe_b64decode(body), type=Pending)
        return pending if pending.until > self._clock() else None

    def _signature(self, body: str) -> str:
        return hmac.new(self._sign, body.encode(), hashlib.sha256).hexdigest()


def local_path(text: str) -> str:
    """A page of this dashboard; the first one for anything that might lead elsewhere."""
    plain = text.isprintable() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith(("//", "/api/")) else "/"


def key_set(body: Mapping[str, Any]) -> "KeySet":
    """The keys of a JWKS that can sign ID tokens; keys of other kinds are passed over."""
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    keys: list[Any] = []
    listed: Any = body.get("keys")
    for key in cast("list[Any]", listed) if isinstance(listed, list) else ():
        if not isinstance(key, dict):
            continue
        facts = cast("dict[str, Any]", key)
        if facts.get("kty") in ("RSA", "EC") and facts.get("use", "sig") == "sig":
            try:
                keys += KeySet.import_key_set({"keys": [facts]}).keys
            except (JoseError, ValueError, TypeError, KeyError):
                continue
    return KeySet(keys)


def signed_claims(token: str, keys: "KeySet") -> Mapping[str, Any] | None:
    """What a token says, when one of the keys signed it; ``None`` otherwise."""
    from joserfc import jwt
    from joserfc.errors import JoseError

    try:
        return jwt.decode(token, keys, algorithms=ALGORITHMS).claims
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def check_claims(claims: Mapping[str, Any], issuer: str, client: str, nonce: str, now: datetime) -> None:
    """Raises ``DeniedError`` unless the token is for this client and this login, and holds now."""
    audience: Any = claims.get("aud")
    audiences: list[Any] = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    rules: tuple[tuple[bool, str], ...] = (
        (claims.get("iss") == issuer, "is from another issuer"),
        (client in audiences, "is for another client"),
        (len(audiences) == 1 or claims.get("azp") == client, "is for several clients, and not asked for by this one"),
        (claims.get("azp", client) == client, "was asked for by another client"),
        (expires > (now - LEEWAY).timestamp(), "has expired"),
        (issued < (now + LEEWAY).timestamp(), "is from the future"),
        (issued > (now - OLDEST_TOKEN - LEEWAY).timestamp(), "is too old"),
        (_same(claims.get("nonce"), nonce), "is for another login"),
    )
    for holds, why in rules:
        if not holds:
            raise refused(f"The identity provider's token {why}")


def identity_of(claims: Mapping[str, Any], settings: OidcSettings) -> Identity:
    """Who the token is about. Raises ``DeniedError`` when the e-mail is missing, not verified or of another domain."""
    subject, email, name = claims.get("sub"), claims.get("email"), claims.get("name")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:  # noqa: PLR2004 - OpenID Connect Core, section 2
        raise refused("The identity provider does not say who this is")
    if not isinstance(email, str) or "@" not in email or not email.isprintable():
        raise refused("The identity provider does not tell the e-mail")
    if claims.get("email_verified") is not True:
        raise refused("The identity provider has not verified this e-mail")
    domain = email.rpartition("@")[2].lower()
    if settings.domains and domain not in [allowed.lower() for allowed in settings.domains]:
        raise refused(f"E-mails of {domain[:200]} may not log in here")
    groups: Any = claims.get(settings.groups)
    listed = cast("list[Any]", groups)[:_MOST_GROUPS] if isinstance(groups, list) else []
    return Identity(
        issuer=settings.issuer,
        subject=subject,
        email=email.lower(),
        name=name[:200] if isinstance(name, str) and name.isprintable() else "",
        groups=tuple(group for group in listed if isinstance(group, str)),
    )


async def fetched(
    url: str, *, form: Mapping[str, str] | None = None, basic: tuple[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """A JSON object from the provider, by GET or by POST of a form. No redirect is followed.

    Raises ``UnavailableError`` when it does not answer in time, or something else than JSON of a sensible size.
    """
    import aiohttp

    method, headers = "GET" if form is None else "POST", {"Accept": "application/json"}
    if basic:
        headers["Authorization"] = _basic(*basic)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.request(method, url, data=form, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(_LARGEST_ANSWER)
            while len(body) < _LARGEST_ANSWER and (more := await answer.content.read(_LARGEST_ANSWER - len(body))):
                body += more
            return answer.status, msgspec.json.decode(body, type=dict[str, Any])
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise _unusable("it does not answer") from None
    except msgspec.MsgspecError:
        raise _unusable("its answer cannot be read") from None


def refused(why: str) -> DeniedError:
    """A login that cannot be."""
    return DeniedError(why, reason="not_logged_in", remedy="Begin the login again; if it stays so, ask an admin")


def _unusable(why: str) -> UnavailableError:
    return UnavailableError(
        f"The identity provider cannot be used: {why}", remedy="Check issuer under [login.oidc], or log in another way"
    )


def _basic(client: str, secret: str) -> str:
    """RFC 6749, 2.3.1: both halves are form-encoded before they go into the header."""
    return "Basic " + base64.b64encode(f"{quote_plus(client)}:{quote_plus(secret)}".encode()).decode()


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _time(claims: Mapping[str, Any], name: str) -> float:
    """A claimed time in seconds since 1970; what is missing or no number never holds."""
    value = claims.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def _same(value: object, wanted: str) -> bool:
    return isinstance(value, str) and hmac.compare_digest(value.encode(), wanted.encode())


__all__ = ["Answer", "Oidc", "check_claims", "identity_of", "key_set", "local_path", "signed_claims"]
