"""The semantic cache's service, the same suite on files and on a real PostgreSQL."""

import asyncio

import psycopg
import pytest

from farthing.cache.semantic.ports import Action
from farthing.cache.semantic.wire import Feedback, Learn, Purge, Recent, Served, Status
from farthing.cache.settings import NamespaceSettings
from farthing.core.errors import InputError, UnavailableError
from support.loop import in_loop
from support.postgres import serve
from support.semantic import NAME, Cache, cache, digest

QUESTION = "How do I reset the password of my account?"
LIKE_IT = "How do I reset the password of my account"
OTHER = "Which parcels are delivered on Saturdays in Vienna?"


@pytest.fixture(scope="session")
def postgres():
    with serve() as server:
        yield server


@pytest.fixture(params=["files", "postgres"])
def where(request, tmp_path):
    if request.param == "files":
        return tmp_path / "cache"
    return request.getfixturevalue("postgres").database()


@pytest.fixture
def files(tmp_path):
    return tmp_path / "cache"


async def entries(running: Cache) -> int:
    return (await running.service.status(Status(1))).entries


@in_loop
async def test_what_was_answered_is_found_by_a_question_like_it(where):
    async with cache(where) as running:
        assert (await running.ask(QUESTION)).action is Action.MISS
        key = await running.teach(QUESTION, "On the profile page.")
        found = await running.ask(LIKE_IT)
        assert (found.action, found.key, found.matched) == (Action.SERVE, key, QUESTION)
        assert found.similarity > 0.95
        assert (await running.ask(OTHER)).action is Action.MISS


@in_loop
async def test_everything_is_there_after_a_restart(where):
    async with cache(where) as running:
        await running.teach(QUESTION)
        await running.teach(OTHER)
        await running.serve(LIKE_IT, saved="0.25")
    async with cache(where) as running:
        assert (await running.ask(LIKE_IT)).action is Action.SERVE
        assert running.rule.before == b"1 labels"
        state = await running.service.status(Status(1))
        assert (state.entries, state.namespaces[NAME].saved) == (2, "0.25")
        assert (await running.service.recent(Recent(1))).hits[0].question == LIKE_IT


@in_loop
async def test_another_room_tenant_or_namespace_finds_nothing(where):
    async with cache(
        where, **{NAME: NamespaceSettings(semantic="on"), "two": NamespaceSettings(semantic="on")}
    ) as running:
        await running.teach(QUESTION, room="a", tenant="acme")
        for elsewhere in (
            {"room": "b", "tenant": "acme"},
            {"room": "a", "tenant": "evil"},
            {"room": "a", "tenant": "acme", "namespace": "two"},
        ):
            found = await running.ask(QUESTION, **elsewhere)
            assert (found.action, found.matched, found.key) == (Action.MISS, "", b""), elsewhere
        assert (await running.ask(QUESTION, room="a", tenant="acme")).action is Action.SERVE


@in_loop
async def test_ten_thousand_attempts_from_other_tenants_find_nothing(files):
    async with cache(files) as running:
        for i in range(200):
            await running.teach(
                f"What is the account balance of customer {i} today?", f"{i} euros", tenant=f"tenant {i % 7}"
            )
        found = 0
        for i in range(10_000):
            theirs = f"tenant {i % 7}"
            mine = ("", f"{theirs} ", theirs.upper(), f"{theirs}\0", f"tenant {i % 7}{i % 7}", "%", f"{theirs}'--")[
                i % 7
            ]
            answer = await running.ask(f"What is the account balance of customer {i % 200} today?", tenant=mine)
            found += bool(answer.key or answer.matched or answer.action is not Action.MISS)
        assert found == 0
        assert (await running.ask("What is the account balance of customer 3 today?", tenant="tenant 3")).key


@in_loop
async def test_fresh_answers_label_the_candidate_and_join_its_group(where):
    async with cache(where, **{NAME: NamespaceSettings(semantic="shadow")}) as running:
        await running.teach(QUESTION, "On the profile page.")
        found = await running.ask(LIKE_IT)
        assert found.action is Action.SAMPLE, "shadow answers nothing"
        await running.service.learn(Learn(found.ticket, digest("2"), "On the profile page."))
        await running.teach("How do I reset the password of my account please?", "By telephone.")
        assert running.rule.labels == [True, False]
        await running.ask(QUESTION)
        near = {one.text: one for one in running.rule.neighbours}
        assert (
            near[QUESTION].group
            == near[LIKE_IT].group
            != near["How do I reset the password of my account please?"].group
        )
        assert near[QUESTION].confirmed + near[LIKE_IT].confirmed == 1
        assert near[QUESTION].refuted + near[LIKE_IT].refuted == 1


