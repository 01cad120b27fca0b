"""The caches over the control API: figures, hits, feedback, purges, roles and tenants."""

import csv
import io
from decimal import Decimal

import pytest

from farthing.cache.semantic.ports import Standing
from farthing.cache.semantic.wire import Feedback, NamespaceState
from farthing.core.nouns import Scope
from farthing.governance.roles import Role
from farthing.state.audit import AuditQuestion
from support.cached import Installation, considered, history, hit, key_of
from support.semanticproc import answering

WINDOW = "start=2026-11-01&end=2026-11-20T12:00:00Z"
SOMETHING = key_of("search-1").hex()


@pytest.fixture
def here(tmp_path_factory):
    made = Installation(tmp_path_factory.mktemp("c"))
    yield made
    made.close()


@pytest.fixture
def process(here):
    with answering(here.settings.cache_socket) as made:
        yield made


def figures(here, query: str = WINDOW, *, who=None) -> dict:
    answer = here.call("GET", f"/cache?{query}", who=who)
    assert answer.status_code == 200, answer.text
    return answer.json()


def audited(here, action: str) -> list:
    return [entry for entry in here.store.audit.list(AuditQuestion()) if entry.action == action]


def of_search(here, role: Role = Role.ENGINEER):
    return here.room.enroll(f"sam-{role}", role, scope=Scope(team="search"))


def test_the_figures_are_the_ledgers_and_net_of_what_checking_costs(here):
    here.land(history())
    total = figures(here)["total"]
    assert {name: total[name] for name in ("requests", "hits", "exact", "semantic", "embeddings")} == {
        "requests": 10, "hits": 3, "exact": 1, "semantic": 1, "embeddings": 1
    }  # fmt: skip
    assert (total["would"], total["sampled"], total["missed"], total["skipped"]) == (2, 2, 2, 1)
    assert total["hit_rate"] == 0.3
    assert Decimal(total["saved"]) == Decimal("0.350000000001")
    assert (Decimal(total["checking"]), total["unpriced"]) == (Decimal("0.05"), 1)
    assert (Decimal(total["would_save"]), total["would_unpriced"]) == (Decimal("0.3"), 1)
    answer = figures(here)
    assert (Decimal(answer["judging"]["cost"]), answer["judging"]["requests"]) == (Decimal("0.01"), 1)
    assert Decimal(answer["embedding"]["cost"]) == Decimal("0.002")
    assert Decimal(answer["warming"]["cost"]) == Decimal("0.004")
    assert Decimal(answer["net"]) == Decimal("0.350000000001") - Decimal("0.05") - Decimal("0.016")


def test_kinds_buckets_and_namespaces_each_sum_to_the_total(here):
    here.land(history())
    answer = figures(here)
    total = answer["total"]
    assert [row["kind"] for row in answer["kinds"]] == [
        "exact", "semantic", "embeddings", "would_exact", "would_semantic", "sampled", "miss", "skipped"
    ]  # fmt: skip
    assert sum(row["requests"] for row in answer["kinds"]) == total["requests"]
    columns = list(zip(*(bucket["requests"] for bucket in answer["buckets"]), strict=True))
    assert [sum(column) for column in columns] == [row["requests"] for row in answer["kinds"]]
    assert sum(Decimal(bucket["saved"]) for bucket in answer["buckets"]) == Decimal(total["saved"])
    assert len(answer["buckets"]) == 20
    for name in ("requests", "hits", "would", "sampled"):
        assert sum(row["sums"][name] for row in answer["namespaces"]) == total[name]
    rows = {row["name"]: row for row in answer["namespaces"]}
    assert rows["default"]["sums"]["requests"] == 7
    assert Decimal(rows["default"]["net"]) == Decimal("0.300000000001")
    assert (rows["support"]["exact"], rows["support"]["semantic"], rows["support"]["sums"]["hit_rate"]) == ("shadow", "shadow", 0.0)  # fmt: skip


def test_what_has_no_price_is_unknown_and_not_zero(here):
    here.land(
        [
            considered(0, "exact", "default", cost=None),
            considered(1, "semantic", "default", cost="0.2"),
            considered(2, "sampled", "default", cost=None),
            considered(3, "would_exact", "support", cost="0"),
            considered(4, "miss", "default"),
        ]
    )
    worth = {row["kind"]: row["worth"] for row in figures(here)["kinds"]}
    assert [worth[kind] for kind in ("exact", "sampled")] == [None, None]
    assert [Decimal(worth[kind]) for kind in ("semantic", "would_exact", "miss")] == [Decimal("0.2"), 0, 0]


