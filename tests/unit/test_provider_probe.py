"""Asking a provider for its models: what is told of its answer, and where the question never goes."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from farthing.app.local import Local
from farthing.app.probe import Probe, survey
from farthing.gateway.settings import ProviderSettings

MODELS = b'{"data": [{"id": "tiny"}, {"id": "models/big"}]}'


class Provider(BaseHTTPRequestHandler):
    """One path for each way to answer; the server's ``heard`` are the paths and headers it was asked with."""

    def do_GET(self) -> None:
        self.server.heard.append((self.path, dict(self.headers)))
        path = self.path.split("/")[1]
        if path == "silent":
            self.server.stop.wait(10)
            return
        self.send_response({"moved": 302, "odd": 599}.get(path, 200))
        self.send_header("location", f"http://127.0.0.1:{self.server.server_port}/secret")
        self.send_header("content-length", str(len(MODELS)))
        self.end_headers()
        if path == "dripping":
            for byte in MODELS:
                self.wfile.write(bytes([byte]))
                if self.server.stop.wait(0.2):
                    return
        self.wfile.write(MODELS)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def upstream():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.heard, server.stop = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


def account(server: ThreadingHTTPServer, path: str, host: str = "127.0.0.1", **more: object) -> ProviderSettings:
    return ProviderSettings(vendor="openai", base_url=f"http://{host}:{server.server_port}/{path}", **more)


def local(folder: Path, *, text: str = "", private: bool = False) -> Local:
    file = folder / "farthing.toml"
    file.write_text(f"[gateway]\nprivate_upstreams = {str(private).lower()}\n{text}", encoding="utf-8")
    return Local.open(config_file=file, env={"KEY": "sk-right", "FARTHING_HOME": str(folder / "home")})


def asked(here: Local, given: ProviderSettings, *, seconds: float = 5) -> Probe:
    return survey({"given": given}, here, timeout=seconds)["given"]


def test_a_provider_is_asked_for_its_models_with_its_key(tmp_path, upstream):
    found = asked(local(tmp_path, private=True), account(upstream, "good", api_key="env:KEY"))
    assert (found.ok, found.models) == (True, ("tiny", "big"))
    assert found.ms > 0
    assert abs(found.asked - found.date).total_seconds() < 5
    ((path, headers),) = upstream.heard
    assert path == "/good/models"
    assert headers["authorization"] == "Bearer sk-right"


def test_a_private_address_is_asked_only_where_the_settings_file_names_it(tmp_path, upstream):
    url = f"http://127.0.0.1:{upstream.server_port}"
    here = local(tmp_path, text=f'[providers.own]\nvendor = "openai"\nbase_url = "{url}/own"\n')
    own = here.settings.providers["own"]
    accounts = {"own": own, "given": account(upstream, "given", host="localhost")}
    found = survey(accounts, here, timeout=5)
    assert found["own"].ok
    assert found["given"].status == 0
    assert "private network" in found["given"].error
    assert {path for path, _ in upstream.heard} == {"/own/models"}


def test_nobody_gets_a_private_address_by_the_name_of_an_account_in_the_settings(tmp_path, upstream):
    here = local(tmp_path, text='[providers.given]\nvendor = "openai"\n')
    found = asked(here, account(upstream, "given"))
    assert "private network" in found.error
    assert upstream.heard == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "metadata.google.internal", "0.0.0.0"])
def test_a_metadata_service_is_never_asked(tmp_path, upstream, host):
    url = f"http://{host}:{upstream.server_port}/latest"
    here = local(tmp_path, text=f'[providers.given]\nvendor = "openai"\nbase_url = "{url}"\n', private=True)
    found = asked(here, here.settings.providers["given"])
    assert found.status == 0
    assert "metadata" in found.error
    assert upstream.heard == []


def test_a_redirect_is_not_followed(tmp_path, upstream):
    found = asked(local(tmp_path, private=True), account(upstream, "moved", api_key="env:KEY"))
    assert (found.ok, found.error) == (False, "answered 302 Found")
    assert [path for path, _ in upstream.heard] == ["/moved/models"]


@pytest.mark.parametrize("path", ["silent", "dripping"])
def test_an_answer_has_its_time_to_its_end(tmp_path, upstream, path):
    found = asked(local(tmp_path, private=True), account(upstream, path), seconds=0.5)
    assert found.error == "no answer: nothing in 0.5 s"


def test_a_status_that_nobody_knows_is_told(tmp_path, upstream):
    assert asked(local(tmp_path, private=True), account(upstream, "odd")).error == "answered 599"


def test_what_cannot_be_asked_says_why_beside_those_that_can(tmp_path, upstream):
    accounts = {
        "no-secret": account(upstream, "x", api_key="env:MISSING"),
        "no-vendor": ProviderSettings(vendor="nobody"),
        "good": account(upstream, "good"),
    }
    found = survey(accounts, local(tmp_path, private=True), timeout=5)
    assert list(found) == list(accounts)
    assert [probe.ok for probe in found.values()] == [False, False, True]
    assert "MISSING" in found["no-secret"].error
    assert len(upstream.heard) == 1
