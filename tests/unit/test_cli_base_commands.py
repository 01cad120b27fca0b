"""The command line as a person or a script uses it, on a folder of its own."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest

from farthing.cli import NOUNS, main
from farthing.core.errors import DeniedError
from farthing.state.store import Store


@pytest.fixture(autouse=True)
def _installation(tmp_path, monkeypatch):
    from farthing import config

    monkeypatch.chdir(tmp_path)
    env = {
        "FARTHING_HOME": str(tmp_path / "home"),
        "FARTHING_DETECT_PROVIDERS": "0",
        "FARTHING_GATEWAY_PRIVATE_UPSTREAMS": "true",
        "USER": "ann",
    }
    monkeypatch.setattr(config, "environment", lambda: env)


@pytest.fixture
def run(capsys):
    def command(*tokens: str) -> tuple[int, str, str]:
        code = main(tokens)
        talk = capsys.readouterr()
        return code, talk.out, talk.err

    return command


@pytest.fixture
def ask(run):
    """A command's answer as a program reads it."""

    def command(*tokens: str):
        code, out, err = run(*tokens, "-o", "json")
        assert code == 0, err
        return json.loads(out)

    return command


@pytest.fixture
def state(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'home' / 'state.db'}") as store:
        yield store


def test_help_lists_every_noun(run):
    for tokens in ([], ["--help"], ["-h"]):
        code, out, _ = run(*tokens)
        assert code == 0
        assert all(f"  {noun} " in out for noun in NOUNS)


@pytest.mark.parametrize("noun", ["key", "provider", "config", "doctor", "completion"])
def test_each_noun_has_help(run, noun):
    code, out, _ = run(noun, "--help")
    assert code == 0
    assert f"Usage: farthing {noun}" in out


def test_version(run):
    assert run("--version")[:2] == (0, version("farthing") + "\n")


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["kee"], "Did you mean key?"),
        (["key", "crate"], "create"),
        (["key", "create", "--taem", "x"], "--taem"),
        (["key", "list", "-o", "xml"], "xml"),
        (["key", "revoke"], "KEY"),
    ],
)
def test_usage_errors_name_the_word_and_exit_with_2(run, tokens, expected):
    code, out, err = run(*tokens)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert expected.lower() in err.lower()


def test_a_command_runs_as_a_process(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "farthing", "--version"], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, version("farthing"))


def test_a_key_is_created_listed_rotated_and_revoked(run, ask, state):
    code, out, err = run("key", "create", "--team", "search", "--feature", "rank", "--expires", "30d", "--model", "m")
    token = out.strip()
    assert code == 0
    assert token.startswith("fk-")
    assert "not shown again" in err
    assert token not in err
    now = datetime.now(UTC)
    key = state.keys.authenticate(token, now)
    assert (key.name, key.scope.team, key.scope.feature, key.models) == ("search/rank", "search", "rank", {"m"})
    assert timedelta(days=29) < key.expires - now <= timedelta(days=30)
    assert state.audit.list()[0].actor == "cli:ann"
    (row,) = ask("key", "list")["rows"]
    assert (row["id"], row["scope"]) == (key.id, {"team": "search", "feature": "rank"})
    assert token not in json.dumps(row)
    assert key.hash not in json.dumps(row)
    rotated = ask("key", "rotate", key.id, "--grace", "0s")
    assert state.keys.authenticate(rotated["token"], now).id == rotated["id"]
    with pytest.raises(DeniedError):
        state.keys.authenticate(token, now + timedelta(seconds=5))
    assert run("key", "revoke", rotated["id"])[0] == 0
    assert ask("key", "list")["rows"] == []
    assert {r["status"] for r in ask("key", "list", "--dead")["rows"]} == {"revoked", "expired"}


def test_the_output_format_may_stand_before_the_noun(run):
    code, out, _ = run("-o", "csv", "key", "list")
    assert code == 0
    assert out.startswith("id,name,prefix,status")


@pytest.mark.parametrize("expires", ["soon", "-1d", "2020-01-01"])
def test_an_expiry_that_cannot_be_is_refused(run, ask, expires):
    code, _, err = run("key", "create", f"--expires={expires}")
    assert code == 2
    assert "expires" in err
    assert ask("key", "list")["rows"] == []


def test_an_unknown_key_names_the_nearest(run):
    run("key", "create", "--name", "search")
    code, _, err = run("key", "revoke", "serch")
    assert code == 2
    assert "Did you mean search?" in err


def test_a_store_that_cannot_be_opened_exits_with_3(run, tmp_path):
    (tmp_path / "home").write_text("in the way")
    code, _, err = run("key", "list")
    assert code == 3
    assert "remedy: " in err


def test_bad_settings_stop_every_command_with_their_place(run):
    Path("farthing.toml").write_text('[gateway]\nport = "x"\n')
    code, _, err = run("key", "list")
    assert code == 2
    assert "farthing.toml:2: gateway.port" in err


