"""A semantic cache for tests: the real service and stores, a model of letters, and the plain rule on the cosine."""

import hashlib
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from farthing.cache.semantic.embed import normal
from farthing.cache.semantic.local import LocalQuestions
from farthing.cache.semantic.pgvector import PostgresQuestions
from farthing.cache.semantic.ports import Action, Neighbour, Standing, Verdict
from farthing.cache.semantic.service import Service
from farthing.cache.semantic.wire import Found, Learn, Lookup, Served
from farthing.cache.settings import NamespaceSettings

DIMENSIONS = 64
NAME = "support"
ON = NamespaceSettings(semantic="on")


def digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=32).digest()


class Letters:
    """Trigrams of letters, hashed: texts with many in common are near each other."""

    name = "letters"
    dimensions = DIMENSIONS

    def __init__(self) -> None:
        self.calls: list[int] = []

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(len(texts))
        rows = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for at in range(len(text) - 2):
                row[zlib.crc32(text[at : at + 3].lower().encode()) % DIMENSIONS] += 1
        return normal(rows)

    async def aclose(self) -> None:
        pass


class Rule:
    """Serves what is near enough; remembers what it was told."""

    def __init__(self, threshold: float = 0.9) -> None:
        self.threshold = threshold
        self.labels: list[bool | None] = []
        self.wrong: list[str] = []
        self.entered: list[tuple[bytes, bytes, int, bytes]] = []
        self.left: list[bytes] = []
        self.requests = 0
        self.due = False
        self.refits = 0

    def consider(
        self,
        text: str,
        neighbours: Sequence[Neighbour],
        now: float,
        *,
        room: bytes = b"",
        vector: np.ndarray | None = None,
    ) -> Verdict:
        self.requests += 1
        self.neighbours = neighbours
        if not neighbours:
            return Verdict(action=Action.MISS, reason="no_neighbour")
        near = neighbours[0]
        serve = near.similarity >= self.threshold
        return Verdict(
            action=Action.SERVE if serve else Action.MISS, entry=near, probability=near.similarity, features=(1.0,)
        )

    def enter(self, room: bytes, key: bytes, group: int, vector: np.ndarray) -> None:
        self.entered.append((room, key, group, vector.tobytes()))

    def leave(self, key: bytes = b"") -> None:
        self.left.append(key)

    def learn(self, verdict: Verdict, agrees: bool | None, now: float) -> None:
        self.labels.append(agrees)

    def feedback(self, text: str, entry: Neighbour, *, wrong: bool, now: float) -> None:
        self.wrong.append(text)

    def refit(self) -> None:
        self.due = False
        self.refits += 1

    def standing(self) -> Standing:
        return Standing(requests=self.requests, labels=len(self.labels))

    def dump(self) -> bytes:
        return f"{len(self.labels)} labels".encode()


def same(a: str, b: str) -> bool | None:
    """Answers agree when they are equal; of those with a question mark nobody knows."""
    return None if "?" in a + b else a == b


class Cache:
    """A service with its clock, and short ways to talk to it."""

    def __init__(self, service: Service, rules: dict[str, Rule], clock: list[float], embedder: Letters) -> None:
        self.service, self.rules, self.clock, self.embedder = service, rules, clock, embedder

    @property
    def rule(self) -> Rule:
        return self.rules["learned"]

    async def ask(
        self,
        text: str,
        *,
        room: str = "room",
        tenant: str = "acme",
        user: str = "",
        key_id: str = "key",
        namespace=NAME,
    ) -> Found:
        (found,) = await self.service.lookup([Lookup(1, namespace, digest(room), tenant, user, key_id, text)])
        return found

    async def teach(self, text: str, answer: str = "Yes.", *, expires: float = 0.0, key: bytes = b"", **where) -> bytes:
        """Ask, and answer afresh; the key of the answer."""
        found = await self.ask(text, **where)
        key = key or digest(f"{text}{where}")
        await self.service.learn(Learn(found.ticket, key, answer, "0.01", expires))
        return key

    async def serve(self, text: str, *, saved: str = "0.01", **where) -> Found:
        found = await self.ask(text, **where)
        assert found.action is Action.SERVE, found
        await self.service.served(Served(found.ticket, saved))
        return found


@asynccontextmanager
async def cache(
    where: Path | str, *, limit: int = 1000, clock: list[float] | None = None, **namespaces: NamespaceSettings
) -> AsyncIterator[Cache]:
    """A semantic cache in a folder, or in the Postgres of an address."""
    clock = clock if clock is not None else [1_800_000_000.0]
    embedder, rules = Letters(), {}

    def make(settings: NamespaceSettings, learned: bytes) -> Rule:
        rules["learned"] = Rule(settings.threshold)
        rules["learned"].before = learned
        return rules["learned"]

    about = {"limit": limit, "embedding": embedder.name, "dimensions": DIMENSIONS}
    questions = (
        await PostgresQuestions.opened(where, **about) if isinstance(where, str) else LocalQuestions(where, **about)
    )
    service = Service(questions, embedder, make=make, agrees=same, now=lambda: clock[0], memory=lambda: 0)
    await service.use(namespaces or {NAME: NamespaceSettings(semantic="on", threshold=0.9)})
    try:
        yield Cache(service, rules, clock, embedder)
    finally:
        await service.aclose()
