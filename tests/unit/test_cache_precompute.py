"""Vectors computed beforehand: reading texts, keeping hours and bounds, going on where a job was broken off."""

import http.server
import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest

from farthing.app.precompute import GatewayEmbeddings, Job, Sums, Vectors, distinct, embed, most_tokens
from farthing.app.textfiles import texts_of
from farthing.cache.schedules import Hours, hours_of
from farthing.core.errors import DeniedError, InputError, UnavailableError

PRICE = Decimal("0.00000002")


class Gateway:
    """Keeps vectors, unless ``forgets``; a word is a token."""

    def __init__(self, *, forgets: bool = False, price: Decimal | None = PRICE) -> None:
        self.known: set[str] = set()
        self.batches: list[int] = []
        self.forgets = forgets
        self.price = price

    def __call__(self, texts, *, keep=True):
        known = [text for text in texts if text in self.known]
        tokens = sum(len(text.split()) for text in texts if text not in self.known)
        if keep:
            self.batches.append(len(texts))
            self.known.update(() if self.forgets else texts)
        return Vectors(tokens=tokens, cost=None if self.price is None else self.price * tokens, known=len(known))


class Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


def run(texts, gateway, job=None, clock=None, told=None) -> Sums:
    clock = clock or Clock(datetime(2026, 11, 21, 12, tzinfo=UTC))
    waits = [] if told is None else told
    return embed(
        texts, gateway, job or Job(), now=clock.now, sleep=clock.sleep, tell=lambda sums, wait: waits.append(wait)
    )  # fmt: skip


TEXTS = [f"text number {i}" for i in range(100)]


def test_a_second_run_finds_everything_known():
    gateway = Gateway()
    first = run(TEXTS, gateway, Job(batch=32))
    assert (first.texts, first.known, first.tokens, first.cost) == (100, 0, 300, 300 * PRICE)
    assert [size for size in gateway.batches if size > 1] == [32, 32, 32, 4]
    again = run(TEXTS, gateway, Job(batch=32))
    assert (again.texts, again.known, again.tokens, again.cost) == (100, 100, 0, 0)


@pytest.mark.parametrize("tokens", [1, 50, 500, 1500])
def test_a_bound_is_never_exceeded_and_nothing_is_lost(tokens):
    gateway, bound = Gateway(), PRICE * tokens
    first = run(TEXTS, gateway, Job(batch=32, most_cost=bound))
    assert first.cost <= bound
    assert bool(first.stopped) == (first.texts < 100)
    rest = run(TEXTS, gateway)
    assert (rest.texts, rest.known) == (100, first.texts)


def test_a_bound_lets_everything_through_that_surely_fits():
    bound = PRICE * (most_tokens(TEXTS) + 2)
    assert run(TEXTS, Gateway(), Job(most_cost=bound)).texts == 100


def test_nothing_is_bounded_without_a_price():
    gateway = Gateway(price=None)
    with pytest.raises(InputError, match="no known price"):
        run(TEXTS, gateway, Job(most_cost=Decimal(1)))
    assert gateway.batches == []
    unpriced = run(TEXTS, gateway)
    assert (unpriced.texts, unpriced.unpriced, unpriced.cost) == (100, 100, 0)


def test_a_job_whose_vectors_are_not_kept_ends_before_it_costs_much():
    gateway = Gateway(forgets=True)
    with pytest.raises(InputError, match="does not keep"):
        run(TEXTS, gateway, Job(batch=10))
    assert sum(gateway.batches) <= 12


def test_work_waits_for_its_hours_and_stops_when_they_are_over():
    clock, told = Clock(datetime(2026, 11, 21, 21, 30, tzinfo=UTC)), []
    gateway = Gateway()

    def slow(texts, *, keep=True):
        clock.at += timedelta(hours=3)
        return gateway(texts, keep=keep)

    hours = hours_of("22:00-06:00", field="--between")
    done = run(TEXTS, slow, Job(batch=20, hours=hours), clock, told)
    assert done.texts == 100
    assert [wait / 3600 for wait in told if wait] == pytest.approx([0.5, 15 - 0.5 / 3600])


@pytest.mark.parametrize(
    ("hours", "now", "left"),
    [
        ("22:00-06:00", "23:00", 0),
        ("22:00-06:00", "05:59", 0),
        ("22:00-06:00", "06:00", 16),
        ("08:00-12:00", "08:00", 0),
        ("08:00-12:00", "12:00", 20),
        ("08:00-12:00", "07:00", 1),
    ],
)
def test_hours_may_go_over_midnight(hours, now, left):
    at = datetime.combine(datetime(2026, 11, 21).date(), time.fromisoformat(now), UTC)
    assert hours_of(hours, field="x").left(at) == left * 3600


