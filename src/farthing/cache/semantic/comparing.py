"""Comparing a fresh answer with those of the entries near its question."""

import asyncio
from collections.abc import Mapping, Sequence

from farthing.cache.semantic.ports import Neighbour
from farthing.cache.semantic.seams import Agrees

COMPARED = 10
"""Groups of answers that a fresh one is compared with: the candidate's, and those nearest."""

AT_LEAST = 4
"""So many of them in any case; further ones until one agrees. A comparison takes up to a millisecond or two."""


def representatives(candidate: Neighbour | None, neighbours: Sequence[Neighbour]) -> list[Neighbour]:
    """With whose answers a fresh one is compared: the nearest of each group, the candidate first."""
    first = {candidate.group: candidate} if candidate is not None else {}
    for one in neighbours:
        first.setdefault(one.group, one)
    return list(first.values())[:COMPARED]


async def compared(
    answer: str, some: Sequence[Neighbour], answers: Mapping[bytes, str], agrees: Agrees
) -> dict[bytes, bool | None]:
    """Whether a fresh answer agrees with those of entries, as far as they are known. Lookups go on in between."""
    verdicts: dict[bytes, bool | None] = {}
    for number, one in enumerate(some):
        if number >= AT_LEAST and any(verdicts.values()):
            break
        if one.key in answers:
            verdicts[one.key] = agrees(answer, answers[one.key])
            await asyncio.sleep(0)
    return verdicts