def test_short_windows_have_hours_and_filters_narrow(here):
    here.land(history())
    answer = figures(here, "start=2026-11-20T06:00:00Z&end=2026-11-20T12:00:00Z")
    assert (answer["grain"], len(answer["buckets"]), answer["total"]["requests"]) == ("hour", 6, 6)
    narrowed = figures(here, f"{WINDOW}&where=tag:farthing.cache.namespace:support")
    assert (narrowed["total"]["requests"], narrowed["total"]["hits"], narrowed["empty"]) == (3, 0, False)
    assert figures(here, f"{WINDOW}&where=team:nobody")["empty"] is True


def test_without_requests_nothing_is_claimed(here):
    answer = figures(here)
    assert (answer["empty"], answer["total"]["hit_rate"], answer["kinds"]) == (True, None, [])
    assert [(row["name"], row["standing"], row["entries"]) for row in answer["namespaces"]] == [
        ("default", None, None), ("support", None, None)
    ]  # fmt: skip
    assert answer["stores"] == [
        {"name": "answers", "entries": 0, "bytes": 0, "most_entries": None, "most_bytes": 10 * 1024**3}
    ]


def test_what_a_newer_release_marked_is_not_lost(here):
    here.land([considered(0, "conjured", "default"), considered(1, "exact", "gone")])
    answer = figures(here)
    assert (answer["total"]["requests"], answer["total"]["skipped"]) == (2, 1)
    gone = next(row for row in answer["namespaces"] if row["name"] == "gone")
    assert (gone["exact"], gone["semantic"], gone["sums"]["hits"]) == (None, None, 1)


def test_what_the_semantic_cache_measured_stands_beside_it(here, process):
    measured = Standing(labels=812, wrong=0.0031, bound=0.0084, target=0.01, threshold=0.93)
    process.namespaces = {
        "default": NamespaceState(standing=measured, entries=1200),
        "support": NamespaceState(standing=Standing(closed="too_few_labels"), entries=3),
    }
    here.keep(("a", "default", "", {}), ("b", "default", "", {}))
    answer = figures(here)
    rows = {row["name"]: row for row in answer["namespaces"]}
    assert rows["default"]["standing"] == {
        "wrong": 0.0031, "bound": 0.0084, "target": 0.01, "threshold": 0.93, "closed": "", "labels": 812
    }  # fmt: skip
    assert rows["support"]["standing"]["wrong"] is None
    assert rows["support"]["standing"]["closed"] == "too_few_labels"
    assert [(store["name"], store["entries"]) for store in answer["stores"]] == [("answers", 2), ("questions", 1203)]
    assert (answer["semantic"]["state"], answer["semantic"]["embedding"]) == ("running", "wordllama")


def test_a_process_that_is_away_and_one_that_is_off_are_told_apart(here, tmp_path_factory):
    away = figures(here)["semantic"]
    assert (away["state"], "does not answer" in away["problem"], "farthing up" in away["remedy"]) == (
        "away",
        True,
        True,
    )
    assert here.call("GET", "/cache/hits").json()["semantic"]["state"] == "away"
    plain = Installation(tmp_path_factory.mktemp("d"), '[cache.namespaces.default]\nexact = "on"\n')
    off = figures(plain)["semantic"]
    assert (off["state"], 'semantic = "shadow"' in off["remedy"]) == ("off", True)
    assert plain.call("GET", "/cache/hits").json() == {"rows": [], "semantic": off}
    plain.close()