@in_loop
async def test_a_ticket_is_good_once_and_a_lost_one_does_no_harm(where):
    async with cache(where) as running:
        found = await running.ask(QUESTION)
        running.service.drop(found.ticket)
        await running.service.learn(Learn(found.ticket, digest("k"), "Yes."))
        await running.service.served(Served(found.ticket, "1"))
        await running.service.learn(Learn(12345, digest("k"), "Yes."))
        assert await entries(running) == 0
        whole = Learn(0, digest("k"), "Yes.", "0", 0.0, NAME, digest("room"), "acme", "", "key", QUESTION)
        await running.service.learn(whole)
        assert (await running.ask(LIKE_IT)).action is Action.SERVE


@in_loop
async def test_a_question_without_words_is_not_looked_up(where):
    async with cache(where) as running:
        assert (await running.ask("?!")).reason == "no_words"
        assert (await running.ask(QUESTION, namespace="unknown")).reason == "off"


@in_loop
async def test_the_same_answer_again_replaces_the_entry(where):
    async with cache(where) as running:
        key = await running.teach(QUESTION, "Old.", expires=running.clock[0] + 10)
        running.clock[0] += 11
        assert (await running.ask(QUESTION)).action is Action.MISS, "it expired"
        await running.teach(QUESTION, "New.", key=key)
        assert await entries(running) == 1
        assert (await running.service._questions.answers([key])) == {key: "New."}
        assert (await running.ask(QUESTION)).key == key


@in_loop
async def test_an_entry_whose_answer_is_gone_is_not_offered_again(where):
    async with cache(where) as running:
        old = await running.teach(QUESTION)
        found = await running.ask(LIKE_IT)
        assert (found.action, found.key) == (Action.SERVE, old)
        await running.service.learn(Learn(found.ticket, digest("fresh"), "Yes.", ""))
        assert (await running.ask(QUESTION)).key == digest("fresh")
        assert await entries(running) == 1


@in_loop
async def test_an_unpriced_hit_saves_nothing_that_is_known(where):
    async with cache(where) as running:
        await running.teach(QUESTION)
        await running.serve(LIKE_IT, saved="")
        await running.serve(LIKE_IT, saved="0.000000000125")
        assert (await running.service.status(Status(1))).namespaces[NAME].saved == "0.000000000125"


@in_loop
async def test_expired_entries_go(files):
    async with cache(files) as running:
        await running.teach(QUESTION, expires=running.clock[0] + 10)
        await running.teach(OTHER)
        running.clock[0] += 11
        await running.service.upkeep()
        assert await entries(running) == 1


@in_loop
async def test_above_the_limit_the_longest_unused_go(files):
    async with cache(files, limit=10) as running:
        for i in range(10):
            running.clock[0] += 1
            await running.teach(QUESTION, room=f"{i}")
        running.clock[0] += 1
        await running.serve(QUESTION, room="0")
        running.clock[0] += 1
        await running.teach(OTHER)
        assert await entries(running) == 10
        assert (await running.ask(QUESTION, room="0")).action is Action.SERVE, "used just now"
        assert (await running.ask(QUESTION, room="1")).action is Action.MISS


@in_loop
async def test_nobody_fills_the_cache_alone(where):
    rules = NamespaceSettings(semantic="on", quota=5, user_quota=2)
    async with cache(where, **{NAME: rules}) as running:
        for i in range(4):
            await running.teach(QUESTION, room=f"m{i}", user="mallory", key_id="k1")
        assert await entries(running) == 2, "one user's share"
        for i in range(10):
            await running.teach(QUESTION, room=f"o{i}", user=f"user {i}", key_id="k1")
        assert await entries(running) == 5, "one key's share"
        await running.teach(QUESTION, user="ann", key_id="k2")
        assert await entries(running) == 6, "others go on"
        running.clock[0] += 3600
        await running.teach(OTHER, user="mallory", key_id="k1")
        assert await entries(running) == 7, "the next hour is another"


