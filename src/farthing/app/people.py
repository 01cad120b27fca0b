"""People and logins as the control API asks for them, made of the state store."""

import builtins
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from farthing.core.errors import DeniedError, NotFoundError
from farthing.core.nouns import Scope
from farthing.governance.roles import Role, Who
from farthing.web.logins import Identity
from farthing.web.people_views import (
    PersonChange,
    PersonCreated,
    PersonDraft,
    PersonView,
    SessionView,
    TokenCreated,
    TokenDraft,
)
from farthing.web.settings import LoginSettings, OidcSettings
from farthing.web.views import ScopeDraft

if TYPE_CHECKING:
    from farthing.state.audit import Change
    from farthing.state.people import Person
    from farthing.state.sessions import Session
    from farthing.state.store import Store

INVITE = timedelta(days=3)
INVITE_PAGE = "/welcome"
"""The page on which somebody chooses a password. The token stands behind ``#``, which browsers send nowhere."""

By = Callable[[str], "Change"]


def who_is(person: "Person") -> Who:
    """What somebody may do, as of now."""
    return Who(actor=person.email, role=Role(person.role), person=person.id, scope=person.scope, duties=person.duties)


def invite_path(token: str) -> str:
    """The address of a link to set a password, below that of the control plane."""
    return f"{INVITE_PAGE}#{token}"


class PeopleDesk:
    """Everybody who may use this control plane. Changes are written down as made by whoever asked."""

    def __init__(self, store: "Store", by: By) -> None:
        self._people = store.people
        self._sessions = store.sessions
        self._by = by

    def list(self) -> builtins.list[PersonView]:
        """Everybody by e-mail."""
        return [person_view(person) for person in self._people.list()]

    def get(self, id: str) -> PersonView:
        """Somebody. Raises ``NotFoundError``."""
        return person_view(self._people.get(id))

    def create(self, who: Who, draft: PersonDraft) -> PersonCreated:
        """Somebody new, and the link with which they choose a password."""
        person = self._people.create(
            self._by(who.actor),
            email=draft.email,
            role=draft.role,
            name=draft.name,
            scope=_scope(draft.scope),
            duties=draft.duties,
        )
        return self._with_link(who, person)

    def change(self, who: Who, id: str, new: PersonChange) -> PersonView:
        """Somebody, changed."""
        fields = {
            "name": new.name,
            "role": None if new.role is None else str(new.role),
            "scope": None if new.scope is None else _scope(new.scope),
            "duties": None if new.duties is None else frozenset(new.duties),
        }
        given = {name: value for name, value in fields.items() if value is not None}
        return person_view(self._people.change(self._by(who.actor), id, **given))

    def disable(self, who: Who, id: str) -> PersonView:
        """Somebody who is let in no more."""
        return person_view(self._people.disable(self._by(who.actor), id))

    def enable(self, who: Who, id: str) -> PersonView:
        """Somebody who is let in again."""
        return person_view(self._people.enable(self._by(who.actor), id))

    def invite(self, who: Who, id: str) -> PersonCreated:
        """A new link for somebody."""
        return self._with_link(who, self._people.get(id))

    def sessions(self, id: str) -> Sequence[SessionView]:
        """The sessions of one person."""
        now = self._by("").at
        return [session_view(session, now) for session in self._sessions.list(self._people.get(id).id)]

    def issue(self, who: Who, id: str, draft: TokenDraft) -> TokenCreated:
        """A token for a service."""
        change = self._by(who.actor)
        life = timedelta(days=draft.days)
        session, token = self._sessions.begin(change, self._people.get(id), "service", life=life, name=draft.name)
        return TokenCreated(session=session_view(session, change.at), token=token)

    def revoke(self, who: Who, id: str, session: str) -> None:
        """End a session of one person."""
        if session not in [found.id for found in self._sessions.list(self._people.get(id).id)]:
            raise NotFoundError("session", session, remedy="Look at the sessions of this person")
        self._sessions.revoke(self._by(who.actor), session)

    def _with_link(self, who: Who, person: "Person") -> PersonCreated:
        link = ""
        if person.role != Role.SERVICE:
            _, token = self._sessions.begin(self._by(who.actor), person, "invite", life=INVITE)
            link = invite_path(token)
        return PersonCreated(person=person_view(person), link=link)


