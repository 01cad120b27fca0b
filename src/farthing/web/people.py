"""Endpoints for people: logging in, and who may. What the confined may do here is in ``TenantPeople``."""

from typing import Annotated, Any

from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, SkipValidation

from farthing.core.errors import DeniedError
from farthing.web.admin import Doorway
from farthing.web.attempts import Attempts
from farthing.web.people_views import (
    InviteLogin,
    LoginWays,
    PasswordDraft,
    PasswordLogin,
    PeopleAnswer,
    PersonChange,
    PersonCreated,
    PersonDraft,
    PersonView,
    SessionsAnswer,
    TokenCreated,
    TokenDraft,
)
from farthing.web.problems import OPEN, documented
from farthing.web.questions import clean, texts
from farthing.web.services import Services, Using
from farthing.web.session import session_of
from farthing.web.tenant import narrowed
from farthing.web.views import Session
from farthing.web.who import Asker

Id = Annotated[str, PathParameter(min_length=1, max_length=200)]
Counted = NamedDependency[SkipValidation[Attempts]]
Browser = Request[Any, Any, Any]


@get("/login", summary="How one can log in here", sync_to_thread=True, **OPEN, responses=documented())
def read_login(services: Using) -> LoginWays:
    people = services.people.list()
    return LoginWays(
        admin_token=services.login.admin_token,
        password=any(person.has_password and person.state == "active" for person in people),
        single_sign_on=services.login.oidc.label if services.login.oidc.issuer else "",
    )


@post("/login", summary="Log in with a password", sync_to_thread=True, **OPEN, responses=documented(403))
def log_in_with_password(
    data: JSONBody[PasswordLogin], request: Browser, services: Using, door: Doorway, attempts: Counted
) -> Response[Session]:
    email = clean(data.email, "email").strip().lower()
    names = {f"email {email}": services.login.email_attempts, _address(request): services.login.address_attempts}
    attempts.begin(names)
    token = services.logins.with_password(email, data.password)
    if token is None:
        raise DeniedError(
            "E-mail and password do not fit", reason="not_logged_in", remedy="Try again, or ask an admin for a new link"
        )
    attempts.succeeded(*names)
    return logged_in(request, services, door, token)


@post("/login/invite", summary="Choose a password by a link", sync_to_thread=True, **OPEN, responses=documented(403))
def log_in_with_invite(
    data: JSONBody[InviteLogin], request: Browser, services: Using, door: Doorway
) -> Response[Session]:
    return logged_in(request, services, door, services.logins.with_invite(data.token, data.password))


@post("/login/password", summary="Change one's own password", sync_to_thread=True, responses=documented(403))
def change_password(  # noqa: PLR0917 - Litestar names them all
    data: JSONBody[PasswordDraft], request: Browser, services: Using, who: Asker, door: Doorway, attempts: Counted
) -> Response[Session]:
    name = f"password {who.person}"
    attempts.begin({name: services.login.email_attempts})
    token = services.logins.change_password(who, data.old, data.new)
    attempts.succeeded(name)
    return logged_in(request, services, door, token)


@get("/people", summary="Everybody who may log in", sync_to_thread=True, responses=documented(403))
def read_people(services: Using, who: Asker) -> PeopleAnswer:
    who.must("people.write")
    return PeopleAnswer(rows=tuple(services.people.list()))


@post("/people", summary="Let somebody in", sync_to_thread=True, responses=documented(403, 409))
def create_person(services: Using, who: Asker, data: JSONBody[PersonDraft]) -> PersonCreated:
    who.must("people.write")
    _clean(data)
    return services.people.create(who, data)


@patch("/people/{id:str}", summary="Change somebody", sync_to_thread=True, responses=documented(403, 404, 409))
def change_person(services: Using, who: Asker, id: Id, data: JSONBody[PersonChange]) -> PersonView:
    who.must("people.write")
    _clean(data)
    return services.people.change(who, clean(id, "id"), data)


@post(
    "/people/{id:str}/disable", summary="Let somebody in no more", sync_to_thread=True,
    responses=documented(403, 404, 409),
)  # fmt: skip
def disable_person(services: Using, who: Asker, id: Id) -> PersonView:
    who.must("people.write")
    return services.people.disable(who, clean(id, "id"))


@post("/people/{id:str}/enable", summary="Let them in again", sync_to_thread=True, responses=documented(403, 404))
def enable_person(services: Using, who: Asker, id: Id) -> PersonView:
    who.must("people.write")
    return services.people.enable(who, clean(id, "id"))


@post(
    "/people/{id:str}/invite", summary="A link to set a password", sync_to_thread=True,
    responses=documented(403, 404, 409),
)  # fmt: skip
def invite_person(services: Using, who: Asker, id: Id) -> PersonCreated:
    who.must("people.write")
    return services.people.invite(who, clean(id, "id"))


@get("/people/{id:str}/sessions", summary="Their sessions", sync_to_thread=True, responses=documented(403, 404))
def read_sessions(services: Using, who: Asker, id: Id) -> SessionsAnswer:
    if id != who.person:
        who.must("people.write")
    return SessionsAnswer(rows=tuple(services.people.sessions(clean(id, "id"))))


@delete(
    "/people/{id:str}/sessions/{session:str}", summary="End a session", sync_to_thread=True,
    responses=documented(403, 404),
)  # fmt: skip
def revoke_session(services: Using, who: Asker, id: Id, session: Id) -> None:
    if id != who.person:
        who.must("people.write")
    services.people.revoke(who, clean(id, "id"), clean(session, "session"))


@post(
    "/people/{id:str}/tokens", summary="A token for a service; shown once", sync_to_thread=True,
    responses=documented(403, 404, 409),
)  # fmt: skip
def issue_token(services: Using, who: Asker, id: Id, data: JSONBody[TokenDraft]) -> TokenCreated:
    who.must("people.write")
    _clean(data)
    return services.people.issue(who, clean(id, "id"), data)


ROUTES = (
    read_login, log_in_with_password, log_in_with_invite, change_password, read_people, create_person, change_person,
    disable_person, enable_person, invite_person, read_sessions, revoke_session, issue_token,
)  # fmt: skip


def logged_in(request: Browser, services: Services, door: Doorway, token: str) -> Response[Session]:
    """The session of a new login. Whatever login the browser came with is over."""
    door.leave(request)
    who = services.logins.recognize(token)
    if who is None:
        raise DeniedError("This login is over already", reason="not_logged_in", remedy="Log in again")
    return Response(session_of(narrowed(services, who), who), cookies=[door.login_cookie(token)])


def _clean(data: object) -> None:
    for field, text in texts(data):
        clean(text, field)


def _address(request: Browser) -> str:
    """Where a request comes from; the proxy where there is one, because what it says can be made up."""
    return f"address {request.client.host if request.client else ''}"


__all__ = ["ROUTES", "logged_in"]