def test_config_check_lists_all_problems(run):
    Path("farthing.toml").write_text('[gateway]\nport = "x"\nprot = 1\n')
    code, out, _ = run("config", "check", "-o", "json")
    assert code == 2
    assert [(r["line"], r["field"]) for r in json.loads(out)["rows"]] == [(2, "gateway.port"), (3, "gateway.prot")]
    Path("farthing.toml").write_text("[gateway]\nport = 9999\n")
    assert run("config", "check")[0] == 0


def test_config_check_knows_providers_added_at_run_time(run):
    run("provider", "add", "mine", "--vendor", "ollama", "--base-url", "http://127.0.0.1:1/v1")
    Path("farthing.toml").write_text('[models.m]\ntargets = [{ provider = "mine", model = "x" }]\n')
    assert run("config", "check")[0] == 0
    run("provider", "remove", "mine")
    assert run("config", "check")[0] == 2


def test_config_show_is_effective_and_without_secrets(ask, run):
    Path("farthing.toml").write_text('[gateway]\nport = 9999\n[state]\nurl = "sqlite:///x.db"\n')
    assert ask("config", "show")["gateway"]["port"] == 9999
    assert "gateway.port" in run("config", "show")[1]


def test_providers_are_added_listed_replaced_and_removed(run, ask, state):
    address = "http://127.0.0.1:1/v1"
    added = ask("provider", "add", "local", "--vendor", "vllm", "--base-url", address, "--tag", "eu", "--model", "m")
    assert (added["name"], added["origin"], added["tags"]) == ("local", "added", ["eu"])
    assert ask("provider", "list")["rows"] == [added]
    assert state.providers.list() == {"local": {"vendor": "vllm", "base_url": address, "tags": ["eu"], "models": ["m"]}}
    assert run("provider", "add", "local", "--vendor", "vllm", "--base-url", address)[0] == 3
    assert run("provider", "add", "local", "--vendor", "ollama", "--base-url", address, "--replace")[0] == 0
    assert run("provider", "remove", "local")[0] == 0
    code, _, err = run("provider", "remove", "local")
    assert code == 2
    assert "local" in err


@pytest.mark.parametrize(
    ("tokens", "field", "remedy"),
    [
        (["a", "--vendor", "opnai"], "--vendor", "openai"),
        (["a", "--vendor", "openai", "--api-key", "sk-12345"], "--api-key", "env:NAME"),
        (["a", "--vendor", "azure"], "--base-url", "address"),
        (["a", "--vendor", "vllm", "--base-url", "host/v1"], "--base-url", "https://"),
    ],
)
def test_a_provider_that_cannot_be_is_refused(run, state, tokens, field, remedy):
    code, _, err = run("provider", "add", *tokens)
    assert code == 2
    assert f"error: {field}: " in err
    assert remedy in err
    assert "sk-12345" not in err
    assert state.providers.list() == {}


def test_settings_win_over_what_is_added(run, ask):
    Path("farthing.toml").write_text('[providers.main]\nvendor = "ollama"\nbase_url = "http://127.0.0.1:1/v1"\n')
    code, _, err = run("provider", "add", "main", "--vendor", "openai")
    assert code == 3
    assert "settings file" in err
    assert ask("provider", "list")["rows"][0]["origin"] == "settings"
    assert run("provider", "remove", "main")[0] == 3


class Upstream(BaseHTTPRequestHandler):
    """A provider on loopback: one path for each way to answer."""

    skew = timedelta()

    def do_GET(self):
        status, body = 404, b"{}"
        if self.path == "/good/models":
            authorized = self.headers["authorization"] == "Bearer right"
            status, body = (200, b'{"data": [{"id": "a"}, {"id": "b"}]}') if authorized else (401, b"{}")
        elif self.path == "/page/models":
            status, body = 200, b"<html>welcome</html>"
        elif self.path == "/away/models":
            status = 302
        self.send_response_only(status)
        self.send_header("date", self.date_time_string((datetime.now(UTC) + self.skew).timestamp()))
        self.send_header("location", "/good/models")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def upstream(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    (tmp_path / "right").write_text("right")
    (tmp_path / "wrong").write_text("wrong")
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_providers_are_tested_and_exit_codes_tell_how(run, upstream):
    def add(name: str, path: str, key: str) -> None:
        run("provider", "add", name, "--vendor", "openai", "--base-url", upstream + path, "--api-key", f"file:{key}")

    def outcome(name: str) -> tuple[int, str, str]:
        code, out, _ = run("provider", "test", name, "-o", "json")
        (row,) = json.loads(out)["rows"]
        return code, row["outcome"], row["problem"] + row["remedy"]

    add("good", "/good", "right")
    assert outcome("good") == (0, "ok", "")
    add("refused", "/good", "wrong")
    assert outcome("refused")[:2] == (1, "refused")
    add("lost", "/good", "missing")
    assert outcome("lost")[:2] == (3, "unreachable")
    assert "missing" in outcome("lost")[2]
    add("page", "/page", "right")
    assert "no list of models" in outcome("page")[2]
    add("away", "/away", "right")
    assert outcome("away")[1] == "refused"
    run("provider", "add", "dead", "--vendor", "ollama", "--base-url", "http://127.0.0.1:1")
    assert outcome("dead")[:2] == (3, "unreachable")
    code, out, _ = run("provider", "test", "-o", "json")
    assert code == 3
    assert len(json.loads(out)["rows"]) == 6
    assert run("provider", "test", "nobody")[0] == 2


def findings(out: str) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["level"], row["remedy"]) for row in json.loads(out)["rows"]}


