"""``farthing up``: everything on this machine, until it is told to stop."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from farthing import config
from farthing.cli._output import OK, Out

app = App(name="up", help="Run Farthing here: gateway, dashboard and ledger.")


@app.default
def up(
    *,
    config_file: Annotated[Path | None, Parameter(name="--config")] = None,
    home: Path | None = None,
    port: int | None = None,
    web_port: int | None = None,
    workers: int | None = None,
    out: Out,
) -> int:
    """Run the gateway's workers, the control API with the dashboard, and the ledger's upkeep.

    Ctrl-C or SIGTERM ends it: requests under way are finished, everything is written. What dies is started again.

    Args:
        config_file: Settings file; default: farthing.toml here, if there is one.
        home: Data folder; default: the configured one.
        port: Port of the gateway; 0 picks a free one.
        web_port: Port of the API and the dashboard; 0 picks a free one.
        workers: Gateway workers; two or more use as many cores.
        out: Where talk goes.
    """
    from farthing.app.up import run

    given = {
        "FARTHING_HOME": home,
        "FARTHING_GATEWAY_PORT": port,
        "FARTHING_WEB_PORT": web_port,
        "FARTHING_GATEWAY_WORKERS": workers,
    }
    env = {**config.environment(), **{name: str(value) for name, value in given.items() if value is not None}}
    run(env, config_file=config_file, say=out.note)
    return OK