def test_the_csv_has_a_row_for_each_namespace(here, process):
    here.land(history())
    process.namespaces = {"default": NamespaceState(standing=Standing(labels=5), entries=7)}
    answer = here.call("GET", f"/cache.csv?{WINDOW}")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = {row["namespace"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert (rows["default"]["requests"], rows["default"]["exact_mode"], rows["default"]["entries"]) == ("7", "on", "7")
    assert Decimal(rows["default"]["saved"]) == Decimal("0.350000000001")
    assert (rows["default"]["wrong"], rows["default"]["labels"], rows["support"]["labels"]) == ("", "5", "")


def test_hits_stand_beside_the_questions_they_matched(here, process):
    process.hits = [hit(1), hit(2, namespace="support", saved=""), hit(3, wrong=True)]
    rows = here.call("GET", "/cache/hits").json()["rows"]
    assert [row["question"] for row in rows] == [f"Which search question {n}?" for n in (1, 2, 3)]
    assert rows[0]["matched"] == "What search question 1?"
    assert (rows[0]["who"], rows[0]["entry"]) == ({"team": "search", "user": "user-1"}, SOMETHING)
    assert (rows[0]["saved"], rows[0]["wrong"], rows[1]["saved"], rows[2]["wrong"]) == ("0.0125", None, None, True)
    assert len(here.call("GET", "/cache/hits?limit=2").json()["rows"]) == 2
    assert len(here.call("GET", "/cache/hits?namespace=support").json()["rows"]) == 1
    refused = here.call("GET", "/cache/hits?limit=0")
    assert (refused.status_code, refused.json()["field"]) == (400, "limit")


def test_a_tenant_sees_its_own_requests_hits_and_no_more(here, process):
    here.land(history())
    process.namespaces = {"default": NamespaceState(standing=Standing(labels=9, wrong=0.0, bound=0.002), entries=4)}
    process.hits = [
        hit(1),
        hit(2, team="support"),
        hit(3, tenant="[]"),
        hit(4, tenant="search"),
        hit(5, team="searching"),
    ]
    sam = of_search(here)
    answer = figures(here, who=sam)
    assert answer["total"]["requests"] == 7
    assert [row["name"] for row in answer["namespaces"]] == ["default"]
    [row] = answer["namespaces"]
    assert (row["standing"]["bound"], row["standing"]["labels"], row["entries"]) == (0.002, None, None)
    assert (answer["stores"], answer["semantic"]["embedding"]) == ([], "")
    assert [row["question"] for row in here.call("GET", "/cache/hits", who=sam).json()["rows"]] == ["Which search question 1?"]  # fmt: skip


def test_a_wrong_hit_is_forgotten_and_noted(here, process):
    here.keep(("search-1", "default", "", {"team": "search"}), ("other", "default", "", {}))
    body = {"entry": SOMETHING.upper(), "question": "Which\nquestion?", "wrong": True}
    done = here.call("POST", "/cache/feedback", body)
    assert (done.status_code, done.json()) == (200, {"entries": 1, "dry_run": False})
    assert (here.has("search-1"), here.has("other")) == (False, True)
    [told] = [message for message in process.asked if isinstance(message, Feedback)]
    assert (told.key, told.text, told.wrong) == (key_of("search-1"), "Which\nquestion?", True)
    [entry] = audited(here, "cache.feedback")
    assert (entry.after["wrong"], entry.after["entries"]) == (True, 1)
    again = here.call("POST", "/cache/feedback", body)
    assert (again.status_code, again.json()["type"]) == (404, "not_found")


def test_a_right_hit_stays(here, process):
    here.keep(("search-1", "default", "", {}))
    done = here.call("POST", "/cache/feedback", {"entry": SOMETHING, "question": "Which?", "wrong": False})
    assert (done.status_code, done.json()["entries"], here.has("search-1")) == (200, 0, True)


def test_feedback_of_a_tenant_reaches_what_is_its_own(here, process):
    here.keep(("search-1", "default", "", {"team": "search"}), ("support-2", "default", "", {"team": "support"}))
    process.hits = [hit(2, team="support")]
    sam = of_search(here)
    foreign = here.call("POST", "/cache/feedback", {"entry": key_of("support-2").hex(), "wrong": True}, who=sam)
    assert (foreign.status_code, here.has("support-2")) == (404, True)
    assert not any(isinstance(message, Feedback) for message in process.asked)
    assert here.call("POST", "/cache/feedback", {"entry": SOMETHING, "wrong": True}, who=sam).json()["entries"] == 1


def test_a_purge_only_counts_unless_it_is_told_otherwise(here, process):
    here.keep(("a", "default", "", {"user": "ana"}), ("b", "default", "", {"user": "bo"}), ("c", "support", "", {}))
    counted = here.call("POST", "/cache/purge", {"namespace": "default"})
    assert counted.json() == {"entries": 2, "dry_run": True}
    assert here.amount().entries == 3
    done = here.call("POST", "/cache/purge", {"namespace": "default", "scope": {"user": "ana"}, "dry_run": False})
    assert done.json() == {"entries": 1, "dry_run": False}
    assert (here.has("a"), here.has("b"), here.has("c")) == (False, True, True)
    [entry] = audited(here, "cache.purge")
    assert (entry.subject, entry.after["scope"], entry.after["entries"]) == ("default", {"user": "ana"}, 1)
    everything = here.call("POST", "/cache/purge", {"everything": True, "dry_run": False})
    assert (everything.json()["entries"], here.amount().entries) == (2, 0)


@pytest.mark.parametrize("what", [{"entry": key_of("a").hex()}, {"epoch": "2"}, {"scope": {"key": "app", "team": "x"}}])
def test_a_purge_by_entry_epoch_or_scope_takes_nothing_else(here, process, what):
    here.keep(("a", "default", "2", {"key": "app", "team": "x"}), ("b", "default", "1", {"key": "app", "team": "y"}))
    assert here.call("POST", "/cache/purge", {**what, "dry_run": False}).json()["entries"] == 1
    assert (here.has("a"), here.has("b")) == (False, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "everything"),
        ({"dry_run": False}, "everything"),
        ({"everything": True, "namespace": "default"}, "everything"),
        ({"scope": {"tema": "search"}}, "scope"),
        ({"scope": {"user": ""}}, "scope.user"),
        ({"scope": {"user": "a\nb"}}, "scope.user"),
        ({"namespace": "a\0b"}, "namespace"),
        ({"entry": "12"}, "entry"),
        ({"all": True}, "body"),
    ],
)
def test_a_purge_that_makes_no_sense_is_refused_by_name(here, body, field):
    here.keep(("a", "default", "", {}))
    refused = here.call("POST", "/cache/purge", {"dry_run": False, **body})
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (400, "input"), problem
    assert field in (problem["field"], "body")
    assert problem["remedy"]
    assert here.amount().entries == 1


