"""Reading the settings file and the environment, once, in one place."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_origin

import msgspec

from farthing.config import rules
from farthing.config.settings import FILE, Settings, SettingsFile
from farthing.core.errors import ConfigError
from farthing.core.toml import Reader, Source, nearest, wanted
from farthing.gateway.limits.settings import LimitSettings
from farthing.gateway.settings import GatewaySettings, ProviderSettings
from farthing.ledger.settings import LedgerSettings
from farthing.state.settings import StateSettings
from farthing.web.settings import OidcSettings, WebSettings

DETECTED: Mapping[str, str] = {
    "OPENAI_API_KEY": "openai",
    "ANTHROPIC_API_KEY": "anthropic",
    "GEMINI_API_KEY": "gemini",
    "GOOGLE_API_KEY": "gemini",
    "GROQ_API_KEY": "groq",
    "MISTRAL_API_KEY": "mistral",
    "DEEPSEEK_API_KEY": "deepseek",
    "XAI_API_KEY": "xai",
    "TOGETHER_API_KEY": "together",
    "OPENROUTER_API_KEY": "openrouter",
    "FIREWORKS_API_KEY": "fireworks",
    "CEREBRAS_API_KEY": "cerebras",
}
"""Variables that the vendors' own SDKs read, and the vendor each belongs to."""


def environment() -> Mapping[str, str]:
    """The process's environment. Everything else receives it as a parameter."""
    return os.environ


def load(path: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """The effective settings. Raises ``ConfigError`` for the first problem; ``check`` lists them all."""
    settings, problems = _read(path, environment() if env is None else env)
    if problems:
        raise problems[0]
    return settings


def check(
    path: Path | None = None,
    env: Mapping[str, str] | None = None,
    *,
    providers: Iterable[str] = (),
    sealed: Mapping[str, str] | None = None,
) -> list[ConfigError]:
    """Every problem that can be found at once; empty when the settings can be used.

    ``providers`` are names known from elsewhere (added at run time) that aliases may go to, ``sealed`` the secrets of
    the store, where it could be asked.
    """
    variables = environment() if env is None else env
    settings, problems = _read(path, variables)
    if not problems:
        source = _source(path, variables)
        problems += rules.dangling(settings, source, providers)
        problems += rules.unresolved(settings, source, variables, sealed)
    return problems


def settings_file(path: Path | None, env: Mapping[str, str]) -> Path | None:
    """The file that settings are read from, ``None`` when there is none. It must exist when it was named."""
    named = path or (Path(env["FARTHING_CONFIG"]) if env.get("FARTHING_CONFIG") else None)
    if named is not None:
        return named
    return Path(FILE) if Path(FILE).exists() else None


def _source(path: Path | None, env: Mapping[str, str]) -> Source:
    file = settings_file(path, env)
    if file is None:
        return Source(FILE)
    try:
        return Source.parse(str(file), file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(
            f"cannot be read: {problem}", file=str(file), field="file", value=str(file), remedy="Check the path"
        ) from None


def _read(path: Path | None, env: Mapping[str, str]) -> tuple[Settings, list[ConfigError]]:
    try:
        source = _source(path, env)
    except ConfigError as problem:
        return Settings(), [problem]
    overrides, problems = _overrides(env)
    reader = Reader(source)
    read: SettingsFile | None = reader.read(_laid_over(source.tree, overrides), SettingsFile)
    problems += reader.problems
    if read is None or problems:
        return Settings(), problems
    settings = _placed(read, source, env)
    return settings, list(rules.broken(settings, source))


def _overrides(env: Mapping[str, str]) -> tuple[dict[str, Any], list[ConfigError]]:
    """What variables set, as a tree like the file's. A misspelt variable is a problem, not a silence."""
    found: dict[str, Any] = {}
    problems: list[ConfigError] = []
    for section, fields in _SECTIONS.items():
        prefix = f"FARTHING_{section}_".upper()
        names = {prefix + field.upper(): field for field in fields}
        for variable in sorted(v for v in env if v.startswith(prefix)):
            try:
                value = _variable(variable, env[variable], {v: fields[f] for v, f in names.items()})
                found.setdefault(section, {})[names[variable]] = value
            except ConfigError as problem:
                problems.append(problem)
    if env.get("FARTHING_DETECT_PROVIDERS"):
        found["detect_providers"] = env["FARTHING_DETECT_PROVIDERS"].lower() not in ("0", "false", "no")
    return found, problems


_SECTIONS: Mapping[str, Mapping[str, Any]] = {
    name: {f.name: f.type for f in msgspec.structs.fields(section) if f.type is not OidcSettings}
    for name, section in (
        ("gateway", GatewaySettings), ("state", StateSettings), ("ledger", LedgerSettings), ("web", WebSettings),
        ("limits", LimitSettings),
    )
}  # fmt: skip
"""Sections whose fields a variable ``FARTHING_SECTION_FIELD`` overrides."""


def _variable(name: str, text: str, known: Mapping[str, Any]) -> Any:
    """The text of a variable as its field wants it; lists are separated by commas, tables are ``a=b,c=d``."""
    if name not in known:
        raise ConfigError("unknown setting", file="environment", field=name, value=text, remedy=nearest(name, known))
    to = known[name]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if get_origin(to) in (tuple, frozenset):
        return parts
    if get_origin(to) is dict:
        return {key: value for key, _, value in (part.partition("=") for part in parts)}
    try:
        return msgspec.convert(text, to, strict=False)
    except msgspec.ValidationError as problem:
        remedy = wanted(to).replace(" in quotes", "")
        raise ConfigError(str(problem), file="environment", field=name, value=text, remedy=remedy) from None


def _laid_over(tree: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(tree)
    for name, value in overrides.items():
        below = merged.get(name)
        merged[name] = {**below, **value} if isinstance(below, dict) else value
    return merged


def _placed(settings: SettingsFile, source: Source, env: Mapping[str, str]) -> Settings:
    """Settings with the data folder found and, when none are configured, the providers detected."""
    home = Path(env["FARTHING_HOME"]) if env.get("FARTHING_HOME") else Path(source.name).parent / settings.home
    found = {} if settings.providers or not settings.detect_providers else _detected(env)
    placed: dict[str, Any] = {
        "home": home.expanduser(),
        "providers": settings.providers or found,
        "detected": bool(found),
    }
    return Settings(**{**msgspec.structs.asdict(settings), **placed})


def _detected(env: Mapping[str, str]) -> dict[str, ProviderSettings]:
    set_here: dict[str, str] = {}
    for key, vendor in DETECTED.items():
        if env.get(key, "").strip():
            set_here.setdefault(vendor, key)
    return {vendor: ProviderSettings(vendor=vendor, api_key=f"env:{key}") for vendor, key in set_here.items()}
