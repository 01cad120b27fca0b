"""Scopes, offers, policies, errors, strict decoding and the registry."""

import sys
from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core import errors
from farthing.core.decode import convert, decode_json
from farthing.core.errors import ConfigError, FarthingError, InputError, NotFoundError
from farthing.core.money import Money, Rate
from farthing.core.nouns import Kind, Level, Offer, Policy, Price, Recommendation, Saving, Scope, Verdict
from farthing.core.plugin import Registry
from farthing.core.units import INPUT, OUTPUT

words = st.sampled_from(["", "a", "b"])
scopes = st.builds(Scope, **dict.fromkeys(Scope.__struct_fields__, words))


# scope


@given(scopes, scopes)
def test_narrowing_fills_gaps_and_replaces_nothing(own, finer):
    narrowed = own.narrowed(**msgspec.structs.asdict(finer))
    for field in Scope.__struct_fields__:
        assert getattr(narrowed, field) == (getattr(own, field) or getattr(finer, field))


@given(scopes, scopes)
def test_narrowing_twice_changes_nothing(own, finer):
    fields = msgspec.structs.asdict(finer)
    assert own.narrowed(**fields).narrowed(**fields) == own.narrowed(**fields)
    assert own.narrowed() == own


# policy


def policy(**more):
    return Policy(
        **{"name": "p", "scope": Scope(), "actions": ("model.use",), "verdict": Verdict.DENY, "reason": "r"} | more
    )


@given(scopes, scopes)
def test_a_policy_covers_whom_all_its_fields_fit(rule, who):
    fits = all(not getattr(rule, f) or getattr(rule, f) == getattr(who, f) for f in Scope.__struct_fields__)
    assert policy(scope=rule).covers("model.use", who) == fits


@pytest.mark.parametrize(
    ("actions", "action", "covered"),
    [
        (("model.use",), "model.use", True),
        (("model.use",), "model.use.big", False),
        (("model.*",), "model.use", True),
        (("model.*",), "models.use", False),
        (("key.create", "*"), "anything", True),
        ((), "model.use", False),
    ],
)
def test_actions_match_by_name_or_prefix(actions, action, covered):
    assert policy(actions=actions).covers(action, Scope(team="t")) is covered


# offers and savings


def test_an_offer_has_one_currency():
    prices = tuple(Price(unit=u, rate=Rate(Decimal(1), c)) for u, c in ((INPUT, "USD"), (OUTPUT, "EUR")))
    with pytest.raises(InputError) as problem:
        Offer(id="a/b", kind=Kind.TOKENS, provider="a", product="b", prices=prices)
    assert problem.value.value == ["EUR", "USD"]


def test_an_offer_survives_every_encoding():
    offer = Offer(
        id="a/b", kind=Kind.TOKENS, provider="a", product="b", checked=date(2026, 11, 1),
        prices=(Price(unit=INPUT, rate=Rate(Decimal("1.50"), per=1_000_000), above=200_000),),
    )  # fmt: skip
    for codec in (msgspec.json, msgspec.msgpack):
        again = codec.decode(codec.encode(offer), type=Offer)
        assert again == offer
        assert hash(again) == hash(offer)


@pytest.mark.parametrize("low_mid_high", [(2, 1, 3), (1, 3, 2), (3, 2, 1)])
def test_a_saving_is_ordered(low_mid_high):
    low, mid, high = map(Money.of, low_mid_high)
    with pytest.raises(InputError, match="low ≤ mid ≤ high"):
        Saving(low=low, mid=mid, high=high)


def test_a_recommendation_carries_what_can_be_executed():
    same = Money.of(5)
    advice = Recommendation(
        lever="alias", subject="gpt-5", change={"model": "gpt-5-mini"}, saving=Saving(low=same, mid=same, high=same),
        effort=Level.LOW, disruption=Level.LOW, evidence=("1,000 requests",),
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(advice), type=Recommendation) == advice


@pytest.mark.parametrize("value", [Scope(), Money.of(1), INPUT, Rate(Decimal(1))])
def test_values_are_frozen(value):
    with pytest.raises(AttributeError):
        setattr(value, type(value).__struct_fields__[0], "x")


