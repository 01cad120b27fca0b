"""Budgets, approvals, the audit log and people in a real browser, over a real control process and gateway."""

import json
import re
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect
from tests.support.dashboard import Watched, chromium, history
from tests.support.product import Product, post, simulated_settings, simulator

from farthing.ledger.store import Ledger

WIDE, NARROW = (1440, 900), (360, 740)
PASSWORD = "correct horse 42"
PEOPLE = {"fay@example.com": "finance", "eli@example.com": "engineer", "vera@example.com": "viewer"}


def ask(product: Product, path: str, body: dict) -> dict:
    headers = {"content-type": "application/json", "authorization": f"Bearer {product.admin_token}"}
    request = urllib.request.Request(f"{product.web_url}/api/v1/{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Iterator[Product]:
    """A running product with facts, a budget that needs a yes to be raised, and three people with passwords."""
    home = tmp_path_factory.mktemp("govern")
    ledger = Ledger.open(str(home / "ledger"))
    ledger.append_requests(history(datetime.now(UTC), 60), source="test", version=1)
    ledger.close()
    with simulator() as address, Product(home, simulated_settings(address)) as running:
        ask(running, "budgets", {"name": "Search", "amount": "700", "scope": {"team": "search"}})
        for email, role in PEOPLE.items():
            link = ask(running, "people", {"email": email, "role": role})["link"]
            ask(running, "login/invite", {"token": link.partition("#")[2], "password": PASSWORD})
        yield running


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser, shown):
    """Opens watched pages as somebody; as the holder of the admin token when nobody is named."""
    contexts, visited = [], []

    def opened(email: str = "", size: tuple[int, int] = WIDE, theme: str = "light") -> Watched:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme, locale="en-US", timezone_id="UTC"
        )
        contexts.append(context)
        watched = Watched(context.new_page(), shown.web_url)
        visited.append(watched)
        page = watched.open("/login" if email else f"/#token={shown.admin_token}")
        if email:
            page.get_by_label("E-mail").fill(email)
            page.get_by_role("textbox", name="Password").fill(PASSWORD)
            page.get_by_role("form", name="Sign in with a password").get_by_role("button").click()
        page.get_by_role("heading", name="Overview").wait_for()
        watched.seen.clear()
        return watched

    yield opened
    for context in contexts:
        context.close()
    assert [crash for watched in visited for crash in watched.crashes] == []


@pytest.mark.parametrize("path", ["/budgets", "/approvals?show=all", "/approvals/new", "/audit", "/people"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_page_is_clean_and_accessible(visit, path, theme, size):
    watched = visit(size=size, theme=theme)
    page = watched.open(path)
    watched.settle()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert watched.violations() == []
    assert watched.seen == []


def test_a_budget_made_in_the_form_is_shown_and_enforced(visit, shown):
    page = visit().open("/budgets")
    page.get_by_role("button", name="New limit").click()
    form = page.get_by_role("form", name="New limit")
    form.get_by_label("Name").fill("Nothing for growth")
    form.get_by_label("Amount").fill("0.1234567891")
    form.get_by_label("Its value").fill("growth")
    form.get_by_role("button", name="Set the limit").click()
    expect(form.get_by_role("alert")).to_be_visible()
    form.get_by_label("Amount").fill("0")
    form.get_by_role("button", name="Set the limit").click()
    drawer = page.get_by_role("dialog", name="Nothing for growth")
    expect(drawer).to_contain_text("team growth")
    expect(page.get_by_role("region", name="Budgets")).to_contain_text("Nothing for growth")
    key = shown.key("--team", "growth")
    body = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
    for _ in range(100):
        status, _, said = post(f"{shown.url}/v1/chat/completions", body, {"authorization": f"Bearer {key}"})
        if status != 401:
            break
        page.wait_for_timeout(100)
    assert status >= 400
    assert "Nothing for growth" in said.decode()


def test_a_raise_waits_for_a_second_person(visit):
    page = visit("eli@example.com").open("/budgets")
    page.get_by_role("link", name="Search", exact=True).click()
    drawer = page.get_by_role("dialog", name="Search")
    drawer.get_by_role("button", name="Change", exact=True).click()
    drawer.get_by_label("Amount").fill("5000")
    drawer.get_by_role("button", name="Change it").click()
    drawer.get_by_role("link", name="See where it is").click()
    expect(page.get_by_text("0 of 1")).to_be_visible()
    expect(page.get_by_role("button", name="Agree")).to_have_count(0)
    fay = visit("fay@example.com").open("/approvals")
    fay.get_by_role("link", name=re.compile("Change Search")).click()
    expect(fay.locator(".changes")).to_contain_text("5000")
    fay.get_by_label("Comment").fill("for the launch")
    fay.get_by_role("button", name="Agree").click()
    expect(fay.get_by_text("for the launch")).to_be_visible()
    expect(fay.get_by_text("1 of 1")).to_be_visible()
    page.goto(page.url.partition("/approvals")[0] + "/budgets")
    expect(page.get_by_role("row", name=re.compile("Search"))).to_contain_text("$5,000")


def test_a_viewer_is_told_whose_page_it_is(visit):
    watched = visit("vera@example.com")
    page = watched.page
    expect(page.get_by_role("link", name="People")).to_have_count(0)
    expect(page.get_by_role("link", name="Audit")).to_have_count(0)
    page = watched.open("/people")
    expect(page.get_by_role("alert")).to_contain_text("not for your role")
    expect(page.get_by_role("alert")).to_contain_text("admin")
    page = watched.open("/budgets")
    watched.settle()
    expect(page.get_by_role("button", name="New limit")).to_have_count(0)
