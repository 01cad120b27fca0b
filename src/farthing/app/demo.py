"""``farthing demo``: the whole product on simulated providers, with traffic, a past and a bill.

It starts what ``farthing up`` starts, as processes of their own, in a folder of its own. Everything a
summary says is asked of the ledger, and compared with what the clients saw.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import msgspec

from farthing.app.demo_cache import rehearse
from farthing.app.demo_limits import govern
from farthing.app.local import Local
from farthing.catalog.catalog import Catalog
from farthing.core.errors import UnavailableError
from farthing.core.nouns import Offer, Scope, Terms
from farthing.core.time import Window
from farthing.demo.bill import Machine, write
from farthing.demo.company import ALIASES, FEATURES
from farthing.demo.history import past, places_of
from farthing.demo.traffic import Sent, Traffic
from farthing.ingest.run import Report, ingest
from farthing.ledger.questions import RequestsQuestion, SpendAnswer, SpendQuestion
from farthing.ledger.store import Ledger

VENDORS = {
    "openai": "/openai/v1",
    "anthropic": "/anthropic/v1",
    "gemini": "/gemini/v1beta",
    "groq": "/groq/openai/v1",
    "together": "/together/v1",
}
"""Simulated providers and the path each dialect begins at."""

Say = Callable[[str], None]
Show = Callable[[str], object]
"""Opens a page in a browser."""

_CACHES = """
[cache.namespaces.faq]
where = { feature = "faq" }
exact = "on"
semantic = "on"

[cache.namespaces.handbook]
where = { feature = "embed-documents" }
embeddings = "on"
"""
"""What the demo's company reuses. Of everything else it measures what that would save."""

HISTORY_DAYS = 14
HISTORY_A_DAY = 3000
BILL_DAYS = 30
_PATIENCE = 60


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to run it. ``seconds`` 0 runs until interrupted; ``rate`` is requests a second on average."""

    home: Path
    seconds: float = 0
    rate: float = 6
    port: int
    web_port: int
    workers: int = 1
    pace: float = 1
    history: bool = True
    seed: int = 1


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo did. ``clients`` is what the senders saw; everything else the ledger says.

    ``reconciled``: every request that was answered is in the ledger once; of those whose connection broke, nobody
    can say from outside whether they arrived.
    """

    seconds: float
    clients: Sent
    requests: int
    cost: Decimal
    baseline_cost: Decimal
    saved: Decimal
    unpriced_requests: int
    currency: str
    by_team: dict[str, Decimal]
    by_offer: dict[str, Decimal]
    bill: dict[str, Decimal]
    bill_rows: int
    history_requests: int
    reconciled: bool
    home: str


def run(plan: Plan, *, clock: Callable[[], datetime], say: Say, show: Show | None = None) -> Summary:
    """Set up, run, and sum up. Ends by itself after ``plan.seconds``; Ctrl-C ends it early with the same summary.

    ``show`` is called with the dashboard's address once it answers.
    """
    begun = clock()
    plan.home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        providers = stack.enter_context(_simulator(plan))
        local = _prepare(plan, providers)
        keys, shared = _keys(local)
        report = _past_and_bill(local, plan, begun, say)
        if plan.history:
            govern(local, shared_key=shared)
            rehearse(local, namespace="faq", seed=plan.seed)
        stack.enter_context(_product(plan, say))
        page = _say_where(plan, say)
        if show is not None:
            show(page)
        sent, seconds = _traffic(plan, keys)
    live = Window(start=begun)
    return _summary(local.ledger(), live, plan=plan, sent=sent, seconds=seconds, report=report)


def _child(
    command: list[str],
    *,
    stdin: int | None = None,
    stdout: "int | BinaryIO | None" = None,
    stderr: "BinaryIO | None" = None,
) -> subprocess.Popen[bytes]:
    """A process in a session of its own, so that Ctrl-C reaches only us and we end things in order."""
    return subprocess.Popen(command, start_new_session=True, stdin=stdin, stdout=stdout, stderr=stderr)  # noqa: S603 - our own


@contextmanager
def _simulator(plan: Plan) -> Generator[str]:
    command = [sys.executable, "-m", "farthing.demo.simulator", "--leash", "--pace", str(plan.pace)]
    with _child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - asked for
            address = process.stdout.readline().decode().strip()
            if not address:
                raise UnavailableError("the simulated providers did not start", remedy="Run farthing doctor")
            yield address
        finally:
            process.terminate()


def _prepare(plan: Plan, providers: str) -> Local:
    """Settings of the demo in its folder, as a user would write them."""
    lines = [f"[gateway]\nport = {plan.port}\nworkers = {plan.workers}\n\n[web]\nport = {plan.web_port}\n"]
    for vendor, path in VENDORS.items():
        lines.append(f'[providers.{vendor}]\nvendor = "{vendor}"\nbase_url = "{providers}{path}"\n')
        lines.append('api_key = "file:provider.key"\n')
    for alias, places in ALIASES.items():
        targets = ", ".join(f'{{ provider = "{provider}", model = "{model}" }}' for provider, model in places)
        lines.append(f"[models.{json.dumps(alias)}]\ntargets = [{targets}]\n")
    lines.append(_CACHES)
    key = plan.home / "provider.key"
    key.write_text("simulated")
    key.chmod(0o600)
    config = plan.home / "farthing.toml"
    config.write_text("\n".join(lines).replace("file:provider.key", f"file:{key.resolve()}"))
    return Local.open(config_file=config, home=plan.home)