# strict decoding


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    port: int = 1


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: Inner
    many: list[Inner] = []


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"inner": {}, "extra": 1}, "extra"),
        ({"inner": {"prot": 1}}, "inner.prot"),
        ({"inner": {}, "many": [{}, {"prot": 1}]}, "many[1].prot"),
        ({"inner": {"port": "80"}}, "inner.port"),
        ({"inner": {"port": 1.5}}, "inner.port"),
    ],
)
def test_the_field_that_does_not_fit_is_named(value, field):
    for attempt in (lambda: convert(value, Outer), lambda: decode_json(msgspec.json.encode(value), Outer)):
        with pytest.raises(InputError) as problem:
            attempt()
        assert problem.value.field == field
        assert problem.value.remedy


@given(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=12).filter(lambda t: t not in ("inner", "many")))
def test_any_unknown_field_is_refused_by_name(name):
    with pytest.raises(InputError) as problem:
        convert({"inner": {}, name: 1}, Outer)
    assert name in str(problem.value)


def test_a_missing_field_is_named():
    with pytest.raises(InputError, match="inner"):
        convert({}, Outer, what="settings")


@pytest.mark.parametrize("text", ["", "{", "nope", b"\xff\xfe", '{"inner": }'])
def test_broken_json_is_shown_not_passed_on(text):
    with pytest.raises(InputError) as problem:
        decode_json(text, Outer, what="body")
    assert problem.value.field == "body"
    assert "invalid JSON" in problem.value.message


def test_what_fits_is_decoded():
    assert decode_json('{"inner":{"port":80}}', Outer) == convert({"inner": {"port": 80}}, Outer)


# errors


def test_every_error_belongs_to_the_tree_and_stands_in_its_drawing():
    family = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert all(issubclass(e, FarthingError) for e in family)
    assert all(e.__name__ in (errors.__doc__ or "") for e in family)
    assert all(e.__doc__ for e in family)


def test_an_error_says_what_happened_and_what_to_do():
    assert str(FarthingError("The disk is full", remedy="Free some space")) == "The disk is full. Free some space"
    assert str(InputError("too big", field="port", value=99999)) == "port: too big (got 99999)"
    problem = ConfigError("too big", file="farthing.toml", line=7, field="gateway.port", value=99999, remedy="Use 4180")
    assert str(problem) == "farthing.toml:7: gateway.port: too big. Use 4180 (got 99999)"


def test_a_name_that_does_not_exist_names_the_nearest():
    assert NotFoundError("model", "gpt-4", known=["gpt-4o", "claude"]).nearest == ("gpt-4o",)
    assert "Did you mean gpt-4o?" in str(NotFoundError("model", "gpt-4", known=["gpt-4o", "claude"]))
    lost = NotFoundError("model", "zzz", known=["gpt-4o"], remedy="List them")
    assert (lost.nearest, str(lost)) == ((), "No model named 'zzz'. List them")


# the registry


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package of plugins, importable under a name of its own."""
    name = f"plugins_{tmp_path.name}".replace("-", "_")
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        del sys.modules[module]


def plug(folder, module, name):
    (folder / f"{module}.py").write_text(f"class P:\n    name = {name!r}\nplugin = P()\n")


def registry(folder):
    return Registry("dialect", folder.name, "farthing.nothing")


def test_one_file_is_one_plugin(folder):
    plug(folder, "beta", "b")
    plug(folder, "alpha", "a")
    plug(folder, "_hidden", "h")
    assert list(registry(folder).load()) == ["a", "b"]
    assert registry(folder).get("b").name == "b"


def test_an_unknown_plugin_names_the_nearest(folder):
    plug(folder, "alpha", "openai")
    with pytest.raises(NotFoundError) as problem:
        registry(folder).get("opneai")
    assert (problem.value.kind, problem.value.nearest) == ("dialect", ("openai",))


def test_two_plugins_of_one_name_are_refused(folder):
    plug(folder, "alpha", "same")
    plug(folder, "beta", "same")
    with pytest.raises(InputError, match="Rename one"):
        registry(folder).load()


def test_plugins_are_imported_when_asked_for_and_not_before(folder):
    (folder / "boom.py").write_text("raise RuntimeError('imported')\n")
    waiting = registry(folder)
    with pytest.raises(RuntimeError, match="imported"):
        waiting.load()


def test_other_packages_plug_in_by_entry_point(folder, tmp_path):
    plug(folder, "alpha", "own")
    (tmp_path / f"{folder.name}_theirs.py").write_text("class P:\n    name = 'theirs'\nplugin = P()\n")
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[farthing.test_group]\ntheirs = {folder.name}_theirs:plugin\n")
    assert list(Registry("dialect", folder.name, "farthing.test_group").load()) == ["own", "theirs"]
