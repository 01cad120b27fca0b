"""The Cache page in a real browser, over a real gateway, cache process and control process."""

import itertools
import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import Route, expect
from tests.support.dashboard import Watched, chromium, fact
from tests.support.product import Product, post, simulated_settings, simulator

from farthing.core.facts import Status
from farthing.core.nouns import Scope
from farthing.ledger.store import Ledger

WIDE, NARROW = (1440, 900), (360, 740)
SETTINGS = """
[cache]
lookup_ms = 5000

[cache.namespaces.default]
exact = "on"
semantic = "on"
policy = "cosine"
threshold = 0.8
shadow = 0.0001

[cache.namespaces.support]
where = { team = "support-bot" }
"""
PAIRS = (
    ("Which opening hours does the Cologne shop have?", "What opening hours does the Cologne shop have?"),
    ("Explain how compound interest works", "Please explain how compound interest works"),
)


def marked(now: datetime):
    """Two weeks of requests of which the caches have something to say."""
    for number in range(120):
        support = number % 5 == 1
        kind = ("would_exact", "miss", "skipped")[number % 3] if support else ("exact", "miss", "sampled")[number % 3]
        tags = {"farthing.cache": kind, "farthing.cache.namespace": "support" if support else "default"}
        more = {"scope": Scope(team="support-bot" if support else "search"), "tags": tags}
        if kind == "exact":
            hit = {"status": Status.CACHE_HIT, "attempt": 0, "provider": "cache", "offer": "cache/exact", "lines": ()}
            more |= {**hit, "cost": Decimal(0), "tags": {**tags, "farthing.cache.entry": f"{number:064x}"}}
        yield fact(number, now - timedelta(hours=1 + 2 * number), **more)


def asked(product: Product, token: str, question: str) -> str | None:
    """Ask the gateway; what its cache says of it."""
    body = {"model": "gpt-4o-mini", "temperature": 0, "messages": [{"role": "user", "content": question}]}
    url, headers = f"{product.url}/v1/chat/completions", {"authorization": f"Bearer {token}"}
    status, found, said = post(url, body, headers)
    assert status == 200, said
    return found.get("x-farthing-cache")


def read(product: Product, path: str) -> dict:
    headers = {"authorization": f"Bearer {product.admin_token}"}
    request = urllib.request.Request(f"{product.web_url}/api/v1/{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def learned(product: Product) -> int:
    """How many questions the cache process holds."""
    stores = {store["name"]: store["entries"] for store in read(product, "cache")["stores"]}
    return stores.get("questions", 0)


def until(holds: Callable[[], object], what: str) -> None:
    for _ in range(150):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError(what)


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Iterator[Product]:
    """A running product with history, and semantic hits of its own."""
    home = tmp_path_factory.mktemp("c")
    ledger = Ledger.open(str(home / "ledger"))
    ledger.append_requests(list(marked(datetime.now(UTC))), source="test", version=1)
    ledger.close()
    with simulator() as address, Product(home, simulated_settings(address, more=SETTINGS)) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser, shown):
    """Opens watched pages as the holder of the admin token."""
    contexts, visited = [], []

    def opened(size: tuple[int, int] = WIDE, theme: str = "light") -> Watched:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme, locale="en-US", timezone_id="UTC"
        )
        contexts.append(context)
        watched = Watched(context.new_page(), shown.web_url)
        visited.append(watched)
        watched.open(f"/#token={shown.admin_token}").get_by_role("heading", name="Overview").wait_for()
        watched.seen.clear()
        return watched

    yield opened
    for context in contexts:
        context.close()
    assert [crash for watched in visited for crash in watched.crashes] == []


