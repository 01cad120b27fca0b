"""The state store, the same suite on SQLite and on a real PostgreSQL."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from farthing.core.errors import ConflictError, DeniedError, InputError, NotFoundError, UnavailableError
from farthing.core.nouns import Scope
from farthing.state import schema
from farthing.state.audit import Change
from farthing.state.store import Store
from farthing.state.tables import keys as keys_table
from support.postgres import Postgres, serve

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
BY = Change(actor="ann", at=NOW)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="session")
def postgres():
    with serve() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'state.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def store(url):
    with Store.open(url) as opened:
        yield opened


def test_key_comes_back_as_made_and_token_is_not_kept(store, url):
    key, token = store.keys.create(
        BY, name="bot", scope=Scope(team="search", feature="rerank"), models=["gpt-5", "fast"], expires=NOW + HOUR
    )
    assert token.startswith("fk-")
    assert len(token) >= 3 + 43
    assert store.keys.list() == [key]
    assert key.scope == Scope(team="search", feature="rerank")
    assert key.models == {"gpt-5", "fast"}
    assert key.expires == NOW + HOUR
    assert key.created == NOW
    everything = _dump(url)
    assert token not in everything
    assert token[7:] not in everything


def test_two_tokens_differ(store):
    assert store.keys.create(BY)[1] != store.keys.create(BY)[1]


def test_authentication_names_the_reason(store):
    key, token = store.keys.create(BY, expires=NOW + HOUR)
    assert store.keys.authenticate(token, NOW) == key
    for wrong in ("", "fk-", token + "x", token[:-1], token.swapcase()):
        with pytest.raises(DeniedError) as denied:
            store.keys.authenticate(wrong, NOW)
        assert denied.value.reason == "invalid_key"
    assert store.keys.authenticate(token, NOW + HOUR - timedelta(microseconds=1)).id == key.id
    with pytest.raises(DeniedError) as denied:
        store.keys.authenticate(token, NOW + HOUR)
    assert denied.value.reason == "expired_key"
    store.keys.revoke(BY, key.id)
    with pytest.raises(DeniedError) as denied:
        store.keys.authenticate(token, NOW)
    assert denied.value.reason == "revoked_key"


def test_expiry_in_the_past_is_refused(store):
    with pytest.raises(InputError, match="expires"):
        store.keys.create(BY, expires=NOW)
    assert store.keys.list() == []


def test_rotation_keeps_the_old_token_until_its_grace_is_over(store):
    old, old_token = store.keys.create(BY, name="bot", scope=Scope(team="a"), models=["m"])
    new, new_token = store.keys.rotate(BY, old.id, grace=HOUR)
    assert (new.scope, new.models, new.name, new.rotated_from) == (old.scope, old.models, "bot", old.id)
    assert store.keys.authenticate(new_token, NOW + 2 * HOUR).id == new.id
    assert store.keys.authenticate(old_token, NOW + HOUR / 2).id == old.id
    with pytest.raises(DeniedError):
        store.keys.authenticate(old_token, NOW + HOUR)


def test_rotation_never_lengthens_the_old_key_and_renews_the_lifetime(store):
    old, token = store.keys.create(BY, expires=NOW + 3 * HOUR)
    later = Change(actor="ann", at=NOW + 2 * HOUR)
    new, _ = store.keys.rotate(later, old.id, grace=10 * HOUR)
    assert new.expires == later.at + 3 * HOUR
    with pytest.raises(DeniedError):
        store.keys.authenticate(token, NOW + 3 * HOUR)


def test_a_dead_key_cannot_be_rotated(store):
    key, _ = store.keys.create(BY)
    store.keys.revoke(BY, key.id)
    with pytest.raises(ConflictError, match="revoked"):
        store.keys.rotate(BY, key.id)


def test_keys_are_found_by_id_prefix_and_name(store):
    first, _ = store.keys.create(BY, name="bot")
    assert {store.keys.get(ref, NOW).id for ref in (first.id, first.prefix, "bot")} == {first.id}
    second, _ = store.keys.create(BY, name="bot")
    with pytest.raises(ConflictError, match=second.id):
        store.keys.get("bot", NOW)
    store.keys.revoke(BY, first.id)
    assert store.keys.get("bot", NOW).id == second.id
    with pytest.raises(NotFoundError) as missing:
        store.keys.get("bott", NOW)
    assert missing.value.nearest[0] == "bot"
    with pytest.raises(NotFoundError):
        store.keys.get("", NOW)


def test_last_use_is_right_to_the_minute_and_wakes_nobody(store):
    key, _ = store.keys.create(BY)
    version = store.version()
    store.keys.touch({key.id: NOW})
    store.keys.touch({key.id: NOW + MINUTE / 2, "key_unknown": NOW})
    assert store.keys.list()[0].last_used == NOW
    store.keys.touch({key.id: NOW + MINUTE})
    store.keys.touch({key.id: NOW - HOUR})
    assert store.keys.list()[0].last_used == NOW + MINUTE
    assert store.version() == version


def test_each_change_moves_the_version_and_what_changes_nothing_does_not(store, url):
    seen = [store.version()]

    def moved() -> bool:
        seen.append(store.version())
        return seen[-1] > seen[-2]

    key, _ = store.keys.create(BY)
    assert moved()
    store.settings.put(BY, "zone", "UTC")
    assert moved()
    store.settings.put(BY, "zone", "UTC")
    assert not moved()
    store.keys.revoke(BY, key.id)
    assert moved()
    store.keys.revoke(BY, key.id)
    assert not moved()
    with Store.open(url) as other:
        other.providers.add(BY, "main", {"vendor": "openai"})
    assert moved()


def test_settings_are_kept_and_forgotten(store):
    value = {"alerts": [1, 2.5, None, "ü"], "on": True}
    store.settings.put(BY, "alerts", value)
    store.settings.put(BY, "zone", "UTC")
    store.settings.put(BY, "zone", "Europe/Berlin")
    assert store.settings.all() == {"alerts": value, "zone": "Europe/Berlin"}
    store.settings.remove(BY, "zone")
    store.settings.remove(BY, "zone")
    assert store.settings.get("zone", "none") == "none"


def test_providers_have_unique_names(store):
    store.providers.add(BY, "main", {"vendor": "openai"})
    with pytest.raises(ConflictError, match="main"):
        store.providers.add(BY, "main", {"vendor": "groq"})
    store.providers.add(BY, "main", {"vendor": "groq"}, replace=True)
    assert store.providers.list() == {"main": {"vendor": "groq"}}
    store.providers.remove(BY, "main")
    with pytest.raises(NotFoundError):
        store.providers.remove(BY, "main")


def test_audit_tells_who_what_when_before_and_after(store):
    store.settings.put(BY, "zone", "UTC")
    store.settings.put(Change(actor="bob", at=NOW + HOUR), "zone", "Asia/Tokyo")
    latest, first = store.audit.list(subject="zone")
    assert (latest.actor, latest.at, latest.action) == ("bob", NOW + HOUR, "setting.put")
    assert (latest.before, latest.after) == ({"value": "UTC"}, {"value": "Asia/Tokyo"})
    assert (first.before, first.after) == (None, {"value": "UTC"})


def test_audit_holds_no_hash(store):
    key, _ = store.keys.create(BY)
    store.keys.rotate(BY, key.id)
    assert key.hash not in repr(store.audit.list())


def test_audit_cannot_be_changed(store, url):
    store.settings.put(BY, "zone", "UTC")
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    for attack in ("DELETE FROM audit", "UPDATE audit SET actor = 'eve'"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(sa.text(attack))
    engine.dispose()
    assert store.audit.list()[0].actor == "ann"


def test_a_failed_change_leaves_nothing(store):
    key, _ = store.keys.create(BY)
    version, entries = store.version(), len(store.audit.list())

    def fail_half_way() -> None:
        with store._database.write() as connection:
            connection.execute(sa.delete(keys_table))
            BY.record(connection, "key.revoke", key.id)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert store.version() == version
    assert len(store.audit.list()) == entries
    assert store.keys.list() == [key]


def test_many_threads_lose_no_change(store):
    def work(n: int) -> None:
        for i in range(5):
            store.settings.put(BY, f"s{n}.{i}", i)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.settings.all()) == 20
    assert store.version() == 20
    assert len(store.audit.list()) == 20


def test_processes_that_open_a_new_store_at_once_all_succeed(url):
    script = (
        "import sys; from datetime import datetime, UTC; from farthing.state.store import Store;"
        "from farthing.state.audit import Change;"
        "s = Store.open(sys.argv[1], busy_seconds=30);"
        "s.settings.put(Change(actor='p', at=datetime(2026, 1, 1, tzinfo=UTC)), sys.argv[2], 1); s.close()"
    )
    started = [subprocess.Popen([sys.executable, "-c", script, url, str(n)], stderr=subprocess.PIPE) for n in range(3)]
    ended = [(p.communicate(timeout=60)[1], p.returncode) for p in started]
    assert [code for _, code in ended] == [0, 0, 0], ended
    with Store.open(url) as store:
        assert set(store.settings.all()) == {"0", "1", "2"}


def test_a_store_of_a_newer_version_is_refused_and_left_alone(url):
    with Store.open(url) as store:
        store.settings.put(BY, "zone", "UTC")
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConflictError, match="9999") as refused:
        Store.open(url)
    assert "Upgrade Farthing" in refused.value.remedy
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


def test_migrations_build_what_the_code_names(url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from farthing.state import migrations, tables

    with Store.open(url) as store:
        assert store.schema() == schema.HEAD
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()
    assert ScriptDirectory(Path(migrations.__file__).parent).get_current_head() == schema.HEAD


def test_a_stopped_server_is_a_clear_error():
    with pytest.raises(UnavailableError) as problem:
        Store.open("postgresql://farthing:secret@127.0.0.1:1/none")
    assert problem.value.remedy
    assert "secret" not in str(problem.value)


def test_a_server_whose_row_somebody_holds_is_waited_for_no_longer_than_asked(postgres):
    url = postgres.database()
    with Store.open(url, busy_seconds=0.2) as store:
        with psycopg.connect(url) as holder:
            holder.execute("SELECT number FROM changes FOR UPDATE")
            assert store.settings.all() == {}
            with pytest.raises(UnavailableError, match="locked"):
                store.settings.put(BY, "zone", "UTC")
        store.settings.put(BY, "zone", "UTC")
        assert store.settings.get("zone") == "UTC"


def test_a_missing_database_is_a_clear_error(postgres):
    with pytest.raises(UnavailableError, match="does not have that database"):
        Store.open(postgres.url("missing"))


@pytest.mark.parametrize("address", ["mysql://x/y", "state.db", "sqlite://", "sqlite:///:memory:", ""])
def test_other_addresses_are_refused(address):
    with pytest.raises(InputError, match=r"state\.url"):
        Store.open(address)


def _dump(url: str) -> str:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        rows = [tuple(row) for t in tables for row in connection.execute(sa.text(f"SELECT * FROM {t}"))]
    engine.dispose()
    return repr(rows)
