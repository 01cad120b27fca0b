"""``farthing init``: set an installation up after a profile."""

from pathlib import Path

from cyclopts import App

from farthing import config
from farthing.app.local import Local
from farthing.cli._budget import amount
from farthing.cli._output import Column, Out
from farthing.governance.profiles import ProfileName

app = App(name="init", help="Set limits and approvals up after a profile.")


@app.default
def init(
    *,
    profile: ProfileName,
    budget: str = "",
    apply: bool = False,
    file: Path | None = None,
    home: Path | None = None,
    out: Out,
) -> None:
    """Add what this installation lacks of a profile: limits, and settings in farthing.toml.

    What somebody set before stays as it is, and applying twice changes nothing the second time. Without --apply it
    only says what it would do. The profiles' figures are rules of thumb of early 2026, to begin with.

    Args:
        profile: startup (5k to 15k dollars a month), mid-size (15k to 80k) or enterprise (80k and more).
        budget: The total in dollars a month; default: the profile's.
        apply: Do it.
        file: The settings file; by default farthing.toml here, or $FARTHING_CONFIG.
        home: Data folder; default: the configured one.
        out: Where the steps go.
    """
    from farthing.app.profiles import carry_out, plan
    from farthing.governance.profiles import PROFILES

    chosen = PROFILES[profile]
    total = amount(budget, "--budget") if budget else chosen.budget
    env = config.environment()
    target = config.settings_file(file, env) or Path(config.FILE)
    local = Local.open(home=home, config_file=target if target.exists() else None, env=env)
    planned = plan(chosen, total, file=target, existing=local.limits(), zone=local.settings.web.zone)
    if apply:
        with local.store() as store:
            carry_out(planned, store, local.by())
    rows = [
        {"what": step.what, "name": step.name, "wanted": step.wanted,
         "state": "added" if apply and step.state == "add" else step.state, "now": step.now}
        for step in planned.steps
    ]  # fmt: skip
    out.table(["what", "name", "wanted", Column("state", style="bold"), "now"], rows)
    bounds = f"{chosen.least:,f} to {chosen.most:,f}" if chosen.most else f"{chosen.least:,f} and more"
    out.note(f"Profile {profile}: {total:,f} USD a month (such companies spend {bounds}).")
    if planned.empty:
        out.note("Nothing is to be done.")
    elif not apply:
        out.next(f"farthing init --profile {profile} {f'--budget {budget} ' if budget else ''}--apply", "do it")
    else:
        out.next("farthing budget list", "how the limits stand")
