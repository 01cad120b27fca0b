"""People, services, their sessions and how to log in, as the API shows and takes them."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from farthing.core.nouns import Scope
from farthing.governance.roles import Role
from farthing.web.views import ScopeDraft, ShortText

Password = Annotated[str, Meta(min_length=1, max_length=200)]
Token = Annotated[str, Meta(min_length=1, max_length=200)]
Named = Annotated[str, Meta(min_length=1, max_length=200)]


class PersonView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, or a program (role ``service``), whose ``email`` is ``service:NAME``.

    ``scope`` is the tenant they are confined to, ``duties`` the approvals they may give. ``single_sign_on``: they came
    from the identity provider.
    """

    id: str
    email: str
    name: str
    role: Role
    scope: Scope
    duties: tuple[str, ...]
    state: Literal["active", "disabled"]
    has_password: bool
    single_sign_on: bool
    created: datetime
    last_seen: datetime | None = None


class PeopleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody by e-mail, services and disabled ones included."""

    rows: tuple[PersonView, ...]


class PersonDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody to be let in. ``email`` is a name for a service."""

    email: Named
    role: Role
    name: ShortText = ""
    scope: ScopeDraft = ScopeDraft()
    duties: Annotated[list[ShortText], Meta(max_length=20)] = []


class PersonChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different about somebody; ``null`` stays as it is."""

    name: ShortText | None = None
    role: Role | None = None
    scope: ScopeDraft | None = None
    duties: Annotated[list[ShortText], Meta(max_length=20)] | None = None


class PersonCreated(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody new. ``link`` is where they choose their password, once, within three days; empty for a service."""

    person: PersonView
    link: str


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A login, a service's token, or a link to set a password; never what opens it."""

    id: str
    person: str
    kind: Literal["login", "service", "invite"]
    name: str
    state: Literal["active", "expired", "revoked"]
    created: datetime
    expires: datetime


class SessionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, newest first."""

    rows: tuple[SessionView, ...]


class TokenDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token for a service, for so many days."""

    name: Named
    days: Annotated[int, Meta(ge=1, le=366)] = 90


class TokenCreated(msgspec.Struct, frozen=True, kw_only=True):
    """A new token of a service, which is shown this once: ``Authorization: Bearer TOKEN``."""

    session: SessionView
    token: str


class LoginWays(msgspec.Struct, frozen=True, kw_only=True):
    """How one can log in here. ``single_sign_on`` is what its button says, empty where there is none."""

    admin_token: bool
    password: bool
    single_sign_on: str


class PasswordLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who somebody says they are."""

    email: Named
    password: Password


class InviteLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a link behind ``#``, and the password that is chosen."""

    token: Token
    password: Password


class PasswordDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One's own password, and the one that takes its place."""

    old: Password
    new: Password
