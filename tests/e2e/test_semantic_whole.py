"""The semantic cache through the whole product: a real process with its model and index, real sockets, a real ledger."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.support.product import Product, post, simulated_settings, simulator

from farthing.demo.faq import faq

LOOSE = """
[cache.namespaces.default]
exact = "off"
semantic = "on"
policy = "cosine"
threshold = 0.5
shadow = 0.0001

[cache.namespaces.learns]
where = { team = "learns" }
semantic = "on"
exact = "off"
target = 0.02
"""
"""The plain rule at a low threshold: whatever could be confused by it would be."""

FIRST, SECOND = "How do I cancel a subscription?", "How can I end a subscription?"


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    home = tmp_path_factory.mktemp("semantic")
    with simulator() as address, Product(home, simulated_settings(address, more=LOOSE), workers=2) as running:
        until_there(running)
        yield running


def until_there(product: Product, seconds: float = 60) -> None:
    """Until the cache's process listens and the workers have found it."""
    until = time.monotonic() + seconds
    probe, n = product.key("--team", f"probe{time.monotonic_ns()}"), 0
    while time.monotonic() < until:
        n += 1
        for text in (f"Is the {n}. probe there?", f"Is the {n}. probe here?"):
            answer = ask(product, probe, text)
            time.sleep(0.1)
        if answer[0] == "semantic":
            return
    raise AssertionError(product.log.read_text()[-3000:])


def ask(product: Product, token: str, text: str, *, system: str = "Be kind", earlier=(), **more):
    """What the cache had to do with the answer, the answer's text, and the headers."""
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": system}, *earlier, {"role": "user", "content": text}],
        **more,
    }
    headers = {"authorization": f"Bearer {token}"}
    for name in ("customer", "user"):
        if name in body:
            headers[f"x-farthing-{name}"] = body.pop(name)
    status, found, answer = post(f"{product.url}/v1/chat/completions", body, headers)
    assert status == 200, answer
    told = {name.lower(): value for name, value in found.items()}
    return told.get("x-farthing-cache"), json.loads(answer)["choices"][0]["message"]["content"], told


def kept(product: Product, token: str, text: str, **more) -> None:
    """Ask, and give the cache the moment it needs to learn the answer."""
    ask(product, token, text, **more)
    time.sleep(0.3)


def test_a_question_in_other_words_is_answered_and_the_saving_is_in_the_ledger(product):
    token = product.key("--team", "words")
    kept(product, token, FIRST)
    kind, text, headers = ask(product, token, SECOND)
    assert kind == "semantic"
    assert text == faq().answer(FIRST)
    assert float(headers["x-farthing-saved"]) > 0
    assert 0 < float(headers["x-farthing-cache-confidence"]) <= 1
    rows = product.requests(at_least=2, team="words")
    assert (rows[0].status, rows[0].offer) == ("cache_hit", "cache/semantic")
    assert rows[0].baseline_cost == rows[1].cost > rows[0].cost == 0


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
TURNS = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"}]


@pytest.mark.parametrize(
    "other",
    [
        {"system": "Be rude"},
        {"tools": [TOOL]},
        {"model": "gpt-4.1-mini"},
        {"earlier": TURNS},
        {"temperature": 0.1},
        {"max_tokens": 400},
        {"response_format": {"type": "json_object"}},
        {"customer": "acme"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_nothing_is_found_where_anything_else_differs(product, other):
    token = product.key("--team", f"t-{next(iter(other))}")
    kept(product, token, FIRST)
    assert ask(product, token, SECOND, **other)[0] is None
    assert ask(product, token, SECOND)[0] == "semantic"


def test_the_same_last_message_after_other_turns_is_another_question(product):
    token = product.key("--team", "turns")
    about = [
        [{"role": "user", "content": f"Tell me about {what}"}, {"role": "assistant", "content": f"{what} is a city."}]
        for what in ("Bonn", "Cologne", "Trier", "Mainz", "Speyer")
    ]
    kinds = [ask(product, token, "And how many people live there?", earlier=turns)[0] for turns in about]
    time.sleep(0.3)
    kinds += [ask(product, token, "How many people live there?", earlier=[*turns, *TURNS])[0] for turns in about]
    assert kinds == [None] * 10


def test_questions_about_now_or_about_the_asker_are_asked_afresh(product):
    token = product.key("--team", "literal")
    for question in ("What is the weather in Bonn?", "What is my balance?", "Who won today?"):
        kept(product, token, question)
        assert ask(product, token, question)[0] is None


def test_another_tenants_answer_is_never_found(product):
    mine, theirs = product.key("--team", "mine"), product.key("--team", "theirs")
    kept(product, mine, FIRST)
    asked = [text for _, texts in faq().entries for text in texts]
    assert not any(ask(product, theirs, text, customer=f"c{i}")[0] for i, text in enumerate(asked))
    assert ask(product, mine, SECOND)[0] == "semantic"


def cache_process(product: Product) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"farthing.app.cache" in command and str(product.home).encode() in environ:
                return int(entry.name)
    raise AssertionError("the cache's process does not run")


def test_a_killed_process_costs_a_miss_and_nothing_else(product):
    token = product.key("--team", "killed")
    kept(product, token, FIRST)
    assert ask(product, token, SECOND)[0] == "semantic"
    pid = cache_process(product)
    os.kill(pid, signal.SIGKILL)
    answers = [ask(product, token, SECOND) for _ in range(20)]
    assert {text for _, text, _ in answers} == {faq().answer(FIRST)}
    assert None in {kind for kind, _, _ in answers}
    until_there(product)
    assert cache_process(product) != pid
    assert ask(product, token, SECOND)[0] == "semantic"


def test_it_learns_by_itself_when_it_may_answer(product):
    """A verifier that knows nothing asks; by what the answers show it begins to serve, and is hardly ever wrong."""
    token, dice = product.key("--team", "learns"), random.Random(7)
    hits = wrong = 0
    for n in range(1200):
        question = faq().question(dice)
        kind, text, _ = ask(product, token, question)
        if kind == "semantic":
            hits += 1
            wrong += text != faq().answer(question)
            assert n > 50
    assert hits > 300
    assert wrong <= 0.02 * 1200


def test_a_purge_reaches_memory_disk_and_index(product):
    token = product.key("--team", "purged")
    kept(product, token, "Where in Bonn is the zebra garden?", user="ann")
    kept(product, token, "Which countries do you deliver to?", user="bob")
    assert ask(product, token, "Where is the zebra garden in Bonn?")[0] == "semantic"
    done = product.cli("cache", "purge", "--user", "ann", "--yes", "-o", "json")
    assert json.loads(done.stdout)
    assert ask(product, token, "To which countries do you deliver?")[0] == "semantic"
    assert ask(product, token, "Where is the zebra garden in Bonn?")[0] is None
    files = [f.read_bytes() for f in (product.home / "cache").rglob("*") if f.is_file()]
    assert not any(b"Where in Bonn is the zebra garden?" in f or b"\xa3ann" in f for f in files)


def test_a_hit_that_was_wrong_is_removed(product):
    token = product.key("--team", "judged")
    kept(product, token, FIRST)
    kind, _, headers = ask(product, token, SECOND)
    assert kind == "semantic"
    time.sleep(0.3)
    product.cli("cache", "wrong", headers["x-farthing-cache-entry"], "--question", SECOND)
    assert ask(product, token, SECOND)[0] is None
