"""Settings: what holds, and what a reader is told about a value that cannot be used."""

from pathlib import Path

import pytest

from farthing import config
from farthing.core.errors import ConfigError, InputError, UnavailableError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(text: str) -> Path:
    file = Path("farthing.toml")
    file.write_text(text, encoding="utf-8")
    return file


def problems(text: str, env: dict[str, str] | None = None) -> list[ConfigError]:
    return config.check(written(text), env or {})


def only(text: str, env: dict[str, str] | None = None) -> ConfigError:
    (found,) = problems(text, env)
    return found


def test_without_a_file_everything_has_a_default():
    settings = config.load(None, {})
    assert settings.home == Path(".farthing")
    assert (settings.gateway.port, settings.web.port) == (4180, 4181)
    assert settings.providers == {}
    assert settings.state_url({}) == "sqlite:///.farthing/state.db"
    assert settings.ledger_url == ".farthing/ledger"
    assert config.check(None, {}) == []


def test_a_whole_file():
    written("""
        home = "data"
        [gateway]
        port = 9000
        connect_timeout = 2
        [providers.main]
        vendor = "openai"
        api_key = "env:KEY"
        tags = ["eu", "hipaa"]
        [models.fast]
        strategy = "weighted"
        objective = { p95_ms = 800.0 }
        [[models.fast.targets]]
        provider = "main"
        model = "gpt-5-mini"
        weight = 3
        [web]
        zone = "Europe/Berlin"
    """)
    settings = config.load(None, {"KEY": "k"})
    assert settings.home == Path("data")
    assert settings.gateway.port == 9000
    assert settings.providers["main"].tags == {"eu", "hipaa"}
    assert settings.models["fast"].targets[0].weight == 3
    assert settings.models["fast"].objective.p95_ms == 800
    assert settings.web.zone == "Europe/Berlin"
    assert config.check(None, {"KEY": "k"}) == []


def test_the_file_is_found_by_variable_and_its_data_folder_is_beside_it(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "f.toml").write_text('home = "data"')
    env = {"FARTHING_CONFIG": str(folder / "f.toml")}
    assert config.load(None, env).home == folder / "data"
    assert config.load(None, {**env, "FARTHING_HOME": "/elsewhere"}).home == Path("/elsewhere")


def test_a_named_file_must_exist():
    with pytest.raises(ConfigError, match=r"missing\.toml") as missing:
        config.load(None, {"FARTHING_CONFIG": "missing.toml"})
    assert missing.value.remedy


@pytest.mark.parametrize(
    ("text", "line", "field", "value", "remedy"),
    [
        ('\n[gateway]\nport = "x"\n', 3, "gateway.port", "x", "a whole number"),
        ("[gateway]\nprot = 4180\n", 2, "gateway.prot", 4180, "port"),
        ("[gatewya]\nport = 1\n", 1, "gatewya", {"port": 1}, "gateway"),
        ("gateway = 3\n", 1, "gateway", 3, "[table]"),
        ("gateway.workers = 0\n", 1, "gateway.workers", 0, "default"),
        ("[gateway]\n# a comment\n\nport = 70000\n", 4, "gateway.port", 70000, "free one"),
        ("[gateway]\nconnect_timeout = nan\n", 2, "gateway.connect_timeout", None, "default"),
        ('[web]\nzone = "Mars/Base"\n', 2, "web.zone", "Mars/Base", "IANA"),
        ("[web]\nport = 4180\n", 2, "web.port", 4180, "Change one"),
        ('[gateway]\nhost = "0.0.0.0"\nrequire_keys = false\n', 3, "gateway.require_keys", False, "127.0.0.1"),
        ('[providers.a]\nvendor = "opnai"\n', 2, "providers.a.vendor", "opnai", "openai"),
        ('[providers.a]\nbase_url = ""\n', 1, "providers.a.vendor", None, "Add vendor"),
        ('[providers.a]\nvendor = "azure"\n', 1, "providers.a.base_url", "", "address"),
        ('[providers.a]\nvendor = "openai"\nbase_url = "api.example.com"\n', 3, "providers.a.base_url", "api.example.com", "https://"),
        ("[models.m]\ntargets = []\n", 2, "models.m.targets", [], "provider and model"),
        ('[models."a b"]\ntargets = [\n  { provider = "p", model = 3 },\n]\n', 2, "models.a b.targets[0].model", 3, "quotes"),
        ('[[models.m.targets]]\nprovider="p"\nmodel="x"\n[[models.m.targets]]\nprovider = "p"\nmodel = "x"\nweight = -1\n', 7, "models.m.targets[1].weight", -1.0, "switches"),
        ('x = """\n[gateway]\nport = 1\n"""\n[gateway]\nport = true\n', 6, "gateway.port", True, "a whole number"),
    ],
)  # fmt: skip
def test_a_problem_names_file_line_field_value_and_remedy(text, line, field, value, remedy):
    found = next(p for p in problems(text) if p.field == field)
    assert found.file == "farthing.toml"
    assert found.line == line
    if value is not None:
        assert found.value == value
    assert remedy in found.remedy
    assert f"farthing.toml:{line}: {field}: " in str(found)


