"""The settings of hard limits: ``[limits]``."""

import msgspec


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How requests are held to budgets and quotas; these themselves are kept in the state store.

    ``wait_seconds``: how long a request waits for what others hold to come back before it is refused; it is
    refused at once when that would not help. With few seconds, a busy machine refuses what would have fitted.
    """

    wait_seconds: float = 30
