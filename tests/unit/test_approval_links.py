"""Signed links: what they do, and everything that somebody might try with one."""

import base64
import re
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from litestar.testing import TestClient

from farthing.core.errors import DeniedError
from farthing.governance.approvals import ApprovalSettings
from farthing.governance.gate import Act
from farthing.governance.links import Link, Signer
from farthing.governance.roles import Role
from farthing.state.approvals import State
from farthing.state.store import Store
from farthing.web.api import build
from support.governed import SITE, TOKEN, Room

TWO = ApprovalSettings(four_eyes=True, four_eyes_from=Decimal(0))


@pytest.fixture
def room(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        room = Room(store, TWO)
        room.eve, room.bob, room.cat = (room.enroll(name, Role.ENGINEER, *d) for name, d in
                                        (("eve", ()), ("bob", ("finance",)), ("cat", ("cto",))))  # fmt: skip
        yield room


@pytest.fixture
def client(room, tmp_path):
    with TestClient(build(room.services(tmp_path / "static")), base_url=SITE, raise_server_exceptions=False) as client:
        yield client


def ask(room: Room, amount: str = "5000", summary: str = "Ten GPUs") -> str:
    act = Act(name="spend", subject="gpus", summary=summary, payload={}, amount=Decimal(amount))
    return room.gate.ask(room.eve, act).id


def sign_of(address: str) -> str:
    (sign,) = parse_qs(urlsplit(address).query)["sign"]
    return sign


def state(room: Room, id: str) -> tuple[State, int]:
    found = room.store.approvals.get(id)
    return found.state, len(found.votes)


def follow(client, id: str, sign: str):
    return client.post(f"/api/v1/approvals/{id}/link", json={"sign": sign})


def test_opening_a_link_does_nothing_and_its_button_votes_once(room, client):
    id = ask(room, summary="Ten <script>GPUs</script>")
    address = room.links.make(room.bob, id)["approve"]
    assert address.startswith(f"{SITE}/approvals/{id}?sign=")
    for _ in range(3):
        page = client.get(address)
        assert page.status_code == 200
        assert page.headers["cache-control"] == "no-store"
        client.head(address)
        client.get(f"/api/v1/approvals/{id}/link", params={"sign": sign_of(address)})
    assert state(room, id) == (State.PENDING, 0)
    assert "&lt;script&gt;GPUs" in page.text
    assert "<script>" not in page.text
    (hidden,) = re.findall('name="sign" value="([^"]+)"', page.text)
    done = client.post(f"/approvals/{id}", data={"sign": hidden, "comment": "fine"})
    assert (done.status_code, state(room, id)) == (200, (State.PENDING, 1))
    (vote,) = room.store.approvals.get(id).votes
    assert (vote.person, vote.name, vote.comment) == (room.bob.person, "bob@example.com", "fine")
    again = client.post(f"/approvals/{id}", data={"sign": hidden})
    assert (again.status_code, state(room, id)) == (409, (State.PENDING, 1))


def test_a_link_says_what_it_would_do(room, client):
    id = ask(room)
    sign = sign_of(room.links.make(room.bob, id)["deny"])
    shown = client.get(f"/api/v1/approvals/{id}/link", params={"sign": sign}).json()
    assert (shown["verdict"], shown["name"], shown["approval"]["amount"]) == ("deny", "bob@example.com", "5000")
    assert follow(client, id, sign).json()["state"] == "denied"


def test_the_two_links_of_a_person_are_one_vote(room, client):
    id = ask(room)
    links = room.links.make(room.bob, id)
    assert follow(client, id, sign_of(links["approve"])).status_code == 201
    assert follow(client, id, sign_of(links["deny"])).status_code == 409
    assert state(room, id) == (State.PENDING, 1)


def test_a_link_fits_no_other_approval_person_verdict_or_content(room, client):
    id, other = ask(room), ask(room, "6000")
    links = room.links.make(room.bob, id)
    yes, no = sign_of(links["approve"]), sign_of(links["deny"])
    said, mac = yes.split(".")
    forged = base64.urlsafe_b64encode(
        base64.urlsafe_b64decode(said + "==").replace(room.bob.person.encode(), room.cat.person.encode())
    ).rstrip(b"=").decode()  # fmt: skip
    bad = [f"{no.split('.')[0]}.{mac}", f"{forged}.{mac}", f"{said}.", f".{mac}", said, "x", "é", f"{yes}x", yes[:-1],
           f"{said}=.{mac}", yes.swapcase(), f"{yes}.{yes}", "A" * 1999]  # fmt: skip
    for sign in bad:
        for answer in (follow(client, id, sign), client.get(f"/api/v1/approvals/{id}/link", params={"sign": sign})):
            assert answer.status_code == 403, sign
        assert client.post(f"/approvals/{id}", data={"sign": sign}).status_code == 403
    assert follow(client, other, yes).status_code == 403
    assert follow(client, "ap_0000000000000000", yes).status_code == 404
    assert (state(room, id), state(room, other)) == ((State.PENDING, 0), (State.PENDING, 0))
    found = room.store.approvals.get(id)
    with pytest.raises(DeniedError):
        Signer(TOKEN).read(yes, approval=id, digest="0" * 64, now=room.clock())
    with pytest.raises(DeniedError):
        Signer("another token").read(yes, approval=id, digest=found.digest, now=room.clock())


def test_a_link_made_with_another_secret_is_worth_nothing(room, client):
    id = ask(room)
    found = room.store.approvals.get(id)
    link = Link(room.bob.person, "approve", int((room.clock() + timedelta(hours=1)).timestamp()))
    assert follow(client, id, Signer("guess").sign(link, approval=id, digest=found.digest)).status_code == 403
    assert follow(client, id, Signer(TOKEN).sign(link, approval=id, digest=found.digest)).status_code == 201


def test_links_end_with_their_time_their_approval_and_their_person(room, client):
    id = ask(room)
    sign = sign_of(room.links.make(room.bob, id)["approve"])
    room.clock.pass_(hours=24)
    late = follow(client, id, sign)
    assert (late.status_code, "too old" in late.text) == (403, True)
    fresh = sign_of(room.links.make(room.bob, id)["approve"])
    room.gate.withdraw(room.eve, id)
    assert follow(client, id, fresh).status_code == 409
    second = ask(room, "7000")
    links = {who.person: sign_of(room.links.make(who, second)["approve"]) for who in (room.bob, room.cat)}
    room.store.people.change(room.by(), room.bob.person, duties=frozenset())
    room.store.people.disable(room.by(), room.cat.person)
    for sign in links.values():
        assert follow(client, second, sign).status_code == 403
    assert state(room, second) == (State.PENDING, 0)


def test_nobody_gets_links_who_has_no_vote_and_nobody_anothers(room, client, tmp_path):
    id = ask(room)
    services = room.services(tmp_path)
    for who, status in ((room.eve, 403), (room.bob, 201)):
        made = client.post(f"/api/v1/approvals/{id}/links", json={}, headers=room.cookie(who, services))
        assert made.status_code == status
    link = made.json()["approve"]
    shown = client.get(f"/api/v1/approvals/{id}/link", params={"sign": sign_of(link)}).json()
    assert shown["name"] == "bob@example.com"
    token = client.post(f"/api/v1/approvals/{id}/links", json={}, headers={"Authorization": f"Bearer {TOKEN}"})
    assert token.status_code == 403
    room.settings = ApprovalSettings(link_hours=0)
    off = client.post(f"/api/v1/approvals/{id}/links", json={}, headers=room.cookie(room.bob, services))
    assert (off.status_code, "link_hours" in off.text) == (403, True)


def test_an_address_without_a_signature_is_the_dashboards(room, client, tmp_path):
    pages = tmp_path / "static"
    pages.mkdir()
    (pages / "index.html").write_text("<p>the dashboard")
    assert client.get(f"/approvals/{ask(room)}").text == "<p>the dashboard"
    assert client.post("/approvals/ap_1", data={}).status_code == 400
