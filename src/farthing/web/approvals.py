"""The endpoints of approvals."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import FromQuery, JSONBody, PathParameter, QueryParameter

from farthing.core.nouns import Scope
from farthing.governance.gate import Act
from farthing.state.approvals import State, Verdict
from farthing.web.approval_views import (
    ApprovalDraft,
    ApprovalsAnswer,
    ApprovalView,
    Collected,
    LinksView,
    LinkView,
    LinkVote,
    RulesAnswer,
    RuleView,
    VoteDraft,
    view,
)
from farthing.web.problems import OPEN, documented
from farthing.web.questions import Limit, clean, texts
from farthing.web.services import Services, Using
from farthing.web.tenant import own_scope
from farthing.web.who import Asker
from farthing.web.wire import plain

Id = Annotated[str, PathParameter(min_length=1, max_length=64)]
Sign = Annotated[str, QueryParameter(min_length=1, max_length=2000, description="The `sign` of the link")]
States = Annotated[list[State] | None, QueryParameter(description="Only in these states, repeatable")]


@get(
    "/approvals", summary="What waits for a yes, and what became of it", sync_to_thread=True, responses=documented(403)
)
def read_approvals(
    *,
    services: Using,
    who: Asker,
    status: States = None,
    mine: FromQuery[bool] = False,
    for_me: FromQuery[bool] = False,
    limit: Limit = 100,
) -> ApprovalsAnswer:
    desk = services.approvals
    pending = [found for found in desk.list(who, states=[State.PENDING]) if not desk.may_vote(who, found)]
    found = [view(each, who, desk) for each in desk.list(who, states=status or ())]
    rows = [row for row in found if (row.mine or not mine) and ("vote" in row.can or not for_me)]
    return ApprovalsAnswer(rows=tuple(rows[:limit]), matching=len(rows), waiting=len(pending))


@get("/approvals/rules", summary="Who has to agree to what", sync_to_thread=True, responses=documented(403))
def read_approval_rules(services: Using, who: Asker) -> RulesAnswer:
    who.must("read")
    rules = services.approvals.rules()
    return RulesAnswer(
        rules=tuple(RuleView(category=r.category, least=r.least, duty=r.duty) for r in rules.rules),
        acts=rules.acts,
        four_eyes=rules.four_eyes,
        four_eyes_from=rules.four_eyes_from,
        expire_hours=rules.expire_hours,
        valid_days=rules.valid_days,
        ask_for_unlimited_keys=rules.ask_for_unlimited_keys,
    )


@get("/approvals/{id:str}", summary="One approval", sync_to_thread=True, responses=documented(403, 404))
def read_approval(services: Using, who: Asker, id: Id) -> ApprovalView:
    return view(services.approvals.get(who, clean(id, "id")), who, services.approvals)


@post(
    "/approvals",
    summary="Ask for leave to spend something, or to begin a plan",
    sync_to_thread=True,
    responses=documented(403),
)
def ask_approval(services: Using, who: Asker, data: JSONBody[ApprovalDraft]) -> ApprovalView:
    for field, text in texts(data):
        clean(text, field)
    act = Act(
        name=data.action,
        subject=data.subject,
        summary=data.summary,
        payload={},
        scope=Scope(**msgspec.structs.asdict(own_scope(who.scope, data.scope))),
        category=data.category,
        amount=Decimal(data.amount),
    )
    return view(services.approvals.ask(who, act), who, services.approvals)


@post("/approvals/{id:str}/vote", summary="Say yes or no", sync_to_thread=True, responses=documented(403, 404, 409))
def vote_approval(services: Using, who: Asker, id: Id, data: JSONBody[VoteDraft]) -> ApprovalView:
    for field, text in _prose(data):
        clean(text, field)
    voted = services.approvals.vote(who, clean(id, "id"), data.verdict, data.comment)
    return view(voted, who, services.approvals)


@post("/approvals/{id:str}/withdraw", summary="Take it back", sync_to_thread=True, responses=documented(403, 404, 409))
def withdraw_approval(services: Using, who: Asker, id: Id) -> ApprovalView:
    return view(services.approvals.withdraw(who, clean(id, "id")), who, services.approvals)


@post(
    "/approvals/{id:str}/collect",
    summary="Have what was approved done, and get its result once",
    sync_to_thread=True,
    responses=documented(403, 404, 409),
)
def collect_approval(services: Using, who: Asker, id: Id) -> Collected:
    result = services.approvals.collect(who, clean(id, "id"))
    done = view(services.approvals.get(who, id), who, services.approvals)
    return Collected(approval=done, result=plain(result))


@post(
    "/approvals/{id:str}/links",
    summary="Your own links to say yes or no without logging in",
    sync_to_thread=True,
    responses=documented(403, 404),
)
def make_approval_links(services: Using, who: Asker, id: Id) -> LinksView:
    made = services.links.make(who, clean(id, "id"))
    return LinksView(approve=made["approve"], deny=made["deny"])


@get(
    "/approvals/{id:str}/link",
    summary="What following a signed link would do; does nothing",
    sync_to_thread=True,
    responses=documented(403, 404),
    **OPEN,
)
def read_approval_link(services: Using, id: Id, sign: Sign) -> LinkView:
    return linked(services, clean(id, "id"), clean(sign, "sign"))


@post(
    "/approvals/{id:str}/link",
    summary="Vote as a signed link says",
    sync_to_thread=True,
    responses=documented(403, 404, 409),
    **OPEN,
)
def follow_approval_link(services: Using, id: Id, data: JSONBody[LinkVote]) -> ApprovalView:
    for field, text in _prose(data):
        clean(text, field)
    return followed(services, clean(id, "id"), data.sign, data.comment)


ROUTES = (
    read_approvals, read_approval_rules, read_approval, ask_approval, vote_approval, withdraw_approval,
    collect_approval, make_approval_links, read_approval_link, follow_approval_link,
)  # fmt: skip


def linked(services: Services, id: str, sign: str) -> LinkView:
    """What a link would do. Raises what ``Links.opened`` does."""
    found, link, who = services.links.opened(id, sign)
    shown = view(found, who, services.approvals)
    return LinkView(approval=shown, verdict=Verdict(link.verdict), name=who.actor, expires=link.expires)


def followed(services: Services, id: str, sign: str, comment: str) -> ApprovalView:
    """Vote by a link. Raises what ``Links.follow`` does."""
    _, _, who = services.links.opened(id, sign)
    return view(services.links.follow(id, sign, comment), who, services.approvals)


def _prose(draft: VoteDraft | LinkVote) -> Iterator[tuple[str, str]]:
    """Texts of a body, of which comments may have several lines."""
    for field, text in texts(draft):
        yield field, text.translate(_BREAKS)


_BREAKS = {ord(letter): " " for letter in "\r\n\t"}
