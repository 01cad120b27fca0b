"""Checks an installation: what is wrong, how bad it is, and what to do about it."""

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Literal

import msgspec

from farthing.app.local import Local
from farthing.app.probe import Probe, survey
from farthing.core.errors import ConfigError, FarthingError

Level = Literal["ok", "warn", "fail"]

MIB = 1024 * 1024
DISK_WARN, DISK_FAIL = 2048 * MIB, 256 * MIB
"""The journal reserves a segment for each worker and the ledger rewrites files when it merges them."""

BACKLOG_WARN = timedelta(minutes=10)
CLOCK_WARN, CLOCK_FAIL = timedelta(seconds=5), timedelta(seconds=60)
KEYS_SOON = timedelta(days=7)
BUILT = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that is right says less."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. ``remedy`` is empty when nothing is to be done."""

    name: str
    level: Level
    message: str
    remedy: str = ""


def examine(local: Local, *, offline: bool = False, timeout: float = 5) -> Iterator[Check]:
    """Every check of an installation whose settings could be read; nothing is created or changed.

    ``offline`` asks no provider. ``timeout`` is in seconds, for each provider.
    """
    parts: tuple[tuple[str, Callable[[Local], Iterator[Check]]], ...] = (
        ("folder", _folder),
        ("disk", _disk),
        ("clock", _clock),
        ("ports", _ports),
        ("state", _state),
        ("ledger", _ledger),
        ("journal", _journal),
        ("prices", _prices),
    )
    for name, part in parts:
        yield from _guarded(name, part, local)
    yield from _guarded("providers", lambda here: _providers(here, offline=offline, timeout=timeout), local)


def settings_checks(problems: list[ConfigError], source: Path | None) -> Iterator[Check]:
    """The settings' problems as checks."""
    for problem in problems:
        where = f"{problem.file}:{problem.line}" if problem.line else problem.file
        message = f"{where}: {problem.field}: {problem.message} (got {problem.value!r})"
        yield Check(name="settings", level="fail", message=message, remedy=problem.remedy)
    if not problems:
        yield Check(name="settings", level="ok", message=str(source or "defaults and variables"))


def _guarded(name: str, part: Callable[[Local], Iterator[Check]], local: Local) -> Iterator[Check]:
    """A part's checks; what it could not look at is a failure, and the next part goes on."""
    try:
        yield from part(local)
    except FarthingError as problem:
        yield Check(name=name, level="fail", message=problem.message, remedy=problem.remedy)


