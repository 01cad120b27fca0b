"""A gate over a real store, with a clock that tests move and people that they make up."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from farthing.app.gate import ApprovalGate
from farthing.app.governing import somebody
from farthing.app.people import LoginDesk, PeopleDesk
from farthing.app.votelinks import VoteLinks
from farthing.core.nouns import Scope
from farthing.governance.approvals import ApprovalSettings
from farthing.governance.links import Signer
from farthing.governance.roles import Role, Who
from farthing.state.audit import Change
from farthing.state.store import Store
from farthing.web.admin import Door
from farthing.web.live import Landings
from farthing.web.services import Services
from farthing.web.settings import LoginSettings, WebSettings

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOKEN = "the-admin-token"
SITE = "http://127.0.0.1:4181"


class Clock:
    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)


class Told:
    """Remembers what people were told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, Mapping[str, Any]]] = []

    def tell(self, kind: str, title: str, body: Mapping[str, Any]) -> None:
        self.said.append((kind, title, body))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.said]


def person(name: str, role: Role = Role.ENGINEER, *duties: str, scope: Scope = Scope()) -> Who:
    return Who(actor=f"{name}@example.com", role=role, person=f"per_{name}", scope=scope, duties=frozenset(duties))


class Room:
    """Everything around approvals over one store. ``settings`` may be replaced while it is used."""

    def __init__(
        self, store: Store, settings: ApprovalSettings = ApprovalSettings(), clock: Clock | None = None
    ) -> None:
        self.store, self.settings, self.clock, self.told = store, settings, clock or Clock(), Told()
        self.gate = self.another_gate()
        self.links = VoteLinks(
            self.gate, store.approvals, Signer(TOKEN), people=lambda id: somebody(store, id),
            settings=lambda: self.settings, clock=self.clock,
        )  # fmt: skip

    def another_gate(self, store: Store | None = None) -> ApprovalGate:
        """As another process has it."""
        store = store or self.store
        return ApprovalGate(
            store.approvals, store.audit, settings=lambda: self.settings, clock=self.clock, teller=self.told,
            url=lambda: SITE,
        )  # fmt: skip

    def by(self, actor: str = "test") -> Change:
        return Change(actor=actor, at=self.clock())

    def enroll(self, name: str, role: Role = Role.ENGINEER, *duties: str, scope: Scope = Scope()) -> Who:
        """A person of the store."""
        made = self.store.people.create(
            self.by(), email=f"{name}@example.com", role=role.value, scope=scope, duties=duties
        )
        return somebody(self.store, made.id)

    def services(self, pages: Path, **parts: Any) -> Services:
        """The control API's parts: approvals, audit, people and logins are real, what is not given is absent."""
        absent = {"facts": None, "keys": None, "prices": None, "desk": None, "budgets": None, "caches": None, **parts}
        login = LoginSettings()
        return Services(
            landings=Landings(heartbeat=0.05), clock=self.clock, admin_token=TOKEN, settings=WebSettings(),
            version="0", gateway_url="", pages=pages, people=PeopleDesk(self.store, self.by),
            logins=LoginDesk(self.store, self.by, lambda: login), approvals=self.gate, links=self.links,
            audit=self.store.audit, **absent,
        )  # fmt: skip

    def cookie(self, who: Who, services: Services) -> dict[str, str]:
        """Headers of a browser in which somebody is logged in."""
        begun = self.store.sessions.begin(
            self.by(), self.store.people.get(who.person), "login", life=timedelta(days=60)
        )
        return {"Cookie": f"{Door(services).cookie_name}={begun[1]}", "Sec-Fetch-Site": "same-origin", "Origin": SITE}
