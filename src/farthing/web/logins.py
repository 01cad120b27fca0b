"""Who is let in, and who is there, as the control API asks for it. ``app/`` joins it with the state store.

All methods are synchronous and are called from a few worker threads at once.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from farthing.governance.roles import Who
from farthing.web.people_views import (
    PersonChange,
    PersonCreated,
    PersonDraft,
    PersonView,
    SessionView,
    TokenCreated,
    TokenDraft,
)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is by their identity provider's word, all of it checked. ``email`` is verified there."""

    issuer: str
    subject: str
    email: str
    name: str = ""
    groups: tuple[str, ...] = ()


class Logins(Protocol):
    """Lets people in. A login is a token that only its holder has; it is in their cookie."""

    def recognize(self, token: str) -> Who | None:
        """Who holds this login; ``None`` when it is over, or never was."""
        ...

    def service(self, token: str) -> Who | None:
        """The service that holds this token; ``None`` when it is over, or never was."""
        ...

    def with_password(self, email: str, password: str) -> str | None:
        """A login, ``None`` when e-mail and password do not fit. Takes the same time for an unknown e-mail."""
        ...

    def with_invite(self, token: str, password: str) -> str:
        """A login for who holds this link, which thereby is used up. Raises ``DeniedError``, ``InputError``."""
        ...

    def with_identity(self, identity: Identity) -> str:
        """A login for who the identity provider vouches for. Raises ``DeniedError`` for who may not come in."""
        ...

    def change_password(self, who: Who, old: str, new: str) -> str:
        """A new login; all others of theirs end. Raises ``DeniedError`` for a wrong old one, ``InputError``."""
        ...

    def end(self, token: str) -> None:
        """End a login. One that is unknown is over already."""
        ...


class People(Protocol):
    """Everybody who may use this control plane. Those who ask are allowed to; tenants are looked after elsewhere."""

    def list(self) -> Sequence[PersonView]: ...

    def get(self, id: str) -> PersonView:
        """Raises ``NotFoundError``."""
        ...

    def create(self, who: Who, draft: PersonDraft) -> PersonCreated:
        """Raises ``InputError``, ``ConflictError``."""
        ...

    def change(self, who: Who, id: str, new: PersonChange) -> PersonView:
        """Raises ``NotFoundError``, ``InputError``, ``ConflictError``."""
        ...

    def disable(self, who: Who, id: str) -> PersonView:
        """Raises ``NotFoundError``, ``ConflictError``."""
        ...

    def enable(self, who: Who, id: str) -> PersonView:
        """Raises ``NotFoundError``."""
        ...

    def invite(self, who: Who, id: str) -> PersonCreated:
        """A new link to set a password. Raises ``NotFoundError``, ``ConflictError`` for a service."""
        ...

    def sessions(self, id: str) -> Sequence[SessionView]:
        """Those of one person. Raises ``NotFoundError``."""
        ...

    def issue(self, who: Who, id: str, draft: TokenDraft) -> TokenCreated:
        """A token for a service. Raises ``NotFoundError``, ``ConflictError`` for a person."""
        ...

    def revoke(self, who: Who, id: str, session: str) -> None:
        """End a session of a person. Raises ``NotFoundError``."""
        ...
