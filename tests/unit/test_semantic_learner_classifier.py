"""The classifier of a room's groups: what it knows, what it does not say, and what it forgets."""

import msgspec
import numpy as np
import pytest

from farthing.cache.semantic import classifier
from farthing.cache.semantic.classifier import CAPACITY, LEAST, NAMES, Classes, Classifier, Pupils
from farthing.cache.semantic.features import Ballot
from farthing.cache.semantic.ports import Neighbour

ROOM = b"a room"
DIMENSIONS = 32


def _topics(seed=0, noise=0.5):
    """Vectors around five centers; a group's number is its center's, from 1."""
    draw = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(5, DIMENSIONS))
    while True:
        group = int(draw.integers(5))
        yield (
            group + 1,
            np.clip((centers[group] + noise * draw.normal(size=DIMENSIONS)) * 40, -127, 127).astype(np.int8),
        )


def _taught(count=200, room=ROOM, **how):
    one = Classifier()
    for at, (group, vector) in zip(range(count), _topics(**how), strict=False):
        one.enter(room, b"%d" % at, group, vector)
    one.fit()
    return one


def _said(one, vector, group, room=ROOM):
    opinion = one.opinion(room, vector)
    assert opinion is not None
    return dict(zip(NAMES, opinion.features(group), strict=True))


def test_it_tells_the_group_of_new_questions():
    one = _taught()
    for group, vector in [pair for pair, _ in zip(_topics(seed=1), range(50), strict=False)]:
        opinion = one.opinion(ROOM, vector)
        chances = {name: opinion.chance(name) for name in range(1, 6)}
        assert max(chances, key=chances.__getitem__) == group
        assert sum(chances.values()) == pytest.approx(1)
        right, other = _said(one, vector, group), _said(one, vector, group % 5 + 1)
        assert (right["class_known"], right["class_first"], other["class_first"]) == (1, 1, 0)
        assert right["class_margin"] > 0 > other["class_margin"]
        assert right["class_log_odds"] > other["class_log_odds"]


def test_nothing_is_said_of_rooms_without_groups_or_of_other_rooms():
    one = Classifier()
    for at, (_, vector) in zip(range(200), _topics(), strict=False):
        one.enter(ROOM, b"%d" % at, at + 1, vector)
    one.fit()
    _, vector = next(_topics())
    assert one.opinion(ROOM, vector) is None
    assert _taught().opinion(b"another room", vector) is None
    assert _taught().opinion(ROOM, None) is None
    assert _taught().opinion(ROOM, vector[:16]) is None


def test_a_group_that_it_does_not_know_has_no_chance():
    one = _taught()
    _, vector = next(_topics())
    assert one.opinion(ROOM, vector).chance(77) == 0
    assert _said(one, vector, 77)["class_known"] == -1


def test_groups_of_few_entries_are_something_else():
    one = _taught(60)
    stray = np.full(DIMENSIONS, 60, np.int8)
    for at in range(30):
        one.enter(ROOM, b"stray %d" % at, 100 + at // (LEAST - 1), stray)
    one.fit()
    assert one.opinion(ROOM, stray).chance(100) == 0
    assert max(one.opinion(ROOM, stray).chance(group) for group in range(1, 6)) < 0.3


def test_rooms_do_not_mix():
    one = Classifier()
    for at, (group, vector) in zip(range(400), _topics(), strict=False):
        room = b"even" if at % 2 else b"odd"
        one.enter(room, b"%d" % at, group if at % 2 else 10 + group, vector)
    one.fit()
    group, vector = next(_topics(seed=4))
    assert one.opinion(b"even", vector).chance(group) > 0.5 > one.opinion(b"odd", vector).chance(group) == 0
    assert one.opinion(b"odd", vector).chance(10 + group) > 0.5


def test_a_group_that_becomes_known_later_counts():
    one = Classifier()
    for at, (_, vector) in zip(range(100), _topics(), strict=False):
        one.enter(ROOM, b"%d" % at, 0, vector)
    one.fit()
    assert one.classes == ()
    for at, (group, _) in zip(range(100), _topics(), strict=False):
        one.regroup(b"%d" % at, group)
    one.regroup(b"never seen", 1)
    one.fit()
    group, vector = next(_topics(seed=2))
    assert one.opinion(ROOM, vector).chance(group) > 0.5


def test_it_is_bounded_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(classifier, "CAPACITY", 300)
    one = _taught(1000)
    kept = one.keep()
    assert len(one) == 300 == len(kept.groups) // 8
    assert len(one._places) == 300
    assert CAPACITY * DIMENSIONS > len(kept.vectors) == 300 * DIMENSIONS


def test_it_can_be_written_down_and_says_the_same():
    one = _taught()
    kept, classes = (
        msgspec.msgpack.decode(msgspec.msgpack.encode(part), type=kind)
        for part, kind in ((one.keep(), Pupils), (one.classes, tuple[Classes, ...]))
    )
    again = Classifier(kept, classes)
    _, vector = next(_topics(seed=3))
    assert again.opinion(ROOM, vector).features(1) == one.opinion(ROOM, vector).features(1)
    again.enter(ROOM, b"one more", 1, vector)
    again.fit()
    assert len(again) == len(one) + 1
    with pytest.raises(ValueError, match="length"):
        Classifier(msgspec.structs.replace(kept, keys=b""), classes)
    with pytest.raises(ValueError, match="."):
        Classifier(kept, (msgspec.structs.replace(classes[0], sizes=b""),))


def test_a_purged_entry_leaves_no_bytes():
    one = Classifier()
    secret = np.arange(1, DIMENSIONS + 1).astype(np.int8)
    one.enter(ROOM, b"secret", 1, secret)
    one.enter(ROOM, b"other", 1, secret[::-1].copy())
    one.drop(b"secret")
    assert secret.tobytes() not in one.keep().vectors
    assert secret[::-1].tobytes() in one.keep().vectors
    one.clear()
    assert (len(one), one.keep(), one.classes) == (0, Pupils(), ())


def test_vectors_of_another_model_begin_anew():
    one = _taught()
    one.enter(ROOM, b"new", 1, np.ones(8, np.int8))
    assert (len(one), one.classes) == (1, ())


def test_its_word_counts_in_the_vote():
    one = _taught()
    group, vector = next(_topics(seed=5))
    other = group % 5 + 1
    near = [
        Neighbour(key=b"%d" % at, text="how", group=name, similarity=0.9)
        for at, name in enumerate((other, other, group))
    ]
    assert Ballot(near).candidate.group == other
    assert Ballot(near, one.opinion(ROOM, vector)).candidate.group == group
