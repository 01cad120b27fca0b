"""From features to the probability that an answer is right: boosted trees and a linear model, calibrated together.

The trees find thresholds and interactions, the linear model carries trends beyond the data; the mean of their
log-odds is calibrated on predictions that were made without the row in question (cross-fitting), so that the
probabilities are not flattered.
"""

import math
from typing import TYPE_CHECKING, Any

import msgspec

from farthing.cache.semantic.trees import Forest, Trees, flatten, same

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FOLDS = 4
"""Parts of the labels: each is predicted by a model that has not seen it."""

RIDGE = 10.0
"""Penalty of the linear model's squared weights, of standardized features."""

STEPS = 12
"""Of Newton's method, of length 1 at most: more than enough for standardized features."""

CHECKED = 50
"""Rows of each fit on which the flattened trees are compared with scikit-learn's own prediction."""

LIKELY = 10
"""Labels of each kind among the likelier half, from which calibration goes by these: nobody serves the others."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """From the models' mean log-odds to a probability: logistic (Platt, "Probabilistic outputs for support vector
    machines", 1999).

    More bends would fit the few labels of the best candidates more closely, and change with each of them: thresholds,
    and with them what is spent, would differ from one order of the same questions to the next.
    """

    offset: float
    slope: float

    def probability(self, score: float) -> float:
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, self.offset + self.slope * score))))


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted verifier, as it is written down. ``weights`` is the linear model (float64), its intercept last."""

    trees: Trees
    mean: bytes
    scale: bytes
    weights: bytes
    calibration: "Calibration"


class Verifier:
    """A model ready to be asked."""

    def __init__(self, model: Model) -> None:
        """Raises ``ValueError`` when the model is damaged."""
        import numpy as np

        self.model = model
        self._forest = Forest(model.trees)
        mean, scale, weights = (np.frombuffer(part, np.float64) for part in (model.mean, model.scale, model.weights))
        if not len(mean) == len(scale) == len(weights) - 1 >= self._forest.features:
            raise ValueError("the parts of the verifier differ in their number of features")
        self._weights = weights[:-1] / scale
        self._intercept = float(weights[-1] - mean @ self._weights)
        self._array = np.array

    @property
    def features(self) -> int:
        return len(self._weights)

    def probability(self, features: tuple[float, ...]) -> float:
        """That the candidate's answer is right."""
        row = self._array(features)
        linear = float(row @ self._weights) + self._intercept
        score = (self._forest.log_odds(row) + linear) / 2
        return self.model.calibration.probability(score)


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted model, and a probability for each row given, by a model that had not seen its label."""

    model: Model
    probabilities: Any


def fit(rows: "Floats", wrong: "NDArray[np.int8]", seed: int = 0) -> Fit:
    """Fits to rows, shape (n, features); ``wrong`` is 1, 0, or -1 where it is not known, shape (n,).

    Takes about a second for 10,000 labels, on one core: threads that wait for each other beside busy workers take ten
    times as long. Raises ``ValueError`` when a class has fewer labels than there are folds,
    ``RuntimeError`` when scikit-learn's trees are no longer what they were.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn, for fits only

    known = wrong >= 0
    right = wrong == 0
    if min(int((known & right).sum()), int((known & ~right).sum())) < FOLDS:
        raise ValueError(f"at least {FOLDS} answers that agree and {FOLDS} that do not are needed")
    with threadpool_limits(limits=1):
        return _cross_fit(rows, wrong, seed)


def _cross_fit(rows: "Floats", wrong: "NDArray[np.int8]", seed: int) -> Fit:
    import numpy as np

    known, right = wrong >= 0, wrong == 0
    folds = _folds(wrong, seed)
    scores = np.empty(len(rows))
    for fold in range(FOLDS):
        part, rest = folds == fold, known & (folds != fold)
        trees, linear = _trees(rows[rest], right[rest], seed), _Linear(rows[rest], right[rest])
        scores[part] = (trees.decision_function(rows[part]) + linear.log_odds(rows[part])) / 2
    calibration = _calibrate(scores[known], right[known])
    trees, linear = _trees(rows[known], right[known], seed), _Linear(rows[known], right[known])
    flat = flatten(trees)
    if not same(flat, trees, rows[:: max(1, len(rows) // CHECKED)]):
        raise RuntimeError("the flattened trees say something else than scikit-learn: its internals have changed")
    model = Model(
        trees=flat,
        mean=linear.mean.tobytes(),
        scale=linear.scale.tobytes(),
        weights=linear.weights.tobytes(),
        calibration=calibration,
    )
    return Fit(model=model, probabilities=np.array([calibration.probability(score) for score in scores.tolist()]))


def _calibrate(scores: "Floats", right: "NDArray[np.bool_]") -> Calibration:
    likely = scores > 0
    if min(int(right[likely].sum()), int((~right[likely]).sum())) < LIKELY:
        likely[:] = True
    line = _Linear(scores[likely, None], right[likely], ridge=1.0)
    slope = float(line.weights[0] / line.scale[0])
    return Calibration(
        offset=float(line.weights[1]) - float(line.mean[0]) * slope,
        slope=max(0.0, slope),  # a higher score is never less probable
    )


def _folds(wrong: "NDArray[np.int8]", seed: int) -> "NDArray[np.intp]":
    """A fold for each row, at random, with the classes spread evenly."""
    import numpy as np

    folds = np.empty(len(wrong), np.intp)
    draw = np.random.default_rng(seed)
    for label in (-1, 0, 1):
        members = np.flatnonzero(wrong == label)
        folds[draw.permutation(members)] = np.arange(len(members)) % FOLDS
    return folds


def _trees(rows: "Floats", right: "NDArray[np.bool_]", seed: int) -> Any:
    from sklearn import ensemble

    boosting: Any = ensemble.HistGradientBoostingClassifier  # its type says that early_stopping is text
    return boosting(
        max_iter=60,
        learning_rate=0.06,
        max_depth=4,
        max_leaf_nodes=6,
        min_samples_leaf=max(10, min(30, len(rows) // 30)),
        l2_regularization=5.0,
        max_features=0.3,
        early_stopping=False,
        random_state=seed,
    ).fit(rows, right)


class _Linear:
    """Logistic regression by Newton's method on standardized features."""

    def __init__(self, rows: "Floats", right: "NDArray[np.bool_]", ridge: float = RIDGE) -> None:
        import numpy as np

        self.mean, self.scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
        columns = np.hstack([(rows - self.mean) / self.scale, np.ones((len(rows), 1))])
        penalty = np.full(columns.shape[1], ridge)
        penalty[-1] = 1e-6
        self.weights = np.zeros(columns.shape[1])
        for _ in range(STEPS):
            chance = 1 / (1 + np.exp(-np.clip(columns @ self.weights, -30, 30)))
            slope = columns.T @ (right - chance) - penalty * self.weights
            curve = (columns * (chance * (1 - chance) + 1e-6)[:, None]).T @ columns + np.diag(penalty)
            step = np.linalg.solve(curve, slope)
            self.weights = self.weights + step / max(1.0, float(np.abs(step).max()))  # far steps overshoot

    def log_odds(self, rows: "Floats") -> "Floats":
        return ((rows - self.mean) / self.scale) @ self.weights[:-1] + self.weights[-1]
