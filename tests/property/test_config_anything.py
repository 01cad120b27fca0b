"""Whatever stands in a settings file, the answer is settings or problems with a remedy, never a crash."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from farthing import config

SCALARS = st.one_of(
    st.sampled_from(
        [
            "true",
            "0",
            "-1",
            "70000",
            "1.5",
            "nan",
            "inf",
            '""',
            '"env:X"',
            '"0.0.0.0"',
            '"openai"',
            "2026-11-21",
            "07:30:00",
        ]
    ),
    st.integers(-(2**62), 2**62).map(str),
)
VALUES = st.recursive(
    SCALARS,
    lambda v: st.lists(v, max_size=3).map(lambda vs: f"[{', '.join(vs)}]") | v.map(lambda x: f"{{ model = {x} }}"),
    max_leaves=4,
)
KEYS = st.sampled_from([
    "home", "detect_providers", "gateway", "gateway.port", "gateway.host", "gateway.workers", "gateway.read_timeout", "web.zone",
    "web.hosts", "web.port", "state.url", "ledger.storage", "providers", "providers.a", "providers.a.vendor", "providers.a.base_url",
    "providers.a.api_key", "providers.a.tags", "providers.a.headers", "models.m.targets", "models.m.objective", "models.m", "detected",
    "nonsense", '"a.b".c',
])  # fmt: skip


@settings(deadline=None)
@given(
    st.dictionaries(KEYS, VALUES, max_size=6),
    st.dictionaries(
        st.sampled_from(
            [
                "FARTHING_GATEWAY_PORT",
                "FARTHING_WEB_ZONE",
                "FARTHING_HOME",
                "FARTHING_LEDGER_STORAGE",
                "FARTHING_STATE_",
            ]
        ),
        st.text(max_size=6),
        max_size=2,
    ),
)
def test_any_file_gives_settings_or_problems(lines, env):
    with TemporaryDirectory() as folder:
        file = Path(folder) / "farthing.toml"
        file.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()), encoding="utf-8")
        problems = config.check(file, env)
        assert all(p.field and p.remedy and p.file in (str(file), "environment") for p in problems)
        if not problems:
            assert config.load(file, env).gateway.port >= 0
            assert config.redacted(config.load(file, env))["gateway"]


@settings(deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_text_gives_settings_or_problems(content):
    with TemporaryDirectory() as folder:
        file = Path(folder) / "farthing.toml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
        assert all(p.remedy and p.file == str(file) for p in config.check(file, {}))
