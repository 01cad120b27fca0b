"""Budgets, approvals, the audit log and people in a real browser, over a real control process and gateway."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Route, expect
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


def read(product: Product, path: str, token: str = "") -> dict:
    headers = {"authorization": f"Bearer {token or product.admin_token}"}
    request = urllib.request.Request(f"{product.web_url}/api/v1/{path}", headers=headers)
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
    form.get_by_label("Name", exact=True).fill("Nothing for growth")
    form.get_by_label("Amount").fill("0.1234567891")
    form.get_by_label("About: value 1").fill("growth")
    form.get_by_role("button", name="Set the limit").click()
    expect(form.get_by_role("alert")).to_contain_text("up to nine decimals")
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


def test_a_limit_of_once_counts_between_days_of_its_own_zone(visit, shown):
    page = visit().open("/budgets")
    page.get_by_role("button", name="New limit").click()
    form = page.get_by_role("form", name="New limit")
    form.get_by_label("Name", exact=True).fill("Spring launch")
    form.get_by_label("Amount").fill("1,250.50")
    form.get_by_role("combobox", name="Per", exact=True).select_option("once")
    form.get_by_label("From").fill("2026-03-29")
    form.get_by_label("Until").fill("2026-03-10")
    form.get_by_label("Days begin in").select_option("Europe/Berlin")
    form.get_by_label("day’s share").fill("70")
    form.get_by_role("button", name="Set the limit").click()
    expect(form.get_by_role("alert")).to_contain_text("It ends before it begins")
    form.get_by_label("Until").fill("2026-03-29")
    form.get_by_role("button", name="Set the limit").click()
    drawer = page.get_by_role("dialog", name="Spring launch")
    expect(drawer).to_contain_text("from Mar 29, 2026 until Mar 29, 2026, this day included")
    made = read(shown, f"budgets/{page.url.partition('open=')[2]}")["budget"]["limit"]
    assert made["window"] == {"start": "2026-03-28T23:00:00Z", "end": "2026-03-29T22:00:00Z"}  # the day has 23 hours
    assert (made["amount"], made["zone"], made["warn_day_at"]) == ("1250.50", "Europe/Berlin", 70)
    drawer.get_by_role("button", name="Change", exact=True).click()
    drawer.get_by_label("day’s share").fill("60")
    drawer.get_by_role("button", name="Change it").click()
    expect(drawer.get_by_role("button", name="Change", exact=True)).to_be_visible()
    assert read(shown, f"budgets/{made['id']}")["budget"]["limit"]["warn_day_at"] == 60


def test_a_split_says_of_each_budget_what_became_of_it(visit):
    page = visit("eli@example.com").open("/budgets")
    refused = {
        "title": "No",
        "status": 400,
        "detail": "not this one",
        "field": "name",
        "value": "x",
        "remedy": "Ask Ana",
    }

    def answer(route: Route) -> None:
        if (route.request.post_data_json or {}).get("name") == "Inference":
            route.fulfill(status=400, content_type="application/problem+json", body=json.dumps(refused))
        else:
            route.continue_()

    page.route("**/api/v1/budgets", answer)
    page.get_by_label("Dollars a month in all").fill("3000")
    page.get_by_role("button", name="Make 4 budgets").click()
    split = page.get_by_role("region", name="Split by what it is for")
    expect(split.get_by_role("status")).to_have_text("Made: training, research, maintenance.")
    expect(split.get_by_role("alert")).to_have_text("inference: Not this one. Ask Ana.")
    expect(split.get_by_role("row", name=re.compile("inference"))).to_contain_text("no budget")
    expect(split.get_by_role("row", name=re.compile("training"))).to_contain_text("$900")
    page.unroute("**/api/v1/budgets")
    split.get_by_role("button", name="Make 1 budget").click()
    expect(split.get_by_role("status")).to_have_text("Made: inference.")
    expect(split.get_by_role("row", name=re.compile("inference"))).to_contain_text("$1,350")


def test_a_person_is_confined_to_any_part_of_a_scope(visit, shown):
    page = visit().open("/people")
    page.get_by_role("button", name="New person").click()
    form = page.get_by_role("form", name="New person")
    form.get_by_label("E-mail").fill("nia@example.com")
    form.get_by_label("Role").select_option("engineer")
    form.get_by_label("Confined to: part 1").select_option("feature")
    form.get_by_label("Confined to: value 1").fill("answer")
    form.get_by_role("button", name="And").click()
    form.get_by_label("Confined to: part 2").select_option("environment")
    form.get_by_label("Confined to: value 2").fill("prod")
    form.get_by_role("button", name="Let them in").click()
    page.get_by_role("button", name="I have kept it").click()
    page.get_by_role("link", name="nia").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_label("Confined to: value 2")).to_have_value("prod")
    drawer.get_by_label("Confined to: value 2").fill("")
    drawer.get_by_role("button", name="Change", exact=True).click()
    drawer.get_by_role("button", name="Close").click()
    row = page.get_by_role("row", name=re.compile("nia@"))
    expect(row).to_contain_text("feature answer")
    expect(row).not_to_contain_text("prod")
    scope = next(each["scope"] for each in read(shown, "people")["rows"] if each["email"] == "nia@example.com")
    assert {name: value for name, value in scope.items() if value} == {"feature": "answer"}


def test_a_service_s_token_is_shown_once_and_ends_with_it(visit, shown):
    page = visit().open("/people")
    page.get_by_role("button", name="New person").click()
    form = page.get_by_role("form", name="New person")
    form.get_by_label("E-mail").fill("deploys")
    form.get_by_label("Role").select_option("service")
    form.get_by_role("button", name="Let them in").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("form", name="New token").get_by_label("Name").fill("nightly")
    drawer.get_by_role("button", name="Make a token").click()
    token = drawer.locator(".secret .mono").inner_text()
    drawer.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_text(token)).to_have_count(0)
    assert read(shown, "session", token)["role"] == "service"
    drawer.get_by_role("button", name="Disable").click()
    expect(drawer.get_by_role("button", name="Let in again")).to_be_visible()
    expect(drawer.get_by_role("form", name="New token")).to_have_count(0)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        read(shown, "session", token)


def test_shares_of_keys_read_by_the_keys_names(visit, shown):
    ask(shown, "keys", {"name": "night shift", "scope": {"team": "night"}})
    ask(shown, "budgets", {"name": "Each key", "amount": "9", "measure": "requests", "scope": {"key": "*"}})
    ids = {each["name"]: each["id"] for each in read(shown, "keys")["rows"]}
    ask(shown, "budgets", {"name": "One key", "amount": "5", "scope": {"key": ids["night shift"]}})
    page = visit().open("/budgets")
    chip = page.get_by_role("row", name=re.compile("One key")).locator(".tag").first
    expect(chip).to_have_text("key night shift")
    expect(chip).to_have_attribute("title", f"key={ids['night shift']}")


def test_a_page_comes_up_by_itself_once_the_control_process_is_back(visit):
    watched = visit()
    watched.page.route("**/api/v1/**", lambda route: route.abort())
    page = watched.open("/budgets")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute("**/api/v1/**")
    expect(page.get_by_role("heading", name="Budgets", level=1)).to_be_visible(timeout=15_000)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_drawers_and_forms_are_accessible(visit, shown, theme, size):
    watched = visit(size=size, theme=theme)
    budget = next(each["limit"]["id"] for each in read(shown, "budgets")["rows"])
    for path, button in {
        f"/budgets?open={budget}": "Change", "/budgets": "New limit", "/people": "New person", "/keys": "New key",
        "/audit?open=1": "",
    }.items():  # fmt: skip
        page = watched.open(path)
        watched.settle()
        if button:
            page.get_by_role("button", name=button, exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path
        assert watched.violations() == [], path


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
    fay.get_by_role("link", name=re.compile("Raise Search")).click()
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