@in_loop
async def test_feedback_takes_a_wrong_hit_away_and_teaches(where):
    async with cache(where) as running:
        key = await running.teach(QUESTION)
        await running.serve(LIKE_IT)
        stranger = await running.service.feedback(Feedback(1, key, LIKE_IT, True, tenant="evil"))
        assert stranger.entries == 0
        assert (await running.ask(LIKE_IT)).action is Action.SERVE, "only whose hit it was"
        right = await running.service.feedback(Feedback(1, key, LIKE_IT, False, tenant="acme"))
        assert right.entries == 0
        assert (await running.service.recent(Recent(1))).hits[0].wrong is False
        assert (await running.service.feedback(Feedback(1, key, LIKE_IT, True))).entries == 1
        assert running.rule.wrong == [LIKE_IT, LIKE_IT]
        assert (await running.ask(LIKE_IT)).action is Action.MISS
        assert (await running.service.recent(Recent(1))).hits[0].wrong is True, "what was wrong stays to be seen"


@in_loop
async def test_recent_hits_are_shown_to_their_tenant(where):
    tenant = '[["customer",""],["org","acme"]]'
    async with cache(where) as running:
        await running.teach(QUESTION, tenant=tenant)
        await running.serve(LIKE_IT, tenant=tenant, user="ann", saved="0.5")
        for scope, seen in (
            ("", 1),
            (tenant, 1),
            ("org=acme", 1),
            ("org=acm", 0),
            ("org=evil", 0),
            ("customer=acme", 0),
        ):
            assert len((await running.service.recent(Recent(1, tenant=scope))).hits) == seen, scope
        (hit,) = (await running.service.recent(Recent(1, namespace=NAME))).hits
        assert (hit.question, hit.matched, hit.user, hit.saved, hit.at) == (
            LIKE_IT,
            QUESTION,
            "ann",
            "0.5",
            running.clock[0],
        )
        assert not (await running.service.recent(Recent(1, namespace="other"))).hits


async def _secrets(running: Cache) -> dict[str, bytes]:
    """Two users' questions, with hits on both."""
    keys = {}
    for user, word in (("ann", "zanzibar"), ("bob", "xylophone")):
        text = f"Where did {word} put {word} and the {word} again?"
        keys[user] = await running.teach(text, f"Under the {word}. " * 80, user=user, tenant=f'[["org","{user}"]]')
        await running.serve(f"{text} {word}", user=user, tenant=f'[["org","{user}"]]')
    return keys


@pytest.mark.parametrize("what", ["entry", "user", "tenant", "tenant field", "namespace", "all"])
@in_loop
async def test_a_purge_leaves_nothing_anywhere(files, what):
    async with cache(files) as running:
        keys = await _secrets(running)
        assert b"zanzibar" in _bytes(files)
        values = {"entry": keys["ann"].hex(), "user": "ann", "tenant": '[["org","ann"]]', "tenant field": "org=ann"}
        value = values.get(what, NAME)
        pending = await running.ask("Where did zanzibar go?", user="ann")
        removed = await running.service.purge(Purge(1, what.partition(" ")[0], value))
        assert removed.entries == (1 if what in values else 2)
        await running.service.learn(Learn(pending.ticket, digest("late"), "zanzibar"))
        assert b"zanzibar" not in _bytes(files), "on disk"
        found = await running.ask(
            "Where did zanzibar put zanzibar and the zanzibar again?", user="ann", tenant='[["org","ann"]]'
        )
        assert (found.action, found.matched) == (Action.MISS, ""), "in the index"
        shown = (await running.service.recent(Recent(1))).hits
        assert not any("zanzibar" in hit.question + hit.matched for hit in shown)
        if what in values:
            assert b"xylophone" in _bytes(files), "others stay"
            assert len(shown) == 1
    assert b"zanzibar" not in _bytes(files)


@in_loop
async def test_a_purge_among_thousands_leaves_nothing_on_disk(files):
    async with cache(files, limit=5000) as running:
        for i in range(1500):
            user = f"user{i % 50}"
            text = f"Question {i} about {user}marker and {i * 7919}?"
            await running.teach(text, f"{user}marker " * 30, user=user, room=f"{i}")
        assert (await running.service.purge(Purge(1, "user", "user7"))).entries == 30
        assert b"user7marker" not in _bytes(files)
        assert b"user8marker" in _bytes(files)


@in_loop
async def test_a_purge_in_postgres_leaves_no_row(postgres):
    url = postgres.database()
    async with cache(url) as running:
        await _secrets(running)
        assert (await running.service.purge(Purge(1, "user", "ann"))).entries == 1
        assert "zanzibar" not in _dump(url)
        assert "xylophone" in _dump(url)


