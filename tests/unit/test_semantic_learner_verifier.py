"""The verifier: trees that say what scikit-learn says, probabilities that mean what they say, examples that are bounded."""

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from farthing.cache.semantic import examples
from farthing.cache.semantic.examples import UNKNOWN, Examples
from farthing.cache.semantic.features import NAMES, Ballot, Words
from farthing.cache.semantic.ports import Neighbour
from farthing.cache.semantic.trees import Forest, Trees, flatten
from farthing.cache.semantic.verifier import Calibration, Verifier, fit


def _problem(n=1500, seed=0):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(n, 6))
    wrong = (draw.random(n) < 1 / (1 + np.exp(2 * rows[:, 0] + rows[:, 1] * rows[:, 2]))).astype(np.int8)
    return rows, wrong


@pytest.fixture(scope="module")
def fitted():
    return fit(*_problem())


def test_flattened_trees_are_scikit_learns():
    rows, wrong = _problem()
    model = HistGradientBoostingClassifier(max_iter=30, max_depth=5).fit(rows, wrong)
    forest = Forest(flatten(model))
    ours = [forest.log_odds(row) for row in rows[:200]]
    assert ours == pytest.approx(model.decision_function(rows[:200]).tolist())
    assert forest.features <= 6


def test_trees_that_point_nowhere_are_refused():
    rows, wrong = _problem(200)
    trees = flatten(HistGradientBoostingClassifier(max_iter=2).fit(rows, wrong))
    with pytest.raises(ValueError, match="outside"):
        Forest(msgspec.structs.replace(trees, roots=np.array([10_000], np.int32).tobytes()))
    with pytest.raises(ValueError, match="length"):
        Forest(msgspec.structs.replace(trees, limit=trees.limit[8:]))


def test_a_model_can_be_written_down_and_says_the_same(fitted):
    model = msgspec.msgpack.decode(msgspec.msgpack.encode(fitted.model), type=type(fitted.model))
    row = tuple(_problem(1, seed=5)[0][0].tolist())
    assert Verifier(model).probability(row) == Verifier(fitted.model).probability(row)
    assert isinstance(model.trees, Trees)


def test_probabilities_of_new_rows_are_calibrated(fitted):
    verifier = Verifier(fitted.model)
    rows, wrong = _problem(6000, seed=9)
    said = np.array([verifier.probability(tuple(row)) for row in rows.tolist()])
    for low, high in ((0.5, 0.8), (0.8, 0.95), (0.95, 1.0)):  # nobody serves the others
        band = (said >= low) & (said < high)
        assert abs((1 - wrong[band].mean()) - said[band].mean()) < 0.06


def test_a_row_is_predicted_by_models_that_had_not_seen_its_label():
    """Labels by chance: whoever had seen them would know some."""
    rows, _ = _problem(400)
    wrong = np.random.default_rng(3).integers(0, 2, 400).astype(np.int8)
    said = fit(rows, wrong).probabilities
    assert abs(np.corrcoef(said, wrong)[0, 1]) < 0.15


def test_rows_without_label_are_predicted_and_teach_nothing():
    rows, wrong = _problem(600)
    some = np.where(np.arange(600) < 500, wrong, UNKNOWN).astype(np.int8)
    assert len(fit(rows, some).probabilities) == 600
    with pytest.raises(ValueError, match="at least"):
        fit(rows, np.full(600, UNKNOWN, np.int8))


@pytest.mark.parametrize("slope", [0.0, 0.5, 2.0])
def test_a_higher_score_is_never_less_probable(slope):
    calibration = Calibration(offset=0.1, slope=slope)
    said = [calibration.probability(score) for score in np.linspace(-50, 50, 400)]
    assert said == sorted(said)
    assert 0 < said[0] <= said[-1] < 1


def test_examples_are_bounded_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(examples, "CAPACITY", 300)
    kept = Examples(2)
    places = [kept.add(request, (float(request), 0.0), request % 2) for request in range(1000)]
    rows, wrong, numbers = kept.table()
    assert len(kept) == len(rows) == 300
    assert numbers.tolist() == list(range(700, 1000)) == rows[:, 0].tolist()
    assert wrong.tolist() == [n % 2 for n in range(700, 1000)]
    assert not kept.label(places[0], wrong=True)
    assert kept.label(places[-1], wrong=False)
    assert kept.table()[1][-1] == 0
    again = Examples(2, kept.keep())
    again.add(1000, (1000.0, 0.0))
    assert again.table()[2].tolist() == list(range(701, 1001))
    again.forget(990)
    assert again.table()[2].tolist() == list(range(990, 1001))


def test_examples_of_another_width_are_refused():
    kept = Examples(3)
    kept.add(1, (1.0, 2.0, 3.0), 0)
    with pytest.raises(ValueError, match="."):
        Examples(2, kept.keep())


def test_words_are_rarer_the_less_they_were_seen():
    words = Words()
    for at in range(50):
        words.see(f"how do I pay number{at}")
    assert words.rarity(words.of("number7")) > words.rarity(words.of("how"))
    again = Words(words.counts.tobytes(), words.questions)
    assert again.rarity(words.of("how")) == words.rarity(words.of("how"))
    with pytest.raises(ValueError, match="size"):
        Words(b"\x00" * 8)


def test_features_say_what_happened_near():
    def near(at, **more):
        return Neighbour(key=b"%d" % at, text="how do I pay", group=1, similarity=0.9 - at / 100, **more)

    words = Words()
    good, bad = (
        dict(zip(NAMES, Ballot([near(k, **history) for k in range(3)]).features("how to pay", words), strict=True))
        for history in ({"confirmed": 5}, {"refuted": 5})
    )
    assert bad["group_wrong"] > 0.5 > good["group_wrong"]
    assert good["groups"] == 1
    assert good["share"] == 1
    assert good["similarity"] == pytest.approx(0.9)
