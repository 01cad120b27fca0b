"""Official SDKs, unchanged, spend budgets of the whole product until they are refused."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from tests.support.product import Product, simulated_settings, simulator

from farthing.core.limits import Limit, Measure, Span, counted
from farthing.core.nouns import Scope
from farthing.state.audit import Change
from farthing.state.store import Store

MYSTERY = '\n[models.mystery]\ntargets = [{ provider = "openai", model = "mystery-9" }]\n'
HELLO = [{"role": "user", "content": "Say hello."}]
TEAMS = {
    "spending": {"amount": "0.0005"},
    "streaming": {"amount": "0.0003"},
    "claude": {"amount": "0.004"},
    "short": {"amount": "0.00005"},
    "yearly": {"amount": "2", "measure": Measure.REQUESTS, "per": Span.YEAR},
    "embedding": {"amount": "120", "measure": Measure.TOKENS},
    "hard": {"amount": "1"},
    "trusting": {"amount": "1", "unpriced": frozenset({"mystery"})},
    "watched": {"amount": "0.000001", "hard": False},
}
"""Each has a limit and a key."""


class Bank:
    """A running product, a key for each team, and the state store's word on what a team used."""

    def __init__(self, product: Product, store: Store) -> None:
        self.product = product
        self.store = store
        self.limits: dict[str, Limit] = {}
        self.tokens: dict[str, str] = {}
        change = Change(actor="test", at=datetime(2020, 1, 1, tzinfo=UTC))
        for team, about in TEAMS.items():
            fields = {"measure": Measure.COST, "per": Span.ONCE, "scope": {"team": team}, **about}
            made = Limit(id="", name=team, **{**fields, "amount": Decimal(about["amount"])})
            self.limits[team] = store.limits.create(change, made)
            self.tokens[team] = store.keys.create(change, name=team, scope=Scope(team=team))[1]

    @contextmanager
    def openai(self, team: str) -> Iterator[openai.OpenAI]:
        with openai.OpenAI(base_url=f"{self.product.url}/v1", api_key=self.tokens[team]) as client:
            yield client

    def used(self, team: str) -> int:
        """What the state store knows of; a pot is made by the first message that a worker sends of it."""
        return sum(pot.used for pot in self.store.pots.list(datetime.now(UTC), [self.limits[team].id]))

    def in_the_ledger(self, team: str, answers: int) -> int:
        """What so many answers cost, once all are in the ledger."""
        rows = self.product.requests(at_least=answers, team=team, status="ok")
        assert len(rows) == answers
        return sum(counted(row.cost) for row in rows)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    home = tmp_path_factory.mktemp("limits")
    with simulator() as address, Store.open(f"sqlite:///{home / 'state.db'}") as store:
        product = Product(home, simulated_settings(address, more=MYSTERY), workers=2)
        made = Bank(product, store)
        with product:
            yield made


def chat(client: openai.OpenAI, **more):
    return client.chat.completions.with_raw_response.create(
        **{"model": "gpt-4o-mini", "max_tokens": 200, "messages": HELLO, **more}
    )


def until_refused(ask: Callable[[], Any]) -> tuple[list[Any], openai.RateLimitError | anthropic.RateLimitError]:
    """The answers that there were before a refusal, and that."""
    answers: list[Any] = []
    while len(answers) < 100:
        try:
            answers.append(ask())
        except (openai.RateLimitError, anthropic.RateLimitError) as refusal:
            return answers, refusal
    raise AssertionError("nobody was refused")


def settled(bank: Bank, team: str, amount: int) -> bool:
    """Whether the workers have told the state store that so much was used."""
    until = time.monotonic() + 30
    while time.monotonic() < until and bank.used(team) != amount:
        time.sleep(0.1)
    return bank.used(team) == amount


