"""The endpoints of the control API, under ``/api/v1``. Handlers that ask the ledger run in a worker thread."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter, SkipValidation
from litestar.response import Stream

from farthing.core.errors import DeniedError, InputError, NotFoundError
from farthing.core.money import USD
from farthing.ledger.questions import DIMENSIONS, RequestsAnswer, RequestsQuestion, SpendAnswer, SpendQuestion
from farthing.web.admin import Door
from farthing.web.detail import explain
from farthing.web.overview import overview
from farthing.web.problems import documented
from farthing.web.questions import (
    BasisText,
    ByOne,
    Limit,
    Spanned,
    Text,
    Where,
    chosen_basis,
    clean,
    conditions,
    dimension,
    texts,
)
from farthing.web.services import Services, Using
from farthing.web.table import request_lines, spend_lines
from farthing.web.views import (
    DimensionValues,
    HealthView,
    KeyCreated,
    KeyDraft,
    KeysAnswer,
    LoginDraft,
    Overview,
    PricesAnswer,
    ProvidersAnswer,
    RequestDetail,
    Session,
)

Spent = NamedDependency[SkipValidation[SpendQuestion]]
Asked = NamedDependency[SkipValidation[RequestsQuestion]]
Doorway = NamedDependency[SkipValidation[Door]]
Id = Annotated[str, PathParameter(min_length=1, max_length=200)]


def _stream(media_type: str, description: str) -> dict[int, ResponseSpec]:
    """The 200 of an endpoint that streams text."""
    spec = ResponseSpec(data_container=str, generate_examples=False, description=description)
    return {200: replace(spec, media_type=media_type)}


_CSV = _stream("text/csv", "Rows under a header")
_EVENTS = _stream("text/event-stream", "An event named `landed`, with a `Landed` as data, whenever facts land")


@get("/session", summary="What the header of every page shows", sync_to_thread=True, responses=documented())
def read_session(services: Using) -> Session:
    return _session(services)


@post(
    "/session", summary="Log in with the admin token", sync_to_thread=True, opt={"open": True}, responses=documented()
)
def log_in(data: JSONBody[LoginDraft], services: Using, door: Doorway) -> Response[Session]:
    if not door.knows(data.token):
        raise DeniedError(
            "The admin token is wrong", reason="not_logged_in", remedy="It stands in admin.token in the data folder"
        )
    return Response(_session(services), cookies=[door.cookie()])


@delete("/session", summary="Log out", sync_to_thread=False, responses=documented(403))
def log_out(door: Doorway) -> Response[None]:
    return Response(None, cookies=[door.farewell()])


@get("/overview", summary="Everything the Overview page shows", sync_to_thread=True, responses=documented())
def read_overview(
    services: Using, span: Spanned, by: ByOne = "team", basis: BasisText = None, where: Where = None
) -> Overview:
    asked = chosen_basis(basis, services)
    return overview(services.facts, span, by=dimension(by, "by"), basis=asked, where=conditions(where or []))


@get("/spend", summary="How much was spent, by anything", sync_to_thread=True, responses=documented())
def read_spend(services: Using, spent: Spent) -> SpendAnswer:
    return services.facts.spend(spent)


@get("/spend.csv", summary="Spend as CSV", sync_to_thread=True, responses={**documented(), **_CSV})
def read_spend_csv(services: Using, spent: Spent) -> Stream:
    return _csv(spend_lines(services.facts.spend(spent)), "spend")


@get("/requests", summary="Requests and the totals of all that match", sync_to_thread=True, responses=documented())
def read_requests(services: Using, asked: Asked) -> RequestsAnswer:
    return services.facts.requests(asked)


@get("/requests.csv", summary="All matching requests as CSV", sync_to_thread=True, responses={**documented(), **_CSV})
def read_requests_csv(services: Using, asked: Asked) -> Stream:
    return _csv(request_lines(services.facts, asked), "requests")


@get("/requests/{request_id:str}", summary="One request, explained", sync_to_thread=True, responses=documented(404))
def read_request(services: Using, request_id: Id) -> RequestDetail:
    facts = services.facts.request(clean(request_id, "request_id"))
    if not facts:
        raise NotFoundError("request", request_id, remedy="It may have passed its retention, or not have landed yet")
    return explain(facts)


@get("/dimensions/{name:str}", summary="Values of a dimension", sync_to_thread=True, responses=documented(404))
def read_dimension(services: Using, span: Spanned, name: Id) -> DimensionValues:
    try:
        known = dimension(name, "name")
    except InputError:
        raise NotFoundError("dimension", name, known=DIMENSIONS, remedy=f"Use {', '.join(DIMENSIONS)}") from None
    return DimensionValues(name=known, values=tuple(services.facts.values(known, span.window)))


@get("/prices", summary="Search the price catalogue", sync_to_thread=True, responses=documented())
def read_prices(services: Using, q: Text = "", limit: Limit = 50) -> PricesAnswer:
    return services.prices.search(clean(q, "q"), limit=limit)


@get("/keys", summary="All Farthing keys", sync_to_thread=True, responses=documented())
def read_keys(services: Using) -> KeysAnswer:
    return KeysAnswer(rows=tuple(services.keys.list()))


@post("/keys", summary="Make a key; its token is shown once", sync_to_thread=True, responses=documented(403, 409))
def create_key(services: Using, data: JSONBody[KeyDraft]) -> KeyCreated:
    for field, text in texts(data):
        clean(text, field)
    key, token = services.keys.create(data)
    return KeyCreated(key=key, token=token)


@post("/keys/{id:str}/rotate", summary="A new token", sync_to_thread=True, responses=documented(403, 404, 409))
def rotate_key(services: Using, id: Id) -> KeyCreated:
    key, token = services.keys.rotate(clean(id, "id"))
    return KeyCreated(key=key, token=token)


@delete("/keys/{id:str}", summary="Revoke a key", sync_to_thread=True, responses=documented(403, 404, 409))
def revoke_key(services: Using, id: Id) -> None:
    services.keys.revoke(clean(id, "id"))


@get("/providers", summary="Configured providers", sync_to_thread=True, responses=documented())
def read_providers(services: Using) -> ProvidersAnswer:
    return ProvidersAnswer(rows=tuple(services.desk.providers()))


@get("/health", summary="Whether everything works, and what to do if not", sync_to_thread=True, responses=documented())
def read_health(services: Using) -> HealthView:
    return services.desk.health()


@get("/events", summary="News of the ledger, live", sync_to_thread=False, responses={**documented(), **_EVENTS})
def read_events(services: Using) -> Stream:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(services.landings.stream(), media_type="text/event-stream", headers=headers)


API = (
    read_session, log_in, log_out, read_overview, read_spend, read_spend_csv, read_requests, read_requests_csv,
    read_request, read_dimension, read_prices, read_keys, create_key, rotate_key, revoke_key, read_providers,
    read_health, read_events,
)  # fmt: skip


def _csv(lines: Iterator[bytes], name: str) -> Stream:
    headers = {"Content-Disposition": f'attachment; filename="farthing-{name}.csv"', "Cache-Control": "no-store"}
    return Stream(lines, media_type="text/csv; charset=utf-8", headers=headers)


def _session(services: Services) -> Session:
    return Session(
        version=services.version,
        zone=services.settings.zone,
        currency=USD,
        basis=chosen_basis(None, services),
        now=services.clock(),
        through=services.facts.through(),
        ledger_version=services.landings.latest.version,
        gateway_url=services.gateway_url,
        providers=sum(provider.enabled for provider in services.desk.providers()),
        keys=sum(key.state == "active" for key in services.keys.list()),
        dimensions=DIMENSIONS,
        hints=tuple(services.desk.hints()),
    )
