"""Whether a call may spend. What is asked of a budget is in ``ports.Admission``; without limits, everything may."""

from farthing.core.facts import RequestFact
from farthing.gateway.ports import Call, Route


class Unlimited:
    """The ``Admission`` of a gateway without limits."""

    def reserve(self, call: Call, route: Route) -> object:
        """Nothing is reserved."""
        del call, route
        return None

    def settle(self, reservation: object, facts: list[RequestFact]) -> None:
        """Nothing was reserved."""
