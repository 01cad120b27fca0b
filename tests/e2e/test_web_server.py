"""The control process as it runs: real server, real ledger, real state store, and attacks from its own document."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import positive_data_acceptance

from farthing.core.facts import Operation, RequestFact, Status
from farthing.core.nouns import Scope
from farthing.ledger.store import Ledger


class Control:
    """A control process in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        env = {**os.environ, "FARTHING_WEB_PORT": self.url.rpartition(":")[2], "FARTHING_DETECT_PROVIDERS": "0"}
        command = [sys.executable, "-m", "farthing.app.control", "--home", str(self.home)]
        self._process = subprocess.Popen(command, env=env, cwd=self.home)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urlopen(f"{self.url}/healthz", timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the control process did not start")

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(30)

    @property
    def token(self) -> str:
        return (self.home / "admin.token").read_text().strip()

    def open(self, path: str):
        return urlopen(Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"}), timeout=10)

    def get(self, path: str):
        with self.open(path) as response:
            return json.loads(response.read())


NOW = datetime.now(UTC)


def facts(count: int, *, first: int = 0, at: datetime = NOW) -> list[RequestFact]:
    return [
        RequestFact(
            request_id=f"r{n}",
            attempt=1,
            at=at - timedelta(minutes=n * 7),
            operation=Operation.CHAT,
            dialect="openai",
            scope=Scope(team=("search", "support", "")[n % 3]),
            requested_model="gpt-5",
            model=f"gpt-{n % 4}",
            provider="openai",
            worker="w",
            status=Status.OK if n % 9 else Status.ERROR,
            cost=Decimal(n) / 10**9 if n % 5 else None,
            baseline_cost=Decimal(n) / 10**8 if n % 5 else None,
            unpriced="" if n % 5 else "no price is known",
            input_tokens=n,
            output_tokens=1,
        )
        for n in range(first, first + count)
    ]


@pytest.fixture(scope="module")
def control(tmp_path_factory) -> Iterator[Control]:
    control = Control(tmp_path_factory.mktemp("control"))
    ledger = Ledger.open(str(control.home / "ledger"))
    ledger.append_requests(facts(400), source="test", version=1)
    ledger.close()
    control.start()
    yield control
    assert control.end() == 0


def test_pages_show_the_ledgers_own_totals(control):
    ledger = Ledger.open(str(control.home / "ledger"))
    cost = sum((f.cost for f in facts(400) if f.cost is not None), Decimal(0))
    overview = control.get("/api/v1/overview")
    spend = control.get("/api/v1/spend?by=team")
    listed = control.get("/api/v1/requests?limit=5")
    ledger.close()
    for shown in (overview["total"]["cost"], spend["total"]["cost"], listed["total"]["cost"]):
        assert Decimal(shown) == cost
    assert sum(Decimal(g["total"]["cost"]) for g in overview["groups"]) == cost
    assert sum(Decimal(c) for b in overview["buckets"] for c in b["costs"]) == cost
    assert overview["total"]["requests"] == listed["matching"] == 400
    assert overview["total"]["unpriced_requests"] == 80
    assert len(overview["recent"]) == 10
    assert {row["status"] for row in overview["recent_errors"]} == {"error"}


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "Europe/Berlin", "UTC"])
def test_buckets_hold_the_total_in_every_zone(control, zone):
    start = (NOW - timedelta(hours=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for window in ("", f"&start={start}"):
        overview = control.get(f"/api/v1/overview?zone={zone}{window}")
        total = Decimal(overview["total"]["cost"])
        assert total > 0
        assert sum(Decimal(b["total"]["cost"]) for b in overview["buckets"]) == total
        starts = [b["at"] for b in overview["buckets"]]
        assert starts == sorted(set(starts))
        if overview["grain"] == "hour":
            assert len(starts) <= 32


def test_a_request_is_found_and_a_missing_one_is_404(control):
    assert control.get("/api/v1/requests/r7")["cost"] == "0.000000007000"
    with pytest.raises(OSError, match="404"):
        control.get("/api/v1/requests/nothing")


def test_facts_that_land_are_announced(control):
    with control.open("/api/v1/events") as events:
        first = _landed(events)
        ledger = Ledger.open(str(control.home / "ledger"))
        ledger.append_requests(facts(1, first=9000), source="test", version=2)
        ledger.close()
        assert _landed(events)["version"] > first["version"]


def _landed(events) -> dict:
    for line in events:
        if line.startswith(b"data: "):
            return json.loads(line.removeprefix(b"data: "))
    raise AssertionError("the stream ended")


def test_health_is_told(control):
    health = control.get("/api/v1/health")
    assert {"journal", "snapshot", "disk", "prices"} <= {check["name"] for check in health["checks"]}
    assert health["state"] != "failed", health


def test_a_killed_control_process_serves_again_what_it_had(control):
    before = control.get("/api/v1/requests?limit=1")["matching"]
    assert control.end(signal.SIGKILL) == -signal.SIGKILL
    control.start()
    assert control.get("/api/v1/requests?limit=1")["matching"] == before


STREAMS = {"read_events"}
"""They have no end."""

LIMITS = settings(
    max_examples=12, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_of_the_document_breaks_the_api(control, mode):
    """Bodies and parameters drawn from the document, and ones it forbids. A window that ends before it starts has
    the right form and is refused all the same, so acceptance of everything well-formed is not asked for.
    """
    refusals = {"negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 409, 413]}}
    config = SchemathesisConfig.from_dict({"checks": refusals})
    schema = schemathesis.openapi.from_url(f"{control.url}/api/schema/openapi.json", config=config)
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {control.token}"
        operations = [result.ok() for result in schema.get_all_operations()]
        seen = {
            o.label: attacked(o, mode, session)
            for o in operations
            if o.definition.raw["operationId"] not in STREAMS and (mode is GenerationMode.POSITIVE or can_err(o))
        }
    assert len(seen) >= 50
    statuses = set().union(*seen.values())
    assert ({200, 201} if mode is GenerationMode.POSITIVE else {400, 404}) <= statuses


def can_err(operation) -> bool:
    """Whether there is anything to get wrong: a parameter, a body or a token."""
    raw = operation.definition.raw
    return "parameters" in raw or "requestBody" in raw or raw.get("security") != [{}]


def is_sent(case: schemathesis.Case) -> bool:
    """Whether what is wrong reaches the API: the session adds a token where none is given, and what is empty in a
    query is left out.
    """
    wrong = {place for place, part in case.meta.components.items() if part.mode is GenerationMode.NEGATIVE}
    if "authorization" not in {name.lower() for name in case.headers or {}}:
        wrong.discard(ParameterLocation.HEADER)
    if any(value in (None, "", [], {}) for value in (case.query or {}).values()):
        wrong.discard(ParameterLocation.QUERY)
    return bool(wrong)


def attacked(operation, mode: GenerationMode, session: requests.Session) -> set[int]:
    """The statuses of a few requests to one endpoint, each of them as the document promises."""
    seen: set[int] = set()

    @LIMITS
    @given(case=operation.as_strategy(generation_mode=mode))
    def attack(case: schemathesis.Case) -> None:
        assume(mode is GenerationMode.POSITIVE or is_sent(case))
        seen.add(case.call_and_validate(session=session, excluded_checks=[positive_data_acceptance]).status_code)

    attack()
    return seen
