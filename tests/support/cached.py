"""An installation whose caches did something: facts with their marks, entries in the store, people of two teams."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from litestar.testing import TestClient

from farthing.app.cachedesk import CacheDesk
from farthing.app.local import Local
from farthing.cache.disk import DiskStore
from farthing.cache.entry import Amount, Entry
from farthing.cache.semantic.wire import Hit
from farthing.core.facts import RequestFact, Status
from farthing.core.nouns import Scope
from farthing.web.api import build
from support.facts import fact
from support.governed import SITE, START, TOKEN, Clock, Room

SETTINGS = """
[cache.namespaces.default]
exact = "on"
semantic = "on"

[cache.namespaces.support]
where = { team = "support" }
semantic = "shadow"
"""
TENANT = '[["customer",""],["org",""],["team","{team}"]]'
"""Whose an entry is, as a gateway worker writes it."""


def key_of(name: str) -> bytes:
    """An entry's key."""
    return name.encode().ljust(32, b"\0")


def considered(number: int, kind: str, namespace: str, *, cost: str | None = "0.5", team: str = "search", **more) -> RequestFact:  # fmt: skip
    """A request that a cache looked at, an hour before ``START`` for each number; a hit saves its ``cost``."""
    tags = {"farthing.cache": kind, "farthing.cache.namespace": namespace, **more.pop("tags", {})}
    at = START - timedelta(hours=number + 1)
    if kind in ("exact", "semantic", "embeddings"):
        hit = {"status": Status.CACHE_HIT, "attempt": 0, "provider": "cache", "offer": f"cache/{kind}"}
        saved = None if cost is None else Decimal(cost)
        return fact(number, at=at, cost="0", baseline_cost=saved, scope=Scope(team=team), tags=tags, **hit, **more)
    return fact(number, at=at, cost=cost, scope=Scope(team=team), tags=tags, **more)


def history() -> list[RequestFact]:
    """Two namespaces, every kind, and what the caches asked themselves."""
    rows = [
        considered(0, "exact", "default", cost="0.25"),
        considered(1, "semantic", "default", cost="0.1"),
        considered(2, "embeddings", "default", cost="0.000000000001"),
        considered(3, "miss", "default"),
        considered(4, "skipped", "default"),
        considered(5, "sampled", "default", cost="0.05"),
        considered(6, "sampled", "default", cost=None),
        considered(30, "would_exact", "support", cost="0.3", team="support"),
        considered(31, "would_semantic", "support", cost=None, team="support"),
        considered(32, "miss", "support", team="support"),
        fact(40, at=START - timedelta(hours=2), cost="7"),
    ]
    judged = fact(41, at=START - timedelta(hours=2), cost="0.01", tags={"cache": "judge"})
    embedded = considered(1, "miss", "default", cost="0.002", tags={"cache": "embedding"})
    warmed = fact(42, at=START - timedelta(hours=2), cost="0.004", tags={"cache": "warm"})
    return [*rows, judged, embedded, warmed]


def hit(number: int, *, team: str = "search", namespace: str = "default", tenant: str | None = None, **more) -> Hit:
    """A semantic hit, a minute before ``START`` for each number."""
    values = {
        "at": START.timestamp() - 60 * number, "namespace": namespace, "user": f"user-{number}",
        "tenant": TENANT.replace("{team}", team) if tenant is None else tenant, "question": f"Which {team} question {number}?",
        "matched": f"What {team} question {number}?", "key": key_of(f"{team}-{number}"), "probability": 0.99,
        "similarity": 0.97, "saved": "0.0125",
    }  # fmt: skip
    return Hit(**{**values, **more})


class Installation:
    """Real stores and the whole control API. ``home`` has to be a short path, for the socket in it."""

    def __init__(self, home: Path, settings: str = SETTINGS) -> None:
        self.clock = Clock()
        file = home / "farthing.toml"
        file.write_text(settings)
        self.local = Local.open(home=home, config_file=file, env={})
        self.store = self.local.store()
        self.ledger = self.local.ledger()
        self.room = Room(self.store, clock=self.clock)
        self.settings = self.local.settings
        self.desk = CacheDesk(lambda: self.local, self.ledger, self.store.audit, clock=self.clock)

    def close(self) -> None:
        self.store.close()
        self.ledger.close()

    def land(self, facts: list[RequestFact]) -> None:
        self.ledger.append_requests(facts, source="test", version=1)

    def keep(self, *entries: tuple[str, str, str, Mapping[str, str]]) -> None:
        """Entries of the store: name, namespace, epoch and who asked first."""
        made = [
            Entry(
                key=key_of(name), namespace=namespace, tenant=TENANT.replace("{team}", scope.get("team", "")),
                made=START.timestamp(), body=b"{}", scope=Scope(**scope), epoch=epoch,
            )
            for name, namespace, epoch, scope in entries
        ]  # fmt: skip
        with self._answers() as store:
            assert store.put(made, START.timestamp())

    def amount(self) -> Amount:
        with self._answers() as store:
            return store.amount()

    def has(self, name: str) -> bool:
        with self._answers() as store:
            return store.get(key_of(name), START.timestamp()) is not None

    def _answers(self) -> DiskStore:
        return DiskStore(self.settings.cache_folder / "answers.db", limit=10**9)

    @contextmanager
    def client(self, who=None) -> Iterator[TestClient]:
        services = self.room.services(self.settings.home, facts=self.ledger, caches=self.desk)
        with TestClient(build(services), base_url=SITE, raise_server_exceptions=False) as client:
            headers = {"Authorization": f"Bearer {TOKEN}"} if who is None else self.room.cookie(who, services)
            client.headers.update(headers)
            yield client

    def call(self, method: str, path: str, body=None, *, who=None):
        with self.client(who) as client:
            return client.request(method, f"/api/v1{path}", json=body)


def since(hours: float) -> datetime:
    return START - timedelta(hours=hours)
