"""What the caches save, how often they are wrong, and what they cost: ``python -m bench.cache [--quick]``.

The streams and pairs are public data outside the repository (``shared/data``); without them their figures are left
out, and a line says so.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bench import _gptcache, _lookups, _pairs, _report, _reuse, _streams
from bench._report import Figure
from bench._streams import Outcome, Utterances

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ORDERS = (7001, 7002, 7003)
"""Seeds of the orders that are shown. Nothing was tuned on them."""


def measure(*, quick: bool) -> Iterable[Figure]:
    return list(_all(quick=quick))


def _all(*, quick: bool) -> Iterator[Figure]:
    yield from _streams.figures(quick=quick, seeds=ORDERS, peers={"GPTCache": _gptcache_over})
    yield from _pairs.measure(quick=quick)
    yield from _lookups.figures(quick=quick)
    yield from _reuse.figures(quick=quick)


def _gptcache_over(utterances: Utterances, which: "NDArray[np.intp]") -> Outcome:
    """GPTCache, as it comes, over the same stream."""
    import numpy as np

    some: list[int] = which.tolist()
    hits, wrong = _gptcache.stream(
        [utterances.texts[one] for one in some],
        [str(utterances.answers[one]) for one in some],
        utterances.vectors[which],
    )
    return Outcome(hits=np.array(hits), wrong=np.array(wrong), samples=np.zeros(len(some), np.bool_))


if __name__ == "__main__":
    _report.main("cache", measure)