def test_text_that_is_no_toml_names_the_line():
    found = only("[gateway]\nport = \n")
    assert (found.line, found.value) == (2, "port =")


def test_a_file_that_is_no_text():
    Path("farthing.toml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in config.check(None, {})[0].message


def test_all_problems_are_listed_and_load_raises_the_first():
    text = '[gateway]\nport = "x"\nworkerz = 2\n[web]\nport = 1.5\n'
    assert {p.field for p in problems(text)} == {"gateway.port", "gateway.workerz", "web.port"}
    with pytest.raises(ConfigError, match=r"gateway\.port"):
        config.load(Path("farthing.toml"), {})


def test_variables_win_over_the_file():
    written("[gateway]\nport = 9000\nworkers = 2\n")
    env = {
        "FARTHING_GATEWAY_PORT": "9001",
        "FARTHING_GATEWAY_REQUIRE_KEYS": "false",
        "FARTHING_GATEWAY_READ_TIMEOUT": "1.5",
        "FARTHING_WEB_HOSTS": "a.example, b.example",
        "FARTHING_LEDGER_STORAGE": "AWS_REGION=eu-west-1,AWS_SECRET=env:S",
        "FARTHING_HOME": "/var/lib/farthing",
    }
    settings = config.load(None, env)
    assert (settings.gateway.port, settings.gateway.workers) == (9001, 2)
    assert settings.gateway.require_keys is False
    assert settings.gateway.read_timeout == 1.5
    assert settings.web.hosts == ("a.example", "b.example")
    assert settings.ledger.storage == {"AWS_REGION": "eu-west-1", "AWS_SECRET": "env:S"}
    assert settings.home == Path("/var/lib/farthing")


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [("FARTHING_GATEWAY_PORT", "many", "a whole number"), ("FARTHING_GATEWAY_PROT", "1", "FARTHING_GATEWAY_PORT")],
)
def test_a_wrong_variable_is_named(variable, value, remedy):
    (found,) = config.check(None, {variable: value})
    assert (found.file, found.field, found.value) == ("environment", variable, value)
    assert remedy in found.remedy


def test_variables_of_others_are_let_be():
    assert config.check(None, {"FARTHING_TOKEN": "x", "FARTHINGALE": "y"}) == []


def test_a_literal_secret_is_refused_and_never_repeated():
    secret = "sk-proj-0123456789"
    found = only(f'[providers.a]\nvendor = "openai"\napi_key = "{secret}"\n')
    assert (found.line, found.field) == (3, "providers.a.api_key")
    assert "env:NAME" in found.remedy
    assert secret not in str(found)


def test_a_missing_secret_is_found_by_check_only():
    text = '[providers.a]\nvendor = "openai"\napi_key = "env:NOT_SET"\n'
    found = only(text)
    assert (found.line, found.value) == (3, "env:NOT_SET")
    assert config.load(None, {}).providers["a"].api_key == "env:NOT_SET"