@pytest.fixture(scope="module")
def pairs(shown) -> tuple[tuple[str, str], ...]:
    """Questions that were answered with the answers of others, once the cache process has learned of those."""
    token, found, names = shown.key("--team", "search"), [], itertools.count()
    until(lambda: asked(shown, token, f"Is anybody there, {next(names)}?") is None and learned(shown), "it runs")
    for first, second in PAIRS:
        before = learned(shown)
        assert asked(shown, token, first) is None
        until(lambda before=before: learned(shown) > before, "the cache process learns")
        assert asked(shown, token, second) == "semantic"
        found.append((second, first))
    return tuple(found)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_is_clean_and_accessible(visit, pairs, theme, size):
    watched = visit(size=size, theme=theme)
    page = watched.open("/cache?window=30d")
    watched.settle()
    expect(page.get_by_role("region", name="Recent semantic hits")).to_contain_text(pairs[0][0])
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert watched.violations() == []
    assert watched.seen == []
    page.get_by_role("button", name="Forget answers").click()
    expect(page.get_by_role("dialog", name="Forget cached answers")).to_be_visible()
    assert watched.violations() == []


def test_chart_table_navigation_and_api_say_the_same(visit, shown, pairs):
    watched = visit()
    page = watched.open("/cache?window=30d")
    watched.settle()
    kinds = page.get_by_role("region", name="What became of the requests")
    counts = [int(text.replace(",", "")) for text in kinds.locator("tbody tr td:nth-child(2)").all_inner_texts()]
    total = int(kinds.locator("tfoot td:nth-child(2)").inner_text().replace(",", ""))
    assert sum(counts) == total
    assert kinds.get_by_role("img").get_attribute("aria-label").count(f"{total} requests") == 1
    rate = page.locator(".figures").get_by_text("%").first.inner_text()
    expect(page.get_by_role("link", name=re.compile("^Cache"))).to_contain_text(rate)
    namespaces = page.get_by_role("region", name="Namespaces")
    assert int(namespaces.locator("tfoot td:nth-child(3)").inner_text().replace(",", "")) == total
    [net] = watched.amounts(".figures .figure-cell:first-child .big")
    assert net == watched.amounts("[aria-labelledby=namespaces] tfoot td:nth-child(5)")[0]
    file = namespaces.get_by_role("link", name="CSV").get_attribute("href")
    assert "/api/v1/cache.csv?" in file


def test_a_namespace_filters_and_a_kind_opens_its_requests(visit, pairs):
    watched = visit()
    page = watched.open("/cache?window=30d")
    page.get_by_role("button", name="support", exact=True).click()
    expect(page.get_by_role("group", name="Filters")).to_contain_text("cache namespace is support")
    expect(page.get_by_role("region", name="Recent semantic hits")).to_contain_text("of support")
    page.get_by_role("button", name="Would be exact hits").click()
    expect(page.get_by_role("heading", name="Requests")).to_be_visible()
    expect(page.get_by_role("group", name="Filters")).to_contain_text("cache is would_exact")
    assert "tag:farthing.cache:would_exact" in page.url
    expect(page.get_by_role("region", name="Requests").locator("tbody tr").first).to_be_visible()


def test_a_hit_stands_beside_what_it_matched_and_can_be_called_wrong(visit, shown, pairs):
    token, before = shown.key("--team", "search"), learned(shown)
    matched, question = "Which bridges cross the Rhine at Bonn?", "What bridges cross the Rhine at Bonn?"
    assert asked(shown, token, matched) is None
    until(lambda: learned(shown) > before, "the cache process learns")
    assert asked(shown, token, question) == "semantic"
    page = visit().open("/cache")
    row = page.get_by_role("listitem").filter(has_text=question)
    expect(row).to_contain_text(matched)
    expect(row.locator("mark")).to_have_text(["What", "Which"])
    row.get_by_role("button", name="It was right").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(row).to_have_count(0)
    assert asked(shown, token, matched) != "exact"


def test_answers_are_counted_before_they_are_forgotten(visit, shown, pairs):
    token = shown.key("--team", "forgetful")
    until(lambda: asked(shown, token, "Who am I to remember?") == "exact", "it is kept")
    watched = visit()
    page = watched.open("/cache?show=purge")
    dialog = page.get_by_role("dialog", name="Forget cached answers")
    dialog.get_by_role("button", name="Count them").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Name an entry")
    dialog.get_by_label("Asked first by: value 1").fill("nobody")
    dialog.get_by_role("button", name="Count them").click()
    expect(dialog).to_contain_text("Nothing that is kept fits")
    dialog.get_by_role("button", name="Back").click()
    dialog.get_by_label("Asked first by: value 1").fill("forgetful")
    dialog.get_by_role("button", name="Count them").click()
    assert watched.violations() == []
    dialog.get_by_role("button", name="Forget 1 answer").click()
    expect(dialog).to_have_count(0)
    assert "show=purge" not in page.url
    assert asked(shown, token, "Who am I to remember?") is None
    said = read(shown, "audit?action=cache.purge")["rows"][0]
    assert '"forgetful"' in json.dumps(said)


