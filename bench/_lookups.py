"""What a lookup of the semantic cache costs: its process as it runs in production, asked over its socket.

The store is filled by the same code that fills it in production, with made-up questions in one room; then the process
is started on it and asked questions it does not hold, one after another, by the client that workers use.
"""

import asyncio
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import uvloop

from bench._process import Process
from bench._report import Figure
from farthing.cache.semantic.client import SemanticClient, SemanticControl
from farthing.cache.semantic.embed import WordLlama, small
from farthing.cache.semantic.local import LocalQuestions
from farthing.cache.semantic.questions import Question
from farthing.cache.semantic.service import room_of
from farthing.cache.semantic.wire import Lookup
from farthing.core.errors import UnavailableError

ROOM_ENTRIES = 100_000
MANY_ROOMS = 10
ASKED, ASKED_QUICKLY = 20_000, 3_000
TOGETHER = 8
BATCH = 500
READY_SECONDS = 60
GIB = 1024**3

ANSWER = "Open the settings, choose the entry that you want to change, and confirm with the code that we send you. " * 3
NAMESPACE = "bench"
SETTINGS = f'[cache]\nentries = 2000000\n\n[cache.namespaces.{NAMESPACE}]\nsemantic = "on"\n'

_HELD = ("How do I", "How can I", "What do I need to", "Could you tell me how to", "Is there a way to", "When can I")
_ASKED = ("Please show me how to", "I would like to know how to", "Where can I", "What is the easiest way to")
_VERBS = (
    "reset", "change", "cancel", "update", "find", "track", "return", "activate", "block", "open", "close",
    "transfer", "increase", "check", "explain", "order", "pay", "renew", "lend", "hide", "sort", "print", "share",
    "export",
)  # fmt: skip
_NOUNS = (
    "password", "card", "account", "invoice", "address", "phone", "limit", "balance", "subscription", "parcel",
    "loan", "mortgage", "statement", "contract", "ticket", "booking", "flight", "hotel", "insurance", "voucher",
    "coupon", "delivery", "warranty", "laptop", "printer", "router", "license", "profile",
)  # fmt: skip
_KINDS = (
    "my", "the", "our", "her", "his", "the lost", "my stolen", "a new", "my old", "a second", "the business",
    "our family", "a joint", "the student", "a premium", "an expired", "my damaged", "the late", "the blue",
    "my foreign", "our shared",
)  # fmt: skip
_PLACES = (
    "online", "abroad", "in the app", "by phone", "at night", "without a fee", "after moving", "in the shop",
    "at the airport", "for my wife", "before the weekend", "with a friend", "from another country", "on a new device",
)  # fmt: skip


def figures(*, quick: bool) -> list[Figure]:
    """Latency over the socket, memory and start at 100,000 entries; unless ``quick``, memory at a million as well."""
    with tempfile.TemporaryDirectory(prefix="farthing-lookups-") as folder:
        home = Path(folder)
        (home / "farthing.toml").write_text(SETTINGS)
        asyncio.run(_filled(home, rooms=1))
        found = _at_100k(home, ASKED_QUICKLY if quick else ASKED)
        if not quick:
            asyncio.run(_filled(home, rooms=MANY_ROOMS))
            found.append(_at_a_million(home))
        return found


def _at_100k(home: Path, count: int) -> list[Figure]:
    process, start = _started(home)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            alone = runner.run(_asked(home, count, together=1))
            several = runner.run(_asked(home, count, together=TOGETHER))
        with SemanticControl(home / "run" / "cache.sock") as control:
            state = control.status()
    finally:
        _ended(process)
    at = "at 100,000 entries in one room"
    return [
        Figure(what=f"lookup {at}, p50", ours=_quantile(alone, 0.5), unit="ms", at_most=1.0, note="over the socket"),
        Figure(what=f"lookup {at}, p99", ours=_quantile(alone, 0.99), unit="ms", at_most=5.0),
        Figure(what=f"lookup {at}, {TOGETHER} at a time, p50", ours=_quantile(several, 0.5), unit="ms"),
        Figure(what=f"lookup {at}, {TOGETHER} at a time, p99", ours=_quantile(several, 0.99), unit="ms"),
        Figure(what="start of the process with 100,000 entries", ours=start, unit="s", at_most=5.0),
        Figure(what="memory with 100,000 entries", ours=state.memory / GIB, unit="GiB"),
        Figure(what="disk with 100,000 entries", ours=state.disk / GIB, unit="GiB"),
    ]