def test_an_alias_to_nobody_names_the_nearest_unless_it_was_added_at_run_time():
    text = '[providers.main]\nvendor="ollama"\nbase_url="http://127.0.0.1:1/v1"\n[models.m]\ntargets=[{provider="mian", model="x"}]\n'
    found = only(text)
    assert (found.field, found.value) == ("models.m.targets[0].provider", "mian")
    assert "main" in found.remedy
    assert config.check(Path("farthing.toml"), {}, providers=["mian"]) == []


def test_secrets_come_from_variables_and_files(tmp_path):
    file = tmp_path / "key"
    file.write_text("from-file\n")
    assert config.resolve_secret("env:KEY", {"KEY": " from-env "}) == "from-env"
    assert config.resolve_secret(f"file:{file}", {}) == "from-file"
    assert config.resolve_secret("", {}) == ""


def test_secrets_that_are_not_there(tmp_path):
    (tmp_path / "empty").write_text("\n")
    for ref in ("env:KEY", f"file:{tmp_path / 'none'}", f"file:{tmp_path / 'empty'}", f"file:{tmp_path}"):
        with pytest.raises(UnavailableError) as missing:
            config.resolve_secret(ref, {"KEY": ""})
        assert missing.value.remedy
    for ref in ("sk-123", "env:", "vault:x"):
        with pytest.raises(InputError) as wrong:
            config.resolve_secret(ref, {})
        assert "sk-123" not in str(wrong.value)


def test_providers_are_detected_when_none_are_configured():
    env = {"OPENAI_API_KEY": "o", "GOOGLE_API_KEY": "g", "GROQ_API_KEY": " ", "OTHER_API_KEY": "x"}
    settings = config.load(None, env)
    assert settings.detected
    assert {n: (p.vendor, p.api_key) for n, p in settings.providers.items()} == {
        "openai": ("openai", "env:OPENAI_API_KEY"),
        "gemini": ("gemini", "env:GOOGLE_API_KEY"),
    }


def test_every_detected_vendor_exists():
    settings = config.load(None, dict.fromkeys(config.DETECTED, "k"))
    assert set(settings.providers) == set(config.DETECTED.values())
    assert config.check(None, dict.fromkeys(config.DETECTED, "k")) == []


def test_detection_gives_way_to_configuration_and_to_a_switch():
    env = {"OPENAI_API_KEY": "o"}
    assert config.load(None, {**env, "FARTHING_DETECT_PROVIDERS": "0"}).providers == {}
    written('[providers.local]\nvendor = "ollama"\nbase_url = "http://127.0.0.1:1/v1"\n')
    settings = config.load(None, env)
    assert list(settings.providers) == ["local"]
    assert not settings.detected


def test_shown_settings_hold_no_secret():
    written("""
        [state]
        url = "postgresql://farthing:hunter2@db/farthing"
        [ledger.storage]
        AWS_SECRET_ACCESS_KEY = "hunter2"
        AWS_REGION = "env:REGION"
        [providers.a]
        vendor = "openai"
        base_url = "https://me:hunter2@proxy.example/v1"
        api_key = "env:KEY"
        headers = { authorization = "hunter2" }
    """)
    shown = config.redacted(config.load(None, {}))
    assert "hunter2" not in repr(shown)
    assert shown["providers"]["a"]["api_key"] == "env:KEY"
    assert shown["ledger"]["storage"]["AWS_REGION"] == "env:REGION"
    assert "farthing:" in shown["state"]["url"]


def test_the_store_address_may_be_a_secret():
    written('[state]\nurl = "env:DATABASE_URL"\n')
    settings = config.load(None, {})
    assert settings.state_url({"DATABASE_URL": "postgresql://u:p@h/d"}) == "postgresql://u:p@h/d"
    with pytest.raises(UnavailableError, match="DATABASE_URL"):
        settings.state_url({})


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("example.com", False)],
)
def test_loopback(host, expected):
    assert config.is_loopback(host) is expected
