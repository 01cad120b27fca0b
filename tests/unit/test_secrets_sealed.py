"""Secrets at rest: sealed, bound to their name, rotated, and opened by who has the envelope key."""

import io
import sqlite3
import subprocess
import sys

import msgspec
import pytest

from farthing import config
from farthing.app.local import Local
from farthing.app.sealing import keys_to_seal, rotate
from farthing.app.world import SnapshotFile
from farthing.cli import main
from farthing.core.errors import ConflictError, InputError, NotFoundError, UnavailableError
from farthing.core.seal import SealKey, opened, read_keys, reseal, seal, sealed_by
from farthing.gateway.snapshot import Snapshot
from farthing.state import passwords
from farthing.state.passwords import Cost
from support.house import PASSWORD, house
from support.postgres import serve

SECRET = "sk-planted-4f9a1c77e2"
SETTINGS = '\n[providers.openai]\nvendor = "openai"\napi_key = "secret:openai"\n'


def test_a_secret_opens_with_its_name_and_key_only():
    key, other = SealKey.make(), SealKey.make()
    sealed = seal("openai", SECRET, key)
    assert opened("openai", sealed, [other, key]) == SECRET
    assert SECRET not in sealed
    assert seal("openai", SECRET, key) != sealed
    for name, text, keys in (
        ("groq", sealed, [key]), ("openai", sealed, [other]), ("openai", sealed[:-6] + "AAAA==", [key]),
        ("openai", "v2" + sealed[2:], [key]), ("openai", "nonsense", [key]), ("openai", sealed, []),
    ):  # fmt: skip
        with pytest.raises(UnavailableError) as refusal:
            opened(name, text, keys)
        assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("part", [2, 3])
def test_parts_of_two_secrets_cannot_be_mixed(part):
    key = SealKey.make()
    one, two = seal("a", "first", key).split("."), seal("b", "second", key).split(".")
    one[part] = two[part]
    with pytest.raises(UnavailableError):
        opened("a", ".".join(one), [key])


def test_resealing_keeps_the_secret_and_changes_the_key():
    old, new = SealKey.make(), SealKey.make()
    sealed = seal("a", SECRET, old)
    moved = reseal("a", sealed, [new, old])
    assert sealed_by(moved) == new.id
    assert opened("a", moved, [new]) == SECRET
    assert moved.split(".")[3] == sealed.split(".")[3]


def test_a_key_is_32_bytes_in_either_base64_and_never_shown():
    key = SealKey.make()
    assert SealKey.read(key.text().replace("-", "+").replace("_", "/")).id == key.id
    assert key.text() not in repr(key)
    for wrong in ("", "AAAA", key.text()[:-8], "secret:" + key.text(), "é" * 44):
        with pytest.raises(InputError) as refusal:
            read_keys(wrong)
        assert not wrong or wrong not in str(refusal.value)


@pytest.fixture
def rooms(tmp_path):
    with house(tmp_path, SETTINGS) as made:
        yield made


def test_rows_that_were_swapped_do_not_open(rooms):
    keys = keys_to_seal(rooms.local)
    for name in ("openai", "groq"):
        rooms.store.secrets.put(rooms.by(), name, f"{SECRET}-{name}", keys[0])
    assert rooms.local.secret("secret:groq", rooms.store) == f"{SECRET}-groq"
    with sqlite3.connect(rooms.local.settings.home / "state.db") as database:
        database.execute("UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'openai')")
    database.close()
    assert rooms.local.secret("secret:openai", rooms.store) == f"{SECRET}-openai"
    with pytest.raises(UnavailableError, match="another name"):
        rooms.local.secret("secret:groq", rooms.store)


def test_the_key_is_made_once_for_its_owner_only_and_rotated(rooms):
    file = rooms.local.settings.seal_file
    (first,) = keys_to_seal(rooms.local)
    assert keys_to_seal(rooms.local)[0].id == first.id
    assert file.stat().st_mode & 0o777 == 0o600
    rooms.store.secrets.put(rooms.by(), "openai", SECRET, first)
    key, moved = rotate(rooms.local, rooms.store)
    assert (moved, key.id != first.id) == (["openai"], True)
    assert len(file.read_text().split()) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert rooms.local.secret("secret:openai", rooms.store) == SECRET
    assert rooms.store.secrets.list()[0].sealed_by == key.id


def test_a_rotation_that_was_interrupted_loses_nothing(rooms):
    file = rooms.local.settings.seal_file
    (first,) = keys_to_seal(rooms.local)
    rooms.store.secrets.put(rooms.by(), "openai", SECRET, first)
    file.write_text(f"{SealKey.make().text()}\n{first.text()}\n")
    assert rooms.local.secret("secret:openai", rooms.store) == SECRET
    rotate(rooms.local, rooms.store)
    assert len(file.read_text().split()) == 1
    assert rooms.local.secret("secret:openai", rooms.store) == SECRET


