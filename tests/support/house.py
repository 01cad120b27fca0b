"""One installation inside a test: real state store, real ledger, the whole control API, and two tenants with data."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from litestar.testing import TestClient

from farthing.app.control import _Control
from farthing.app.local import Local
from farthing.app.people import invite_path
from farthing.core.nouns import Scope
from farthing.state.audit import Change
from farthing.web.admin import Door
from farthing.web.api import build
from support.facts import fact

SITE = "http://127.0.0.1:4181"
FOREIGN = "zebra"
"""Stands in everything that belongs to the other tenant, and nowhere else."""
OWN = "walrus"
PASSWORD = "correct horse battery"


class House:
    """The parts, and browsers of people."""

    def __init__(self, local: Local, store, ledger) -> None:
        self.local, self.store, self.ledger = local, store, ledger
        self.control = _Control(local, None, store, ledger)
        self.services = self.control._services()
        self.app = build(self.services)
        self.token = self.services.admin_token

    def by(self, actor: str = "test") -> Change:
        return Change(actor=actor, at=self.local.now())

    def person(self, email: str, role: str, **more):
        return self.store.people.create(self.by(), email=email, role=role, **more)

    @contextmanager
    def browser(self, person=None) -> Iterator[TestClient]:
        """A client without a login, or with one of somebody."""
        with TestClient(self.app, base_url=SITE, raise_server_exceptions=False) as client:
            if person is not None:
                _, token = self.store.sessions.begin(self.by(), person, "login", life=timedelta(hours=1))
                client.cookies.set(self.cookie_name, token, domain="127.0.0.1")
                client.headers["origin"] = SITE
            yield client

    @contextmanager
    def admin(self) -> Iterator[TestClient]:
        with self.browser() as client:
            client.headers["authorization"] = f"Bearer {self.token}"
            yield client

    @property
    def cookie_name(self) -> str:
        return Door(self.services).cookie_name

    def invite(self, person) -> str:
        return invite_path(self.store.sessions.begin(self.by(), person, "invite", life=timedelta(days=1))[1])


@contextmanager
def house(folder: Path, settings: str = "", env: dict[str, str] | None = None) -> Iterator[House]:
    """An installation in a folder; ``settings`` are lines of its settings file."""
    file = folder / "farthing.toml"
    file.write_text("detect_providers = false\n" + settings)
    local = Local.open(home=folder / "home", config_file=file, env=env or {})
    with local.store() as store:
        ledger = local.ledger()
        try:
            yield House(local, store, ledger)
        finally:
            ledger.close()


def furnish(rooms: House) -> None:
    """Two tenants: requests, keys and people of each; every name of the other one holds ``FOREIGN``."""
    now = rooms.local.now()
    facts = []
    for number, tenant in enumerate((OWN, FOREIGN, "")):
        scope = Scope(team=tenant, feature=f"{tenant}-feature", customer=f"{tenant}-customer") if tenant else Scope()
        facts += [
            fact(
                number * 10 + i,
                request_id=f"req-{tenant or 'none'}-{i}",
                at=now - timedelta(hours=2 + i),
                scope=scope,
                model=f"{tenant or 'shared'}-model",
                cost=str(Decimal(number + 1) + Decimal(i) / 10),
                error=f"{tenant} went wrong" if i == 2 else "",
                tags={"run": f"{tenant}-run", "farthing.cache": "miss", "farthing.cache.namespace": f"{tenant}-space"},
            )
            for i in range(3)
        ]
        if tenant:
            rooms.store.keys.create(rooms.by(), name=f"{tenant}-key", scope=Scope(team=tenant))
            rooms.person(f"{tenant}-admin@example.com", "admin", scope=Scope(team=tenant))
            rooms.person(f"{tenant}-viewer@example.com", "viewer", scope=Scope(team=tenant))
            rooms.person(f"{tenant}-bot", "service", scope=Scope(team=tenant))
    rooms.ledger.append_requests(facts, source="test", version=1)
    with rooms.admin() as client:
        for tenant in (OWN, FOREIGN):
            scope = {"team": tenant}
            limit = {"name": f"{tenant}-budget", "amount": "1", "scope": scope}
            leave = {"subject": f"{tenant}-plan", "summary": f"{tenant} trains", "amount": "5000", "scope": scope}
            for path, body in (("budgets", limit), ("approvals", leave)):
                answer = client.post(f"/api/v1/{path}", json=body)
                assert answer.status_code < 300, answer.text
