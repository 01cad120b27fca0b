"""``farthing key``: the keys that clients of the gateway use."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from farthing.app.local import Local
from farthing.cli._output import Column, Out
from farthing.core.errors import InputError
from farthing.core.nouns import Scope
from farthing.core.time import parse_instant

if TYPE_CHECKING:
    from farthing.state.keys import Key
    from farthing.state.store import Store

app = App(name="key", help="Create, list, rotate and revoke the keys that clients use.")

_SPAN = re.compile(r"(?P<count>\d+)\s*(?P<unit>[smhdwy])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


@app.command
def create(
    *,
    name: str = "",
    org: str = "",
    team: str = "",
    project: str = "",
    environment: str = "",
    feature: str = "",
    customer: str = "",
    user: str = "",
    model: list[str] | None = None,
    category: str = "",
    expires: str = "",
    home: Path | None = None,
    out: Out,
) -> None:
    """Create a key. Its token is printed once and kept nowhere.

    Args:
        name: What people call it; by default its team and feature.
        org: Who pays for what the key does: organization …
        team: … team …
        project: … project …
        environment: … environment, such as prod …
        feature: … feature of your product …
        customer: … customer of yours …
        user: … person.
        model: A model or alias it may ask for; repeat for several, leave out for all.
        category: What its requests are for, such as training or research; left out, they say it themselves.
        expires: When it stops working: 30d, 12h, 1y, or a date.
        home: Data folder; default: the configured one.
        out: Where the token goes.
    """
    local = Local.open(home=home)
    scope = Scope(
        org=org, team=team, project=project, environment=environment, feature=feature, customer=customer, user=user
    )
    change = local.by()
    ends = _end(expires, change.at)
    label = name or "/".join(part for part in (team, project, feature) if part)
    with local.store() as store:
        if local.settings.approvals.cli:
            key, token = _through_gate(
                local, store, name=label or "key", scope=scope, models=model or [], category=category, expires=ends
            )
        else:
            key, token = store.keys.create(
                change, name=label, scope=scope, models=model or (), category=category, expires=ends
            )
    _tell(key, token, local, out)


@app.command(name="list")
def list_keys(*, dead: bool = False, home: Path | None = None, out: Out) -> None:
    """List keys, newest first.

    Args:
        dead: Also those that are revoked or expired.
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    local = Local.open(home=home)
    now = local.now()
    with local.store() as store:
        found = store.keys.list()
    rows = [_row(key, now) for key in found if dead or key.status(now) == "active"]
    columns = ["id", "name", Column("prefix", "token"), "status", "scope", "models", "created", "expires", "last_used"]
    out.table(columns, rows, empty="No keys.")
    if not found:
        out.next("farthing key create --team search --expires 90d", "the first key")


@app.command
def revoke(key: str, *, home: Path | None = None, out: Out) -> None:
    """Stop a key. Workers refuse it within a second.

    Args:
        key: Its id, the beginning of its token that the list shows, or its name.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        gone = store.keys.revoke(local.by(), key)
    out.record(_row(gone, local.now()))
    in_force = local.published(lambda world: all(entry.id != gone.id for entry in world.keys))
    out.note(f"Key {gone.id} is revoked." if in_force else f"Key {gone.id} is revoked; workers learn of it shortly.")


@app.command
def rotate(key: str, *, grace: str = "24h", expires: str = "", home: Path | None = None, out: Out) -> None:
    """Create a key in the place of another one, which works on for a while.

    Args:
        key: Id, visible beginning of the token, or name of the key to replace.
        grace: How long the old token works on: 24h, 7d, 0s for not at all.
        expires: When the new key stops working; by default it lives as long as the old one was made for.
        home: Data folder; default: the configured one.
        out: Where the new token goes.
    """
    local = Local.open(home=home)
    change = local.by()
    with local.store() as store:
        made, token = store.keys.rotate(change, key, grace=_span(grace, "--grace"), expires=_end(expires, change.at))
    _tell(made, token, local, out)
    out.note(f"The old token of {made.rotated_from} works for another {grace}.")


def _through_gate(
    local: Local, store: "Store", *, name: str, scope: Scope, models: list[str], category: str, expires: datetime | None
) -> tuple["Key", str]:
    """A new key, if nobody else has to agree: ``[approvals] cli`` is on."""
    from farthing.app.budgets import local_admin
    from farthing.app.desk import KeyDesk
    from farthing.app.governing import gate_of
    from farthing.web.views import KeyDraft, ScopeDraft

    payer = ScopeDraft(**{field: getattr(scope, field) for field in ScopeDraft.__struct_fields__})
    draft = KeyDraft(name=name, scope=payer, models=models, category=category, expires=expires)
    made, token = KeyDesk(store, local.by, gate_of(lambda: local, store)).create(local_admin(local.by().actor), draft)
    return store.keys.get(made.id, local.now()), token


def _tell(key: "Key", token: str, local: Local, out: Out) -> None:
    """The token on stdout, bare for people and pipes, beside the key's facts for programs."""
    if out.format in ("table", "md"):
        out.text(token)
    else:
        out.record({"token": token, **_row(key, local.now())})
    out.note(f"Key {key.id} ({key.name or 'no name'}). This token is not shown again.")
    if not local.published(lambda world: any(entry.id == key.id for entry in world.keys)):
        out.warn("the gateway does not know the key yet; it will within seconds")
    gateway = local.settings.gateway
    address = f"http://{gateway.host}:{gateway.port}"
    out.next(f"export OPENAI_BASE_URL={address}/v1 OPENAI_API_KEY=TOKEN", "and run your program")


def _row(key: "Key", now: datetime) -> dict[str, Any]:
    scope = {k: v for k, v in key.public()["scope"].items() if v}
    facts = {"id": key.id, "name": key.name, "prefix": key.prefix, "status": key.status(now), "scope": scope}
    times = {"created": key.created, "expires": key.expires, "revoked": key.revoked, "last_used": key.last_used}
    return {**facts, "models": sorted(key.models), "category": key.category, **times, "rotated_from": key.rotated_from}


def _end(text: str, now: datetime) -> datetime | None:
    """The instant of ``30d`` or a date; ``None`` for no text."""
    if not text:
        return None
    return now + _span(text, "--expires") if _SPAN.fullmatch(text) else parse_instant(text, field="--expires")


def _span(text: str, field: str) -> timedelta:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise InputError("not a span of time", field=field, value=text, remedy="Write 30d, 12h or 1y")
    return timedelta(seconds=int(match["count"]) * _SECONDS[match["unit"]])