def _at_a_million(home: Path) -> Figure:
    process, _ = _started(home)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_asked(home, ASKED_QUICKLY, together=TOGETHER))
        with SemanticControl(home / "run" / "cache.sock") as control:
            state = control.status()
    finally:
        _ended(process)
    what = f"memory with {state.entries:,} entries, indexed"
    return Figure(what=what, ours=state.memory / GIB, unit="GiB", at_most=2.5, note=f"{MANY_ROOMS} rooms")


async def _filled(home: Path, *, rooms: int) -> None:
    """Fill so many rooms with 100,000 entries each, those that are not filled yet, and index them."""
    embedder = WordLlama()
    questions = LocalQuestions(home / "cache", limit=2_000_000, embedding=embedder.name, dimensions=embedder.dimensions)
    try:
        for room in range(questions.rooms(), rooms):
            chance = random.Random(room)
            for start in range(room * ROOM_ENTRIES, (room + 1) * ROOM_ENTRIES, BATCH):
                await _add(
                    questions, embedder, room, {i: _sentence(chance, _HELD) for i in range(start, start + BATCH)}
                )
            await questions.upkeep(time.time())
    finally:
        await questions.aclose()


async def _add(questions: LocalQuestions, embedder: WordLlama, room: int, texts: Mapping[int, str]) -> None:
    vectors = small(await embedder.embed(list(texts.values())))
    for (number, text), vector in zip(texts.items(), vectors, strict=True):
        question = Question(
            key=number.to_bytes(32, "big"), namespace=NAMESPACE, room=room_of(_ask(room, text)), tenant="",
            user=f"user {number % 5000}", key_id="k", epoch="", text=text, answer=ANSWER, vector=vector.tobytes(),
            made=time.time(),
        )  # fmt: skip
        await questions.add(question)


async def _asked(home: Path, count: int, *, together: int) -> list[float]:
    """Milliseconds of each lookup, of so many askers at a time."""
    client = SemanticClient(home / "run" / "cache.sock")
    client.start()
    while not client.connected:
        await asyncio.sleep(0.01)
    chance = random.Random(together)
    texts = [_sentence(chance, _ASKED) for _ in range(count)]
    taken: list[float] = []

    async def asker(mine: list[str]) -> None:
        for text in mine:
            about = msgspec.structs.asdict(_ask(0, text))
            del about["id"]
            began = time.perf_counter()
            answer = await client.lookup(**about, within=5.0)
            taken.append((time.perf_counter() - began) * 1000)
            if answer is None or not answer.ticket:
                raise RuntimeError(f"not looked up: {answer}")

    await asyncio.gather(*(asker(texts[i::together]) for i in range(together)))
    await client.aclose()
    return sorted(taken)


def _ask(room: int, text: str) -> Lookup:
    return Lookup(1, NAMESPACE, bytes([room]) * 32, "", "ann", "k", text)


def _quantile(taken: Sequence[float], share: float) -> float:
    return taken[int(share * (len(taken) - 1))]


def _sentence(chance: random.Random, openings: Sequence[str]) -> str:
    """A customer's question of some ten words."""
    words = (chance.choice(_VERBS), chance.choice(_KINDS), chance.choice(_NOUNS), chance.choice(_PLACES))
    return f"{chance.choice(openings)} {' '.join(words)}?"


def _started(home: Path) -> tuple[Process, float]:
    """The process, and the seconds until it answered."""
    command = [sys.executable, "-m", "farthing.app.cache", "--config", str(home / "farthing.toml"), "--home", str(home)]
    one_thread = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    began = time.perf_counter()
    process = Process(command, log=home / "log", env=one_thread)
    while time.perf_counter() - began < READY_SECONDS and process.popen.poll() is None:
        try:
            with SemanticControl(home / "run" / "cache.sock") as control:
                control.status()
        except UnavailableError:
            time.sleep(0.01)
        else:
            return process, time.perf_counter() - began
    raise RuntimeError((home / "log").read_text()[-2000:])


def _ended(process: Process) -> None:
    process.popen.send_signal(signal.SIGTERM)
    process.popen.wait(READY_SECONDS)
