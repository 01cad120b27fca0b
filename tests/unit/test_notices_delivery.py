"""Notices on their way: told once, delivered once, tried again, given up; to real receivers."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from farthing.app.alerts import Carrier, Teller
from farthing.app.courier import AppriseCourier, without_secrets
from farthing.governance.alerts import GIVE_UP_AFTER, TargetSettings, Tidings, backoff
from farthing.state.notices import CLAIM
from farthing.state.store import Store
from support.receivers import Mailbox, Webhook, running

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as store:
        yield store


def news(same: str = "limit/1/50", **changes) -> Tidings:
    fields = {
        "kind": "budget.warning",
        "severity": "warning",
        "title": "search: 80 % used",
        "text": "$8 of $10",
        **changes,
    }
    return Tidings(same=same, facts={"limit": "lim_1"}, **fields)


def carrier(store, clock, targets, urls, courier=None) -> Carrier:
    return Carrier(
        store.notices, courier or AppriseCourier(), targets=lambda: targets, dashboard=lambda: "http://desk:4181",
        secret=urls.__getitem__, clock=clock,
    )  # fmt: skip


def ways(store) -> dict[str, str]:
    return {way.target: way.state for notice in store.notices.list() for way in notice.deliveries}


def test_what_is_the_same_is_told_once_whoever_says_it(store, clock, tmp_path):
    target = (TargetSettings(url="env:HOOK"),)
    with Store.open(f"sqlite:///{tmp_path / 'state.db'}") as another:
        tellers = [Teller(opened.notices, lambda: target, clock) for opened in (store, another)]
        assert [teller.say(news()) for teller in (*tellers, *tellers)] == [True, False, False, False]
        assert [teller.say(news("limit/1/80")) for teller in reversed(tellers)] == [True, False]
    assert [notice.same for notice in store.notices.list()] == ["limit/1/80", "limit/1/50"]


def test_a_webhook_that_fails_at_first_gets_it_once_and_whole(store, clock):
    targets = (TargetSettings(url="env:HOOK"),)
    with running(Webhook()) as hook:
        hook.answers = [500, 503]
        carry = carrier(store, clock, targets, {"env:HOOK": hook.url})
        Teller(store.notices, lambda: targets, clock).say(news())
        for _ in range(6):
            carry.work()
            clock.pass_(minutes=1)
        assert [status for status, _ in hook.heard] == [500, 503, 200]
        [message] = [message for status, message in hook.heard if status == 200]
    assert message["title"] == "search: 80 % used"
    assert message["message"] == "$8 of $10\nhttp://desk:4181/budgets\nReference: limit/1/50"
    assert message["type"] == "warning"
    [notice] = store.notices.list()
    [way] = notice.deliveries
    assert (way.state, way.attempts, way.error, way.due) == ("delivered", 3, "", None)


def test_a_failure_is_shown_without_the_secrets_of_the_address(store, clock, caplog):
    targets = (TargetSettings(url="env:HOOK", name="ops"),)
    with running(Webhook()) as hook:
        hook.answers = [500]
        carry = carrier(store, clock, targets, {"env:HOOK": hook.url})
        Teller(store.notices, lambda: targets, clock).say(news())
        assert carry.check().state == "ok"
        carry.work()
    [way] = store.notices.list()[0].deliveries
    assert "500" in way.error
    assert (way.state, carry.check().state) == ("waiting", "warning")
    for secret in ("s3cret-word", "token-in-path"):
        assert secret not in way.error
        assert secret not in caplog.text


def test_mail_arrives_once_after_a_refusal(store, clock):
    targets = (TargetSettings(url="file:mail", name="mail"),)
    with running(Mailbox()) as mailbox:
        mailbox.refuse = 1
        carry = carrier(store, clock, targets, {"file:mail": mailbox.url})
        Teller(store.notices, lambda: targets, clock).say(news(text="Zürich spent $8"))
        for _ in range(4):
            carry.work()
            clock.pass_(minutes=1)
        [mail] = mailbox.mails
    assert mail["subject"] == "search: 80 % used"
    assert mail["to"] == "ops@example.com"
    assert "Zürich spent $8" in mail.get_body(("plain",)).get_content()
    assert ways(store) == {"mail": "delivered"}


def test_each_target_hears_what_it_wants_and_one_failing_does_not_repeat_the_other(store, clock):
    targets = (
        TargetSettings(url="env:ONE", events=("budget",)),
        TargetSettings(url="env:TWO", min_severity="critical"),
        TargetSettings(url="env:THREE", events=("approval",)),
    )
    with running(Webhook()) as one, running(Webhook()) as two:
        two.answers = [500]
        carry = carrier(store, clock, targets, {"env:ONE": one.url, "env:TWO": two.url})
        teller = Teller(store.notices, lambda: targets, clock)
        teller.say(news("mild"))
        teller.say(news("severe", severity="critical", title="search: 100 % used"))
        for _ in range(4):
            carry.work()
            clock.pass_(minutes=1)
        assert one.took() == ["search: 80 % used", "search: 100 % used"]
        assert two.took() == ["search: 100 % used"]


def test_two_processes_do_not_send_twice(store, clock, tmp_path):
    targets = (TargetSettings(url="env:HOOK"),)
    with running(Webhook()) as hook, Store.open(f"sqlite:///{tmp_path / 'state.db'}") as another:
        teller = Teller(store.notices, lambda: targets, clock)
        for number in range(12):
            teller.say(news(f"same-{number}", title=f"notice {number}"))
        carriers = [carrier(opened, clock, targets, {"env:HOOK": hook.url}) for opened in (store, another)]
        threads = [threading.Thread(target=one.work) for one in carriers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(hook.took()) == sorted(f"notice {number}" for number in range(12))


def test_what_a_dead_process_had_claimed_is_sent_by_the_next(store, clock):
    targets = (TargetSettings(url="env:HOOK"),)
    with running(Webhook()) as hook:
        Teller(store.notices, lambda: targets, clock).say(news())
        assert len(store.notices.claim(clock())) == 1
        carry = carrier(store, clock, targets, {"env:HOOK": hook.url})
        carry.work()
        assert hook.heard == []
        clock.now += CLAIM
        carry.work()
        assert hook.took() == ["search: 80 % used"]


def test_a_late_word_on_a_lapsed_claim_changes_nothing(store, clock):
    targets = (TargetSettings(url="env:HOOK"),)
    Teller(store.notices, lambda: targets, clock).say(news())
    [late] = store.notices.claim(clock())
    clock.now += CLAIM
    [mine] = store.notices.claim(clock())
    store.notices.delivered(clock(), mine)
    store.notices.failed(late, "too late", again=clock())
    assert ways(store) == {"env:HOOK": "delivered"}


def test_what_never_arrives_is_given_up_and_health_says_so(store, clock):
    targets = (TargetSettings(url="env:HOOK"),)
    tries = []

    def deaf(url: str, *, title: str, text: str, severity: str) -> str:
        tries.append(clock())
        return f"cannot reach {url}"

    carry = carrier(store, clock, targets, {"env:HOOK": "json://nobody.example/secret-path"}, deaf)
    Teller(store.notices, lambda: targets, clock).say(news())
    for _ in range(400):
        carry.work()
        clock.pass_(minutes=1)
    assert len(tries) == GIVE_UP_AFTER
    assert timedelta(hours=2) < tries[-1] - tries[0] < timedelta(hours=4)
    assert ways(store) == {"env:HOOK": "given up"}
    check = carry.check()
    assert check.state == "failed"
    assert "1 were given up" in check.detail
    assert "secret-path" not in store.notices.list()[0].deliveries[0].error


def test_a_target_that_is_gone_is_given_up(store, clock):
    Teller(store.notices, lambda: (TargetSettings(url="env:OLD"),), clock).say(news())
    carrier(store, clock, (), {}).work()
    [way] = store.notices.list()[0].deliveries
    assert (way.state, way.error) == ("given up", "No such target is configured any more")


def test_an_address_that_nobody_understands_is_said_so(caplog):
    problem = AppriseCourier()("nonsense://top-secret-token", title="t", text="b", severity="info")
    assert "does not understand" in problem
    assert "top-secret" not in caplog.text


def test_pauses_grow_to_an_hour_and_end():
    pauses = [backoff("x", n) for n in range(1, GIVE_UP_AFTER)]
    assert pauses == sorted(pauses)
    assert timedelta(seconds=5) <= pauses[0] <= timedelta(seconds=7)
    assert pauses[-1] <= timedelta(hours=1, minutes=15)
    assert backoff("x", GIVE_UP_AFTER) is None
    assert backoff("x", 1) != backoff("y", 1)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("slack://TokenAAAA/TokenBBBB/TokenCCCC/#ops", "no TokenAAAA, tokenaaaa? TokenBBBB/TokenCCCC"),
        ("mailto://me:pass%2Fword@host.example?to=a@b.example", "535 pass/word pass%2Fword"),
        ("jsons://u:hunter22@host.example/p4th-secret?x=query-secret", "hunter22 p4th-secret query-secret"),
    ],
)
def test_no_part_of_an_address_that_could_be_a_secret_gets_out(url, text):
    cleaned = without_secrets(f"{text} {url}", url)
    for secret in (
        "TokenAAAA",
        "TokenBBBB",
        "TokenCCCC",
        "pass/word",
        "pass%2Fword",
        "hunter22",
        "p4th",
        "query-secret",
    ):
        assert secret not in cleaned
