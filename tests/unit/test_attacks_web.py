"""Attacks on the control API by people who are logged in, or would like to be: real stores, the whole application."""

import asyncio
import json
import re
from datetime import timedelta

import pytest

from farthing.web.api import application
from farthing.web.attempts import PERIOD, REMEMBERED, Attempts
from farthing.web.document import document
from farthing.web.openapi import printed
from farthing.web.shield import Shield
from support.house import FOREIGN, OWN, PASSWORD, furnish, house
from support.postgres import serve

DOCUMENT = json.loads(printed())
OPERATIONS = [
    (method.upper(), path.removeprefix("/api/v1"), operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    with house(tmp_path_factory.mktemp("house")) as made:
        furnish(made)
        yield made


def of(rooms, email: str):
    return rooms.store.people.get(email)


SHARED = {
    "GET /session", "DELETE /session", "POST /session", "GET /prices", "GET /events", "GET /login", "POST /login",
    "POST /login/invite", "POST /login/password", "GET /login/oidc", "GET /approvals/rules",
}  # fmt: skip
"""What has nothing of any tenant, or only of who asks."""
NARROWED = {
    "GET /overview", "GET /spend", "GET /spend.csv", "GET /requests", "GET /requests.csv", "GET /requests/{request_id}",
    "GET /dimensions/{name}", "GET /keys", "POST /keys", "POST /keys/{id}/rotate", "DELETE /keys/{id}",
    "GET /providers", "GET /health", "GET /people", "POST /people", "PATCH /people/{id}", "POST /people/{id}/disable",
    "POST /people/{id}/enable", "POST /people/{id}/invite", "GET /people/{id}/sessions",
    "DELETE /people/{id}/sessions/{session}", "POST /people/{id}/tokens",
    "GET /budgets", "GET /budgets.csv", "POST /budgets", "GET /budgets/{id}", "PATCH /budgets/{id}",
    "DELETE /budgets/{id}", "GET /notices",
    "GET /approvals", "POST /approvals", "GET /approvals/{id}", "POST /approvals/{id}/vote",
    "POST /approvals/{id}/withdraw", "POST /approvals/{id}/collect", "POST /approvals/{id}/links",
    "GET /approvals/{id}/link", "POST /approvals/{id}/link", "GET /audit", "GET /audit.csv", "GET /audit/chain",
    "GET /cache", "GET /cache.csv", "GET /cache/hits", "POST /cache/feedback", "POST /cache/purge",
}  # fmt: skip
"""What is cut down to the tenant of who asks; the tests below ask each of them for the other tenant's."""


def test_every_route_has_a_decision_about_tenants():
    named = {f"{method} {path}" for method, path, _ in OPERATIONS}
    undecided = named - SHARED - NARROWED
    assert not undecided, f"decide what somebody confined to a tenant sees there: {sorted(undecided)}"


def foreign_ids(rooms) -> list[str]:
    """Every name by which something of the other tenant can be asked for."""
    ids = [f"req-{FOREIGN}-0", f"{FOREIGN}-key", FOREIGN]
    with rooms.admin() as client:
        for path in ("budgets", "approvals"):
            rows = client.get(f"/api/v1/{path}").json()["rows"]
            texts = [json.dumps(row) for row in rows]
            ids += [name for text in texts if FOREIGN in text for name in re.findall('"id": "([^"]+)"', text)]
        assert len(ids) >= 5
    for key in rooms.store.keys.list():
        if FOREIGN in key.name:
            ids += [key.id, key.prefix]
    for person in rooms.store.people.list():
        if FOREIGN in person.email:
            ids += [person.id, person.email]
            ids += [session.id for session in rooms.store.sessions.list(person.id)]
    return ids


def reads() -> list[tuple[str, str]]:
    return [(path, f"{method} {path}") for method, path, _ in OPERATIONS if method == "GET" and path != "/events"]


@pytest.mark.parametrize("who", ["viewer", "admin"])
@pytest.mark.parametrize(("path", "name"), reads(), ids=lambda part: part if " " in part else "")
def test_nothing_of_another_tenant_is_read_by_any_route(rooms, who, path, name):
    person = of(rooms, f"{OWN}-{who}@example.com")
    slots = re.findall(r"{(\w+)}", path)
    wanted = foreign_ids(rooms) if slots else [""]
    query = {"sign": "x"} if path.endswith("/link") else {}
    with rooms.browser(person) as client:
        for value in wanted:
            address = re.sub(r"{\w+}", value, path) if slots != ["name"] else path
            for dimension in ("team", "feature", "customer", "model", "tag:run") if slots == ["name"] else [""]:
                answer = client.get(f"/api/v1{address.replace('{name}', dimension)}", params=query)
                body = answer.text.replace(value, "") if value else answer.text
                assert FOREIGN not in body, (address, answer.text[:500])
                assert answer.status_code < 500 or answer.status_code == 503
                if slots and slots != ["name"]:
                    assert answer.status_code in (403, 404), (address, answer.status_code)


@pytest.mark.parametrize(
    "query",
    [
        f"where=team:{FOREIGN}", f"where=team:{OWN}&where=team:{FOREIGN}", f"where=customer:{FOREIGN}-customer",
        f"where=model:{FOREIGN}-model", "where=team:", f"where=tag:run:{FOREIGN}-run", "where=origin:bill",
    ],
)  # fmt: skip
def test_a_filter_narrows_and_never_widens(rooms, query):
    with rooms.browser(of(rooms, f"{OWN}-viewer@example.com")) as client:
        for path in (
            "spend?by=team&by=model",
            "requests?",
            "overview?by=customer",
            "spend.csv?by=team",
            "requests.csv?",
        ):
            answer = client.get(f"/api/v1/{path}&{query}")
            assert answer.status_code == 200
            said = (
                json.dumps([v for k, v in answer.json().items() if k != "question"])
                if "csv" not in path
                else answer.text
            )
            assert FOREIGN not in said, path
            assert "shared" not in said, path
        both = f"where=team:{OWN}" in query
        assert client.get(f"/api/v1/spend?{query}").json()["total"]["requests"] == (3 if both else 0)


def test_a_tenant_sees_all_of_its_own_and_the_unconfined_see_everything(rooms):
    with rooms.browser(of(rooms, f"{OWN}-viewer@example.com")) as client:
        assert client.get("/api/v1/spend").json()["total"]["cost"] == "3.300000000000"
        assert client.get(f"/api/v1/requests/req-{OWN}-0").status_code == 200
        assert client.get("/api/v1/requests?search=wrong").json()["matching"] == 1
        assert client.get("/api/v1/dimensions/team").json()["values"] == [OWN]
        assert f"{OWN}-key" in [k["name"] for k in client.get("/api/v1/keys").json()["rows"]]
        assert f"{OWN}-budget" in client.get("/api/v1/budgets").text
        assert f"{OWN}-plan" in client.get("/api/v1/approvals").text
        session = client.get("/api/v1/session").json()
        assert (session["role"], session["scope"]["team"], session["may"]) == ("viewer", OWN, ["read"])
    with rooms.admin() as client:
        assert client.get("/api/v1/spend").json()["total"]["requests"] == 9


WRITES = [
    ("POST", "/keys/{}/rotate", None), ("DELETE", "/keys/{}", None), ("PATCH", "/people/{}", {"role": "viewer"}),
    ("POST", "/people/{}/disable", None), ("POST", "/people/{}/enable", None), ("POST", "/people/{}/invite", None),
    ("POST", "/people/{}/tokens", {"name": "mine"}), ("DELETE", "/people/{}/sessions/x", None),
    ("PATCH", "/budgets/{}", {"amount": "999"}), ("DELETE", "/budgets/{}", None),
    ("POST", "/approvals/{}/vote", {"verdict": "approve"}), ("POST", "/approvals/{}/withdraw", None),
    ("POST", "/approvals/{}/collect", None), ("POST", "/approvals/{}/links", {}),
    ("POST", "/approvals/{}/link", {"sign": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=lambda part: str(part)[:30])
def test_a_confined_admin_changes_nothing_of_another_tenant(rooms, method, path, body):
    before, wanted = everything(rooms), foreign_ids(rooms)
    with rooms.browser(of(rooms, f"{OWN}-admin@example.com")) as client:
        for value in wanted:
            answer = client.request(method, f"/api/v1{path.format(value)}", json=body)
            assert answer.status_code in (403, 404), (value, answer.text)
            assert FOREIGN not in answer.text.replace(value, "")
    assert everything(rooms) == before


def everything(rooms) -> list:
    """All that there is, except for when somebody was seen."""
    people = [person.public() for person in rooms.store.people.list()]
    with rooms.admin() as client:
        approvals = [(row["id"], row["state"]) for row in client.get("/api/v1/approvals").json()["rows"]]
    return [people, rooms.store.keys.list(), rooms.store.limits.list(), approvals]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/keys", {"name": "theirs", "scope": {"team": FOREIGN}}),
        ("/people", {"email": "spy@example.com", "role": "admin", "scope": {"team": FOREIGN}}),
        ("/people", {"email": "cfo@example.com", "role": "admin", "duties": ["finance"]}),
        ("/budgets", {"name": "theirs", "amount": "1", "scope": {"team": FOREIGN}}),
        ("/budgets", {"name": "everybody's", "amount": "1"}),
        ("/approvals", {"subject": "s", "summary": "s", "amount": "9", "scope": {"team": FOREIGN}}),
    ],
)
def test_a_confined_admin_makes_nothing_outside_its_tenant(rooms, path, body):
    with rooms.browser(of(rooms, f"{OWN}-admin@example.com")) as client:
        assert client.post(f"/api/v1{path}", json=body).status_code == 403
    assert "spy@example.com" not in [person.email for person in rooms.store.people.list()]
    assert "theirs" not in [limit.name for limit in rooms.store.limits.list()]


def test_what_a_confined_admin_makes_lies_in_its_tenant(rooms):
    with rooms.browser(of(rooms, f"{OWN}-admin@example.com")) as client:
        key = client.post("/api/v1/keys", json={"name": "mine", "scope": {"feature": "x"}}).json()["key"]
        assert (key["scope"]["team"], key["scope"]["feature"]) == (OWN, "x")
        made = client.post("/api/v1/people", json={"email": "new@example.com", "role": "viewer"}).json()["person"]
        assert made["scope"]["team"] == OWN
        freed = client.patch(f"/api/v1/people/{made['id']}", json={"scope": {"feature": "y"}}).json()
        assert freed["scope"]["team"] == OWN
        own = of(rooms, f"{OWN}-admin@example.com").id
        assert client.patch(f"/api/v1/people/{own}", json={"scope": {}}).json()["scope"]["team"] == OWN
        assert client.patch(f"/api/v1/people/{own}", json={"scope": {"team": FOREIGN}}).status_code == 403


ESCALATIONS = [
    ("viewer", "POST", "/keys", {"name": "k"}), ("viewer", "DELETE", "/keys/x", None),
    ("viewer", "POST", "/keys/x/rotate", None), ("finance", "POST", "/keys", {"name": "k"}),
    *((role, method, path, body) for role in ("viewer", "engineer", "finance", "service") for method, path, body in [
        ("GET", "/people", None), ("POST", "/people", {"email": "e@example.com", "role": "admin"}),
        ("PATCH", "/people/SELF", {"role": "admin"}), ("POST", "/people/OTHER/invite", None),
        ("POST", "/people/BOT/tokens", {"name": "t"}), ("GET", "/people/OTHER/sessions", None),
        ("POST", "/people/OTHER/disable", None), ("DELETE", "/people/OTHER/sessions/x", None),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("role", "method", "path", "body"), ESCALATIONS, ids=lambda part: str(part)[:30])
def test_nobody_does_more_than_their_role_may(staff, role, method, path, body):
    rooms, people = staff
    path = path.replace("SELF", people[role].id).replace("OTHER", people["admin"].id)
    path = path.replace("BOT", people["service"].id)
    before = [person.public() for person in rooms.store.people.list()], rooms.store.keys.list()
    with rooms.browser(None if role == "service" else people[role]) as client:
        if role == "service":
            _, token = rooms.store.sessions.begin(rooms.by(), people[role], "service", life=timedelta(hours=1))
            client.headers["authorization"] = f"Bearer {token}"
        answer = client.request(method, f"/api/v1{path}", json=body)
    assert answer.status_code == 403, answer.text
    assert answer.json()["remedy"]
    assert ([person.public() for person in rooms.store.people.list()], rooms.store.keys.list()) == before


@pytest.fixture(scope="module")
def staff(tmp_path_factory):
    with house(tmp_path_factory.mktemp("staff")) as rooms:
        roles = ("admin", "finance", "engineer", "viewer", "service")
        yield rooms, {role: rooms.person(role if role == "service" else f"{role}@example.com", role) for role in roles}


def test_a_changed_role_and_a_disabled_person_hold_from_the_next_click(staff):
    rooms, _ = staff
    person = rooms.person("mover@example.com", "admin")
    with rooms.browser(person) as client:
        assert client.get("/api/v1/people").status_code == 200
        rooms.store.people.change(rooms.by(), person.id, role="viewer")
        assert client.get("/api/v1/people").status_code == 403
        rooms.store.people.disable(rooms.by(), person.id)
        assert client.get("/api/v1/session").status_code == 401
        rooms.store.people.enable(rooms.by(), person.id)
        assert client.get("/api/v1/session").status_code == 401


FORGED = [
    "fl-",
    "fl-" + "A" * 43,
    "fl-' OR '1'='1",
    "fl-" + "x" * 5000,
    "fs-" + "A" * 43,
    "fi-" + "A" * 43,
    "fl-é",
    "fl-%00",
]


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_cookie_or_token_opens_nothing(rooms, forged):
    with rooms.browser() as client:
        cookie = {"Cookie": f"{rooms.cookie_name}={forged}".encode()}
        assert client.get("/api/v1/session", headers=cookie).status_code == 401
        bearer = {"Authorization": f"Bearer {forged}".encode()}
        assert client.get("/api/v1/session", headers=bearer).status_code == 401


def test_what_opens_one_door_opens_no_other(rooms):
    admin, bot = rooms.person("doors@example.com", "admin"), rooms.person("doors", "service")
    hour = timedelta(hours=1)
    login = rooms.store.sessions.begin(rooms.by(), admin, "login", life=hour)[1]
    invite = rooms.store.sessions.begin(rooms.by(), admin, "invite", life=hour)[1]
    service = rooms.store.sessions.begin(rooms.by(), bot, "service", life=hour)[1]
    with rooms.browser() as client:
        for token in (login, invite):
            assert client.get("/api/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        for token in (service, invite, rooms.token):
            cookie = {"Cookie": f"{rooms.cookie_name}={token}"}
            assert client.get("/api/v1/session", headers=cookie).status_code == 401
        assert client.get("/api/v1/session", headers={"Authorization": f"Bearer {service}"}).json()["role"] == "service"
        for token in (login, service):
            body = {"token": token, "password": PASSWORD}
            assert client.post("/api/v1/login/invite", json=body).status_code == 401


def test_a_session_cannot_be_fixed_beforehand(rooms):
    rooms.person("fixed@example.com", "viewer", password=PASSWORD)
    planted = "fl-" + "P" * 43
    with rooms.browser() as client:
        client.cookies.set(rooms.cookie_name, planted, domain="127.0.0.1")
        body = {"email": "fixed@example.com", "password": PASSWORD}
        first = client.post("/api/v1/login", json=body)
        assert first.status_code == 201
        token = first.headers["set-cookie"].partition("=")[2].partition(";")[0]
        assert planted != token
        client.cookies.clear()
        client.cookies.set(rooms.cookie_name, token, domain="127.0.0.1")
        second = client.post("/api/v1/login", json=body)
        assert second.headers["set-cookie"].partition("=")[2].partition(";")[0] != token
        for over in (planted, token):
            assert client.get("/api/v1/session", headers={"Cookie": f"{rooms.cookie_name}={over}"}).status_code == 401


def test_logging_out_ends_the_login_for_good(rooms):
    person = rooms.person("leaver@example.com", "viewer")
    with rooms.browser(person) as client:
        ((name, value),) = client.cookies.items()
        assert client.delete("/api/v1/session").status_code == 204
        assert client.get("/api/v1/session", headers={"Cookie": f"{name}={value}"}).status_code == 401


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_another_site_writes_nothing_with_a_login_and_logs_nobody_in(rooms, headers):
    person = rooms.person(f"csrf{abs(hash(str(headers)))}@example.com", "admin", password=PASSWORD)
    with rooms.browser(person) as client:
        del client.headers["origin"]
        before = len(rooms.store.people.list())
        for method, path, operation in OPERATIONS:
            if method == "GET":
                continue
            answer = client.request(method, f"/api/v1{re.sub('{.*?}', 'x', path)}", headers=headers, json={})
            assert answer.status_code in (400, 403), (method, path, answer.text)
            assert answer.status_code == 403 or operation["requestBody"]
        login = client.post("/api/v1/login", headers=headers, json={"email": person.email, "password": PASSWORD})
        assert (login.status_code, "set-cookie" in login.headers) == (403, False)
        assert len(rooms.store.people.list()) == before


INJECTIONS = ["' OR 1=1 --", "'; DROP TABLE people; --", '" OR ""="', "\\'; SELECT pg_sleep(9); --", "%' OR '1'='1", "a') UNION SELECT 1 --", "{{7*7}}", "$(id)"]  # fmt: skip


@pytest.fixture(scope="module")
def postgres():
    with serve() as server:
        yield server


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_sql_in_every_text_is_text(kind, request, tmp_path):
    url = f'[state]\nurl = "{request.getfixturevalue("postgres").database()}"\n' if kind == "postgres" else ""
    with house(tmp_path, url) as rooms:
        furnish(rooms)
        people = len(rooms.store.people.list())
        with rooms.admin() as client:
            for word in INJECTIONS[::3]:
                _try_everywhere(client, word)
            made = client.post("/api/v1/keys", json={"name": INJECTIONS[1], "scope": {"team": INJECTIONS[0]}})
            assert made.json()["key"]["scope"]["team"] == INJECTIONS[0]
            draft = {"email": "o'brien@example.com", "role": "viewer", "name": INJECTIONS[1]}
            person = client.post("/api/v1/people", json=draft).json()["person"]
            assert (person["name"], person["email"]) == (INJECTIONS[1], "o'brien@example.com")
        assert len(rooms.store.people.list()) == people + 1
        assert rooms.store.keys.list()[0].name == INJECTIONS[1]


def _try_everywhere(client, word: str) -> None:
    """The word in every text parameter of every read, in every slot of a path, and as credentials."""
    for method, path, operation in OPERATIONS:
        if path == "/events" or method != "GET":
            continue
        slots = re.sub("{.*?}", "x", path)
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query":
                for value in (f"team:{word}", f"tag:{word}") if parameter["name"] == "where" else (word,):
                    answer = client.get(f"/api/v1{slots}", params={parameter["name"]: value}, follow_redirects=False)
                    assert answer.status_code < 500, (path, parameter["name"], value, answer.text)
                    if "spend" in path and value.startswith("team:") and parameter["name"] == "where":
                        assert FOREIGN not in json.dumps(answer.text.replace(word, ""))
            elif parameter["in"] == "path":
                answer = client.request("GET", f"/api/v1{path.replace('{' + parameter['name'] + '}', _quoted(word))}")
                assert answer.status_code in (400, 404, 405), (path, answer.text)
    assert client.post("/api/v1/login", json={"email": word, "password": word}).status_code == 401
    assert client.get("/api/v1/session", headers={"Authorization": f"Bearer {word}"}).status_code == 401


def _quoted(word: str) -> str:
    from urllib.parse import quote

    return quote(word, safe="")


@pytest.mark.parametrize("word", ["x\r\nSet-Cookie: a=b", "x\nLocation: http://evil.example", "x\0y", "x\x1b[31m"])
def test_no_text_becomes_a_header(rooms, word):
    with rooms.admin() as client:
        for path in ("requests/{}", "keys/{}", "spend?where=team:{}", "requests?search={}", "login/oidc?next={}"):
            answer = client.get(f"/api/v1/{path.format(_quoted(word))}", follow_redirects=False)
            assert "a=b" not in str(answer.headers)
            assert "evil" not in str(answer.headers)
        for body in ({"name": word}, {"name": "k", "scope": {"team": word}}):
            assert client.post("/api/v1/keys", json=body).status_code == 400
        person = {"email": "h@example.com", "role": "viewer", "name": word}
        assert client.post("/api/v1/people", json=person).status_code == 400


def test_an_oversized_body_is_refused_whoever_sends_it(rooms):
    body = json.dumps({"email": "a@example.com", "password": "x" * 200_000}).encode()
    with rooms.browser() as client:
        for path in ("login", "login/invite", "session"):
            answer = client.post(f"/api/v1/{path}", content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 413


@pytest.mark.parametrize("sent", [[], [b'{"token"'], [b"{"] * 3])
def test_a_slow_body_is_not_waited_for(rooms, sent):
    """The rest of the body never comes; whoever sends a whole one meanwhile is served."""

    async def drive() -> list[dict]:
        pieces, answers = list(sent), []

        async def receive() -> dict:
            if not pieces:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": pieces.pop(), "more_body": True}

        async def send(message: dict) -> None:
            answers.append(message)

        headers = [(b"host", b"127.0.0.1:4181"), (b"content-type", b"application/json")]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/api/v1/session", "raw_path": b"/api/v1/session", "query_string": b"", "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 4181),
        }  # fmt: skip
        slow = Shield(application(rooms.services), hosts=(), body_seconds=0.2)
        await asyncio.wait_for(slow(scope, receive, send), 20)
        return answers

    start, body = asyncio.run(drive())
    assert start["status"] == 408
    assert (b"connection", b"close") in [(name.lower(), value) for name, value in start["headers"]]
    assert "too long" in json.loads(body["body"])["detail"]


def test_guessing_a_password_ends_soon_and_without_a_hint(tmp_path):
    with house(tmp_path, "[login]\nemail_attempts = 3\naddress_attempts = 8\n") as rooms:
        rooms.person("victim@example.com", "viewer", password=PASSWORD)
        with rooms.browser() as client:
            wrong = [client.post("/api/v1/login", json={"email": e, "password": "guess" * 3})
                     for e in ["victim@example.com"] * 5 + ["nobody@example.com"] * 5]  # fmt: skip
            statuses = [answer.status_code for answer in wrong]
            assert statuses == [401, 401, 401, 403, 403, 401, 401, 401, 403, 403]
            known, unknown = wrong[0].json(), wrong[5].json()
            assert known == unknown
            assert "minutes" in wrong[4].json()["remedy"]
            right = client.post("/api/v1/login", json={"email": "victim@example.com", "password": PASSWORD})
            assert right.status_code == 403
            others = [
                client.post("/api/v1/login", json={"email": f"p{i}@example.com", "password": "guess" * 3})
                for i in range(3)
            ]
            assert [answer.status_code for answer in others] == [401, 401, 403]


def test_the_count_of_wrong_passwords_ends_is_bounded_and_counts_what_runs_at_once():
    now = [PERIOD.resolution * 0]

    class Clock:
        from datetime import UTC, datetime

        start = datetime(2026, 11, 21, tzinfo=UTC)

    attempts = Attempts(lambda: Clock.start + now[0])
    for _ in range(3):
        attempts.begin({"a": 3})
    with pytest.raises(Exception, match="Too many"):
        attempts.begin({"a": 3})
    attempts.succeeded("a")
    attempts.begin({"a": 3})
    now[0] = PERIOD
    attempts.begin({"a": 3})
    for i in range(REMEMBERED + 50):
        attempts.begin({f"name{i}": 1})
    assert len(attempts) == REMEMBERED


def test_the_admin_token_can_be_switched_off(tmp_path):
    with house(tmp_path, "[login]\nadmin_token = false\n") as rooms:
        admin = rooms.person("root@example.com", "admin")
        with rooms.browser() as client:
            assert client.post("/api/v1/session", json={"token": rooms.token}).status_code == 401
            assert client.get("/api/v1/keys", headers={"Authorization": f"Bearer {rooms.token}"}).status_code == 401
            assert client.get("/api/v1/login").json() == {"admin_token": False, "password": False, "single_sign_on": ""}
        link = rooms.invite(admin).partition("#")[2]
        with rooms.browser() as client:
            assert client.post("/api/v1/login/invite", json={"token": link, "password": "short"}).status_code == 400
            made = client.post("/api/v1/login/invite", json={"token": link, "password": PASSWORD})
            assert (made.status_code, made.json()["actor"]) == (201, "root@example.com")
            cookie = made.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            again = client.post("/api/v1/login/invite", json={"token": link, "password": PASSWORD})
            assert again.status_code == 401


def test_changing_ones_password_ends_all_other_logins(rooms):
    person = rooms.person("changer@example.com", "viewer", password=PASSWORD)
    with rooms.browser(person) as client:
        thief = {"Cookie": f"{rooms.cookie_name}={dict(client.cookies)[rooms.cookie_name]}"}
        wrong = client.post("/api/v1/login/password", json={"old": "not the old one", "new": "a brand new password"})
        assert wrong.status_code == 403
        body = {"old": PASSWORD, "new": "a brand new password"}
        assert client.post("/api/v1/login/password", json=body).status_code == 201
        assert client.get("/api/v1/session").status_code == 200
        client.cookies.clear()
        assert client.get("/api/v1/session", headers=thief).status_code == 401
        login = {"email": "changer@example.com", "password": "a brand new password"}
        assert client.post("/api/v1/login", json=login).status_code == 201


def test_every_change_by_a_person_bears_their_name(rooms):
    person = rooms.person("signer@example.com", "engineer")
    with rooms.browser(person) as client:
        key = client.post("/api/v1/keys", json={"name": "signed"}).json()["key"]["id"]
    entry = next(e for e in rooms.store.audit.list(limit=20) if e.subject == key)
    assert (entry.action, entry.actor) == ("key.create", "signer@example.com")


def test_comparisons_of_secrets_are_of_digests():
    """The time of an answer tells nothing: what is compared is as long for any guess, and compared in constant time."""
    import inspect

    from farthing.gateway import auth
    from farthing.state import passwords, sessions
    from farthing.web import admin

    for module in (admin, sessions, passwords):
        source = inspect.getsource(module)
        assert "compare_digest" in source, module.__name__
        assert not re.search(r"(token|password|secret)\w* == ", source), module.__name__
    assert "digest" in inspect.getsource(auth)


def test_the_document_is_what_is_served(rooms):
    assert (
        json.loads(json.dumps(document(_litestar(rooms.app)), default=str))["paths"].keys() == DOCUMENT["paths"].keys()
    )


def _litestar(app):
    return app._app
