"""``farthing demo``: see the whole product with simulated providers, without any account."""

import re
import socket
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from farthing.cli._output import OK, UNRECONCILED, Out
from farthing.core.errors import InputError

app = App(name="demo", help="See the whole product with simulated providers, without any account.")

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}


@app.default
def demo(
    *,
    for_: Annotated[str, Parameter(name="--for")] = "",
    headless: bool = False,
    rate: float = 6,
    pace: float = 1,
    port: int = 0,
    web_port: int = 0,
    workers: int = 1,
    history: bool = True,
    seed: int = 1,
    home: Path | None = None,
    out: Out,
) -> int:
    """Run gateway, ledger and dashboard on simulated providers, send traffic of several teams, import a bill.

    Args:
        for_: End after this time, such as 60s or 5m; default: when interrupted.
        headless: Do not open the dashboard in a browser, which is done where there is a screen.
        rate: Requests a second, on average.
        pace: Latency of the simulated providers: 1 is realistic, 0 is none.
        port: Port of the gateway; 0 picks 4180 or a free one.
        web_port: Port of the dashboard; 0 picks 4181 or a free one.
        workers: Gateway workers.
        history: Write two weeks of simulated past and import a sample bill first.
        seed: The same seed sends the same traffic.
        home: Data folder, kept afterwards; default: a temporary one, removed at the end.
        out: Where the summary goes.
    """
    import webbrowser

    from farthing.app.demo import Plan, run
    from farthing.config import environment

    seconds = _seconds(for_)
    with tempfile.TemporaryDirectory(prefix="farthing-demo-") as temporary:
        plan = Plan(
            home=home or Path(temporary),
            seconds=seconds,
            rate=rate,
            port=port or _free(4180),
            web_port=web_port or _free(4181),
            workers=workers,
            pace=pace,
            history=history,
            seed=seed,
        )
        if not headless and not seconds:
            out.note("Ctrl-C ends the demo with a summary.")
        show = None if headless or not has_screen(environment()) else webbrowser.open
        summary = run(plan, clock=lambda: datetime.now(UTC), say=out.note, show=show)  # noqa: TID251 - a process edge
    out.record(summary)
    if not summary.reconciled:
        out.warn(f"clients began {summary.clients.requests:,} requests, the ledger has {summary.requests:,}")
        return UNRECONCILED
    return OK


def has_screen(env: Mapping[str, str]) -> bool:
    """Whether a browser window can appear: on a server it would be a text browser that takes the terminal."""
    return sys.platform in ("darwin", "win32") or bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def _seconds(text: str) -> float:
    if not text:
        return 0
    span = _SPAN.fullmatch(text)
    if span is None:
        raise InputError("not a span of time", field="--for", value=text, remedy="Write 60s or 5m")
    return float(span[1]) * _SECONDS[span[2]]


def _free(preferred: int) -> int:
    """The preferred port if nobody listens there, otherwise any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
