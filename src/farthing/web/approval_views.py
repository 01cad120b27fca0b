"""Approvals as the API shows and takes them, and what it asks of the rest of Farthing about them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol, cast

import msgspec
from msgspec import Meta

from farthing.core.nouns import Scope
from farthing.governance.approvals import ApprovalSettings, identity
from farthing.governance.gate import Act
from farthing.governance.links import Link
from farthing.governance.roles import Who
from farthing.state.approvals import Approval, State, Verdict
from farthing.web.views import ScopeDraft
from farthing.web.wire import plain

# What is shown


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """One field that changes, by its dotted name; ``null`` where there is nothing on that side."""

    field: str
    before: str | None
    after: str | None


class VoteView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's word."""

    name: str
    verdict: Verdict
    at: datetime
    comment: str


class ApprovalView(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, who may agree and what became of it.

    ``duties``: any of them may say yes, ``wanted`` people are needed and ``yes`` agreed so far. ``amount`` is in
    dollars, a month where it recurs. ``changes`` is what would be different. ``expires``: until then it waits for
    votes while it is pending, and for whoever asked once it is approved. ``mine``: the reader asked. ``can`` holds what
    the reader may do now (``vote``, ``withdraw``, ``collect``), ``why_not`` why they may not vote.
    """

    id: str
    action: str
    subject: str
    summary: str
    category: str
    amount: Decimal | None
    scope: Scope
    state: State
    reason: str
    duties: tuple[str, ...]
    wanted: int
    yes: int
    asked_by: str
    asked: datetime
    expires: datetime
    closed: datetime | None
    tries: int
    votes: tuple[VoteView, ...]
    changes: tuple[ChangeView, ...]
    result: dict[str, Any] | None
    collected: bool
    mine: bool
    can: tuple[Literal["vote", "withdraw", "collect"], ...]
    why_not: str
    url: str


class ApprovalsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Approvals, newest first. ``waiting`` is how many wait for the reader's vote, whatever was asked for here."""

    rows: tuple[ApprovalView, ...]
    matching: int
    waiting: int


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """From ``least`` dollars a month on, ``duty`` has to agree to what is of a category (``*``: any other)."""

    category: str
    least: Decimal
    duty: str


class RulesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in force, from ``[approvals]``."""

    rules: tuple[RuleView, ...]
    acts: tuple[str, ...]
    four_eyes: bool
    four_eyes_from: Decimal
    expire_hours: int
    valid_days: int
    ask_for_unlimited_keys: bool


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, done, and its result, which is shown this once: ``key`` and ``token`` for a key."""

    approval: ApprovalView
    result: dict[str, Any]


class LinksView(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses with which you, and nobody else, say yes or no without logging in. Keep them to yourself."""

    approve: str
    deny: str


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    """What following a link would do, and as whom."""

    approval: ApprovalView
    verdict: Verdict
    name: str
    expires: datetime


# What is sent


class ApprovalDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leave to spend something, or to begin a plan. ``subject`` is what a later check names it by."""

    action: Literal["spend", "plan"] = "spend"
    subject: Annotated[str, Meta(min_length=1, max_length=200)]
    summary: Annotated[str, Meta(min_length=1, max_length=500)]
    amount: Annotated[str, Meta(pattern=r"^\d{1,12}(\.\d{1,9})?$", max_length=30)]
    category: Annotated[str, Meta(max_length=64)] = ""
    scope: ScopeDraft = ScopeDraft()


class VoteDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Yes or no. It cannot be taken back."""

    verdict: Verdict
    comment: Annotated[str, Meta(max_length=2000)] = ""


class LinkVote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``sign`` of a link, to vote as it says."""

    sign: Annotated[str, Meta(min_length=1, max_length=2000)]
    comment: Annotated[str, Meta(max_length=2000)] = ""


# What is asked for


class ApprovalDesk(Protocol):
    """Asks, votes, and carries out. Errors say who may do what instead."""

    def rules(self) -> ApprovalSettings: ...

    def list(self, who: Who, *, states: Iterable[State] = ()) -> Sequence[Approval]: ...

    def get(self, who: Who, id: str) -> Approval:
        """Raises ``NotFoundError``, for other tenants' as well."""
        ...

    def ask(self, who: Who, act: Act) -> Approval:
        """Raises ``DeniedError``, ``InputError``."""
        ...

    def may_vote(self, who: Who, approval: Approval) -> str:
        """Why this person has no vote; empty when they have one."""
        ...

    def vote(self, who: Who, id: str, verdict: Verdict, comment: str = "") -> Approval:
        """Raises ``NotFoundError``, ``DeniedError``, ``ConflictError``."""
        ...

    def withdraw(self, who: Who, id: str) -> Approval:
        """Raises ``NotFoundError``, ``DeniedError``, ``ConflictError``."""
        ...

    def collect(self, who: Who, id: str) -> Any:
        """The result, once. Raises ``NotFoundError``, ``DeniedError``, ``ConflictError``."""
        ...

    def address(self, id: str) -> str: ...


class Links(Protocol):
    """Signed links. What is wrong with one is a ``DeniedError``."""

    def make(self, who: Who, id: str) -> Mapping[str, str]: ...

    def opened(self, id: str, sign: str) -> tuple[Approval, Link, Who]: ...

    def follow(self, id: str, sign: str, comment: str = "") -> Approval: ...


def view(approval: Approval, who: Who, desk: ApprovalDesk) -> ApprovalView:
    """An approval as one reader sees it."""
    mine = identity(who) == approval.asker
    why_not = desk.may_vote(who, approval)
    return ApprovalView(
        **{name: getattr(approval, name) for name in _SAME},
        duties=approval.duties if approval.duty else (),
        result=None if approval.result is None else plain(approval.result),
        votes=tuple(VoteView(name=v.name, verdict=v.verdict, at=v.at, comment=v.comment) for v in approval.votes),
        changes=tuple(changes(approval.payload)),
        mine=mine,
        can=_can(approval, mine=mine, votes=not why_not),
        why_not=why_not,
        url=desk.address(approval.id),
    )


def changes(payload: Mapping[str, Any]) -> Iterator[ChangeView]:
    """What a payload with ``before`` and ``after`` changes, field by field; any other payload is all new."""
    both = "before" in payload or "after" in payload
    old, new = (payload.get("before"), payload.get("after")) if both else (None, payload)
    yield from differences(old, new)


def differences(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[ChangeView]:
    """The fields that differ, by their dotted names in order."""
    before, after = dict(_flat(old or {})), dict(_flat(new or {}))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield ChangeView(field=name, before=before.get(name), after=after.get(name))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            yield from _flat(part, f"{name}.{key}".lstrip("."))
    elif value not in (None, "", []):
        yield name, value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _can(approval: Approval, *, mine: bool, votes: bool) -> tuple[Literal["vote", "withdraw", "collect"], ...]:
    can: list[Literal["vote", "withdraw", "collect"]] = ["vote"] if votes else []
    if mine and approval.state in (State.PENDING, State.APPROVED):
        can.append("withdraw")
    if mine and approval.collected and approval.state is State.APPROVED:
        can.append("collect")
    return tuple(can)


_SAME = (
    "id", "action", "subject", "summary", "category", "amount", "scope", "state", "reason", "wanted", "yes", "asked_by",
    "asked", "expires", "closed", "tries", "collected",
)  # fmt: skip
