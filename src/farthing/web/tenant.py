"""What a person who is confined to a tenant sees and changes: their own, in everything the API answers from.

The handlers get these in the place of the parts themselves, so that no handler can forget it. A filter of the person
narrows further and cannot widen: both must hold. What belongs to another tenant is not refused but absent, so that
nobody learns what others have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from farthing.core.errors import DeniedError, NotFoundError
from farthing.core.facts import RequestFact
from farthing.core.nouns import Scope
from farthing.core.time import Window
from farthing.governance.roles import Who
from farthing.ledger.questions import RequestsAnswer, RequestsQuestion, SpendAnswer, SpendQuestion
from farthing.web.logins import People
from farthing.web.people_views import (
    PersonChange,
    PersonCreated,
    PersonDraft,
    PersonView,
    SessionView,
    TokenCreated,
    TokenDraft,
)
from farthing.web.ports import Desk, Facts, Keys
from farthing.web.services import Services
from farthing.web.views import HealthView, Hint, KeyDraft, KeyView, ProviderView, ScopeDraft

Where = Mapping[str, tuple[str, ...]]


def is_confined(who: Who) -> bool:
    """Whether they see a tenant's part only."""
    return who.scope != Scope()


def narrowed(services: Services, who: Who) -> Services:
    """The parts as this person sees them; the parts themselves for somebody who is not confined."""
    if not is_confined(who):
        return services
    return replace(
        services,
        facts=TenantFacts(services.facts, who),
        keys=TenantKeys(services.keys, who),
        desk=TenantDesk(services.desk),
        people=TenantPeople(services.people, who),
    )


def own_conditions(scope: Scope, asked: Where) -> dict[str, tuple[str, ...]]:
    """What was asked, and the tenant's own conditions. Where they contradict, no value is left: nothing fits."""
    both = dict(asked)
    for dimension, value in _fields(scope).items():
        wanted = asked.get(dimension, (value,))
        both[dimension] = (value,) if value in wanted else ()
    return both


def own_scope(scope: Scope, draft: ScopeDraft) -> ScopeDraft:
    """A scope within the tenant: what is left out is filled in.

    Raises ``DeniedError`` for one that lies in another tenant.
    """
    given = msgspec.structs.asdict(draft)
    for field, value in _fields(scope).items():
        if given.get(field, "") not in ("", value):
            raise DeniedError(
                f"The {field} {given[field]!r} is not yours to use", reason="tenant",
                remedy=f"Leave {field} out: it is {value!r} then",
            )  # fmt: skip
        if field in given:
            given[field] = value
    return ScopeDraft(**given)


class TenantFacts:
    """The ledger, as far as it is the tenant's."""

    def __init__(self, facts: Facts, who: Who) -> None:
        self._facts = facts
        self._who = who

    def spend(self, question: SpendQuestion) -> SpendAnswer:
        """The answer for the tenant; bills that name none of its dimensions are not in it."""
        return self._facts.spend(msgspec.structs.replace(question, where=self._own(question.where)))

    def requests(self, question: RequestsQuestion) -> RequestsAnswer:
        """The tenant's requests."""
        return self._facts.requests(msgspec.structs.replace(question, where=self._own(question.where)))

    def request(self, request_id: str) -> Sequence[RequestFact]:
        """The attempts of a request of the tenant; none for a request of somebody else."""
        return [fact for fact in self._facts.request(request_id) if self._who.owns(fact.scope)]

    def values(self, dimension: str, window: Window, *, where: Where | None = None) -> Sequence[str]:
        """The values that the tenant's facts have."""
        return self._facts.values(dimension, window, where=self._own(where or {}))

    def through(self) -> datetime | None:
        """How far the ledger is; the same for all."""
        return self._facts.through()

    def _own(self, asked: Where) -> dict[str, tuple[str, ...]]:
        return own_conditions(self._who.scope, asked)