def test_a_purge_of_a_tenant_stays_in_it(here, process):
    here.keep(("a", "default", "", {"team": "search"}), ("b", "default", "", {"team": "support"}))
    sam = of_search(here)
    foreign = here.call("POST", "/cache/purge", {"scope": {"team": "support"}, "dry_run": False}, who=sam)
    assert (foreign.status_code, foreign.json()["type"], here.has("b")) == (403, "denied", True)
    done = here.call("POST", "/cache/purge", {"everything": True, "dry_run": False}, who=sam)
    assert (done.json()["entries"], here.has("a"), here.has("b")) == (1, False, True)
    assert audited(here, "cache.purge")[0].after["scope"] == {"team": "search"}


def test_a_purge_that_did_not_reach_everything_is_noted_as_failed(here):
    here.keep(("a", "default", "", {}))
    failed = here.call("POST", "/cache/purge", {"everything": True, "dry_run": False})
    assert (failed.status_code, failed.json()["type"], here.has("a")) == (503, "unavailable", False)
    [entry] = audited(here, "cache.purge")
    assert "does not answer" in entry.after["failed"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.FINANCE])
@pytest.mark.parametrize("call", [("feedback", {"entry": SOMETHING, "wrong": True}), ("purge", {"everything": True})])
def test_forgetting_is_not_for_who_only_looks(here, role, call):
    here.keep(("search-1", "default", "", {}))
    somebody, (path, body) = here.room.enroll(f"x-{role}", role), call
    refused = here.call("POST", f"/cache/{path}", body, who=somebody)
    assert (refused.status_code, refused.json()["type"]) == (403, "denied")
    assert here.call("GET", "/cache", who=somebody).status_code == 200
    assert here.amount().entries == 1


def test_engineers_may_forget(here, process):
    here.keep(("search-1", "default", "", {}))
    done = here.call("POST", "/cache/purge", {"entry": SOMETHING, "dry_run": False}, who=here.room.enroll("eli"))
    assert done.json()["entries"] == 1
    assert audited(here, "cache.purge")[0].actor == "eli@example.com"
