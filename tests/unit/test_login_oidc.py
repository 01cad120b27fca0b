"""Single sign-on against a real provider on loopback, which behaves, and which does not."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from farthing.core.errors import DeniedError
from farthing.core.nouns import Scope
from farthing.web.oidc import check_claims, local_path
from support.house import house
from support.oidc import CLIENT, SECRET, Idp, provider

BEGIN = "/api/v1/login/oidc"


@pytest.fixture
def idp():
    with provider() as running:
        yield running


def settings(idp: Idp, more: str = "") -> str:
    return f"""
[login.oidc]
issuer = "{idp.issuer}"
client_id = "{CLIENT}"
client_secret = "env:OIDC_SECRET"
{more}
"""


def rooms_of(tmp_path, idp: Idp, more: str = ""):
    return house(tmp_path, settings(idp, more), env={"OIDC_SECRET": SECRET})


def begun(client, after: str = "/keys") -> str:
    """The provider's address, after the browser clicked on log in."""
    answer = client.get(BEGIN, params={"next": after}, follow_redirects=False)
    assert answer.status_code == 302, answer.text
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert f"path={BEGIN}" in cookie
    return answer.headers["location"]


def logged_in(client, idp: Idp, after: str = "/keys"):
    """The page at which the browser arrives."""
    return client.get(idp.authorize(begun(client, after)))


def who(client) -> dict:
    return client.get("/api/v1/session").json()


def test_somebody_known_logs_in_and_their_cookie_is_strict(tmp_path, idp):
    with rooms_of(tmp_path, idp) as rooms:
        rooms.person("ann@example.com", "engineer", scope=Scope(team="search"))
        with rooms.browser() as client:
            asked = parse_qs(urlsplit(begun(client)).query)
            assert asked["code_challenge_method"] == ["S256"]
            assert asked["redirect_uri"] == ["http://127.0.0.1:4181/api/v1/login/oidc/callback"]
            page = logged_in(client, idp)
            assert page.status_code == 200, page.text
            assert 'content="0;url=/keys"' in page.text
            session = next(c for c in page.headers.get_list("set-cookie") if c.startswith(rooms.cookie_name))
            assert "samesite=strict" in session.lower()
            assert (who(client)["actor"], who(client)["role"]) == ("ann@example.com", "engineer")
            assert who(client)["scope"]["team"] == "search"
        (person,) = rooms.store.people.list()
        assert person.subject == f"{idp.issuer} u-1"
        idp.user = {**idp.user, "email": "ann.new@example.com"}
        with rooms.browser() as client:
            logged_in(client, idp)
            assert who(client)["person"] == person.id


def test_both_kinds_of_key_sign_and_new_keys_are_found(tmp_path, idp):
    with rooms_of(tmp_path, idp) as rooms:
        rooms.person("ann@example.com", "viewer")
        with rooms.browser() as client:
            for idp.signs in (0, 1):
                assert logged_in(client, idp).status_code == 200
        assert idp.asked.count("/jwks") == 1
        assert idp.asked.count("/.well-known/openid-configuration") == 1


WRONG = {
    "nonce": ({"nonce": "another"}, "another login"),
    "no nonce": ({"nonce": None}, "another login"),
    "audience": ({"aud": "somebody-else"}, "another client"),
    "audiences": ({"aud": [CLIENT, "somebody-else"]}, "several clients"),
    "azp": ({"azp": "somebody-else"}, "another client"),
    "issuer": ({"iss": "https://evil.example"}, "another issuer"),
    "expired": ({"exp": 1_000_000_000}, "expired"),
    "expiry as text": ({"exp": "never"}, "expired"),
    "future": ({"iat": 9_000_000_000}, "future"),
    "old": ({"iat": 1_000_000_000}, "too old"),
    "unverified": ({"email_verified": False}, "not verified"),
    "verified as text": ({"email_verified": "true"}, "not verified"),
    "no e-mail": ({"email": None}, "e-mail"),
    "no subject": ({"sub": ""}, "who this is"),
    "domain": ({"email": "ann@evil.example"}, "may not log in here"),
    "domain suffix": ({"email": "ann@notexample.com"}, "may not log in here"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_token_with_a_wrong_claim_lets_nobody_in(tmp_path, idp, name):
    idp.wrong, why = WRONG[name]
    refused(tmp_path, idp, why)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("none", "signature"),
        ("hmac", "signature"),
        ("stranger", "signature"),
        ("garbage", "signature"),
        ("refuse", "access_denied"),
    ],
)
def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(tmp_path, idp, how, why):
    idp.how = how
    refused(tmp_path, idp, why)


