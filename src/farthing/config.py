"""The only reader of the environment and of settings files.

Settings come from ``farthing.toml`` in the working directory (or ``$FARTHING_CONFIG``), then from
variables such as ``FARTHING_GATEWAY_PORT``, which win. Each section is a Struct that belongs to the
feature it configures. Without a file everything has a default that works.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from farthing.core.errors import ConfigError, InputError, NotFoundError, UnavailableError
from farthing.core.seal import SealKey, opened, read_keys
from farthing.core.toml import At, Reader, Source, nearest, wanted
from farthing.gateway.limits.settings import LimitSettings
from farthing.gateway.settings import GatewaySettings, HedgeSettings, ModelSettings, ProviderSettings
from farthing.gateway.vendors import provider
from farthing.governance.alerts import KINDS, AlertSettings
from farthing.governance.approvals import ApprovalSettings, flaws
from farthing.ledger.settings import LedgerSettings
from farthing.state.settings import StateSettings
from farthing.web.settings import LoginSettings, OidcSettings, WebSettings, is_trustworthy

FILE = "farthing.toml"
HOME = ".farthing"


class SettingsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``farthing.toml`` may hold. ``home`` is the data folder, relative to the file.

    ``detect_providers``: when no ``[providers]`` are configured, use those whose usual variable
    (``OPENAI_API_KEY``, ``ANTHROPIC_API_KEY``, …) is set.
    """

    home: Path = Path(HOME)
    detect_providers: bool = True
    gateway: GatewaySettings = GatewaySettings()
    providers: dict[str, ProviderSettings] = {}
    models: dict[str, ModelSettings] = {}
    state: StateSettings = StateSettings()
    ledger: LedgerSettings = LedgerSettings()
    web: WebSettings = WebSettings()
    login: LoginSettings = LoginSettings()
    approvals: ApprovalSettings = ApprovalSettings()
    alerts: AlertSettings = AlertSettings()
    limits: LimitSettings = LimitSettings()


class Settings(SettingsFile, frozen=True, kw_only=True):
    """Everything that is configured. ``detected``: the providers were found in the environment."""

    detected: bool = False

    @property
    def journal(self) -> Path:
        """Folder of the workers' journal segments."""
        return self.home / "journal"

    @property
    def snapshot(self) -> Path:
        """What the workers know about the world, as one file."""
        return self.home / "snapshot.msgpack"

    @property
    def admin_token(self) -> Path:
        """The control plane's first-run token, readable by its owner only."""
        return self.home / "admin.token"

    @property
    def seal_file(self) -> Path:
        """The envelope key of sealed secrets where none is set, readable by its owner only."""
        return self.home / "seal.key"

    @property
    def run(self) -> Path:
        """Folder of locks, process ids and sockets."""
        return self.home / "run"

    @property
    def tally(self) -> Path:
        """Folder of the workers' records of what they spent of limits."""
        return self.run / "tally"

    @property
    def ledger_url(self) -> str:
        """Where the ledger's tables are."""
        return self.ledger.url or str(self.home / "ledger")

    def state_url(self, env: Mapping[str, str]) -> str:
        """The state store's address, with its secret."""
        url = self.state.url
        if not url:
            return f"sqlite:///{self.home / 'state.db'}"
        return resolve_secret(url, env) if is_reference(url) else url


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
        problems += _dangling(settings, source, providers)
        problems += _unresolved(settings, source, variables, sealed)
    return problems


def settings_file(path: Path | None, env: Mapping[str, str]) -> Path | None:
    """The file that settings are read from, ``None`` when there is none. It must exist when it was named."""
    named = path or (Path(env["FARTHING_CONFIG"]) if env.get("FARTHING_CONFIG") else None)
    if named is not None:
        return named
    return Path(FILE) if Path(FILE).exists() else None


def is_reference(text: str) -> bool:
    """Whether a setting points at a secret instead of holding one."""
    return text.startswith(("env:", "file:", "secret:"))


Vault = Callable[[str], str]
"""Opens a sealed secret by its name. Raises ``UnavailableError`` when there is none, or the envelope key is missing."""


