"""``farthing doctor``: is everything in order, and if not, what to do."""

from pathlib import Path

from cyclopts import App

from farthing import config
from farthing.cli._output import OK, THRESHOLD, Column, Out
from farthing.core.errors import ConfigError

app = App(name="doctor", help="Check this installation and say how to repair it.")

_COLUMNS = [Column("level", style="bold"), Column("name", "check"), "message", Column("remedy", style="cyan")]


@app.default
def doctor(*, offline: bool = False, timeout: float = 5, home: Path | None = None, out: Out) -> int:
    """Check settings, prices, providers, disk, clock, ports, state, ledger and journal. Exit code 1 when one fails.

    Args:
        offline: Ask no provider.
        timeout: Seconds to wait for each provider.
        home: Data folder; default: the configured one.
        out: Where the findings go.
    """
    from farthing.app.doctor import examine, settings_checks
    from farthing.app.local import Local

    env = config.environment()
    problems = Local.problems(env=env)
    checks = list(settings_checks(problems, config.settings_file(None, env)))
    try:
        checks += examine(Local.open(home=home, env=env), offline=offline, timeout=timeout)
    except ConfigError:
        out.note("The rest was not looked at, because the settings cannot be used.")
    failed = [c for c in checks if c.level == "fail"]
    counts = {level: sum(c.level == level for c in checks) for level in ("ok", "warn", "fail")}
    rows = [{"level": c.level, "name": c.name, "message": c.message, "remedy": c.remedy} for c in checks]
    out.table(_COLUMNS, rows, about={"counts": counts})
    out.note(", ".join(f"{count} {level}" for level, count in counts.items()))
    return THRESHOLD if failed else OK
