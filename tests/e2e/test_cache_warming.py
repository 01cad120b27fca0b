"""Answers that are asked ahead, and vectors computed beforehand, through the whole product."""

import contextlib
import json
import sqlite3
import time
from decimal import Decimal

import pytest
from tests.support.product import Product, post, simulated_settings, simulator

WARM = """
[cache.namespaces.default]
exact = "on"
embeddings = "on"
warm = true

[cache.namespaces.brief]
where = { team = "steady" }
exact = "on"
ttl = 8
warm = true

[cache.namespaces.cold]
where = { team = "cold" }
exact = "on"
ttl = 3600
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    home = tmp_path_factory.mktemp("warm")
    with simulator() as address, Product(home, simulated_settings(address, more=WARM), workers=2) as running:
        yield running


def ask(product: Product, token: str, text: str, **headers: str) -> str:
    """What the client is told of the cache: ``exact``, or nothing."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "max_tokens": 400}
    head = {"authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    status, found, answer = post(f"{product.url}/v1/chat/completions", body, head)
    assert status == 200, answer
    return found.get("x-farthing-cache", "")


def ask_steadily(product: Product, token: str, text: str, seconds: float) -> list[tuple[float, str]]:
    begun, told = time.monotonic(), []
    while (at := time.monotonic() - begun) < seconds:
        told.append((at, ask(product, token, text)))
        time.sleep(0.25)
    return told


def facts(product: Product, team: str, at_least: int = 1) -> list:
    rows = product.requests(at_least=at_least, team=team)
    ledger = product.ledger()
    return [fact for row in rows for fact in ledger.request(row.request_id)]


def warmed(product: Product, team: str, at_least: int = 1) -> list:
    return [fact for fact in facts(product, team, at_least) if fact.tags.get("farthing.role") == "warm"]


def named_key(product: Product, name: str) -> str:
    """A key of the team and the name."""
    return product.cli("key", "create", "--name", name, "--team", name).stdout.strip()


def database(product: Product) -> sqlite3.Connection:
    return sqlite3.connect(product.home / "cache" / "answers.db", timeout=10, isolation_level=None)


def known(product: Product, team: str, *, at_least: int = 0, seconds: float = 10) -> list[tuple]:
    """What is remembered of a team's requests, once there are so many."""
    until = time.monotonic() + seconds
    while True:
        with contextlib.closing(database(product)) as store:
            query = "select id, due, problem, tried, plan from cache_asks where of_team = ?"
            rows = store.execute(query, (team,)).fetchall()
        if len(rows) >= at_least or time.monotonic() > until:
            return rows
        time.sleep(0.1)


def make_due(product: Product, team: str) -> None:
    """As the control process does when it thinks that an answer is worth asking for."""
    with contextlib.closing(database(product)) as store:
        store.execute("update cache_asks set due = ?, renew = 0 where of_team = ?", (time.time(), team))


def wait_until_done(product: Product, team: str, seconds: float = 20) -> list[tuple]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        rows = known(product, team)
        if all(not 0 < due <= time.time() for _, due, *_ in rows):
            return rows
        time.sleep(0.1)
    raise AssertionError(f"still due: {rows}")


def test_what_is_asked_steadily_is_renewed_before_it_expires(product):
    told = ask_steadily(product, product.key("--team", "steady"), "How deep is the Rhine?", 34)
    late = [kind for at, kind in told if at > 18]
    assert set(late) == {"exact"}
    paid = warmed(product, "steady", at_least=len(told) + 2)
    assert len(paid) >= 2
    assert {fact.tags["farthing.cache.namespace"] for fact in paid} == {"brief"}
    assert {fact.scope.team for fact in paid} == {"steady"}
    assert all(fact.cost > 0 for fact in paid)


def test_an_answer_is_asked_ahead_in_the_name_of_whoever_asked(product):
    token = product.key("--team", "owners")
    said = {"x_farthing_customer": "acme", "x_farthing_label_app": "portal"}
    ask(product, token, "What is a weir?", **said)
    assert len(known(product, "owners", at_least=1)) == 1
    make_due(product, "owners")
    assert [row[2] for row in wait_until_done(product, "owners")] == [""]
    (fact,) = warmed(product, "owners", at_least=2)
    assert (fact.scope.customer, fact.tags["app"]) == ("acme", "portal")
    assert fact.key_id
    assert ask(product, token, "What is a weir?", **said) == "exact"
    assert ask(product, token, "What is a weir?") == "", "the answer is the customer's"


def test_a_stream_is_asked_ahead_as_a_stream(product):
    token = product.key("--team", "streamers")
    body = {"model": "claude-haiku-4-5", "max_tokens": 400, "stream": True}
    body |= {"messages": [{"role": "user", "content": "Sing of the Moselle"}]}
    head = {"authorization": f"Bearer {token}", "anthropic-version": "2023-06-01"}
    post(f"{product.url}/v1/messages", body, head)
    assert known(product, "streamers", at_least=1)
    make_due(product, "streamers")
    wait_until_done(product, "streamers")
    (fact,) = warmed(product, "streamers", at_least=2)
    assert (fact.status, fact.stream, fact.dialect) == ("ok", True, "anthropic")
    _, told, again = post(f"{product.url}/v1/messages", body, head)
    assert told["x-farthing-cache"] == "exact"
    assert again.startswith(b"event: message_start")


def test_nothing_is_remembered_where_warming_is_off(product):
    token = product.key("--team", "cold")
    ask(product, token, "What is a lock?")
    assert ask(product, token, "What is a lock?") == "exact"
    time.sleep(2)
    assert known(product, "cold") == []


def test_a_revoked_key_asks_nothing_ahead(product):
    token = product.key("--team", "leavers")
    ask(product, token, "What is an estuary?")
    assert known(product, "leavers", at_least=1)
    key_id = facts(product, "leavers")[0].key_id
    product.cli("key", "revoke", key_id)
    make_due(product, "leavers")
    assert wait_until_done(product, "leavers") == [], "its request is forgotten, too"
    time.sleep(1)
    assert warmed(product, "leavers") == []


def test_a_purge_removes_requests_and_jobs_and_what_was_not_written_yet(product):
    token = product.key("--team", "forgotten")
    secret = "What is the delta of Aachen-Nonsuch?"
    ask(product, token, secret)
    assert known(product, "forgotten", at_least=1)
    assert secret.encode() in b"".join(held(product))
    make_due(product, "forgotten")
    ask(product, token, secret)
    product.cli("cache", "purge", "--team", "forgotten", "--yes")
    time.sleep(2.5)
    assert known(product, "forgotten") == []
    assert secret.encode() not in b"".join(held(product))
    assert ask(product, token, secret) == ""


def held(product: Product) -> list[bytes]:
    return [file.read_bytes() for file in (product.home / "cache").glob("answers.db*")]


def test_limits_hold_for_what_is_asked_ahead(product):
    token = product.key("--team", "poor")
    ask(product, token, "What is a ferry?")
    assert known(product, "poor", at_least=1)
    product.cli("budget", "set", "poor", "--amount", "0.00003", "--no-cap-output", "--team", "poor")
    make_due(product, "poor")
    rows = wait_until_done(product, "poor")
    assert "status 429" in rows[0][2]
    (refused,) = warmed(product, "poor", at_least=2)
    assert (refused.cost, refused.error_kind) == (0, "limit")


def test_a_schedule_has_answers_ready(product, tmp_path):
    token = named_key(product, "planned")
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Agenda?"}], "max_tokens": 400}
    file = tmp_path / "morning.jsonl"
    file.write_text(json.dumps({"url": "/v1/chat/completions", "body": body}) + "\n" + json.dumps(body) + "\n")
    told = json.loads(product.cli("cache", "warm", str(file), "--at", "08:30", "--key", "planned", "-o", "json").stdout)
    assert (told["name"], told["requests"], told["stored"]) == ("morning", 2, True)
    again = json.dumps({"body": body | {"messages": [{"role": "user", "content": "Plan?"}]}})
    file.write_text(json.dumps(body) + "\n" + again + "\n")
    product.cli("cache", "warm", str(file), "--at", "08:30", "--key", "planned")
    make_due(product, "planned")
    rows = [row for row in wait_until_done(product, "planned") if row[4]]
    assert len(rows) == 2, "the file replaced what it stored before"
    assert all(due > time.time() and not problem and tried for _, due, problem, tried, _ in rows)
    assert ask(product, token, "Agenda?") == "exact"
    listed = product.cli("cache", "schedules", "-o", "json")
    (row,) = json.loads(listed.stdout)["rows"]
    assert (row["name"], row["requests"], row["at"], row["problem"]) == ("morning", 2, "08:30", "")
    assert [change["action"] for change in changes(product, "morning")].count("cache.schedule") == 2
    product.cli("cache", "unschedule", "morning")
    assert [row for row in known(product, "planned") if row[4]] == []
    assert product.cli("cache", "unschedule", "morning", check=False).returncode == 2


def changes(product: Product, subject: str) -> list[dict]:
    rows = json.loads(product.cli("audit", "-o", "json").stdout)["rows"]
    return [row for row in rows if row["subject"] == subject]


def test_a_schedule_whose_answer_would_not_be_kept_says_so_and_pays_nothing(product, tmp_path):
    named_key(product, "vain")
    file = tmp_path / "vain.jsonl"
    hot = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Sing"}], "temperature": 1.5}
    file.write_text(json.dumps(hot))
    product.cli("cache", "warm", str(file), "--at", "08:30", "--weekdays", "--key", "vain")
    make_due(product, "vain")
    wait_until_done(product, "vain")
    listed = product.cli("cache", "schedules", "-o", "json", check=False)
    assert listed.returncode == 1
    (row,) = [row for row in json.loads(listed.stdout)["rows"] if row["name"] == "vain"]
    assert "would not keep" in row["problem"]
    assert {fact.cost for fact in facts(product, "vain")} == {0}
    product.cli("cache", "unschedule", "vain")


def shown(product: Product, token: str) -> str:
    """A key's id."""
    rows = json.loads(product.cli("key", "list", "-o", "json").stdout)["rows"]
    return next(row["id"] for row in rows if token.startswith(row["prefix"]))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "bad.jsonl:2"),
        ('{"prompt": "no model"}', "bad.jsonl:2"),
        ('{"url": "/v1/images/generations", "body": {"model": "x"}}', "keeps no answers of this path"),
        ('{"body": {"model": "x"}, "headers": {"authorization": "Bearer x"}}', "authorization"),
    ],
)
def test_bad_requests_are_told_with_their_line(product, tmp_path, line, said):
    token = product.key("--team", "typists")
    file = tmp_path / "bad.jsonl"
    file.write_text('{"model": "gpt-4o-mini", "messages": []}\n' + line)
    done = product.cli("cache", "warm", str(file), "--at", "08:30", "--key", shown(product, token), check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert known(product, "typists") == []


def embed(product: Product, file, *options: str, code: int = 0) -> dict:
    done = product.cli(
        "cache", "embed", str(file), "--model", "text-embedding-3-small", "-o", "json", *options, check=False
    )
    assert done.returncode == code, done.stderr
    return {name: Decimal(value) if name == "cost" else value for name, value in json.loads(done.stdout).items()}


def test_vectors_are_computed_once(product, tmp_path):
    token = product.key("--team", "library")
    reference = tmp_path / "token"
    reference.write_text(token)
    file = tmp_path / "passages.jsonl"
    file.write_text("".join(json.dumps({"id": i, "text": f"passage {i} of the handbook"}) + "\n" for i in range(300)))
    assert embed(product, file, "--dry-run")["texts"] == 300
    options = ("--key", f"file:{reference}", "--batch", "64")
    first = embed(product, file, *options)
    assert (first["texts"], first["known"], first["left"]) == (300, 0, 0)
    assert first["cost"] > 0
    again = embed(product, file, *options)
    assert (again["texts"], again["known"], again["tokens"], again["cost"]) == (300, 300, 0, 0)
    plain = tmp_path / "more.txt"
    plain.write_text("passage 7 of the handbook\nsomething new\n\npassage 8 of the handbook\n")
    mixed = embed(product, plain, *options)
    assert (mixed["texts"], mixed["known"]) == (3, 2)
    assert 0 < mixed["cost"] < first["cost"]
    spent = sum(row.cost for row in product.requests(at_least=6, team="library", status="ok"))
    assert spent == first["cost"] + mixed["cost"]


def test_a_job_stops_before_its_bound_and_goes_on_later(product, tmp_path):
    reference = tmp_path / "token"
    reference.write_text(product.key("--team", "thrifty"))
    file = tmp_path / "long.csv"
    file.write_text("id,passage\n" + "".join(f'{i},"a text, number {i}, about the river"\n' for i in range(200)))
    options = ("--key", f"file:{reference}", "--field", "passage", "--batch", "16")
    first = embed(product, file, *options, "--max-cost", "0.00001", code=1)
    assert 0 < first["texts"] < 200
    assert 0 < first["cost"] <= Decimal("0.00001")
    rest = embed(product, file, *options)
    assert (rest["texts"], rest["known"]) == (200, first["texts"])


def test_a_job_that_would_fill_nothing_ends_early(product, tmp_path):
    reference = tmp_path / "token"
    reference.write_text(product.key("--team", "cold"))
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"text {i}\n" for i in range(100)))
    options = ("--key", f"file:{reference}", "--batch", "10", "--model", "text-embedding-3-small")
    done = product.cli("cache", "embed", str(file), *options, check=False)
    assert done.returncode == 2
    assert "does not keep" in done.stderr
    assert len(product.requests(at_least=1, team="cold", model="text-embedding-3-small")) <= 3


def test_a_refused_key_and_bad_files_are_told(product, tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "fine"}\n{"txt": "typo"}\n')
    options = ("--model", "text-embedding-3-small")
    done = product.cli("cache", "embed", str(file), *options, check=False)
    assert done.returncode == 2
    assert "texts.jsonl:2" in done.stderr
    file.write_text('{"text": "fine"}\n')
    assert product.cli("cache", "embed", str(file), *options, check=False).returncode == 2
