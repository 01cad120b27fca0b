"""The page that a signed link opens: what it would do, and a button. It needs neither a login nor a script.

Opening it does nothing, because programs that look for bad links open every one they see. Addresses of approvals
without a signature are the dashboard's.
"""

import asyncio
from html import escape
from typing import Annotated, Any
from urllib.parse import parse_qs

from litestar import Request, Response, get, post
from litestar.params import PathParameter

from farthing.core.errors import FarthingError, InputError
from farthing.web.approval_views import ApprovalView
from farthing.web.approvals import followed, linked
from farthing.web.pages import serve
from farthing.web.problems import explain
from farthing.web.questions import clean
from farthing.web.services import Services

Id = Annotated[str, PathParameter(min_length=1, max_length=64)]
_MOST_FORM = 8192
_HEADERS = {"Cache-Control": "no-store"}
_DONE = {"approve": "You agreed", "deny": "You said no"}
_ASKED = {"approve": "Agree to this?", "deny": "Say no to this?"}


def pages(services: Services) -> tuple[Any, ...]:
    """The handlers of ``/approvals`` and ``/approvals/ID``, outside the API: such paths need their own."""

    @get("/approvals", include_in_schema=False)
    async def open_list(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await asyncio.to_thread(serve, services.pages, "approvals", request)

    @get("/approvals/{id:str}", include_in_schema=False)
    async def open_link(request: Request[Any, Any, Any], id: Id) -> Response[bytes]:
        sign = request.query_params.get("sign")
        if sign is None:
            return await asyncio.to_thread(serve, services.pages, f"approvals/{id}", request)
        return await asyncio.to_thread(_shown, services, id, sign)

    @post("/approvals/{id:str}", include_in_schema=False, status_code=200)
    async def follow_link(request: Request[Any, Any, Any], id: Id) -> Response[bytes]:
        body = await request.body()
        form = parse_qs(body[:_MOST_FORM].decode("ascii", errors="replace"), max_num_fields=4)
        sign, comment = (form.get(name, [""])[0] for name in ("sign", "comment"))
        return await asyncio.to_thread(_voted, services, id, sign, comment[:2000])

    return (open_list, open_link, follow_link)


def _shown(services: Services, id: str, sign: str) -> Response[bytes]:
    try:
        link = linked(services, clean(id, "id"), clean(sign, "sign"))
    except FarthingError as problem:
        return _refused(problem)
    button = "Agree" if link.verdict == "approve" else "Say no"
    form = (
        f'<form method="post" action="/approvals/{escape(id)}">'
        f'<input type="hidden" name="sign" value="{escape(sign)}">'
        '<label>Comment <input name="comment" maxlength="2000" autocomplete="off"></label> '
        f"<button>{button}</button></form>"
        f"<p>As {escape(link.name)}. The link works until {link.expires:%Y-%m-%d %H:%M} UTC, once.</p>"
    )
    return _page(_ASKED[link.verdict], f"{_facts(link.approval)}{form}", 200)


def _voted(services: Services, id: str, sign: str, comment: str) -> Response[bytes]:
    try:
        if not sign:
            raise InputError("a link is needed", field="sign", value="", remedy="Open the link as it was sent")
        link = linked(services, clean(id, "id"), clean(sign, "sign"))
        voted = followed(services, id, sign, clean(comment, "comment"))
    except FarthingError as problem:
        return _refused(problem)
    return _page(f"{_DONE[link.verdict]}: it is {voted.state}", _facts(voted), 200)


def _facts(approval: ApprovalView) -> str:
    amount = "" if approval.amount is None else f"${approval.amount:,f}"
    rows = [
        ("What", approval.summary), ("Amount", amount), ("For", approval.category), ("Asked by", approval.asked_by),
        ("Why you", approval.reason), ("Agreed so far", f"{approval.yes} of {approval.wanted}"),
        *((change.field, f"{change.before or '–'} → {change.after or '–'}") for change in approval.changes),
    ]  # fmt: skip
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value)
    return f'<dl>{cells}</dl><p><a href="/approvals/{escape(approval.id)}">Open it in the dashboard</a></p>'


def _refused(problem: FarthingError) -> Response[bytes]:
    said = explain(problem)
    return _page(said.title, f"<p>{escape(said.detail)}.</p><p>{escape(said.remedy)}</p>", said.status)


def _page(title: str, body: str, status: int) -> Response[bytes]:
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)} – Farthing</title>"
        '<body style="font: 15px/1.5 system-ui; max-width: 40rem; margin: 4rem auto; padding: 0 1rem">'
        f'<h1 style="font-size: 1.25rem">{escape(title)}</h1>{body}</body></html>'
    )
    return Response(text.encode(), status_code=status, media_type="text/html; charset=utf-8", headers=_HEADERS)
