"""The endpoints of the control API, under ``/api/v1``. Handlers that ask the ledger run in a worker thread."""

from typing import Annotated, Any

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, SkipValidation
from litestar.response import Stream

from farthing.core.errors import DeniedError, InputError, NotFoundError
from farthing.ledger.questions import DIMENSIONS, RequestsAnswer, RequestsQuestion, SpendAnswer, SpendQuestion
from farthing.web import approvals, audit, budgets, cache, people, sign_on
from farthing.web.admin import Doorway
from farthing.web.detail import explain
from farthing.web.overview import overview
from farthing.web.problems import OPEN, documented
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
from farthing.web.services import Using
from farthing.web.session import session_of
from farthing.web.table import CSV, csv_stream, request_lines, spend_lines, streamed
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
from farthing.web.who import ADMIN_TOKEN, Asker

Spent = NamedDependency[SkipValidation[SpendQuestion]]
Asked = NamedDependency[SkipValidation[RequestsQuestion]]
Id = Annotated[str, PathParameter(min_length=1, max_length=200)]


_EVENTS = streamed("text/event-stream", "An event named `landed`, with a `Landed` as data, whenever facts land")


@get("/session", summary="What the header of every page shows", sync_to_thread=True, responses=documented())
def read_session(services: Using, who: Asker) -> Session:
    return session_of(services, who)


@post("/session", summary="Log in with the admin token", sync_to_thread=True, responses=documented(), **OPEN)
def log_in(data: JSONBody[LoginDraft], services: Using, door: Doorway) -> Response[Session]:
    if not door.knows(data.token):
        raise DeniedError(
            "The admin token is wrong", reason="not_logged_in", remedy="It stands in admin.token in the data folder"
        )
    return Response(session_of(services, ADMIN_TOKEN), cookies=[door.cookie()])


@delete("/session", summary="Log out", sync_to_thread=True, responses=documented(403))
def log_out(request: Request[Any, Any, Any], door: Doorway) -> Response[None]:
    door.leave(request)
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


@get("/spend.csv", summary="Spend as CSV", sync_to_thread=True, responses={**documented(), **CSV})
def read_spend_csv(services: Using, spent: Spent) -> Stream:
    return csv_stream(spend_lines(services.facts.spend(spent)), "spend")


@get("/requests", summary="Requests and the totals of all that match", sync_to_thread=True, responses=documented())
def read_requests(services: Using, asked: Asked) -> RequestsAnswer:
    return services.facts.requests(asked)


@get("/requests.csv", summary="All matching requests as CSV", sync_to_thread=True, responses={**documented(), **CSV})
def read_requests_csv(services: Using, asked: Asked) -> Stream:
    return csv_stream(request_lines(services.facts, asked), "requests")


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
def create_key(services: Using, who: Asker, data: JSONBody[KeyDraft]) -> KeyCreated:
    who.must("key.write")
    for field, text in texts(data):
        clean(text, field)
    key, token = services.keys.create(who, data)
    return KeyCreated(key=key, token=token)


@post("/keys/{id:str}/rotate", summary="A new token", sync_to_thread=True, responses=documented(403, 404, 409))
def rotate_key(services: Using, who: Asker, id: Id) -> KeyCreated:
    who.must("key.write")
    key, token = services.keys.rotate(who, clean(id, "id"))
    return KeyCreated(key=key, token=token)


@delete("/keys/{id:str}", summary="Revoke a key", sync_to_thread=True, responses=documented(403, 404, 409))
def revoke_key(services: Using, who: Asker, id: Id) -> None:
    who.must("key.write")
    services.keys.revoke(who, clean(id, "id"))


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
    read_health, read_events, *budgets.ROUTES, *people.ROUTES, *sign_on.ROUTES,
    *approvals.ROUTES, *audit.ROUTES, *cache.ROUTES,
)  # fmt: skip