def resolve_secret(ref: str, env: Mapping[str, str], vault: Vault | None = None) -> str:
    """The secret behind ``env:NAME``, ``file:PATH`` or, where there is a vault, ``secret:NAME``, without surrounding
    space; empty for an empty reference.

    Raises ``InputError`` when it is no reference, ``UnavailableError`` when what it names is missing or empty.
    """
    if not ref:
        return ""
    kind, _, name = ref.partition(":")
    if kind == "env" and name:
        secret = env.get(name, "").strip()
        missing = f"the variable {name} is not set"
    elif kind == "file" and name:
        secret, missing = _secret_file(Path(name))
    elif kind == "secret" and name and vault is not None:
        secret, missing = vault(name).strip(), f"the secret {name} is empty"
    else:
        raise InputError("not a reference to a secret", field="secret", value=_hidden(ref), remedy=_REFERENCE)
    if not secret:
        raise UnavailableError(
            f"No secret behind {ref!r}: {missing}", remedy=f"Set it before starting, or change {ref}"
        )
    return secret


def seal_keys(settings: Settings, env: Mapping[str, str]) -> tuple[SealKey, ...]:
    """The envelope keys: the first seals, all of them open.

    Raises ``UnavailableError`` when there is none yet, ``InputError`` when it is no key.
    """
    return read_keys(resolve_secret(settings.state.seal_key or f"file:{settings.seal_file}", env))


def vault(settings: Settings, env: Mapping[str, str], sealed: Mapping[str, str]) -> Vault:
    """Opens these sealed secrets. The envelope key is read when the first one is opened."""

    def open_one(name: str) -> str:
        if name not in sealed:
            known = NotFoundError("secret", name, known=sealed, remedy=f"Set it: farthing secret set {name}")
            raise UnavailableError(known.message, remedy=known.remedy)
        return opened(name, sealed[name], seal_keys(settings, env))

    return open_one


def redacted(settings: Settings) -> dict[str, Any]:
    """Settings for people: references stay, passwords in addresses and secret-looking values go."""
    plain: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    for part in ("state", "ledger"):
        plain[part]["url"] = _without_password(plain[part]["url"])
    plain["ledger"]["storage"] = {k: _hidden(v) for k, v in settings.ledger.storage.items()}
    for account in plain["providers"].values():
        account["base_url"] = _without_password(account["base_url"])
        account["headers"] = {k: _hidden(v) for k, v in account["headers"].items()}
    return plain


_REFERENCE = "Write env:NAME, file:PATH or secret:NAME, so that no secret stands in a settings file"
_REDACTED = "********"


def _hidden(text: str) -> str:
    return text if is_reference(text) else _REDACTED


def _without_password(url: str) -> str:
    return re.sub(r"(//[^:/@]*):[^@]*@", rf"\1:{_REDACTED}@", url)


def _secret_file(path: Path) -> tuple[str, str]:
    try:
        return path.read_text(encoding="utf-8").strip(), f"the file {path} is empty"
    except (OSError, UnicodeDecodeError) as problem:
        return "", f"the file {path} cannot be read ({problem})"


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
    return settings, list(_rules(settings, source))


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


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host. Names other than ``localhost`` are not."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _rules(settings: Settings, source: Source) -> Iterator[ConfigError]:
    """What types cannot say."""
    gateway, web = settings.gateway, settings.web
    if not (gateway.require_keys or is_loopback(gateway.host)):
        yield source.problem(
            "a gateway that others can reach must ask for keys",
            ("gateway", "require_keys"), False, 'Set require_keys = true, or host = "127.0.0.1"',
        )  # fmt: skip
    if gateway.port == web.port and gateway.port:
        yield source.problem(
            "the gateway and the control plane need two ports", ("web", "port"), web.port, "Change one"
        )
    if not _is_zone(web.zone):
        yield source.problem("not a time zone", ("web", "zone"), web.zone, 'Write an IANA name such as "Europe/Berlin"')
    yield from _ranges(settings, source)
    yield from _login(settings, source)
    for at, value, message, remedy in flaws(settings.approvals):
        yield source.problem(message, ("approvals", *at), value, remedy)
    yield from _alerts(settings.alerts, source)
    for name, account in settings.providers.items():
        yield from account_problems(name, account, source)
    yield from _aliases(settings, source)


