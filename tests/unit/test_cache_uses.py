"""What a worker writes down of requests that may be asked ahead, and whose they may be made as."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from farthing.cache.asks import MOST_ASK_BYTES
from farthing.cache.entry import Entry
from farthing.core.errors import DeniedError
from farthing.core.facts import Operation
from farthing.core.nouns import Scope
from farthing.gateway.auth import HashedKeyring
from farthing.gateway.caching.uses import MOST_NOTED, WARM, Uses, kept_headers
from farthing.gateway.meter import ROLE
from farthing.gateway.ports import Call, Caller
from farthing.gateway.snapshot import KeyEntry

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = NOW.timestamp()


def entry(name: str = "a", *, ttl: float = 800.0) -> Entry:
    return Entry(
        key=name.encode().ljust(32, b"\0"), namespace="default", tenant="[]", made=AT, expires=AT + ttl if ttl else 0.0,
        cost="0.001", scope=Scope(team="search"),
    )  # fmt: skip


def call(**more) -> Call:
    given = {
        "request_id": "req_1", "at": NOW, "operation": Operation.CHAT, "dialect": "openai", "model": "m", "body": b"{}",
        "path": "/v1/chat/completions", "caller": Caller(key_id="key_1"),
    }  # fmt: skip
    return Call(**given | more)


def test_a_request_is_noted_so_that_it_can_be_made_again_without_its_key():
    uses = Uses()
    headers = [(b"authorization", b"Bearer fk_secret"), (b"x-api-key", b"fk_secret"), (b"cookie", b"secret")]
    uses.asked(entry(), call(headers=[*headers, (b"x-farthing-customer", b"acme"), (b"accept-language", b"de")]))
    ((_, noted),) = uses.take().answered.items()
    assert (noted.ask.path, noted.ask.body, noted.ask.key_id) == ("/v1/chat/completions", b"{}", "key_1")
    assert noted.ask.headers == ((b"x-farthing-customer", b"acme"), (b"accept-language", b"de"))
    assert (noted.used, noted.made, noted.expires, noted.scope) == (AT, AT, AT + 800, Scope(team="search"))
    assert uses.take().answered == {}


def test_what_says_how_the_cache_is_used_is_not_said_again():
    assert kept_headers([(b"x-farthing-cache", b"on"), (b"x-farthing-request-id", b"1"), (b"host", b"x")]) == ()


def test_what_was_asked_ahead_is_no_use():
    uses = Uses()
    uses.asked(entry(), call(labels={ROLE: WARM}))
    assert [one.used for one in uses.take().answered.values()] == [0.0]


@pytest.mark.parametrize(("kept", "asked"), [(entry(ttl=0), call()), (entry(), call(body=b"x" * (MOST_ASK_BYTES + 1)))])
def test_what_never_expires_or_is_too_large_is_not_noted(kept, asked):
    uses = Uses()
    uses.asked(kept, asked)
    assert uses.take().answered == {}


def test_uses_at_about_the_same_time_are_noted_once():
    uses = Uses()
    slot = AT // 100 * 100  # an eighth of the lifetime
    for seconds in (0, 1, 50, 99, 100, 150, 300):
        uses.used(entry(), slot + seconds)
    uses.used(entry(ttl=0), AT)
    assert list(uses.take().uses.values()) == [[slot, slot + 100, slot + 300]]
    uses.used(entry(), slot + 310)
    assert uses.take().uses == {}, "it was noted before"


def test_notes_are_bounded():
    uses = Uses()
    for number in range(MOST_NOTED + 10):
        uses.used(entry(str(number)), AT)
        uses.asked(entry(str(number)), call())
    noted = uses.take()
    assert len(noted.uses) == len(noted.answered) == MOST_NOTED


def keyring(**more) -> HashedKeyring:
    key = KeyEntry(id="key_1", hash=hashlib.sha256(b"fk_1").hexdigest(), scope=Scope(team="search"), **more)
    return HashedKeyring([key])


def test_a_key_is_found_by_its_id_as_by_its_token():
    assert keyring().caller("key_1", NOW) == keyring().authenticate("fk_1", NOW)


@pytest.mark.parametrize("key_id", ["key_2", ""])
def test_a_key_that_is_gone_makes_no_requests(key_id):
    with pytest.raises(DeniedError):
        keyring().caller(key_id, NOW)


def test_an_expired_key_makes_no_requests():
    with pytest.raises(DeniedError, match="expired"):
        keyring(expires=NOW).caller("key_1", NOW)
    assert keyring(expires=NOW + timedelta(seconds=1)).caller("key_1", NOW).key_id == "key_1"


def test_nobody_asks_ahead_as_nobody_where_keys_are_not_required():
    assert HashedKeyring([], required=False).caller("", NOW) == Caller()
    with pytest.raises(DeniedError):
        HashedKeyring([], required=False).caller("key_1", NOW)
