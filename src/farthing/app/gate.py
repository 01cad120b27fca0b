"""The gate in force: acts happen at once, or wait in the state store until the right people agree.

Doers are registered by the name of the act. What a doer returns is usually kept with the approval, for people to see.
Where it holds a secret, such as a new key's token, nothing is done when the last yes comes in: whoever asked collects,
and only then the key is made, so that its token is shown once, to them, and never stored.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

import msgspec

from farthing.core.errors import ConflictError, DeniedError, FarthingError, InputError, NotFoundError, UnavailableError
from farthing.governance import approvals as policy
from farthing.governance.approvals import LEAVES, ApprovalSettings, Need
from farthing.governance.gate import Act, ApprovalNeededError, Doer
from farthing.governance.roles import Who
from farthing.state.approvals import OPEN, Approval, Approvals, Petition, State, Verdict
from farthing.state.audit import Audit, Change

STUCK = timedelta(minutes=5)
"""What was begun this long ago was interrupted: no act takes longer."""

MOST_TRIES = 5
FARTHING = "farthing"
"""The actor of what happens by itself."""

_ROLES = {"key": "key.write", "limit": "limit.write"}
"""What a role must allow before somebody may do, or ask for, acts of a noun; asking is enough for the rest."""

_SHOWN = 500


class Teller(Protocol):
    """Tells people of something. ``kind`` is like ``approval.asked``; ``body`` has the ``text`` and facts."""

    def tell(self, kind: str, title: str, body: Mapping[str, Any]) -> None: ...


class Doing(msgspec.Struct, frozen=True):
    """How an act is done. ``keep`` makes what may be stored of a result that only the asker may see."""

    doer: Doer
    keep: Callable[[Any], Mapping[str, Any]] | None = None


class ApprovalGate:
    """Does acts or keeps them; see ``governance.gate.Gate``. Safe to use from several threads and processes."""

    def __init__(
        self,
        approvals: Approvals,
        audit: Audit,
        *,
        settings: Callable[[], ApprovalSettings],
        clock: Callable[[], datetime],
        teller: Teller,
        url: Callable[[], str],
    ) -> None:
        self._approvals = approvals
        self._audit = audit
        self._settings = settings
        self._clock = clock
        self._teller = teller
        self._url = url
        self._doings: dict[str, Doing] = {}

    def register(self, name: str, doer: Doer, *, keep: Callable[[Any], Mapping[str, Any]] | None = None) -> None:
        """From now on acts of this name are done so. With ``keep`` the asker collects the result."""
        self._doings[name] = Doing(doer, keep)

    def rules(self) -> ApprovalSettings:
        """Who has to agree to what, now."""
        return self._settings()

    def do(self, who: Who, act: Act) -> Any:
        """Carry it out now and return its result.

        Raises ``ApprovalNeededError`` when it was kept instead, ``DeniedError`` when this person may not even ask.
        """
        doing = self._doing(act.name)
        self._must(who, act)
        settings, now = self._settings(), self._clock()
        need = policy.needed(act, who, settings)
        if need is not None:
            approval = self._kept(who, act, need, now)
            raise _needed(approval, self.address(approval.id))
        waived = policy.wanted(act, settings)
        if waived is not None:
            self._note_waived(who, act, waived, now)
        return doing.doer(act.payload, who.actor, now)

    def ask(self, who: Who, act: Act) -> Approval:
        """Ask for leave to spend something or to begin a plan. Given at once where nobody else has to agree.

        Raises ``InputError`` for acts that are no leave, ``DeniedError``.
        """
        if act.name not in LEAVES:
            raise InputError("not something to ask leave for", field="action", value=act.name, remedy=_LEAVES)
        self._must(who, act)
        settings = self._settings()
        need = policy.needed(act, who, settings)
        if need is not None:
            return self._kept(who, act, need, self._clock())
        own = policy.wanted(act, settings)
        why = f"{who.actor} holds {own.duty} and needs no other yes" if own else "nobody has to be asked for this"
        free = Need(duty=own.duty if own else "", votes=0, reason=why)
        return self._kept(who, act, free, self._clock())

    def approved(self, act: Act) -> bool:
        """Whether leave for this was given and not used, for at least this amount, or none is needed."""
        return policy.wanted(act, self._settings()) is None or self._standing(act) is not None

    def redeem(self, who: Who, act: Act) -> Approval | None:
        """Use leave, once, when beginning what it was given for; ``None`` when none was needed.

        Raises ``ApprovalNeededError``-free ``DeniedError`` when there is none: it says how to ask.
        """
        need = policy.wanted(act, self._settings())
        standing = self._standing(act)
        if standing is not None:
            change = Change(actor=who.actor, at=self._clock())
            return self._approvals.redeem(change, standing.id, {"summary": act.summary, "amount": _amount(act)})
        if need is None:
            return None
        raise DeniedError(
            f"This needs leave from {need.duty}: {need.reason}",
            reason="approval_needed",
            remedy=f"Ask at {self.address('new')}, or with: farthing approval ask --action {act.name}",
        )

    def list(self, who: Who, *, states: Iterable[State] = ()) -> list[Approval]:
        """What this person may see, newest first."""
        who.must("read")
        self.sweep()
        return [found for found in self._approvals.list(states=states) if who.owns(found.scope)]

    def get(self, who: Who, id: str) -> Approval:
        """One approval. Raises ``NotFoundError``, for other tenants' as well."""
        who.must("read")
        self.sweep()
        found = self._approvals.get(id)
        if not who.owns(found.scope):
            raise NotFoundError("approval", id, remedy="farthing approval list shows yours")
        return found

    def must_vote(self, who: Who, approval: Approval) -> None:
        """Raises ``DeniedError`` unless this person may say yes or no to it."""
        policy.may_vote(
            who,
            asker=approval.asker,
            duties=approval.duties,
            scope=approval.scope,
            in_person=self._settings().four_eyes,
        )

    def may_vote(self, who: Who, approval: Approval) -> str:
        """Why this person has no vote, for people; empty when they have one."""
        try:
            self.must_vote(who, approval)
        except DeniedError as problem:
            return problem.message
        if approval.state is not State.PENDING:
            return f"It is {approval.state}"
        voted = any(vote.person == policy.identity(who) for vote in approval.votes)
        return "You voted already" if voted else ""

    def vote(self, who: Who, id: str, verdict: Verdict, comment: str = "") -> Approval:
        """Say yes or no. With the last yes that is wanted, what was asked happens.

        Raises ``NotFoundError``, ``DeniedError``, and ``ConflictError`` for a second word and for what is not pending.
        """
        found = self.get(who, id)
        self.must_vote(who, found)
        now = self._clock()
        voted = self._approvals.vote(
            Change(actor=who.actor, at=now),
            id,
            person=policy.identity(who),
            verdict=verdict,
            valid_until=now + self._settings().validity,
            comment=comment,
        )
        if voted.state is State.APPROVED and self._by_itself(voted):
            voted = self._carry_out(voted)
        if voted.state is not State.PENDING:
            self._tell(voted)
        return voted

    def withdraw(self, who: Who, id: str) -> Approval:
        """Take back what one asked; an admin may take back anybody's. Raises ``NotFoundError``, ``DeniedError``."""
        found = self.get(who, id)
        if policy.identity(who) != found.asker:
            who.must("people.write")
        return self._approvals.withdraw(Change(actor=who.actor, at=self._clock()), id)

    def collect(self, who: Who, id: str) -> Any:
        """Have it done now and return the result, which only the asker gets, once.

        Raises ``DeniedError`` for everybody else, ``ConflictError`` when it is not approved or was collected before.
        """
        found = self.get(who, id)
        if policy.identity(who) != found.asker:
            raise DeniedError(
                "Only who asked collects the result", reason="not_the_asker", remedy=f"{found.asked_by} can collect it"
            )
        if not found.collected:
            raise ConflictError(f"Approval {id} has nothing to collect", remedy=f"farthing approval show {id}")
        claimed = self._approvals.claim(Change(actor=who.actor, at=self._clock()), id)
        return self._done(claimed)

    def work(self) -> str:
        """What is to be repeated: expire what is over, and carry out what was approved and could not be done yet."""
        self.sweep()
        waiting = [found for found in self._approvals.list(states=[State.APPROVED]) if self._by_itself(found)]
        for found in waiting:
            self._tell(self._carry_out(found))
        return f"{len(waiting):,} carried out" if waiting else "up to date"

    def sweep(self) -> None:
        """Write down what is over, and tell whoever asked."""
        for over in self._approvals.sweep(Change(actor=FARTHING, at=self._clock()), stuck=STUCK):
            self._tell(over)

    def address(self, id: str) -> str:
        """The page of an approval."""
        return f"{self._url().rstrip('/')}/approvals/{id}"

    def _must(self, who: Who, act: Act) -> None:
        who.must(_ROLES.get(act.name.partition(".")[0], "approval.ask"))
        who.must_own(act.scope, f"The scope of {act.name}")

    def _doing(self, name: str) -> Doing:
        doing = self._doings.get(name)
        if doing is None:
            raise NotFoundError("act", name, known=self._doings)
        return doing

    def _by_itself(self, approval: Approval) -> bool:
        """Whether it happens as soon as it is approved, without anybody coming back for it."""
        return approval.action in self._doings and not approval.collected

    def _kept(self, who: Who, act: Act, need: Need, now: datetime) -> Approval:
        settings = self._settings()
        petition = Petition(
            action=act.name,
            subject=act.subject,
            summary=act.summary[:_SHOWN],
            category=act.category,
            amount=act.amount,
            scope=act.scope,
            payload=msgspec.to_builtins(act.payload),
            digest=policy.digest(act),
            collected=act.name in self._doings and self._doings[act.name].keep is not None,
            duty=need.duty,
            instead=need.instead,
            wanted=need.votes,
            reason=need.reason,
            asker=policy.identity(who),
            asked_by=who.actor,
        )
        waits = settings.patience if need.votes else settings.validity
        approval, _ = self._approvals.ask(Change(actor=who.actor, at=now), petition, expires=now + waits)
        self._tell(approval)
        return approval

    def _carry_out(self, approval: Approval) -> Approval:
        """Do what is approved, unless somebody else is at it. A failure stands in what comes back."""
        try:
            claimed = self._approvals.claim(Change(actor=FARTHING, at=self._clock()), approval.id)
            self._done(claimed)
        except FarthingError:
            pass  # it is written down where it was claimed; where it was not, somebody else does it
        return self._approvals.get(approval.id)

    def _done(self, claimed: Approval) -> Any:
        """Carry out what this process claimed, and write down how it went.

        Raises what the doer raises. When nothing was begun it may be tried again, a few times.
        """
        doing, now = self._doing(claimed.action), self._clock()
        change = Change(actor=FARTHING, at=now)
        try:
            result = doing.doer(claimed.payload, claimed.asked_by, now)
        except UnavailableError as problem:
            end = self._approvals.release if claimed.tries < MOST_TRIES else self._approvals.fail
            end(change, claimed.id, str(problem))
            raise
        except FarthingError as problem:
            self._approvals.fail(change, claimed.id, str(problem))
            raise
        kept = result if doing.keep is None else doing.keep(result)
        self._approvals.finish(change, claimed.id, _as_json(kept))
        return result

    def _standing(self, act: Act) -> Approval | None:
        """Leave for this, the least that covers it."""
        now = self._clock()
        fitting = [
            found
            for found in self._approvals.standing(act.name, act.subject)
            if found.at(now) is State.APPROVED
            and (found.scope, found.category) == (act.scope, act.category)
            and (act.amount is None or (found.amount is not None and found.amount >= act.amount))
        ]
        return min(fitting, key=lambda found: (found.amount is None, found.amount or 0), default=None)

    def _note_waived(self, who: Who, act: Act, need: Need, now: datetime) -> None:
        said = {"summary": act.summary, "amount": _amount(act), "duty": need.duty, "reason": need.reason}
        self._audit.note(
            Change(actor=who.actor, at=now), "approval.waive", act.subject, after={"act": act.name, **said}
        )

    def _tell(self, approval: Approval) -> None:
        """Say what became of it, as ``approval.asked``, ``approval.approved`` …"""
        state = "asked" if approval.state in OPEN and not approval.votes and approval.wanted else approval.state.value
        who = f"{approval.asked_by} asks {' or '.join(approval.duties)}" if state == "asked" else f"It is {state}"
        amount = "" if approval.amount is None else f" (${approval.amount:,f})"
        body = {
            "text": f"{who}: {approval.summary}{amount}. {approval.reason}",
            "approval": approval.id,
            "url": self.address(approval.id),
            "duties": list(approval.duties),
            "asked_by": approval.asked_by,
        }
        self._teller.tell(f"approval.{state}", f"{approval.summary}{amount}: {state}", body)


def _needed(approval: Approval, url: str) -> ApprovalNeededError:
    votes = f"the yes of {' or '.join(approval.duties)}"
    how = f"{approval.wanted} people, each of them {' or '.join(approval.duties)}" if approval.wanted > 1 else votes
    then = f"; then collect it: farthing approval collect {approval.id}" if approval.collected else ""
    return ApprovalNeededError(
        f"This needs {how}: {approval.reason}",
        approval=approval.id,
        url=url,
        remedy=f"They were asked: {url}{then}",
    )


def _as_json(result: Any) -> Mapping[str, Any]:
    plain: Any = msgspec.to_builtins(result)
    return cast("Mapping[str, Any]", plain) if isinstance(plain, dict) else {"result": plain}


def _amount(act: Act) -> str | None:
    return None if act.amount is None else f"{act.amount:f}"


_LEAVES = f"Use {' or '.join(LEAVES)}; keys and limits are asked for where they are made"
