"""Roles of the control plane, and what each may do.

A person has one role and may be confined to a tenant: then they see and change only what belongs to that scope.
Duties say which approvals they may give; see ``governance.approvals``.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from farthing.core.errors import DeniedError
from farthing.core.nouns import Scope


class Role(StrEnum):
    """What somebody is here."""

    ADMIN = "admin"
    """Everything."""
    FINANCE = "finance"
    """Sees all money, sets budgets, approves; makes no keys."""
    ENGINEER = "engineer"
    """Makes keys and asks for budgets; sees requests."""
    VIEWER = "viewer"
    """Sees."""
    SERVICE = "service"
    """A program: what an engineer may, except for approving."""


ACTIONS: Mapping[str, frozenset[Role]] = {
    "read": frozenset(Role),
    "key.write": frozenset({Role.ADMIN, Role.ENGINEER, Role.SERVICE}),
    "limit.write": frozenset({Role.ADMIN, Role.FINANCE, Role.ENGINEER, Role.SERVICE}),
    "provider.write": frozenset({Role.ADMIN}),
    "setting.write": frozenset({Role.ADMIN}),
    "people.write": frozenset({Role.ADMIN}),
    "cache.write": frozenset({Role.ADMIN, Role.ENGINEER, Role.SERVICE}),
    "approval.ask": frozenset({Role.ADMIN, Role.FINANCE, Role.ENGINEER, Role.SERVICE}),
    "approval.give": frozenset({Role.ADMIN, Role.FINANCE, Role.ENGINEER}),
    "audit.read": frozenset({Role.ADMIN, Role.FINANCE}),
}
"""Actions and the roles that may take them."""


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks something of the control plane. ``actor`` is their name in the audit log, ``person`` their id, empty
    for the holder of the installation's admin token. ``scope`` is the tenant they are confined to.
    """

    actor: str
    role: Role
    person: str = ""
    scope: Scope = Scope()
    duties: frozenset[str] = frozenset()

    def must(self, action: str) -> None:
        """Raises ``DeniedError`` unless their role may do this."""
        if self.role not in ACTIONS[action]:
            able = ", ".join(sorted(ACTIONS[action]))
            raise DeniedError(
                f"A {self.role} may not do this ({action})", reason="role", remedy=f"Ask somebody who is {able}"
            )

    def owns(self, scope: Scope) -> bool:
        """Whether a scope lies within their tenant: every field that confines them is the same there."""
        mine = msgspec.structs.asdict(self.scope)
        return all(not value or getattr(scope, field) == value for field, value in mine.items())

    def must_own(self, scope: Scope, what: str) -> None:
        """Raises ``DeniedError`` for what belongs to another tenant."""
        if not self.owns(scope):
            raise DeniedError(f"{what} belongs to another tenant", reason="tenant", remedy="Ask an unconfined admin")


__all__ = ["ACTIONS", "Role", "Who"]