def test_doctor_finds_nothing_wrong_with_a_new_folder_and_creates_nothing(run, tmp_path):
    Path("farthing.toml").write_text("[gateway]\nport = 0\n[web]\nport = 0\n")
    code, out, _ = run("doctor", "--offline", "-o", "json")
    found = findings(out)
    assert code == 0, found
    assert {
        "settings",
        "folder",
        "disk",
        "clock",
        "port gateway",
        "port web",
        "state",
        "ledger",
        "journal",
        "prices tokens",
    } <= set(found)
    assert not (tmp_path / "home").exists()


def test_doctor_names_what_is_wrong_with_a_remedy(run, upstream, tmp_path):
    port = int(upstream.rsplit(":", 1)[1])
    Path("farthing.toml").write_text(f"[gateway]\nport = {port}\n[web]\nport = 0\n")
    run("provider", "add", "dead", "--vendor", "ollama", "--base-url", "http://127.0.0.1:1")
    run("provider", "add", "good", "--vendor", "openai", "--base-url", f"{upstream}/good", "--api-key", "file:right")
    (tmp_path / "home" / "state.db").chmod(0o644)
    code, out, _ = run("doctor", "-o", "json")
    found = findings(out)
    assert code == 1
    assert found["port gateway"][0] == "fail"
    assert "FARTHING_GATEWAY_PORT" in found["port gateway"][1]
    assert found["provider dead"][0] == "fail"
    assert found["provider good"] == ("ok", "")
    assert found["keys"] == ("warn", "farthing key create")
    assert found["folder"][0] == "warn"
    assert all(remedy for level, remedy in found.values() if level != "ok")
    assert json.loads(out)["counts"]["fail"] == 2


def test_doctor_goes_on_after_a_part_that_cannot_be_looked_at(run, tmp_path):
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "state.db").write_bytes(b"no database at all " * 100)
    code, out, _ = run("doctor", "--offline", "-o", "json")
    found = findings(out)
    assert code == 1
    assert found["state"][0] == "fail"
    assert "backup" in found["state"][1]
    assert "prices tokens" in found


def test_doctor_goes_on_when_only_a_secret_is_missing(run):
    Path("farthing.toml").write_text('[providers.a]\nvendor = "openai"\napi_key = "env:NOT_SET"\n')
    found = findings(run("doctor", "--offline", "-o", "json")[1])
    assert found["settings"][0] == "fail"
    assert "prices tokens" in found


def test_doctor_reports_bad_settings(run):
    Path("farthing.toml").write_text("[gateway]\nprot = 1\n")
    code, out, _ = run("doctor", "-o", "json")
    assert code == 1
    assert findings(out)["settings"][0] == "fail"


def test_doctor_notices_a_clock_that_went_back(run, tmp_path, monkeypatch):
    run("key", "create")
    from farthing.app.local import Local

    monkeypatch.setattr(Local, "now", lambda _: datetime.now(UTC) - timedelta(hours=2))
    assert findings(run("doctor", "--offline", "-o", "json")[1])["clock"][0] == "fail"


def test_doctor_compares_the_clock_with_a_provider(run, upstream, monkeypatch):
    run("provider", "add", "good", "--vendor", "openai", "--base-url", f"{upstream}/good", "--api-key", "file:right")
    monkeypatch.setattr(Upstream, "skew", timedelta(minutes=10))
    level, remedy = findings(run("doctor", "-o", "json")[1])["clock"]
    assert level == "fail"
    assert "NTP" in remedy


def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path):
    script = f"{sys.executable} -m farthing config show | true; {sys.executable} -m farthing --help | true"
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert "Traceback" not in ran.stderr
    assert "BrokenPipe" not in ran.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_nouns_and_verbs(run, shell):
    code, out, _ = run("completion", "print", shell)
    assert code == 0
    assert all(word in out for word in ("farthing", "provider", "rotate", "completion"))


def test_completion_is_installed_where_it_is_asked_to_be(run, tmp_path):
    file = tmp_path / "there" / "farthing"
    code, _, err = run("completion", "install", "bash", "--path", str(file))
    assert code == 0
    assert str(file) in err
    assert "farthing" in file.read_text()