def refused(tmp_path, idp: Idp, why: str) -> None:
    with (
        rooms_of(tmp_path, idp, 'default_role = "viewer"\ndomains = ["example.com"]') as rooms,
        rooms.browser() as client,
    ):
        page = logged_in(client, idp)
        assert page.status_code == 401, page.text
        assert why in page.text
        assert not any(c.startswith(rooms.cookie_name) for c in page.headers.get_list("set-cookie"))
        assert client.get("/api/v1/session").status_code == 401
        assert rooms.store.people.list() == []


def test_an_answer_counts_once_and_only_in_the_browser_that_asked(tmp_path, idp):
    with rooms_of(tmp_path, idp, 'default_role = "viewer"') as rooms, rooms.browser() as client:
        back = idp.authorize(begun(client))
        ticket = {"Cookie": f"farthing_sign_on={client.cookies['farthing_sign_on']}"}
        client.cookies.clear()
        stolen = client.get(back)
        assert (stolen.status_code, "not begun in this browser" in stolen.text) == (401, True)
        other = begun(client)
        mixed = client.get(
            back.replace(parse_qs(urlsplit(back).query)["state"][0], parse_qs(urlsplit(other).query)["state"][0])
        )
        assert mixed.status_code == 401
        client.cookies.clear()
        back = idp.authorize(begun(client))
        ticket = {"Cookie": f"farthing_sign_on={client.cookies['farthing_sign_on']}"}
        client.cookies.clear()
        assert client.get(back, headers=ticket).status_code == 200
        client.cookies.clear()
        again = client.get(back, headers=ticket)
        assert (again.status_code, "answered already" in again.text) == (401, True)
        client.cookies.clear()
        forged = {"Cookie": "farthing_sign_on=e30=." + "0" * 64}
        assert client.get(back, headers=forged).status_code == 401


def test_a_code_of_somebody_elses_login_is_worth_nothing(tmp_path, idp):
    """Code injection: PKCE ties a code to the browser that began the login it was given for."""
    with rooms_of(tmp_path, idp, 'default_role = "viewer"') as rooms, rooms.browser() as client:
        victims = parse_qs(urlsplit(idp.authorize(begun(client))).query)["code"][0]
        client.cookies.clear()
        own = parse_qs(urlsplit(begun(client)).query)["state"][0]
        page = client.get(f"{BEGIN}/callback?code={victims}&state={own}")
        assert (page.status_code, "does not take this code" in page.text) == (401, True)


def test_an_answer_of_another_issuer_is_refused(tmp_path, idp):
    idp.metadata = {"authorization_response_iss_parameter_supported": True}
    with rooms_of(tmp_path, idp, 'default_role = "viewer"') as rooms, rooms.browser() as client:
        for iss in ("", "&iss=https%3A%2F%2Fevil.example"):
            page = client.get(idp.authorize(begun(client)) + iss)
            assert (page.status_code, "another identity provider" in page.text) == (401, True)
        assert (
            client.get(idp.authorize(begun(client)) + f"&iss={quote(idp.issuer, safe='')}&session_state=x").status_code
            == 200
        )


