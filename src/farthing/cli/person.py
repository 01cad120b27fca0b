"""``farthing person``: people and services that may use the control plane."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from farthing.app.local import Local
from farthing.cli._output import Column, Out
from farthing.cli._secret import asked
from farthing.core.errors import InputError
from farthing.core.nouns import Scope
from farthing.governance.roles import Role

if TYPE_CHECKING:
    from farthing.state.people import Person
    from farthing.state.store import Store

app = App(name="person", help="Let people and services use the dashboard and the control API.")

DAYS = 90


@app.command
def create(
    email: str,
    *,
    role: Role,
    name: str = "",
    org: str = "",
    team: str = "",
    project: str = "",
    environment: str = "",
    feature: str = "",
    customer: str = "",
    user: str = "",
    duty: list[str] | None = None,
    password: bool = False,
    home: Path | None = None,
    out: Out,
) -> None:
    """Let somebody in. Prints a link, good for three days, with which they choose a password.

    Args:
        email: Their e-mail; for a service a name, such as ci-deploy.
        role: admin, finance, engineer, viewer, or service for a program.
        name: What people call them.
        org: Confine them to a tenant: an organization …
        team: … a team …
        project: … a project …
        environment: … an environment …
        feature: … a feature …
        customer: … a customer …
        user: … a user. Several together confine to what has all of them.
        duty: An approval they may give, such as finance; repeat for several.
        password: Set a password now, asked for or read from standard input, instead of printing a link.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    scope = Scope(
        org=org, team=team, project=project, environment=environment, feature=feature, customer=customer, user=user
    )
    chosen = asked("Password", twice=True) if password else ""
    with local.store() as store:
        person = store.people.create(
            local.by(), email=email, role=role, name=name, scope=scope, duties=duty or (), password=chosen
        )
        link = "" if chosen or role is Role.SERVICE else _link(local, store, person)
    _tell(person, link, out)
    if role is Role.SERVICE:
        out.next(f"farthing person token {person.name}", "a token for it")


@app.command(name="list")
def list_people(*, disabled: bool = False, home: Path | None = None, out: Out) -> None:
    """List people and services.

    Args:
        disabled: Also those who are let in no more.
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        found = store.people.list()
    rows = [_row(person) for person in found if disabled or person.disabled is None]
    columns = ["id", "email", "name", "role", "scope", "duties", "login", "state", Column("last_seen", "last seen")]
    out.table(columns, rows, empty="Nobody but the holder of the admin token.")
    if not found:
        out.next("farthing person create you@example.com --role admin", "the first admin")


@app.command
def change(
    person: str,
    *,
    role: Role | None = None,
    name: str | None = None,
    confine: list[str] | None = None,
    free: bool = False,
    duty: list[str] | None = None,
    clear_duties: bool = False,
    home: Path | None = None,
    out: Out,
) -> None:
    """Change somebody's role, tenant, duties or name. It holds from their next click.

    Args:
        person: Id, e-mail, or a service's name.
        role: admin, finance, engineer or viewer.
        name: What people call them.
        confine: The tenant to confine them to, such as team=search; repeat for several fields.
        free: Confine them to nothing.
        duty: An approval they may give, in the place of those they had; repeat for several.
        clear_duties: Take all duties away.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    new: dict[str, Any] = {"role": None if role is None else str(role), "name": name}
    new["scope"] = Scope() if free else _scope(confine) if confine else None
    new["duties"] = frozenset[str]() if clear_duties else frozenset(duty) if duty else None
    given = {field: value for field, value in new.items() if value is not None}
    if not given:
        raise InputError("nothing is to be changed", field="--role", value="", remedy="Say what: --role, --confine …")
    local = Local.open(home=home)
    with local.store() as store:
        _tell(store.people.change(local.by(), person, **given), "", out)


@app.command
def disable(person: str, *, home: Path | None = None, out: Out) -> None:
    """Let somebody in no more. All their sessions and tokens end at once.

    Args:
        person: Id, e-mail, or a service's name.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        _tell(store.people.disable(local.by(), person), "", out)


@app.command
def enable(person: str, *, home: Path | None = None, out: Out) -> None:
    """Let somebody in again. They log in anew, and a service needs a new token.

    Args:
        person: Id, e-mail, or a service's name.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        _tell(store.people.enable(local.by(), person), "", out)


