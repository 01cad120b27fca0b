"""Attacks on the control plane, through the whole application."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from litestar.testing import TestClient
from tests.support.nobody import Nobody

from farthing.web.api import build
from farthing.web.live import Landings
from farthing.web.services import Services
from farthing.web.settings import WebSettings
from farthing.web.views import HealthView

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOKEN = "the-admin-token"
HOST = "127.0.0.1:4181"
SITE = f"http://{HOST}"


class Desk:
    revoked: tuple[str, ...] = ()

    def list(self):
        return []

    def providers(self):
        return []

    hints = providers

    def health(self):
        return HealthView(state="ok", checks=())

    def through(self):
        return None

    def revoke(self, who, id: str) -> None:
        self.revoked = (*self.revoked, id)


@pytest.fixture
def services(tmp_path: Path) -> Services:
    desk = Desk()
    return Services(
        facts=desk, keys=desk, prices=SimpleNamespace(), budgets=SimpleNamespace(),
        caches=SimpleNamespace(), desk=desk, landings=Landings(), clock=lambda: NOW,
        admin_token=TOKEN, settings=WebSettings(hosts=("farthing.example",)), version="0.1.0",
        gateway_url="http://127.0.0.1:4180", people=Nobody(), logins=Nobody(),
        approvals=Nobody(), links=Nobody(), audit=Nobody(), pages=tmp_path / "static",
    )  # fmt: skip


@pytest.fixture
def client(services):
    with TestClient(build(services), base_url=SITE) as client:
        yield client


def log_in(client) -> None:
    assert client.post("/api/v1/session", json={"token": TOKEN}).status_code == 201


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer é",
    ],
)
def test_without_the_token_nothing_is_read(client, header):
    headers = {} if header is None else {"Authorization": header.encode()}
    for path in ("health", "session", "keys", "spend", "spend.csv", "events", "requests/x"):
        response = client.get(f"/api/v1/{path}", headers=headers)
        assert response.status_code == 401, path
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["remedy"]


def test_the_token_opens(client):
    assert client.get("/api/v1/health", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_a_wrong_login_sets_no_cookie(client):
    response = client.post("/api/v1/session", json={"token": "guess"})
    assert response.status_code == 401
    assert "set-cookie" not in response.headers


def test_a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(client):
    response = client.post("/api/v1/session", json={"token": TOKEN})
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert client.get("/api/v1/health").status_code == 200
    client.delete("/api/v1/session", headers={"Origin": SITE})
    assert client.get("/api/v1/health").status_code == 401


def test_a_wrong_token_is_not_saved_by_a_good_cookie(client):
    log_in(client)
    assert client.get("/api/v1/health", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_session_ends_with_its_time_and_with_the_token(services):
    with TestClient(build(services), base_url=SITE) as client:
        log_in(client)
        ((name, value),) = client.cookies.items()
    for later in (
        replace(services, clock=lambda: NOW + timedelta(days=31)),
        replace(services, admin_token="another"),
    ):
        with TestClient(build(later), base_url=SITE) as client:
            assert client.get("/api/v1/health", headers={"Cookie": f"{name}={value}"}).status_code == 401


@pytest.mark.parametrize(
    "forged", ["", ".", "9999999999.", "9999999999.AAAA", "²." + "A" * 43, "-1.A", "9" * 5000 + ".A"]
)
def test_a_forged_session_is_refused(client, forged):
    log_in(client)
    ((name, value),) = client.cookies.items()
    client.cookies.clear()
    headers = {"Cookie": f"{name}={forged}".encode()}
    assert client.get("/api/v1/health", headers=headers).status_code == 401
    expires, _, signature = value.partition(".")
    longer = {"Cookie": f"{name}={int(expires) + 1}.{signature}"}
    assert client.get("/api/v1/health", headers=longer).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_another_site_cannot_write_with_the_cookie(client, services, headers):
    log_in(client)
    response = client.delete("/api/v1/keys/k1", headers=headers)
    assert response.status_code == 403
    assert services.keys.revoked == ()


@pytest.mark.parametrize("headers", [{"Origin": SITE}, {"Sec-Fetch-Site": "same-origin"}])
def test_the_dashboard_itself_may_write(client, services, headers):
    log_in(client)
    assert client.delete("/api/v1/keys/k1", headers=headers).status_code == 204
    assert services.keys.revoked == ("k1",)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4181", "127.0.0.1.evil.example", "", "[", "a@127.0.0.1:x"]
)
def test_a_rebound_name_is_not_served(client, host):
    for path in ("/", "/api/v1/health", "/nothing"):
        response = client.get(path, headers={"Host": host, "Authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 421
        assert "hosts" in response.json()["remedy"]


@pytest.mark.parametrize(
    "host", ["localhost:4181", "127.0.0.1", "[::1]:4181", "farthing.example", "FARTHING.example:443"]
)
def test_known_names_are_served(client, host):
    headers = {"Host": host, "Authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/v1/health", headers=headers).status_code == 200


def test_every_response_has_the_security_headers(client):
    for path in ("/", "/api/v1/health", "/api/v1/nothing", "/assets/none.js", "/api/schema/openapi.json"):
        headers = client.get(path).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_a_body_over_the_limit_is_413(client):
    response = client.post("/api/v1/session", json={"token": "x" * 100_000})
    assert response.status_code == 413
    assert response.json()["type"] == "input"


@pytest.fixture
def built(services) -> Path:
    (services.pages / "assets").mkdir(parents=True)
    (services.pages / "index.html").write_text("<!doctype html><title>Farthing</title>")
    (services.pages / "assets" / "app-1a2b.js").write_text("export {}")
    (services.pages / "assets" / "app-1a2b.js.br").write_bytes(b"packed")
    (services.pages.parent / "secret").write_text("secret")
    return services.pages


def test_a_missing_dashboard_says_how_to_build_it(client):
    response = client.get("/")
    assert response.status_code == 503
    assert "make ui" in response.text


def test_pages_of_the_application_are_its_first_page(client, built):
    for path in ("/", "/requests", "/requests/r1", "/login", "/a.b/c"):
        response = client.get(path)
        assert (response.status_code, response.text) == (200, "<!doctype html><title>Farthing</title>")
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["content-type"].startswith("text/html")


def test_assets_are_immutable_and_packed_when_understood(client, built):
    plain = client.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "identity"})
    assert plain.text == "export {}"
    assert "immutable" in plain.headers["cache-control"]
    assert "javascript" in plain.headers["content-type"]
    with client.stream("GET", "/assets/app-1a2b.js", headers={"Accept-Encoding": "gzip, br;q=1"}) as packed:
        assert packed.headers["content-encoding"] == "br"
        assert b"".join(packed.iter_raw()) == b"packed"
    assert client.get("/assets/other.js").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/assets/../../secret",
        "/%2fetc/passwd",
        "/a%00b",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_folder(client, built, path):
    response = client.get(path)
    assert "secret" not in response.text or response.status_code == 404
    assert "root:" not in response.text


def test_a_link_out_of_the_folder_is_not_followed(client, built):
    (built / "assets" / "link.js").symlink_to(built.parent / "secret")
    assert client.get("/assets/link.js").status_code == 404
