"""What the demo's semantic cache learned in its past: questions that were asked and answered before it starts."""

import asyncio
import random
from hashlib import sha256

from farthing.app.cache import agreement_of, learner_of
from farthing.app.local import Local
from farthing.cache.semantic.embed import WordLlama
from farthing.cache.semantic.local import LocalQuestions
from farthing.cache.semantic.ports import Action
from farthing.cache.semantic.service import Service
from farthing.cache.semantic.wire import Learn, Lookup, Served
from farthing.demo.faq import faq

ASKED = 800
"""Questions of the past: enough labels to serve by."""

SAVED = "0.000174"
"""About what one answer costs, in USD."""


def rehearse(local: Local, *, namespace: str, seed: int) -> None:
    """Ask, and learn from the answers, as the process will: what is measured then is where the demo begins."""
    asyncio.run(_rehearsed(local, namespace, random.Random(seed)))  # noqa: S311 - a simulation


async def _rehearsed(local: Local, namespace: str, dice: random.Random) -> None:
    settings, embedder = local.settings, WordLlama()
    questions = LocalQuestions(
        settings.cache_folder, limit=settings.cache.entries, embedding=embedder.name, dimensions=embedder.dimensions
    )
    agrees = agreement_of(embedder)
    now = local.now().timestamp()
    service = Service(questions, embedder, make=learner_of, agrees=agrees, now=lambda: now, memory=int)
    try:
        await service.use({namespace: settings.cache.namespaces[namespace]})
        for number in range(ASKED):
            await _one(service, namespace, faq().question(dice), number, dice)
    finally:
        await service.aclose()


async def _one(service: Service, namespace: str, text: str, number: int, dice: random.Random) -> None:
    room, user = sha256(b"the demo's past").digest(), f"customer {dice.randrange(40)}"
    ask = Lookup(number, namespace, room, "[]", user, "demo", text)
    (found,) = await service.lookup([ask])
    if found.action is Action.SERVE:
        await service.served(Served(found.ticket, SAVED))
        return
    key = sha256(text.encode()).digest()
    await service.learn(Learn(ticket=found.ticket, key=key, answer=faq().answer(text), cost=SAVED))
