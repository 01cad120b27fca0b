"""The two addresses of single sign-on: where it begins, and where the identity provider sends people back to."""

import asyncio
import html
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation
from litestar.response import Redirect

from farthing.core.errors import FarthingError, NotFoundError
from farthing.web.admin import Doorway
from farthing.web.oidc import Answer, Oidc
from farthing.web.people import logged_in
from farthing.web.problems import OPEN, documented, explain
from farthing.web.services import Services, Using

PATH = "/api/v1/login/oidc"
Provider = NamedDependency[SkipValidation[Oidc]]
Browser = Request[Any, Any, Any]
Said = Annotated[str, QueryParameter(max_length=4000)]
_COOKIE_SECONDS = 600


@get("/login/oidc", summary="Begin single sign-on", status_code=302, responses=documented(404, 503), **OPEN)
async def begin_sign_on(request: Browser, services: Using, oidc: Provider, next: Said = "/") -> Redirect:
    if not services.login.oidc.issuer:
        raise NotFoundError("identity provider", "oidc", remedy="Configure one under [login.oidc]")
    address, ticket = await oidc.begin(_callback(request, services), next)
    return Redirect(address, status_code=302, cookies=[_ticket(services, ticket, _COOKIE_SECONDS)])


@get("/login/oidc/callback", opt={"open": True, "any_parameter": True}, include_in_schema=False)
async def end_sign_on(request: Browser, services: Using, door: Doorway, oidc: Provider) -> Response[bytes]:
    """A page, not a redirect: a browser that comes from another site sends the new cookie, which is
    ``SameSite=Strict``, only with what a page of this site begins. Parameters that a provider adds are none of our
    business.
    """
    said = {name: value[:4000] for name, value in request.query_params.items() if name in Answer.__struct_fields__}
    answer = Answer(**said)
    over = _ticket(services, "", 0)
    try:
        if not services.login.oidc.issuer:
            raise NotFoundError("identity provider", "oidc", remedy="Configure one under [login.oidc]")
        ticket = request.cookies.get(over.key, "")
        identity, after = await oidc.finish(ticket, answer, _callback(request, services))
        token = await asyncio.to_thread(services.logins.with_identity, identity)
        session = await asyncio.to_thread(logged_in, request, services, door, token)
    except FarthingError as problem:
        status = explain(problem).status
        return _page("Not logged in", str(problem), "/login", status, [over])
    return _page("Logged in", "", after, 200, [over, *session.cookies])


ROUTES = (begin_sign_on, end_sign_on)


def _callback(request: Browser, services: Services) -> str:
    """Where the provider sends people back to. The shield has made sure that the host is ours."""
    scheme = "https" if services.settings.secure_cookie else "http"
    return f"{scheme}://{request.headers['host']}{PATH}/callback"


def _ticket(services: Services, value: str, seconds: int) -> Cookie:
    """Ties the answer to the browser that asked. ``Lax``, because the answer is a link from another site."""
    return Cookie(
        key="farthing_sign_on", value=value, max_age=seconds, path=PATH, httponly=True, samesite="lax",
        secure=services.settings.secure_cookie,
    )  # fmt: skip


def _page(title: str, text: str, after: str, status: int, cookies: list[Cookie]) -> Response[bytes]:
    """A page that goes on by itself when all went well."""
    link = html.escape(after, quote=True)
    go = f'<meta http-equiv="refresh" content="0;url={link}">' if status == 200 else ""  # noqa: PLR2004 - HTTP's ok
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{go}<title>Farthing: {title}</title>'
        f'<body style="font: 15px/1.5 system-ui; max-width: 40rem; margin: 4rem auto; padding: 0 1rem">'
        f'<h1 style="font-size: 1.25rem">{title}</h1><p>{html.escape(text)}</p><p><a href="{link}">Go on</a></p>'
    )
    return Response(
        body.encode(), status_code=status, media_type="text/html; charset=utf-8", cookies=cookies,
        headers={"Cache-Control": "no-store"},
    )  # fmt: skip
