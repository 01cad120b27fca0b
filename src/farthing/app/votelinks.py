"""Voting by signed link; ``governance.links`` says what a link holds."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from farthing.app.gate import ApprovalGate
from farthing.core.errors import DeniedError, NotFoundError
from farthing.governance.approvals import ApprovalSettings
from farthing.governance.links import Link, Signer
from farthing.governance.roles import Who
from farthing.state.approvals import Approval, Approvals, Verdict


class People(Protocol):
    """Who somebody is now, by their id. Raises ``NotFoundError`` for who is gone, or may no longer come in."""

    def __call__(self, person: str, /) -> Who: ...


class VoteLinks:
    """Makes links for who may vote, and votes by them."""

    def __init__(
        self,
        gate: ApprovalGate,
        approvals: Approvals,
        signer: Signer,
        *,
        people: People,
        settings: Callable[[], ApprovalSettings],
        clock: Callable[[], datetime],
    ) -> None:
        self._gate = gate
        self._approvals = approvals
        self._signer = signer
        self._people = people
        self._settings = settings
        self._clock = clock

    def make(self, who: Who, id: str) -> dict[str, str]:
        """This person's own signed links: verdict → address. Raises ``DeniedError`` for who has no vote."""
        found = self._gate.get(who, id)
        self._gate.must_vote(who, found)
        hours = self._settings().link_hours
        if not who.person or not hours:
            raise DeniedError(
                "There are no links for this", reason="no_links",
                remedy="Log in as yourself" if hours else "Set link_hours under [approvals]",
            )  # fmt: skip
        until = min(self._clock() + timedelta(hours=hours), found.expires)
        made: dict[str, str] = {}
        for verdict in Verdict:
            link = Link(who.person, verdict.value, int(until.timestamp()))
            sign = self._signer.sign(link, approval=found.id, digest=found.digest)
            made[verdict.value] = f"{self._gate.address(id)}?sign={sign}"
        return made

    def opened(self, id: str, sign: str) -> tuple[Approval, Link, Who]:
        """What a link is about, and who may use it. Changes nothing.

        Raises ``NotFoundError``, and ``DeniedError`` for links that were not made here for this, are too old, or are of
        somebody who may not vote any more.
        """
        self._gate.sweep()
        found = self._approvals.get(id)
        link = self._signer.read(sign, approval=found.id, digest=found.digest, now=self._clock())
        try:
            who = self._people(link.person)
        except NotFoundError:
            raise DeniedError(
                "Whose link this is has left", reason="link_invalid", remedy="Ask somebody else"
            ) from None
        self._gate.must_vote(who, found)
        return found, link, who

    def follow(self, id: str, sign: str, comment: str = "") -> Approval:
        """Vote as a link says. Raises what ``opened`` and ``vote`` do."""
        _, link, who = self.opened(id, sign)
        return self._gate.vote(who, id, Verdict(link.verdict), comment)
