"""The endpoints of the audit log. Only who is not confined to a tenant reads it: it is about everybody."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream

from farthing.core.errors import DeniedError, InputError
from farthing.core.nouns import Scope
from farthing.core.time import Window, parse_instant
from farthing.governance.roles import Who
from farthing.state.audit import AuditQuestion, Entry
from farthing.web.approval_views import ChangeView, differences
from farthing.web.problems import documented
from farthing.web.questions import EARLIEST, LATEST, Limit, Text, clean
from farthing.web.services import Using
from farthing.web.table import CSV, csv_line, csv_stream
from farthing.web.who import Asker
from farthing.web.wire import plain

_INSTANT = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
When = Annotated[
    str | None,
    QueryParameter(description="An instant with its offset, or a date in UTC", schema_extra=_INSTANT),
]
Below = Annotated[
    int | None, QueryParameter(ge=1, le=2**31 - 1, description="`next` of the page before: older entries only")
]
_COLUMNS = ("number", "at", "actor", "action", "subject", "before", "after", "hash")


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: who did what to what, and the fields that it changed. ``hash`` chains it to the entry before."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    changes: tuple[ChangeView, ...]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    hash: str


class AuditAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, newest first. ``next`` goes on with older ones, as ``below``."""

    rows: tuple[EntryView, ...]
    next: int | None


class ChainView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the log is as it was written. ``head`` is the hash of the last entry: noted elsewhere, it proves later
    that nothing was cut off. ``unsealed`` entries are older than the chain, whose first entry covers them.
    """

    whole: bool
    entries: int
    head: str
    unsealed: int
    broken: int | None
    reason: str


@get("/audit", summary="Who changed what", sync_to_thread=True, responses=documented(403))
def read_audit(
    *,
    services: Using,
    who: Asker,
    actor: Text = "",
    action: Text = "",
    subject: Text = "",
    start: When = None,
    end: When = None,
    below: Below = None,
    limit: Limit = 100,
) -> AuditAnswer:
    _must_read(who)
    asked = _asked(actor, action, subject, start, end)
    found = services.audit.list(msgspec.structs.replace(asked, below=below, limit=limit + 1))
    rows = tuple(map(_view, found[:limit]))
    return AuditAnswer(rows=rows, next=rows[-1].number if len(found) > limit else None)


@get("/audit.csv", summary="The audit log as CSV", sync_to_thread=True, responses={**documented(403), **CSV})
def read_audit_csv(
    *,
    services: Using,
    who: Asker,
    actor: Text = "",
    action: Text = "",
    subject: Text = "",
    start: When = None,
    end: When = None,
) -> Stream:
    _must_read(who)
    return csv_stream(_lines(services.audit.pages(_asked(actor, action, subject, start, end))), "audit")


@get(
    "/audit/chain", summary="Whether the audit log is as it was written", sync_to_thread=True, responses=documented(403)
)
def read_audit_chain(services: Using, who: Asker, expect: Text = "") -> ChainView:
    _must_read(who)
    found = services.audit.verify(expect=clean(expect, "expect"))
    return ChainView(
        whole=found.whole, entries=found.entries, head=found.head, unsealed=found.unsealed, broken=found.broken,
        reason=found.reason,
    )  # fmt: skip


ROUTES = (read_audit, read_audit_csv, read_audit_chain)


def _must_read(who: Who) -> None:
    who.must("audit.read")
    if who.scope != Scope():
        raise DeniedError("The audit log is about all tenants", reason="tenant", remedy="Ask an unconfined admin")


def _asked(actor: str, action: str, subject: str, start: str | None, end: str | None) -> AuditQuestion:
    return AuditQuestion(
        actor=clean(actor, "actor"),
        action=clean(action, "action"),
        subject=clean(subject, "subject"),
        window=Window(start=_instant(start, "start"), end=_instant(end, "end")),
    )


def _instant(text: str | None, field: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = parse_instant(text, field=field)
    except OverflowError:
        at = None
    if at is None or not EARLIEST <= at <= LATEST:
        remedy = f"Use a time from {EARLIEST.year} to {LATEST.year}"
        raise InputError("out of range", field=field, value=text, remedy=remedy)
    return at


def _view(entry: Entry) -> EntryView:
    return EntryView(
        number=entry.number,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        changes=tuple(differences(entry.before, entry.after)),
        before=None if entry.before is None else plain(entry.before),
        after=None if entry.after is None else plain(entry.after),
        hash=entry.hash,
    )


def _lines(entries: Iterator[Entry]) -> Iterator[bytes]:
    yield csv_line(_COLUMNS)
    for entry in entries:
        states = (
            None if state is None else msgspec.json.encode(state).decode() for state in (entry.before, entry.after)
        )
        yield csv_line((entry.number, entry.at, entry.actor, entry.action, entry.subject, *states, entry.hash))
