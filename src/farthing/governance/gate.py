"""The door that every change of the control plane goes through: it happens at once, or somebody has to agree first.

A change is named data: an ``Act`` says what is to be done, so that it can be shown to whoever must agree, kept until
they do, and carried out then by the same code that would have done it at once.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from farthing.core.errors import DeniedError
from farthing.core.nouns import Scope
from farthing.governance.roles import Who


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done. ``name`` is like ``limit.raise`` or ``key.create``; ``payload`` is JSON, all that doing it
    needs. ``amount`` is what it may cost, in dollars per month where it recurs; ``None`` for what costs nothing or
    nobody can tell.
    """

    name: str
    subject: str
    summary: str
    payload: Mapping[str, Any]
    scope: Scope = Scope()
    category: str = ""
    amount: Decimal | None = None


class ApprovalNeededError(DeniedError):
    """Somebody has to agree first. The act is kept; ``approval`` is its id, ``url`` where to follow it."""

    def __init__(self, message: str, *, approval: str, url: str, remedy: str) -> None:
        super().__init__(message, reason="approval_needed", remedy=remedy)
        self.approval = approval
        self.url = url


Doer = Callable[[Mapping[str, Any], str, datetime], Any]
"""Carries an act out: its payload, the actor for the audit log, and when. Returns what the asker gets to see."""


class Gate(Protocol):
    """Does acts, or keeps them until somebody agrees."""

    def do(self, who: Who, act: Act) -> Any:
        """Carry it out now and return its result. Raises ``ApprovalNeededError`` when it was kept instead, and
        ``DeniedError`` when this person may not even ask.
        """
        ...


__all__ = ["Act", "ApprovalNeededError", "Doer", "Gate"]
