"""What a namespace decides and learns, through its own door."""

import math
import random

import msgspec
import pytest

from farthing.cache.semantic.learner import FIRST_FIT, RECENT, Learner
from farthing.cache.semantic.ports import Action, Namespace, Neighbour, Verdict


class World:
    """Questions with three neighbours that agree and one that does not; the nearer, the likelier they are right."""

    def __init__(self, learner, seed=1):
        self.learner, self.draw, self.at = learner, random.Random(seed), 0
        self.served, self.wrong, self.verdicts = 0, 0, []
        self.lies = 0.0

    def ask(self, n):
        for _ in range(n):
            self.one()
        return self

    def one(self):
        self.at += 1
        near = self.draw.random()
        right = self.draw.random() < 1 / (1 + math.exp(-25 * (near - 0.4))) and self.draw.random() >= self.lies
        verdict = self.learner.consider(f"how do I do thing {self.at % 50}", around(near), float(self.at))
        self.verdicts.append(verdict)
        if verdict.action is Action.SERVE:
            self.served += 1
            self.wrong += not right
            return
        self.learner.learn(verdict, right, float(self.at))
        if self.learner.due:
            self.learner.refit()


def around(near):
    similarity = 0.5 + near / 2
    ours = [entry(at, similarity - at * 0.02) for at in range(3)]
    return [*ours, entry(9, similarity - 0.2 * near - 0.05, group=2)]


def entry(at, similarity, *, group=1, text="", **more):
    return Neighbour(key=b"%d" % at, text=text or f"how is thing {at} done", group=group, similarity=similarity, **more)


def learner(**more):
    settings = {"target": 0.01, "shadow": 0.1, "draw": random.Random(7).random}
    return Learner(**(settings | more))


@pytest.fixture(scope="module")
def opened():
    """What was learned by a namespace that serves."""
    world = World(learner()).ask(1500)
    assert not world.learner.standing().closed
    return world.learner.dump()


def test_it_is_a_namespace():
    one: Namespace = learner()
    assert one.standing().closed == "too_few_labels"


def test_nothing_is_served_before_there_are_labels():
    world = World(learner()).ask(FIRST_FIT - 1)
    assert {v.action for v in world.verdicts} == {Action.MISS}
    assert {v.reason for v in world.verdicts} == {"too_few_labels"}
    standing = world.learner.standing()
    assert (standing.labels, standing.hits, standing.threshold, standing.wrong) == (FIRST_FIT - 1, 0, None, None)


