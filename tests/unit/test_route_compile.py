"""Settings, keys and prices as the one file that workers read."""

import random
import stat
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import msgspec
import pytest

from farthing.app.compile import compile_snapshot, key_entries, version, write_snapshot
from farthing.catalog.sources import Rule
from farthing.core.errors import NotFoundError
from farthing.core.facts import Operation
from farthing.core.money import Rate
from farthing.core.nouns import Capability, Kind, Objective, Offer, Price, Scope
from farthing.core.time import DailyHours, Window
from farthing.core.units import INPUT, OUTPUT
from farthing.gateway.ports import Call, Provider
from farthing.gateway.route import SnapshotRouter
from farthing.gateway.settings import ModelSettings, ProviderSettings, TargetSettings
from farthing.gateway.snapshot import KeyEntry, Snapshot
from farthing.state.keys import Key

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def offer(prices, product, kind=Kind.TOKENS, **more):
    rates = tuple(Price(unit=u, rate=Rate(Decimal("0.25"), per=1_000_000)) for u in (INPUT, OUTPUT))
    return Offer(id=f"{prices}/{product}", kind=kind, provider=prices, product=product, prices=rates, **more)


OFFERS = [
    offer("openai", "gpt-5", effective=Window(end=NOW), capability=Capability(features=frozenset({"tools", "chat"}))),
    offer("openai", "gpt-5", effective=Window(start=NOW), tags=frozenset({"a", "b", "c"})),
    offer("openai", "gpt-5", daily=DailyHours(start=time(1), end=time(2))),
    offer("openai", "gpt-4o-mini"),
    offer("mistral", "small"),
    offer("openai", "box", kind=Kind.MACHINE),
]
PROVIDERS = {
    "one": ProviderSettings(vendor="openai", models=("gpt-5", "gpt-4o-mini"), tags=frozenset({"x", "y", "z"})),
    "two": ProviderSettings(vendor="openai-compatible", base_url="http://x"),
}
MODELS = {
    "fast": ModelSettings(
        targets=(TargetSettings(provider="one", model="gpt5 latest"), TargetSettings(provider="two", model="own")),
        objective=Objective(p95_ms=100),
    )
}
KEYS = [KeyEntry(id=f"key_{i}", hash=str(i), scope=Scope(team="t"), models=frozenset("abc")) for i in range(5)]
RULES = [Rule("openai", "starts", "gpt5", "gpt-5"), Rule("mistral", "equals", "tiny", "small")]


def compiled(**more):
    facts = {"made": NOW, "providers": PROVIDERS, "models": MODELS, "offers": OFFERS, "keys": KEYS, "rules": RULES}
    return compile_snapshot(**facts | more)


def test_it_keeps_all_variants_of_the_token_offers_that_somebody_is_charged_by():
    kept = [(o.id, o.effective.start is not None, o.daily is not None) for o in compiled().offers]
    assert kept == [
        ("openai/gpt-4o-mini", False, False),
        ("openai/gpt-5", False, False),
        ("openai/gpt-5", False, True),
        ("openai/gpt-5", True, False),
    ]


def test_a_price_list_can_be_named_in_the_settings():
    two = msgspec.structs.replace(PROVIDERS["two"], prices="mistral")
    assert [o.id for o in compiled(providers={"two": two}, models={}).offers] == ["mistral/small"]


def test_makers_that_a_cloud_resells_are_kept_too():
    azure = ProviderSettings(vendor="azure", base_url="http://x")
    assert {o.provider for o in compiled(providers={"a": azure}, models={}).offers} == {"openai", "mistral"}


def test_a_router_reads_messy_names_by_the_rules_of_the_snapshot():
    assert [rule.provider for rule in compiled().rules] == ["openai"]
    ready = {"one": Provider(name="one", vendor="openai", dialect="openai", base_url="http://x", prices="openai")}
    routing = SnapshotRouter(compiled(), ready, draw=lambda: 0.5)
    call = Call(request_id="r", at=NOW, operation=Operation.CHAT, dialect="openai", path="/", model="fast", body=b"")
    assert routing.route(call).targets[0].offer_id == "openai/gpt-5"


def test_an_unknown_vendor_is_named():
    with pytest.raises(NotFoundError, match="openai"):
        compiled(providers={"one": ProviderSettings(vendor="opnai")})


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_facts_does_not_matter(seed):
    shuffled = random.Random(seed)
    offers, keys, names = OFFERS[:], KEYS[:], list(PROVIDERS)
    for facts in (offers, keys, names):
        shuffled.shuffle(facts)
    other = compiled(offers=offers, keys=keys, providers={n: PROVIDERS[n] for n in names})
    assert version(other) == version(compiled())


def test_another_process_finds_the_same_version():
    """Sets are ordered by hashes of text, which differ from process to process."""
    program = """
from datetime import UTC, datetime
from farthing.app.compile import compile_snapshot, version
from farthing.gateway.settings import ProviderSettings
one = ProviderSettings(vendor="openai", tags=frozenset({"x", "y", "z", "hipaa", "eu", "zdr"}))
print(version(compile_snapshot(made=datetime(2026, 1, 1, tzinfo=UTC), providers={"one": one}, models={}, offers=[], keys=[])))
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_the_version_ignores_when_it_was_made_and_nothing_else():
    base = version(compiled())
    assert version(compiled(made=NOW + timedelta(days=1))) == base
    one = {"one": PROVIDERS["one"]}
    changes = [{"keys": KEYS[1:]}, {"models": {}}, {"offers": OFFERS[1:]}, {"providers": one}, {"rules": []}]
    assert len({base, *(version(compiled(**change)) for change in changes)}) == 6


def test_a_file_is_written_once_for_the_same_content(tmp_path):
    path = tmp_path / "home" / "snapshot.msgpack"
    assert write_snapshot(compiled(), path)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert not write_snapshot(compiled(made=NOW + timedelta(hours=1)), path)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert write_snapshot(compiled(keys=[]), path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_file_reads_back_and_only_its_owner_may(tmp_path):
    path = tmp_path / "snapshot.msgpack"
    write_snapshot(compiled(), path)
    assert msgspec.msgpack.decode(path.read_bytes(), type=Snapshot) == compiled()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("junk", [b"", b"\x93", b'{"made": 1}', b"\x81\xa4made\x01"])
def test_what_is_no_snapshot_is_replaced(tmp_path, junk):
    path = tmp_path / "snapshot.msgpack"
    path.write_bytes(junk)
    assert write_snapshot(compiled(), path)
    assert version(msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)) == version(compiled())


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "snapshot.msgpack"
    path.mkdir()
    with pytest.raises(OSError):
        write_snapshot(compiled(), path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def key(id, **more):
    return Key(id=id, hash=id * 2, prefix="f", name="n", scope=Scope(team="t"), models=frozenset(), created=NOW, **more)


def test_dead_keys_are_left_out_and_a_coming_revocation_is_an_expiry():
    soon, later = NOW + timedelta(hours=1), NOW + timedelta(days=1)
    entries = key_entries(
        [key("a"), key("b", expires=NOW), key("c", revoked=NOW), key("d", expires=later, revoked=soon)], NOW
    )
    assert entries == [
        KeyEntry(id="a", hash="aa", scope=Scope(team="t")),
        KeyEntry(id="d", hash="dd", scope=Scope(team="t"), expires=soon),
    ]