def test_the_row_of_a_hit_says_what_the_cache_did(visit, pairs):
    page = visit().open("/requests?window=30d&where=tag:farthing.cache:exact&where=requested_model:small")
    page.get_by_role("region", name="Requests").locator("tbody tr").first.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("region", name="Cache")).to_contain_text("Exact hit")
    drawer.get_by_role("button", name="This hit was wrong").click()
    expect(drawer.get_by_role("alert")).to_contain_text("expired")


def test_loading_empty_failed_and_away_never_look_alike(visit, pairs):
    watched = visit()
    states = {
        "failed": {"status": 503, "content_type": "application/problem+json", "body": json.dumps(
            {"type": "unavailable", "title": "Something is away", "status": 503, "detail": "The ledger cannot be read", "remedy": "Check the disk"})},
    }  # fmt: skip

    def refuse(route: Route) -> None:
        route.fulfill(**states["failed"])

    watched.page.route("**/api/v1/cache?*", refuse)
    page = watched.open("/cache")
    expect(page.get_by_role("alert").first).to_contain_text("The ledger cannot be read", timeout=20_000)
    watched.page.unroute("**/api/v1/cache?*")
    page = watched.open("/cache?where=team:nobody-at-all")
    expect(page.get_by_text("No cache looked at a request that fits")).to_be_visible()

    def away(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        told["semantic"] = {**told["semantic"], "state": "away", "problem": "It does not answer", "remedy": "Start it"}
        if "rows" in told:
            told["rows"] = []
        route.fulfill(response=answer, json=told)

    watched.page.route(re.compile("/api/v1/cache"), away)
    page = watched.open("/cache")
    expect(page.get_by_role("alert")).to_contain_text("Requests go on without it")
    expect(page.get_by_role("region", name="Recent semantic hits")).to_contain_text("It does not answer")


def test_what_was_measured_is_shown_against_what_was_promised(visit, pairs):
    watched = visit()
    measured = {"wrong": 0.0031, "bound": 0.0084, "target": 0.01, "threshold": 0.93, "closed": "", "labels": 812}

    def tell(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        for row in told["namespaces"]:
            row["standing"] = measured if row["name"] == "default" else {**measured, "wrong": None, "bound": None, "closed": "too_few_labels"}  # fmt: skip
        route.fulfill(response=answer, json=told)

    watched.page.route("**/api/v1/cache?*", tell)
    page = watched.open("/cache")
    figure = page.locator(".figure-cell").filter(has_text="Wrong answers")
    expect(figure).to_contain_text("0.31%")
    expect(figure).to_contain_text("at most 0.84%, promised 1.00%")
    table = page.get_by_role("region", name="Namespaces")
    expect(table).to_contain_text("not measured yet")
    expect(table.locator(".tag", has_text="closed")).to_be_visible()
    measured["bound"] = 0.02
    page = watched.open("/cache")
    expect(figure.locator(".big")).to_have_class(re.compile("bad"))


def test_what_is_only_measured_says_how_to_switch_it_on(visit, pairs):
    watched = visit()

    def shadow(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        for row in told["namespaces"]:
            row |= {"exact": "shadow", "semantic": "off"}
        told["semantic"] = {**told["semantic"], "state": "off"}
        if "rows" in told:
            told["rows"] = []
        route.fulfill(response=answer, json=told)

    watched.page.route("**/api/v1/cache?*", shadow)
    page = watched.open("/cache?window=30d")
    expect(page.get_by_text("The caches only measure so far")).to_be_visible()
    expect(page.locator("pre").first).to_have_text('[cache.namespaces.default]\nexact = "on"')