def test_a_lost_key_says_so_and_changes_nothing(rooms):
    rooms.store.secrets.put(rooms.by(), "openai", SECRET, SealKey.make())
    with pytest.raises(UnavailableError, match="is not here"):
        rotate(rooms.local, rooms.store)
    assert len(rooms.store.secrets.sealed()) == 1


def test_hosts_that_share_a_store_must_be_given_the_key(tmp_path):
    with serve() as server, house(tmp_path, f'[state]\nurl = "{server.url()}"\n') as rooms:
        with pytest.raises(ConflictError, match="same envelope key"):
            keys_to_seal(rooms.local)
        given = Local(msgspec.structs.replace(rooms.local.settings, state=msgspec.structs.replace(
            rooms.local.settings.state, seal_key="env:KEY")), {"KEY": SealKey.make().text()})  # fmt: skip
        rooms.store.secrets.put(rooms.by(), "openai", SECRET, keys_to_seal(given)[0])
        assert given.secret("secret:openai", rooms.store) == SECRET


def test_a_worker_opens_what_the_snapshot_carries_sealed(rooms):
    local = rooms.local
    rooms.store.secrets.put(rooms.by(), "openai", SECRET, keys_to_seal(local)[0])
    rooms.store.secrets.put(rooms.by(), "unused", SECRET, keys_to_seal(local)[0])
    rooms.control._upkeep.compile()
    raw = local.settings.snapshot.read_bytes()
    assert SECRET.encode() not in raw
    assert b"unused" not in raw
    file = SnapshotFile(local.settings, {})
    accounts = file._providers(msgspec.msgpack.decode(raw, type=Snapshot))
    assert accounts["openai"].api_key == SECRET
    assert SECRET not in repr(accounts)