def test_a_question_without_neighbours_is_a_miss_that_counts():
    one = learner()
    verdict = one.consider("anybody there?", [], 0.0)
    assert (verdict.action, verdict.entry, verdict.reason) == (Action.MISS, None, "no_neighbour")
    one.learn(verdict, True, 0.0)
    assert (one.standing().requests, one.standing().labels) == (1, 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_it_opens_and_keeps_its_promise(seed):
    world = World(learner(draw=random.Random(seed).random), seed).ask(2500)
    standing = world.learner.standing()
    assert not standing.closed
    assert world.served > 0.25 * world.at
    assert world.wrong <= 0.01 * world.at
    assert standing.wrong <= standing.bound <= standing.target
    assert standing.hits == world.served
    assert standing.would_hit == standing.hits + standing.samples


def test_a_sample_stands_for_the_would_be_hits_like_it(opened):
    world = World(learner(learned=opened)).ask(4000)
    samples = [v for v in world.verdicts if v.action is Action.SAMPLE]
    assert samples
    assert all(v.weight >= 2 and v.entry and v.features for v in samples)
    would = sum(v.action is not Action.MISS for v in world.verdicts)
    assert sum(v.weight for v in samples) == pytest.approx(would, rel=0.5)
    assert len(samples) <= 0.1 * would


def test_who_cannot_be_told_from_the_wrong_is_never_served():
    """Right or wrong by chance: no threshold keeps the promise."""
    one, draw = learner(), random.Random(3)
    for at in range(800):
        verdict = one.consider("which of them?", around(draw.random()), float(at))
        assert verdict.action is Action.MISS
        one.learn(verdict, draw.random() < 0.5, float(at))
        if one.due:
            one.refit()
    assert one.standing().closed == "target_not_kept"


def test_all_that_agrees_teaches_nothing_and_serves_nothing():
    one = learner()
    for at in range(400):
        one.learn(one.consider("same?", around(0.9), float(at)), True, float(at))
        if one.due:
            one.refit()
    assert one.standing().closed == "too_few_labels"


def test_an_answer_that_nobody_can_compare_is_no_label():
    one = learner()
    one.learn(one.consider("same?", around(0.9), 0.0), None, 0.0)
    assert one.standing().labels == 0


def test_entries_of_one_group_each_are_bearable():
    """Real answers seldom agree: every neighbour has a group of its own, and hardly any is right."""
    one, draw = learner(), random.Random(5)
    for at in range(600):
        neighbours = [entry(k, 0.9 - k * 0.05 - 0.3 * draw.random() * (k > 0), group=k + 1) for k in range(10)]
        neighbours.sort(key=lambda n: -n.similarity)
        verdict = one.consider("what about it?", neighbours, float(at))
        assert verdict.action is Action.MISS
        one.learn(verdict, draw.random() < 0.02, float(at))
        if one.due:
            one.refit()
    assert one.standing().closed in {"target_not_kept", "too_few_labels"}


def test_drift_closes_and_little_is_wrong_until_then(opened):
    world = World(learner(learned=opened), 11).ask(300)
    before = world.served
    assert before
    world.lies, world.wrong = 0.5, 0
    for _ in range(600):
        world.one()
        if world.learner.standing().closed:
            break
    standing = world.learner.standing()
    assert standing.closed == "drift"
    assert standing.threshold is None
    assert world.wrong < 100


def test_after_a_drift_it_serves_again_when_it_is_right_again(opened):
    world = World(learner(learned=opened), 12)
    world.lies = 0.5
    while not world.learner.standing().closed:
        world.one()
    world.lies, world.served, world.wrong = 0.0, 0, 0
    begun = world.at
    world.ask(4000)
    assert world.served > 0.15 * 4000
    assert world.wrong <= 0.012 * (world.at - begun)


def test_suspicion_makes_it_look_more_often(opened):
    calm, uneasy = learner(learned=opened), learner(learned=opened)
    sure = next(v for v in World(learner(learned=opened)).ask(200).verdicts if v.action is Action.SERVE)
    for _ in range(3):
        uneasy.learn(msgspec.structs.replace(sure, action=Action.SAMPLE), False, 0.0)
    shares = []
    for one in (calm, uneasy):
        world = World(one, 4).ask(60)
        shares.append(sum(v.action is Action.SAMPLE for v in world.verdicts))
    assert not uneasy.standing().closed or uneasy.standing().closed == "drift"
    assert shares[1] > shares[0] or uneasy.standing().closed == "drift"


def test_reports_of_wrong_hits_close_it(opened):
    one = learner(learned=opened)
    candidate = around(0.99)[0]
    for at in range(int(0.01 * RECENT)):
        one.feedback(f"question {at}", candidate, wrong=True, now=float(at))
    assert not one.standing().closed
    for at in range(50):
        one.feedback(f"question {at}", candidate, wrong=False, now=float(at))
    assert not one.standing().closed
    one.feedback("one more", candidate, wrong=True, now=0.0)
    assert one.standing().closed == "reported"
    assert one.consider("anything", around(0.99), 0.0).action is Action.MISS


def test_a_hit_that_is_asked_in_shadow_mode_is_one_request_with_one_label(opened):
    """In shadow mode the process asks what would have been served, too."""
    one = learner(learned=opened)
    before = len(one._examples)
    served = next(v for v in (one.consider("thing", around(0.99), 0.0) for _ in range(50)) if v.action is Action.SERVE)
    rows = len(one._examples)
    one.learn(msgspec.structs.replace(served, action=Action.SAMPLE), True, 0.0)
    assert len(one._examples) == rows > before


def test_a_veto_stands_unless_the_group_itself_rebuts_it(opened):
    def numbers(a, b):
        return "number" if [c for c in a if c.isdigit()] != [c for c in b if c.isdigit()] else ""

    alone = [entry(1, 0.99, text="order 1"), entry(2, 0.9, group=2, text="order 2")]
    one = learner(learned=opened, veto=numbers)
    verdict = one.consider("order 3", alone, 0.0)
    assert (verdict.action, verdict.reason, verdict.features) == (Action.MISS, "veto:number", ())
    assert one.standing().vetoes == {"number": 1}
    same = [entry(k, 1 - k / 100, text=f"tip for {k} dollars") for k in range(1, 5)]
    assert one.consider("tip for 9 dollars", same, 0.0).reason != "veto:number"


def test_a_vetoed_entry_makes_room_for_the_next(opened):
    one = learner(learned=opened, veto=lambda a, b: "entity" if "Miami" in b else "")
    neighbours = [entry(1, 0.99, text="to Miami"), entry(2, 0.97), entry(3, 0.96), entry(4, 0.6, group=2)]
    verdict = one.consider("to New York", neighbours, 0.0)
    assert verdict.entry is not None
    assert verdict.entry.key == b"2"


def test_the_group_with_most_votes_is_asked_not_the_nearest_entry():
    neighbours = [entry(1, 0.90, group=2), *(entry(k, 0.89) for k in range(2, 6))]
    verdict = learner().consider("who?", neighbours, 0.0)
    assert verdict.entry is not None
    assert verdict.entry.key == b"2"


def test_what_was_learned_survives_a_restart(opened):
    first, second = learner(learned=opened), learner(learned=opened)
    assert first.standing() == second.standing()
    for near in (0.2, 0.6, 0.8, 0.99):
        mine, theirs = (one.consider("thing", around(near), 0.0) for one in (first, second))
        assert (mine.probability, mine.features) == (theirs.probability, theirs.features)
    assert learner(learned=learner(learned=opened).dump()).standing() == learner(learned=opened).standing()


@pytest.mark.parametrize("damage", [
    lambda d: d[: len(d) // 2],
    lambda d: b"\x00" + d,
    lambda d: b"not at all",
    lambda d: msgspec.msgpack.encode(msgspec.msgpack.decode(d) | {"version": 1}),
    lambda d: msgspec.msgpack.encode(msgspec.msgpack.decode(d) | {"words": b"1234"}),
    lambda d: msgspec.msgpack.encode({k: v for k, v in msgspec.msgpack.decode(d).items() if k != "drift"}),
    lambda d: _with(d, "examples", "wrong", b"\x00"),
    lambda d: _with(d, "model", "weights", b"\x00" * 16),
])  # fmt: skip
def test_a_damaged_memory_is_none(opened, damage):
    one = learner(learned=damage(opened))
    assert one.standing() == learner().standing()
    assert one.consider("thing", around(0.99), 0.0).action is Action.MISS


def _with(dump, part, field, value):
    learned = msgspec.msgpack.decode(dump)
    learned[part][field] = value
    return msgspec.msgpack.encode(learned)


def test_a_memory_of_other_features_is_none(opened):
    one = learner(learned=opened, lexical=lambda a, b: (1.0, 2.0))
    assert one.standing().labels == 0


def test_the_plain_rule_serves_by_similarity_and_measures_itself():
    one = learner(policy="cosine", threshold=0.95, draw=random.Random(1).random)
    served = wrong = 0
    for at in range(2000):
        similarity = 0.9 + 0.1 * (at % 10) / 9
        verdict = one.consider("thing", [entry(1, similarity)], float(at))
        assert (verdict.action is Action.MISS) == (similarity < 0.95)
        served += verdict.action is Action.SERVE
        wrong += verdict.action is Action.SERVE and at % 7 == 0
        if verdict.action is not Action.SERVE:
            one.learn(verdict, at % 7 != 0, float(at))
    standing = one.standing()
    assert not one.due
    assert standing.threshold == 0.95
    assert standing.hits == served
    assert standing.wrong == pytest.approx(wrong / 2000, abs=0.04)
    assert standing.bound > standing.wrong


def test_a_verdict_without_candidate_teaches_nothing():
    one = learner()
    one.learn(Verdict(action=Action.MISS, features=(1.0,)), True, 0.0)
    assert one.standing().labels == 0
