"""What is written down of requests whose answers may be renewed: how to make them again, and when they were asked.

Only for namespaces with ``warm``. The worker takes what was noted once a second, beside its requests.
"""

from farthing.cache.asks import MOST_ASK_BYTES, Answered, Ask, Noted
from farthing.cache.entry import Entry
from farthing.cache.warming import SLOTS
from farthing.gateway.meter import ROLE
from farthing.gateway.ports import Call, Headers

WARM = "warm"
"""The role of a request that nobody made: it was asked ahead."""

MOST_NOTED = 10_000
"""Requests of one second that are noted; further ones are not."""

_PASSED_ON = frozenset({b"content-type", b"accept-language", b"anthropic-version", b"anthropic-beta", b"openai-beta"})
_OWN = b"x-farthing-"
_NOT_OURS = frozenset({b"x-farthing-cache", b"x-farthing-key", b"x-farthing-request-id"})


class Uses:
    """Notes of one worker since they were taken last."""

    def __init__(self) -> None:
        self._answered: dict[bytes, Answered] = {}
        self._uses: dict[bytes, list[float]] = {}
        self._slots: dict[bytes, int] = {}

    def asked(self, entry: Entry, call: Call) -> None:
        """An answer was kept that may be renewed."""
        if not entry.expires or len(call.body) > MOST_ASK_BYTES or len(self._answered) >= MOST_NOTED:
            return
        at = 0.0 if call.labels.get(ROLE) == WARM else call.at.timestamp()
        self._answered[entry.key] = Answered(
            key=entry.key,
            namespace=entry.namespace,
            tenant=entry.tenant,
            epoch=entry.epoch,
            scope=entry.scope,
            made=entry.made,
            expires=entry.expires,
            cost=entry.cost,
            ask=Ask(path=call.path, body=call.body, key_id=call.caller.key_id, headers=kept_headers(call.headers)),
            used=at,
        )

    def used(self, entry: Entry, at: float) -> None:
        """A kept answer was given to somebody. Of uses at about the same time one is noted."""
        if not entry.expires or len(self._uses) >= MOST_NOTED:
            return
        slot = int(at / max((entry.expires - entry.made) / SLOTS, 1e-3))
        if self._slots.get(entry.key) != slot:
            if len(self._slots) >= MOST_NOTED:
                self._slots.clear()
            self._slots[entry.key] = slot
            self._uses.setdefault(entry.key, []).append(at)

    def take(self) -> Noted:
        """What was noted, which is forgotten here."""
        noted = Noted(answered=self._answered, uses=self._uses)
        self._answered, self._uses = {}, {}
        return noted


def kept_headers(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """Those headers of a request that matter to its answer or to who pays; never its key."""
    return tuple(
        (name, value) for name, value in headers
        if name in _PASSED_ON or (name.startswith(_OWN) and name not in _NOT_OURS)
    )  # fmt: skip
