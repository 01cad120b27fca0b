"""Which client dialects can be translated, by operation."""

from farthing.core.facts import Operation
from farthing.gateway.wire import chat, messages, responses
from farthing.gateway.wire.neutral import Client

_CLIENTS: dict[Operation, Client] = {
    Operation.CHAT: chat.client,
    Operation.MESSAGE: messages.client,
    Operation.RESPONSE: responses.client,
}


def client_of(operation: Operation) -> Client | None:
    """The client's side of an operation, or ``None`` where only pass-through exists."""
    return _CLIENTS.get(operation)
