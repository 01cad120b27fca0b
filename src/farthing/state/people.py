"""People and services that may use the control plane."""

import builtins
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
import sqlalchemy as sa

from farthing.core.errors import ConflictError, InputError, NotFoundError
from farthing.core.nouns import Scope
from farthing.state import passwords
from farthing.state.audit import Change
from farthing.state.database import Database
from farthing.state.tables import people, sessions

SERVICE = "service"
ADMIN = "admin"
SEEN_RESOLUTION = timedelta(minutes=10)
"""``last_seen`` is written at most this often."""

_NOBODY = Scope()
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,130}")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, or a program. ``email`` is lower-case; a program has ``service:NAME`` in its place.

    ``scope`` is the tenant they are confined to, nobody's when empty; ``duties`` the approvals they may give.
    ``subject`` is their issuer and id at the identity provider, empty until they came from there.
    """

    id: str
    email: str
    name: str
    role: str
    scope: Scope = Scope()
    duties: frozenset[str] = frozenset()
    has_password: bool = False
    subject: str = ""
    created: datetime
    disabled: datetime | None = None
    last_seen: datetime | None = None

    def public(self) -> dict[str, Any]:
        """What the audit log may see of them."""
        shown = msgspec.to_builtins(self)
        shown["duties"] = sorted(self.duties)
        shown["scope"] = {field: value for field, value in shown["scope"].items() if value}
        del shown["last_seen"]
        return {name: value for name, value in shown.items() if value not in (None, "", [], {}, False)}


class People:
    """The people of a store. ``cost`` is what a guess at a password costs."""

    def __init__(self, database: Database, cost: passwords.Cost | None = None) -> None:
        self._database = database
        self._cost = cost

    def create(
        self,
        change: Change,
        *,
        email: str,
        role: str,
        name: str = "",
        scope: Scope = _NOBODY,
        duties: Iterable[str] = (),
        password: str = "",
        subject: str = "",
    ) -> Person:
        """A new person; of role ``service`` a program, whose ``email`` is a name.

        Raises ``InputError``, or ``ConflictError`` when the e-mail is taken.
        """
        handle = handle_of(email, role)
        person = Person(
            id=f"per_{secrets.token_hex(8)}",
            email=handle,
            name=name or handle.partition("@")[0].removeprefix("service:"),
            role=role,
            scope=scope,
            duties=frozenset(duties),
            has_password=bool(password),
            subject=subject,
            created=change.at,
        )
        secret = self._hashed(password, person) if password else None
        with self._database.write() as connection:
            if connection.execute(sa.select(people.c.id).where(people.c.email == handle)).first():
                raise ConflictError(
                    f"There is somebody with {handle} already", remedy="farthing person list shows them"
                )
            connection.execute(sa.insert(people).values({**_row(person), "password": secret}))
            change.note(connection, "person.create", person.id, after=person.public())
        return person

    def list(self) -> builtins.list[Person]:
        """Everybody by e-mail, disabled ones included."""
        with self._database.read() as connection:
            return [person_of(row) for row in connection.execute(sa.select(people).order_by(people.c.email)).mappings()]

    def get(self, ref: str) -> Person:
        """Somebody by id or e-mail; a service also by its bare name. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            return _find(connection, ref)

    def by_subject(self, subject: str) -> Person | None:
        """Who comes from the identity provider under this name."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(people).where(people.c.subject == subject)).mappings().first()
            return None if row is None else person_of(row)

    def with_password(self, email: str, password: str) -> Person | None:
        """Who this is; ``None`` for a wrong password, an unknown e-mail and a disabled person, after the same time."""
        with self._database.read() as connection:
            row = (
                connection.execute(sa.select(people).where(people.c.email == email.strip().lower())).mappings().first()
            )
        right = passwords.matches(password, row["password"] if row is not None else None)
        return person_of(row) if row is not None and right and row["disabled"] is None else None

    def change(self, change: Change, ref: str, **new: Any) -> Person:
        """Give somebody another ``name``, ``role``, ``scope``, ``duties`` or ``subject``; what is left out stays.

        Raises ``NotFoundError``, ``InputError`` for a person made a service or the reverse, and ``ConflictError`` where
        nobody would be left who may change people.
        """
        with self._database.write() as connection:
            old = _find(connection, ref)
            person = msgspec.structs.replace(old, **new)
            if (old.role == SERVICE) != (person.role == SERVICE):
                raise InputError(
                    "a person cannot become a service, nor a service a person", field="role", value=person.role,
                    remedy="Create another one",
                )  # fmt: skip
            if person == old:
                return old
            _keep_an_admin(connection, old, person)
            connection.execute(sa.update(people).where(people.c.id == old.id).values(_row(person)))
            change.note(connection, "person.change", old.id, before=old.public(), after=person.public())
        return person

    def disable(self, change: Change, ref: str) -> Person:
        """Let somebody in no more, and end all their sessions and tokens.

        Raises ``NotFoundError``, ``ConflictError``.
        """
        with self._database.write() as connection:
            old = _find(connection, ref)
            if old.disabled is not None:
                return old
            person = msgspec.structs.replace(old, disabled=change.at)
            _keep_an_admin(connection, old, person)
            connection.execute(sa.update(people).where(people.c.id == old.id).values(disabled=change.at))
            _end_all(connection, old.id, change.at)
            change.note(connection, "person.disable", old.id, before=old.public(), after=person.public())
        return person

    def enable(self, change: Change, ref: str) -> Person:
        """Let somebody in again; their old sessions and tokens stay ended. Raises ``NotFoundError``."""
        with self._database.write() as connection:
            old = _find(connection, ref)
            person = msgspec.structs.replace(old, disabled=None)
            if person != old:
                connection.execute(sa.update(people).where(people.c.id == old.id).values(disabled=None))
                change.note(connection, "person.enable", old.id, before=old.public(), after=person.public())
        return person

    def set_password(self, change: Change, ref: str, password: str) -> Person:
        """Give somebody a password, and end all their sessions. Raises ``NotFoundError``, ``InputError``."""
        old = self.get(ref)
        secret = self._hashed(password, old)
        with self._database.write() as connection:
            connection.execute(sa.update(people).where(people.c.id == old.id).values(password=secret))
            _end_all(connection, old.id, change.at)
            change.note(connection, "person.password", old.id)
        return msgspec.structs.replace(old, has_password=True)

    def seen(self, person: Person, at: datetime) -> None:
        """Remember that somebody was here, to ten minutes. Does not count as a change."""
        if person.last_seen is None or at - person.last_seen >= SEEN_RESOLUTION:
            with self._database.write() as connection:
                connection.execute(sa.update(people).where(people.c.id == person.id).values(last_seen=at))

    def _hashed(self, password: str, person: Person) -> str:
        if person.role == SERVICE:
            raise InputError("a service has no password", field="password", value="…", remedy="Give it a token")
        return passwords.hashed(passwords.check_strength(password, email=person.email), self._cost)


def handle_of(email: str, role: str) -> str:
    """How somebody is told from all others. Raises ``InputError`` for what is no e-mail, or no name of a service."""
    text = email.strip().lower()
    if role == SERVICE:
        name = email.strip().removeprefix("service:")
        if not _SERVICE.fullmatch(name):
            raise InputError("not a name", field="email", value=email, remedy="A service has a name such as ci-deploy")
        return f"service:{name}"
    if not _EMAIL.fullmatch(text):
        raise InputError("not an e-mail address", field="email", value=email, remedy="Write name@example.com")
    return text


def _end_all(connection: sa.Connection, person: str, at: datetime) -> None:
    live = sa.and_(sessions.c.person == person, sessions.c.revoked.is_(None))
    connection.execute(sa.update(sessions).where(live).values(revoked=at))


def _keep_an_admin(connection: sa.Connection, old: Person, new: Person) -> None:
    """Raises ``ConflictError`` when this would leave nobody who may change people."""
    if not _rules(old) or _rules(new):
        return
    others = connection.execute(sa.select(people).where(people.c.id != old.id)).mappings()
    if not any(_rules(person_of(row)) for row in others):
        raise ConflictError("This is the last admin", remedy="Make somebody else an admin first")


def _rules(person: Person) -> bool:
    return person.role == ADMIN and person.disabled is None and person.scope == _NOBODY


def _row(person: Person) -> dict[str, Any]:
    row = msgspec.structs.asdict(person)
    del row["has_password"]
    own = {"scope": msgspec.to_builtins(person.scope), "duties": sorted(person.duties)}
    return {**row, **own, "subject": person.subject or None}


def person_of(row: Mapping[Any, Any]) -> Person:
    """A person as a row of the table says."""
    facts = {field: row[field] for field in ("id", "email", "name", "role", "created", "disabled", "last_seen")}
    return Person(
        **facts,
        scope=Scope(**cast("dict[str, str]", row["scope"])),
        duties=frozenset(row["duties"]),
        has_password=row["password"] is not None,
        subject=row["subject"] or "",
    )


def _find(connection: sa.Connection, ref: str) -> Person:
    names = (ref.strip().lower(), f"service:{ref.strip()}", ref.strip())
    here = sa.or_(people.c.id == ref, people.c.email.in_(names))
    row = connection.execute(sa.select(people).where(here)).mappings().first()
    if row is None:
        known = [name for (name,) in connection.execute(sa.select(people.c.email))]
        raise NotFoundError("person", ref, known=known, remedy="farthing person list shows them")
    return person_of(row)


__all__ = ["ADMIN", "SERVICE", "People", "Person", "handle_of", "person_of"]
