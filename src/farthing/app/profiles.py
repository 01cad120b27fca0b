"""Sets an installation up after a profile: adds what is missing, and never changes what somebody set."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from farthing import config
from farthing.app.standing import said
from farthing.core.errors import ConflictError, UnavailableError
from farthing.core.limits import Limit
from farthing.core.toml import Source
from farthing.governance.profiles import Profile, limits_of

if TYPE_CHECKING:
    from farthing.state.audit import Change
    from farthing.state.store import Store

_NEW = """\
# Settings of Farthing. Everything that is left out has a default that works: farthing config show
# Check this file with: farthing config check
"""
_ALERTS = """\
# Who is told about budgets and approvals. Addresses hold secrets, so they stand elsewhere.
# Try them with: farthing alerts test
# [[alerts.targets]]
# url = "env:SLACK_URL"            # slack://TOKEN_A/TOKEN_B/TOKEN_C/#channel, mailto://…, jsons://…
# events = ["budget", "approval"]  # all when left out
# min_severity = "warning"         # info, warning or critical
"""

Section = Mapping[str, tuple[str, str]]
"""Settings of a section: name → its value as TOML, and why."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a profile wants. ``state``: it is to be added, stands as wanted, or stands otherwise and stays."""

    what: Literal["setting", "limit"]
    name: str
    wanted: str
    state: Literal["add", "same", "kept"]
    now: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done. ``text`` is the settings file as it will be, ``limits`` those to be made."""

    steps: tuple[Step, ...]
    file: Path
    text: str | None
    limits: tuple[Limit, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing is to be done."""
        return self.text is None and not self.limits


def plan(profile: Profile, budget: Decimal, *, file: Path, existing: Sequence[Limit], zone: str) -> Plan:
    """What an installation lacks of a profile. Raises ``ConfigError`` for a file that cannot be read."""
    before = _read(file)
    source = Source.parse(str(file), before)
    after, steps = _settings(profile, before, source)
    own = {limit.name: limit for limit in existing}
    wanted = limits_of(profile, budget, zone=zone)
    steps += [_limit_step(limit, own.get(limit.name)) for limit in wanted]
    return Plan(
        steps=tuple(steps),
        file=file,
        text=None if after == before else after,
        limits=tuple(limit for limit in wanted if limit.name not in own),
    )


def carry_out(planned: Plan, store: "Store", change: "Change") -> None:
    """Write the file, when it can be used afterwards, and make the limits.

    Raises ``ConflictError`` for a file that cannot be extended, ``UnavailableError`` for one that cannot be written.
    """
    if planned.text is not None:
        _write(planned.file, planned.text)
    for limit in planned.limits:
        store.limits.create(change, limit)


def _settings(profile: Profile, text: str, source: Source) -> tuple[str, list[Step]]:
    """The text with what it lacks of a profile's settings."""
    steps: list[Step] = []
    missing: dict[str, tuple[str, str]] = {}
    own = source.tree.get("approvals", {})
    for name, (value, why) in profile.approvals.items():
        if name not in own:
            missing[name] = (value, why)
        wanted = Source.parse("profile", f"x = {value}").tree["x"]
        state = "add" if name not in own else "same" if own[name] == wanted else "kept"
        now = "" if name not in own else str(own[name])
        steps.append(Step(what="setting", name=f"approvals.{name}", wanted=value, state=state, now=now))
    text = text or _NEW
    if missing:
        text = _extended(text, source, "approvals", missing, f"# Profile {profile.name}: who has to agree to what")
    if "alerts" not in source.tree:
        text = f"{text.rstrip()}\n\n[alerts]\n{_ALERTS}"
        steps.append(Step(what="setting", name="alerts", wanted="a commented example", state="add"))
    return text, steps


def _extended(text: str, source: Source, section: str, missing: Section, head: str) -> str:
    """The text with more settings in a section: behind its header, or in a new one at the end."""
    lines = [f"{name} = {value}  # {why}" for name, (value, why) in missing.items()]
    if section not in source.tree:
        return "\n".join([text.rstrip(), "", f"[{section}]", head, *lines, ""])
    rows = text.splitlines()
    header = next((i for i, row in enumerate(rows) if re.match(rf"\s*\[\s*{section}\s*\]", row)), None)
    if header is None:
        raise ConflictError(
            f"{source.name} sets {section} without a [{section}] section",
            remedy=f"Add by hand: {'; '.join(lines)}",
        )
    return "\n".join([*rows[: header + 1], *lines, *rows[header + 1 :], ""])


def _limit_step(wanted: Limit, own: Limit | None) -> Step:
    if own is None:
        return Step(what="limit", name=wanted.name, wanted=said(wanted), state="add")
    same = msgspec.structs.replace(own, id="", since=None) == wanted
    return Step(
        what="limit", name=wanted.name, wanted=said(wanted), state="same" if same else "kept", now=said(own)
    )  # fmt: skip


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as problem:
        raise UnavailableError(f"{file} cannot be read: {problem}", remedy="Check the path") from None


def _write(file: Path, text: str) -> None:
    """Replace the file at once, so that no reader sees half of it. Raises ``ConfigError`` instead of breaking it."""
    draft = file.with_name(f"{file.name}.new")
    try:
        draft.write_text(text, encoding="utf-8")
        config.load(draft, {})
        draft.replace(file)
    except OSError as problem:
        raise UnavailableError(f"{file} cannot be written: {problem}", remedy="Make its folder writable") from None
    finally:
        draft.unlink(missing_ok=True)


__all__ = ["Plan", "Step", "carry_out", "plan"]
