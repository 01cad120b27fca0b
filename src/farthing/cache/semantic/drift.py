"""Notices that answers are wrong more often than was thought.

Cumulative sums (Page, Biometrika 41, 1954) of log-likelihood ratios: how much better "the odds of being wrong are so
many times what the verifier says" explains the outcomes than what it says itself. While the verifier is right the
sums keep falling back to zero.
"""

import math
from collections.abc import Sequence

WORSE = (3.0, 20.0)
"""How many times the odds may be off: a slow decay, and an answer that changed over night."""

ALARM = math.log(20_000)
"""Where a sum is an alarm: while nothing is wrong, not in some ten thousand outcomes on average."""

LEAST = 0.002
"""The least chance of being wrong that is expected of any outcome: one accident is no drift."""


class Drift:
    """Watches outcomes of candidates that were, or nearly were, good enough to be served."""

    def __init__(self, levels: Sequence[float] = ()) -> None:
        """``levels`` are the sums to go on from."""
        self.levels = list(levels) if len(levels) == len(WORSE) else [0.0] * len(WORSE)

    @property
    def suspicion(self) -> float:
        """How near an alarm is: 1 is one."""
        return min(1.0, max(self.levels) / ALARM)

    def observe(self, probability: float, *, wrong: bool) -> None:
        """An outcome, and the probability of being right that was given before it was known."""
        expected = min(0.99, max(LEAST, 1 - probability))
        for at, times in enumerate(WORSE):
            worse = times * expected / (1 - expected + times * expected)
            step = math.log(worse / expected) if wrong else math.log((1 - worse) / (1 - expected))
            self.levels[at] = max(0.0, self.levels[at] + step)

    def relent(self) -> None:
        """The verifier was fitted anew, to these outcomes among others: half of what speaks against it is forgotten."""
        self.levels = [level / 2 for level in self.levels]
