"""The audit log: one chain however many write, and whoever changes it is found out. SQLite and PostgreSQL."""

import json
import threading
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from farthing.app.local import Local
from farthing.app.noticing import notice_settings
from farthing.cli import main
from farthing.core.time import Window
from farthing.state.audit import AuditQuestion, Change
from farthing.state.store import Store
from farthing.state.tables import audit as table
from support.governed import START
from support.postgres import serve

HOUR = timedelta(hours=1)


def by(actor: str = "ann", hours: int = 0) -> Change:
    return Change(actor=actor, at=START + hours * HOUR)


@pytest.fixture(scope="module")
def postgres():
    with serve() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    return request.getfixturevalue("postgres").database()


@pytest.fixture
def store(url):
    with Store.open(url) as store:
        for n in range(8):
            store.settings.put(
                by(hours=n), f"s{n % 2}", {"n": n, "ratio": 0.1, "text": "ä\n", "none": None, "list": (1, 2)}
            )
        yield store


def tamper(store: Store, *statements: str) -> None:
    """What somebody does who may do anything to the database."""
    with store._database.begin() as connection:
        sqlite = connection.dialect.name == "sqlite"
        drops = ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete")
        for statement in (*(drops if sqlite else ("DROP TRIGGER audit_append_only ON audit",)), *statements):
            connection.execute(sa.text(statement))


def test_the_chain_holds_and_names_its_head(store):
    entries = store.audit.list()
    assert [entry.number for entry in entries] == list(range(8, 0, -1))
    found = store.audit.verify()
    assert (found.whole, found.entries, found.head, found.unsealed) == (True, 8, entries[0].hash, 0)
    assert len({entry.hash for entry in entries}) == 8
    assert store.audit.verify(expect=entries[3].hash).whole


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET actor = 'bob' WHERE number = 3", 3),
        ("UPDATE audit SET after = NULL WHERE number = 8", 8),
        ("UPDATE audit SET at = '2020-01-01 00:00:00' WHERE number = 1", 1),
        ("UPDATE audit SET hash = '' WHERE number = 5", 5),
        ("UPDATE audit SET actor = 'bob', hash = '' WHERE number = 1", 2),
        ("DELETE FROM audit WHERE number = 4", 5),
        ("DELETE FROM audit WHERE number < 3", 3),
        ("UPDATE audit SET number = 20 WHERE number = 2", 3),
    ],
)
def test_what_was_changed_or_taken_out_is_found(store, statement, broken):
    head = store.audit.list()[0].hash
    tamper(store, statement)
    found = store.audit.verify()
    assert (found.whole, found.broken) == (False, broken)
    assert not store.audit.verify(expect=head).whole


def test_a_log_cut_off_at_its_end_misses_the_head_that_was_noted(store):
    head = store.audit.list()[0].hash
    tamper(store, "DELETE FROM audit WHERE number > 6")
    assert store.audit.verify().whole
    found = store.audit.verify(expect=head)
    assert (found.whole, found.reason) == (False, "the expected head is not in the chain")


def test_the_database_itself_refuses_changes(store):
    from farthing.core.errors import UnavailableError

    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
        with pytest.raises(UnavailableError, match="append-only"), store._database.begin() as connection:
            connection.execute(sa.text(statement))


def test_entries_older_than_the_chain_are_covered_by_its_first(store):
    with store._database.begin() as connection:
        rows = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
    tamper(store, "DELETE FROM audit")
    with store._database.begin() as connection:
        for row in rows[:5]:
            connection.execute(sa.insert(table).values({**row, "hash": "", "number": row["number"] * 2}))
    assert store.audit.verify().unsealed == 5
    store.settings.put(by(), "after", 1)
    found = store.audit.verify()
    assert (found.whole, found.entries, found.unsealed) == (True, 6, 5)
    tamper_again = "UPDATE audit SET actor = 'bob' WHERE number = 4"
    with store._database.begin() as connection:
        connection.execute(sa.text(tamper_again))
    assert (store.audit.verify().whole, store.audit.verify().broken) == (False, 11)


def test_many_writers_make_one_chain_without_gaps(store, url):
    def write(worker: int) -> None:
        with Store.open(url, busy_seconds=30) as own:
            for n in range(10):
                own.settings.put(by(f"w{worker}"), f"w{worker}", n)
                own.audit.note(by(f"w{worker}"), "test.note", "n", after={"n": n})

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    found = store.audit.verify()
    assert (found.whole, found.entries) == (True, 8 + 6 * 20)
    numbers = [entry.number for entry in store.audit.pages(AuditQuestion())]
    assert numbers == list(range(8 + 6 * 20, 0, -1))


