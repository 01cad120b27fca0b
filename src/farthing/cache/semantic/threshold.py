"""The least probability that is served: as low as an upper confidence bound on wrong answers per request allows.

Labels are not a random sample of requests: whatever is asked afresh has one, of what is served only the samples have.
The labeled candidates above a threshold are therefore less sure than all of them, and their share of wrong ones is
not that of all. This is what indirect standardization is for (the standardized mortality ratio; Breslow and Day,
"Statistical Methods in Cancer Research II", 1987, chapter 2): the ratio of the wrong labels seen to those that the
probabilities led to expect, times what they lead to expect of all recent requests. The probabilities give the shape;
labels that the verifier had not seen give the level. The ratio has a Gamma prior around 1, worth ``TRUST``, since the
probabilities were calibrated on labels, too; the bound is a quantile of its posterior. What it takes for granted is
that the ratio above a threshold is the same for labeled and served candidates; ``drift`` watches the samples for that.
"""

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.8
"""Of the one-sided bound. The probabilities that it starts from are on the careful side already."""

DOUBT = 0.002
"""The least chance of being wrong that is believed of any candidate: some labels are noise."""

SURE = 0.8
"""Nothing less probable is served, even where the promise per request has room for some reckless hits."""

TRUST = 60
"""Labels for each wrong answer that the calibration's word counts for: the bound is on so many and those seen."""

TRUST_MOST = 30.0
"""The most that it counts for; more wrong answers seen outweigh it. Less trust would let the few wrong answers that
happened to be seen above a threshold move it: the lowest one that is allowed is then the luckiest one.
"""


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """``probability`` is the least that is served. ``wrong`` and ``bound`` are shares of all requests."""

    probability: float
    wrong: float
    bound: float


def lowest(
    probabilities: "NDArray[np.float64]",
    wrong: "NDArray[np.int8]",
    recent: "NDArray[np.bool_]",
    *,
    requests: int,
    target: float,
    confidence: float = CONFIDENCE,
) -> Threshold | None:
    """The lowest threshold that keeps the target, ``None`` where none does. All arrays have shape (n,).

    ``probabilities`` must come from models that had not seen the row's label. ``wrong`` is 1, 0, or -1 where it is
    not known. ``recent`` marks the candidates that stand for those to come, ``requests`` is how many requests came in
    the same time, those without a candidate included.
    """
    import numpy as np

    order = np.argsort(-probabilities, kind="stable")
    ordered, falling = wrong[order], probabilities[order]
    doubt = np.maximum(1 - falling, DOUBT)
    labeled = np.flatnonzero(ordered >= 0)
    if not len(labeled) or requests <= 0:
        return None
    thresholds = falling[labeled]
    ends = np.searchsorted(-falling, -thresholds, side="right") - 1  # equals are served together
    seen = np.cumsum(ordered == 1)[ends]
    expected = np.cumsum(doubt * (ordered >= 0))[ends]
    share = np.cumsum(doubt * recent[order])[ends] / requests
    trust = max(1.0, min(TRUST_MOST, len(labeled) / TRUST))
    ratio = (seen + trust) / (expected + trust)
    bounds = upper(seen + trust, confidence) / (expected + trust) * share
    allowed = np.flatnonzero((bounds <= target) & (thresholds >= SURE))
    if not len(allowed):
        return None
    last = allowed[-1]
    return Threshold(
        probability=float(thresholds[last]), wrong=float(ratio[last] * share[last]), bound=float(bounds[last])
    )


def upper(shape: "NDArray[np.float64]", confidence: float = CONFIDENCE) -> "NDArray[np.float64]":
    """Quantile of a Gamma distribution of this shape and scale 1, by Wilson and Hilferty (PNAS 17, 1931).

    With one more than a Poisson count, the upper limit of its mean.
    """
    import numpy as np

    return shape * (1 - 1 / (9 * shape) + NormalDist().inv_cdf(confidence) / (3 * np.sqrt(shape))) ** 3


class Sampler:
    """Which would-be hits are asked anyway: those the verifier is less sure of more often, fewer as time goes by.

    The chance goes with the standard deviation of the outcome, as in Neyman's optimal allocation; every would-be hit
    has some, so that its inverse is a weight. ``share`` is the mean share in the beginning and the most in the long
    run.
    """

    LEAST = 0.5
    """The least chance, as a part of the share."""

    MOST = 0.5
    """The greatest chance."""

    FULL = 200
    """Would-be hits after which the share begins to fall, to ``REST`` of it."""

    REST = 0.3

    CALM = 0.15
    """Suspicion up to which nothing changes: now and then a would-be hit is wrong."""

    def __init__(self, share: float, count: int = 0, spread: float = 0.1) -> None:
        """``count`` would-be hits were seen; ``spread`` is the running mean of their standard deviations."""
        self.share, self.count, self.spread = share, count, spread

    def chance(self, probability: float, suspicion: float) -> float:
        """Of being asked anyway. ``suspicion``, 0 to 1, raises it: whoever doubts should look."""
        deviation = math.sqrt(probability * (1 - probability))
        self.count += 1
        self.spread += 0.01 * (deviation - self.spread)
        share = self.share * max(self.REST, min(1.0, self.FULL / self.count))
        chance = min(self.MOST, max(self.LEAST * share, share * deviation / max(self.spread, 1e-3)))
        return max(chance, self.MOST * (suspicion - self.CALM) / (1 - self.CALM))
