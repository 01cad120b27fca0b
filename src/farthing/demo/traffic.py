"""Traffic of the demo's company, sent to the gateway over HTTP as its services would."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from farthing.demo.company import FEATURES, Feature
from farthing.demo.faq import faq

JSON = dict[str, Any]

_TOPICS = ("order 48213", "invoice 2291", "the login page", "a refund", "the parcel", "the API limit", "the contract")
_PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
}


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients saw: requests that ended, those answered at all, those with 200, and all by status or kind
    of broken connection.
    """

    requests: int
    answers: int
    answered: int
    by_status: dict[str, int]


class Traffic:
    """A bounded load: ``rate`` requests a second at most ``parallel`` at once, for ``seconds``.

    ``keys`` maps a team to its Farthing key; the empty team's key is the shared one.
    """

    def __init__(self, address: str, keys: Mapping[str, str], *, dice: random.Random) -> None:
        self._address = address
        self._keys = keys
        self._dice = dice
        self._seen: Counter[str] = Counter()

    async def run(self, *, seconds: float, rate: float, parallel: int = 32) -> Sent:
        """Send until the time is over or Ctrl-C is pressed, then wait for the answers that are still under way."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        enough = asyncio.Event()
        loop.add_signal_handler(signal.SIGINT, enough.set)
        gate = asyncio.Semaphore(parallel)
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            while loop.time() < until and not enough.is_set():
                await gate.acquire()
                task = group.create_task(self._one(session))
                task.add_done_callback(lambda _: gate.release())
                await asyncio.sleep(self._dice.expovariate(rate))
        loop.remove_signal_handler(signal.SIGINT)
        return Sent(
            requests=self._seen.total(),
            answers=sum(count for word, count in self._seen.items() if word.isdigit()),
            answered=self._seen["200"],
            by_status=dict(self._seen),
        )

    async def _one(self, session: aiohttp.ClientSession) -> None:
        feature = self._dice.choices(FEATURES, weights=[f.share for f in FEATURES])[0]
        headers = {"authorization": f"Bearer {self._keys[feature.team]}"}
        if feature.name:
            headers["x-farthing-feature"] = feature.name
        if feature.customers:
            headers["x-farthing-customer"] = self._dice.choice(feature.customers)
        url = self._address + _PATHS[feature.operation]
        try:
            async with session.post(url, json=body_of(feature, self._dice), headers=headers) as answer:
                await answer.read()
                self._seen[str(answer.status)] += 1
        except (aiohttp.ClientError, TimeoutError) as problem:
            self._seen[type(problem).__name__] += 1


def body_of(feature: Feature, dice: random.Random) -> JSON:
    """One request of a feature in its own dialect."""
    question = faq().question(dice) if feature.faq else _question(feature, dice)
    if feature.operation == "embeddings":
        passages = [f"{question} Passage {dice.randrange(_PASSAGES)}." for _ in range(_AT_ONCE)]
        return {"model": feature.model, "input": passages}
    system = _text(f"You are the {feature.name or 'helpful'} service. Follow the house style.", feature.system)
    if dice.random() < feature.tools:
        question += " Use the tool."
    streams = dice.random() < feature.streams
    body: JSON = {"model": feature.model, **({"stream": True} if streams else {})}
    if feature.operation == "responses":
        return {**body, "instructions": system, "input": question, "max_output_tokens": feature.limit}
    if feature.operation == "messages":
        cached = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
        tool: JSON = {"name": "look_up", "description": "Look something up", "input_schema": _SCHEMA}
        turns = [{"role": "user", "content": question}]
        return {**body, "max_tokens": feature.limit, "system": cached, "tools": [tool], "messages": turns}
    turns = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    function: JSON = {"name": "look_up", "description": "Look something up", "parameters": _SCHEMA}
    tools = [{"type": "function", "function": function}] if feature.tools else None
    return {**body, "max_tokens": feature.limit, "messages": turns, **({"tools": tools} if tools else {})}


_PASSAGES = 60
"""So many passages of the handbook are embedded again and again, so many at once:"""

_AT_ONCE = 4


def _question(feature: Feature, dice: random.Random) -> str:
    if feature.operation == "embeddings":
        return _text("The handbook", feature.question // _AT_ONCE)
    return _text(f"{feature.name} about {dice.choice(_TOPICS)}", _around(feature.question, dice))


_SCHEMA: JSON = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


def _around(tokens: int, dice: random.Random) -> int:
    return max(8, int(tokens * dice.lognormvariate(0, 0.4)))


def _text(opening: str, tokens: int) -> str:
    """``tokens`` tokens of text, four characters each, that begin with ``opening``."""
    filler = " Be brief, be kind, cite the policy, and never promise a date you cannot keep."
    wanted = tokens * 4
    return (opening + filler * (wanted // len(filler) + 1))[:wanted]