@app.command
def password(person: str, *, link: bool = False, home: Path | None = None, out: Out) -> None:
    """Set a password, asked for or read from standard input; or print a link with which they do so.

    Args:
        person: Id or e-mail.
        link: Print a link, good for three days, and leave the present password until it is used.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        found = store.people.get(person)
        if link:
            _tell(found, _link(local, store, found), out)
        else:
            _tell(store.people.set_password(local.by(), found.id, asked("Password", twice=True)), "", out)


@app.command
def token(service: str, *, name: str = "", days: int = DAYS, home: Path | None = None, out: Out) -> None:
    """Make a token for a service. It is printed once and kept nowhere.

    Args:
        service: The service's name, or its id.
        name: What the token is for.
        days: How long it works.
        home: Data folder; default: the configured one.
        out: Where the token goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        person = store.people.get(service)
        session, made = store.sessions.begin(
            local.by(), person, "service", life=timedelta(days=days), name=name or person.name
        )
    if out.format in ("table", "md"):
        out.text(made)
    else:
        out.record({"token": made, "id": session.id, "service": person.email, "expires": session.expires})
    out.note(f"Token {session.id} of {person.email}, until {session.expires:%Y-%m-%d}. It is not shown again.")
    web = local.settings.web
    out.next(f"curl -H 'Authorization: Bearer TOKEN' http://{web.host}:{web.port}/api/v1/session")


@app.command
def sessions(person: str, *, home: Path | None = None, out: Out) -> None:
    """List somebody's logins, links and tokens.

    Args:
        person: Id, e-mail, or a service's name.
        home: Data folder; default: the configured one.
        out: Where the list goes.
    """
    local = Local.open(home=home)
    now = local.now()
    with local.store() as store:
        found = store.sessions.list(store.people.get(person).id)
    rows = [
        {
            "id": session.id,
            "kind": session.kind,
            "name": session.name,
            "state": session.status(now),
            "created": session.created,
            "expires": session.expires,
        }
        for session in found
    ]
    out.table(["id", "kind", "name", "state", "created", "expires"], rows, empty="None.")


@app.command
def revoke(session: str, *, home: Path | None = None, out: Out) -> None:
    """End a login or a token at once.

    Args:
        session: Its id, as ``farthing person sessions`` shows it.
        home: Data folder; default: the configured one.
        out: Where the answer goes.
    """
    local = Local.open(home=home)
    with local.store() as store:
        gone = store.sessions.revoke(local.by(), session)
    out.record({"id": gone.id, "kind": gone.kind, "name": gone.name, "revoked": gone.revoked})


def _tell(person: "Person", link: str, out: Out) -> None:
    """The person, and the link where there is one: bare for people and pipes."""
    if link and out.format in ("table", "md"):
        out.text(link)
    else:
        out.record({**_row(person), **({"link": link} if link else {})})
    tenant = " ".join(f"{field}={value}" for field, value in _row(person)["scope"].items())
    out.note(f"{person.email} is {person.role}{f', confined to {tenant}' if tenant else ''} ({person.id}).")
    if link:
        out.note("Give them this link; it works once, for three days.")


def _row(person: "Person") -> dict[str, Any]:
    shown = person.public()
    ways = [way for way, has in (("password", person.has_password), ("single sign-on", person.subject)) if has]
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "role": person.role,
        "scope": shown.get("scope", {}),
        "duties": sorted(person.duties),
        "login": ways,
        "state": "active" if person.disabled is None else "disabled",
        "last_seen": person.last_seen,
    }


def _link(local: Local, store: "Store", person: "Person") -> str:
    from farthing.app.listen import url
    from farthing.app.people import INVITE, invite_path

    _, made = store.sessions.begin(local.by(), person, "invite", life=INVITE)
    web = local.settings.web
    return url(web.host, web.port) + invite_path(made)


def _scope(parts: list[str]) -> Scope:
    fields: dict[str, str] = {}
    for part in parts:
        field, _, value = part.partition("=")
        if field not in Scope.__struct_fields__ or field == "key" or not value:
            raise InputError("not a tenant", field="--confine", value=part, remedy="Write team=search")
        fields[field] = value
    return Scope(**fields)
