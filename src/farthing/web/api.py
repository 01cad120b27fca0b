"""The control plane as one ASGI application: the API, its document, and the dashboard."""

import asyncio
from functools import lru_cache
from typing import Any

from litestar import Litestar, Request, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import ASGIApp

from farthing.core.errors import FarthingError, InputError, NotFoundError
from farthing.web.admin import Door
from farthing.web.attempts import Attempts
from farthing.web.document import DecimalSchema, configuration
from farthing.web.link_page import pages as link_pages
from farthing.web.oidc import Oidc
from farthing.web.pages import serve
from farthing.web.problems import on_any_error, on_farthing_error, on_http_error
from farthing.web.questions import requests_question, span, spend_question
from farthing.web.refusals import Refusals
from farthing.web.routes import API
from farthing.web.services import Services
from farthing.web.shield import Shield
from farthing.web.tenant import narrowed
from farthing.web.who import known, provide_who
from farthing.web.wire import encode

MAX_BODY_BYTES = 64 * 1024
"""Enough for the largest body there is, a key with two hundred model names."""


def build(services: Services) -> ASGIApp:
    """The whole control plane, shielded: only known hosts are served, every response has the security headers."""
    return Shield(application(services), hosts=(services.settings.host, *services.settings.hosts))


def application(services: Services) -> Litestar:
    """The API and the dashboard, without the shield."""
    door = Door(services)
    attempts = Attempts(lambda: services.clock())  # noqa: PLW0108 - the document is made without services

    def provide_services(request: Request[Any, Any, Any]) -> Services:
        who = known(request)
        return services if who is None else narrowed(services, who)

    def provide_door() -> Door:
        return door

    def provide_attempts() -> Attempts:
        return attempts

    @lru_cache(maxsize=1)
    def provide_oidc() -> Oidc:
        return Oidc(services.login.oidc, services.client_secret, services.clock)

    def admin_only(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        door.check(connection, handler)

    api = Router("/api/v1", route_handlers=API, guards=[admin_only, only_known_parameters])
    return Litestar(
        route_handlers=[api, alive, *link_pages(services), _dashboard(services)],
        dependencies={
            "services": Provide(provide_services, sync_to_thread=False),
            "door": Provide(provide_door, sync_to_thread=False),
            "attempts": Provide(provide_attempts, sync_to_thread=False),
            "oidc": Provide(provide_oidc, sync_to_thread=False),
            "who": Provide(provide_who, sync_to_thread=False),
            "span": Provide(span, sync_to_thread=False),
            "spent": Provide(spend_question, sync_to_thread=False),
            "asked": Provide(requests_question, sync_to_thread=False),
        },
        exception_handlers={
            FarthingError: on_farthing_error,
            HTTPException: on_http_error,
            Exception: on_any_error,
        },
        after_exception=[Refusals(lambda: services.audit, services.clock)],
        response_class=Json,
        openapi_config=configuration(),
        plugins=[DecimalSchema()],
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )


@get("/healthz", include_in_schema=False, sync_to_thread=False)
def alive() -> str:
    """Whether the process answers at all; anybody may ask."""
    return "ok"


def _dashboard(services: Services) -> HTTPRouteHandler:
    @get(["/", "/{path:path}"], include_in_schema=False)
    async def page(request: Request[Any, Any, Any], path: FromPath[str] = "") -> Response[bytes]:
        return await asyncio.to_thread(serve, services.pages, path, request)

    return page


class Json(Response[Any]):
    """A response that renders money in fixed point."""

    def render(self, content: Any, media_type: str, enc_hook: Any = None) -> bytes:
        if isinstance(content, (bytes, str)) or not media_type.startswith("application/json"):
            return super().render(content, media_type, enc_hook)
        return encode(content)


def only_known_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard. Raises ``InputError`` for query parameters that the endpoint does not take: a misspelt filter must
    not answer for everything. Handlers marked ``any_parameter`` are called by programs that add their own.
    """
    if handler.opt.get("any_parameter"):
        return
    known = parameters(handler)
    for name in connection.query_params:
        if name not in known:
            nearest = NotFoundError("parameter", name, known=known).remedy
            remedy = nearest or (f"Use {', '.join(sorted(known))}" if known else "Leave it out")
            raise InputError("unknown parameter", field=name, value=connection.query_params[name], remedy=remedy)


@lru_cache(maxsize=256)
def parameters(handler: BaseRouteHandler) -> frozenset[str]:
    """Names of the query parameters that a handler, or what it depends on, reads."""
    provided = handler.resolve_dependencies()
    names: set[str] = set()
    waiting = list(handler.parsed_fn_signature.parameters)
    while waiting:
        name = waiting.pop()
        if name in provided:
            waiting.extend(provided[name].parsed_fn_signature.parameters)
        else:
            names.add(name)
    return frozenset(names - _RESERVED - _path_names(handler))


def _path_names(handler: BaseRouteHandler) -> set[str]:
    return {part.strip("{}").partition(":")[0] for path in handler.paths for part in path.split("/") if "{" in part}


_RESERVED = frozenset({"data", "request", "self"})
