"""Whether a call may be sent. What is asked of limits is in ``ports.Admission``; without them, everything may."""

from farthing.core.facts import RequestFact
from farthing.gateway.ports import Call, Headers, Route, Target


class Free:
    """The ``Grant`` of a call that no limit concerns."""

    __slots__ = ("call", "headers")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.headers: Headers = []

    def extend(self, target: Target) -> bool:
        """There is always room."""
        del target
        return True

    def settle(self, fact: RequestFact) -> None:
        """Nothing was held."""

    def close(self) -> None:
        """Nothing was held."""


class Unlimited:
    """The ``Admission`` of a gateway without limits."""

    def admit(self, call: Call, route: Route) -> Free:
        """Everything may be sent."""
        del route
        return Free(call)

    async def wait(self, call: Call, route: Route) -> Free:
        """Nothing has to wait."""
        return self.admit(call, route)
