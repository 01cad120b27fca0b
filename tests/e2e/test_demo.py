"""``farthing demo`` as a newcomer runs it: it ends by itself and everything adds up."""

import json
import subprocess
import sys
from decimal import Decimal

from tests.support.product import free_port


def test_the_demo_ends_by_itself_and_the_ledger_agrees_with_the_clients(tmp_path):
    home = tmp_path / "demo"
    options = ["--for", "5s", "--headless", "--pace", "0.2", "--home", str(home)]
    ports = ["--port", str(free_port()), "--web-port", str(free_port())]
    command = [sys.executable, "-m", "farthing", "demo", *options, *ports, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert summary["reconciled"] is True
    assert summary["requests"] == summary["clients"]["requests"] > 0
    assert Decimal(summary["cost"]) == sum(Decimal(c) for c in summary["by_team"].values()) > 0
    assert summary["bill_rows"] > 0
    spent = [sys.executable, "-m", "farthing", "spend", "--home", str(home), "--all", "--by", "", "-o", "json"]
    total = json.loads(subprocess.run(spent, capture_output=True, text=True, timeout=60, check=True).stdout)["total"]
    assert Decimal(total["cost"]) >= Decimal(summary["cost"]) + Decimal(summary["bill"]["USD"])
