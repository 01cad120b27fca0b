"""What a page's header shows: the installation, and who is logged in."""

from farthing.core.money import USD
from farthing.governance.roles import ACTIONS, Who
from farthing.ledger.questions import DIMENSIONS
from farthing.web.questions import chosen_basis
from farthing.web.services import Services
from farthing.web.views import Session


def session_of(services: Services, who: Who) -> Session:
    """The session of somebody; ``services`` are theirs."""
    return Session(
        version=services.version,
        zone=services.settings.zone,
        currency=USD,
        basis=chosen_basis(None, services),
        now=services.clock(),
        through=services.facts.through(),
        ledger_version=services.landings.latest.version,
        gateway_url=services.gateway_url,
        providers=sum(provider.enabled for provider in services.desk.providers()),
        keys=sum(key.state == "active" for key in services.keys.list()),
        dimensions=DIMENSIONS,
        hints=tuple(services.desk.hints()),
        actor=who.actor,
        person=who.person,
        role=who.role,
        scope=who.scope,
        duties=tuple(sorted(who.duties)),
        may=tuple(sorted(action for action, roles in ACTIONS.items() if who.role in roles)),
    )