def _folder(local: Local) -> Iterator[Check]:
    home = local.settings.home
    if not home.exists():
        above = next((p for p in home.absolute().parents if p.exists()), Path("/"))
        if os.access(above, os.W_OK):
            yield Check(name="folder", level="ok", message=f"{home} will be created by the first start")
        else:
            remedy = f"Make {above} writable for this user, or set FARTHING_HOME elsewhere"
            yield Check(name="folder", level="fail", message=f"{home} cannot be created", remedy=remedy)
        return
    if not home.is_dir() or not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        remedy = "Give this user read and write access, or set FARTHING_HOME elsewhere"
        yield Check(name="folder", level="fail", message=f"{home} is no folder that can be written", remedy=remedy)
        return
    loose = [
        path.name for path in _private(local) if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    if loose:
        message = f"other users can read {', '.join(loose)}"
        yield Check(name="folder", level="warn", message=message, remedy=f"chmod -R go= {home}")
    else:
        yield Check(name="folder", level="ok", message=f"{home} can be written, and only by its owner")


def _private(local: Local) -> tuple[Path, ...]:
    return local.settings.home / "state.db", local.settings.admin_token, local.settings.snapshot


def _disk(local: Local) -> Iterator[Check]:
    home = local.settings.home.absolute()
    usage = shutil.disk_usage(next(p for p in (home, *home.parents) if p.exists()))
    level: Level = "fail" if usage.free < DISK_FAIL else "warn" if usage.free < DISK_WARN else "ok"
    message = f"{usage.free / MIB:,.0f} MiB of {usage.total / MIB:,.0f} MiB are free"
    yield Check(
        name="disk",
        level=level,
        message=message,
        remedy="" if level == "ok" else "Free some space, or set ledger.retain_days",
    )


def _clock(local: Local) -> Iterator[Check]:
    """The clock against what is known without asking anybody: this release and the files written so far."""
    now = local.now()
    written = [path.stat().st_mtime for path in _written(local)]
    newest = datetime.fromtimestamp(max(written), UTC) if written else BUILT
    if now < BUILT or newest - now > CLOCK_FAIL:
        message = f"the clock says {now:%Y-%m-%d %H:%M:%S}Z, but something was written at {newest:%Y-%m-%d %H:%M:%S}Z"
        yield Check(name="clock", level="fail", message=message, remedy="Set the clock, and keep it right with NTP")
    else:
        yield Check(name="clock", level="ok", message=f"{now:%Y-%m-%d %H:%M:%S}Z is later than all that was written")


def _written(local: Local) -> Iterator[Path]:
    files = (*_private(local), *local.settings.journal.glob("*/*"))
    return (path for path in files if path.is_file())


def _ports(local: Local) -> Iterator[Check]:
    gateway, web = local.settings.gateway, local.settings.web
    for name, host, port, path in (
        ("gateway", gateway.host, gateway.port, "/healthz"),
        ("web", web.host, web.port, "/api/v1/health"),
    ):
        free = _is_free(host, port)
        if free or _is_ours(host, port, path):
            message = f"{host}:{port} is free" if free else f"Farthing answers at {host}:{port}"
            yield Check(name=f"port {name}", level="ok", message=message)
        else:
            remedy = f"Stop what listens there, or set {name}.port (FARTHING_{name.upper()}_PORT)"
            yield Check(
                name=f"port {name}", level="fail", message=f"{host}:{port} is taken by another program", remedy=remedy
            )


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _is_ours(host: str, port: int, path: str) -> bool:
    """Whether a Farthing listens there: its gateway says ``ok``, its control plane speaks JSON to strangers too."""
    connection = HTTPConnection("127.0.0.1" if host in ("", "0.0.0.0", "::") else host, port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read(64) == b"ok\n" or "json" in (answer.getheader("content-type") or "")
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _state(local: Local) -> Iterator[Check]:
    file = local.settings.home / "state.db"
    if not local.settings.state.url and not file.exists():
        yield Check(name="state", level="ok", message=f"{file} will be created by the first start")
        return
    now = local.now()
    with local.store() as store:
        yield Check(name="state", level="ok", message=f"{store.name} is at schema {store.schema()}")
        keys = [key for key in store.keys.list() if key.status(now) == "active"]
    if not keys and local.settings.gateway.require_keys:
        remedy = "farthing key create"
        yield Check(
            name="keys", level="warn", message="no key works, so the gateway refuses every request", remedy=remedy
        )
    replaced = {key.rotated_from for key in keys}
    for key in keys:
        if key.expires and key.expires - now < KEYS_SOON and key.id not in replaced:
            message = f"key {key.name or key.id} expires on {key.expires:%Y-%m-%d %H:%M}Z"
            yield Check(name="keys", level="warn", message=message, remedy=f"farthing key rotate {key.id}")


def _ledger(local: Local) -> Iterator[Check]:
    url = local.settings.ledger_url
    if "://" not in url and not Path(url).exists():
        yield Check(name="ledger", level="ok", message=f"{url} will be created by the first fact")
        return
    through = local.ledger().through()
    reach = f"holds facts up to {through:%Y-%m-%d %H:%M:%S}Z" if through else "holds no request yet"
    yield Check(name="ledger", level="ok", message=f"{url} {reach}")


def _journal(local: Local) -> Iterator[Check]:
    folder = local.settings.journal
    segments = [path for path in folder.glob("*/*.seg") if path.is_file()]
    if not segments:
        yield Check(name="journal", level="ok", message="nothing waits for the ledger")
        return
    oldest = local.now() - datetime.fromtimestamp(min(path.stat().st_mtime for path in segments), UTC)
    message = f"{len(segments)} journal file(s), {oldest.total_seconds():.0f} s since the oldest was written"
    waiting = len({path.parent for path in segments}) < len(segments) and oldest > BACKLOG_WARN
    remedy = "Start Farthing (farthing up), whose control process drains it; nothing is lost" if waiting else ""
    yield Check(name="journal", level="warn" if waiting else "ok", message=message, remedy=remedy)


def _prices(local: Local) -> Iterator[Check]:
    from farthing.catalog.catalog import is_stale
    from farthing.core.nouns import Kind

    offers = local.catalog().offers
    today = local.now().date()
    groups = {
        "tokens": [o for o in offers if o.kind is Kind.TOKENS],
        "machines": [o for o in offers if o.kind is not Kind.TOKENS],
    }
    for name, group in groups.items():
        old = sum(is_stale(offer, today) for offer in group)
        newest = max((offer.checked for offer in group if offer.checked), default=None)
        message = f"{len(group):,} prices of {name}, the newest confirmed on {newest or 'no known day'}"
        if old:
            message += f"; {old:,} were not confirmed within 30 days"
        remedy = "farthing prices refresh, or upgrade Farthing" if old else ""
        yield Check(name=f"prices {name}", level="warn" if old else "ok", message=message, remedy=remedy)


def _providers(local: Local, *, offline: bool, timeout: float) -> Iterator[Check]:
    accounts = local.settings.providers
    if local.settings.state.url or (local.settings.home / "state.db").exists():
        with local.store() as store:
            accounts = local.providers(store)
    accounts = {name: account for name, account in sorted(accounts.items()) if account.enabled}
    if not accounts:
        remedy = "farthing provider add openai --api-key env:OPENAI_API_KEY"
        yield Check(name="providers", level="warn", message="there is no provider to send requests to", remedy=remedy)
    elif offline:
        yield Check(name="providers", level="ok", message=f"{len(accounts)} not asked (offline)")
        return
    for name, answer in survey(accounts, local, timeout=timeout).items():
        level: Level = "ok" if answer.ok else "fail"
        message = f"{len(answer.models)} models in {answer.ms:.0f} ms" if answer.ok else answer.error
        yield Check(name=f"provider {name}", level=level, message=message, remedy=answer.remedy)
        yield from _skew(name, answer)


def _skew(name: str, answer: Probe) -> Iterator[Check]:
    """Our clock against a provider's, whose header counts whole seconds."""
    if answer.date is None or answer.asked is None:
        return
    off = abs(answer.asked - answer.date)
    if off > CLOCK_WARN:
        level: Level = "fail" if off > CLOCK_FAIL else "warn"
        message = f"this clock and {name}'s differ by {off.total_seconds():.0f} s"
        yield Check(
            name="clock",
            level=level,
            message=message,
            remedy="Keep the clock right with NTP: prices and limits depend on it",
        )
