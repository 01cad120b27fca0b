"""The audit log: who changed what, when, from what, to what. Nothing in it is ever changed.

Triggers of the database refuse to change or delete entries, and each entry's ``hash`` covers its content and the hash
of the one before: whoever gets around the triggers breaks the chain, which ``verify`` finds. Entries older than the
chain have no hash of their own; the first that has one covers them all. A chain cut off at its end still fits: note
its head elsewhere, and verify that it is still in there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import sqlalchemy as sa

from farthing.core.time import Window
from farthing.state.database import Database
from farthing.state.tables import audit, changes, settings

_PAGE = 1000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. ``action`` is like ``key.create``; ``before`` is empty for something new, ``after`` for
    something removed. Secrets and hashes of tokens are never in it. ``hash`` chains it to the entry before.
    """

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    hash: str = ""

    def sealed(self, previous: str) -> str:
        """The hash it has after an entry with the hash ``previous``: SHA-256 in hex."""
        content = [
            previous, self.number, self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            self.actor, self.action, self.subject, self.before, self.after,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class AuditQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries. Empty fields do not narrow. ``action`` is the beginning of one, such as ``key.``; ``below``
    continues behind the last number of the page before.
    """

    actor: str = ""
    action: str = ""
    subject: str = ""
    window: Window = Window()
    below: int | None = None
    limit: int = 100


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What checking the chain found. ``broken`` is the number of the first entry that does not fit; ``head`` the hash
    of the last one, ``unsealed`` how many are older than the chain.
    """

    entries: int
    head: str = ""
    number: int = 0
    unsealed: int = 0
    broken: int | None = None
    reason: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing was changed, taken out or put in between."""
        return self.broken is None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes something, and when: every write to the store is made by somebody."""

    actor: str
    at: datetime

    def record(
        self,
        connection: sa.Connection,
        action: str,
        subject: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the change down in the transaction that makes it, and let other processes notice it."""
        connection.execute(sa.update(changes).values(number=changes.c.number + 1))
        self.note(connection, action, subject, before=before, after=after)

    def note(
        self,
        connection: sa.Connection,
        action: str,
        subject: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down what happened, where nothing changes that other processes would have to know.

        Entries follow one another under the store's write lock, so that numbers have no gaps and hashes one order.
        """
        connection.execute(sa.select(changes.c.number).with_for_update())
        last = _last(connection)
        entry = Entry(
            number=last.number + 1 if last else 1,
            at=self.at,
            actor=self.actor,
            action=action,
            subject=subject,
            before=_as_kept(before),
            after=_as_kept(after),
        )
        previous = "" if last is None else last.hash or _older(connection)
        row = {**msgspec.structs.asdict(entry), "hash": entry.sealed(previous)}
        states = {name: sa.null() if row[name] is None else row[name] for name in ("before", "after")}
        connection.execute(sa.insert(audit).values({**row, **states}))


class Audit:
    """Reads the log, and notes what is no change of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self,
        change: Change,
        action: str,
        subject: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down something that happened outside the store, such as a refused login or refreshed prices."""
        with self._database.write() as connection:
            change.note(connection, action, subject, before=before, after=after)

    def noticed(self, change: Change, action: str, subject: str, state: Mapping[str, Any]) -> bool:
        """Write down how something outside the store differs from what was noticed last; false when it does not.

        ``state`` is flat. The entry holds the fields that differ, and the ``digest`` of the whole on either side.
        """
        name, now = f"noticed {subject}", dict(_as_kept(state) or {})
        with self._database.write() as connection:
            row = connection.execute(sa.select(settings.c.value).where(settings.c.name == name)).first()
            last: dict[str, Any] = {} if row is None else row.value
            if row is not None and last == now:
                return False
            values = {"value": now, "changed": change.at}
            connection.execute(
                sa.insert(settings).values(name=name, **values)
                if row is None
                else sa.update(settings).where(settings.c.name == name).values(values)
            )
            before = None if row is None else _differing(last, now)
            change.note(connection, action, subject, before=before, after=_differing(now, last))
        return True

    def list(self, question: AuditQuestion | None = None, *, subject: str = "", limit: int = 100) -> list[Entry]:
        """The latest entries that fit, newest first. ``subject`` and ``limit`` say the usual without a question."""
        asked = question or AuditQuestion(subject=subject, limit=limit)
        with self._database.read() as connection:
            query = _narrowed(asked).order_by(audit.c.number.desc()).limit(asked.limit)
            return [_entry(row) for row in connection.execute(query).mappings()]

    def pages(self, question: AuditQuestion) -> Iterator[Entry]:
        """Every entry that fits, newest first, read page by page however many there are."""
        below = question.below
        while True:
            page = self.list(msgspec.structs.replace(question, below=below, limit=_PAGE))
            yield from page
            if len(page) < _PAGE:
                return
            below = page[-1].number

    def verify(self, *, expect: str = "") -> Verdict:
        """Check the whole chain. ``expect`` is a hash noted earlier, which must still be in it."""
        with self._database.read() as connection:
            return _checked(_oldest_first(connection), expect)


def _checked(entries: Iterator[Entry], expect: str) -> Verdict:
    count, previous, unsealed = 0, "", 0
    seen = not expect
    for entry in entries:
        wanted = entry.sealed(previous)
        reason = _flaw(entry, wanted, count, unsealed)
        if reason:
            return Verdict(entries=count, head=previous, number=count, unsealed=unsealed, broken=entry.number,
                           reason=reason)  # fmt: skip
        count, previous = count + 1, wanted
        unsealed += not entry.hash
        seen = seen or wanted == expect
    verdict = Verdict(entries=count, head=previous, number=count, unsealed=unsealed)
    if seen:
        return verdict
    return msgspec.structs.replace(verdict, broken=count + 1, reason="the expected head is not in the chain")


def _flaw(entry: Entry, wanted: str, count: int, unsealed: int) -> str:
    """What is wrong with an entry behind ``count`` others. Entries older than the chain may have gaps."""
    if not entry.hash:
        return "" if unsealed == count else "an entry without a hash stands inside the chain"
    if entry.hash != wanted:
        return "its content, or something before it, is not what was written"
    return ""


def _last(connection: sa.Connection) -> Entry | None:
    row = connection.execute(sa.select(audit).order_by(audit.c.number.desc()).limit(1)).mappings().first()
    return None if row is None else _entry(row)


def _older(connection: sa.Connection) -> str:
    """The hash that the entries older than the chain would end with."""
    previous = ""
    for entry in _oldest_first(connection):
        previous = entry.sealed(previous)
    return previous


def _oldest_first(connection: sa.Connection) -> Iterator[Entry]:
    """All entries, read page by page: whoever stops in the middle leaves nothing open."""
    above: int | None = None
    while True:
        query = sa.select(audit).order_by(audit.c.number).limit(_PAGE)
        page = connection.execute(query if above is None else query.where(audit.c.number > above)).mappings().all()
        yield from map(_entry, page)
        if len(page) < _PAGE:
            return
        above = page[-1]["number"]


def _narrowed(asked: AuditQuestion) -> sa.Select[Any]:
    query = sa.select(audit)
    if asked.actor:
        query = query.where(audit.c.actor == asked.actor)
    if asked.action:
        query = query.where(audit.c.action.startswith(asked.action, autoescape=True))
    if asked.subject:
        query = query.where(audit.c.subject == asked.subject)
    if asked.window.start is not None:
        query = query.where(audit.c.at >= asked.window.start)
    if asked.window.end is not None:
        query = query.where(audit.c.at < asked.window.end)
    if asked.below is not None:
        query = query.where(audit.c.number < asked.below)
    return query


def _entry(row: Mapping[Any, Any]) -> Entry:
    return Entry(**row)


def _differing(state: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not the same on the other side, and the digest of all."""
    whole = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    return {"digest": whole, **{name: value for name, value in state.items() if other.get(name, ...) != value}}


def _as_kept(state: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A state as it will come back from the store, which is what the hash covers."""
    return None if state is None else cast("Mapping[str, Any]", json.loads(json.dumps(state)))