def _bytes(folder) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def _dump(url: str) -> str:
    with psycopg.connect(url) as connection:
        tables = ("questions", "hits", "namespaces", "observations")
        rows = [connection.execute(f"select t::text from cache_{table} t").fetchall() for table in tables]
    return str(rows)


@in_loop
async def test_a_purge_finds_hits_on_entries_that_went_before(where):
    async with cache(where) as running:
        await running.teach(QUESTION, user="ann", expires=running.clock[0] + 10)
        await running.serve(LIKE_IT, user="bob")
        running.clock[0] += 61
        await running.service.upkeep()
        assert await entries(running) == 0
        assert (await running.service.recent(Recent(1))).hits[0].matched == QUESTION
        await running.service.purge(Purge(1, "user", "ann"))
        assert (await running.service.recent(Recent(1))).hits == ()


@in_loop
async def test_a_fit_that_fails_is_said_and_decisions_go_on(files, caplog):
    async with cache(files) as running:
        await running.teach(QUESTION)
        running.rule.due, running.rule.refit = True, None
        await running.teach(OTHER)
        await running.teach("How do I reset the password of another account?")
        for _ in range(100):
            await asyncio.sleep(0.01)
            if "could not be fitted" in caplog.text:
                break
        assert "could not be fitted" in caplog.text
        assert (await running.ask(QUESTION)).action is Action.SERVE


@in_loop
async def test_a_purge_must_name_something(where):
    async with cache(where) as running:
        for what, value in (("user", ""), ("entry", "no key"), ("tenant", "")):
            with pytest.raises(InputError):
                await running.service.purge(Purge(1, what, value))


@in_loop
async def test_another_epoch_leaves_the_old_one_behind(where):
    async with cache(where) as running:
        await running.teach(QUESTION)
        await running.service.use({NAME: NamespaceSettings(semantic="on", epoch="2")})
        assert await entries(running) == 0
        await running.teach(QUESTION)
        assert (await running.service.purge(Purge(1, "epoch", NAME))).entries == 0
        await running.service.use({})
        assert (await running.ask(QUESTION)).reason == "off"


@in_loop
async def test_another_model_begins_anew(where, monkeypatch):
    async with cache(where) as running:
        await running.teach(QUESTION)
    monkeypatch.setattr("support.semantic.Letters.name", "others")
    async with cache(where) as running:
        assert await entries(running) == 0
        assert running.rule.before == b""


@in_loop
async def test_fits_run_beside_lookups(files):
    async with cache(files) as running:
        await running.teach(QUESTION)
        running.rule.due = True
        await running.teach(LIKE_IT)
        for _ in range(100):
            await asyncio.sleep(0.01)
            if running.rule.refits:
                break
        assert running.rule.refits == 1


@in_loop
async def test_a_damaged_file_is_replaced(files):
    async with cache(files) as running:
        await running.teach(QUESTION)
    database = files / "semantic.db"
    database.write_bytes(b"not a database at all" * 500)
    async with cache(files) as running:
        assert await entries(running) == 0
        await running.teach(QUESTION)
        assert (await running.ask(LIKE_IT)).action is Action.SERVE


@in_loop
async def test_pages_that_are_damaged_cost_the_entries_and_nothing_else(files):
    async with cache(files) as running:
        for i in range(300):
            await running.teach(f"{'abcdefghij'[i % 10] * 9} {i} {i * 31}")
    database = files / "semantic.db"
    raw = bytearray(database.read_bytes())
    raw[4096 * 3 : len(raw) - 4096] = b"\xff" * (len(raw) - 4096 * 4)
    database.write_bytes(raw)
    async with cache(files) as running:
        await running.teach(QUESTION)
        assert (await running.ask(LIKE_IT)).action is Action.SERVE


@in_loop
async def test_a_folder_that_cannot_be_used_is_said(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UnavailableError, match=r"semantic\.db"):
        async with cache(tmp_path / "cache"):
            pass


@in_loop
async def test_two_hosts_share_hits_and_labels(postgres):
    url = postgres.database()
    async with cache(url) as one, cache(url) as two:
        key = await one.teach(QUESTION, "On the profile page.")
        found = await two.serve(LIKE_IT)
        assert (found.key, found.matched) == (key, QUESTION)
        assert (await one.service.recent(Recent(1))).hits[0].question == LIKE_IT
        await one.teach("How do I reset the password of my account now?", "By telephone.")
        assert (one.rule.labels, two.rule.labels) == ([False], [])
        await two.service.upkeep()
        await one.service.upkeep()
        assert (one.rule.labels, two.rule.labels) == ([False], [False])
        await one.service.purge(Purge(1, "all"))
        assert (await two.ask(LIKE_IT)).action is Action.MISS
    async with cache(url) as third:
        assert third.rule.before == b"1 labels"
        await third.service.upkeep()
        assert third.rule.labels == [], "what was written down is not learned again"


