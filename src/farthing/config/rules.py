"""What types cannot say of settings: each problem names its place in the file, the value and the remedy."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from farthing.cache.settings import DEFAULT, CacheSettings
from farthing.config.references import REDACTED, REFERENCE, is_reference, resolve_secret
from farthing.config.sealed import vault
from farthing.config.settings import Settings
from farthing.core.errors import ConfigError, InputError, NotFoundError, UnavailableError
from farthing.core.nouns import Scope
from farthing.core.toml import At, Source, nearest
from farthing.gateway.settings import HedgeSettings, ProviderSettings
from farthing.gateway.vendors import provider
from farthing.governance.alerts import KINDS, AlertSettings
from farthing.governance.approvals import flaws
from farthing.web.settings import OidcSettings, is_trustworthy


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host. Names other than ``localhost`` are not."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def broken(settings: Settings, source: Source) -> Iterator[ConfigError]:
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
    yield from _caches(settings.cache, source)
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
        yield source.problem("an envelope key may not stand in settings", ("state", "seal_key"), REDACTED, remedy)
    if settings.state.url.startswith("secret:"):
        yield source.problem("its secrets cannot open the store", ("state", "url"), settings.state.url, remedy)
    if oidc.client_secret and not is_reference(oidc.client_secret):
        yield source.problem("a secret may not stand in settings", (*at, "client_secret"), REDACTED, REFERENCE)
    if oidc != OidcSettings() and not (oidc.issuer and oidc.client_id):
        yield source.problem("single sign-on needs both", (*at, "issuer"), oidc.issuer, "Write issuer and client_id")
    if oidc.issuer and not is_trustworthy(oidc.issuer):
        yield source.problem(
            "not an address that can be trusted", (*at, "issuer"), oidc.issuer, "Begin it with https://"
        )
    if oidc.scopes and "openid" not in oidc.scopes:
        yield source.problem("without openid there is no login", (*at, "scopes"), oidc.scopes, 'Add "openid"')


def _caches(cache: CacheSettings, source: Source) -> Iterator[ConfigError]:
    """Namespaces claim by fields that exist; whoever asks a model needs its name and a key that pays."""
    known = (*Scope.__struct_fields__, "model")
    for name, rules in cache.namespaces.items():
        for field, value in rules.where.items():
            if field not in known:
                at = ("cache", "namespaces", name, "where", field)
                yield source.problem("not a field of a scope", at, value, nearest(field, known) or ", ".join(known))
        if name == DEFAULT and rules.where:
            at = ("cache", "namespaces", name, "where")
            yield source.problem("default takes what is left", at, rules.where, "Give it another name, or no where")
        if rules.warm and "on" not in (rules.exact, rules.semantic):
            at = ("cache", "namespaces", name, "warm")
            yield source.problem("nothing is answered that could be renewed", at, rules.warm, 'Set exact = "on"')
    if cache.embedding == "endpoint" and not cache.embedding_model:
        yield source.problem("which model?", ("cache", "embedding_model"), "", "Name a model that the gateway knows")
    needs = (("embedding_key", cache.embedding_key, cache.embedding == "endpoint"),)
    for place, key, needed in (*needs, ("judge.key", cache.judge.key, bool(cache.judge.model))):
        at = ("cache", *place.split("."))
        if needed and not key:
            yield source.problem("a Farthing key has to pay for it", at, "", REFERENCE)
        elif key and not is_reference(key):
            yield source.problem("a secret may not stand in settings", at, REDACTED, REFERENCE)


def _alerts(alerts: AlertSettings, source: Source) -> Iterator[ConfigError]:
    """Targets need addresses that are kept elsewhere, names of their own, and events that exist."""
    names: set[str] = set()
    for i, target in enumerate(alerts.targets):
        at: At = ("alerts", "targets", i)
        if not is_reference(target.url):
            yield source.problem("an address with a secret may not stand here", (*at, "url"), REDACTED, REFERENCE)
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
        yield source.problem("a secret may not stand in settings", (*at, "api_key"), REDACTED, REFERENCE)
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


def dangling(settings: Settings, source: Source, elsewhere: Iterable[str]) -> Iterator[ConfigError]:
    """Aliases that go to a provider that nobody configured."""
    known = {*settings.providers, *elsewhere}
    for alias, model in settings.models.items():
        for i, target in enumerate(model.targets):
            if target.provider not in known:
                at = ("models", alias, "targets", i, "provider")
                remedy = nearest(target.provider, known) if known else "Add it: farthing provider add"
                yield source.problem("no such provider", at, target.provider, remedy)


def unresolved(
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