def test_what_fails_leaves_no_entry(store):
    def fails() -> None:
        with store._database.write() as connection:
            by().record(connection, "test.fail", "x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert store.audit.list()[0].number == 8
    store.settings.put(by(), "next", 1)
    assert store.audit.verify().entries == 9


def test_questions_narrow(store):
    store.audit.note(by("bob", 3), "price%s.refresh", "feed")

    def found(**asked) -> list[int]:
        return [entry.number for entry in store.audit.list(AuditQuestion(**asked))]

    assert found(actor="bob") == [9]
    assert found(action="setting.") == list(range(8, 0, -1))
    assert found(action="price%") == [9]
    assert found(action="%") == []
    assert found(subject="s1", limit=2) == [8, 6]
    assert found(subject="s1", below=6) == [4, 2]
    assert found(window=Window(start=START + HOUR, end=START + 3 * HOUR)) == [3, 2]


def test_a_note_wakes_nobody_up(store):
    version = store.version()
    store.audit.note(by(), "test.note", "n")
    assert store.version() == version


def test_changed_settings_are_noticed_once_and_without_secrets(tmp_path):
    file = tmp_path / "farthing.toml"

    def write(text: str) -> Local:
        file.write_text(text)
        return Local.open(home=tmp_path, config_file=file, env={})

    with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        assert notice_settings(write('[state]\nurl = "postgresql://me:hunter2@db/x"\n'), store)
        assert not notice_settings(write('[state]\nurl = "postgresql://me:hunter2@db/x"  # the same\n'), store)
        assert notice_settings(write("[approvals]\nfour_eyes = true\n"), store)
        latest, first = store.audit.list()
        assert (latest.action, latest.actor, first.before) == ("settings.change", "settings file", None)
        changed = {name for name in latest.after if name != "digest"}
        assert changed == {"approvals.four_eyes", "state.url"}
        assert (latest.before["approvals.four_eyes"], latest.after["approvals.four_eyes"]) == (False, True)
        assert latest.before["digest"] == first.after["digest"] != latest.after["digest"]
        assert "hunter2" not in repr((latest, first, store.settings.all()))


def test_refreshed_prices_are_on_record(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FARTHING_HOME", str(tmp_path))
    model = {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
    }
    source = tmp_path / "prices.json"
    for cost in (1e-06, 3e-06):
        source.write_text(json.dumps({"gpt-5": {**model, "input_cost_per_token": cost}, "gpt-4o": model}))
        assert main(["prices", "refresh", "litellm", "--from", str(source), "--force"]) == 0
    capsys.readouterr()
    with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        latest, _ = store.audit.list()
    assert (latest.action, latest.subject, latest.before) == ("prices.refresh", "litellm", {"offers": 2})
    counts = {name: latest.after[name] for name in ("offers", "added", "removed", "repriced", "changed")}
    assert counts == {"offers": 2, "added": 0, "removed": 0, "repriced": 1, "changed": True}


def test_the_command_line_lists_and_verifies(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FARTHING_HOME", str(tmp_path))
    monkeypatch.setenv("USER", "ann")
    assert main(["key", "create", "--name", "bot", "--team", "search"]) == 0
    assert main(["key", "revoke", "bot"]) == 0
    capsys.readouterr()
    assert main(["audit", "--action", "key.revoke", "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["actor"], row["before"]) == ("cli:ann", {})
    assert list(row["after"]) == ["revoked"]
    assert main(["audit", "--actor", "nobody", "-o", "jsonl"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["audit", "verify", "-o", "json"]) == 0
    head = json.loads(capsys.readouterr().out)["head"]
    assert main(["audit", "verify", "--expect", head]) == 0
    with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        tamper(store, "UPDATE audit SET actor = 'cli:eve' WHERE number = 1")
    capsys.readouterr()
    assert main(["audit", "verify"]) == 4
    assert "entry 1 does not fit" in capsys.readouterr().err


def test_the_command_line_asks_agrees_and_denies(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FARTHING_HOME", str(tmp_path))
    monkeypatch.setenv("USER", "ann")
    config = tmp_path / "farthing.toml"
    config.write_text("[approvals]\nfour_eyes = true\nfour_eyes_from = 0\n")
    monkeypatch.setenv("FARTHING_CONFIG", str(config))

    def run(*words: str, code: int = 0) -> dict:
        assert main([*words, "-o", "json"]) == code
        said = capsys.readouterr()
        return json.loads(said.out) if said.out else {"error": said.err}

    asked = run(
        "approval", "ask", "--amount", "5000", "--category", "training", "--summary", "Train", "--team", "search"
    )
    assert (asked["state"], asked["duties"], asked["agreed"]) == ("pending", "engineering-manager or cto", "0 of 2")
    assert [row["id"] for row in run("approval", "list")["rows"]] == [asked["id"]]
    assert run("approval", "show", asked["id"])["url"].endswith(f"/approvals/{asked['id']}")
    assert "Nobody agrees to what they asked for" in run("approval", "approve", asked["id"], code=2)["error"]
    monkeypatch.setenv("USER", "bob")
    assert "own name" in run("approval", "deny", asked["id"], code=2)["error"]
    config.write_text("[approvals]\n")
    assert run("approval", "deny", asked["id"], "--comment", "no")["state"] == "denied"
    assert run("approval", "list")["rows"] == []
    assert [row["state"] for row in run("approval", "list", "--all")["rows"]] == ["denied"]
    assert run("approval", "ask", "--amount", "x", "--summary", "s", code=2)["error"]


def test_with_cli_on_keys_of_the_command_line_are_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FARTHING_HOME", str(tmp_path))
    config = tmp_path / "farthing.toml"
    monkeypatch.setenv("FARTHING_CONFIG", str(config))
    strict = "[approvals]\nfour_eyes = true\nask_for_unlimited_keys = true\n"
    config.write_text(strict)
    assert main(["key", "create", "--name", "direct"]) == 0
    config.write_text(strict + "cli = true\n")
    assert main(["key", "create", "--name", "bot"]) == 2
    said = capsys.readouterr().err
    assert "no hard budget covers this key" in said
    assert "farthing approval collect ap_" in said
    with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        assert [key.name for key in store.keys.list()] == ["direct"]
        (waiting,) = store.approvals.list()
    assert (waiting.action, waiting.collected, msgspec.to_builtins(waiting.payload)["name"]) == (
        "key.create",
        True,
        "bot",
    )
