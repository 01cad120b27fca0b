"""How probable it is that two questions have one answer, before a namespace has learned anything of its own.

A logistic regression over the similarity and ``lexical_features``, fitted once by ``python -m bench._pairs --fit``,
which also writes ``prior.toml``. It is a starting point: what a namespace measures outweighs it soon.
"""

import math
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import msgspec

from farthing.cache.semantic.lexical import LEXICAL_FEATURES, lexical_features
from farthing.cache.semantic.text import Question

PRIOR_FEATURES: tuple[str, ...] = ("similarity", "similarity_squared", *LEXICAL_FEATURES)
"""What the regression sees."""


class Prior(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fitted regression: a weight for each feature, in the order of ``PRIOR_FEATURES``."""

    intercept: float
    weights: dict[str, float]


@cache
def fitted() -> Prior:
    """The coefficients that come with the package, read on first use."""
    text = files("farthing.cache.semantic").joinpath("prior.toml").read_text(encoding="utf-8")
    prior = msgspec.convert(tomllib.loads(text), Prior)
    return Prior(intercept=prior.intercept, weights={name: prior.weights[name] for name in PRIOR_FEATURES})


def prior_features(similarity: float, lexical: Sequence[float]) -> tuple[float, ...]:
    """What the regression sees, in the order of ``PRIOR_FEATURES``."""
    return (similarity, similarity * similarity, *lexical)


def prior_probability(a: Question, b: Question, similarity: float) -> float:
    """How probable it is that the answer to ``a`` also answers ``b``, 0 to 1. Symmetric; vetoes are not part of it."""
    return probability(similarity, lexical_features(a, b))


def probability(similarity: float, lexical: Sequence[float]) -> float:
    """The same for a caller who has the ``lexical_features`` already."""
    prior = fitted()
    values = prior_features(similarity, lexical)
    odds = prior.intercept + sum(map(float.__mul__, prior.weights.values(), values))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, odds))))


def weighed_features(a: Question, b: Question) -> tuple[float, ...]:
    """``lexical_features`` and, last, what they say together: the prior's log odds without the similarity.

    For a learner that has few examples of its own: one figure in which 400 pairs have already weighed all others.
    """
    lexical = lexical_features(a, b)
    weights = tuple(fitted().weights.values())[-len(LEXICAL_FEATURES) :]
    return (*lexical, sum(map(float.__mul__, weights, lexical)))