class TenantKeys:
    """The tenant's keys."""

    def __init__(self, keys: Keys, who: Who) -> None:
        self._keys = keys
        self._who = who

    def list(self) -> Sequence[KeyView]:
        """Keys whose scope lies in the tenant."""
        return [key for key in self._keys.list() if self._who.owns(key.scope)]

    def create(self, who: Who, draft: KeyDraft) -> tuple[KeyView, str]:
        """A key within the tenant. Raises ``DeniedError`` for one outside."""
        return self._keys.create(who, msgspec.structs.replace(draft, scope=own_scope(self._who.scope, draft.scope)))

    def rotate(self, who: Who, id: str) -> tuple[KeyView, str]:
        """A new token for a key of the tenant. Raises ``NotFoundError`` for any other."""
        return self._keys.rotate(who, self._own(id))

    def revoke(self, who: Who, id: str) -> None:
        """Stop a key of the tenant. Raises ``NotFoundError`` for any other."""
        self._keys.revoke(who, self._own(id))

    def _own(self, id: str) -> str:
        ids = [key.id for key in self.list()]
        if id not in ids:
            raise NotFoundError("key", id, known=ids, remedy="Look at the keys of your own tenant")
        return id


class TenantPeople:
    """The people who are confined to the tenant, or to a part of it, and one's own self."""

    def __init__(self, people: People, who: Who) -> None:
        self._people = people
        self._who = who

    def list(self) -> Sequence[PersonView]:
        """Everybody in the tenant."""
        return [person for person in self._people.list() if self._who.owns(person.scope)]

    def get(self, id: str) -> PersonView:
        """Somebody in the tenant. Raises ``NotFoundError`` for anybody else."""
        return self._people.get(self._own(id))

    def create(self, who: Who, draft: PersonDraft) -> PersonCreated:
        """Somebody within the tenant. Raises ``DeniedError`` for somebody outside, or with a duty."""
        self._gives_no_duty(draft.duties)
        return self._people.create(who, msgspec.structs.replace(draft, scope=own_scope(self._who.scope, draft.scope)))

    def change(self, who: Who, id: str, new: PersonChange) -> PersonView:
        """As creating: nobody leaves the tenant by it."""
        self._gives_no_duty(new.duties)
        scope = None if new.scope is None else own_scope(self._who.scope, new.scope)
        return self._people.change(who, self._own(id), msgspec.structs.replace(new, scope=scope))

    def disable(self, who: Who, id: str) -> PersonView:
        """Let somebody of the tenant in no more."""
        return self._people.disable(who, self._own(id))

    def enable(self, who: Who, id: str) -> PersonView:
        """Let somebody of the tenant in again."""
        return self._people.enable(who, self._own(id))

    def invite(self, who: Who, id: str) -> PersonCreated:
        """A link for somebody of the tenant."""
        return self._people.invite(who, self._own(id))

    def sessions(self, id: str) -> Sequence[SessionView]:
        """The sessions of somebody of the tenant."""
        return self._people.sessions(self._own(id))

    def issue(self, who: Who, id: str, draft: TokenDraft) -> TokenCreated:
        """A token for a service of the tenant."""
        return self._people.issue(who, self._own(id), draft)

    def revoke(self, who: Who, id: str, session: str) -> None:
        """End a session of somebody of the tenant."""
        self._people.revoke(who, self._own(id), session)

    def _own(self, id: str) -> str:
        ids = [person.id for person in self.list()]
        if id not in ids:
            raise NotFoundError("person", id, known=ids, remedy="Look at the people of your own tenant")
        return id

    def _gives_no_duty(self, duties: object) -> None:
        if duties:
            raise DeniedError(
                "Duties reach beyond a tenant", reason="tenant", remedy="Ask an admin who is not confined to one"
            )


class TenantDesk:
    """The installation, without what runs it: paths, addresses and references are none of a tenant's business."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def providers(self) -> Sequence[ProviderView]:
        """Accounts by name, without their address and where their key is."""
        return [msgspec.structs.replace(account, base_url="", api_key="") for account in self._desk.providers()]

    def health(self) -> HealthView:
        """Whether everything works, without saying what does not."""
        return msgspec.structs.replace(self._desk.health(), checks=())

    def hints(self) -> Sequence[Hint]:
        """Setting the installation up is for others."""
        return ()


def _fields(scope: Scope) -> dict[str, str]:
    return {field: value for field, value in msgspec.structs.asdict(scope).items() if value}


__all__ = [
    "TenantDesk",
    "TenantFacts",
    "TenantKeys",
    "TenantPeople",
    "is_confined",
    "narrowed",
    "own_conditions",
    "own_scope",
]
