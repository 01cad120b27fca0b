"""The settings, from the Structs that read them and what their docstrings say of each field."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast, get_args, get_origin

import msgspec

from docs.writers.markdown import code, prose, sentences, summary, table
from farthing.cache.settings import CacheSettings, JudgeSettings, NamespaceSettings, WarmSettings
from farthing.config import DETECTED, SettingsFile
from farthing.core.nouns import Objective
from farthing.gateway.limits.settings import LimitSettings
from farthing.gateway.settings import GatewaySettings, HedgeSettings, ModelSettings, ProviderSettings, TargetSettings
from farthing.governance.alerts import AlertSettings
from farthing.governance.alerts import TargetSettings as AlertTarget
from farthing.governance.approvals import ApprovalSettings, Rule
from farthing.ledger.settings import LedgerSettings
from farthing.state.settings import StateSettings
from farthing.web.settings import LoginSettings, OidcSettings, TenantSettings, WebSettings

SECTIONS: Mapping[str, type[msgspec.Struct]] = {
    "": SettingsFile,
    "gateway": GatewaySettings,
    "providers.NAME": ProviderSettings,
    "models.ALIAS": ModelSettings,
    "models.ALIAS.targets": TargetSettings,
    "models.ALIAS.objective": Objective,
    "models.ALIAS.hedge": HedgeSettings,
    "state": StateSettings,
    "ledger": LedgerSettings,
    "web": WebSettings,
    "login": LoginSettings,
    "login.oidc": OidcSettings,
    "login.oidc.tenant": TenantSettings,
    "approvals": ApprovalSettings,
    "approvals.rules": Rule,
    "alerts": AlertSettings,
    "alerts.targets": AlertTarget,
    "limits": LimitSettings,
    "cache": CacheSettings,
    "cache.judge": JudgeSettings,
    "cache.warm": WarmSettings,
    "cache.namespaces.NAME": NamespaceSettings,
}

_CACHED = "cache.namespaces.NAME"

MEANINGS: Mapping[str, str] = {
    "cache.memory": "Bytes of answers in each worker's own memory.",
    "cache.max_bytes": "Bytes of answers that the workers share, on disk or in the state's Postgres.",
    "cache.max_answer": "Bytes of the largest answer that is kept.",
    "cache.wait_seconds": "How long a request waits for an identical one that is under way.",
    "cache.embedding": "What turns questions into vectors: `wordllama`, which is built in, or `endpoint`, a model of "
    "the gateway's own.",
    "cache.embedding_model": "That model's name.",
    "cache.embedding_key": "The Farthing key that pays for it, as a reference.",
    "cache.entries": "Questions that the semantic cache keeps at most.",
    "cache.lookup_ms": "The semantic cache answers within so many milliseconds, or the request goes on without.",
    "cache.judge.model": "The model that is asked, later, whether two questions have the same answer; empty: none is.",
    "cache.judge.key": "The Farthing key that pays for it, as a reference.",
    "cache.judge.per_hour": "How often it is asked at most.",
    "cache.warm.per_hour": "Calls made ahead within an hour at most, where a namespace sets `warm`; 0 for none.",
    "cache.warm.cents_per_day": "US cents that such calls may cost within 24 hours; 0 for none.",
    f"{_CACHED}.where": "Scope fields and `model` that requests must have to belong here. Of the namespaces that fit, "
    "the one that says most claims a request; `default` gets what is left.",
    f"{_CACHED}.exact": "Whether identical requests are answered from the cache. `shadow` measures what that would "
    "save, and answers nothing.",
    f"{_CACHED}.semantic": "Whether questions that mean the same are.",
    f"{_CACHED}.embeddings": "Whether vectors of texts that were embedded before are reused.",
    f"{_CACHED}.ttl": "Seconds that an answer serves identical requests; 0 is for ever.",
    f"{_CACHED}.semantic_ttl": "Seconds that it serves questions that mean the same; 0 is for ever.",
    f"{_CACHED}.embedding_ttl": "Seconds that a vector is kept; 0 is for ever.",
    f"{_CACHED}.target": "Share of all requests that may get a wrong answer from the semantic cache.",
    f"{_CACHED}.policy": "The `verifier` that learns, or the plain rule `cosine`, for comparison only.",
    f"{_CACHED}.threshold": "Least similarity that the plain rule serves.",
    f"{_CACHED}.shadow": "Share of would-be hits that are asked anyway, to measure how often they are wrong.",
    f"{_CACHED}.max_temperature": "Requests that say a higher one are neither answered from a cache nor kept.",
    f"{_CACHED}.allow": "What is reused although it usually is not: `tools` (results of tools are in play), `time` "
    "(questions about now), `personal` (about the one who asks), `refusals`.",
    f"{_CACHED}.epoch": "Change it, and nothing older is served.",
    f"{_CACHED}.isolate": "Scope fields between whose values nothing is shared; `org` and `customer` always are.",
    f"{_CACHED}.quota": "Entries that one key may add to the semantic cache in an hour.",
    f"{_CACHED}.user_quota": "Entries that one user may add in an hour.",
    f"{_CACHED}.warm": "Whether answers that are asked for again and again are renewed before they expire.",
    "alerts.targets": "Who is told; without any, notices are only listed.",
    "login.oidc.client_id": "What the identity provider calls this installation.",
    "login.oidc.client_secret": "Its secret there, as a reference: `env:NAME`, `file:PATH` or `secret:NAME`.",
    "login.oidc.scopes": "What is asked of the identity provider; `openid` must be among it.",
    "login.oidc.groups": "Claim that holds somebody's groups.",
    **{
        f"login.oidc.tenant.{field}": f"New people see and spend only what belongs to this {said}."
        for field, said in dict(
            zip(TenantSettings.__struct_fields__, TenantSettings.__struct_fields__, strict=True), org="organization"
        ).items()
    },
    "approvals.rules": "The table of bands and duties. The default is the rule of thumb of "
    "[approvals](../how-to/approvals.md); an empty list asks nobody.",
    "approvals.rules.least": "Dollars a month from which this rule counts.",
    "approvals.rules.duty": "Whose holder has to agree.",
    "approvals.rules.category": "What it is about, such as `training` or `inference`; `*`: what no other rule names.",
    "approvals.four_eyes_from": "Dollars a month from which two people have to agree, neither of them who asked.",
    "gateway.host": "Address the workers listen on. Other than loopback, keys are required.",
    "gateway.port": "Port of the gateway; 0 picks a free one.",
    "gateway.workers": "Processes that serve requests, each with a listening socket of its own.",
    "gateway.connect_timeout": "Seconds to wait for a connection to a provider.",
    "gateway.first_byte_timeout": "Seconds to wait for the first byte of a provider's answer.",
    "gateway.read_timeout": "Seconds to wait between two reads of a provider's answer.",
    "gateway.connections_per_host": "Connections that one worker keeps to one provider at most.",
    "gateway.journal_segment_bytes": "Size of a file of the journal; a full one is followed by the next.",
    "gateway.otel_endpoint": "OTLP/HTTP address for spans with GenAI attributes; empty: none. "
    "Needs `pip install farthing[otel]`.",
    "providers.NAME.base_url": "Address below which the dialect's paths begin. Servers of your own need it.",
    "providers.NAME.dialect": "Wire language, where it is not the vendor's.",
    "providers.NAME.headers": "Further headers for every request to it.",
    "providers.NAME.models": "Models it serves, where it has no list of its own.",
    "providers.NAME.on_disconnect": "When a client leaves: `cancel` the answer, or `drain` it to learn what it cost.",
    "providers.NAME.enabled": "Whether requests may go there.",
    "models.ALIAS.targets": "Where it may go.",
    "models.ALIAS.targets.provider": "Name of a configured provider.",
    "models.ALIAS.targets.terms": "Tier to ask for, which has its own price.",
    "models.ALIAS.objective.p50_ms": "Median time to the whole answer, in milliseconds; 0: no promise.",
    "models.ALIAS.objective.p95_ms": "95th percentile of the same.",
    "models.ALIAS.objective.p99_ms": "99th percentile of the same.",
    "models.ALIAS.objective.ttft_p95_ms": "95th percentile of the time to the first token.",
    "web.host": "Address of the API and the dashboard. Other than loopback, other machines reach the login.",
    "web.port": "Port of the API and the dashboard; 0 picks a free one.",
    "web.zone": "The one reporting time zone (IANA name): days begin in it.",
    "web.basis": "The one cost basis that pages begin with: `effective`, `billed`, `list` or `contracted`.",
    "web.secure_cookie": "Send the login's cookie over TLS only. Switch it on behind TLS.",
    "state.url": "SQLAlchemy address of the state store: `sqlite:///PATH` or `postgresql+psycopg://…`, or `env:NAME` "
    "or `file:PATH` when it holds a password. Empty: `state.db` in the data folder.",
    "ledger.url": "A folder or an object-store address (`s3://…`, `gs://…`, `az://…`). Empty: `ledger/` in the data "
    "folder.",
}
"""What fields mean whose class says no sentence of their own about them."""

_TITLES = {
    "": "Top level",
    "models.ALIAS.targets": "`[[models.ALIAS.targets]]`",
    "approvals.rules": "`[[approvals.rules]]`",
    "alerts.targets": "`[[alerts.targets]]`",
}
_OVERRIDABLE = ("gateway", "state", "ledger", "web")
_PLAIN = {"home": "FARTHING_HOME", "detect_providers": "FARTHING_DETECT_PROVIDERS"}


def page() -> str:
    """Every section and field."""
    detected = ", ".join(code(name) for name in DETECTED)
    return (
        "# Settings\n\n"
        "Settings come from `farthing.toml` in the working directory, or the file that `FARTHING_CONFIG` or `--config` "
        "names. Variables of the environment win over the file. Everything has a default that works.\n\n"
        "`farthing config check` lists every problem with its file, line, field, value and remedy; "
        "`farthing config show` prints what is in force. Unknown fields are refused.\n\n"
        "A secret never stands in the file: write `env:NAME` or `file:PATH`. When no `[providers]` are configured, "
        f"these variables are looked for: {detected}.\n\n"
    ) + "\n".join(_section(name, struct) for name, struct in SECTIONS.items())


def fields() -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """Every setting: dotted name and field. Tables that are sections of their own are left out."""
    for section, struct in SECTIONS.items():
        for field in msgspec.structs.fields(struct):
            name = f"{section}.{field.name}".lstrip(".")
            if not any(other == name or other.startswith(f"{name}.") for other in SECTIONS) or name in MEANINGS:
                yield name, field


def meaning(name: str) -> str:
    """What a setting means: the sentence of its class about it, or ours. Raises ``KeyError`` when nobody says."""
    if name in MEANINGS:
        return MEANINGS[name]
    section, _, field = name.rpartition(".")
    found = next((s for s in sentences(SECTIONS[section]) if f"``{field}``" in s.split(":")[0]), None)
    if found is None:
        raise KeyError(f"{SECTIONS[section].__name__} does not say what {field} means")
    said = re.sub(rf"^``{field}``(:| is| are|) (?!and)", "", found.removesuffix(";").removesuffix("."))
    return f"{prose(said[0].upper() + said[1:])}."


def _section(section: str, struct: type[msgspec.Struct]) -> str:
    rows = [
        (code(field.name), _type(field.type), _default(field), _variable(section, field.name), meaning(name))
        for name, field in fields()
        if name.rpartition(".")[0] == section
    ]
    title = _TITLES.get(section, f"`[{section}]`")
    head = ("field", "type", "default", "variable", "meaning")
    return f"## {title}\n\n{summary(struct)}\n\n{table(head, rows)}"


def _type(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        return _type(get_args(hint)[0])
    inner = [a for a in get_args(hint) if a is not ...]
    origin = get_origin(hint)
    if origin in (tuple, frozenset):
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return "table of text"
    if inner:
        return ", ".join(code(repr(value).replace("'", '"')) for value in inner)
    named = {str: "text", int: "integer", float: "number", bool: "boolean"}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return "table"
    return named.get(hint, hint.__name__.lower())


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return code({True: "true", False: "false"}[default] if isinstance(default, bool) else _toml(default))


def _toml(value: Any) -> str:
    match value:
        case frozenset():
            return _toml(tuple(sorted(cast("frozenset[str]", value))))
        case tuple():
            plain = (item for item in value if not isinstance(item, msgspec.Struct))
            return f"[{', '.join(map(_toml, plain)) or ('…' if value else '')}]"
        case dict():
            return "{}"
        case int() | float():
            return str(value)
        case _:
            return f'"{value}"'


def _variable(section: str, field: str) -> str:
    if not section:
        return code(_PLAIN.get(field, ""))
    return code(f"FARTHING_{section}_{field}".upper()) if section in _OVERRIDABLE else ""
