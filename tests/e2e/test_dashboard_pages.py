"""The dashboard in a real browser, over a real control process and ledger."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.support.dashboard import Watched, chromium, fact, history
from tests.support.product import Product

from farthing.core.facts import RequestFact
from farthing.core.nouns import Scope
from farthing.ledger.store import Ledger

NOW = datetime.now(UTC)
FACTS = history(NOW)
WIDE, NARROW = (1440, 900), (360, 740)


def land(home: Path, facts: list[RequestFact], *, source: str) -> None:
    ledger = Ledger.open(str(home / "ledger"))
    ledger.append_requests(facts, source=source, version=1)
    ledger.close()


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Iterator[Product]:
    """A running product whose ledger holds ``FACTS``, with the dashboard that was built."""
    home = tmp_path_factory.mktemp("dashboard")
    land(home, FACTS, source="test")
    with Product(home, "") as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser, shown):
    """Opens watched pages, logged in, of any size and theme."""
    contexts, visited = [], []

    def opened(size: tuple[int, int] = WIDE, theme: str = "light") -> Watched:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme, locale="en-US", timezone_id="UTC"
        )
        contexts.append(context)
        watched = Watched(context.new_page(), shown.web_url)
        visited.append(watched)
        watched.open(f"/?window=30d#token={shown.admin_token}")
        watched.page.get_by_role("heading", name="Overview").wait_for()
        return watched

    yield opened
    for context in contexts:
        context.close()
    assert [crash for watched in visited for crash in watched.crashes] == []


def window_of(page: Page, path: str) -> list[str]:
    """The window that the page asks the API for, as options of ``farthing spend``."""
    with page.expect_request(re.compile(r"/api/v1/(overview|requests)\?")) as asked:
        page.goto(path)
    query = dict(pair.split("=") for pair in asked.value.url.partition("?")[2].split("&") if pair[:5] != "where")
    return ["--from", query["start"].replace("%3A", ":"), "--to", query["end"].replace("%3A", ":")]


@pytest.mark.parametrize("path", ["/?window=30d", "/requests?window=30d", "/keys", "/providers", "/prices"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_page_is_clean_and_accessible(visit, path, theme, size):
    watched = visit(size, theme)
    page = watched.open(path)
    watched.settle()
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert watched.violations() == []
    assert watched.seen == []


def test_the_overviews_totals_are_those_of_the_command_line(visit, shown):
    watched = visit()
    window = window_of(watched.page, f"{shown.web_url}/?window=30d")
    watched.settle()
    total = shown.spend("--by", "team", *window)["total"]
    cost = Decimal(total["cost"])
    assert cost == sum((f.cost for f in FACTS if f.cost is not None), Decimal(0))
    panel = "section[aria-labelledby=spend]"
    assert watched.amounts(f"{panel} tfoot")[0] == cost
    assert watched.amounts(".figures .figure-cell:nth-child(1)")[0] == cost
    assert sum(watched.amounts(f"{panel} tbody td:nth-child(2)")) == cost
    assert sum(watched.amounts("section[aria-labelledby=models] tbody td:nth-child(2)")) == cost
    expect(watched.page.locator(".notice").first).to_contain_text(f"{total['unpriced_requests']} requests")


def test_what_is_unpriced_can_be_opened(visit):
    watched = visit()
    page = watched.page
    watched.settle()
    page.locator(".notice").first.get_by_role("link", name="Show them").click()
    watched.settle()
    unpriced = sum(1 for f in FACTS if f.cost is None)
    expect(page.get_by_role("group", name="Filters")).to_contain_text("cost source is none")
    rows = page.locator("section[aria-label=Requests] tbody tr")
    expect(rows).to_have_count(unpriced)
    for row in rows.all():
        expect(row).to_contain_text("unpriced")


def test_the_requests_totals_are_over_all_that_match(visit, shown):
    watched = visit()
    window = window_of(watched.page, f"{shown.web_url}/requests?window=30d&where=team:search")
    watched.settle()
    total = shown.spend("--where", "team=search", *window)["total"]
    assert watched.amounts(".totals div:nth-child(1)") == [Decimal(total["cost"])]
    matching = {f.request_id for f in FACTS if f.scope.team == "search"}
    expect(watched.page.locator(".sentence")).to_contain_text(f"{len(matching)} requests where")


def test_every_page_of_requests_can_be_reached(visit):
    watched = visit()
    page = watched.open("/requests?window=30d")
    rows = page.locator("tbody tr")
    rows.first.wait_for()
    everything = page.get_by_text("That is all of them.")
    for _ in range(400):
        if everything.count() > 0:
            break
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(50)
    ids = [row.get_attribute("data-row") for row in rows.all()]
    assert ids == sorted({f.request_id for f in FACTS})


def test_clicking_a_group_filters_everything(visit, shown):
    watched = visit()
    page = watched.page
    watched.settle()
    page.get_by_role("button", name="unallocated").click()
    expect(page.get_by_role("group", name="Filters")).to_contain_text("team is unallocated")
    expect(page).to_have_url(re.compile(r"where=team:(&|$)"))
    own = sum((f.cost for f in FACTS if f.cost is not None and f.scope.team == ""), Decimal(0))
    expect(page.locator(f'.figure-cell data[value="{own:.12f}"]').first).to_be_visible()
    page.get_by_role("button", name="Remove the filter on team").click()
    expect(page.get_by_role("group", name="Filters")).to_contain_text("All spend")


def test_a_link_restores_what_was_looked_at(visit, shown):
    watched = visit()
    page = watched.open(
        "/requests?window=30d&zone=Asia/Tokyo&where=team:search&where=team:growth&where=model:gpt-5-mini&order=cost&request=req-00015"
    )
    watched.settle()
    expect(page.get_by_role("group", name="Filters")).to_contain_text("team is search or growth")
    expect(page.get_by_role("group", name="Filters")).to_contain_text("model is gpt-5-mini")
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    expect(page.get_by_label("Order")).to_have_value("cost")
    drawer = page.get_by_role("dialog", name="gpt-5-mini")
    expect(drawer).to_contain_text("req-00015")
    address = page.url
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    assert "request=" not in page.url
    page.go_back()
    expect(page).to_have_url(address)
    expect(drawer).to_be_visible()


def test_a_request_is_explained_to_its_last_decimal(visit):
    watched = visit()
    page = watched.open("/requests?window=30d&request=req-00005")
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("heading", name="Attempts")).to_be_visible()
    own = next(f for f in FACTS if f.request_id == "req-00005" and f.attempt == 2)
    formula = "section[aria-labelledby=formula]"
    assert sum(watched.amounts(f"{formula} tbody")) == own.cost
    assert watched.amounts(f"{formula} tfoot") == [own.cost]
    expect(drawer).to_contain_text("429: too many requests")
    expect(drawer).to_contain_text("needs 9,120 tokens, offers 2,048")
    expect(drawer).to_contain_text("local/tiny")
    assert watched.violations() == []


def test_what_has_no_price_is_never_shown_as_zero(visit):
    watched = visit()
    page = watched.open("/requests?window=30d&request=req-00003")
    expect(page.get_by_role("dialog").locator(".figure-cell").first).to_contain_text("unpriced")
    expect(page.get_by_role("dialog")).to_contain_text("no price is known for local/tiny")
    expect(page.locator('tr[data-row="req-00003"]')).to_contain_text("unpriced")
    assert "$0.00" not in page.locator('tr[data-row="req-00003"]').inner_text()
    page = watched.open("/?window=30d&by=model")
    for row in page.get_by_role("row", name=re.compile("tiny")).all():
        expect(row).to_contain_text("unpriced")
        assert "$0" not in row.inner_text()


def test_empty_and_failed_are_different_states(visit, shown):
    watched = visit()
    page = watched.open("/?window=2020-01-01..2020-01-31")
    expect(page.get_by_text("No requests or bills in this window")).to_be_visible()
    page.route("**/api/v1/overview?*", lambda route: route.abort())
    page.goto(f"{shown.web_url}/?window=7d")
    expect(page.get_by_role("alert")).to_contain_text("does not answer", timeout=15_000)
    page.unroute("**/api/v1/overview?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Models by cost")).to_be_visible()


def test_the_palette_goes_anywhere_by_keyboard(visit):
    watched = visit()
    page = watched.page
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search pages")).to_be_focused()
    page.keyboard.type("requests page")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Requests", exact=True)).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("team search")
    expect(page.get_by_role("option", name="team: search")).to_be_visible()
    assert watched.violations() == []
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Filters")).to_contain_text("team is search")
    page.keyboard.press("Control+k")
    page.keyboard.type("theme dark")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.get_by_role("combobox", name="Search pages").count() == 0


def test_rows_are_walked_and_opened_by_keyboard(visit):
    watched = visit()
    page = watched.open("/requests?window=30d")
    page.locator("tbody tr").first.wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("req-00001")
    page.keyboard.press("j")
    expect(page.get_by_role("dialog")).to_contain_text("req-00002")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_new_facts_appear_by_themselves(visit, shown):
    watched = visit()
    page = watched.open("/requests?window=90d&where=team:latecomer")
    expect(page.get_by_text("No request in this window fits")).to_be_visible()
    at = NOW - timedelta(days=70)  # outside of what the other tests look at
    land(shown.home, [fact(1, at, request_id="late-1", scope=Scope(team="latecomer"))], source="late")
    expect(page.locator('tr[data-row="late-1"]')).to_be_visible(timeout=20_000)
    expect(page.locator(".sentence")).to_contain_text("1 request where")


def test_the_door_wants_the_token_and_signing_out_closes_it(browser, shown):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{shown.web_url}/requests?window=30d")
    page.get_by_label("Admin token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("admin token is wrong")
    page.get_by_label("Admin token").fill(shown.admin_token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Requests", exact=True)).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("sign out")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Admin token")).to_be_visible()
    context.close()


def test_a_link_with_the_token_logs_in_and_forgets_it(visit):
    assert "token" not in visit().page.url


def test_a_key_is_made_shown_once_and_revoked(visit, shown):
    watched = visit()
    page = watched.open("/keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name").fill("nightly jobs")
    page.get_by_label("Paid by: value 1").fill("data-eng")
    page.get_by_role("button", name="Create key").click()
    token = page.locator(".secret .mono").inner_text()
    assert len(token) > 20
    page.get_by_role("button", name="I have kept it").click()
    row = page.get_by_role("row", name=re.compile("nightly jobs"))
    expect(row).to_contain_text("data-eng")
    assert token not in page.content()
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked")


def test_csv_holds_what_the_table_totals(visit, shown):
    watched = visit()
    page = watched.page
    watched.settle()
    with page.expect_download() as download:
        page.locator("section[aria-labelledby=spend]").get_by_role("link", name="CSV").click()
    lines = download.value.path().read_text().splitlines()
    column = lines[0].split(",").index("cost")
    cost = sum((Decimal(line.split(",")[column]) for line in lines[1:]), Decimal(0))
    assert cost == watched.amounts("section[aria-labelledby=spend] tfoot")[0]


@pytest.mark.parametrize(("path", "column"), [("/keys", "name"), ("/providers", "base_url"), ("/prices", "amount")])
def test_tables_without_facts_are_csv_too(visit, path, column):
    watched = visit()
    page = watched.open(path)
    watched.settle()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == f"{path[1:]}.csv"
    assert column in download.value.path().read_text().splitlines()[0].split(",")
