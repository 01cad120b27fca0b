"""The control process decides what is due, within the bounds of the settings."""

from datetime import UTC, datetime

import msgspec
import pytest

from farthing.app.local import Local
from farthing.app.warming import warming_chore
from farthing.cache.asks import Answered, Ask, Asks, Noted
from farthing.cache.disk import DiskStore
from farthing.cache.settings import CacheSettings
from farthing.core.nouns import Scope

NOW = 1_795_000_000.0
TTL = 3600.0
TIGHT = NOW + TTL - 100


class At(Local):
    """An installation whose clock stands still."""

    at = TIGHT

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


def local(folder, settings: str) -> At:
    file = folder / "farthing.toml"
    file.write_text(settings)
    return At.open(home=folder, config_file=file, env={})


@pytest.fixture
def store(tmp_path):
    (tmp_path / "cache").mkdir()
    with DiskStore(tmp_path / "cache" / "answers.db", limit=1 << 20) as opened:
        yield opened


@pytest.fixture
def chore_of(tmp_path):
    """Makes the chore of an installation with these settings."""
    made = []

    def make(settings: str, at: float = TIGHT):
        installation = local(tmp_path, settings)
        installation.at = at
        chore = warming_chore(lambda: installation)
        made.append((chore, installation))
        return chore

    yield make
    for chore, installation in made:
        installation.settings = msgspec.structs.replace(installation.settings, cache=CacheSettings())
        assert chore.work() == "off"  # it lets go of the store


def remembered(store, *names: str, cost: str = "0.004") -> Asks:
    """Questions that were asked every five minutes while their answers were kept."""
    asks = Asks(store)
    for name in names:
        key = name.encode().ljust(32, b"\0")
        one = Answered(
            key=key, namespace="default", tenant="[]", epoch="", scope=Scope(), made=NOW, expires=NOW + TTL, cost=cost,
            ask=Ask(path="/v1/chat/completions", body=b"{}"), used=NOW,
        )  # fmt: skip
        asks.note(
            Noted(answered={key: one}, uses={key: [NOW + 300 * i for i in range(1, 12)]}), NOW, since=asks.purges()
        )
    return asks


WARM = '[cache.namespaces.default]\nexact = "on"\nwarm = true\n'


def test_what_is_worth_asking_becomes_due_once(store, chore_of):
    asks = remembered(store, "a", "b")
    chore = chore_of(WARM)
    assert chore.work() == "2 requests are made ahead"
    assert chore.work() == "nothing is worth asking ahead now"
    assert len(asks.claim(TIGHT, 9)) == 2


@pytest.mark.parametrize(
    ("bounds", "due"),
    [("per_hour = 3", 3), ("per_hour = 0", 0), ("cents_per_day = 1", 2), ("cents_per_day = 0", 0), ("", 5)],
)
def test_bounds_hold_over_many_looks(store, chore_of, bounds, due):
    asks = remembered(store, "a", "b", "c", "d", "e")
    chore = chore_of(f"{WARM}[cache.warm]\n{bounds}\n")
    for _ in range(4):
        chore.work()
    assert len(asks.claim(TIGHT, 9)) == due


def test_what_has_no_price_is_left_alone(store, chore_of):
    asks = remembered(store, "a", cost="")
    chore_of(WARM).work()
    assert asks.claim(TIGHT, 9) == ()


def test_nothing_is_decided_where_no_namespace_warms(store, chore_of):
    asks = remembered(store, "a")
    assert chore_of('[cache.namespaces.default]\nexact = "on"\n').work() == "off"
    assert asks.claim(TIGHT, 9) == ()


def test_what_nobody_asks_any_more_is_forgotten(store, chore_of):
    asks = remembered(store, "a")
    later = NOW + 20 * 86400
    chore_of(WARM, at=later).work()
    assert asks.forget_old(later) == 0, "the chore did it"
    assert asks.expiring(TIGHT) == ()
