"""``farthing provider``: upstream accounts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from cyclopts import App

from farthing.app.local import Local
from farthing.cli._output import OK, THRESHOLD, UNREACHABLE, Column, Out
from farthing.config import DETECTED, account_problems
from farthing.core.errors import ConflictError, InputError, NotFoundError
from farthing.core.toml import Source
from farthing.gateway.reach import check_address
from farthing.gateway.settings import ProviderSettings
from farthing.gateway.vendors import vendor as vendor_row

if TYPE_CHECKING:
    from farthing.app.probe import Probe

app = App(name="provider", help="Add, list, test and remove upstream accounts.")


@app.command(name="list")
def list_providers(*, home: Path | None = None, out: Out) -> None:
    """List accounts, from the settings, from variables of the environment, and those added here.

    Args:
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        accounts = local.providers(store)
    rows = [_row(name, account, local) for name, account in sorted(accounts.items())]
    columns = [
        "name",
        "vendor",
        Column("base_url", "address"),
        "api_key",
        "region",
        "tags",
        "models",
        "enabled",
        "origin",
    ]
    out.table(columns, rows, empty="No providers.")
    if not rows:
        out.next("farthing provider add openai --api-key env:OPENAI_API_KEY")


@app.command
def add(
    name: str,
    *,
    vendor: str = "",
    api_key: str = "",
    base_url: str = "",
    region: str = "",
    prices: str = "",
    tag: list[str] | None = None,
    model: list[str] | None = None,
    replace: bool = False,
    home: Path | None = None,
    out: Out,
) -> None:
    """Add an account without a restart.

    Args:
        name: What routes and reports call it.
        vendor: Who runs it: openai, anthropic, gemini, bedrock, groq, vllm, ollama …; by default the name.
        api_key: Where the key is: env:NAME or file:PATH. By default the vendor's usual variable, when it is set.
        base_url: Address, for accounts and servers of your own.
        region: Region of the account, such as us-east-1.
        prices: Whose prices apply, by catalog name; by default the vendor's.
        tag: A word for routing, such as eu or hipaa; repeat for several.
        model: A model it serves, where it has no list of its own; repeat for several.
        replace: Replace an account of that name.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    if name in local.settings.providers and not local.settings.detected:
        raise ConflictError(
            f"The settings file has a provider {name!r}", remedy="Change it there, or choose another name"
        )
    account = ProviderSettings(
        vendor=vendor or name,
        api_key=api_key or _usual_key(vendor or name, local),
        base_url=base_url,
        region=region,
        prices=prices,
        tags=frozenset(tag or ()),
        models=tuple(model or ()),
    )
    for problem in account_problems(name, account, Source("command line")):
        field = "--" + problem.field.rsplit(".", 1)[-1].replace("_", "-")
        raise InputError(problem.message, field=field, value=problem.value, remedy=problem.remedy)
    address = base_url or vendor_row(account.vendor).base_url
    if base_url or not address.startswith("https://"):
        check_address(address, private=local.settings.gateway.private_upstreams, field="--base-url")
    with local.store() as store:
        store.providers.add(local.by(), name, _fields(account), replace=replace)
    out.record(_row(name, account, local))
    if not account.api_key and vendor_row(account.vendor).auth != "none":
        out.warn(f"Provider {name} has no key; give one with --api-key env:NAME --replace if it needs one.")
    out.next(f"farthing provider test {name}", "ask it for its models")


@app.command
def remove(name: str, *, home: Path | None = None, out: Out) -> None:
    """Remove an account that was added here.

    Args:
        name: Its name.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        if name in local.settings.providers and name not in store.providers.list():
            raise ConflictError(
                f"Provider {name!r} is not from here", remedy="Remove it from the settings or the environment"
            )
        store.providers.remove(local.by(), name)
    out.note(f"Provider {name} is removed.")


@app.command(name="test")
def ask(*names: str, timeout: float = 5, home: Path | None = None, out: Out) -> int:
    """Ask accounts for their list of models, which costs nothing. Exit code 3 when one does not answer.

    Args:
        names: Which accounts; all enabled ones by default.
        timeout: Seconds to wait for each.
        home: Data folder; default: the configured one.
        out: Where the answers go.
    """
    from farthing.app.probe import survey

    local = Local.open(home=home)
    with local.store() as store:
        accounts = local.providers(store)
    for name in names:
        if name not in accounts:
            raise NotFoundError("provider", name, known=accounts, remedy="farthing provider list shows them")
    chosen = {n: a for n, a in sorted(accounts.items()) if n in names or (not names and a.enabled)}
    probes = survey(chosen, local, timeout=timeout)
    rows = [_outcome(name, probe) for name, probe in probes.items()]
    columns = ["name", "outcome", "status", "models", "ms", "problem", Column("remedy", style="cyan")]
    out.table(columns, rows, empty="No providers to test.")
    if all(p.ok for p in probes.values()):
        return OK
    return THRESHOLD if all(p.status for p in probes.values()) else UNREACHABLE


def _outcome(name: str, probe: "Probe") -> dict[str, Any]:
    outcome = "ok" if probe.ok else "refused" if probe.status else "unreachable"
    return {
        "name": name,
        "outcome": outcome,
        "status": probe.status or None,
        "models": len(probe.models) if probe.ok else None,
        "ms": round(probe.ms, 1) if probe.status else None,
        "problem": probe.error,
        "remedy": probe.remedy,
    }


def _row(name: str, account: ProviderSettings, local: Local) -> dict[str, Any]:
    origin = "added"
    if local.settings.providers.get(name) == account:
        origin = "environment" if local.settings.detected else "settings"
    return {
        "name": name,
        "vendor": account.vendor,
        "base_url": account.base_url,
        "api_key": account.api_key,
        "region": account.region,
        "tags": sorted(account.tags),
        "models": list(account.models),
        "enabled": account.enabled,
        "origin": origin,
    }


def _usual_key(vendor: str, local: Local) -> str:
    return next((f"env:{key}" for key, name in DETECTED.items() if name == vendor and local.env.get(key)), "")


def _fields(account: ProviderSettings) -> dict[str, Any]:
    """The fields that were given, as the store keeps them."""
    plain: dict[str, Any] = msgspec.to_builtins(account)
    bare: dict[str, Any] = msgspec.to_builtins(ProviderSettings(vendor=""))
    fields = {name: value for name, value in plain.items() if value != bare[name]}
    return {**fields, **({"tags": sorted(account.tags)} if account.tags else {})}