class LoginDesk:
    """Lets people in."""

    def __init__(self, store: "Store", by: By, settings: Callable[[], LoginSettings]) -> None:
        self._people = store.people
        self._sessions = store.sessions
        self._by = by
        self._settings = settings

    def recognize(self, token: str) -> Who | None:
        """Who holds this login."""
        now = self._by("").at
        bearer = self._sessions.find(token, "login", now)
        if bearer is None:
            return None
        self._people.seen(bearer.person, now)
        return who_is(bearer.person)

    def service(self, token: str) -> Who | None:
        """The service that holds this token."""
        now = self._by("").at
        bearer = self._sessions.find(token, "service", now)
        if bearer is None:
            return None
        self._people.seen(bearer.person, now)
        return who_is(bearer.person)

    def with_password(self, email: str, password: str) -> str | None:
        """A login by e-mail and password."""
        person = self._people.with_password(email, password)
        return None if person is None else self._begin(person, "password")

    def with_invite(self, token: str, password: str) -> str:
        """A login by a link, which is used up by it, as are all older ones of the same person."""
        bearer = self._sessions.find(token, "invite", self._by("").at)
        if bearer is None:
            raise DeniedError(
                "This link is used up or too old", reason="not_logged_in", remedy="Ask an admin for a new one"
            )
        person = self._people.set_password(self._by(bearer.person.email), bearer.person.id, password)
        return self._begin(person, "link")

    def with_identity(self, identity: Identity) -> str:
        """A login by the word of the identity provider."""
        settings = self._settings().oidc
        role = _role(identity, settings)
        person = self._known(identity)
        if person is None:
            person = self._newcomer(identity, role, settings)
        elif settings.roles:
            if not role:
                raise _not_let_in(identity, "belongs to no group that has a role here")
            person = self._people.change(self._by("identity provider"), person.id, role=role)
        if person.disabled is not None or person.role == Role.SERVICE:
            raise _not_let_in(identity, "is disabled")
        return self._begin(person, "single sign-on")

    def change_password(self, who: Who, old: str, new: str) -> str:
        """A new login after one's own password was changed."""
        person = self._people.with_password(who.actor, old) if who.person else None
        if person is None:
            raise DeniedError(
                "The old password is wrong", reason="wrong_password", remedy="Ask an admin for a link to set a new one"
            )
        return self._begin(self._people.set_password(self._by(who.actor), person.id, new), "password")

    def end(self, token: str) -> None:
        """End a login."""
        bearer = self._sessions.find(token, "login", self._by("").at)
        if bearer is not None:
            self._sessions.revoke(self._by(bearer.person.email), bearer.session.id)

    def _known(self, identity: Identity) -> "Person | None":
        """Who this is here: by the provider's own name for them, or else by an e-mail that is nobody else's there."""
        subject = _subject(identity)
        person = self._people.by_subject(subject)
        if person is not None:
            return person
        try:
            person = self._people.get(identity.email)
        except NotFoundError:
            return None
        if person.subject:
            raise _not_let_in(identity, "is somebody else here than at the identity provider")
        return self._people.change(self._by("identity provider"), person.id, subject=subject)

    def _newcomer(self, identity: Identity, role: str, settings: OidcSettings) -> "Person":
        if not role:
            raise _not_let_in(identity, "is not known here")
        return self._people.create(
            self._by("identity provider"),
            email=identity.email,
            role=role,
            name=identity.name,
            scope=Scope(**msgspec.structs.asdict(settings.tenant)),
            subject=_subject(identity),
        )

    def _begin(self, person: "Person", name: str) -> str:
        life = timedelta(hours=self._settings().session_hours)
        change = self._by(person.email)
        self._people.seen(person, change.at)
        return self._sessions.begin(change, person, "login", life=life, name=name)[1]


def person_view(person: "Person") -> PersonView:
    """Somebody as the API shows them."""
    return PersonView(
        id=person.id,
        email=person.email,
        name=person.name,
        role=Role(person.role),
        scope=person.scope,
        duties=tuple(sorted(person.duties)),
        state="active" if person.disabled is None else "disabled",
        has_password=person.has_password,
        single_sign_on=bool(person.subject),
        created=person.created,
        last_seen=person.last_seen,
    )


def session_view(session: "Session", now: datetime) -> SessionView:
    """A session as the API shows it."""
    return SessionView(
        id=session.id,
        person=session.person,
        kind=session.kind,
        name=session.name,
        state=session.status(now),
        created=session.created,
        expires=session.expires,
    )


def _role(identity: Identity, settings: OidcSettings) -> str:
    """The role that the provider's groups give, in the order of the settings; empty for none."""
    fitting = (role for group, role in settings.roles.items() if group in identity.groups)
    return next(fitting, settings.default_role)


def _subject(identity: Identity) -> str:
    return f"{identity.issuer} {identity.subject}"


def _not_let_in(identity: Identity, why: str) -> DeniedError:
    return DeniedError(
        f"{identity.email} {why}", reason="not_let_in", remedy="Ask an admin: farthing person create or change"
    )


def _scope(draft: ScopeDraft) -> Scope:
    return Scope(**msgspec.structs.asdict(draft))


__all__ = ["INVITE", "LoginDesk", "PeopleDesk", "invite_path", "person_view", "session_view", "who_is"]