@pytest.mark.parametrize(
    "metadata", [{"issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example/token"}, {"jwks_uri": 7}]
)
def test_a_provider_that_describes_itself_wrongly_is_not_used(tmp_path, idp, metadata):
    idp.metadata = metadata
    with rooms_of(tmp_path, idp) as rooms, rooms.browser() as client:
        answer = client.get(BEGIN, follow_redirects=False)
        assert (answer.status_code, answer.json()["type"]) == (503, "unavailable")


def test_who_is_not_known_gets_in_only_with_a_role(tmp_path, idp):
    with rooms_of(tmp_path, idp) as rooms, rooms.browser() as client:
        page = logged_in(client, idp)
        assert (page.status_code, "not known here" in page.text) == (403, True)
        assert rooms.store.people.list() == []


def test_groups_rule_over_roles_at_every_login(tmp_path, idp):
    more = 'tenant = { team = "search" }\nroles = { ops = "admin", devs = "engineer" }'
    with rooms_of(tmp_path, idp, more) as rooms, rooms.browser() as client:
        idp.user = {**idp.user, "groups": ["devs", "others"]}
        logged_in(client, idp)
        assert (who(client)["role"], who(client)["scope"]["team"]) == ("engineer", "search")
        idp.user = {**idp.user, "groups": ["devs", "ops"]}
        logged_in(client, idp)
        assert who(client)["role"] == "admin"
        idp.user = {**idp.user, "groups": []}
        assert logged_in(client, idp).status_code == 403
        assert {e.actor for e in rooms.store.audit.list() if e.action.startswith("person.")} == {"identity provider"}


def test_an_e_mail_that_was_given_to_somebody_new_there_opens_nothing_here(tmp_path, idp):
    with rooms_of(tmp_path, idp) as rooms, rooms.browser() as client:
        rooms.person("ann@example.com", "admin")
        assert logged_in(client, idp).status_code == 200
        client.cookies.clear()
        idp.user = {**idp.user, "sub": "u-2"}
        assert logged_in(client, idp).status_code == 403


def test_who_is_disabled_stays_out(tmp_path, idp):
    with rooms_of(tmp_path, idp) as rooms, rooms.browser() as client:
        rooms.person("root@example.com", "admin")
        person = rooms.person("ann@example.com", "viewer")
        rooms.store.people.disable(rooms.by(), person.id)
        assert logged_in(client, idp).status_code == 403


@pytest.mark.parametrize(
    "after",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/\tx",
        "/api/v1/x",
        '/"><script>',
    ],
)
def test_nobody_is_led_elsewhere_after_a_login(tmp_path, idp, after):
    with rooms_of(tmp_path, idp, 'default_role = "viewer"') as rooms, rooms.browser() as client:
        page = logged_in(client, idp, after) if "\t" not in after else None
        if page is not None:
            assert page.status_code == 200
            assert "evil" not in page.text
            assert "<script>" not in page.text
            assert "javascript" not in page.text
    assert local_path(after) in ("/", '/"><script>')


def test_without_a_provider_there_is_no_single_sign_on(tmp_path):
    with house(tmp_path) as rooms, rooms.browser() as client:
        assert client.get(BEGIN, follow_redirects=False).status_code == 404
        assert client.get(f"{BEGIN}/callback?code=x&state=y").status_code == 404


def test_claims_may_be_a_minute_off():
    now = datetime(2026, 11, 21, tzinfo=UTC)
    at = now.timestamp()
    claims = {"iss": "i", "aud": ["c"], "nonce": "n", "exp": at - 59, "iat": at + 59}
    check_claims(claims, "i", "c", "n", now)
    for late in (timedelta(seconds=2), timedelta(minutes=-1)):
        with pytest.raises(DeniedError):
            check_claims(claims, "i", "c", "n", now + late)


def test_the_secret_of_the_client_stands_in_no_answer(tmp_path, idp):
    idp.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    with rooms_of(tmp_path, idp, 'default_role = "viewer"') as rooms, rooms.browser() as client:
        page = logged_in(client, idp)
        assert page.status_code == 401
        assert SECRET not in page.text