def test_openai_spends_a_budget_to_its_end_and_is_told_which_and_where_to_ask(bank):
    limit = bank.limits["spending"]
    with bank.openai("spending") as client:
        answers, refusal = until_refused(lambda: chat(client))
    headers, error = refusal.response.headers, refusal.body
    assert headers["x-farthing-limit"] == limit.id
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers
    assert (error["type"], error["code"]) == ("insufficient_quota", "budget_exceeded")
    assert "Budget 'spending' does not cover this request" in error["message"]
    assert f"{bank.product.web_url}/approvals/new?limit={limit.id}" in error["message"]
    capped = [int(answer.headers.get("x-farthing-output-capped", 0)) for answer in answers]
    assert capped[0] == 0
    assert 16 <= capped[-1] < 200
    assert answers[-1].parse().usage.completion_tokens <= capped[-1]
    spent = bank.in_the_ledger("spending", len(answers))
    assert limit.pieces * 0.9 < spent <= limit.pieces
    assert settled(bank, "spending", spent)


def test_streams_are_settled_and_refused_before_they_begin(bank):
    limit = bank.limits["streaming"]
    with bank.openai("streaming") as client:
        answers, _ = until_refused(lambda: list(chat(client, stream=True).parse()))
    assert all(chunks[-1].choices[0].finish_reason for chunks in answers)
    spent = bank.in_the_ledger("streaming", len(answers))
    assert limit.pieces * 0.8 < spent <= limit.pieces
    assert settled(bank, "streaming", spent)


def test_anthropic_spends_a_budget_to_its_end(bank):
    limit = bank.limits["claude"]
    asked = {"model": "claude-haiku-4-5", "max_tokens": 500, "messages": HELLO}
    with anthropic.Anthropic(base_url=bank.product.url, api_key=bank.tokens["claude"]) as client:
        answers, refusal = until_refused(lambda: client.messages.create(**asked))
    assert refusal.response.headers["x-farthing-limit"] == limit.id
    assert "Budget 'claude' does not cover this request" in refusal.body["error"]["message"]
    spent = bank.in_the_ledger("claude", len(answers))
    assert limit.pieces * 0.8 < spent <= limit.pieces


def test_a_client_may_forbid_that_its_answer_is_shortened(bank):
    with bank.openai("short") as client:
        with pytest.raises(openai.RateLimitError):
            chat(client, extra_headers={"x-farthing-cap": "off"})
        assert int(chat(client).headers["x-farthing-output-capped"]) < 200


def test_who_is_refused_until_next_year_is_told_when_that_begins(bank):
    with bank.openai("yearly") as client:
        assert [chat(client).status_code for _ in range(2)] == [200, 200]
        with pytest.raises(openai.RateLimitError) as refusal:
            chat(client)
    now = datetime.now(UTC)
    wait = datetime(now.year + 1, 1, 1, tzinfo=UTC) - now
    assert abs(int(refusal.value.response.headers["retry-after"]) - wait.total_seconds()) < 5
    assert refusal.value.body["code"] == "rate_limit_exceeded"
    assert f"It starts anew at {now.year + 1}-01-01T00:00:00Z." in refusal.value.body["message"]


def test_embeddings_count_what_they_read(bank):
    with bank.openai("embedding") as client:
        client.embeddings.create(model="text-embedding-3-small", input="a word")
        with pytest.raises(openai.RateLimitError, match="Quota 'embedding'"):
            client.embeddings.create(model="text-embedding-3-small", input="word " * 30)


def test_a_model_without_a_price_is_sent_only_where_that_is_allowed_by_name(bank):
    with bank.openai("hard") as client, pytest.raises(openai.RateLimitError, match="no price is known for mystery-9"):
        chat(client, model="mystery")
    with bank.openai("trusting") as client, pytest.raises(openai.NotFoundError) as answer:
        chat(client, model="mystery")
    assert answer.value.response.headers["x-farthing-offer"] == "openai/mystery-9"


def test_a_soft_limit_only_counts(bank):
    with bank.openai("watched") as client:
        assert [chat(client).status_code for _ in range(3)] == [200] * 3
    spent = bank.in_the_ledger("watched", 3)
    assert spent > bank.limits["watched"].pieces
    assert settled(bank, "watched", spent)