def _keys(local: Local) -> tuple[dict[str, str], str]:
    """One key a team, and a shared one that belongs to nobody, with its id."""
    teams = sorted({feature.team for feature in FEATURES})
    change = local.by("demo")
    scopes = {team: Scope(org="demo", team=team) for team in teams}
    with local.store() as store:
        made = {
            team: store.keys.create(change, name=team or "shared script", scope=scope) for team, scope in scopes.items()
        }
    return {team: token for team, (_, token) in made.items()}, made[""][0].id


def _past_and_bill(local: Local, plan: Plan, now: datetime, say: Say) -> Report | None:
    if not plan.history:
        return None
    say(f"writing {HISTORY_DAYS} days of simulated past and importing a {BILL_DAYS}-day bill …")
    ledger, catalog = local.ledger(), local.catalog()
    dice = random.Random(plan.seed)  # noqa: S311 - a simulation
    facts = list(past(_offers(catalog), until=now, days=HISTORY_DAYS, per_day=HISTORY_A_DAY, dice=dice))
    ledger.append_requests(facts, source="demo-history", version=1)
    bill = plan.home / "sample-bill.csv"
    write(bill, _machines(catalog), until=now, days=BILL_DAYS, dice=dice)
    report = ingest(bill, ledger)
    ledger.refresh_rollups()
    return report


def _offers(catalog: Catalog) -> dict[tuple[str, str], tuple[Offer, ...]]:
    """Catalogue offers of every model the company uses."""
    lists = {"gemini": "google"}
    found: dict[tuple[str, str], tuple[Offer, ...]] = {}
    for feature in FEATURES:
        for provider, model in places_of(feature.model):
            offer = catalog.match(model, lists.get(provider, provider))
            if offer is not None:
                found[provider, model] = catalog.variants(offer)
    return found


def _machines(catalog: Catalog) -> list[Machine]:
    """GPU machines of two clouds that the catalogue has a price for."""
    wanted = (
        ("azure", "Standard_NC24ads_A100_v4", Terms.ON_DEMAND, "trainer", "research", 4),
        ("aws", "g5.xlarge", Terms.ON_DEMAND, "reranker", "search", 9),
        ("aws", "g6.xlarge", Terms.ON_DEMAND, "sandbox", "", 6),
    )
    machines: list[Machine] = []
    for provider, product, terms, name, team, hours in wanted:
        offers = [o for o in catalog.offers if (o.provider, o.product, o.terms) == (provider, product, terms)]
        if offers:
            offer = min(offers, key=lambda o: (o.region != "us-east-1", o.region))
            machines.append(Machine(offer=offer, name=name, team=team, hours=hours))
    return machines


@contextmanager
def _product(plan: Plan, say: Say) -> Generator[None]:
    """``farthing up`` as a child, ended with SIGTERM so that it drains."""
    log = plan.home / "farthing.log"
    command = [
        sys.executable,
        "-m",
        "farthing",
        "up",
        "--config",
        str(plan.home / "farthing.toml"),
        "--home",
        str(plan.home),
    ]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:  # noqa: S603
        try:
            _wait(plan.port, process, log)
            yield
        finally:
            say("stopping: answers in flight are finished, the journal is drained …")
            process.terminate()
            process.wait(_PATIENCE)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    end = log.read_text(errors="replace")[-2000:]
    raise UnavailableError(f"Farthing did not become ready; its log ends:\n{end}", remedy=f"Read {log}")


def _say_where(plan: Plan, say: Say) -> str:
    """Tells people where to look; returns the dashboard's login link."""
    page = f"http://127.0.0.1:{plan.web_port}/login#token={(plan.home / 'admin.token').read_text().strip()}"
    say(f"dashboard   {page}")
    say(f"gateway     http://127.0.0.1:{plan.port}/v1")
    say(f"command     farthing spend --home {plan.home} --by team,model")
    say("look at     Overview: spend by team, what routing saved. Requests: open one, read its cost line by line.")
    say("            Cache: what was answered before. Budgets: one refuses. Approvals: somebody asks for more.")
    return page


def _traffic(plan: Plan, keys: dict[str, str]) -> tuple[Sent, float]:
    traffic = Traffic(f"http://127.0.0.1:{plan.port}", keys, dice=random.Random(plan.seed))  # noqa: S311
    begun = time.monotonic()
    sent = asyncio.run(traffic.run(seconds=plan.seconds or timedelta(days=365).total_seconds(), rate=plan.rate))
    return sent, round(time.monotonic() - begun, 1)


def _summary(ledger: Ledger, live: Window, *, plan: Plan, sent: Sent, seconds: float, report: Report | None) -> Summary:
    ledger.refresh_rollups()
    gateway = {"origin": ("gateway",)}
    by_team = ledger.spend(SpendQuestion(window=live, by=("team",), where=gateway))
    by_offer = ledger.spend(SpendQuestion(window=live, by=("offer",), where=gateway))
    requests = _count(ledger, live)
    return Summary(
        seconds=seconds,
        clients=sent,
        requests=requests,
        cost=by_team.total.cost,
        baseline_cost=by_team.total.baseline_cost,
        saved=by_team.total.saved,
        unpriced_requests=by_team.total.unpriced_requests,
        currency=by_team.currency,
        by_team=_costs(by_team, "team"),
        by_offer=_costs(by_offer, "offer"),
        bill=report.billed if report else {},
        bill_rows=report.rows if report else 0,
        history_requests=_count(ledger, Window(end=live.start)),
        reconciled=sent.answers <= requests <= sent.requests,
        home=str(plan.home),
    )


def _count(ledger: Ledger, window: Window) -> int:
    """Requests, each counted once however many attempts it took."""
    return ledger.requests(RequestsQuestion(window=window, limit=1)).matching


def _costs(answer: SpendAnswer, dimension: str) -> dict[str, Decimal]:
    return {row.keys[dimension] or "unallocated": row.cost for row in answer.rows}
