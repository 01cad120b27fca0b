"""What people hold to prove that they are let in: logins, tokens of services, and links to set a password.

All three are 256 random bits that only the holder has; the store keeps their SHA-256, as with keys (see
``state.token``), so that a copy of the store lets nobody in.
"""

import builtins
import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from farthing.core.errors import ConflictError, InputError, NotFoundError
from farthing.state.audit import Change
from farthing.state.database import Database
from farthing.state.people import SERVICE, Person, person_of
from farthing.state.tables import people, sessions

Purpose = Literal["login", "service", "invite"]
PREFIXES: Mapping[Purpose, str] = {"login": "fl-", "service": "fs-", "invite": "fi-"}
KEPT = timedelta(days=30)
"""How long ended sessions stay in the list."""

_BYTES = 32
_ID_LETTERS = 16
_MOST_LETTERS = 200


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One login, token or link. ``id`` is the beginning of its hash, which opens nothing."""

    id: str
    person: str
    kind: Purpose
    name: str
    created: datetime
    expires: datetime
    revoked: datetime | None = None

    def status(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether it works at an instant, and why not."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        return "expired" if self.expires <= now else "active"

    def public(self) -> dict[str, Any]:
        """What the audit log may see of it."""
        return {"kind": self.kind, "person": self.person, "name": self.name, "expires": self.expires.isoformat()}


class Bearer(NamedTuple):
    """Who holds a token, and which one."""

    person: Person
    session: Session


class Sessions:
    """The sessions of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self, change: Change, person: Person, kind: Purpose, *, life: timedelta, name: str = ""
    ) -> tuple[Session, str]:
        """A session and its token, which cannot be shown again.

        Raises ``InputError`` for a life that is over, ``ConflictError`` for somebody who may not have one.
        """
        if life <= timedelta():
            raise InputError("it cannot end before it begins", field="expires", value=str(life))
        if person.disabled is not None:
            raise ConflictError(f"{person.email} is disabled", remedy=f"farthing person enable {person.email}")
        if (kind == "service") != (person.role == SERVICE):
            raise ConflictError(
                "Services have tokens and people log in; neither does the other",
                remedy="Create a person of role service for a program",
            )
        token = PREFIXES[kind] + secrets.token_urlsafe(_BYTES)
        hashed = digest(token)
        session = Session(
            id=hashed[:_ID_LETTERS],
            person=person.id,
            kind=kind,
            name=name,
            created=change.at,
            expires=change.at + life,
        )
        with self._database.write() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.expires < change.at - KEPT))
            row = {**msgspec.structs.asdict(session), "hash": hashed}
            del row["id"]
            connection.execute(sa.insert(sessions).values(row))
            change.note(connection, f"{kind}.begin", session.id, after=session.public())
        return session, token

    def find(self, token: str, kind: Purpose, now: datetime) -> Bearer | None:
        """Who holds this token, if it works; ``None`` for everything else."""
        if len(token) > _MOST_LETTERS or not token.startswith(PREFIXES[kind]):
            return None
        query = sa.select(sessions, *_PERSON).join(people, people.c.id == sessions.c.person)
        with self._database.read() as connection:
            row = connection.execute(query.where(sessions.c.hash == digest(token))).mappings().first()
        if row is None or not secrets.compare_digest(row["hash"], digest(token)):
            return None
        bearer = Bearer(person_of({name[2:]: row[name] for name in row if name.startswith("p_")}), _session(row))
        works = bearer.session.status(now) == "active" and bearer.session.kind == kind
        return bearer if works and bearer.person.disabled is None else None

    def list(self, person: str = "") -> builtins.list[Session]:
        """All sessions, newest first; those of one person (by id) when it is given."""
        query = sa.select(sessions).order_by(sessions.c.created.desc(), sessions.c.hash)
        if person:
            query = query.where(sessions.c.person == person)
        with self._database.read() as connection:
            return [_session(row) for row in connection.execute(query).mappings()]

    def revoke(self, change: Change, session_id: str) -> Session:
        """End a session at once. Ending it again changes nothing. Raises ``NotFoundError``."""
        with self._database.write() as connection:
            wanted = sa.func.substr(sessions.c.hash, 1, _ID_LETTERS) == session_id
            row = connection.execute(sa.select(sessions).where(wanted)).mappings().first()
            if row is None:
                raise NotFoundError("session", session_id, remedy="farthing person list shows them")
            old = _session(row)
            if old.revoked is not None:
                return old
            connection.execute(sa.update(sessions).where(sessions.c.hash == row["hash"]).values(revoked=change.at))
            change.note(connection, f"{old.kind}.revoke", old.id, before=old.public())
        return msgspec.structs.replace(old, revoked=change.at)


def digest(token: str) -> str:
    """SHA-256 of the whole token, in hex."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


_PERSON = [column.label(f"p_{column.name}") for column in people.c]


def _session(row: Mapping[Any, Any]) -> Session:
    facts = {name: row[name] for name in ("person", "kind", "name", "created", "expires", "revoked")}
    return Session(id=row["hash"][:_ID_LETTERS], **facts)


__all__ = ["Bearer", "Purpose", "Session", "Sessions", "digest"]