_PORT_MAX = 65535
_DAY_S = 86_400
_ANY = float("inf")
_RANGES: Mapping[tuple[str, str], tuple[float, float]] = {
    ("gateway", "workers"): (1, _ANY),
    ("gateway", "max_body_bytes"): (1, _ANY),
    ("gateway", "max_file_bytes"): (1, _ANY),
    ("gateway", "drain_seconds"): (0, _DAY_S),
    ("gateway", "connect_timeout"): (0.001, _DAY_S),
    ("gateway", "first_byte_timeout"): (0.001, _DAY_S),
    ("gateway", "read_timeout"): (0.001, _DAY_S),
    ("gateway", "connections_per_host"): (1, _ANY),
    ("gateway", "attempts"): (1, _ANY),
    ("gateway", "patience"): (0, _DAY_S),
    ("gateway", "retry_share"): (0, 1),
    ("gateway", "breaker_failures"): (1, _ANY),
    ("gateway", "breaker_share"): (0.05, 1),
    ("gateway", "breaker_rest"): (1, _DAY_S),
    ("gateway", "journal_segment_bytes"): (65536, _ANY),
    ("state", "busy_seconds"): (0, _DAY_S),
    ("ledger", "retain_days"): (0, _ANY),
    ("ledger", "compact_minutes"): (1, _ANY),
    ("login", "session_hours"): (0.01, _ANY),
    ("limits", "wait_seconds"): (0, _DAY_S),
    ("login", "email_attempts"): (1, _ANY),
    ("login", "address_attempts"): (1, _ANY),
}
"""The least and the most that a number may be. What waits without end is a mistake: times end with a day."""


def _ranges(settings: Settings, source: Source) -> Iterator[ConfigError]:
    for section, port in (("gateway", settings.gateway.port), ("web", settings.web.port)):
        if not 0 <= port <= _PORT_MAX:
            yield source.problem("a port is 0 to 65535", (section, "port"), port, "0 picks a free one")
    for (section, field), (least, most) in _RANGES.items():
        value = getattr(getattr(settings, section), field)
        if not least <= value <= most or value == _ANY:
            said = f"must be {least:g} or more" if most == _ANY else f"must be {least:g} to {most:g}"
            remedy = "0.1 is ten percent" if most == 1 else "Leave it out for the default"
            yield source.problem(said, (section, field), value, remedy)


def _login(settings: Settings, source: Source) -> Iterator[ConfigError]:
    """What a login needs, and where the keys of secrets may stand."""
    oidc, key = settings.login.oidc, settings.state.seal_key
    at: At = ("login", "oidc")
    remedy = "Write env:NAME or file:PATH"
    if key and not key.startswith(("env:", "file:")):
        yield source.problem("an envelope key may not stand in settings", ("state", "seal_key"), _REDACTED, remedy)
    if settings.state.url.startswith("secret:"):
        yield source.problem("its secrets cannot open the store", ("state", "url"), settings.state.url, remedy)
    if oidc.client_secret and not is_reference(oidc.client_secret):
        yield source.problem("a secret may not stand in settings", (*at, "client_secret"), _REDACTED, _REFERENCE)
    if oidc != OidcSettings() and not (oidc.issuer and oidc.client_id):
        yield source.problem("single sign-on needs both", (*at, "issuer"), oidc.issuer, "Write issuer and client_id")
    if oidc.issuer and not is_trustworthy(oidc.issuer):
        yield source.problem(
            "not an address that can be trusted", (*at, "issuer"), oidc.issuer, "Begin it with https://"
        )
    if oidc.scopes and "openid" not in oidc.scopes:
        yield source.problem("without openid there is no login", (*at, "scopes"), oidc.scopes, 'Add "openid"')


def _alerts(alerts: AlertSettings, source: Source) -> Iterator[ConfigError]:
    """Targets need addresses that are kept elsewhere, names of their own, and events that exist."""
    names: set[str] = set()
    for i, target in enumerate(alerts.targets):
        at: At = ("alerts", "targets", i)
        if not is_reference(target.url):
            yield source.problem("an address with a secret may not stand here", (*at, "url"), _REDACTED, _REFERENCE)
        elif target.label in names:
            yield source.problem("two targets of one name", (*at, "name"), target.label, "Give one another name")
        names.add(target.label)
        for event in target.events:
            if not any(kind == event or kind.startswith(f"{event}.") or event.startswith(f"{kind}.") for kind in KINDS):
                yield source.problem("no such event", (*at, "events"), event, nearest(event, KINDS))