@pytest.mark.parametrize("wrong", ["22:00", "22:00-22:00", "22-06", "24:00-06:00", ""])
def test_hours_that_mean_nothing_are_refused(wrong):
    with pytest.raises(InputError):
        hours_of(wrong, field="--between")
    assert Hours(start=time(1), end=time(2)).start == time(1)


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.jsonl", '{"text": "one"}\r\n\n{"text": "two", "id": 2}\n{"text": " "}', ["one", "two"]),
        ("a.ndjson", '"one"\n"two\\nlines"', ["one", "two\nlines"]),
        ("a.csv", 'id,text\n1,"one, with\na break"\n2,two\n', ["one, with\na break", "two"]),
        ("a.txt", "one\r\n\n two\n", ["one", " two"]),
        ("a", "\ufeffone\n", ["one"]),
    ],
)
def test_texts_are_read(tmp_path, name, content, texts):
    (tmp_path / name).write_bytes(content.encode())
    assert list(texts_of(tmp_path / name, field="text")) == texts


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"text": "one"}\n{"text": 2}', "a.jsonl:2"),
        ("a.jsonl", '{"text": "one"}\n\n{', "a.jsonl:3"),
        ("a.csv", "id,body\n1,one\n", "a.csv:1"),
        ("a.csv", "id,text\n1,one\n2\n", "a.csv:3"),
        ("a.csv", "", "a.csv:1"),
        ("a.txt", b"\xff\xfe", "a.txt"),
    ],
)
def test_what_cannot_be_read_is_told_with_file_and_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as refused:
        list(texts_of(tmp_path / name, field="text"))
    assert said in str(refused.value)
    assert refused.value.remedy


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        list(texts_of(tmp_path / "nothing.txt", field="text"))


def test_texts_are_counted():
    texts, different, tokens = distinct(["a", "b", "a", "ü"])
    assert (texts, different) == (4, 3)
    assert tokens == most_tokens(["a", "b", "ü"]) >= 4


@contextmanager
def answering(*answers: tuple[int, dict[str, str], object]):
    """A gateway that gives these answers, one after another; yields its address and what it heard."""
    heard: list[tuple[dict, dict]] = []
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard.append((dict(self.headers), body))
            status, headers, answer = left.pop(0)
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


USAGE = {"usage": {"prompt_tokens": 7}, "data": []}


def asked(url: str, texts=("a", "b"), **more) -> tuple[Vectors, list[float]]:
    slept: list[float] = []
    ask = GatewayEmbeddings(url, model="m", token="fk_x", sleep=slept.append)
    try:
        return ask(texts, **more), slept
    finally:
        ask.close()


def test_the_gateway_is_asked_and_its_headers_are_read():
    with answering((200, {"x-farthing-cost": "0.0001", "x-farthing-cache-texts": "1"}, USAGE)) as (url, heard):
        found, _ = asked(url)
    assert found == Vectors(tokens=7, cost=Decimal("0.0001"), known=1)
    headers, body = heard[0]
    assert headers["authorization"] == "Bearer fk_x"
    assert body == {"model": "m", "input": ["a", "b"], "encoding_format": "base64"}


def test_a_hit_knows_all_texts_and_a_probe_leaves_the_cache_alone():
    hit = (200, {"x-farthing-cost": "0", "x-farthing-cache": "embeddings"}, USAGE)
    unpriced = (200, {"x-farthing-cost": "unpriced"}, USAGE)
    with answering(hit, unpriced) as (url, heard):
        assert asked(url)[0].known == 2
        assert asked(url, keep=False)[0] == Vectors(tokens=7, cost=None, known=0)
    assert "x-farthing-cache" not in heard[0][0]
    assert heard[1][0]["x-farthing-cache"] == "off"


def test_a_busy_gateway_is_waited_for_as_long_as_it_says():
    busy = (429, {"retry-after": "7"}, {"error": {"message": "slow down"}})
    with answering(busy, (503, {}, {}), (200, {"x-farthing-cost": "0"}, USAGE)) as (url, _):
        assert asked(url)[1] == [7.0, 4.0]
    with answering(*[busy] * 6) as (url, _), pytest.raises(UnavailableError, match="slow down"):
        asked(url)


def test_refusals_are_told_as_the_gateway_said_them():
    with answering((401, {}, {"error": {"message": "no such key"}})) as (url, _), pytest.raises(DeniedError) as denied:
        asked(url)
    assert "no such key" in str(denied.value)
    with (
        answering((400, {}, {"error": {"message": "text 2 is too long"}})) as (url, _),
        pytest.raises(InputError) as bad,
    ):
        asked(url)
    assert "text 2 is too long" in str(bad.value)
    with pytest.raises(UnavailableError, match="does not answer"):
        asked(url)
