"""What the caches save, how often they are wrong, and what they cost: ``python -m bench.cache [--quick]``.

The streams and pairs are public data outside the repository (``shared/data``); without them their figures are left
out, and a line says so.
"""

from collections.abc import Iterable, Iterator

from bench import _lookups, _pairs, _report, _reuse, _streams
from bench._report import Figure


def measure(*, quick: bool) -> Iterable[Figure]:
    return list(_all(quick=quick))


def _all(*, quick: bool) -> Iterator[Figure]:
    yield from _streams.measure(quick=quick)
    yield from _pairs.measure(quick=quick)
    yield from _lookups.figures(quick=quick)
    yield from _reuse.figures(quick=quick)


if __name__ == "__main__":
    _report.main("cache", measure)