def account_problems(name: str, account: ProviderSettings, source: Source) -> Iterator[ConfigError]:
    """What is wrong with an account beyond the types of its fields."""
    at: At = ("providers", name)
    if account.api_key and not is_reference(account.api_key):
        yield source.problem("a secret may not stand in settings", (*at, "api_key"), _REDACTED, _REFERENCE)
    if account.base_url and urlsplit(account.base_url).scheme not in ("http", "https"):
        yield source.problem("not an address", (*at, "base_url"), account.base_url, "Begin it with https://")
    for field in ("connect_timeout", "first_byte_timeout", "read_timeout"):
        seconds = getattr(account, field)
        if not 0 <= seconds <= _DAY_S:
            yield source.problem(f"must be 0 to {_DAY_S}", (*at, field), seconds, "0 takes the gateway's")
    try:
        provider(name, account, "")
    except NotFoundError as problem:
        yield source.problem("unknown vendor", (*at, "vendor"), account.vendor, problem.remedy)
    except InputError as problem:
        yield source.problem(problem.message, (*at, problem.field.rsplit(".")[-1]), problem.value, problem.remedy)


def _aliases(settings: Settings, source: Source) -> Iterator[ConfigError]:
    for alias, model in settings.models.items():
        if not model.targets:
            yield source.problem("an alias needs a target", ("models", alias, "targets"), [], "Add provider and model")
        for i, target in enumerate(model.targets):
            if not 0 <= target.weight < _ANY:
                at = ("models", alias, "targets", i, "weight")
                yield source.problem("a weight is zero or more", at, target.weight, "0 switches a target off")
        if model.hedge.enabled and len(model.targets) == 1:
            at = ("models", alias, "hedge")
            yield source.problem("one target cannot be hedged", at, alias, "Add a second target, or take hedge out")
        yield from _hedges(alias, model.hedge, source)


def _hedges(alias: str, hedge: HedgeSettings, source: Source) -> Iterator[ConfigError]:
    """Hedging that cannot be meant: both moments at once or none, or shares that are none."""
    at: At = ("models", alias, "hedge")
    if hedge != HedgeSettings() and not hedge.enabled:
        yield source.problem("no moment to hedge at", (*at, "after"), hedge.after, 'Write after = "p95", or after_ms')
    if hedge.after and hedge.after_ms:
        yield source.problem("two moments to hedge at", (*at, "after_ms"), hedge.after_ms, "Keep after or after_ms")
    if not 0 <= hedge.after_ms <= _DAY_S * 1000:
        remedy = "0 hedges after a quantile only"
        yield source.problem(f"must be 0 to {_DAY_S * 1000}", (*at, "after_ms"), hedge.after_ms, remedy)
    for field in ("max_extra_cost", "max_requests"):
        share = getattr(hedge, field)
        if not 0 <= share <= 1:
            yield source.problem("a share is 0 to 1", (*at, field), share, "0.02 is two percent")


def _dangling(settings: Settings, source: Source, elsewhere: Iterable[str]) -> Iterator[ConfigError]:
    """Aliases that go to a provider that nobody configured."""
    known = {*settings.providers, *elsewhere}
    for alias, model in settings.models.items():
        for i, target in enumerate(model.targets):
            if target.provider not in known:
                at = ("models", alias, "targets", i, "provider")
                remedy = nearest(target.provider, known) if known else "Add it: farthing provider add"
                yield source.problem("no such provider", at, target.provider, remedy)


def _unresolved(
    settings: Settings, source: Source, env: Mapping[str, str], sealed: Mapping[str, str] | None
) -> Iterator[ConfigError]:
    """References whose secret is not there."""
    references: list[tuple[At, str]] = [
        (("providers", name, "api_key"), account.api_key)
        for name, account in settings.providers.items()
        if account.enabled
    ]
    references += [(("alerts", "targets", i, "url"), t.url) for i, t in enumerate(settings.alerts.targets)]
    if is_reference(settings.state.url):
        references.append((("state", "url"), settings.state.url))
    references.append((("login", "oidc", "client_secret"), settings.login.oidc.client_secret))
    references.append((("state", "seal_key"), settings.state.seal_key))
    known = None if sealed is None else vault(settings, env, sealed)
    for at, ref in references:
        if known is None and ref.startswith("secret:"):
            continue
        try:
            resolve_secret(ref, env, known)
        except (UnavailableError, InputError) as problem:
            yield source.problem(problem.message, at, ref, problem.remedy)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
