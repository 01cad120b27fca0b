"""What waits for somebody's yes, and what became of it.

::

    pending ──► approved ──► running ──► done
       │           │  ▲         ├──────► failed     it could not be done, or nobody knows whether it was
       │           │  └─────────┘                   nothing was begun: it may be tried again
       ├──► denied │
       ├──► withdrawn ◄─┤
       └──► expired ◄───┘

Every step is one transaction under the store's write lock, with its entry in the audit log. ``running`` is entered
once, by one process, before anything is done: what was approved is never done twice, whatever is killed in between.
"""

import builtins
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from farthing.core.errors import ConflictError, NotFoundError
from farthing.core.nouns import Scope
from farthing.state.audit import Change
from farthing.state.database import Database
from farthing.state.tables import approvals, votes


class State(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


OPEN = (State.PENDING, State.APPROVED, State.RUNNING)
"""States from which something may still happen."""

_DYING = (State.PENDING, State.APPROVED)
"""States that end by themselves when their time is over."""


class Verdict(StrEnum):
    """What somebody says to it."""

    APPROVE = "approve"
    DENY = "deny"


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """One person's word; they have no second one. ``person`` is their id, ``name`` what the audit log calls them."""

    person: str
    name: str
    verdict: Verdict
    at: datetime
    comment: str = ""


class Petition(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, and who may agree: ``wanted`` people who hold ``duty`` or one of ``instead``.

    ``amount`` is in dollars a month where it recurs. ``payload`` is all that doing it needs, as JSON. ``digest`` says
    what is asked: asking the same again is the same question. ``collected``: the asker fetches the result in person.
    ``asker`` is the person's id, ``asked_by`` their name.
    """

    action: str
    subject: str
    summary: str
    payload: Mapping[str, Any]
    digest: str
    duty: str
    reason: str
    asker: str
    asked_by: str
    scope: Scope = Scope()
    category: str = ""
    amount: Decimal | None = None
    collected: bool = False
    instead: tuple[str, ...] = ()
    wanted: int = 1

    @property
    def duties(self) -> tuple[str, ...]:
        """All duties that may agree."""
        return (self.duty, *self.instead)


class Approval(Petition, frozen=True, kw_only=True):
    """A petition on its way. ``expires``: until then it waits, for votes while it is pending, for whoever asked once
    it is approved. ``tries`` counts attempts to carry it out, the last of which was ``begun``.
    """

    id: str
    asked: datetime
    expires: datetime
    state: State = State.PENDING
    tries: int = 0
    begun: datetime | None = None
    closed: datetime | None = None
    result: Mapping[str, Any] | None = None
    votes: tuple[Vote, ...] = ()

    def at(self, now: datetime) -> State:
        """Its state at an instant: what waits too long is expired before anybody has written that down."""
        return State.EXPIRED if self.state in _DYING and self.expires <= now else self.state

    @property
    def yes(self) -> int:
        """How many agreed."""
        return sum(vote.verdict is Verdict.APPROVE for vote in self.votes)


class Approvals:
    """The approvals of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, change: Change, petition: Petition, *, expires: datetime) -> tuple[Approval, bool]:
        """Put a question, and whether it is a new one: the same question of the same person is asked once at a time.

        One that nobody has to agree to is approved from the start.
        """
        with self._database.write() as connection:
            for known in _found(connection, approvals.c.digest == petition.digest, approvals.c.state.in_(OPEN)):
                if known.asker == petition.asker and known.at(change.at) in OPEN:
                    return known, False
            facts = {name: getattr(petition, name) for name in petition.__struct_fields__}
            state = State.PENDING if petition.wanted else State.APPROVED
            made = Approval(**facts, id=f"ap_{secrets.token_hex(8)}", asked=change.at, expires=expires, state=state)
            connection.execute(sa.insert(approvals).values(_row(made)))
            change.record(connection, "approval.ask", made.id, after=public(made))
        return made, True

    def vote(
        self, change: Change, id: str, *, person: str, verdict: Verdict, valid_until: datetime, comment: str = ""
    ) -> Approval:
        """Count somebody's word. The last yes that is wanted approves, and what it allows holds until ``valid_until``;
        one no denies.

        Raises ``NotFoundError``, and ``ConflictError`` for a second word, the asker's own, and whatever is not pending.
        """
        with self._database.write() as connection:
            old = _get(connection, id)
            _must_be(old, State.PENDING, change.at)
            if person == old.asker:
                raise ConflictError("Whoever asks has no vote", remedy="Somebody else has to agree")
            if any(vote.person == person for vote in old.votes):
                raise ConflictError("You voted already", remedy="A vote stands; ask again where it was a mistake")
            vote = Vote(person=person, name=change.actor, verdict=verdict, at=change.at, comment=comment)
            connection.execute(sa.insert(votes).values(approval=id, **msgspec.structs.asdict(vote)))
            new = _counted(msgspec.structs.replace(old, votes=(*old.votes, vote)), valid_until, change.at)
            said = {"verdict": verdict.value, "comment": comment, "yes": new.yes, "wanted": new.wanted}
            _move(connection, change, f"approval.{verdict}", old, new, **said)
        return new

    def withdraw(self, change: Change, id: str) -> Approval:
        """Take a question back, or leave that was given. Raises ``NotFoundError``, ``ConflictError``."""
        with self._database.write() as connection:
            old = _get(connection, id)
            _must_be(old, old.state if old.state in _DYING else State.PENDING, change.at)
            new = msgspec.structs.replace(old, state=State.WITHDRAWN, closed=change.at)
            _move(connection, change, "approval.withdraw", old, new)
        return new

    def claim(self, change: Change, id: str) -> Approval:
        """Begin to carry it out: nobody else will. Raises ``NotFoundError``, and ``ConflictError`` when it is not
        approved, or somebody began before.
        """
        with self._database.write() as connection:
            old = _get(connection, id)
            _must_be(old, State.APPROVED, change.at)
            new = msgspec.structs.replace(old, state=State.RUNNING, tries=old.tries + 1, begun=change.at)
            _move(connection, change, "approval.begin", old, new, **{"try": new.tries})
        return new

    def finish(self, change: Change, id: str, result: Mapping[str, Any]) -> Approval:
        """It is done. ``result`` is JSON for people, without secrets."""
        return self._end(change, id, State.DONE, "approval.done", result)

    def fail(self, change: Change, id: str, problem: str) -> Approval:
        """It could not be done, and will not be tried again."""
        return self._end(change, id, State.FAILED, "approval.fail", {"problem": problem})

    def release(self, change: Change, id: str, problem: str) -> Approval:
        """Nothing was begun: it may be tried again."""
        return self._end(change, id, State.APPROVED, "approval.retry", {"problem": problem})

    def redeem(self, change: Change, id: str, use: Mapping[str, Any]) -> Approval:
        """Use leave that was given, once. ``use`` says for what. Raises ``NotFoundError``, ``ConflictError``."""
        with self._database.write() as connection:
            old = _get(connection, id)
            _must_be(old, State.APPROVED, change.at)
            new = msgspec.structs.replace(old, state=State.DONE, closed=change.at, result=use)
            _move(connection, change, "approval.use", old, new, result=use)
        return new

    def sweep(self, change: Change, *, stuck: timedelta) -> builtins.list[Approval]:
        """Write down what is over: questions that waited too long, and what was begun ``stuck`` ago and never ended,
        because its process died. Whether the latter happened nobody knows, so it fails and is not tried again.
        """
        over = sa.or_(
            sa.and_(approvals.c.state.in_(_DYING), approvals.c.expires <= change.at),
            sa.and_(approvals.c.state == State.RUNNING, approvals.c.begun <= change.at - stuck),
        )
        with self._database.read() as connection:
            if connection.execute(sa.select(approvals.c.id).where(over).limit(1)).first() is None:
                return []
        with self._database.write() as connection:
            return [_closed(connection, change, old) for old in _found(connection, over)]

    def get(self, id: str) -> Approval:
        """One approval. Raises ``NotFoundError``."""
        with self._database.read() as connection:
            return _get(connection, id)

    def list(self, *, states: Iterable[State] = (), limit: int = 200) -> builtins.list[Approval]:
        """Approvals in some states, or all, newest first."""
        wanted = [approvals.c.state.in_(tuple(states))] if states else []
        with self._database.read() as connection:
            return _found(connection, *wanted, limit=limit)

    def standing(self, action: str, subject: str) -> builtins.list[Approval]:
        """What is approved and not used, about one subject."""
        here = (approvals.c.action == action, approvals.c.subject == subject, approvals.c.state == State.APPROVED)
        with self._database.read() as connection:
            return _found(connection, *here)

    def _end(self, change: Change, id: str, state: State, action: str, result: Mapping[str, Any]) -> Approval:
        with self._database.write() as connection:
            old = _get(connection, id)
            _must_be(old, State.RUNNING, change.at)
            closed = None if state is State.APPROVED else change.at
            new = msgspec.structs.replace(old, state=state, closed=closed, result=result)
            _move(connection, change, action, old, new, result=result)
        return new


def public(approval: Approval) -> dict[str, Any]:
    """An approval as JSON, for the audit log."""
    plain: dict[str, Any] = msgspec.to_builtins(approval)
    plain["scope"] = {field: value for field, value in plain["scope"].items() if value}
    return {name: value for name, value in plain.items() if value not in (None, "", [], {}, False)}


def _counted(approval: Approval, valid_until: datetime, now: datetime) -> Approval:
    if any(vote.verdict is Verdict.DENY for vote in approval.votes):
        return msgspec.structs.replace(approval, state=State.DENIED, closed=now)
    if approval.yes >= approval.wanted:
        return msgspec.structs.replace(approval, state=State.APPROVED, expires=valid_until)
    return approval


def _closed(connection: sa.Connection, change: Change, old: Approval) -> Approval:
    if old.state is State.RUNNING:
        lost = {"problem": "It was interrupted, and may have happened or not; look into the audit log"}
        new = msgspec.structs.replace(old, state=State.FAILED, closed=change.at, result=lost)
        _move(connection, change, "approval.fail", old, new, result=lost)
    else:
        new = msgspec.structs.replace(old, state=State.EXPIRED, closed=change.at)
        _move(connection, change, "approval.expire", old, new)
    return new


def _must_be(approval: Approval, state: State, now: datetime) -> None:
    if (found := approval.at(now)) is not state:
        raise ConflictError(
            f"Approval {approval.id} is {found}, not {state}", remedy="Look at it again; ask anew if need be"
        )


def _move(connection: sa.Connection, change: Change, action: str, old: Approval, new: Approval, **said: object) -> None:
    """Write a step down, in its row and in the audit log."""
    fields = ("state", "expires", "tries", "begun", "closed", "result")
    row = {name: getattr(new, name) for name in fields if name != "result"}
    result = sa.null() if new.result is None else new.result
    connection.execute(sa.update(approvals).where(approvals.c.id == old.id).values(**row, result=result))
    before, after = {"state": old.state.value}, {"state": new.state.value, **said}
    change.record(connection, action, old.id, before=before, after=after)


def _row(approval: Approval) -> dict[str, Any]:
    row = {name: getattr(approval, name) for name in approval.__struct_fields__ if name != "votes"}
    own = {
        "amount": None if approval.amount is None else f"{approval.amount:f}",
        "scope": msgspec.to_builtins(approval.scope),
        "instead": list(approval.instead),
        "result": sa.null() if approval.result is None else approval.result,
    }
    return {**row, **own}


def _get(connection: sa.Connection, id: str) -> Approval:
    found = _found(connection, approvals.c.id == id)
    if not found:
        known = [row.id for row in connection.execute(sa.select(approvals.c.id).limit(1000))]
        raise NotFoundError("approval", id, known=known, remedy="farthing approval list shows them")
    return found[0]


def _found(connection: sa.Connection, *where: sa.ColumnElement[bool], limit: int | None = None) -> list[Approval]:
    """Approvals with their votes, newest first."""
    query = sa.select(approvals).where(*where).order_by(approvals.c.asked.desc(), approvals.c.id).limit(limit)
    rows = connection.execute(query).mappings().all()
    said: dict[str, list[Vote]] = {}
    ids = [row["id"] for row in rows]
    for vote in connection.execute(sa.select(votes).where(votes.c.approval.in_(ids)).order_by(votes.c.at)).mappings():
        facts = {name: vote[name] for name in ("person", "name", "at", "comment")}
        said.setdefault(vote["approval"], []).append(Vote(verdict=Verdict(vote["verdict"]), **facts))
    return [_approval(row, tuple(said.get(row["id"], ()))) for row in rows]


def _approval(row: Mapping[Any, Any], said: tuple[Vote, ...]) -> Approval:
    own: dict[str, Any] = {
        "amount": None if row["amount"] is None else Decimal(row["amount"]),
        "scope": Scope(**row["scope"]),
        "instead": tuple(row["instead"]),
        "state": State(row["state"]),
        "votes": said,
    }
    return Approval(**{**row, **own})