def test_a_worker_loads_no_state_store_to_open_secrets():
    code = (
        "import sys; from farthing.app import worker; from farthing.core.seal import SealKey, opened, seal; k = SealKey.make();"
        "assert opened('a', seal('a', 'x', k), [k]) == 'x'; print([m for m in ('sqlalchemy', 'litestar', 'joserfc') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def run(rooms, monkeypatch, capsys, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    monkeypatch.setattr(
        config,
        "environment",
        lambda: {"FARTHING_CONFIG": str(rooms.local.settings.home.parent / "farthing.toml"), "USER": "tess"},
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    code = main([*arguments, "--home", str(rooms.local.settings.home)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_secrets_by_command(rooms, monkeypatch, capsys):
    code, out, err = run(rooms, monkeypatch, capsys, "secret", "set", "openai", typed=f"{SECRET}\n")
    assert (code, SECRET in out + err, "openai" in out) == (0, False, True)
    assert rooms.local.secret("secret:openai") == SECRET
    assert "openai" in run(rooms, monkeypatch, capsys, "secret", "list", "-o", "json")[1]
    assert run(rooms, monkeypatch, capsys, "secret", "rotate-key")[0] == 0
    assert rooms.local.secret("secret:openai") == SECRET
    assert run(rooms, monkeypatch, capsys, "secret", "set", "openai")[0] == 2
    assert run(rooms, monkeypatch, capsys, "secret", "set", "../x", typed="y")[0] == 2
    assert run(rooms, monkeypatch, capsys, "secret", "remove", "openai")[0] == 0
    assert run(rooms, monkeypatch, capsys, "secret", "remove", "openai")[0] == 2
    with pytest.raises(UnavailableError, match="No secret named"):
        rooms.local.secret("secret:openai")
    said = [(e.actor, e.action) for e in rooms.store.audit.list()]
    assert ("cli:tess", "secret.create") in said
    assert SECRET not in str(rooms.store.audit.list())


def test_people_by_command(rooms, monkeypatch, capsys):
    create = ["person", "create", "Ann@Example.com", "--role", "admin"]
    code, out, err = run(rooms, monkeypatch, capsys, *create)
    assert (code, out.startswith("http://127.0.0.1:4181/welcome#fi-")) == (0, True)
    assert "ann@example.com is admin" in err
    with rooms.browser() as client:
        body = {"token": out.strip().partition("#")[2], "password": PASSWORD}
        assert client.post("/api/v1/login/invite", json=body).json()["role"] == "admin"
    assert run(rooms, monkeypatch, capsys, *create)[0] == 3
    assert (
        run(
            rooms,
            monkeypatch,
            capsys,
            "person",
            "create",
            "bob@example.com",
            "--role",
            "viewer",
            "--password",
            typed=PASSWORD,
        )[0]
        == 0
    )
    assert rooms.store.people.with_password("BOB@example.com ", PASSWORD) is not None
    assert (
        run(
            rooms,
            monkeypatch,
            capsys,
            "person",
            "change",
            "bob@example.com",
            "--confine",
            "team=search",
            "--duty",
            "finance",
        )[0]
        == 0
    )
    bob = rooms.store.people.get("bob@example.com")
    assert (bob.scope.team, bob.duties) == ("search", {"finance"})
    assert run(rooms, monkeypatch, capsys, "person", "disable", "ann@example.com")[0] == 3
    assert run(rooms, monkeypatch, capsys, "person", "create", "ci", "--role", "service")[0] == 0
    token = run(rooms, monkeypatch, capsys, "person", "token", "ci", "--days", "1")[1].strip()
    with rooms.browser() as client:
        assert (
            client.get("/api/v1/session", headers={"Authorization": f"Bearer {token}"}).json()["actor"] == "service:ci"
        )
        listed = run(rooms, monkeypatch, capsys, "person", "sessions", "ci", "-o", "json")[1]
        (session,) = msgspec.json.decode(listed)["rows"]
        assert token[5:] not in listed
        assert run(rooms, monkeypatch, capsys, "person", "revoke", session["id"])[0] == 0
        assert client.get("/api/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert run(rooms, monkeypatch, capsys, "person", "token", "bob@example.com")[0] == 3
    assert "bob@example.com" in run(rooms, monkeypatch, capsys, "person", "list", "-o", "csv")[1]


def test_passwords_are_salted_slow_hashes():
    cost = Cost(n=1 << 10)
    one, two = passwords.hashed(PASSWORD, cost), passwords.hashed(PASSWORD, cost)
    assert one != two
    assert PASSWORD not in one
    assert passwords.matches(PASSWORD, one)
    for stored in (two.replace("1024", "2048"), "scrypt$1$2", "md5$1$1$1$AA==$AA==", "", None):
        assert not passwords.matches(PASSWORD, stored)
    assert passwords.matches("pass\ud800word", one) is False
    assert Cost().n * Cost().r * 128 >= 32 << 20
    for weak in ("short", "a" * 300, "aaaaaaaaaaaaaa", "ann@example.com"):
        with pytest.raises(InputError):
            passwords.check_strength(weak, email="ann@example.com")


def test_an_unknown_email_costs_a_guess_as_much(rooms, monkeypatch):
    rooms.person("ann@example.com", "viewer", password=PASSWORD)
    rooms.person("sso@example.com", "viewer")
    costs: list[Cost] = []
    real = passwords._derived
    monkeypatch.setattr(passwords, "_derived", lambda text, salt, cost: costs.append(cost) or real(text, salt, cost))
    for email in ("ann@example.com", "nobody@example.com", "sso@example.com"):
        assert rooms.store.people.with_password(email, "a wrong password") is None
    assert len(costs) == 3
    assert len(set(costs)) == 1


@pytest.mark.parametrize("email", ["", "no-at", "a@b c", "a\n@b", "ö@x" * 90, "service:x"])
def test_what_is_no_email_is_refused(rooms, email):
    with pytest.raises(InputError):
        rooms.person(email, "viewer")
    with pytest.raises(NotFoundError):
        rooms.store.people.get(email)


def test_the_last_admin_stays(rooms):
    first = rooms.person("one@example.com", "admin")
    with pytest.raises(ConflictError, match="last admin"):
        rooms.store.people.disable(rooms.by(), first.id)
    second = rooms.person("two@example.com", "admin")
    assert rooms.store.people.change(rooms.by(), first.id, role="viewer").role == "viewer"
    with pytest.raises(ConflictError):
        rooms.store.people.change(rooms.by(), second.id, role="viewer")
    with pytest.raises(InputError):
        rooms.store.people.change(rooms.by(), second.id, role="service")


def test_settings_hold_references_to_secrets_only(tmp_path):
    file = tmp_path / "farthing.toml"
    key = SealKey.make().text()
    file.write_text(
        f'[state]\nseal_key = "{key}"\n[login.oidc]\nissuer = "http://idp.example"\nclient_secret = "{SECRET}"\n'
    )
    problems = [str(problem) for problem in config.check(file, {})]
    assert len(problems) == 4
    assert SECRET not in str(problems)
    assert key not in str(problems)
    file.write_text('[state]\nurl = "secret:db"\n')
    assert "cannot open the store" in str(config.check(file, {})[0])