@in_loop
async def test_a_large_room_in_postgres_uses_the_index(postgres, monkeypatch):
    monkeypatch.setattr("farthing.cache.semantic.pgvector.LARGE", 20)
    monkeypatch.setattr("farthing.cache.semantic.pgvector._EXACT", _exact_of(20))
    async with cache(postgres.database()) as running:
        for i in range(60):
            await running.teach(
                f"{'abcdefghijklmnop'[i % 16] * 9} {i} {i * 31}", room="large" if i % 2 else f"room {i}"
            )
        await running.teach(QUESTION, room="large")
        found = await running.ask(LIKE_IT, room="large")
        assert (found.action, found.matched) == (Action.SERVE, QUESTION)
        assert len(running.rule.neighbours) == 10


def _exact_of(limit: int) -> str:
    from farthing.cache.semantic import pgvector

    return pgvector._EXACT.replace(f"limit {5000}", f"limit {limit}")


@in_loop
async def test_postgres_that_went_away_costs_misses(postgres):
    url = postgres.database()
    async with cache(url) as running:
        await running.teach(QUESTION)
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("alter table cache_questions rename to gone")
            assert (await running.ask(QUESTION)).reason == "no_store"
            other.execute("alter table gone rename to cache_questions")
            assert (await running.ask(QUESTION)).action is Action.SERVE
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()"
            )
        assert (await running.ask(QUESTION)).reason == "no_store"
        assert (await running.ask(QUESTION)).action is Action.SERVE


@in_loop
async def test_what_becomes_an_entry_is_told_to_whoever_learns(files):
    async with cache(files, **{NAME: NamespaceSettings(semantic="shadow")}) as running:
        first = await running.teach(QUESTION, "On the profile page.")
        second = await running.teach(LIKE_IT, "On the profile page.")
        (room, key, group, vector), (again, other, joined, _) = running.rule.entered
        assert (key, group, len(vector)) == (first, 0, 64)
        assert (again, other) == (room, second)
        assert joined != 0, "its neighbour's group"


@in_loop
async def test_every_compared_neighbour_is_tallied_where_it_can_be_told(files):
    async with cache(files, **{NAME: NamespaceSettings(semantic="shadow")}) as running:
        await running.teach(QUESTION, "On the profile page?")  # nobody can tell whether that agrees with anything
        await running.teach("How do I reset the password of my account, please?", "On the profile page.")
        await running.teach("How do I reset the password of an account?", "By telephone.")
        await running.ask(LIKE_IT)
        assert len({one.group for one in running.rule.neighbours}) == 3
        await running.teach("How do I reset the passwords of my account?", "By telephone.")
        await running.ask(LIKE_IT)
        counts = {one.text: (one.confirmed, one.refuted) for one in running.rule.neighbours}
        assert counts["How do I reset the password of an account?"] == (1, 0)
        assert counts["How do I reset the password of my account, please?"][1] == 2
        assert counts[QUESTION] == (0, 0)


@in_loop
@pytest.mark.parametrize("what", ["entry", "user", "namespace"])
async def test_a_purge_reaches_what_was_learned_from(files, what):
    async with cache(files) as running:
        key = await running.teach(QUESTION, user="ann")
        await running.service.purge(Purge(1, what, {"entry": key.hex(), "user": "ann", "namespace": NAME}[what]))
        assert running.rule.left == [key if what == "entry" else b""]


@in_loop
async def test_a_purge_reaches_what_other_hosts_learned_from(postgres):
    url = postgres.database()
    async with cache(url) as here, cache(url) as there:
        key = await here.teach(QUESTION)
        await here.service.purge(Purge(1, "entry", key.hex()))
        await there.service.upkeep()
        assert there.rule.left == [key]


@in_loop
async def test_another_epoch_is_learned_anew(files):
    async with cache(files) as running:
        await running.teach(QUESTION)
        await running.service.use({NAME: NamespaceSettings(semantic="on", threshold=0.9, epoch="next")})
        assert running.rule.left == [b""]
