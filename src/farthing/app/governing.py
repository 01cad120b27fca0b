"""The gate of an installation, with everything that goes through it, joined."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from farthing.app.budgets import doers
from farthing.app.chores import Chore
from farthing.app.desk import KeyDesk
from farthing.app.gate import ApprovalGate
from farthing.app.listen import url
from farthing.app.local import Local
from farthing.app.people import who_is
from farthing.app.votelinks import VoteLinks
from farthing.core.errors import NotFoundError
from farthing.governance.alerts import AlertSettings
from farthing.governance.links import Signer
from farthing.governance.roles import Who

if TYPE_CHECKING:
    from farthing.state.store import Store

EXPIRE_SECONDS = 5.0
_SEVERITY = {"approval.asked": "warning", "approval.failed": "warning"}


class NoticeTeller:
    """Tells people of approvals through the outbox of notices, each thing once."""

    def __init__(self, store: "Store", alerts: Callable[[], AlertSettings], clock: Callable[[], datetime]) -> None:
        self._notices = store.notices
        self._alerts = alerts
        self._clock = clock

    def tell(self, kind: str, title: str, body: Mapping[str, Any]) -> None:
        """Put it into the outbox, for the targets that want to hear of it."""
        severity = _SEVERITY.get(kind, "info")
        targets = [target.label for target in self._alerts().targets if target.wants(kind, severity)]
        same = f"{kind}/{body['approval']}"
        self._notices.tell(
            self._clock(), kind=kind, severity=severity, title=title[:300], body=body, same=same, targets=targets
        )


def gate_of(local: Callable[[], Local], store: "Store") -> ApprovalGate:
    """The gate of an installation whose settings may change, with the doers of limits. Keys register their own."""

    def clock() -> datetime:
        return local().now()

    gate = ApprovalGate(
        store.approvals,
        store.audit,
        settings=lambda: local().settings.approvals,
        clock=clock,
        teller=NoticeTeller(store, lambda: local().settings.alerts, clock),
        url=lambda: dashboard_url(local()),
    )
    for name, doer in doers(store).items():
        gate.register(name, doer)
    return gate


def local_gate(local: Local, store: "Store") -> ApprovalGate:
    """The gate as the command line uses it, with the doers of everything."""
    gate = gate_of(lambda: local, store)
    KeyDesk(store, local.by, gate)
    return gate


def links_of(gate: ApprovalGate, local: Callable[[], Local], store: "Store", secret: str) -> VoteLinks:
    """Signed links to vote at the gate. ``secret`` is the installation's."""
    return VoteLinks(
        gate,
        store.approvals,
        Signer(secret),
        people=lambda person: somebody(store, person),
        settings=lambda: local().settings.approvals,
        clock=lambda: local().now(),
    )


def somebody(store: "Store", id: str) -> Who:
    """What somebody may do now, by their id. Raises ``NotFoundError`` for who is gone, or may no longer come in."""
    found = store.people.get(id)
    if found.disabled is not None or found.id != id:
        raise NotFoundError("person", id)
    return who_is(found)


def approval_chore(gate: ApprovalGate) -> Chore:
    """Expires what waited too long, and carries out what was approved and could not be done at once."""
    return Chore(name="approvals", every=EXPIRE_SECONDS, work=gate.work, remedy="Check state.url and its server")


def dashboard_url(local: Local) -> str:
    """Where people find the dashboard: what the settings say, or the address that it listens on."""
    web = local.settings.web
    return local.settings.alerts.dashboard_url or url(web.host, web.port)
