"""The dashboard for tests: facts to show, Debian's Chromium, and what a page must never do."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
from playwright.sync_api import Browser, Page, sync_playwright

from farthing.core.facts import ErrorKind, Operation, RequestFact, Source, Status
from farthing.core.nouns import Decision, Rejection, Scope

ROOT = Path(__file__).parents[2]
AXE = ROOT / "ui/node_modules/axe-core/axe.min.js"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
TEAMS = ("search", "support-bot", "code-assist", "growth", "")
MODELS = ("gpt-5-mini", "claude-haiku-4-5", "gemini-2.5-flash")
DECISION = Decision(
    asked="small",
    chosen="openai/gpt-5-mini",
    reason="the cheapest that can serve it",
    rejected=(
        Rejection("anthropic/claude-haiku-4-5", "cost", "expected at $0.004, the chosen one at $0.001"),
        Rejection("local/tiny", "context", "needs 9,120 tokens, offers 2,048"),
    ),
    baseline="anthropic/claude-haiku-4-5",
)


def fact(number: int, at: datetime, **more: object) -> RequestFact:
    """A priced request; its cost is its two lines' sum."""
    tokens, answer = 100 + number % 900, 10 + number % 50
    lines = (
        ("token.input", str(tokens), "0.25", 1_000_000, f"{Decimal(tokens) * Decimal('0.25') / 10**6:.12f}"),
        ("token.output", str(answer), "2", 1_000_000, f"{Decimal(answer) * 2 / 10**6:.12f}"),
    )
    cost = sum((Decimal(line[4]) for line in lines), Decimal(0))
    given = {
        "request_id": f"req-{number:05}", "attempt": 1, "at": at, "operation": Operation.CHAT, "dialect": "openai",
        "scope": Scope(team=TEAMS[number % 5], feature="answer"), "requested_model": "small", "status": Status.OK,
        "worker": "w0", "provider": "openai", "model": MODELS[number % 3], "offer": f"openai/{MODELS[number % 3]}",
        "http_status": 200, "total_ms": 900.0 + number % 700, "ttft_ms": 210.0, "upstream_ms": 880.0 + number % 700,
        "usage": {"token.input": tokens, "token.output": answer}, "usage_source": Source.PROVIDER,
        "input_tokens": tokens, "output_tokens": answer, "cost": cost, "cost_source": Source.CATALOG, "lines": lines,
        "baseline_offer": "anthropic/claude-haiku-4-5", "baseline_cost": cost * 2,
        "decision": msgspec.json.encode(DECISION).decode(),
    }  # fmt: skip
    return RequestFact(**(given | more))


def unpriced(number: int, at: datetime) -> RequestFact:
    return fact(
        number, at, cost=None, cost_source=Source.NONE, lines=(), baseline_cost=None, baseline_offer="",
        unpriced="no price is known for local/tiny", model="tiny", offer="",
    )  # fmt: skip


def history(now: datetime, count: int = 260) -> list[RequestFact]:
    """Three weeks of requests: every eleventh unpriced, every seventeenth one failed, then tried again."""
    facts: list[RequestFact] = []
    for number in range(count):
        at = now - timedelta(minutes=5 + number * 115)
        if number % 11 == 3:
            facts.append(unpriced(number, at))
        elif number % 17 == 5:
            failure = {"status": Status.ERROR, "error_kind": ErrorKind.RATE_LIMIT, "error": "429: too many requests"}
            facts.append(fact(number, at, cost=Decimal(0), lines=(), baseline_cost=None, **failure))
            facts.append(fact(number, at, attempt=2))
        else:
            facts.append(fact(number, at))
    return facts


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; Playwright's own cannot be had everywhere."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A page of the dashboard whose complaints are kept. ``seen`` is what the browser's console said,
    ``crashes`` are exceptions that nothing caught.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.seen: list[str] = []
        self.crashes: list[str] = []
        page.on("console", lambda message: message.type in ("error", "warning") and self.seen.append(message.text))
        page.on("pageerror", lambda error: self.crashes.append(str(error)))

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        self.page.locator("h1").wait_for()
        return self.page

    def settle(self) -> None:
        """Wait until nothing is being loaded or drawn any more."""
        self.page.wait_for_function("() => document.querySelector('.skeleton') === null")
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.chart')].every(chart => chart.querySelector('svg path') !== null)"
        )

    def violations(self) -> list[str]:
        """What axe finds to be serious or critical."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [
            f"{each['id']}: {json.dumps([node['html'][:160] for node in each['nodes']][:3])}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]

    def amounts(self, selector: str) -> list[Decimal]:
        """The exact amounts shown, as the page keeps them beside their rounded text."""
        return [Decimal(e.get_attribute("value") or "") for e in self.page.locator(f"{selector} data").all()]
